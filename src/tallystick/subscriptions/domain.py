"""A subscription's schedule and what is due on it when.

Two cursors run along the schedule: `billed_to` for fees and `usage_billed_to` for what is billed after its period. Fees in advance
are due when a period starts, all else when it ends, each plus the entity's close delay (SEMANTICS "Periods").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts.domain import ZoneChange, rezoned
from tallystick.catalog.domain import PlanVersion
from tallystick.kernel.errors import Conflict, Invalid
from tallystick.kernel.period import Period, Schedule, close_instant, next_boundary, period_at, trial_end


class AlreadyEnded(Conflict):
    code, sentence = "subscription_ended", "The subscription has ended already"


class AlreadyBilled(Conflict):
    code = "already_billed"
    sentence = "Usage is billed beyond that time; choose a later end"


class BeforeStart(Invalid):
    code = "before_start"


@dataclass(frozen=True, slots=True)
class Delays:
    """How long after its boundary a period is billed; settings of the entity."""

    fees: timedelta
    usage: timedelta


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account on a plan's version.

    `timezone` and `zone_changes_seen` say in which zone its schedule began and how many of the account's zone changes were made
    before. `started_at` opens service; a plan's trial runs to `trial_end`, and `anchor` is where paid periods count from.
    `ended_at` may lie ahead: the end is then scheduled. `current_period_*` is the open period as billing last left it.
    """

    id: UUID
    account_no: int
    entity_id: int
    plan_version_id: int
    quantity: Decimal
    currency: str
    status: str
    started_at: datetime
    trial_end: datetime | None
    anchor: datetime
    timezone: str
    zone_changes_seen: int
    ended_at: datetime | None
    canceled_at: datetime | None
    billed_to: datetime
    usage_billed_to: datetime
    current_period_start: datetime
    current_period_end: datetime
    next_billing_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a subscription is after billing: one row of `repository.advance`."""

    id: UUID
    billed_to: datetime
    usage_billed_to: datetime
    current_period_start: datetime
    current_period_end: datetime
    next_billing_at: datetime | None
    status: str


@dataclass(frozen=True, slots=True)
class PlanBrief:
    """The plan beside a subscription."""

    id: int
    name: str
    features: Any
    version: int


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """A subscription as the API shows it, at its account's present."""

    id: UUID
    account_id: str
    user_id: int | None
    plan_id: int
    status: str
    quantity: Decimal
    start_date: datetime
    trial_end: datetime | None
    end_date: datetime | None
    canceled_at: datetime | None
    current_period_start: datetime
    current_period_end: datetime
    next_billing_at: datetime | None
    currency: str
    plan: PlanBrief
    revision: int
    created_at: datetime
    updated_at: datetime


def schedule_of(subscription: Subscription, plan: PlanVersion, zones: Sequence[ZoneChange]) -> Schedule:
    """The subscription's boundaries. `zones` is the account's whole history (`Account.zones`)."""
    begun = schedule_from(subscription.anchor, subscription.timezone, plan)
    return rezoned(begun, zones[subscription.zone_changes_seen :])


def schedule_from(anchor: datetime, timezone: str, plan: PlanVersion) -> Schedule:
    """The boundaries of a plan from an anchor."""
    return Schedule(anchor, plan.cycle, plan.alignment, timezone, plan.settings.billing_day)


def trial_ends(start: datetime, plan: PlanVersion, timezone: str) -> datetime | None:
    """Where the plan's own trial ends, None where it has none."""
    return trial_end(start, plan.trial_period_days, timezone) if plan.trial_period_days else None


def open_period(
    schedule: Schedule,
    started_at: datetime,
    trial_end: datetime | None,
    at: datetime,
    ended_at: datetime | None,
) -> Period:
    """The service period at `at`: the trial, or the part of the aligned period that is served. Before the start it is the first."""
    at = max(at, started_at)
    if ended_at is not None and at >= ended_at > started_at:
        at = max(started_at, ended_at - timedelta(microseconds=1))
    if trial_end is not None and at < trial_end:
        return Period(started_at, trial_end)
    whole = period_at(schedule, at).period
    return Period(max(whole.start, started_at if trial_end is None else trial_end), whole.end)


def next_billing(
    schedule: Schedule,
    plan: PlanVersion,
    delays: Delays,
    *,
    billed_to: datetime,
    usage_billed_to: datetime,
    ended_at: datetime | None,
) -> datetime | None:
    """When something is due next, None when the subscription has ended and all of it is billed. May lie in the past."""
    due = []
    if ended_at is None or billed_to < ended_at:
        boundary = billed_to if plan.in_advance else _closes(schedule, billed_to, ended_at)
        due.append(close_instant(boundary, delays.fees))
    if plan.bills_usage and (ended_at is None or usage_billed_to < ended_at):
        due.append(close_instant(_closes(schedule, usage_billed_to, ended_at), delays.usage))
    return min(due, default=None)


def _closes(schedule: Schedule, cursor: datetime, ended_at: datetime | None) -> datetime:
    boundary = next_boundary(schedule, cursor)
    return boundary if ended_at is None else min(boundary, ended_at)


def advanced(
    subscription: Subscription,
    plan: PlanVersion,
    schedule: Schedule,
    delays: Delays,
    *,
    billed_to: datetime,
    usage_billed_to: datetime,
    now: datetime,
) -> Advance:
    """The subscription after its fees are billed to `billed_to` and its usage to `usage_billed_to`, at business time `now`."""
    ended_at = subscription.ended_at
    current = open_period(schedule, subscription.started_at, subscription.trial_end, now, ended_at)
    due = next_billing(
        schedule, plan, delays, billed_to=billed_to, usage_billed_to=usage_billed_to, ended_at=ended_at
    )
    return Advance(
        subscription.id, billed_to, usage_billed_to, current.start, current.end, due, status_at(ended_at, now)
    )


def status_at(ended_at: datetime | None, now: datetime) -> str:
    """`active` until the end has come."""
    return "canceled" if ended_at is not None and ended_at <= now else "active"
