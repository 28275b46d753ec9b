"""The statements that count. Which one a slice goes to is decided by `counting.routes`; each takes any number of slices.

They give sums, counts, integrals and ordered values, never a quotient: what is divided is divided once, in Python, as a fraction.
"""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tallystick.metering.domain.admission import EARLIEST
from tallystick.metering.domain.carried import scope
from tallystick.metering.domain.slices import OPERATION, Part, State, StateRef, UsageSlice, conditions
from tallystick.platform import wire
from tallystick.platform.db import ReadSession, Record

_SIMPLE = """
WITH slices AS MATERIALIZED (
    SELECT *, kind = 'latest' OR field IS NOT NULL OR filters IS NOT NULL AS raw
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
                         AND m.batch_id + 0 > s.from_batch AND m.batch_id + 0 <= s.to_batch
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
      AND u.batch_id + 0 > s.from_batch AND u.batch_id + 0 <= s.to_batch
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
       CASE s.kind WHEN 'count' THEN e.events WHEN 'sum' THEN e.total WHEN 'max' THEN e.largest ELSE e.latest END,
       e.events, coalesce(e.hi, 0), coalesce(e.lo, 0)
FROM slices s
CROSS JOIN LATERAL (
    SELECT count(*) AS events, sum(r.value) AS total, max(r.value) AS largest,
           (array_agg(r.value ORDER BY r.occurred_at DESC, r.batch_id DESC, r.position DESC)
               FILTER (WHERE s.kind = 'latest' AND r.value IS NOT NULL))[1] AS latest,
           bit_xor(r.c_hi) AS hi, bit_xor(r.c_lo) AS lo
    FROM (
        SELECT u.occurred_at, u.batch_id, u.position, u.c_hi, u.c_lo,
               CASE WHEN s.field IS NULL THEN u.quantity
                    WHEN jsonb_typeof(u.properties -> s.field) = 'number' THEN (u.properties ->> s.field)::numeric END AS value
        FROM usage_events u
        WHERE u.account_no = s.account_no AND u.meter_id = s.meter_id
          AND u.occurred_at >= s.starts AND u.occurred_at < s.ends
          AND u.occurred_at >= $10 AND u.occurred_at < $11
          AND u.batch_id + 0 > s.from_batch AND u.batch_id + 0 <= s.to_batch
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

_SLICES = """
WITH slices AS MATERIALIZED (
    SELECT account_no, meter_id, kind, field, filters::jsonb AS filters, ARRAY(SELECT jsonb_array_elements_text(split_by::jsonb)) AS split_by,
           percentile, ordered, since, starts, ends, days::timestamptz[] AS days, from_batch, to_batch, scope, state_at, state_batch, ord,
           EXISTS (SELECT FROM event_voids x WHERE x.account_no = n.account_no AND x.meter_id = n.meter_id AND x.occurred_at >= n.since
                   AND x.occurred_at < n.ends AND x.batch_id <= n.to_batch) AS voided,
           kind = 'min' AS least, kind = 'weighted_sum' AS weighted, kind = 'average' OR scope IS NOT NULL AS summed
    FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::boolean[], $9::timestamptz[],
                $10::timestamptz[], $11::timestamptz[], $12::text[], $13::bigint[], $14::bigint[], $15::bytea[], $16::timestamptz[],
                $17::bigint[]) WITH ORDINALITY
    AS n (account_no, meter_id, kind, field, filters, split_by, percentile, ordered, since, starts, ends, days, from_batch, to_batch,
          scope, state_at, state_batch, ord)
)
"""

# Batches are compared as `batch_id + 0`, so that their own index, which finds what arrived lately, is never taken for a slice of a period:
# the covering index holds the batch beside each event.
# One event of a slice, void ones left out: where it falls, whether it is evidence (what came before a recurring slice is not), its
# value, the unit it names, and what it does to a level. A unit is text, as jsonb writes it: equal values are written equally, because
# numbers are stored in one spelling, and texts meet faster. Voids are looked for only where a slice has any, parts only where it is split.
_PLAIN_EVENTS = f"""
    SELECT u.occurred_at, u.batch_id, u.position, u.occurred_at >= s.starts AS inside,
           CASE WHEN u.occurred_at >= s.starts THEN u.c_hi ELSE 0 END AS c_hi,
           CASE WHEN u.occurred_at >= s.starts THEN u.c_lo ELSE 0 END AS c_lo, u.c_hi AS every_hi, u.c_lo AS every_lo, u.unit_price,
           CASE WHEN s.kind = 'count' THEN CASE WHEN s.scope IS NOT NULL AND u.properties ->> '{OPERATION}' = 'remove' THEN -1 ELSE 1 END
                WHEN s.field IS NULL THEN u.quantity
                WHEN jsonb_typeof(u.properties -> s.field) = 'number' THEN (u.properties ->> s.field)::numeric END AS value,
           (CASE WHEN s.field IS NULL THEN to_jsonb(u.quantity) ELSE u.properties -> s.field END)::text COLLATE "C" AS item,
           u.properties ->> '{OPERATION}' IS DISTINCT FROM 'remove' AS adds,
           '{{}}'::text[] AS part
    FROM usage_events u
    WHERE u.account_no = s.account_no AND u.meter_id = s.meter_id
      AND u.occurred_at >= s.since AND u.occurred_at < s.ends AND u.occurred_at >= $18 AND u.occurred_at < $19
      AND u.batch_id + 0 > s.from_batch AND u.batch_id + 0 <= s.to_batch
      AND (NOT s.voided OR NOT EXISTS (
          SELECT FROM event_voids x
          WHERE x.account_no = s.account_no AND x.meter_id = s.meter_id AND x.key = u.key AND x.batch_id <= s.to_batch))
      AND (s.filters IS NULL OR NOT EXISTS (
          SELECT FROM jsonb_array_elements(s.filters) f
          WHERE NOT coalesce(f -> 'in' @> (u.properties -> (f ->> 'property')), false)))
