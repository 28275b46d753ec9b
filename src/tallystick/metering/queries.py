"""Read side of metering: totals of slices, events, the seal."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.metering.domain.digest import whole
from tallystick.metering.domain.events import StoredEvent
from tallystick.metering.domain.slices import (
    AccountSlice,
    RecordedUsage,
    UsageSlice,
    UsageTotal,
    parse_filters,
)
from tallystick.platform import wire
from tallystick.platform.db import ReadSession, Record

_AGGREGATE = """
WITH slices AS MATERIALIZED (
    SELECT *, kind IN ('unique', 'latest') OR field IS NOT NULL OR filters IS NOT NULL AS raw
    FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bigint[],
                $9::bigint[]) WITH ORDINALITY
    AS n (account_no, meter_id, kind, field, filters, starts, ends, from_batch, to_batch, ord)
)
SELECT s.ord,
       CASE s.kind WHEN 'count' THEN e.events - v.events
                   WHEN 'sum' THEN coalesce(e.total, 0) - v.total
                   ELSE CASE WHEN v.events = 0 THEN e.largest ELSE (
                       SELECT max(m.quantity) FROM usage_events m
                       WHERE m.account_no = s.account_no AND m.meter_id = s.meter_id
                         AND m.occurred_at >= s.starts AND m.occurred_at < s.ends
                         AND m.occurred_at >= $10 AND m.occurred_at < $11
                         AND m.batch_id > s.from_batch AND m.batch_id <= s.to_batch
                         AND NOT EXISTS (SELECT FROM event_voids x WHERE x.key = m.key AND x.batch_id <= s.to_batch)) END
       END AS quantity,
       e.events - v.events AS events,
       coalesce(e.hi, 0) # v.hi AS hi,
       coalesce(e.lo, 0) # v.lo AS lo
FROM slices s
CROSS JOIN LATERAL (
    SELECT count(*) AS events,
           sum(u.quantity) FILTER (WHERE s.kind = 'sum') AS total,
           max(u.quantity) FILTER (WHERE s.kind = 'max') AS largest,
           bit_xor(u.c_hi) AS hi, bit_xor(u.c_lo) AS lo
    FROM usage_events u
    WHERE u.account_no = s.account_no AND u.meter_id = s.meter_id
      AND u.occurred_at >= s.starts AND u.occurred_at < s.ends
      AND u.occurred_at >= $10 AND u.occurred_at < $11
      AND u.batch_id > s.from_batch AND u.batch_id <= s.to_batch
) e
CROSS JOIN LATERAL (
    SELECT count(*) AS events, coalesce(sum(x.quantity), 0) AS total,
           coalesce(bit_xor(x.c_hi), 0) AS hi, coalesce(bit_xor(x.c_lo), 0) AS lo
    FROM event_voids x
    WHERE x.account_no = s.account_no AND x.meter_id = s.meter_id
      AND x.occurred_at >= s.starts AND x.occurred_at < s.ends
      AND x.event_batch_id > s.from_batch AND x.event_batch_id <= s.to_batch AND x.batch_id <= s.to_batch
) v
WHERE NOT s.raw
UNION ALL
SELECT s.ord,
       CASE s.kind WHEN 'count' THEN e.events WHEN 'sum' THEN e.total WHEN 'max' THEN e.largest
                   WHEN 'unique' THEN e.items ELSE e.latest END,
       e.events, coalesce(e.hi, 0), coalesce(e.lo, 0)
