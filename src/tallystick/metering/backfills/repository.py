"""Write side of amendments and backfills. One named statement per function.

Everything that one command writes and voids is one batch: bills count whole batches, so no bill ever counts half of a command, and
the seal can never stand between its parts.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.metering.backfills.domain import Backfill
from tallystick.metering.backfills.queries import backfill_of
from tallystick.platform.db import Session

_OPENING = 728611004
_REVERTING = 728611005


async def lock_opening(session: Session) -> None:
    """One backfill is opened or reverted at a time, until this transaction ends: so that two that overlap see each other."""
    await session.fetchval("SELECT pg_advisory_xact_lock($1)", _OPENING)


async def insert_backfill(session: Session, new: Backfill) -> None:
    """A backfill as opened."""
    await session.execute(
        """
        INSERT INTO backfills (id, entity_id, mode, account_nos, meter_ids, period_start, period_end, reason, opened_by, opened_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        new.id, new.entity_id, new.mode.value, new.account_nos, new.meter_ids, new.period_start, new.period_end, new.reason,
        new.opened_by, new.opened_at,
    )  # fmt: skip


async def lock(session: Session, backfill_id: UUID) -> Backfill | None:
    """The backfill, held until the transaction ends (primary key)."""
    row = await session.fetchrow("SELECT * FROM backfills WHERE id = $1 FOR UPDATE", backfill_id)
    return None if row is None else backfill_of(row)


async def stage(session: Session, backfill_id: UUID, columns: Sequence[Sequence[Any]]) -> set[bytes]:
    """Puts events into the backfill, in their order; gives the keys of those that no backfill held before (primary key)."""
    rows = await session.fetch(
        """
        INSERT INTO backfill_events (key, backfill_id, account_no, meter_id, occurred_at, c_hi, c_lo, source, event_id, quantity, unit_price,
                                     properties)
        SELECT n.key, $1, n.account_no, n.meter_id, n.occurred_at, n.c_hi, n.c_lo, n.source, n.event_id, n.quantity::numeric,
               nullif(n.unit_price, '')::numeric, nullif(n.properties, '')::jsonb
        FROM unnest($2::uuid[], $3::bigint[], $4::int[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[],
                    $11::text[], $12::text[]) WITH ORDINALITY
             AS n (key, account_no, meter_id, occurred_at, c_hi, c_lo, event_id, quantity, unit_price, properties, source, ord)
        ORDER BY n.ord
        ON CONFLICT (key) DO NOTHING RETURNING key
        """,
        backfill_id, *columns,
    )  # fmt: skip
    return {row["key"].bytes for row in rows}


async def count_staged(session: Session, backfill_id: UUID, more: int) -> None:
    """Moves the counter with the events."""
    await session.execute("UPDATE backfills SET staged = staged + $2 WHERE id = $1", backfill_id, more)


async def open_batch(
    session: Session, received: int, first_at: datetime | None, principal: str, request_id: str
) -> int:
    """A batch of so many events, none before `first_at`. The xid is assigned before `nextval`: the sealer's proof rests on it."""
    batch: int = await session.fetchval(
        """
        WITH started AS MATERIALIZED (SELECT pg_current_xact_id() AS xid)
        INSERT INTO ingest_batches (id, xid, received, principals, request_id, first_at)
        SELECT nextval('ingest_batch_ids'), started.xid::text::bigint, $1, ARRAY[$2::text], $3, $4 FROM started RETURNING id
        """,
        received, principal, request_id, first_at,
    )  # fmt: skip
    return batch


async def void_window(
    session: Session, backfill: Backfill, account_nos: Sequence[int], batch: int, now: datetime
) -> int:
    """Voids all that counts in the window but what is staged again as it is; how many that were. By account in the covering index.

    What came after the batch was opened came after the commit, and stays.
    """
    return await session.execute(
        """
        INSERT INTO event_voids (key, account_no, meter_id, occurred_at, event_batch_id, batch_id, c_hi, c_lo, quantity, unit_price, reason,
                                 voided_at)
        SELECT e.key, e.account_no, e.meter_id, e.occurred_at, e.batch_id, $6, e.c_hi, e.c_lo, e.quantity, e.unit_price, $8, $7
        FROM unnest($1::bigint[]) AS a (no)
        JOIN usage_events e ON e.account_no = a.no AND e.meter_id = ANY($2::int[]) AND e.occurred_at >= $3 AND e.occurred_at < $4
        WHERE NOT EXISTS (SELECT FROM event_voids x WHERE x.key = e.key)
          AND NOT EXISTS (SELECT FROM backfill_events s WHERE s.key = e.key AND s.backfill_id = $5)
          AND e.batch_id < $6
        ORDER BY e.key
        ON CONFLICT (key) DO NOTHING
        """,
        list(account_nos), backfill.meter_ids, backfill.period_start, backfill.period_end, backfill.id, batch, now, "replaced by a backfill",
    )  # fmt: skip


