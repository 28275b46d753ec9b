"""Commands on subscriptions. Each works in the caller's transaction, under the account's lock, and does not commit it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts import repository as accounts
from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import PlanVersion
from tallystick.contracts.events import SubscriptionEnded, SubscriptionStarted
from tallystick.entities import queries as entities
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, NotFound, Stale
from tallystick.kernel.period import Coverage, next_due, trial_end
from tallystick.platform import outbox
from tallystick.platform.db import Session
from tallystick.subscriptions import queries, repository
from tallystick.subscriptions.domain import (
    AlreadyBilled,
    AlreadyEnded,
    BeforeStart,
    Subscription,
    due_at,
    schedule_from,
    status_at,
    terms_of,
)

FURTHEST_START = timedelta(days=3653)
"""Further ahead a start is a slip of the pen, and its periods might not fit the calendar."""


@dataclass(frozen=True, slots=True)
class Start:
    """What starting takes. `at` may lie in the past (staff may back-date) or ahead."""

    id: UUID
    plan_id: int
    at: datetime
    quantity: Decimal = Decimal(1)


async def start(
    session: Session, actor: Actor, account: Account, wanted: Start, *, now: datetime
) -> Subscription:
    """Puts a locked account on the plan's current version. Its bills follow by themselves, the first as soon as one is due.

    Raises `NoSuchPlan` (also where the plan is not active), `Invalid`. A repeat starts another one: the idempotency key prevents it.
    """
    if wanted.at > now + FURTHEST_START:
        raise Invalid.field("start_date", "must lie within ten years from now")
    plan = await catalog.current_version(session, wanted.plan_id)
    entity = await entities.get(session, account.entity_id)
    ends = trial_end(wanted.at, plan.trial_period_days, account.timezone)
    schedule = schedule_from(ends, account.timezone, plan)
    due = next_due(schedule, Coverage(ends, None, ends, ends), terms_of(plan, entity))
    assert due is not None, "a subscription without end has a next bill"
    subscription = await repository.insert(
        session,
        {
            "id": wanted.id, "account_no": account.no, "entity_id": account.entity_id, "plan_version_id": plan.id,
            "quantity": wanted.quantity, "currency": plan.currency, "started_at": wanted.at,
            "trial_end": ends if plan.trial_period_days else None, "anchor": ends, "timezone": account.timezone,
            "zone_changes_seen": len(account.zones), "ended_at": None, "canceled_at": None, "billed_to": ends,
            "usage_billed_to": ends, "next_billing_at": due.instant,
        },
    )  # fmt: skip
    await accounts.bring_forward(session, account.no, due.instant)
    details: dict[str, Any] = {
        "plan_id": plan.plan_id,
        "plan_version": plan.version,
        "quantity": wanted.quantity,
    }
    await repository.insert_event(
        session, wanted.id, "started", wanted.at, actor.principal, {**details, "asked_at": now}
    )
    await audit.record(
        session, actor, "subscription.started", "subscription", str(wanted.id), None,
        {**details, "account_id": account.id, "started_at": wanted.at},
    )  # fmt: skip
    event = SubscriptionStarted(str(wanted.id), account.id, plan.plan_id, plan.version, wanted.at)
    await outbox.emit(session, event, request_id=actor.request_id)
    return subscription


async def locked(
    session: Session,
    actor: Actor,
    subscription_id: UUID,
    revisions: Collection[int] | None = None,
) -> tuple[Subscription, Account]:
    """A subscription, the actor's own if he is a customer, and its account, both locked; the account first, as all do.

    Raises `NotFound`; `Stale` where its revision is none of `revisions`.
    """
    seen = await queries.by_id(session, subscription_id)
    if actor.is_customer and seen.account_no != actor.account_no:
        raise NotFound
    account = (await accounts.lock_many(session, [seen.account_no]))[seen.account_no]
    subscription = (await repository.lock(session, [subscription_id]))[subscription_id]
    if revisions is not None and subscription.revision not in revisions:
        raise Stale
    return subscription, account


async def end(
    session: Session,
    actor: Actor,
    subscription: Subscription,
    account: Account,
    plan: PlanVersion,
    *,
    at: datetime,
    now: datetime,
) -> Subscription:
    """Ends a locked subscription at `at`, now or ahead; what it used until then is still billed, fees billed already stand.

    A scheduled end may be moved. Raises `AlreadyEnded`, `AlreadyBilled` where usage is billed beyond `at`, `BeforeStart`.
    """
    if status_at(subscription, now) != "active":
        raise AlreadyEnded
    if at < subscription.started_at:
        raise BeforeStart.field("when", "must not lie before the subscription's start")
    if (
        plan.bills_usage
        and at < subscription.usage_billed_to
        and subscription.usage_billed_to != subscription.anchor
    ):
        raise AlreadyBilled
    entity = await entities.get(session, account.entity_id)
    planned = replace(subscription, ended_at=at)
    ended = await repository.set_end(
        session, subscription.id, ended_at=at, canceled_at=now, next_billing_at=due_at(planned, plan, entity)
    )
    await _refresh_due(session, account)
    happened = "ended" if at <= now else "end_scheduled"
    await repository.insert_event(session, subscription.id, happened, now, actor.principal, {"ended_at": at})
    before, after = {"ended_at": subscription.ended_at}, {"ended_at": at}
    await audit.record(
        session, actor, f"subscription.{happened}", "subscription", str(subscription.id), before, after
    )
    if at <= now:
        event = SubscriptionEnded(str(subscription.id), account.id, at)
        await outbox.emit(session, event, request_id=actor.request_id)
    return ended


async def _refresh_due(session: Session, account: Account) -> None:
    """The account's next due instant after one of its subscriptions changed."""
    due = [await queries.earliest_due(session, [account.no]), account.next_usage_billing_at]
    await accounts.set_next_billing(
        session, [(account.no, min((at for at in due if at is not None), default=None))]
    )


async def announce_ends(session: Session, finished: Sequence[tuple[Subscription, str]]) -> None:
    """Tells, once all is billed, of ends that lay ahead when they were asked for; an immediate one was told of then.

    `finished` pairs each subscription with its account's id; the caller holds the accounts' locks and bills each to its end once.
    """
    for subscription, account_id in finished:
        at, asked = subscription.ended_at, subscription.canceled_at
        if at is not None and asked is not None and asked < at:
            await repository.insert_event(
                session, subscription.id, "ended", at, "system:billing", {"ended_at": at}
            )
            await outbox.emit(session, SubscriptionEnded(str(subscription.id), account_id, at))
