"""Bodies and answers of the coupon routes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, WithJsonSchema

from tallystick.invoicing.domain.coupons import Duration, Kind, Terms
from tallystick.invoicing.schemas import Out
from tallystick.invoicing.service.couponing import NewCoupon
from tallystick.platform.http.fields import (
    Body,
    Code,
    Currency,
    DecimalOut,
    Instant,
    Name,
    PutBody,
    bounded_decimal,
)
from tallystick.wallets.domain import Scope

_POSITIVE = WithJsonSchema(
    {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$"},
        ]
    }
)
Value = Annotated[Decimal, bounded_decimal(6, 15, zero=False), _POSITIVE]
Codes = Annotated[list[Code], Field(max_length=50)]
Meters = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=300)]], Field(max_length=50)
]
Limit = Annotated[int, Field(ge=1, le=10**12)]


class CouponIn(Body):
    """A new coupon. Its terms never change."""

    code: Code = Field(examples=["WELCOME10"])
    name: Name
    kind: Literal["fixed", "percent"]
    value: Value = Field(description="An amount in `currency`, or percent up to 100", examples=[10])
    currency: Currency | None = Field(
        None,
        description="Required for an amount. Only accounts that are billed in it can redeem the coupon; a percentage without one is for all",
    )
    duration: Literal["once", "repeating", "forever"] = Field(
        "once",
        description="Lowers the first invoice that it finds something on, as many as `periods` says, or all",
    )
    periods: int | None = Field(None, ge=1, le=1000, description="Of a repeating coupon: how many invoices")
    meters: Meters = Field(default=[], description="Codes of the meters whose lines it lowers; empty: all")
    plans: Codes = Field(
        default=[],
        description="Codes of the plans whose lines it lowers; empty: all. With meters too, both must match",
    )
    redeem_by: Instant | None = Field(None, description="From then on nobody can redeem it (account's time)")
    max_redemptions: Limit | None = Field(None, description="By all accounts together")
    per_account: int = Field(1, ge=1, le=1000, description="How often one account may redeem it")
    is_active: bool = True
    livemode: bool = Field(True, description="False: for accounts on test clocks")

    @property
    def asked(self) -> NewCoupon:
        """The wish as the command has it."""
        terms = Terms(
            Kind(self.kind), self.value, self.currency, Duration(self.duration), self.periods,
            Scope(tuple(self.meters), tuple(self.plans)),
        )  # fmt: skip
        return NewCoupon(
            self.code,
            self.name,
            terms,
            self.redeem_by,
            self.max_redemptions,
            self.per_account,
            self.is_active,
        )


class CouponPut(PutBody):
    """What may change of a coupon; accounts that have it keep it."""

    name: Name = ""
    is_active: bool = True
    redeem_by: Instant | None = None
    max_redemptions: Limit | None = None


class CouponOut(Out):
    """A coupon. `redemptions` counts how often it was redeemed, withdrawn ones too."""

    id: int
    code: str
    name: str
    kind: str
    value: DecimalOut
    currency: str | None
    duration: str
    periods: int | None
    meters: list[str]
    plans: list[str]
    redeem_by: datetime | None
    max_redemptions: int | None
    per_account: int
    is_active: bool
    livemode: bool
    redemptions: int
    revision: int
    created_at: datetime
    updated_at: datetime


class ApplyIn(Body):
    """Redeem a coupon for an account."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    account_id: str | None = Field(None, max_length=64, description="Default: the caller's own account")


class AppliedOut(Out):
    """A coupon that an account has. `uses_left` null: every invoice; `discounted` is what it took off so far."""

    id: UUID
    coupon_id: int
    code: str
    name: str
    kind: str
    value: DecimalOut
    currency: str
    duration: str
    uses_left: int | None
    status: str = Field(examples=["active", "used_up", "withdrawn"])
    discounted: DecimalOut
    applied_at: datetime
    withdrawn_at: datetime | None
