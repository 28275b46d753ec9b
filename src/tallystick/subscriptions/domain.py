"""A subscription: its schedule, what it has been billed for, what is due next.

Two cursors run along the schedule, `billed_to` for fees and `usage_billed_to` for usage; `kernel.period.next_due` says what comes next.
Its state follows from its dates.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts.domain import ZoneChange, rezoned
from tallystick.catalog.domain import PlanVersion
from tallystick.entities.domain import Entity
from tallystick.kernel.errors import Conflict, Invalid
from tallystick.kernel.period import Coverage, Period, Schedule, Terms, next_due, period_at


class AlreadyEnded(Conflict):
    code, sentence = "subscription_ended", "The subscription has ended already"


class AlreadyBilled(Conflict):
    code = "already_billed"
    sentence = "Usage is billed beyond that time; choose a later end"


class BeforeStart(Invalid):
    code = "before_start"


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account on a plan's version.

    `timezone` is the zone its schedule began in, `zone_changes` are those its account made since (`zone_changes_seen` came before).
    `started_at` opens service; a plan's trial runs to `trial_end`, and `anchor` is where paid periods count from (without a trial
    the same as `started_at`). `ended_at` may lie ahead: the end is then scheduled, and `canceled_at` is when that was asked.
    """

    id: UUID
    account_no: int
    entity_id: int
    plan_version_id: int
    quantity: Decimal
    currency: str
    started_at: datetime
    trial_end: datetime | None
    anchor: datetime
    timezone: str
    zone_changes_seen: int
    ended_at: datetime | None
    canceled_at: datetime | None
    billed_to: datetime
    usage_billed_to: datetime
    next_billing_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime
    zone_changes: tuple[ZoneChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a subscription is after billing: one row of `repository.advance`."""

    id: UUID
    billed_to: datetime
    usage_billed_to: datetime
    next_billing_at: datetime | None


@dataclass(frozen=True, slots=True)
class PlanBrief:
    """The plan beside a subscription."""

    id: int
    code: str
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


def schedule_of(subscription: Subscription, plan: PlanVersion) -> Schedule:
    """The subscription's boundaries, zone changes of its account included."""
    begun = schedule_from(subscription.anchor, subscription.timezone, plan)
    return rezoned(begun, subscription.zone_changes)


def schedule_from(anchor: datetime, timezone: str, plan: PlanVersion) -> Schedule:
    """The boundaries of a plan from an anchor."""
    return Schedule(anchor, plan.billing_cycle, plan.alignment, timezone, plan.settings.get("billing_day"))


def terms_of(plan: PlanVersion, entity: Entity) -> Terms:
    """A plan's timing with its entity's close delays."""
    return Terms(
        advance=plan.in_advance,
        has_usage=plan.bills_usage,
        fee_delay=timedelta(seconds=entity.fee_close_delay_seconds),
        usage_delay=timedelta(seconds=entity.usage_close_delay_seconds),
    )


def coverage_of(subscription: Subscription) -> Coverage:
    """What the subscription has been billed for; paid service begins at the anchor, after the plan's trial."""
    return Coverage(
        subscription.anchor, subscription.ended_at, subscription.billed_to, subscription.usage_billed_to
    )


def due_at(subscription: Subscription, plan: PlanVersion, entity: Entity) -> datetime | None:
    """When the next bill is due, None when the subscription has ended and all of it is billed. May lie in the past."""
    due = next_due(schedule_of(subscription, plan), coverage_of(subscription), terms_of(plan, entity))
    return None if due is None else due.instant


def status_at(subscription: Subscription, now: datetime) -> str:
    """`active` until the end has come, then `canceled`; follows from the dates, so it is never late."""
    return "canceled" if subscription.ended_at is not None and subscription.ended_at <= now else "active"


def period_now(subscription: Subscription, plan: PlanVersion, now: datetime) -> Period:
    """The current period: the trial, or the served part of the aligned period. Before the start the first, after the end the last."""
    at = max(now, subscription.started_at)
    end = subscription.ended_at
    if end is not None and at >= end > subscription.started_at:
        at = end - timedelta(microseconds=1)
    if subscription.trial_end is not None and at < subscription.trial_end:
        return Period(subscription.started_at, subscription.trial_end)
    whole = period_at(schedule_of(subscription, plan), at).period
    return Period(max(whole.start, subscription.anchor), whole.end)
