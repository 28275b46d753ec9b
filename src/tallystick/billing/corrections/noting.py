"""Corrections that an invoice cannot take become credit notes on the invoices of the lines they correct."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.billing.corrections import repository
from tallystick.billing.corrections.granted import give_back
from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service as invoicing
from tallystick.invoicing.domain.assemble import NegativeInvoice
from tallystick.invoicing.domain.corrections import spread
from tallystick.invoicing.domain.crediting import Taken, turned
from tallystick.invoicing.domain.draft import InvoiceDraft, Line
from tallystick.invoicing.domain.notes import Asked, NoteLine
from tallystick.invoicing.notes import queries as notes
from tallystick.invoicing.notes import repository as note_rows
from tallystick.invoicing.queries import LineView
from tallystick.invoicing.service.noting import CreditNoteRef, NoteOrder
from tallystick.kernel.actor import Actor
from tallystick.platform.db import Session

REASON = "usage corrected"
ZERO = Decimal(0)
_Place = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Noted:
    """A correction for a note: whose it is, and the business time at which it is made."""

    account_no: int
    line: Line
    now: datetime


def noted_of(drafts: Iterable[InvoiceDraft], moments: Iterable[datetime]) -> list[Noted]:
    """The corrections that these drafts could not take."""
    return [
        Noted(draft.account_no, line, moment)
        for draft, moment in zip(drafts, moments, strict=True)
        for line in draft.noted
    ]


async def issue(
    session: Session, actor: Actor, corrections: Sequence[Noted], new_id: Callable[[], UUID]
) -> list[CreditNoteRef]:
    """One note for each corrected invoice, and each correction kept with what it counted, in a constant number of statements.

    Each line gives back no more than is left of it; a correction of several lines takes the latest first. Raises `NegativeInvoice`
    where less is left than is to be given back. Inside the caller's transaction, before it takes invoice numbers.
    """
    if not corrections:
        return []
    places = {place for each in corrections for place in _corrected(each.line)}
    lines = {
        (line.invoice_id, line.position): line
        for line in await note_rows.lines_of(session, sorted({invoice for invoice, _ in places}))
    }
    taken = await notes.taken(session, [lines[place] for place in places if place in lines])
    orders: dict[UUID, dict[int, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    touched: list[set[UUID]] = []
    moments: dict[UUID, datetime] = {}
    for each in corrections:
        parts = _parts(each.line, lines, taken, orders)
        for (invoice, position), amount in parts.items():
            orders[invoice][position] += amount
            moments[invoice] = each.now
        touched.append({invoice for invoice, _ in parts})
    ids = {invoice: new_id() for invoice in orders}
    wanted = [
        NoteOrder(
            ids[invoice],
            invoice,
            Asked(tuple(NoteLine(position, amount) for position, amount in sorted(own.items()))),
            REASON,
            moments[invoice],
        )
        for invoice, own in orders.items()
    ]
    issued = await invoicing.issue_many(session, actor, wanted)
    rows = [
        (new_id(), each.account_no, each.line, sorted(ids[invoice] for invoice in own))
        for each, own in zip(corrections, touched, strict=True)
    ]
    await repository.insert_noted(session, rows)
    await _give_back(session, corrections)
    return issued


async def _give_back(session: Session, corrections: Sequence[Noted]) -> None:
    """What of these was paid by granted credit goes back to the grants."""
    granted = [(each.line, each.now) for each in corrections if each.line.granted]
    if granted:
        ids = {line.corrects[0] for line, _ in granted if line.corrects is not None}
        found = {id: await invoices.invoice(session, id) for id in sorted(ids)}
        await give_back(session, granted, {id: each for id, each in found.items() if each is not None})


def _corrected(line: Line) -> list[_Place]:
    """The lines on invoices that a correction takes account of."""
    return [(invoice, position) for invoice, position in line.inputs["before"]["lines"] if position]


def _parts(
    line: Line,
    lines: Mapping[_Place, LineView],
    taken: Mapping[UUID, Mapping[int, Taken]],
    orders: Mapping[UUID, Mapping[int, Decimal]],
) -> dict[_Place, Decimal]:
    """How much of which line is given back for a correction, after what is planned already."""
    places = [place for place in _corrected(line) if place in lines]
    left = []
    for invoice, position in places:
        stands = turned(lines[invoice, position], taken.get(invoice, {}).get(position, Taken()))
        planned = orders[invoice][position] if invoice in orders and position in orders[invoice] else ZERO
        left.append(stands.left - planned if stands.sign > 0 else ZERO)
    try:
        parts = spread(-line.remainder, left)
    except ValueError as error:
        raise NegativeInvoice from error
    return {place: part for place, part in zip(places, parts, strict=True) if part}
