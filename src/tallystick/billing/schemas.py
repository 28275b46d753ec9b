"""What billing takes and shows over HTTP."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tallystick.platform.http.fields import Body, DecimalOut, Instant, Name


class RangeIn(Body):
    """An invoice for what is unbilled in `[period_start, period_end)`."""

    account_id: Name
    period_start: Instant
    period_end: Instant


class PreviewIn(Body):
    """The account's next invoice, or with both instants the one a range would give."""

    account_id: Name
    period_start: Instant | None = None
    period_end: Instant | None = None


class RunIn(Body):
    """A billing run. `as_of` defaults to now; `account_id` bills one account and takes it out of parking."""

    as_of: Instant | None = None
    account_id: Name | None = None


class AdvanceIn(Body):
    """Where a test clock is to go."""

    to: Instant


class PeriodsIn(Body):
    """A schedule whose periods are to be shown."""

    anchor: Instant
    cycle: Literal["weekly", "monthly", "quarterly", "semiannual", "yearly"]
    alignment: Literal["anniversary", "calendar"] = "anniversary"
    timezone: Name = "UTC"
    billing_day: int | None = Field(default=None, ge=1, le=31)
    start: Instant | None = None
    end: Instant | None = None
    count: int = Field(default=12, ge=1, le=200)
    basis: Literal["days", "seconds", "thirty_360", "none"] = "days"


class Shown(BaseModel):
    """Base of answers: documented from what the queries return."""

    model_config = ConfigDict(from_attributes=True)


class RunOut(Shown):
    id: str
    status: Literal["pending", "running", "done", "failed"]
    phase: str
    as_of: datetime
    account_id: str | None
    accounts_due: int
    accounts_done: int
    invoices: int
    parked: int
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    parked_accounts: list[dict[str, str]]


class LineOut(Shown):
    kind: str
    description: str
    quantity: DecimalOut
    unit: str
    amount: DecimalOut
    exact_amount: DecimalOut
    period_start: datetime
    period_end: datetime
    rule: str
    taxes: list[dict[str, Any]]


class DraftOut(Shown):
    currency: str
    period_start: datetime
    period_end: datetime
    subtotal: DecimalOut
    tax: DecimalOut
    total: DecimalOut
    credit_applied: DecimalOut
    wallet_applied: DecimalOut
    amount_due: DecimalOut
    lines: list[LineOut]
    taxes: list[dict[str, Any]]
    wallet_draws: list[dict[str, Any]]


class PreviewOut(Shown):
    account_id: str
    due_at: datetime | None
    invoices: list[DraftOut]
    credit_notes: list[LineOut]


class ExplanationOut(Shown):
    invoice_id: str
    number: str | None
    currency: str
    subtotal: DecimalOut
    tax: DecimalOut
    total: DecimalOut
    lines: list[dict[str, Any]]
    text: list[str]


class UsageOut(Shown):
    account_id: str
    currency: str
    subtotal: DecimalOut
    periods: list[dict[str, Any]]


class ClockOut(Shown):
    """`accounts_due` of its `accounts` still owe a bill before `target`; `parked_accounts` could not be billed and stand aside."""

    id: str
    entity_id: int
    name: str
    frozen_time: datetime
    status: Literal["ready", "advancing", "failed"]
    target: datetime | None
    error: str | None
    created_at: datetime
    updated_at: datetime
    accounts: int
    accounts_due: int
    parked: int
    parked_accounts: list[dict[str, str]]


class EventOut(Shown):
    id: str
    source: str
    account_id: str
    meter: str
    occurred_at: datetime
    quantity: DecimalOut
    unit_price: DecimalOut | None
    properties: dict[str, Any]
    received_at: datetime
    state: Literal["pending", "billed", "void", "free", "unpriced", "late", "corrected"]
    reason: str
    invoice_id: str | None
    invoice_number: str | None
    line: int | None
    credit_note: str | None
    due_at: datetime | None
    amends: str | None = Field(description="The id it stands for, which is void")
    amended_by: str | None = Field(description="The id that stands for it")
    reinstates: str | None = Field(description="The id it brought back when a backfill was reverted")
    reinstated_by: str | None = Field(description="The id that brought it back")
    backfill_id: UUID | None = Field(description="The backfill whose commit or revert wrote it")
    voided_by_backfill_id: UUID | None = Field(description="The backfill whose commit or revert voided it")


class PeriodOut(Shown):
    index: int
    start: datetime
    end: datetime
    whole_start: datetime
    whole_end: datetime
    used: int
    whole: int
    fraction: str
    closes_at: datetime
