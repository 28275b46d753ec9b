"""Bodies and answers of the catalog's routes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from tallystick.catalog.domain import MAX_CHARGES, MAX_GROUP_BY, ChargeTerms, Settings, Terms
from tallystick.platform.http.fields import Amount, Body, Code, Currency, DecimalOut, Name, PutBody

Cycle = Literal["weekly", "monthly", "quarterly", "semiannual", "yearly"]
Timing = Literal["advance", "arrears"]
Alignment = Literal["anniversary", "calendar"]
Proration = Literal["days", "seconds", "thirty_360", "none"]
TrialDays = Annotated[int, Field(ge=0, le=3660)]
FEATURES = {"api_calls": {"limit": 1000}, "storage": {"limit": "1GB"}}
Features = Annotated[
    dict[str, Any],
    Field(
        max_length=200,
        description="Per feature a `limit` (a whole number, a size such as 1GB, or null) and `overage`: block (default) or charge",
        examples=[FEATURES],
    ),
]
Model = Annotated[str, Field(max_length=50, examples=["graduated"])]
Properties = Annotated[
    dict[str, Any], Field(description="By charge model; amounts as decimal strings", max_length=50)
]


Values = Annotated[
    list[Annotated[str, StringConstraints(max_length=200)]], Field(min_length=1, max_length=100)
]
Filters = dict[str, Values]
Property = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Kind = Literal["count", "sum", "max", "min", "average", "unique", "latest", "weighted_sum", "percentile"]


class SettingsIn(Body):
    """A plan's settings; what is left out is as by default."""

    billing_day: int | None = Field(None, ge=1, le=31, description="Day of month of calendar periods")
    bill_last_day: bool = Field(False, description="The day of cancellation is billed")
    prorate_limits: bool = Field(True, description="Minimums and included units are prorated like fees")
    prices_include_tax: bool | None = Field(
        None, description="The tax is taken out of prices, not added; null: as the entity has it"
    )

    def settings(self) -> Settings:
        """As the domain knows them."""
        return Settings(**self.model_dump())


class ChargeIn(Body):
    """A price: meter × charge model × properties. `id`, as GET shows it, is accepted and ignored."""

    code: Code
    meter: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(
        description="Code of a meter"
    )
    charge_model: Model
    properties: Properties
    adjustments: Properties = Field(default_factory=dict)
    name: Name | None = Field(None, description="On the invoice; the code unless given")
    gl_code: Code = "usage"
    filters: Filters = Field(
        default_factory=dict, max_length=20, description="Only events whose property has one of these values, of those that the meter counts",
        examples=[{"region": ["eu", "us"]}],
    )  # fmt: skip
    group_by: list[Property] = Field(
        default_factory=list, max_length=MAX_GROUP_BY, description="One line per combination of these properties' values, each priced by itself",
        examples=[["region"]],
    )  # fmt: skip
    id: int | None = Field(None, exclude=True)

    def terms(self) -> ChargeTerms:
        """As the domain knows it."""
        return ChargeTerms(
            self.code, self.name or self.code, self.meter, self.charge_model, self.properties, self.adjustments, self.gl_code,
            self.filters, tuple(self.group_by),
        )  # fmt: skip


class PlanIn(Body):
    """A new plan."""

    name: Name
    price: Amount
    currency: Currency
    code: Code | None = Field(None, description="`plan-<id>` unless given")
    billing_cycle: Cycle = "monthly"
    billing_timing: Timing = "advance"
    alignment: Alignment = "anniversary"
    trial_period_days: TrialDays = 0
    proration: Proration = "days"
    features: Features = Field(default_factory=dict)
    charges: list[ChargeIn] = Field(default_factory=list, max_length=MAX_CHARGES)
    minimum: Amount | None = Field(None, description="What a period costs at least")
    settings: SettingsIn = Field(default_factory=SettingsIn)
    tax_category: Code = "standard"
    gl_code: Code = "subscriptions"
    is_public: bool = True
    is_active: bool = True

    def terms(self) -> Terms:
        """What subscriptions agree to."""
        return Terms(
            self.price, self.currency, self.billing_cycle, self.billing_timing, self.alignment, self.trial_period_days,
            self.proration, self.features, self.minimum, self.settings.settings(), self.tax_category, self.gl_code,
            tuple(charge.terms() for charge in self.charges),
        )  # fmt: skip


