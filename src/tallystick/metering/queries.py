"""Read side of metering: totals of slices, events, the seal."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from tallystick.metering.counting.queries import by_day_and_part as by_day_and_part
from tallystick.metering.counting.queries import states_named as states_named
from tallystick.metering.counting.totals import aggregate as aggregate
from tallystick.metering.counting.totals import with_states as with_states
from tallystick.metering.domain.digest import whole
from tallystick.metering.domain.events import StoredEvent
from tallystick.metering.domain.slices import AccountSlice, Part, RecordedUsage, UsageSlice, conditions
from tallystick.platform import wire
from tallystick.platform.db import ReadSession, Record


async def recorded(session: ReadSession, slices: Sequence[AccountSlice]) -> list[RecordedUsage]:
    """Priced usage per slice, meter and unit price, ordered so; groups whose events are all void are left out.

    ix_usage_events_priced holds only events that carry a price, so that an account without them costs one empty probe a month.
    """
    if not slices:
        return []
    rows = await session.fetch(
        """
        SELECT s.ord, s.account_no, t.meter_id, t.unit_price, sum(t.quantity) AS quantity, sum(t.events)::bigint AS events,
               bit_xor(t.hi) AS hi, bit_xor(t.lo) AS lo
        FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::text[])
             WITH ORDINALITY AS s (account_no, starts, ends, from_batch, to_batch, except_meters, ord)
        CROSS JOIN LATERAL (
            SELECT u.meter_id, u.unit_price, sum(u.quantity) AS quantity, count(*) AS events,
                   bit_xor(u.c_hi) AS hi, bit_xor(u.c_lo) AS lo
            FROM usage_events u
            WHERE u.account_no = s.account_no AND u.occurred_at >= s.starts AND u.occurred_at < s.ends
              AND u.occurred_at >= $7 AND u.occurred_at < $8
              AND u.unit_price IS NOT NULL AND u.meter_id <> ALL (s.except_meters::int[])
              AND u.batch_id > s.from_batch AND u.batch_id <= s.to_batch
            GROUP BY u.meter_id, u.unit_price
            UNION ALL
            SELECT x.meter_id, x.unit_price, -x.quantity, -1, x.c_hi, x.c_lo
            FROM event_voids x
            WHERE x.account_no = s.account_no AND x.occurred_at >= s.starts AND x.occurred_at < s.ends
              AND x.unit_price IS NOT NULL AND x.meter_id <> ALL (s.except_meters::int[])
              AND x.event_batch_id > s.from_batch AND x.event_batch_id <= s.to_batch AND x.batch_id <= s.to_batch
        ) t
        GROUP BY s.ord, s.account_no, t.meter_id, t.unit_price
        HAVING sum(t.events) > 0
        ORDER BY s.ord, t.meter_id, t.unit_price
        """,
        [s.account_no for s in slices],
        [s.start for s in slices],
        [s.end for s in slices],
        [s.from_batch for s in slices],
        [s.to_batch for s in slices],
        ["{" + ",".join(map(str, s.except_meters)) + "}" for s in slices],
        min(s.start for s in slices),
        max(s.end for s in slices),
    )
    return [
        RecordedUsage(
            r["account_no"],
            r["meter_id"],
            r["unit_price"],
            r["quantity"],
            r["events"],
            whole(r["hi"], r["lo"]),
            r["ord"] - 1,
        )
        for r in rows
    ]


EVENT = """e.key, e.source, e.event_id, e.account_no, e.meter_id, e.occurred_at, e.quantity, e.unit_price, e.properties, e.batch_id,
    e.position, e.c_hi, e.c_lo"""


async def events(
    session: ReadSession,
    slice_: UsageSlice,
    limit: int,
    after: tuple[datetime, int, int] | None = None,
    group: Part | None = None,
) -> list[StoredEvent]:
    """Events of a slice by time and arrival, from after `(occurred_at, batch, position)`; those void within the slice are left out.

    `group` keeps those of one part of a grouped slice. Index: the covering one gives the order by time; arrival is sorted within an instant.
    """
    at, batch, position = after or (slice_.start, 0, 0)
    rows = await session.fetch(
        f"""
        SELECT {EVENT}, b.created_at AS received_at, NULL::bigint AS voided_by
        FROM usage_events e JOIN ingest_batches b ON b.id = e.batch_id
        WHERE e.account_no = $1 AND e.meter_id = $2 AND e.occurred_at >= $3 AND e.occurred_at < $4
          AND e.batch_id > $5 AND e.batch_id <= $6
          AND (e.occurred_at, e.batch_id, e.position) > ($7, $8, $9)
          AND NOT EXISTS (SELECT FROM event_voids x WHERE x.key = e.key AND x.batch_id <= $6)
          AND ($10::text IS NULL OR NOT EXISTS (
              SELECT FROM jsonb_array_elements($10::text::jsonb) f
              WHERE NOT coalesce(f -> 'in' @> (e.properties -> (f ->> 'property')), false)))
          AND ($12::text[] IS NULL OR NOT EXISTS (
              SELECT FROM unnest($12::text[], $13::text[]) AS g (name, value)
              WHERE (e.properties ->> g.name) IS DISTINCT FROM g.value))
        ORDER BY e.occurred_at, e.batch_id, e.position
        LIMIT $11
        """,
        slice_.account_no,
        slice_.meter_id,
        max(slice_.start, at),
        slice_.end,
        slice_.from_batch,
        slice_.to_batch,
        at,
        batch,
        position,
        wire.dumps(wanted).decode() if (wanted := conditions(slice_)) else None,
        limit,
        None if group is None else list(slice_.group_by),
        None if group is None else list(group),
    )
    return [stored_of(row) for row in rows]


async def stored(session: ReadSession, keys: Sequence[bytes]) -> dict[bytes, StoredEvent]:
    """Accepted events by their 16-byte keys. Primary key of `event_keys`, then the covering index in one partition."""
    rows = await session.fetch(
        f"""
        SELECT {EVENT}, b.created_at AS received_at, v.batch_id AS voided_by
        FROM event_keys k
        JOIN usage_events e
          ON e.account_no = k.account_no AND e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.key = k.key
        JOIN ingest_batches b ON b.id = e.batch_id
        LEFT JOIN event_voids v ON v.key = k.key
        WHERE k.key = ANY($1)
        """,
        [UUID(bytes=key) for key in keys],
    )
    found = [stored_of(row) for row in rows]
    return {event.key: event for event in found}


def stored_of(row: Record) -> StoredEvent:
    """The event in a row of `EVENT` columns, `received_at` and `voided_by`."""
    return StoredEvent(
        key=row["key"].bytes,
        source=row["source"],
        id=row["event_id"],
        account_no=row["account_no"],
        meter_id=row["meter_id"],
        occurred_at=row["occurred_at"],
        quantity=row["quantity"],
        unit_price=row["unit_price"],
        properties=row["properties"] or {},
        batch_id=row["batch_id"],
        position=row["position"],
        checksum=whole(row["c_hi"], row["c_lo"]),
        received_at=row["received_at"],
        voided_by=row["voided_by"],
    )


ALL_BATCHES = 2**62
"""`to_batch` of a view that shows what is committed now, sealed or not. Never on a document: what it counts is not fixed."""


async def by_day(
    session: ReadSession, account_no: int, start: datetime, end: datetime, timezone: str
) -> list[tuple[int, Decimal | None, date, Decimal, int]]:
    """(meter_id, unit_price, local date, quantity, events) of an account's events, voids left out; days in `timezone`.

    The covering index gives the account's range; quantities are sums, whatever the meter's aggregation.
    """
    rows = await session.fetch(
        """
        SELECT u.meter_id, u.unit_price, (u.occurred_at AT TIME ZONE $4)::date AS day, sum(u.quantity) AS quantity, count(*) AS events
        FROM usage_events u
        WHERE u.account_no = $1 AND u.occurred_at >= $2 AND u.occurred_at < $3
          AND NOT EXISTS (SELECT FROM event_voids x WHERE x.key = u.key)
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """,
        account_no, start, end, timezone,
    )  # fmt: skip
    return [tuple(row) for row in rows]


async def sealed_to(session: ReadSession) -> int:
    """The batch up to which nothing can appear any more: the `to_batch` of a bill (primary key)."""
    value: int = await session.fetchval("SELECT sealed_to FROM metering_seal WHERE id = 1")
    return value


async def months(session: ReadSession) -> set[date]:
    """The first days of the months that have a partition (catalog look-up; one row per month)."""
    rows = await session.fetch(
        """
        SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'usage_events'::regclass
        """
    )
    return {row["month"] for row in rows}
