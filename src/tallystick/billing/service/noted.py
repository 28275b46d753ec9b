"""What credit notes and customer credit did to an invoice: told in sentences, and computed again."""

from collections.abc import Sequence
from decimal import Decimal

from tallystick.invoicing.domain import notes
from tallystick.invoicing.domain.crediting import Taken
from tallystick.invoicing.notes import queries
from tallystick.invoicing.notes.queries import NoteLineView, NoteView
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.invoicing.service.noting import thawed
from tallystick.kernel.errors import Refusal
from tallystick.platform.db import ReadSession

ZERO = Decimal(0)


async def settled_sentences(session: ReadSession, invoice: InvoiceView) -> list[str]:
    """What came off the total: customer credit that was used, and each credit note with what it became."""
    told = []
    if invoice.credit_applied:
        told.append(f"less {invoice.credit_applied:,f} {invoice.currency} customer credit")
    if invoice.amount_noted:
        told += [_sentence(note) for note in await queries.of_invoice(session, invoice.id)]
    return told


def _sentence(note: NoteView) -> str:
    uses = ((note.amount_offset, "no longer owed"), (note.amount_credited, "customer credit"))
    became = " and ".join(f"{amount:,f} {what}" for amount, what in uses if amount)
    return f"credit note {note.number} of {note.issue_date} credited {note.total:,f} {note.currency} ({became}): {note.reason}"


async def note_problems(session: ReadSession, invoice: InvoiceView, lines: Sequence[LineView]) -> list[str]:
    """Each note of the invoice computed again from the invoice's lines and what is frozen on the note; what differs, empty if nothing."""
    stored = await queries.of_invoice(session, invoice.id)
    if not stored:
        return [] if not invoice.amount_noted else ["credit notes are missing"]
    found = await queries.lines(session, [note.id for note in stored])
    problems: list[str] = []
    before: dict[int, Taken] = {}
    for note in stored:
        own = found.get(note.id, [])
        if not _comes_out(note, own, invoice, lines):
            problems.append(f"credit note {note.number}: does not come out the same")
        elif not _follows(note, before):
            problems.append(f"credit note {note.number}: was computed without those before it")
        for each in own:
            _add(before, each)
    if sum((note.total for note in stored), ZERO) != invoice.amount_noted:
        problems.append("the credit notes do not add up to what the invoice says of them")
    return problems


def _comes_out(
    note: NoteView, own: Sequence[NoteLineView], invoice: InvoiceView, lines: Sequence[LineView]
) -> bool:
    try:
        asked, taken = thawed(note.inputs)
        again = notes.credit(lines, invoice.taxes, taken, asked, invoice.currency)
    except (Refusal, KeyError, ValueError, TypeError):
        return False
    told = [(each.invoice_position, each.amount, each.taxes) for each in own]
    return (
        told == [(each.position, each.amount, each.taxes) for each in again.lines]
        and (note.subtotal, note.included_tax, note.tax, note.total)
        == (again.subtotal, again.included_tax, again.tax, again.total)
        and note.taxes == again.taxes
    )


def _follows(note: NoteView, before: dict[int, Taken]) -> bool:
    """Whether it counted at least what earlier notes took; corrections on later invoices may have taken more."""
    _, taken = thawed(note.inputs)
    return all(
        abs(taken.get(position, Taken()).amount) >= abs(each.amount) for position, each in before.items()
    )


def _add(before: dict[int, Taken], line: NoteLineView) -> None:
    sofar = before.get(line.invoice_position, Taken())
    before[line.invoice_position] = Taken(sofar.amount + line.amount)
