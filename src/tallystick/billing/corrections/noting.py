"""Corrections that an invoice cannot take become credit notes on the invoices of the lines they correct."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.billing.corrections import repository
from tallystick.billing.corrections.granted import give_back
from tallystick.billing.corrections.planning import corrected
from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service as invoicing
from tallystick.invoicing.domain.draft import GivenBack, InvoiceDraft, Line
from tallystick.invoicing.domain.notes import Asked, NoteLine
from tallystick.invoicing.service.noting import CreditNoteRef, NoteOrder
from tallystick.kernel.actor import Actor
from tallystick.platform.db import Session

REASON = "usage corrected"


@dataclass(frozen=True, slots=True)
class Noted:
    """A correction for a note: whose it is, what of which lines gives it back, and the business time at which it is made."""

    account_no: int
    line: Line
    given: GivenBack
    now: datetime


def noted_of(drafts: Iterable[InvoiceDraft], moments: Iterable[datetime]) -> list[Noted]:
    """The corrections that these drafts could not take, as planned."""
    return [
        Noted(draft.account_no, line, given, moment)
        for draft, moment in zip(drafts, moments, strict=True)
        for line, given in zip(draft.noted, draft.given_back, strict=True)
    ]


async def issue(
    session: Session, actor: Actor, corrections: Sequence[Noted], new_id: Callable[[], UUID]
) -> list[CreditNoteRef]:
    """One note for each invoice that gives back, and each correction kept with what it counted, in a constant number of statements.

    Inside the caller's transaction, under whose account locks it was planned, before it takes invoice numbers.
    """
    if not corrections:
        return []
    orders: dict[UUID, dict[int, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    moments: dict[UUID, datetime] = {}
    for each in corrections:
        for (invoice, position), amount in each.given.parts.items():
            orders[invoice][position] += amount
            moments[invoice] = each.now
    ids = {invoice: new_id() for invoice in orders}
    bare = {invoice for each in corrections if each.given.bare for invoice, _ in each.given.parts}
    wanted = [
        NoteOrder(
            ids[invoice],
            invoice,
            Asked(tuple(NoteLine(position, amount) for position, amount in sorted(own.items()))),
            REASON,
            moments[invoice],
            bare=invoice in bare,
        )
        for invoice, own in orders.items()
    ]
    issued = await invoicing.issue_many(session, actor, wanted)
    rows = [
        (
            new_id(),
            each.account_no,
            _told(each),
            [*dict.fromkeys(ids[invoice] for invoice, _ in each.given.parts)],
        )
        for each in corrections
    ]
    await repository.insert_noted(session, rows)
    await _give_back(session, corrections)
    return issued


def _told(noted: Noted) -> Line:
    """The correction; with what lines of other prices gave back for it, which is theirs no more to give by hand."""
    own = corrected(noted.line)
    elsewhere = [[*where, amount] for where, amount in sorted(noted.given.parts.items()) if where not in own]
    if not elsewhere:
        return noted.line
    return noted.line.but(inputs={**noted.line.inputs, "elsewhere": elsewhere})


async def _give_back(session: Session, corrections: Sequence[Noted]) -> None:
    """What of these was paid by granted credit goes back to the grants."""
    granted = [(each.line, each.now) for each in corrections if each.line.granted]
    if granted:
        ids = {line.corrects[0] for line, _ in granted if line.corrects is not None}
        found = {id: await invoices.invoice(session, id) for id in sorted(ids)}
        await give_back(session, granted, {id: each for id, each in found.items() if each is not None})
