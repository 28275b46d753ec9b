"""The write side of credit notes: COPY for many, one statement for the invoices they lower."""

# ruff: noqa: S608 — what is put together here are constants; values are always parameters.

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.invoicing.queries import INVOICE, LINE, InvoiceView, LineView, invoice_of, line_of
from tallystick.platform.db import Session

NOTE_COLUMNS = (
    "id", "number", "series", "series_year", "series_no", "account_no", "entity_id", "invoice_id", "invoice_number", "currency",
    "issue_date", "reason", "subtotal", "included_tax", "tax", "total", "amount_offset", "amount_credited", "taxes", "bill_to",
    "inputs", "issued_at",
)  # fmt: skip
LINE_COLUMNS = (
    "note_id", "position", "invoice_id", "invoice_position", "description", "amount", "taxes", "gl_code", "timing", "period_start",
    "period_end",
)  # fmt: skip


async def accounts_of(session: Session, invoice_ids: Collection[UUID]) -> set[int]:
    """Whose these invoices are (primary key); unknown ones are left out."""
    rows = await session.fetch(
        "SELECT DISTINCT account_no FROM invoices WHERE id = ANY($1::uuid[])", list(invoice_ids)
    )
    return {row["account_no"] for row in rows}


async def lock_invoices(session: Session, invoice_ids: Collection[UUID]) -> dict[UUID, InvoiceView]:
    """The invoices, in order of id, ours until the transaction ends; unknown ones are left out."""
    rows = await session.fetch(
        f"SELECT {INVOICE} FROM invoices WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE",
        list(invoice_ids),
    )
    return {row["id"]: invoice_of(row) for row in rows}


async def lines_of(session: Session, invoice_ids: Collection[UUID]) -> list[LineView]:
    """The lines of these invoices in order (primary key)."""
    rows = await session.fetch(
        f"SELECT {LINE} FROM invoice_lines WHERE invoice_id = ANY($1::uuid[]) ORDER BY invoice_id, position",
        list(invoice_ids),
    )
    return [line_of(row) for row in rows]


async def copy_notes(
    session: Session, notes: Iterable[Sequence[Any]], lines: Iterable[Sequence[Any]]
) -> None:
    """Adds notes and then their lines; a trigger proves that these add up to them."""
    await session.copy("credit_notes", NOTE_COLUMNS, notes)
    await session.copy("credit_note_lines", LINE_COLUMNS, lines)


async def lower(session: Session, rows: Sequence[tuple[UUID, Decimal, Decimal, datetime]]) -> None:
    """(invoice, noted, of which no longer owed, business now): an open invoice on which nothing is owed any more becomes paid.

    One statement for any number of locked invoices.
    """
    await session.execute(
        """
        UPDATE invoices i SET amount_noted = i.amount_noted + n.noted, amount_offset = i.amount_offset + n.owed, revision = i.revision + 1,
            status = CASE WHEN i.status = 'finalized' AND i.amount_due = n.owed THEN 'paid' ELSE i.status END,
            paid_at = CASE WHEN i.status = 'finalized' AND i.amount_due = n.owed THEN n.at ELSE i.paid_at END
        FROM unnest($1::uuid[], $2::numeric[], $3::numeric[], $4::timestamptz[]) AS n(id, noted, owed, at) WHERE i.id = n.id
        """,
        *map(list, zip(*rows, strict=True)),
    )
