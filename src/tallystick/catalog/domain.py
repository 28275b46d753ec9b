"""The catalog as values, and what makes them acceptable.

Sources: CONTRACT §6 (fields, charge models), CONTRACT "Money" (decimals by currency). Prices of charges are read by
`rating.domain`, the same code that later rates them (decision 0006), so that no plan is accepted that cannot be billed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tallystick.kernel.errors import Conflict, Invalid, NotFound
from tallystick.kernel.money import exponent, quantize
from tallystick.kernel.period import Alignment, Cycle
from tallystick.kernel.proration import Basis
from tallystick.rating.domain import MODELS, Aggregation, Need, compile_price

MAX_CHARGES = 2000
MAX_GROUP_BY = 5
RECURRING = frozenset({Aggregation.COUNT, Aggregation.SUM, Aggregation.UNIQUE, Aggregation.WEIGHTED_SUM})
"""Aggregations whose state a period can hand on to the next."""
SERVICE_METER = "service:"
"""Prefix of the meters that belong to services; others may not use it."""

_FEATURE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_SIZE = re.compile(r"\d{1,15}(\.\d{1,6})?\s?([kKMGTPE]i?)?B", re.ASCII)
_PROPERTY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}", re.ASCII)


class PlanCodeTaken(Conflict):
    code, sentence = "plan_code_taken", "Another plan has this code"


class MeterCodeTaken(Conflict):
    code, sentence = "meter_code_taken", "Another meter has this code"


class ServiceExists(Conflict):
    code, sentence = "service_exists", "A service of this name is allowed already"


class NoSuchPlan(NotFound):
    code, sentence = "plan_not_found", "There is no plan with this id"


@dataclass(frozen=True, slots=True)
class Meter:
    """How events become a quantity. `field` names the property that is aggregated, None the event's quantity.

    `filters` keeps only events whose property has one of the values listed for it; all of them must match. `recurring`: what is
    there when a period ends is there when the next begins. `percentile` is the p of a percentile, 1 to 100.
    """

    id: int
    code: str
    name: str
    aggregation: Aggregation
    field: str | None
    filters: Mapping[str, tuple[str, ...]]
    unit: str
    created_at: datetime
    recurring: bool = False
    percentile: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """One price of a plan's version; `rule_version` is the version of the model's rule it was accepted under.

    `filters` keep only matching events, on top of the meter's; `group_by` names properties whose combinations of values are lines of
    their own, each priced by itself.
    """

    id: int
    plan_version_id: int
    position: int
    code: str
    name: str
    meter_id: int
    charge_model: str
    rule_version: int
    properties: Mapping[str, Any]
    adjustments: Mapping[str, Any]
    gl_code: str
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plan may choose beside its terms.

    `billing_day`: day of month of calendar periods (None: the 1st). `bill_last_day`: the day of cancellation is billed.
    `prorate_limits`: minimums and included units of short periods are prorated like fees. `prices_include_tax`: net = gross ÷ (1 + Σ
    rates); None: as the entity has it.
    """

    billing_day: int | None = None
    bill_last_day: bool = False
    prorate_limits: bool = True
    prices_include_tax: bool | None = None


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """The terms of a plan, frozen; what subscriptions refer to. `code` and `name` are the plan's as they are now."""

    id: int
    plan_id: int
    version: int
    code: str
    name: str
    price: Decimal
    currency: str
    billing_cycle: Cycle
    billing_timing: str
    alignment: Alignment
    trial_period_days: int
    proration: Basis
    features: Mapping[str, Any]
    minimum: Decimal | None
    settings: Mapping[str, Any]
    tax_category: str
    gl_code: str
    charges: tuple[Charge, ...]

    @property
    def in_advance(self) -> bool:
        """Whether the fee is billed when its period starts."""
        return self.billing_timing == "advance"

    @property
    def bills_usage(self) -> bool:
        """Whether something is billed only after its period: charges, or a minimum."""
        return bool(self.charges) or self.minimum is not None


