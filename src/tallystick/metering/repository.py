"""Write side of metering: events, voids, the seal, partitions. One named statement per function."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from tallystick.metering.counting.queries import KEEP_UNITS, slice_arguments, statement_for
from tallystick.metering.domain.carried import scope
from tallystick.metering.domain.slices import UsageSlice, UsageTotal
from tallystick.platform import wire
from tallystick.platform.db import ReadSession, Record, Session

# The columns pass through `given`, so that their length never reaches the planner: one generic plan, made once per connection, serves
# one event and ten thousand. `sent` and `fresh` meet by hash; `event_keys` and `usage_events` are only inserted into.
_INGEST = """
WITH started AS MATERIALIZED (SELECT pg_current_xact_id() AS xid),
given AS MATERIALIZED (
    SELECT $1::uuid[] AS key, $2::bigint[] AS account_no, $3::int[] AS meter_id, $4::timestamptz[] AS occurred_at,
           $5::bigint[] AS c_hi, $6::bigint[] AS c_lo, $7::text[] AS event_id, $8::text[] AS quantity, $9::text[] AS unit_price,
           $10::text[] AS properties, $11::text[] AS source
),
batch AS (
    INSERT INTO ingest_batches (id, xid, received, principals, request_id, first_at)
    SELECT nextval('ingest_batch_ids'), started.xid::text::bigint, cardinality(given.key), $12, $13,
           (SELECT min(at) FROM unnest(given.occurred_at) at)
    FROM started, given
    RETURNING id, received
),
sent AS MATERIALIZED (
    SELECT n.* FROM given CROSS JOIN LATERAL unnest(given.key, given.account_no, given.meter_id, given.occurred_at, given.c_hi,
        given.c_lo, given.event_id, given.quantity, given.unit_price, given.properties, given.source) WITH ORDINALITY
    AS n (key, account_no, meter_id, occurred_at, c_hi, c_lo, event_id, quantity, unit_price, properties, source, position)
),
fresh AS (
    INSERT INTO event_keys (key, account_no, occurred_at, meter_id)
    SELECT key, account_no, occurred_at, meter_id FROM sent ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING key
),
written AS (
    INSERT INTO usage_events (account_no, occurred_at, batch_id, c_hi, c_lo, key, meter_id, position, quantity, unit_price,
                              source, event_id, properties)
    SELECT sent.account_no, sent.occurred_at, batch.id, sent.c_hi, sent.c_lo, sent.key, sent.meter_id, sent.position,
           coalesce(sent.quantity, '1')::numeric, nullif(sent.unit_price, '')::numeric, coalesce(sent.source, $14),
           sent.event_id, nullif(sent.properties, '')::jsonb
    FROM batch, sent JOIN fresh USING (key)
    RETURNING 1
)
SELECT batch.id,
       CASE WHEN (SELECT count(*) FROM fresh) < batch.received
            THEN ARRAY(SELECT sent.key FROM sent WHERE sent.key NOT IN (SELECT key FROM fresh)) END AS taken
