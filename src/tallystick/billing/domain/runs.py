"""A billing run as it is shown."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.kernel.errors import NotFound


class RunNotFound(NotFound):
    code = "billing_run_not_found"
    sentence = "There is no such billing run"


@dataclass(frozen=True, slots=True)
class Parked:
    """An account a run could not bill, and why; bill it by name when the reason is mended."""

    account_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run and how far it is. `accounts_due` is what was due when it began."""

    id: UUID
    status: str
    phase: str
    as_of: datetime
    account_no: int | None
    account_id: str | None
    accounts_due: int
    accounts_done: int
    invoices: int
    parked: int
    request_id: str
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    parked_accounts: tuple[Parked, ...] = ()


@dataclass(frozen=True, slots=True)
class ClockProgress:
    """Accounts on a test clock: all, those with a bill due until the target, those that stand aside (100 of them named)."""

    accounts: int
    accounts_due: int
    parked: int
    parked_accounts: tuple[Parked, ...] = ()


@dataclass(frozen=True, slots=True)
class MonthTotal:
    """What was invoiced in one month (by issue date, `2026-01`) in one currency."""

    month: str
    currency: str
    invoices: int
    net: Decimal
    tax: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Invoiced:
    """What one account was invoiced for in one currency, void invoices apart."""

    external_id: str
    currency: str
    invoices: int
    total: Decimal
