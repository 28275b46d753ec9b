"""The read side of credit notes."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.invoicing.domain.crediting import Taken, gone
from tallystick.invoicing.domain.draft import TaxShare, TaxTotal
from tallystick.invoicing.queries import LineView
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page, decode_uuid_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record

NOTE = """id, number, account_no, entity_id, invoice_id, invoice_number, currency, issue_date, reason, subtotal, included_tax, tax, total,
    amount_offset, amount_credited, taxes, bill_to, inputs, issued_at, created_at"""
LINE = "note_id, position, invoice_id, invoice_position, description, amount, taxes, gl_code, timing, period_start, period_end"


@dataclass(frozen=True, slots=True)
class NoteView:
    """A stored credit note. `amount_offset` lowered what was owed on its invoice, `amount_credited` became customer credit.

    `issued_at` is business time; `inputs` is what it was computed from, beside the invoice.
    """

    id: UUID
    number: str
    account_no: int
    entity_id: int
    invoice_id: UUID
    invoice_number: str
    currency: str
    issue_date: date
    reason: str
    subtotal: Decimal
    included_tax: Decimal
    tax: Decimal
    total: Decimal
    amount_offset: Decimal
    amount_credited: Decimal
    taxes: tuple[TaxTotal, ...]
    bill_to: dict[str, Any]
    inputs: dict[str, Any]
    issued_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NoteLineView:
    """A stored line of a note: `invoice_position` is the line it takes back a part of."""

    note_id: UUID
    position: int
    invoice_id: UUID
    invoice_position: int
    description: str
    amount: Decimal
    taxes: tuple[TaxShare, ...]
    gl_code: str
    timing: str
    period_start: datetime
    period_end: datetime


def shares_of(stored: Sequence[Mapping[str, Any]]) -> tuple[TaxShare, ...]:
    """Tax shares as they are kept in JSON."""
    return tuple(TaxShare(**_tax(each, TaxShare)) for each in stored)


def _tax(stored: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    known = {each.name for each in fields(kind)} & stored.keys()
    return {
        name: Decimal(stored[name]) if name in ("rate", "base", "amount") else stored[name] for name in known
    }


def note_of(row: Record) -> NoteView:
    """The view in a row of `NOTE` columns."""
    taxes = tuple(TaxTotal(**_tax(each, TaxTotal)) for each in row["taxes"])
    return NoteView(**{**row, "taxes": taxes})


async def note(session: ReadSession, note_id: UUID) -> NoteView | None:
    """One note (primary key), or None."""
    row = await session.fetchrow(f"SELECT {NOTE} FROM credit_notes WHERE id = $1", note_id)
    return None if row is None else note_of(row)


async def visible(session: ReadSession, actor: Actor, note_id: UUID) -> NoteView:
    """The note where it is there for `actor`: a customer sees his own. Raises `NotFound` otherwise."""
    found = await note(session, note_id)
    if found is None or (actor.is_customer and found.account_no != actor.account_no):
        raise NotFound
    return found


async def lines(session: ReadSession, note_ids: Collection[UUID]) -> dict[UUID, list[NoteLineView]]:
    """The lines of notes in order, one statement for any number of them (primary key)."""
    rows = await session.fetch(
        f"SELECT {LINE} FROM credit_note_lines WHERE note_id = ANY($1::uuid[]) ORDER BY note_id, position",
        list(note_ids),
    )
    found: dict[UUID, list[NoteLineView]] = defaultdict(list)
    for row in rows:
        found[row["note_id"]].append(NoteLineView(**{**row, "taxes": shares_of(row["taxes"])}))
    return found


async def notes(
    session: ReadSession,
    *,
    limit: int,
    cursor: str | None = None,
    account_no: int | None = None,
    invoice_id: UUID | None = None,
    number: str | None = None,
    currency: str | None = None,
) -> Page[NoteView]:
    """Notes, newest first: ids are ordered by time (primary key, ix_credit_notes_account_no, ix_credit_notes_invoice_id)."""
    wanted: dict[str, Any] = {
        "account_no =": account_no, "invoice_id =": invoice_id, "number =": number, "currency =": currency,
        "id <": decode_uuid_cursor(cursor),
    }  # fmt: skip
    args: list[Any] = [limit + 1]
    where = ["true"]
    for test, value in wanted.items():
        if value is not None:
            args.append(value)
            where.append(f"{test} ${len(args)}")
    rows = await session.fetch(
        f"SELECT {NOTE} FROM credit_notes WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT $1", *args
    )
    found = [note_of(row) for row in rows[:limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


async def of_invoice(session: ReadSession, invoice_id: UUID) -> list[NoteView]:
    """All notes of an invoice in the order of their issue (ix_credit_notes_invoice_id)."""
    rows = await session.fetch(
        f"SELECT {NOTE} FROM credit_notes WHERE invoice_id = $1 ORDER BY series_year, series_no", invoice_id
    )
    return [note_of(row) for row in rows]


async def taken(
    session: ReadSession, invoice_lines: Sequence[LineView], *, corrections: bool = True
) -> dict[UUID, dict[int, Taken]]:
    """What is gone of these lines already, by invoice and position: by notes, and, unless left out, by corrections on later invoices.

    Lines of which nothing is gone are left out. Two statements for any number of lines (ix_credit_note_lines_invoice,
    ix_invoice_lines_corrects); who is to add to it holds the invoices' locks.
    """
    ids = sorted({line.invoice_id for line in invoice_lines})
    noted: dict[tuple[UUID, int], list[tuple[Decimal, tuple[TaxShare, ...]]]] = defaultdict(list)
    for row in await session.fetch(
        "SELECT invoice_id, invoice_position, amount, taxes FROM credit_note_lines WHERE invoice_id = ANY($1::uuid[])",
        ids,
    ):
        noted[row["invoice_id"], row["invoice_position"]].append((row["amount"], shares_of(row["taxes"])))
    corrected: dict[tuple[UUID, int], list[tuple[Decimal, tuple[TaxShare, ...]]]] = defaultdict(list)
    for row in await session.fetch(_CORRECTED, ids) if corrections else ():
        key = (row["corrects_invoice_id"], row["corrects_position"])
        taxes = shares_of(row["taxes"])
        if row["undone"]:  # a correction that was credited itself corrects no more
            corrected[key].append((-row["amount"], tuple(replace(tax, amount=-tax.amount) for tax in taxes)))
        else:
            corrected[key].append((row["amount"], taxes))
    found: dict[UUID, dict[int, Taken]] = defaultdict(dict)
    for line in invoice_lines:
        key = (line.invoice_id, line.position)
        if key in noted or key in corrected:
            found[line.invoice_id][line.position] = gone(line, noted[key], corrected[key])
    return found


_CORRECTED = """
SELECT l.corrects_invoice_id, l.corrects_position, l.amount - l.discount - l.granted AS amount, l.taxes, false AS undone
FROM invoice_lines l WHERE l.corrects_invoice_id = ANY($1::uuid[]) AND NOT l.voided
UNION ALL
SELECT l.corrects_invoice_id, l.corrects_position, n.amount, n.taxes, true
FROM invoice_lines l JOIN credit_note_lines n ON n.invoice_id = l.invoice_id AND n.invoice_position = l.position
WHERE l.corrects_invoice_id = ANY($1::uuid[]) AND NOT l.voided
"""
