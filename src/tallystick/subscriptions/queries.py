"""Reading subscriptions."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts.queries import rezoned_accounts
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import PlanVersion
from tallystick.identity import queries as identity
from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page, decode_uuid_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record
from tallystick.subscriptions.domain import PlanBrief, Subscription, SubscriptionView, period_now, status_at

SUBSCRIPTION = """s.id, s.account_no, s.entity_id, s.plan_version_id, s.quantity, s.currency, s.started_at, s.trial_end, s.anchor,
    s.timezone, s.zone_changes_seen, s.ended_at, s.canceled_at, s.billed_to, s.usage_billed_to, s.next_billing_at, s.revision,
    s.created_at, s.updated_at"""


async def subscriptions_of(session: ReadSession, rows: Sequence[Record]) -> list[Subscription]:
    """The subscriptions in rows of `SUBSCRIPTION` columns, with the zone changes of their accounts."""
    history = await rezoned_accounts(session, {row["account_no"] for row in rows}) if rows else {}
    return [
        Subscription(**dict(row), zone_changes=history.get(row["account_no"], ())[row["zone_changes_seen"] :])
        for row in rows
    ]


async def by_id(session: ReadSession, subscription_id: UUID) -> Subscription:
    """One subscription. Raises `NotFound`."""
    rows = await session.fetch(f"SELECT {SUBSCRIPTION} FROM subscriptions s WHERE s.id = $1", subscription_id)
    if not rows:
        raise NotFound
    return (await subscriptions_of(session, rows))[0]


async def by_accounts(session: ReadSession, nos: Iterable[int]) -> list[Subscription]:
    """All subscriptions of accounts, by account and start (ix_subscriptions_account_no)."""
    rows = await session.fetch(
        f"""
        SELECT {SUBSCRIPTION} FROM subscriptions s WHERE s.account_no = ANY($1::bigint[])
        ORDER BY s.account_no, s.started_at, s.id
        """,
        list(nos),
    )
    return await subscriptions_of(session, rows)


async def billable(session: ReadSession, nos: Iterable[int]) -> list[Subscription]:
    """The subscriptions of accounts of which something is still to be billed, by account and start: what a run reads."""
    rows = await session.fetch(
        f"""
        SELECT {SUBSCRIPTION} FROM subscriptions s
        WHERE s.account_no = ANY($1::bigint[]) AND s.next_billing_at IS NOT NULL
        ORDER BY s.account_no, s.started_at, s.id
        """,
        list(nos),
    )
    return await subscriptions_of(session, rows)


async def due(
    session: ReadSession, as_of: datetime, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[Subscription]:
    """Subscriptions due by `as_of`, the longest due first; `after` is (next_billing_at, id) of the last one seen.

    ix_subscriptions_next_billing_at bounds the work by what is due, not by history.
    """
    rows = await session.fetch(
        f"""
        SELECT {SUBSCRIPTION} FROM subscriptions s
        WHERE s.next_billing_at <= $1 AND ($3::timestamptz IS NULL OR (s.next_billing_at, s.id) > ($3, $4::uuid))
        ORDER BY s.next_billing_at, s.id LIMIT $2
        """,
        as_of, limit, *(after or (None, None)),
    )  # fmt: skip
    return await subscriptions_of(session, rows)


async def page(
    session: ReadSession,
    *,
    limit: int,
    cursor: str | None,
    account_no: int | None = None,
    version_ids: Sequence[int] | None = None,
) -> Page[Subscription]:
    """A page of subscriptions, newest first: their ids are ordered by time. `version_ids` keeps those on these plan versions."""
    before = decode_uuid_cursor(cursor)
    rows = await session.fetch(
        f"""
        SELECT {SUBSCRIPTION} FROM subscriptions s
        WHERE ($2::uuid IS NULL OR s.id < $2) AND ($3::bigint IS NULL OR s.account_no = $3)
          AND ($4::bigint[] IS NULL OR s.plan_version_id = ANY($4))
        ORDER BY s.id DESC LIMIT $1
        """,
        limit + 1, before, account_no, version_ids,
    )  # fmt: skip
    found = await subscriptions_of(session, rows[:limit])
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


async def earliest_due(session: ReadSession, nos: Iterable[int]) -> datetime | None:
    """The earliest `next_billing_at` among the subscriptions of accounts, None where nothing of them is left to bill."""
    found: datetime | None = await session.fetchval(
        "SELECT min(next_billing_at) FROM subscriptions WHERE account_no = ANY($1::bigint[])", list(nos)
    )
    return found


async def views(
    session: ReadSession, found: Sequence[Subscription], system_now: datetime
) -> list[SubscriptionView]:
    """Subscriptions as the API shows them, each at its account's present: a constant number of statements."""
    if not found:
        return []
    known = await accounts.by_nos(session, {each.account_no for each in found})
    times = await accounts.business_nows(session, known.values(), system_now)
    plans = await catalog.plan_versions(session, {each.plan_version_id for each in found})
    users = await identity.users_of_accounts(session, known)
    return [
        _view(
            each,
            plans[each.plan_version_id],
            known[each.account_no].id,
            users.get(each.account_no),
            times[each.account_no],
        )
        for each in found
    ]


def _view(
    subscription: Subscription, plan: PlanVersion, account_id: str, user_id: int | None, now: datetime
) -> SubscriptionView:
    period = period_now(subscription, plan, now)
    return SubscriptionView(
        id=subscription.id,
        account_id=account_id,
        user_id=user_id,
        plan_id=plan.plan_id,
        status=status_at(subscription, now),
        quantity=subscription.quantity,
        currency=subscription.currency,
        start_date=subscription.started_at,
        trial_end=subscription.trial_end,
        end_date=subscription.ended_at,
        canceled_at=subscription.canceled_at,
        current_period_start=period.start,
        current_period_end=period.end,
        next_billing_at=subscription.next_billing_at,
        plan=PlanBrief(plan.plan_id, plan.code, plan.name, plan.features, plan.version),
        revision=subscription.revision,
        created_at=subscription.created_at,
        updated_at=subscription.updated_at,
    )
