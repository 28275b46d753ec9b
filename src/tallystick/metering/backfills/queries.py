"""Read side of amendments and backfills."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.kernel.pagination import Page, decode_uuid_cursor, encode_cursor
from tallystick.metering.backfills.domain import Backfill, Chain, Link, Mode, Staged, State
from tallystick.metering.domain.digest import whole
from tallystick.metering.domain.events import StoredEvent
from tallystick.metering.queries import EVENT, stored, stored_of
from tallystick.platform.db import ReadSession, Record


def backfill_of(row: Record) -> Backfill:
    """The backfill in a row."""
    values = {name: value for name, value in row.items() if name not in ("created_at", "updated_at")}
    values["state"], values["mode"] = State(values["state"]), Mode(values["mode"])
    nos = values["account_nos"]
    values["account_nos"], values["meter_ids"] = (
        None if nos is None else tuple(nos),
        tuple(values["meter_ids"]),
    )
    return Backfill(**values)


async def backfill(session: ReadSession, backfill_id: UUID) -> Backfill | None:
    """By id (primary key)."""
    row = await session.fetchrow("SELECT * FROM backfills WHERE id = $1", backfill_id)
    return None if row is None else backfill_of(row)


async def backfills(
    session: ReadSession, limit: int, cursor: str | None, state: str | None
) -> Page[Backfill]:
    """The newest first (primary key: ids grow with time)."""
    rows = await session.fetch(
        """
        SELECT * FROM backfills WHERE ($1::uuid IS NULL OR id < $1) AND ($3::text IS NULL OR state = $3) ORDER BY id DESC LIMIT $2
        """,
        decode_uuid_cursor(cursor), limit + 1, state,
    )  # fmt: skip
    following = encode_cursor(str(rows[limit - 1]["id"])) if len(rows) > limit else None
    return Page([backfill_of(row) for row in rows[:limit]], following)


async def overlapping(session: ReadSession, wanted: Backfill, state: State, after: int = 0) -> UUID | None:
    """A backfill in `state`, committed after batch `after`, that shares time, account and meter with `wanted` (ix_backfills_scope)."""
    found: UUID | None = await session.fetchval(
        """
        SELECT id FROM backfills
        WHERE id <> $1 AND state = $2 AND coalesce(commit_batch, 0) >= $3 AND period_end > $4 AND period_start < $5
          AND meter_ids && $6::int[] AND entity_id = $7
          AND (account_nos IS NULL OR $8::bigint[] IS NULL OR account_nos && $8::bigint[])
        ORDER BY id LIMIT 1
        """,
        wanted.id, state.value, after, wanted.period_start, wanted.period_end, wanted.meter_ids, wanted.entity_id, wanted.account_nos,
    )  # fmt: skip
    return found


_STAGED = """key, source, event_id, account_no, meter_id, occurred_at, quantity, unit_price, properties, 0::bigint AS batch_id,
    0 AS position, c_hi, c_lo, NULL::timestamptz AS received_at, NULL::bigint AS voided_by"""


async def taken(session: ReadSession, keys: Sequence[bytes]) -> Staged:
    """What of these identities is on disk, and what waits in backfills. Two statements (primary keys)."""
    rows = await session.fetch(
        f"SELECT backfill_id, {_STAGED} FROM backfill_events WHERE key = ANY($1::uuid[])",
        [UUID(bytes=key) for key in keys],
    )
    waiting = {row["key"].bytes: (row["backfill_id"], stored_of(row)) for row in rows}
    return Staged(await stored(session, keys), waiting)


@dataclass(frozen=True, slots=True)
class ToWrite:
    """What is staged: events on disk already, and the others with the earliest of their times. `checksum` is of all."""

    staged: int
    fresh: int
    first_at: datetime | None
    checksum: int
    accounts: tuple[int, ...]


async def to_write(session: ReadSession, backfill_id: UUID) -> ToWrite:
    """What a commit would write (ix_backfill_events_backfill_id, primary key of event_keys)."""
    row = await session.fetchrow(
        """
        SELECT count(*) AS staged, count(*) FILTER (WHERE k.key IS NULL) AS fresh, min(s.occurred_at) FILTER (WHERE k.key IS NULL) AS first_at,
               bit_xor(s.c_hi) AS hi, bit_xor(s.c_lo) AS lo, array_agg(DISTINCT s.account_no) AS accounts
        FROM backfill_events s LEFT JOIN event_keys k ON k.key = s.key WHERE s.backfill_id = $1
        """,
        backfill_id,
    )
    assert row is not None, "an aggregate is always one row"
    return ToWrite(
        row["staged"], row["fresh"], row["first_at"], whole(row["hi"] or 0, row["lo"] or 0), tuple(row["accounts"] or ()),
    )  # fmt: skip


async def conflicting(session: ReadSession, backfill_id: UUID, limit: int) -> list[str]:
    """Ids of staged events whose identity an event on disk has that differs, or is void (primary keys)."""
    rows = await session.fetch(
        """
        SELECT s.event_id FROM backfill_events s JOIN event_keys k ON k.key = s.key
        JOIN usage_events e ON e.account_no = k.account_no AND e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.key = k.key
        LEFT JOIN event_voids v ON v.key = s.key
        WHERE s.backfill_id = $1 AND ((e.c_hi, e.c_lo) <> (s.c_hi, s.c_lo) OR v.key IS NOT NULL)
        ORDER BY s.no LIMIT $2
        """,
        backfill_id, limit,
    )  # fmt: skip
    return [row["event_id"] for row in rows]


async def voided_in(session: ReadSession, batch: int) -> tuple[int, tuple[int, ...]]:
    """The checksum of what a batch voided, and whose it was (ix_event_voids_batch_id)."""
    row = await session.fetchrow(
        "SELECT bit_xor(c_hi) AS hi, bit_xor(c_lo) AS lo, array_agg(DISTINCT account_no) AS accounts FROM event_voids WHERE batch_id = $1",
        batch,
    )
    assert row is not None, "an aggregate is always one row"
    return whole(row["hi"] or 0, row["lo"] or 0), tuple(row["accounts"] or ())


async def counting_in(
    session: ReadSession, backfill_: Backfill, account_nos: Sequence[int], most: int
) -> int:
    """How many events count in the window, as far as `most` (covering index)."""
    count: int = await session.fetchval(
        """
        SELECT count(*) FROM (
            SELECT FROM unnest($1::bigint[]) AS a (no)
            JOIN usage_events e ON e.account_no = a.no AND e.meter_id = ANY($2::int[]) AND e.occurred_at >= $3 AND e.occurred_at < $4
            WHERE NOT EXISTS (SELECT FROM event_voids x WHERE x.key = e.key)
            LIMIT $5) n
        """,
        list(account_nos), backfill_.meter_ids, backfill_.period_start, backfill_.period_end, most,
    )  # fmt: skip
    return count


@dataclass(frozen=True, slots=True)
class Replaced:
    """A voided event, where its chain began, and its place in it."""

    event: StoredEvent
    origin: bytes
    origin_id: str
    revision: int


async def replaced_by(session: ReadSession, batch: int, size: int) -> AsyncIterator[list[Replaced]]:
    """Pages of the events that a batch voided, in the order of their arrival (ix_event_voids_batch_id); they are looked up once.

    Without those whose chain began in a backfill that is reverted: moved out of its window by an amendment, they do not come back.
    Other statements may be run between pages.
    """
    rows = session.cursor(
        f"""
        SELECT {EVENT}, NULL::timestamptz AS received_at, v.batch_id AS voided_by, coalesce(s.origin, e.key) AS origin,
               coalesce(o.event_id, e.event_id) AS origin_id, coalesce(s.revision, 1) AS revision
        FROM event_voids v
        JOIN usage_events e ON e.account_no = v.account_no AND e.meter_id = v.meter_id AND e.occurred_at = v.occurred_at AND e.key = v.key
        LEFT JOIN event_successions s ON s.key = e.key
        LEFT JOIN event_keys k ON k.key = s.origin
        LEFT JOIN usage_events o
          ON o.account_no = k.account_no AND o.meter_id = k.meter_id AND o.occurred_at = k.occurred_at AND o.key = k.key
        WHERE v.batch_id = $1
          AND NOT EXISTS (SELECT FROM backfills b WHERE b.commit_batch = coalesce(o.batch_id, e.batch_id) AND b.state = 'reverted')
        ORDER BY e.batch_id, e.position
        """,
        batch,
        prefetch=size,
    )
    page: list[Replaced] = []
    async for row in rows:
        page.append(Replaced(stored_of(row), row["origin"].bytes, row["origin_id"], row["revision"]))
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


async def accounts_of(session: ReadSession, backfill_: Backfill) -> tuple[int, ...]:
    """Whose events a commit wrote or voided (ix_usage_events_batch_id in the window's months, ix_event_voids_batch_id)."""
    rows = await session.fetch(
        """
        SELECT account_no FROM usage_events WHERE batch_id = $1 AND occurred_at >= $2 AND occurred_at < $3
        UNION SELECT account_no FROM event_voids WHERE batch_id = $1
        """,
        backfill_.commit_batch, backfill_.period_start, backfill_.period_end,
    )  # fmt: skip
    return tuple(row["account_no"] for row in rows)


async def first_voided_in(session: ReadSession, batch: int) -> tuple[int, datetime | None]:
    """How many events a batch voided, and when the first of them occurred (ix_event_voids_batch_id)."""
    row = await session.fetchrow(
        "SELECT count(*) AS events, min(occurred_at) AS first_at FROM event_voids WHERE batch_id = $1", batch
    )
    assert row is not None, "an aggregate is always one row"
    return row["events"], row["first_at"]


async def known(session: ReadSession, keys: Sequence[bytes]) -> set[bytes]:
    """Which of these identities are taken, on disk or by a staged event (primary keys)."""
    rows = await session.fetch(
        """
        SELECT key FROM event_keys WHERE key = ANY($1::uuid[]) UNION ALL SELECT key FROM backfill_events WHERE key = ANY($1::uuid[])
        """,
        [UUID(bytes=key) for key in keys],
    )
    return {row["key"].bytes for row in rows}


async def chain(session: ReadSession, event: StoredEvent) -> Chain:
    """The neighbours of an event and the backfills that wrote and voided it. Two statements (primary keys, unique indexes)."""
    rows = await session.fetch(
        """
        WITH own AS (SELECT * FROM event_successions WHERE key = $1),
        links AS (
            SELECT 'former' AS place, former AS key, kind, revision FROM own
            UNION ALL SELECT 'origin', origin, kind, revision FROM own
            UNION ALL SELECT 'successor', key, kind, revision FROM event_successions WHERE former = $1
        )
        SELECT l.place, l.key, l.kind, l.revision, e.source, e.event_id
        FROM links l JOIN event_keys k ON k.key = l.key
        JOIN usage_events e ON e.account_no = k.account_no AND e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.key = k.key
        """,
        UUID(bytes=event.key),
    )
    found = {
        row["place"]: Link(row["key"].bytes, row["source"], row["event_id"], row["kind"]) for row in rows
    }
    revision = next((row["revision"] for row in rows if row["place"] == "former"), 1)
    written, voided = await _batches(session, event)
    return Chain(found.get("former"), found.get("successor"), found.get("origin"), revision, written, voided)


async def _batches(session: ReadSession, event: StoredEvent) -> tuple[UUID | None, UUID | None]:
    row = await session.fetchrow(
        """
        SELECT (SELECT id FROM backfills WHERE commit_batch = $1 UNION ALL SELECT id FROM backfills WHERE revert_batch = $1) AS written,
               (SELECT id FROM backfills WHERE commit_batch = $2 UNION ALL SELECT id FROM backfills WHERE revert_batch = $2) AS voided
        """,
        event.batch_id, event.voided_by,
    )  # fmt: skip
    assert row is not None, "always one row"
    return row["written"], row["voided"]
