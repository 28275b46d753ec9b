"""Reading subscriptions."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from tallystick.kernel.errors import NotFound
from tallystick.platform.db import ReadSession
from tallystick.subscriptions.domain import Subscription

SUBSCRIPTION = """s.id, s.account_no, s.entity_id, s.plan_version_id, s.quantity, s.currency, s.status, s.started_at, s.trial_end,
    s.anchor, s.timezone, s.zone_changes_seen, s.ended_at, s.canceled_at, s.billed_to, s.usage_billed_to, s.current_period_start,
    s.current_period_end, s.next_billing_at, s.revision, s.created_at, s.updated_at"""


async def by_id(session: ReadSession, subscription_id: UUID) -> Subscription:
    """One subscription. Raises `NotFound`."""
    row = await session.fetchrow(
        f"SELECT {SUBSCRIPTION} FROM subscriptions s WHERE s.id = $1", subscription_id
    )
    if row is None:
        raise NotFound
    return Subscription(**dict(row))


async def by_accounts(
    session: ReadSession, nos: Iterable[int], *, unfinished: bool = False
) -> list[Subscription]:
    """The subscriptions of accounts, by account and start; `unfinished` leaves out those of which nothing is left to bill."""
    rows = await session.fetch(
        f"""
        SELECT {SUBSCRIPTION} FROM subscriptions s
        WHERE s.account_no = ANY($1::bigint[]) AND (NOT $2 OR s.next_billing_at IS NOT NULL)
        ORDER BY s.account_no, s.started_at, s.id
        """,
        list(nos), unfinished,
    )  # fmt: skip
    return [Subscription(**dict(row)) for row in rows]


async def due_accounts(
    session: ReadSession, as_of: datetime, limit: int, *, after: int = 0, nos: Iterable[int] | None = None
) -> list[int]:
    """Numbers of accounts with a subscription due by `as_of`, in order of number; `nos` narrows to those.

    ix_subscriptions_next_billing_at bounds the work by what is due, not by history. Accounts on clocks are in it too: whoever runs
    for live accounts leaves them out.
    """
    rows = await session.fetch(
        """
        SELECT DISTINCT account_no FROM subscriptions
        WHERE next_billing_at <= $1 AND account_no > $2 AND ($4::bigint[] IS NULL OR account_no = ANY($4))
        ORDER BY account_no LIMIT $3
        """,
        as_of, after, limit, None if nos is None else list(nos),
    )  # fmt: skip
    return [row["account_no"] for row in rows]


async def due(
    session: ReadSession, as_of: datetime, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[Subscription]:
    """Subscriptions due by `as_of`, the longest due first; `after` is (next_billing_at, id) of the last one seen."""
    rows = await session.fetch(
        f"""
        SELECT {SUBSCRIPTION} FROM subscriptions s
        WHERE s.next_billing_at <= $1 AND ($3::timestamptz IS NULL OR (s.next_billing_at, s.id) > ($3, $4::uuid))
        ORDER BY s.next_billing_at, s.id LIMIT $2
        """,
        as_of, limit, *(after or (None, None)),
    )  # fmt: skip
    return [Subscription(**dict(row)) for row in rows]


async def next_due(session: ReadSession, nos: Iterable[int]) -> datetime | None:
    """The earliest `next_billing_at` among the subscriptions of accounts: where a test clock stops next."""
    found: datetime | None = await session.fetchval(
        "SELECT min(next_billing_at) FROM subscriptions WHERE account_no = ANY($1::bigint[])", list(nos)
    )
    return found
