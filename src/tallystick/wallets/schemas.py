"""Bodies and answers of the wallet routes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from tallystick.platform.http.fields import (
    Body,
    Code,
    Currency,
    DecimalOut,
    Instant,
    Name,
    PutBody,
    Text,
    bounded_decimal,
)
from tallystick.wallets.domain import PLACES, Kind

_POSITIVE = WithJsonSchema(
    {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$"},
        ]
    }
)
Positive = Annotated[Decimal, bounded_decimal(PLACES, 15, zero=False), _POSITIVE]
"""An amount above zero with up to 6 decimals; the command checks it against the currency where whole coins are needed."""

Priority = Annotated[int, Field(ge=0, le=1000, description="A lower number is used sooner")]
Codes = Annotated[list[Code], Field(max_length=50)]
_METERS = "Codes of the meters whose lines it pays; empty: all"
_PLANS = "Codes of the plans whose lines it pays; empty: all. With meters too, both must match"


class Out(BaseModel):
    """Base of described answers; a test compares them with what is sent."""

    model_config = ConfigDict(extra="forbid")


class WalletIn(Body):
    """A new, empty wallet."""

    account_id: str = Field(max_length=64)
    name: Name
    currency: Currency | None = Field(None, description="Default: the account's. It never changes")
    priority: Priority = 50
    meters: Codes = Field(default=[], description=_METERS)
    plans: Codes = Field(default=[], description=_PLANS)
    expires_at: Instant | None = Field(
        None, description="From then on nothing is drawn and nothing topped up (account's time)"
    )


class WalletPut(PutBody):
    """What may change of a wallet. `status` may become `terminated`; that is for ever."""

    name: Name = ""
    priority: Priority = 50
    expires_at: Instant | None = None
    status: Literal["active", "terminated", "expired"] = "active"


class WalletOut(Out):
    """A wallet at its account's present, `as_of`. `balance` = `paid_balance` + `granted_balance` is all that is in it; `available` is
    what is neither held nor past its end."""

    id: UUID
    account_id: str
    currency: str
    name: str
    priority: int
    status: str = Field(examples=["active", "expired", "terminated"])
    meters: list[str]
    plans: list[str]
    expires_at: datetime | None
    opened_at: datetime
    terminated_at: datetime | None
    balance: DecimalOut
    paid_balance: DecimalOut
    granted_balance: DecimalOut
    held: DecimalOut
    available: DecimalOut
    as_of: datetime
    revision: int
    created_at: datetime
    updated_at: datetime


class TopUpIn(Body):
    """Money taken by hand, outside any gateway (`paid`), or credit that is given (`granted`).

    Paid money pays invoices with their tax; granted credit lowers lines before tax. What is left out is the wallet's.
    """

    kind: Kind = Field(strict=False)
    amount: Positive
    price: Positive | None = Field(
        None,
        description="What was paid for it; at most, and by default, the amount. The rest is a promotion",
    )
    currency: Currency | None = Field(None, description="The wallet's, or left out")
    priority: Priority | None = None
    expires_at: Instant | None = Field(None, description="It ends then, or with its wallet if that is sooner")
    meters: Codes | None = Field(None, description=_METERS)
    plans: Codes | None = Field(None, description=_PLANS)
    description: Text = ""


class TopUpOut(Out):
    """A top-up and what remains of it; priority, scope and expiry as they count."""

    id: UUID
    wallet_id: UUID
    kind: Kind
    description: str
    currency: str
    amount: DecimalOut
    price: DecimalOut
    remaining: DecimalOut
    held: DecimalOut
    priority: int
    meters: list[str]
    plans: list[str]
    expires_at: datetime | None
    granted_at: datetime
    created_at: datetime


class PaidLineOut(Out):
    """A line of an invoice, and what of it was paid or given back."""

    position: int
    amount: DecimalOut


class TransactionOut(Out):
    """Something that happened to a top-up (`grant_id`). `amount` changed what remains of it, to `remaining`; `held` changed what is
    reserved. `draw`, `give_back` and `take_back` name the invoice and its lines, `hold`, `release` and `capture` their hold."""

    id: int
    wallet_id: UUID
    grant_id: UUID
    grant_kind: Kind
    kind: str = Field(
        examples=[
            "top_up",
            "draw",
            "give_back",
            "take_back",
            "expiry",
            "forfeit",
            "hold",
            "release",
            "capture",
        ]
    )
    amount: DecimalOut
    held: DecimalOut
    remaining: DecimalOut
    invoice_id: UUID | None
    lines: list[PaidLineOut]
    hold_id: UUID | None
    occurred_at: datetime
    created_at: datetime


class HoldIn(Body):
    """A part of the balance to reserve."""

    amount: Positive
    expires_at: Instant | None = Field(None, description="Default: in 24 hours; 31 days at most")
    meter: Code | None = Field(
        None, description="What it is for: top-ups limited to other meters are left alone"
    )
    plan: Code | None = Field(None, description="As `meter`, of plans")
    description: Text = ""


class CaptureIn(Body):
    """How much of a hold is used."""

    amount: Positive | None = Field(
        None, description="Default: all of it. What is not captured is let go at once"
    )
    gl_code: Code | None = Field(
        None, description="The revenue account it is earned under; default `prepaid`"
    )


class HoldOut(Out):
    """A hold. `captured` is what was used of it."""

    id: UUID
    wallet_id: UUID
    amount: DecimalOut
    captured: DecimalOut
    status: str = Field(examples=["active", "captured", "released", "expired"])
    description: str
    held_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime


class DrawOut(Out):
    """What one top-up pays of one line: `granted` before tax, `paid` after it."""

    wallet_id: UUID
    wallet: str
    grant_id: UUID
    kind: Kind
    line: int
    amount: DecimalOut