FROM slices s
CROSS JOIN LATERAL (
    SELECT count(*) AS events, sum(r.value) AS total, max(r.value) AS largest,
           count(DISTINCT r.item) FILTER (WHERE s.kind = 'unique') AS items,
           (array_agg(r.value ORDER BY r.occurred_at DESC, r.batch_id DESC, r.position DESC)
               FILTER (WHERE s.kind = 'latest' AND r.value IS NOT NULL))[1] AS latest,
           bit_xor(r.c_hi) AS hi, bit_xor(r.c_lo) AS lo
    FROM (
        SELECT u.occurred_at, u.batch_id, u.position, u.c_hi, u.c_lo,
               CASE WHEN s.field IS NULL THEN u.quantity
                    WHEN jsonb_typeof(u.properties -> s.field) = 'number' THEN (u.properties ->> s.field)::numeric END AS value,
               CASE WHEN s.kind <> 'unique' THEN NULL
                    WHEN s.field IS NULL THEN to_jsonb(u.quantity) ELSE u.properties -> s.field END AS item
        FROM usage_events u
        WHERE u.account_no = s.account_no AND u.meter_id = s.meter_id
          AND u.occurred_at >= s.starts AND u.occurred_at < s.ends
          AND u.occurred_at >= $10 AND u.occurred_at < $11
          AND u.batch_id > s.from_batch AND u.batch_id <= s.to_batch
          AND NOT EXISTS (SELECT FROM event_voids x
                          WHERE x.account_no = s.account_no AND x.meter_id = s.meter_id
                            AND x.key = u.key AND x.batch_id <= s.to_batch)
          AND (s.filters IS NULL OR NOT EXISTS (
              SELECT FROM jsonb_array_elements(s.filters::jsonb) f
              WHERE NOT coalesce(f -> 'in' @> (u.properties -> (f ->> 'property')), false)))
    ) r
) e
WHERE s.raw
"""


async def aggregate(session: ReadSession, slices: Sequence[UsageSlice]) -> list[UsageTotal]:
    """The totals of any number of slices, in their order, by one statement. Nothing counted is zero.

    Index `ix_usage_events_account_no_meter_id_occurred_at` (with batch, digest and quantity included): each slice of count, sum
    or max is one index-only range within the partitions of its months, so its cost is that of its own events and not of the history
    (tested with EXPLAIN). The bounds of all slices together are bound beside those of each, so that the months outside are left out of
    the plan once and not per slice. unique, latest, properties and filters read the rows of the same range. Voids are few and have the same
    index; they are subtracted (XOR takes a digest out again) and only a maximum with voids in its range is read from the rows.
    """
    if not slices:
        return []
    rows = await session.fetch(_AGGREGATE, *_arguments(slices))
    totals: list[UsageTotal | None] = [None] * len(slices)
    for ord_, quantity, events, hi, lo in rows:
        totals[ord_ - 1] = UsageTotal(_decimal(quantity), events, whole(hi, lo))
    return [total for total in totals if total is not None]


def _arguments(slices: Sequence[UsageSlice]) -> list[Any]:
    return [
        [s.account_no for s in slices],
        [s.meter_id for s in slices],
        [s.aggregation for s in slices],
        [s.field for s in slices],
        [wire.dumps(parse_filters(s.filters)).decode() if s.filters else None for s in slices],
        [s.start for s in slices],
        [s.end for s in slices],
        [s.from_batch for s in slices],
        [s.to_batch for s in slices],
        min(s.start for s in slices),
        max(s.end for s in slices),
    ]


def _decimal(value: Decimal | int | None) -> Decimal:
    return Decimal(value) if value is not None else Decimal(0)


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


_EVENT = """e.key, e.source, e.event_id, e.account_no, e.meter_id, e.occurred_at, e.quantity, e.unit_price, e.properties, e.batch_id,
    e.position, e.c_hi, e.c_lo"""


async def events(
    session: ReadSession, slice_: UsageSlice, limit: int, after: tuple[datetime, int, int] | None = None
) -> list[StoredEvent]:
    """Events of a slice by time and arrival, from after `(occurred_at, batch, position)`; those void within the slice are left out.

    Filters are the slice's own. Index: the covering one gives the order by time; arrival is sorted within an instant.
    """
    at, batch, position = after or (slice_.start, 0, 0)
    rows = await session.fetch(
        f"""
        SELECT {_EVENT}, b.created_at AS received_at, NULL::bigint AS voided_by
        FROM usage_events e JOIN ingest_batches b ON b.id = e.batch_id
        WHERE e.account_no = $1 AND e.meter_id = $2 AND e.occurred_at >= $3 AND e.occurred_at < $4
          AND e.batch_id > $5 AND e.batch_id <= $6
          AND (e.occurred_at, e.batch_id, e.position) > ($7, $8, $9)
          AND NOT EXISTS (SELECT FROM event_voids x WHERE x.key = e.key AND x.batch_id <= $6)
          AND ($10::text IS NULL OR NOT EXISTS (
              SELECT FROM jsonb_array_elements($10::text::jsonb) f
              WHERE NOT coalesce(f -> 'in' @> (e.properties -> (f ->> 'property')), false)))
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
        wire.dumps(parse_filters(slice_.filters)).decode() if slice_.filters else None,
        limit,
    )
    return [_stored(row) for row in rows]


async def stored(session: ReadSession, keys: Sequence[bytes]) -> dict[bytes, StoredEvent]:
    """Accepted events by their 16-byte keys. Primary key of `event_keys`, then the covering index in one partition."""
    rows = await session.fetch(
        f"""
        SELECT {_EVENT}, b.created_at AS received_at, v.batch_id AS voided_by
        FROM event_keys k
        JOIN usage_events e
          ON e.account_no = k.account_no AND e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.key = k.key
        JOIN ingest_batches b ON b.id = e.batch_id
        LEFT JOIN event_voids v ON v.key = k.key
        WHERE k.key = ANY($1)
        """,
        [UUID(bytes=key) for key in keys],
    )
    found = [_stored(row) for row in rows]
    return {event.key: event for event in found}


def _stored(row: Record) -> StoredEvent:
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