async def add_staged(
    session: Session, backfill_id: UUID, batch: int, after: int, limit: int
) -> tuple[int, int | None]:
    """Writes a page of staged events that are not on disk yet into the batch: how many, and the last `no` it looked at.

    Their order in the batch is that in which they were staged. Keys are inserted in their order, as by ingest. Where fewer keys are new
    than events, one came another way this moment: the caller undoes it all. So the two need not meet, whatever the planner knows of them.
    """
    row = await session.fetchrow(
        """
        WITH page AS MATERIALIZED (SELECT * FROM backfill_events WHERE backfill_id = $1 AND no > $3 ORDER BY no LIMIT $4),
        sent AS MATERIALIZED (SELECT * FROM page WHERE NOT EXISTS (SELECT FROM event_keys k WHERE k.key = page.key)),
        before AS MATERIALIZED (SELECT count(*) AS events FROM backfill_events WHERE backfill_id = $1 AND no <= $3),
        fresh AS (
            INSERT INTO event_keys (key, account_no, occurred_at, meter_id)
            SELECT key, account_no, occurred_at, meter_id FROM sent ORDER BY key
            ON CONFLICT (key) DO NOTHING RETURNING key
        ),
        written AS (
            INSERT INTO usage_events (account_no, occurred_at, batch_id, c_hi, c_lo, key, meter_id, position, quantity, unit_price, source,
                                      event_id, properties)
            SELECT sent.account_no, sent.occurred_at, $2, sent.c_hi, sent.c_lo, sent.key, sent.meter_id,
                   before.events + row_number() OVER (ORDER BY sent.no), sent.quantity, sent.unit_price, sent.source, sent.event_id,
                   sent.properties
            FROM before, sent
        )
        SELECT (SELECT count(*) FROM fresh) AS written, (SELECT max(no) FROM page) AS last_no
        """,
        backfill_id, batch, after, limit,
    )  # fmt: skip
    assert row is not None, "an aggregate is always one row"
    return row["written"], row["last_no"]


async def forget_staged(session: Session, backfill_id: UUID) -> None:
    """What was staged is on disk now, or never will be (ix_backfill_events_backfill_id)."""
    await session.execute("DELETE FROM backfill_events WHERE backfill_id = $1", backfill_id)


async def set_committed(
    session: Session, backfill_id: UUID, batch: int, now: datetime, counts: tuple[int, int, int]
) -> None:
    """It counts: so many added, kept, replaced."""
    await session.execute(
        """
        UPDATE backfills SET state = 'committed', commit_batch = $2, committed_at = $3, added = $4, kept = $5, replaced = $6 WHERE id = $1
        """,
        backfill_id, batch, now, *counts,
    )  # fmt: skip


async def set_cancelled(session: Session, backfill_id: UUID, now: datetime) -> None:
    """It never counted."""
    await session.execute(
        "UPDATE backfills SET state = 'cancelled', cancelled_at = $2 WHERE id = $1", backfill_id, now
    )


async def set_reverted(
    session: Session, backfill_id: UUID, batch: int, now: datetime, counts: tuple[int, int]
) -> None:
    """It counts no more: so many events were withdrawn, so many reinstated."""
    await session.execute(
        """
        UPDATE backfills SET state = 'reverted', revert_batch = $2, reverted_at = $3, withdrawn = $4, reinstated = $5 WHERE id = $1
        """,
        backfill_id, batch, now, *counts,
    )  # fmt: skip


