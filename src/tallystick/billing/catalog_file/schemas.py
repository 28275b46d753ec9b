"""Bodies and answers of the catalog file's routes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from tallystick.platform.http.fields import Body, DecimalOut

EXAMPLE = "plans:\n  team: {name: Team, price: 29, currency: USD}\n"


class CatalogFileIn(Body):
    """A catalog file."""

    file: Annotated[str, StringConstraints(min_length=1, max_length=500_000)] = Field(
        description="YAML; larger ones go through `tallystick catalog apply`", examples=[EXAMPLE]
    )
    prune: bool = Field(False, description="Retire plans and taxes that the file does not name")


class CatalogApplyIn(CatalogFileIn):
    """A catalog file to be applied."""

    token: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None,
        description="Of the difference that was agreed to; 409 `catalog_changed` where it is another one now",
    )


class FieldChangeOut(BaseModel):
    """One field, old and new; null where one side lacks it."""

    path: str = Field(examples=["charges.calls.properties.tiers[0].unit_amount"])
    old: Any
    new: Any


class RevenueOut(BaseModel):
    """By currency: what changes a month now, and if all subscriptions were moved to the new versions."""

    now: dict[str, DecimalOut]
    if_moved: dict[str, DecimalOut] = Field(examples=[{"USD": Decimal("120.00")}])


class FeeOut(BaseModel):
    """A plan's fee by the month."""

    amount: DecimalOut
    currency: str


class ChangeOut(BaseModel):
    """What happens to one thing. The fields from `version` on are those of plans."""

    kind: Literal["tax", "meter", "service", "plan", "coupon"]
    code: str
    action: Literal["add", "change", "retire", "left_alone"]
    fields: list[FieldChangeOut]
    version: int | None = None
    new_version: int | None = None
    subscriptions: int | None = None
    accounts: int | None = None
    subscriptions_in_tests: int | None = None
    account_ids: list[str] = Field(default_factory=list)
    monthly_revenue: RevenueOut | None = None
    monthly_fee: FeeOut | None = None


class DifferenceOut(BaseModel):
    """What applying the file changes."""

    summary: dict[str, int] = Field(examples=[{"add": 1, "change": 2, "retire": 0, "left_alone": 3}])
    changes: list[ChangeOut]
    monthly_revenue: RevenueOut
    token: str


class AppliedOut(DifferenceOut):
    """What was applied, and the catalog's version now; null where there was nothing to change."""

    version: int | None


class CatalogFileOut(BaseModel):
    """The catalog as a file."""

    file: str


class VersionOut(BaseModel):
    """One application of a file, or a rollback."""

    number: int
    kind: Literal["apply", "rollback"]
    rolled_back_to: int | None
    principal: str
    name: str
    digest: str
    prune: bool
    summary: dict[str, int]
    created_at: datetime