FROM batch
"""


async def insert_events(
    session: Session, columns: Sequence[Sequence[Any]], principals: list[str], request_id: str, source: str
) -> Record:
    """Batch row, keys and events in one statement: the batch's id, and the keys that were taken already (None when none was).

    `columns` as `sent` names them. The last four may be empty where all events have the default: quantity 1, no price, no
    properties, `source`; what is not sent is not encoded. The xid is assigned before `nextval`: the sealer's proof rests on it. Keys
    are inserted in their order, so that two batches with common keys wait for each other in one order and never deadlock; none may
    stand twice. Index: the primary keys of `event_keys`.
    """
    row = await session.fetchrow(_INGEST, *columns, principals, request_id, source)
    assert row is not None, "the batch row is always written"
    return row


async def insert_void(
    session: Session, key: UUID, *, principal: str, request_id: str, reason: str, voided_at: datetime
) -> int | None:
    """Records that an event counts no more, as a batch of its own. None where it was voided before, or is not there."""
    batch: int | None = await session.fetchval(
        """
        WITH started AS MATERIALIZED (SELECT pg_current_xact_id() AS xid),
        event AS (
            SELECT e.* FROM event_keys k JOIN usage_events e
                ON e.account_no = k.account_no AND e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.key = k.key
            WHERE k.key = $1
        ),
        batch AS (
            INSERT INTO ingest_batches (id, xid, received, principals, request_id)
            SELECT nextval('ingest_batch_ids'), started.xid::text::bigint, 0, ARRAY[$2::text], $3 FROM started
            RETURNING id
        )
        INSERT INTO event_voids (key, account_no, meter_id, occurred_at, event_batch_id, batch_id, c_hi, c_lo, quantity, unit_price,
                                 reason, voided_at)
        SELECT event.key, event.account_no, event.meter_id, event.occurred_at, event.batch_id, batch.id, event.c_hi, event.c_lo,
               event.quantity, event.unit_price, $4, $5
        FROM event, batch
        ON CONFLICT (key) DO NOTHING
        RETURNING batch_id
        """,
        key,
        principal,
        request_id,
        reason,
        voided_at,
    )
    return batch


async def insert_levels(session: Session, slices: Sequence[UsageSlice], totals: Sequence[UsageTotal]) -> None:
    """Stores what recurring counts, sums and weighted sums had at the end of their slices; one that is stored is left as it is."""
    await session.execute(
        """
        INSERT INTO meter_states (account_no, meter_id, scope, at, to_batch, levels)
        SELECT account_no, meter_id, scope, at, to_batch, levels::jsonb
        FROM unnest($1::bigint[], $2::int[], $3::bytea[], $4::timestamptz[], $5::bigint[], $6::text[])
            AS n (account_no, meter_id, scope, at, to_batch, levels)
        ORDER BY account_no, meter_id, scope, at, to_batch
        ON CONFLICT (account_no, meter_id, scope, at, to_batch) DO NOTHING
        """,
        [each.account_no for each in slices],
        [each.meter_id for each in slices],
        [scope(each) for each in slices],
        [each.end for each in slices],
        [each.to_batch for each in slices],
        [
            wire.dumps([[part, str(level)] for part, level in each.closing.items()]).decode()
            for each in totals
        ],
    )


async def insert_units(session: Session, slices: Sequence[UsageSlice]) -> None:
    """Stores the units that recurring unique meters had at the end of their slices; a state that is stored is left as it is.

    The units never leave the database: the state before, and the last event of each unit since, decide.
    """
    await session.execute(statement_for(KEEP_UNITS, slices), *slice_arguments(slices))


async def promote_seal(session: Session) -> None:
    """Moves `sealed_to` up to the candidate where every transaction that could hold an earlier batch has ended.

    Another sealer's change is waited for, and the condition looked at again on what it left.
    """
    await session.execute(
        """
        UPDATE metering_seal SET sealed_to = next_to, next_to = NULL, next_xid = NULL
        WHERE next_xid <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        """
    )


async def last_batch(session: ReadSession) -> int:
    """The last batch id handed out, committed or not. Sequences are outside transactions: this is the present, not a snapshot."""
    value: int = await session.fetchval(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ingest_batch_ids"
    )
    return value


async def propose_seal(session: Session, to_batch: int) -> None:
    """Notes a candidate with this transaction's xid. Every batch up to `to_batch` got its xid earlier, hence a smaller one."""
    await session.execute(
        "UPDATE metering_seal SET next_to = $1, next_xid = pg_current_xact_id()::text::bigint WHERE next_to IS NULL AND sealed_to < $1",
        to_batch,
    )


async def lock_partitions(session: Session) -> None:
    """One maker of partitions at a time, until this transaction ends."""
    await session.fetchval("SELECT pg_advisory_xact_lock(728611002)")


async def attach_month(session: Session, month: date, after: date) -> None:
    """Makes the partition `[month, after)`. Made apart and then attached: that lock lets inserts into other months go on."""
    name = f"usage_partitions.usage_events_{month:%Y_%m}"
    await session.execute(f"CREATE TABLE {name} (LIKE usage_events INCLUDING ALL)")
    await session.execute(
        f"ALTER TABLE {name} SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)"
    )
    await session.execute(
        f"ALTER TABLE usage_events ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{month} 00:00:00+00') TO ('{after} 00:00:00+00')"
    )