class PlanPut(PutBody):
    """Changes of a plan. Other terms than those in force make a new version; subscriptions stay on theirs."""

    name: Name = ""
    code: Code = ""
    price: Amount = Decimal(0)
    currency: Currency = "USD"
    billing_cycle: Cycle = "monthly"
    billing_timing: Timing = "advance"
    alignment: Alignment = "anniversary"
    trial_period_days: TrialDays = 0
    proration: Proration = "days"
    features: Features = Field(default_factory=dict)
    charges: list[ChargeIn] = Field(default_factory=list, max_length=MAX_CHARGES)
    minimum: Amount | None = None
    settings: SettingsIn = Field(default_factory=SettingsIn)
    tax_category: Code = "standard"
    gl_code: Code = "subscriptions"
    is_public: bool = True
    is_active: bool = True


PLAN_FIELDS = frozenset({"name", "code", "is_public", "is_active"})
"""What belongs to the plan itself; all else of a PUT is terms."""


def terms_changes(changes: dict[str, Any]) -> dict[str, Any]:
    """The terms a PUT names, as the domain knows them."""
    terms = {name: value for name, value in changes.items() if name not in PLAN_FIELDS}
    if "charges" in terms:
        terms["charges"] = tuple(charge.terms() for charge in terms["charges"])
    if "settings" in terms:
        terms["settings"] = terms["settings"].settings()
    return terms


class ChargeOut(BaseModel):
    """A price of a plan."""

    id: int
    code: str
    name: str
    meter: str
    charge_model: str
    properties: dict[str, Any]
    adjustments: dict[str, Any]
    gl_code: str
    filters: dict[str, list[str]]
    group_by: list[str]


class SettingsOut(BaseModel):
    """A plan's settings."""

    billing_day: int | None
    bill_last_day: bool
    prorate_limits: bool


class PlanOut(BaseModel):
    """A plan with the terms that new subscriptions get."""

    id: int
    code: str
    name: str
    price: DecimalOut
    currency: str
    billing_cycle: Cycle
    billing_timing: Timing
    alignment: Alignment
    trial_period_days: int
    proration: Proration
    features: dict[str, Any] = Field(examples=[FEATURES])
    charges: list[ChargeOut]
    minimum: DecimalOut | None
    settings: SettingsOut
    tax_category: str
    gl_code: str
    is_public: bool
    is_active: bool
    version: int
    revision: int
    created_at: datetime
    updated_at: datetime


class MeterIn(Body):
    """A new meter."""

    code: Code
    name: Name | None = Field(None, description="The code unless given")
    aggregation: Kind = Field(
        description="`weighted_sum`: each event changes a level, which is summed over time and divided by the period's length. A level that falls again, as of a recurring `sum`, needs `field`: an event's own quantity is never negative"
    )
    field: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None,
        description="Property that is aggregated, and may be negative; the event's quantity, which may not, unless given",
    )
    filters: dict[str, Values] = Field(
        default_factory=dict, max_length=20, description="Only events whose property has one of these values",
        examples=[{"region": ["eu", "us"]}],
    )  # fmt: skip
    unit: Name = "unit"
    recurring: bool = Field(
        False,
        description="What is there at a period's end is there at the next one's start: count, sum, unique (per day), weighted_sum",
    )
    percentile: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="The p of a percentile, by nearest rank"
    )


class MeterOut(BaseModel):
    """A meter."""

    id: int
    code: str
    name: str
    aggregation: Kind
    field: str | None
    filters: dict[str, list[str]]
    unit: str
    recurring: bool
    percentile: int | None
    created_at: datetime


class ServiceIn(Body):
    """A service that internal teams may record usage of."""

    name: Name


class ServiceOut(BaseModel):
    """An allowed service and its meter."""

    name: str
    meter: str
    created_at: datetime