"""
_SPLIT_EVENTS = _PLAIN_EVENTS.replace(
    "'{}'::text[] AS part",
    "ARRAY(SELECT u.properties ->> p.name FROM unnest(s.split_by) WITH ORDINALITY AS p (name, n) ORDER BY p.n) AS part",
)
_EVENTS = "/* events */"


def _both(statement: str) -> tuple[str, str]:
    """The statement over slices, for those that are not split and for those that are."""
    assert _EVENTS in statement
    return _SLICES + statement.replace(_EVENTS, _PLAIN_EVENTS), _SLICES + statement.replace(
        _EVENTS, _SPLIT_EVENTS
    )


def _even(recurring: bool) -> str:
    """Plain min, average and weighted sum. What asks where an event lies to the start is there for recurring slices only."""
    inside = "FILTER (WHERE {}.occurred_at >= s.starts)" if recurring else ""
    before = "coalesce(sum({0}.quantity) FILTER (WHERE {0}.occurred_at < s.starts), 0)" if recurring else "0"
    moment = "greatest({}.occurred_at, s.starts)" if recurring else "{}.occurred_at"
    return f"""{_SLICES}
SELECT s.ord,
       CASE WHEN NOT s.least THEN NULL WHEN v.events = 0 THEN e.smallest ELSE (
           SELECT min(m.quantity) FROM usage_events m
           WHERE m.account_no = s.account_no AND m.meter_id = s.meter_id AND m.occurred_at >= s.since AND m.occurred_at < s.ends
             AND m.occurred_at >= $18 AND m.occurred_at < $19 AND m.batch_id + 0 > s.from_batch AND m.batch_id + 0 <= s.to_batch
             AND NOT EXISTS (SELECT FROM event_voids x
                             WHERE x.account_no = s.account_no AND x.meter_id = s.meter_id AND x.key = m.key AND x.batch_id <= s.to_batch))
       END AS smallest,
       e.total - v.total AS total, e.before - v.before AS before, e.integral - v.integral AS integral,
       e.events - v.events AS events, e.hi # v.hi AS hi, e.lo # v.lo AS lo