@dataclass(frozen=True, slots=True)
class ChargeTerms:
    """A charge as asked for, before it is stored."""

    code: str
    name: str
    meter: str
    charge_model: str
    properties: Mapping[str, Any]
    adjustments: Mapping[str, Any]
    gl_code: str
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version consists of, as asked for. Two plans with equal terms need no new version."""

    price: Decimal
    currency: str
    billing_cycle: str = "monthly"
    billing_timing: str = "advance"
    alignment: str = "anniversary"
    trial_period_days: int = 0
    proration: str = "days"
    features: Mapping[str, Any] = field(default_factory=dict)
    minimum: Decimal | None = None
    settings: Settings = field(default_factory=Settings)
    tax_category: str = "standard"
    gl_code: str = "subscriptions"
    charges: tuple[ChargeTerms, ...] = ()


@dataclass(frozen=True, slots=True)
class ChargeView:
    """A charge as the API shows it."""

    id: int
    code: str
    name: str
    meter: str
    charge_model: str
    properties: Mapping[str, Any]
    adjustments: Mapping[str, Any]
    gl_code: str
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan as the API shows it: itself and the terms of one version."""

    id: int
    code: str
    name: str
    price: Decimal
    currency: str
    billing_cycle: str
    billing_timing: str
    alignment: str
    trial_period_days: int
    proration: str
    features: Mapping[str, Any]
    charges: tuple[ChargeView, ...]
    minimum: Decimal | None
    settings: Settings
    tax_category: str
    gl_code: str
    is_public: bool
    is_active: bool
    version: int
    revision: int
    created_at: datetime
    updated_at: datetime


def terms_of(view: PlanView) -> Terms:
    """The terms a plan has now, to change some of them."""
    return Terms(
        view.price, view.currency, view.billing_cycle, view.billing_timing, view.alignment, view.trial_period_days,
        view.proration, view.features, view.minimum, view.settings, view.tax_category, view.gl_code,
        tuple(
            ChargeTerms(
                c.code, c.name, c.meter, c.charge_model, c.properties, c.adjustments, c.gl_code, c.filters, c.group_by
            )
            for c in view.charges
        ),
    )  # fmt: skip


def check_terms(terms: Terms) -> Terms:
    """The terms with amounts in their currency's decimals. Raises `Invalid` naming every field that is wrong."""
    problems: dict[str, str] = {}
    amounts: dict[str, Decimal | None] = {"price": terms.price, "minimum": terms.minimum}
    for name, amount in amounts.items():
        try:
            amounts[name] = None if amount is None else quantize(amount, terms.currency)
        except Invalid:
            problems[name] = f"has more than the {exponent(terms.currency)} decimals of {terms.currency}"
    problems |= _setting_problems(terms) | feature_problems(terms.features) | _charge_problems(terms)
    if problems:
        raise Invalid(details=problems)
    price = amounts["price"]
    assert price is not None
    return Terms(
        price, terms.currency, terms.billing_cycle, terms.billing_timing, terms.alignment, terms.trial_period_days,
        terms.proration, terms.features, amounts["minimum"], terms.settings, terms.tax_category, terms.gl_code, terms.charges,
    )  # fmt: skip


def _setting_problems(terms: Terms) -> dict[str, str]:
    day = terms.settings.billing_day
    if day is None or (terms.alignment == "calendar" and terms.billing_cycle != "weekly"):
        return {}
    return {"settings.billing_day": "applies only to calendar periods of months"}


def _charge_problems(terms: Terms) -> dict[str, str]:
    problems: dict[str, str] = {}
    if len(terms.charges) > MAX_CHARGES:
        return {"charges": f"must have at most {MAX_CHARGES} entries"}
    seen: set[str] = set()
    for index, charge in enumerate(terms.charges):
        if charge.code in seen:
            problems[f"charges[{index}].code"] = "another charge of this plan has this code"
        seen.add(charge.code)
        try:
            compile_price(
                charge.charge_model, charge.properties, charge.adjustments, currency=terms.currency, at=f"charges[{index}]."
            )  # fmt: skip
        except Invalid as refused:
            problems |= refused.details
        problems |= _selection_problems(charge, f"charges[{index}].")
    return problems