async def void_added(session: Session, backfill: Backfill, batch: int, now: datetime) -> int:
    """Voids what the commit wrote, or what stands for it now by amendment or reinstatement; how many that were.

    ix_usage_events_batch_id in the months of the window, then uq_event_successions_origin_revision.
    """
    return await session.execute(
        """
        WITH mine AS MATERIALIZED (
            SELECT key FROM usage_events WHERE batch_id = $1 AND occurred_at >= $2 AND occurred_at < $3
        ),
        chain AS (SELECT key FROM mine UNION ALL SELECT s.key FROM mine JOIN event_successions s ON s.origin = mine.key)
        INSERT INTO event_voids (key, account_no, meter_id, occurred_at, event_batch_id, batch_id, c_hi, c_lo, quantity, unit_price, reason,
                                 voided_at)
        SELECT e.key, e.account_no, e.meter_id, e.occurred_at, e.batch_id, $4, e.c_hi, e.c_lo, e.quantity, e.unit_price, $6, $5
        FROM chain JOIN event_keys k ON k.key = chain.key
        JOIN usage_events e ON e.account_no = k.account_no AND e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.key = k.key
        WHERE NOT EXISTS (SELECT FROM event_voids x WHERE x.key = e.key)
        ORDER BY e.key
        ON CONFLICT (key) DO NOTHING
        """,
        backfill.commit_batch, backfill.period_start, backfill.period_end, batch, now, "its backfill was reverted",
    )  # fmt: skip


async def keep_amendments_away(session: Session) -> None:
    """No event is amended until this transaction ends: what stands for an event now is what a revert finds."""
    await session.fetchval("SELECT pg_advisory_xact_lock($1)", _REVERTING)


async def lock_event(session: Session, key: UUID) -> None:
    """One amendment of an event at a time, and no revert, until this transaction ends (primary key)."""
    await session.fetchval("SELECT pg_advisory_xact_lock_shared($1)", _REVERTING)
    await session.fetchval("SELECT key FROM event_keys WHERE key = $1 FOR UPDATE", key)


async def void_one(session: Session, key: UUID, batch: int, now: datetime, reason: str) -> bool:
    """The event counts no more from `batch` on; False where it was void already."""
    done = await session.execute(
        """
        INSERT INTO event_voids (key, account_no, meter_id, occurred_at, event_batch_id, batch_id, c_hi, c_lo, quantity, unit_price, reason,
                                 voided_at)
        SELECT e.key, e.account_no, e.meter_id, e.occurred_at, e.batch_id, $2, e.c_hi, e.c_lo, e.quantity, e.unit_price, $4, $3
        FROM event_keys k
        JOIN usage_events e ON e.account_no = k.account_no AND e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.key = k.key
        WHERE k.key = $1
        ON CONFLICT (key) DO NOTHING
        """,
        key, batch, now, reason,
    )  # fmt: skip
    return done == 1


async def add_events(session: Session, batch: int, offset: int, columns: Sequence[Sequence[Any]]) -> int:
    """Writes events into a batch behind its first `offset`; where it says fewer than they are, the caller undoes it all (as `add_staged`)."""
    written: int = await session.fetchval(
        """
        WITH sent AS MATERIALIZED (
            SELECT n.* FROM unnest($3::uuid[], $4::bigint[], $5::int[], $6::timestamptz[], $7::bigint[], $8::bigint[], $9::text[], $10::text[],
                                   $11::text[], $12::text[], $13::text[]) WITH ORDINALITY
            AS n (key, account_no, meter_id, occurred_at, c_hi, c_lo, event_id, quantity, unit_price, properties, source, position)
        ),
        fresh AS (
            INSERT INTO event_keys (key, account_no, occurred_at, meter_id)
            SELECT key, account_no, occurred_at, meter_id FROM sent ORDER BY key
            ON CONFLICT (key) DO NOTHING RETURNING key
        ),
        written AS (
            INSERT INTO usage_events (account_no, occurred_at, batch_id, c_hi, c_lo, key, meter_id, position, quantity, unit_price, source,
                                      event_id, properties)
            SELECT sent.account_no, sent.occurred_at, $1, sent.c_hi, sent.c_lo, sent.key, sent.meter_id, $2 + sent.position,
                   sent.quantity::numeric, nullif(sent.unit_price, '')::numeric, sent.source, sent.event_id,
                   nullif(sent.properties, '')::jsonb
            FROM sent
        )
        SELECT count(*) FROM fresh
        """,
        batch, offset, *columns,
    )  # fmt: skip
    return written


async def insert_successions(session: Session, rows: Sequence[tuple[UUID, UUID, UUID, int, str]]) -> None:
    """(key, former, origin, revision, kind) of events that stand for others."""
    await session.copy("event_successions", ("key", "former", "origin", "revision", "kind"), rows)