FROM slices s
CROSS JOIN LATERAL (
    SELECT count(*) {inside.format("u")} AS events,
           min(u.quantity) FILTER (WHERE s.least) AS smallest,
           coalesce(sum(u.quantity) FILTER (WHERE s.summed), 0) AS total,
           {before.format("u")} AS before,
           coalesce(sum(u.quantity * extract(epoch FROM s.ends - {moment.format("u")})) FILTER (WHERE s.weighted), 0) AS integral,
           coalesce(bit_xor(u.c_hi) {inside.format("u")}, 0) AS hi, coalesce(bit_xor(u.c_lo) {inside.format("u")}, 0) AS lo
    FROM usage_events u
    WHERE u.account_no = s.account_no AND u.meter_id = s.meter_id
      AND u.occurred_at >= s.since AND u.occurred_at < s.ends AND u.occurred_at >= $18 AND u.occurred_at < $19
      AND u.batch_id + 0 > s.from_batch AND u.batch_id + 0 <= s.to_batch
) e
CROSS JOIN LATERAL (
    SELECT count(*) {inside.format("x")} AS events, coalesce(sum(x.quantity) FILTER (WHERE s.summed), 0) AS total,
           {before.format("x")} AS before,
           coalesce(sum(x.quantity * extract(epoch FROM s.ends - {moment.format("x")})), 0) AS integral,
           coalesce(bit_xor(x.c_hi) {inside.format("x")}, 0) AS hi, coalesce(bit_xor(x.c_lo) {inside.format("x")}, 0) AS lo
    FROM event_voids x
    WHERE x.account_no = s.account_no AND x.meter_id = s.meter_id AND x.occurred_at >= s.since AND x.occurred_at < s.ends
      AND x.event_batch_id > s.from_batch AND x.event_batch_id <= s.to_batch AND x.batch_id <= s.to_batch
) v
"""


EVEN = _even(recurring=False), _even(recurring=True)
"""The statement of `even` for slices of which none is recurring, and for others."""

_PARTS = _both(f"""
SELECT s.ord, e.* FROM slices s
CROSS JOIN LATERAL (
    SELECT r.part, count(*) FILTER (WHERE r.inside) AS events, bit_xor(r.c_hi) AS hi, bit_xor(r.c_lo) AS lo,
           count(r.value) FILTER (WHERE r.inside) AS measured, sum(r.value) AS total,
           sum(r.value) FILTER (WHERE NOT r.inside) AS before, max(r.value) AS largest, min(r.value) AS smallest,
           sum(r.value * r.unit_price) AS priced,
           sum(r.value * extract(epoch FROM s.ends - greatest(r.occurred_at, s.starts)))
               FILTER (WHERE s.kind = 'weighted_sum') AS integral,
           (array_agg(r.value ORDER BY r.occurred_at DESC, r.batch_id DESC, r.position DESC)
               FILTER (WHERE s.kind = 'latest' AND r.value IS NOT NULL))[1] AS latest,
           (array_agg(r.value ORDER BY r.value) FILTER (WHERE s.kind = 'percentile' AND r.value IS NOT NULL))
               [(s.percentile * count(r.value) + 99) / 100] AS ranked,
           array_agg(r.value ORDER BY r.occurred_at, r.batch_id, r.position) FILTER (WHERE s.ordered AND r.value IS NOT NULL) AS values
    FROM ({_EVENTS}) r
    GROUP BY r.part
) e
""")

# Twice grouped: equal values meet in a hash first, so that nothing the size of the events is sorted.
_UNIQUE = _both(f"""
SELECT s.ord, e.* FROM slices s
CROSS JOIN LATERAL (
    SELECT g.part, count(g.item) AS total, sum(g.events)::bigint AS events, bit_xor(g.hi) AS hi, bit_xor(g.lo) AS lo
    FROM (SELECT r.part, r.item, count(*) AS events, bit_xor(r.every_hi) AS hi, bit_xor(r.every_lo) AS lo
          FROM ({_EVENTS}) r GROUP BY r.part, r.item) g
    GROUP BY g.part
) e
""")

_DAYS = _both(f"""
SELECT s.ord, e.* FROM slices s
CROSS JOIN LATERAL (
    SELECT i.part, i.day, sum(i.change) AS net, max(i.running) AS peak, bool_or(i.at = s.days[i.day]) AS at_start,
           sum(i.events)::bigint AS events, bit_xor(i.hi) AS hi, bit_xor(i.lo) AS lo
    FROM (
        SELECT t.*, sum(t.change) OVER (PARTITION BY t.part, t.day ORDER BY t.at) AS running
        FROM (
            SELECT r.part, CASE WHEN r.inside THEN r.occurred_at END AS at,
                   CASE WHEN r.inside THEN width_bucket(r.occurred_at, s.days) ELSE 0 END AS day,
                   coalesce(sum(r.value), 0) AS change, count(*) FILTER (WHERE r.inside) AS events,
                   bit_xor(r.c_hi) AS hi, bit_xor(r.c_lo) AS lo
            FROM ({_EVENTS}) r GROUP BY 1, 2, 3
        ) t
    ) i
    GROUP BY i.part, i.day
) e
""")

# A unit is active from an instant whose last event adds it to the next instant with an event of it. Spans of one unit may share a
# day; `counted` is the last day that earlier spans have.
_CARRIED_UNITS = """
    SELECT ARRAY(SELECT jsonb_array_elements_text(c.unit -> 0)) AS part, (c.unit -> 1)::text COLLATE "C" AS item
    FROM meter_states m CROSS JOIN LATERAL jsonb_array_elements(m.units) AS c (unit)
    WHERE m.account_no = s.account_no AND m.meter_id = s.meter_id AND m.scope = s.scope AND m.at = s.state_at
      AND m.to_batch = s.state_batch
