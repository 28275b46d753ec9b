"""The write side of subscriptions."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.platform.db import Session
from tallystick.subscriptions.domain import Advance, Subscription
from tallystick.subscriptions.queries import SUBSCRIPTION, subscriptions_of

_COLUMNS = (
    "id", "account_no", "entity_id", "plan_version_id", "quantity", "currency", "started_at", "trial_end", "anchor",
    "timezone", "zone_changes_seen", "ended_at", "canceled_at", "billed_to", "usage_billed_to", "next_billing_at",
)  # fmt: skip


async def insert(session: Session, values: dict[str, Any]) -> Subscription:
    """Adds a subscription; `values` names every column but the revision and the system times."""
    marks = ", ".join(f"${n}" for n in range(1, len(_COLUMNS) + 1))
    row = await session.fetchrow(
        f"INSERT INTO subscriptions AS s ({', '.join(_COLUMNS)}) VALUES ({marks}) RETURNING {SUBSCRIPTION}",
        *(values[column] for column in _COLUMNS),
    )
    assert row is not None
    return Subscription(**dict(row))  # its account's zone changes all came before it


async def lock(session: Session, ids: Iterable[UUID]) -> dict[UUID, Subscription]:
    """Locks subscriptions in order of id. Commands take the account's lock first, so that this one is never waited for long."""
    rows = await session.fetch(
        f"SELECT {SUBSCRIPTION} FROM subscriptions s WHERE s.id = ANY($1::uuid[]) ORDER BY s.id FOR NO KEY UPDATE",
        list(ids),
    )
    return {found.id: found for found in await subscriptions_of(session, rows)}


async def advance(session: Session, rows: Sequence[Advance]) -> int:
    """Moves the cursors of billed subscriptions: one statement for a batch, under the locks of their accounts."""
    if not rows:
        return 0
    return await session.execute(
        """
        UPDATE subscriptions s SET billed_to = n.billed_to, usage_billed_to = n.usage_billed_to, next_billing_at = n.due,
            revision = s.revision + 1
        FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[]) AS n(id, billed_to, usage_billed_to, due)
        WHERE s.id = n.id
        """,
        [row.id for row in rows],
        [row.billed_to for row in rows],
        [row.usage_billed_to for row in rows],
        [row.next_billing_at for row in rows],
    )


async def set_end(
    session: Session,
    subscription_id: UUID,
    *,
    ended_at: datetime,
    canceled_at: datetime,
    next_billing_at: datetime | None,
) -> Subscription:
    """Ends a locked subscription, or schedules its end."""
    rows = await session.fetch(
        f"""
        UPDATE subscriptions s SET ended_at = $2, canceled_at = $3, next_billing_at = $4, revision = revision + 1
        WHERE s.id = $1 RETURNING {SUBSCRIPTION}
        """,
        subscription_id, ended_at, canceled_at, next_billing_at,
    )  # fmt: skip
    return (await subscriptions_of(session, rows))[0]


async def insert_event(
    session: Session,
    subscription_id: UUID,
    event: str,
    occurred_at: datetime,
    principal: str,
    details: dict[str, Any],
) -> None:
    """Adds to the history, in the transaction that does what it tells."""
    await session.execute(
        """
        INSERT INTO subscription_events (subscription_id, event, occurred_at, principal, details) VALUES ($1, $2, $3, $4, $5)
        """,
        subscription_id, event, occurred_at, principal, details,
    )  # fmt: skip
