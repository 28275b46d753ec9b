"""Write side of corrections: the sweep, its marks, corrections on credit notes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tallystick.invoicing.domain.draft import Line
from tallystick.platform.db import ReadSession, Session

_LOCK = 728611003
_BATCHES = 10_000
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


async def keep_sweep_away(session: Session) -> int:
    """Until this transaction ends nothing more is looked at; gives the batch up to which all was. Bills do not keep each other away."""
    await session.fetchval("SELECT pg_advisory_xact_lock_shared($1)", _LOCK)
    return await swept_to(session)


async def keep_bills_away(session: Session, *, wait: bool) -> bool:
    """No bill is under way until this transaction ends. Without `wait`, False where one is."""
    if not wait:
        return bool(await session.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK))
    await session.fetchval("SELECT pg_advisory_xact_lock($1)", _LOCK)
    return True


async def swept_to(session: ReadSession) -> int:
    """All batches up to here were looked at (one row)."""
    value: int = await session.fetchval("SELECT swept_to FROM late_sweep WHERE id = 1")
    return value


@dataclass(frozen=True, slots=True)
class Following:
    """What the sweep looks at next: up to which batch, which of these may hold something late, and between which instants."""

    upto: int
    batches: list[int]
    span: tuple[datetime, datetime]


async def next_sweep(session: Session, after: int, to_batch: int, events: int) -> Following | None:
    """About `events` events at most (primary key of ingest_batches); None where nothing is left.

    A batch whose first event lies behind all that was ever billed is passed over.
    """
    if to_batch <= after:
        return None
    row = await session.fetchrow(
        """
        WITH billed AS (
            SELECT greatest((SELECT max(usage_billed_to) FROM accounts), (SELECT max(usage_billed_to) FROM subscriptions)) AS latest
        ),
        near AS (
            SELECT id, received, first_at, sum(received) OVER (ORDER BY id) - received AS before
            FROM (SELECT * FROM ingest_batches WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $4) b
        )
        SELECT CASE WHEN count(*) < $4 AND coalesce(bool_and(before < $3), true) THEN $2
                    ELSE max(id) FILTER (WHERE before < $3) END AS upto,
               array_agg(id) FILTER (WHERE before < $3 AND received > 0 AND coalesce(first_at < latest, true)) AS batches,
               min(coalesce(first_at, '1970-01-01Z')) FILTER (WHERE before < $3 AND received > 0) AS first_at,
               (SELECT latest FROM billed) AS latest
        FROM near, billed
        """,
        after, to_batch, events, _BATCHES,
    )  # fmt: skip
    assert row is not None, "an aggregate is always one row"
    return Following(row["upto"], row["batches"] or [], (row["first_at"] or _EVER, row["latest"] or _EVER))


async def mark_late(
    session: Session, batches: Sequence[int], span: tuple[datetime, datetime], voids: tuple[int, int]
) -> int:
    """Marks what of these batches' events, and of the voids after the first batch and up to the second, falls into what is billed.

    ix_usage_events_batch_id within the months of `span`, ix_event_voids_batch_id; coverage by primary key and ix_subscriptions_account_no. A
    mark that is there is widened.
    """
    return await session.execute(
        """
        WITH arrived AS (
            SELECT account_no, meter_id, occurred_at, batch_id, unit_price FROM usage_events
            WHERE batch_id = ANY($1::bigint[]) AND occurred_at >= $2 AND occurred_at < $3
            UNION ALL
            SELECT account_no, meter_id, occurred_at, batch_id, unit_price FROM event_voids WHERE batch_id > $4 AND batch_id <= $5
        ),
        days AS MATERIALIZED (
            SELECT account_no, meter_id, (occurred_at AT TIME ZONE 'UTC')::date AS day, min(occurred_at) AS first_at,
                   max(occurred_at) AS last_at, max(batch_id) AS last_batch, bool_or(unit_price IS NOT NULL) AS priced
            FROM arrived GROUP BY 1, 2, 3
        )
        INSERT INTO late_usage AS m (account_no, meter_id, day, first_at, last_at, last_batch)
        SELECT d.account_no, d.meter_id, d.day, d.first_at, d.last_at, d.last_batch FROM days d
        WHERE (d.priced AND EXISTS (SELECT FROM accounts a WHERE a.no = d.account_no AND d.first_at < a.usage_billed_to))
           OR EXISTS (SELECT FROM subscriptions s JOIN plan_charges c ON c.plan_version_id = s.plan_version_id
                      WHERE s.account_no = d.account_no AND c.meter_id = d.meter_id AND d.last_at >= s.anchor
                        AND d.first_at < least(s.usage_billed_to, s.ended_at))
        ORDER BY 1, 2, 3
        ON CONFLICT (account_no, meter_id, day) DO UPDATE SET first_at = least(m.first_at, excluded.first_at),
            last_at = greatest(m.last_at, excluded.last_at), last_batch = greatest(m.last_batch, excluded.last_batch)
        """,
        list(batches), *span, *voids,
    )  # fmt: skip


async def set_swept(session: Session, to_batch: int) -> None:
    """All up to this batch was looked at."""
    await session.execute("UPDATE late_sweep SET swept_to = $1 WHERE id = 1 AND swept_to < $1", to_batch)


async def mark_again(session: Session, rows: Sequence[tuple[int, int, datetime, datetime]]) -> None:
    """(account_no, meter_id, start, end): what these stretches were corrected to is void; the next bill looks at them again."""
    await session.executemany(
        """
        INSERT INTO late_usage AS m (account_no, meter_id, day, first_at, last_at)
        VALUES ($1, $2, ($3::timestamptz AT TIME ZONE 'UTC')::date, $3, $4::timestamptz - interval '1 microsecond')
        ON CONFLICT (account_no, meter_id, day) DO UPDATE SET first_at = least(m.first_at, excluded.first_at),
            last_at = greatest(m.last_at, excluded.last_at)
        """,
        rows,
    )


async def unmark(session: Session, account_nos: Sequence[int]) -> None:
    """Their bills have corrected all that was marked (primary key)."""
    await session.execute("DELETE FROM late_usage WHERE account_no = ANY($1::bigint[])", list(account_nos))


_NOTED = (
    "id", "account_no", "note_ids", "description", "quantity", "unit", "amount", "exact", "exact_cut", "period_start", "period_end",
    "slice_start", "price_key", "rule", "gl_code", "inputs", "subscription_id", "plan_version_id", "charge_id", "meter_id",
    "from_batch", "to_batch", "event_count", "checksum", "taxes", "discount", "granted", "reductions", "corrects_invoice_id",
    "corrects_position", "revision",
)  # fmt: skip


async def insert_noted(session: Session, rows: Sequence[tuple[UUID, int, Line, Sequence[UUID]]]) -> None:
    """(id, account_no, correction, the notes it is on)."""
    await session.copy("noted_corrections", _NOTED, [_row(*row) for row in rows])


def _row(row_id: UUID, account_no: int, line: Line, note_ids: Sequence[UUID]) -> tuple[Any, ...]:
    seen = line.evidence
    assert line.corrects is not None, "a correction corrects a line"
    evidence = (None,) * 5 if seen is None else (
        seen.meter_id, seen.from_batch, seen.to_batch, seen.count, seen.checksum.to_bytes(16, "big"),
    )  # fmt: skip
    return (
        row_id, account_no, list(note_ids), line.description, line.quantity, line.unit, line.amount, line.exact, line.exact_cut,
        line.period_start, line.period_end, line.slice_start, line.price_key, line.rule, line.gl_code, line.inputs, line.subscription_id,
        line.plan_version_id, line.charge_id, *evidence, line.taxes, line.discount, line.granted, line.reductions or None,
        *line.corrects, line.revision,
    )  # fmt: skip
