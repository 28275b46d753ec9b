"""What the diff of a backfill shows over HTTP."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tallystick.platform.http.fields import DecimalOut


class DiffLineOut(BaseModel):
    """One price of one period, before and after; amounts are before coupons, credits and tax."""

    model_config = ConfigDict(from_attributes=True)

    account_id: str
    subscription_id: UUID | None
    meter: str | None = Field(description="null for a top-up to a minimum")
    description: str
    unit: str
    period_start: datetime
    period_end: datetime
    currency: str
    outcome: Literal["correction_line", "credit_note", "open_period"] = Field(
        description="What the difference becomes with the account's next bill as it stands; an open period is just counted so"
    )
    quantity_before: DecimalOut
    quantity_after: DecimalOut
    quantity_difference: DecimalOut
    amount_before: DecimalOut
    amount_after: DecimalOut
    amount_difference: DecimalOut


class ProblemOut(BaseModel):
    """An account whose next bill could not be made after the commit: it would wait for someone."""

    account_id: str
    code: str
    reason: str


class DiffOut(BaseModel):
    """What a commit would do now. Send `digest` with the commit, and it does exactly this or nothing."""

    model_config = ConfigDict(from_attributes=True)

    backfill_id: UUID
    digest: str
    added: int
    kept: int = Field(description="Staged, and on disk already")
    replaced: int
    accounts: int
    totals: dict[str, DecimalOut] = Field(description="By currency")
    lines: list[DiffLineOut]
    lines_left_off: int
    problems: list[ProblemOut]