def _selection_problems(charge: ChargeTerms, at: str) -> dict[str, str]:
    problems: dict[str, str] = {}
    if any(not _PROPERTY.fullmatch(name) for name in charge.filters):
        problems[f"{at}filters"] = "names must be letters, digits and _.-, at most 100 of them"
    elif any(not values for values in charge.filters.values()):
        problems[f"{at}filters"] = "each property needs at least one value"
    if any(not _PROPERTY.fullmatch(name) for name in charge.group_by):
        problems[f"{at}group_by"] = "names must be letters, digits and _.-, at most 100 of them"
    elif len(set(charge.group_by)) != len(charge.group_by) or len(charge.group_by) > MAX_GROUP_BY:
        problems[f"{at}group_by"] = f"takes at most {MAX_GROUP_BY} properties, each once"
    return problems


def meter_problems(terms: Terms, meters: Mapping[str, Meter]) -> dict[str, str]:
    """Charges whose model cannot price what their meter counts: a price of each event needs events that are counted or added up."""
    problems: dict[str, str] = {}
    for index, charge in enumerate(terms.charges):
        needs = compile_price(charge.charge_model, charge.properties, charge.adjustments).needs
        meter, path = meters[charge.meter], f"charges[{index}].charge_model"
        if needs in (Need.COUNT, Need.VALUES, Need.PRICED):
            if meter.recurring:
                problems[path] = "prices each event, which a recurring meter does not have; use another model"
            elif needs is Need.PRICED and meter.aggregation is not Aggregation.SUM:
                problems[path] = "needs a meter that adds up (sum)"
            elif meter.aggregation not in (Aggregation.SUM, Aggregation.COUNT):
                problems[path] = "prices each event; it needs a meter that counts or adds up (count or sum)"
    return problems


def rule_version(charge_model: str) -> int:
    """The version of the model's rule that new charges are accepted under."""
    return MODELS[charge_model].current


def feature_problems(features: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with a plan's features: `{"api_calls": {"limit": 1000}, "storage": {"limit": "1GB", "overage": "charge"}}`.

    A limit is a whole number, a size, or null for no limit. Names that are not plain words are not repeated.
    """
    problems: dict[str, str] = {}
    for name, feature in features.items():
        if not _FEATURE.fullmatch(name):
            problems["features"] = "names must be letters, digits and _.-, at most 64 of them"
        elif not isinstance(feature, Mapping) or "limit" not in feature:
            problems[f"features.{name}"] = 'must be an object with a limit, such as {"limit": 1000}'
        elif feature.keys() - {"limit", "overage"}:
            problems[f"features.{name}"] = "takes limit and overage only"
        elif not is_limit(feature["limit"]):
            problems[f"features.{name}.limit"] = "must be a whole number, a size such as 1GB, or null"
        elif feature.get("overage", "block") not in ("block", "charge"):
            problems[f"features.{name}.overage"] = "must be block or charge"
    return problems


def is_limit(limit: object) -> bool:
    """Whether a feature can have this limit."""
    if limit is None:
        return True
    if isinstance(limit, str):
        return _SIZE.fullmatch(limit) is not None
    return isinstance(limit, int) and not isinstance(limit, bool) and 0 <= limit < 10**15


def check_meter(
    code: str,
    aggregation: str,
    field: str | None,
    filters: Mapping[str, Sequence[str]],
    *,
    recurring: bool = False,
    percentile: int | None = None,
) -> None:
    """Raises `Invalid` naming every field of a new meter that is wrong."""
    problems: dict[str, str] = {}
    if code.startswith(SERVICE_METER):
        problems["code"] = f"must not begin with {SERVICE_METER}, which is kept for services"
    if aggregation == Aggregation.UNIQUE and field is None:
        problems["field"] = "is required for unique: the property whose values are counted"
    if aggregation == Aggregation.COUNT and field is not None:
        problems["field"] = "has no meaning for count"
    if recurring and aggregation not in RECURRING:
        problems["recurring"] = f"applies only to {', '.join(sorted(RECURRING))}"
    if aggregation == Aggregation.PERCENTILE and percentile is None:
        problems["percentile"] = "is required for percentile: a whole number from 1 to 100"
    if aggregation != Aggregation.PERCENTILE and percentile is not None:
        problems["percentile"] = "applies only to the aggregation percentile"
    if field is not None and not _PROPERTY.fullmatch(field):
        problems["field"] = "must be letters, digits and _.-, at most 100 of them"
    if any(not _PROPERTY.fullmatch(name) for name in filters):
        problems["filters"] = "names must be letters, digits and _.-, at most 100 of them"
    if problems:
        raise Invalid(details=problems)
