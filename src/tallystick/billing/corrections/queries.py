"""Read side of corrections: what is marked, what stands of closed periods."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.invoicing.queries import COUNTS, LINE, LineView, line_of
from tallystick.metering.domain.events import StoredEvent
from tallystick.platform.db import ReadSession

_NOTED = """id AS invoice_id, 0 AS position, account_no, 'correction' AS kind, description, quantity, unit, amount, trim_scale(exact) AS exact,
    exact_cut, period_start, period_end, slice_start, price_key, rule, gl_code, 'arrears' AS timing, inputs, subscription_id, plan_version_id,
    charge_id, meter_id, from_batch, to_batch, event_count, checksum, taxes, discount, granted, reductions, corrects_invoice_id,
    corrects_position, revision, false AS voided"""
"""A correction on credit notes in the columns of a line; it has a name of its own, no place on an invoice."""


@dataclass(frozen=True, slots=True)
class Mark:
    """For this meter something arrived too late, between these instants, both included."""

    account_no: int
    meter_id: int
    first_at: datetime
    last_at: datetime
    again: bool = False  # what corrected it is void


async def marks(session: ReadSession, account_nos: Sequence[int]) -> dict[int, list[Mark]]:
    """What is marked of these accounts, by account; others are left out (primary key)."""
    rows = await session.fetch(
        """
        SELECT account_no, meter_id, first_at, last_at, last_batch IS NULL FROM late_usage WHERE account_no = ANY($1::bigint[])
        ORDER BY account_no, meter_id, first_at
        """,
        list(account_nos),
    )
    found: dict[int, list[Mark]] = defaultdict(list)
    for row in rows:
        found[row["account_no"]].append(Mark(*row))
    return found


async def stood(
    session: ReadSession, periods: Iterable[tuple[int, datetime, datetime]]
) -> dict[int, list[LineView]]:
    """All that stands of usage whose slice begins in these stretches of accounts, by account: on invoices, and on credit notes.

    Two statements (uq_invoice_lines_slice, uq_noted_corrections_slice): cost is that of the stretches, not of the history.
    """
    asked = [list(column) for column in zip(*periods, strict=True)]
    found: dict[int, list[LineView]] = defaultdict(list)
    for table, columns, live in (
        ("invoice_lines", LINE, "AND NOT voided AND kind NOT IN ('fee', 'manual')"),
        ("noted_corrections", _NOTED, ""),
    ):
        rows = await session.fetch(
            f"""
            SELECT {columns} FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS a (no, since, until)
            JOIN {table} l ON l.account_no = a.no AND l.slice_start >= a.since AND l.slice_start < a.until {live}
            ORDER BY account_no, slice_start, revision, invoice_id, position
            """,
            *asked,
        )
        for row in rows:
            found[row["account_no"]].append(line_of(row))
    return found


async def noted_of(session: ReadSession, invoice_id: UUID) -> list[LineView]:
    """The corrections of an invoice's lines that went to credit notes (ix_noted_corrections_corrects)."""
    rows = await session.fetch(
        f"SELECT {_NOTED} FROM noted_corrections WHERE corrects_invoice_id = $1 ORDER BY corrects_position, revision",
        invoice_id,
    )
    return [line_of(row) for row in rows]


async def noted(session: ReadSession, invoice_ids: Iterable[UUID]) -> dict[tuple[UUID, int], Decimal]:
    """What credit notes took of each line of these invoices, in the line's terms (ix_credit_note_lines_invoice).

    Without what it gave back for a correction of another price: that is told at the correction (uq_noted_corrections_slice).
    """
    rows = await session.fetch(
        """
        SELECT invoice_id, invoice_position, sum(amount) AS amount FROM (
            SELECT invoice_id, invoice_position, amount FROM credit_note_lines WHERE invoice_id = ANY($1::uuid[])
            UNION ALL
            SELECT (e.part ->> 0)::uuid, (e.part ->> 1)::integer, -(e.part ->> 2)::numeric
            FROM noted_corrections c CROSS JOIN jsonb_array_elements(c.inputs -> 'elsewhere') AS e (part)
            WHERE c.account_no IN (SELECT account_no FROM invoices WHERE id = ANY($1::uuid[])) AND c.inputs ? 'elsewhere'
        ) AS n GROUP BY 1, 2
        """,
        sorted(invoice_ids),
    )
    return {(row["invoice_id"], row["invoice_position"]): row["amount"] for row in rows}


async def pending(session: ReadSession, account_no: int, meter_id: int, at: datetime) -> bool:
    """Whether a mark of the account's meter covers this instant (primary key)."""
    return bool(
        await session.fetchval(
            """
            SELECT EXISTS (SELECT FROM late_usage WHERE account_no = $1 AND meter_id = $2 AND first_at <= $3 AND last_at >= $3)
            """,
            account_no, meter_id, at,
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class NotedEvidence:
    """A correction on credit notes: up to which batch it counts, and the first of its notes."""

    to_batch: int
    note_id: UUID


async def noted_covering_event(session: ReadSession, event: StoredEvent, batch: int) -> NotedEvidence | None:
    """As `invoicing.queries.line_covering_event`, of corrections on credit notes (uq_noted_corrections_slice, by account)."""
    row = await session.fetchrow(
        f"SELECT to_batch, note_ids[1] AS note_id FROM noted_corrections WHERE {COUNTS} ORDER BY to_batch, revision LIMIT 1",
        event.account_no, event.meter_id, event.occurred_at, batch, event.unit_price, dict(event.properties),
    )  # fmt: skip
    return None if row is None else NotedEvidence(*row)


async def built_upon(session: ReadSession, invoice_id: UUID) -> bool:
    """Whether something counts on what this invoice billed: a later correction of one of its prices, or a price that came late to its periods.

    By account and slice (uq_invoice_lines_slice, uq_noted_corrections_slice).
    """
    return bool(
        await session.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM invoice_lines v
                JOIN invoice_lines l ON l.account_no = v.account_no AND l.subscription_id IS NOT DISTINCT FROM v.subscription_id
                 AND l.invoice_id <> v.invoice_id AND NOT l.voided
                 AND (l.slice_start = v.slice_start AND l.price_key = v.price_key AND l.revision > v.revision
                      OR l.slice_start >= v.slice_start AND l.inputs ? 'late' AND v.kind IN ('usage', 'recorded') AND NOT v.inputs ? 'late')
                WHERE v.invoice_id = $1 AND v.kind NOT IN ('fee', 'manual'))
            OR EXISTS (
                SELECT FROM invoice_lines v
                JOIN noted_corrections n ON n.account_no = v.account_no AND n.subscription_id IS NOT DISTINCT FROM v.subscription_id
                 AND n.slice_start = v.slice_start AND n.price_key = v.price_key AND n.revision > v.revision
                WHERE v.invoice_id = $1)
            """,
            invoice_id,
        )
    )