"""
_UNITS = _both(f"""
SELECT s.ord, e.* FROM slices s
CROSS JOIN LATERAL (
    WITH r AS MATERIALIZED ({_EVENTS}),
    held AS (
        SELECT part, item FROM (
            SELECT DISTINCT ON (part, item) part, item, adds FROM (
                SELECT part, item, adds, occurred_at, batch_id, position FROM r WHERE NOT inside AND item IS NOT NULL
                UNION ALL SELECT part, item, true, '-infinity', 0, 0 FROM ({_CARRIED_UNITS}) c
            ) b ORDER BY part, item, occurred_at DESC, batch_id DESC, position DESC
        ) l WHERE adds
    ),
    changes AS (
        SELECT DISTINCT ON (part, item, at) part, item, at, adds FROM (
            SELECT part, item, occurred_at AS at, adds, batch_id, position FROM r WHERE inside AND item IS NOT NULL
            UNION ALL SELECT part, item, s.starts, true, -1, 0 FROM held
        ) o ORDER BY part, item, at, batch_id DESC, position DESC
    ),
    spans AS (
        SELECT part, item, at, adds, lead(at, 1, s.ends) OVER (PARTITION BY part, item ORDER BY at) AS until FROM changes
    ),
    days AS (
        SELECT part, item, at, width_bucket(at, s.days) AS first,
               least(width_bucket(until - interval '1 microsecond', s.days), cardinality(s.days) - 1) AS last
        FROM spans WHERE adds
    ),
    counted AS (
        SELECT part, first, last,
               max(last) OVER (PARTITION BY part, item ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS counted
        FROM days
    )
    SELECT part, sum(greatest(0, last - greatest(first, coalesce(counted, 0) + 1) + 1))::bigint AS unit_days, 0::bigint AS held,
           0::bigint AS events, 0::bigint AS hi, 0::bigint AS lo
    FROM counted GROUP BY part
    UNION ALL SELECT part, 0, count(*), 0, 0, 0 FROM held GROUP BY part
    UNION ALL SELECT part, 0, 0, count(*), bit_xor(c_hi), bit_xor(c_lo) FROM r WHERE inside GROUP BY part
) e
""")


_BY_DAY = _both(f"""
SELECT s.ord, e.* FROM slices s
CROSS JOIN LATERAL (
    SELECT r.part, (r.occurred_at AT TIME ZONE $20)::date AS day, coalesce(sum(r.value), 0) AS quantity, count(*) AS events
    FROM ({_EVENTS}) r WHERE r.inside GROUP BY 1, 2
) e
ORDER BY s.ord, e.day
""")

KEEP_UNITS = _both(f"""
INSERT INTO meter_states (account_no, meter_id, scope, at, to_batch, levels, units)
SELECT s.account_no, s.meter_id, s.scope, s.ends, s.to_batch, e.levels, e.units FROM slices s
CROSS JOIN LATERAL (
    WITH held AS (
        SELECT part, item FROM (
            SELECT DISTINCT ON (part, item) part, item, adds FROM (
                SELECT part, item, adds, occurred_at, batch_id, position FROM ({_EVENTS}) r WHERE item IS NOT NULL
                UNION ALL SELECT part, item, true, '-infinity', 0, 0 FROM ({_CARRIED_UNITS}) c
            ) b ORDER BY part, item, occurred_at DESC, batch_id DESC, position DESC
        ) l WHERE adds
    )
    SELECT coalesce((SELECT jsonb_agg(jsonb_build_array(to_jsonb(part), held) ORDER BY part)
                     FROM (SELECT part, count(*)::text AS held FROM held GROUP BY part) p), '[]') AS levels,
           coalesce((SELECT jsonb_agg(jsonb_build_array(to_jsonb(part), item::jsonb) ORDER BY part, item) FROM held), '[]') AS units
) e
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (account_no, meter_id, scope, at, to_batch) DO NOTHING
""")
"""Run by `repository.insert_units`; it stands here beside what it is made of."""


async def simple(session: ReadSession, slices: Sequence[UsageSlice]) -> list[Record]:
    """count, sum, max and latest, unsplit: one row a slice.

    Index `ix_usage_events_account_no_meter_id_occurred_at` (with batch, digest and quantity included): each slice of count, sum
    or max is one index-only range within the partitions of its months, so its cost is that of its own events and not of the history
    (tested with EXPLAIN). The bounds of all slices together are bound beside those of each, so that the months outside are left out of
    the plan once and not per slice. latest, properties and filters read the rows of the same range. Voids are few and have the same
    index; they are subtracted (XOR takes a digest out again) and only a maximum with voids in its range is read from the rows.
    """
    return await session.fetch(_SIMPLE, *_plain_arguments(slices))


def statement_for(both: tuple[str, str], slices: Sequence[UsageSlice]) -> str:
    """Of a statement's two forms the one that serves these slices."""
    return both[any(each.group_by or each.dimensions for each in slices)]


async def _fetch(session: ReadSession, both: tuple[str, str], slices: Sequence[UsageSlice]) -> list[Record]:
    return await session.fetch(statement_for(both, slices), *slice_arguments(slices))


async def even(session: ReadSession, slices: Sequence[UsageSlice]) -> list[Record]:
    """min, average and weighted sum of the events' quantities, unsplit and unfiltered: one row a slice.

    The covering index alone, as for sums; voids are subtracted, and only a least value with voids in its range is read from the rows.
    """
    return await session.fetch(EVEN[any(each.recurring for each in slices)], *slice_arguments(slices))


async def parts(session: ReadSession, slices: Sequence[UsageSlice]) -> list[Record]:
    """Any aggregation but unique, one row for each part that has events. Reads the rows of the slice's own index range."""
    return await _fetch(session, _PARTS, slices)


async def unique(session: ReadSession, slices: Sequence[UsageSlice]) -> list[Record]:
    """How many different values each part has; rows as `parts`."""
    return await _fetch(session, _UNIQUE, slices)


async def days(session: ReadSession, slices: Sequence[UsageSlice]) -> list[Record]:
    """What each day with events did to the level of a recurring count or sum: a row for each part and day; day 0 is before the start."""
    return await _fetch(session, _DAYS, slices)


async def units(session: ReadSession, slices: Sequence[UsageSlice]) -> list[Record]:
    """Unit-days of recurring unique meters, the units held at the start and the evidence: rows of each part, to be added up."""
    return await _fetch(session, _UNITS, slices)


async def by_day_and_part(
    session: ReadSession, slices: Sequence[UsageSlice], timezone: str
) -> list[tuple[int, Part, date, Decimal, int]]:
    """(place of the slice, part, local date, sum of the values, events) of each part and day with events, in order of time."""
    if not slices:
        return []
    rows = await session.fetch(statement_for(_BY_DAY, slices), *slice_arguments(slices), timezone)
    return [(row["ord"] - 1, tuple(row["part"]), row["day"], row["quantity"], row["events"]) for row in rows]


async def states(session: ReadSession, slices: Sequence[UsageSlice]) -> list[State | None]:
    """For each recurring slice the last stored state that is neither after its start nor of later batches; None: none was stored.

    The unique index of `meter_states`, read backwards to its first fit.
    """
    rows = await session.fetch(
        """
        SELECT s.ord, m.at, m.to_batch, m.levels
        FROM unnest($1::bigint[], $2::int[], $3::bytea[], $4::timestamptz[], $5::bigint[]) WITH ORDINALITY
            AS s (account_no, meter_id, scope, starts, to_batch, ord)
        CROSS JOIN LATERAL (
            SELECT m.at, m.to_batch, m.levels FROM meter_states m
            WHERE m.account_no = s.account_no AND m.meter_id = s.meter_id AND m.scope = s.scope AND m.at <= s.starts
              AND m.to_batch <= s.to_batch
            ORDER BY m.at DESC, m.to_batch DESC LIMIT 1
        ) m
        """,
        *_keys(slices),
        [each.start for each in slices],
        [each.to_batch for each in slices],
    )
    return _placed(rows, len(slices))


async def states_named(
    session: ReadSession, slices: Sequence[UsageSlice], refs: Sequence[StateRef]
) -> list[State | None]:
    """The very states that lines began from, None where one is missing (unique index of `meter_states`)."""
    rows = await session.fetch(
        """
        SELECT s.ord, m.at, m.to_batch, m.levels
        FROM unnest($1::bigint[], $2::int[], $3::bytea[], $4::timestamptz[], $5::bigint[]) WITH ORDINALITY
            AS s (account_no, meter_id, scope, at, to_batch, ord)
        JOIN meter_states m USING (account_no, meter_id, scope, at, to_batch)
        """,
        *_keys(slices),
        [ref.at for ref in refs],
        [ref.to_batch for ref in refs],
    )
    return _placed(rows, len(slices))


def _plain_arguments(slices: Sequence[UsageSlice]) -> list[Any]:
    return [
        [s.account_no for s in slices],
        [s.meter_id for s in slices],
        [s.aggregation for s in slices],
        [s.field for s in slices],
        [wire.dumps(conditions(s)).decode() if s.filters or s.also else None for s in slices],
        [s.start for s in slices],
        [s.end for s in slices],
        [s.from_batch for s in slices],
        [s.to_batch for s in slices],
        min(s.start for s in slices),
        max(s.end for s in slices),
    ]


def _keys(slices: Sequence[UsageSlice]) -> list[list[Any]]:
    return [
        [each.account_no for each in slices],
        [each.meter_id for each in slices],
        [scope(each) for each in slices],
    ]


def _placed(rows: Sequence[Record], count: int) -> list[State | None]:
    found: list[State | None] = [None] * count
    for ord_, at, to_batch, levels in rows:
        by_part: dict[Part, Fraction] = {tuple(part): Fraction(level) for part, level in levels}
        found[ord_ - 1] = State(StateRef(at, to_batch), by_part)
    return found


def slice_arguments(slices: Sequence[UsageSlice]) -> list[Any]:
    """The parameters of `_SLICES`, and the bounds of all slices together, which leave the months outside out of the plan."""
    wanted = [conditions(each) for each in slices]
    begins = [each.since or EARLIEST for each in slices]
    return [
        [each.account_no for each in slices],
        [each.meter_id for each in slices],
        [each.aggregation for each in slices],
        [each.field for each in slices],
        [wire.dumps(each).decode() if each else None for each in wanted],
        [wire.dumps(each.split_by).decode() for each in slices],
        [each.percentile for each in slices],
        [each.need == "values" for each in slices],
        begins,
        [each.start for each in slices],
        [each.end for each in slices],
        ["{" + ",".join(day.isoformat() for day in each.days) + "}" for each in slices],
        [each.from_batch for each in slices],
        [each.to_batch for each in slices],
        [scope(each) if each.recurring else None for each in slices],
        [each.base.ref.at if each.base else None for each in slices],
        [each.base.ref.to_batch if each.base else None for each in slices],
        min(begins),
        max(each.end for each in slices),
    ]
