"""Answers of the ledger routes."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from tallystick.platform.http.fields import DecimalOut


class Out(BaseModel):
    """Base of described answers; a test compares them with what is sent."""

    model_config = ConfigDict(extra="forbid")


class LedgerAccountOut(Out):
    """A ledger account and its balance now, debit positive. `account_id` is null for the entity's own accounts."""

    id: int
    entity_id: int
    account: str
    gl_code: str
    account_id: str | None
    currency: str
    version: int | None
    balance: DecimalOut


class EntryOut(Out):
    """One side of a posting, debit positive. On customer accounts `balance` is what stood there after it."""

    posting_id: int
    position: int
    key: str
    kind: str
    entity_id: int
    occurred_at: datetime
    source_type: str
    source_id: str
    ledger_account_id: int
    account: str
    gl_code: str
    account_id: str | None
    currency: str
    amount: DecimalOut
    version: int | None
    balance: DecimalOut | None
    period_start: datetime | None
    period_end: datetime | None
    created_at: datetime


class TrialLineOut(Out):
    """What stands on both sides of one account of the books."""

    account: str
    gl_code: str
    debit: DecimalOut
    credit: DecimalOut


class TrialBalanceOut(Out):
    """The books of one entity in one currency: `difference` is always 0."""

    entity_id: int
    currency: str
    debit: DecimalOut
    credit: DecimalOut
    difference: DecimalOut
    accounts: list[TrialLineOut]
