"""The account: who is billed, in which currency, by which calendar.

Source of the zone rule: SEMANTICS "Periods" (a new account zone applies from the next boundary). Zone changes are kept with the
instant they were made, so that every schedule of the account follows from them and nothing has to be rewritten when one is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.kernel.errors import Conflict, Invalid
from tallystick.kernel.period import Alignment, Cycle, Schedule, next_boundary, rezone
from tallystick.kernel.zones import local_date, local_midnight, zone


class TaxIdRequired(Invalid):
    code = "tax_id_required"
    sentence = (
        "The tax is shifted only to a customer whose tax id is known; give the account its tax_id first"
    )


class EmailTaken(Conflict):
    code, sentence = "email_taken", "Another open account has this e-mail"


class ExternalIdTaken(Conflict):
    code, sentence = "external_id_taken", "Another open account has this external_id"


class UnknownClock(Invalid):
    code, sentence = "unknown_test_clock", "There is no test clock with this id"


class ClockBusy(Conflict):
    code, sentence = "clock_busy", "The test clock is being advanced; try again when its status is ready"


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """From business instant `at` on the account lives in `timezone`; schedules follow at their next boundary."""

    at: datetime
    timezone: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account as other contexts see it: no personal data. `zones[0]` is the zone it was opened in, the last one is `timezone`.

    `usage_from`, `usage_billed_to` and `next_usage_billing_at` concern usage without a subscription, which is billed by calendar
    month; `next_billing_at` is when anything at all is due. `no` is for joins and locks inside the house; `id` is what the outside knows.
    """

    no: int
    id: str
    entity_id: int
    external_id: str | None
    currency: str
    timezone: str
    zones: tuple[ZoneChange, ...]
    locale: str | None
    country: str | None
    status: str
    livemode: bool
    test_clock_id: UUID | None
    usage_from: datetime
    usage_billed_to: datetime
    next_usage_billing_at: datetime | None
    next_billing_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    revision: int

    @property
    def is_open(self) -> bool:
        """False once closed: nothing new may happen on it, its documents stay."""
        return self.status == "open"

    def with_usage_billed_to(self, at: datetime) -> "Account":
        """The account after its usage without a subscription is billed to `at`."""
        return replace(self, usage_billed_to=at)


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as the API shows it. The personal fields of a closed one are gone."""

    id: str
    name: str | None
    email: str | None
    phone: str | None
    address: Any
    currency: str
    timezone: str
    locale: str | None
    tax_id: str | None
    country: str | None
    external_id: str | None
    metadata: dict[str, Any]
    status: str
    livemode: bool
    test_clock_id: UUID | None
    opened_at: datetime
    closed_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What opening an account takes. `id` comes from the edge (`new_id("acc")`).

    `currency` None is the entity's; `timezone` None is derived from phone and country. `usage_from` None is the start of the
    month of opening; a backfill of older usage names an earlier instant.
    """

    id: str
    name: str
    email: str | None = None
    phone: str | None = None
    address: Any = None
    currency: str | None = None
    timezone: str | None = None
    locale: str | None = None
    tax_id: str | None = None
    country: str | None = None
    external_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    test_clock_id: UUID | None = None
    usage_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """A test clock. While `status` is `advancing`, `target` is where it is going; `failed` keeps the reason in `error`."""

    id: UUID
    entity_id: int
    name: str
    frozen_time: datetime
    status: str
    target: datetime | None
    error: str | None
    created_at: datetime
    updated_at: datetime


def email_key(email: str | None) -> str | None:
    """What makes an address unique: its lower case."""
    return None if email is None else email.lower()


def month_start(instant: datetime, timezone: str) -> datetime:
    """The instant the local calendar month of `instant` begins."""
    tz = zone(timezone)
    return local_midnight(local_date(instant, tz).replace(day=1), tz)


def rezoned(schedule: Schedule, changes: Sequence[ZoneChange]) -> Schedule:
    """`schedule` after the account's zone changes, each from the first boundary after it was made."""
    for change in changes:
        schedule = rezone(schedule, next_boundary(schedule, change.at), change.timezone)
    return schedule


def usage_schedule(account: Account) -> Schedule:
    """The calendar months by which usage without a subscription is billed."""
    months = Schedule(account.usage_from, Cycle.MONTHLY, Alignment.CALENDAR, account.zones[0].timezone)
    return rezoned(months, account.zones[1:])
