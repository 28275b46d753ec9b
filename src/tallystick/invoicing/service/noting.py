"""Issuing credit notes: numbered, posted and frozen at once; what is no longer owed is offset, the rest is customer credit.

Order of locks: accounts, invoices, the customers' ledger accounts, the number series last.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts import repository as account_locks
from tallystick.audit import service as audit
from tallystick.audit.domain import Change
from tallystick.contracts.events import CreditNoteIssued, Event, InvoicePaid
from tallystick.entities import queries as entities
from tallystick.entities.domain import Entity
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.domain import notes, numbering
from tallystick.invoicing.domain.crediting import Taken
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.domain.notes import Asked, NoteDraft, NoteLine
from tallystick.invoicing.notes import queries, repository
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.invoicing.repository import Numbering
from tallystick.invoicing.service.storing import take
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict, NotFound, Stale
from tallystick.kernel.zones import local_date, zone
from tallystick.ledger import service as ledger
from tallystick.ledger.domain import Posting
from tallystick.platform import outbox
from tallystick.platform.db import ReadSession, Session


class ClosedAccount(Conflict):
    code = "credit_note_account_closed"
    sentence = "The account is closed and its customer erased; nobody could use the credit"


@dataclass(frozen=True, slots=True)
class NoteOrder:
    """A note to be issued. `now` is business time of the invoice's account.

    A `bare` one is bounded by the invoice and its notes alone: who corrects closed periods knows what stands of them, wherever it was netted.
    """

    note_id: UUID
    invoice_id: UUID
    asked: Asked
    reason: str
    now: datetime
    currency: str | None = None  # where the caller names one, it must be the invoice's
    revisions: Collection[int] | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True)
class CreditNoteRef:
    """What was issued: `total` = `offset` (owed no more) + `credited` (customer credit)."""

    id: UUID
    number: str
    invoice_id: UUID
    account_no: int
    total: Decimal
    offset: Decimal
    credited: Decimal


@dataclass(frozen=True, slots=True)
class _Made:
    order: NoteOrder
    invoice: InvoiceView
    note: NoteDraft
    taken: Mapping[int, Taken]

    @property
    def offset(self) -> Decimal:
        return min(self.invoice.owed, self.note.total)

    @property
    def pays(self) -> bool:
        return self.invoice.status is Status.FINALIZED and self.offset == self.invoice.amount_due


async def issue(
    session: Session,
    actor: Actor,
    invoice_id: UUID,
    lines: Sequence[NoteLine] = (),
    *,
    reason: str,
    now: datetime,
    note_id: UUID,
    amount: Decimal | None = None,
) -> CreditNoteRef:
    """Credits these lines of an invoice, or `amount` of its total with tax, or with neither all that is left of it. As `issue_many`."""
    order = NoteOrder(note_id, invoice_id, Asked(tuple(lines), amount), reason, now)
    return (await issue_many(session, actor, [order]))[0]


async def issue_many(session: Session, actor: Actor, orders: Sequence[NoteOrder]) -> list[CreditNoteRef]:
    """Issues notes, one per invoice at most, all or none, in a number of statements that does not grow with theirs.

    Inside the caller's transaction, which it does not commit; it takes the accounts' locks. Raises `NotFound`, `Stale`, `ClosedAccount`,
    `notes.OtherCurrency`, and as `notes.credit`. A repeat issues another note, as far as something is left.
    """
    if not orders:
        return []
    ids = [order.invoice_id for order in orders]
    if len(set(ids)) < len(ids):
        raise ValueError("one note per invoice at a time: put its lines together")
    owners = await account_locks.lock_many(session, sorted(await repository.accounts_of(session, ids)))
    found = await repository.lock_invoices(session, ids)
    for order in orders:
        _check(order, found.get(order.invoice_id))
        if not owners[found[order.invoice_id].account_no].is_open:
            raise ClosedAccount
    made = await _draft(session, orders, found)
    await ledger.post(session, [_posting(each) for each in made])
    numbers = await _take_numbers(session, made)
    await _store(session, made, numbers)
    await _tell(session, actor, made, numbers)
    return [
        CreditNoteRef(
            each.order.note_id, numbers[each.order.note_id][0], each.invoice.id, each.invoice.account_no, each.note.total, each.offset,
            each.note.total - each.offset,
        )
        for each in made
    ]  # fmt: skip


async def preview(
    session: ReadSession, invoice: InvoiceView, asked: Asked, currency: str | None = None
) -> tuple[NoteDraft, Decimal]:
    """The note as `issue` would make it now, and what of it would be offset; nothing is written. Raises as `issue`."""
    _check_invoice(invoice, currency)
    lines = await invoices.lines(session, invoice.id)
    taken = await queries.taken(session, lines)
    note = notes.credit(lines, invoice.taxes, taken.get(invoice.id, {}), asked, invoice.currency)
    return note, min(invoice.owed, note.total)


def _check(order: NoteOrder, invoice: InvoiceView | None) -> None:
    if invoice is None:
        raise NotFound
    if order.revisions is not None and invoice.revision not in order.revisions:
        raise Stale
    _check_invoice(invoice, order.currency)


def _check_invoice(invoice: InvoiceView, currency: str | None) -> None:
    if currency is not None and currency != invoice.currency:
        raise notes.OtherCurrency(details={"currency": f"must be {invoice.currency}, or left out"})
    if invoice.status not in (Status.FINALIZED, Status.PAID):
        raise notes.NotCreditable(details={"status": f"is {invoice.status}"})


async def _draft(
    session: Session, orders: Sequence[NoteOrder], found: Mapping[UUID, InvoiceView]
) -> list[_Made]:
    lines = await repository.lines_of(session, list(found))
    bare = {order.invoice_id for order in orders if order.bare}
    taken = await queries.taken(session, [line for line in lines if line.invoice_id not in bare])
    if bare:
        own_lines = [line for line in lines if line.invoice_id in bare]
        taken |= await queries.taken(session, own_lines, corrections=False)
    own: dict[UUID, list[LineView]] = {}
    for line in lines:
        own.setdefault(line.invoice_id, []).append(line)
    made = []
    for order in orders:
        invoice = found[order.invoice_id]
        before = taken.get(invoice.id, {})
        note = notes.credit(own[invoice.id], invoice.taxes, before, order.asked, invoice.currency)
        made.append(_Made(order, invoice, note, before))
    return made


def _posting(made: _Made) -> Posting:
    invoice = made.invoice
    return notes.posting(
        made.order.note_id, made.note, account_no=invoice.account_no, entity_id=invoice.entity_id, currency=invoice.currency,
        offset=made.offset, now=made.order.now,
    )  # fmt: skip


async def _take_numbers(session: Session, made: Sequence[_Made]) -> dict[UUID, Numbering]:
    """In the order of the notes, per entity and date; a note is not dated before its invoice."""
    known = await entities.all(session)
    groups: dict[tuple[int, date], list[_Made]] = {}
    for each in made:
        entity: Entity = known[each.invoice.entity_id]
        assert each.invoice.issue_date is not None, "issued invoices have a date"
        day = max(local_date(each.order.now, zone(entity.timezone)), each.invoice.issue_date)
        groups.setdefault((entity.id, day), []).append(each)
    numbers: dict[UUID, Numbering] = {}
    for (entity_id, day), group in sorted(groups.items(), key=lambda item: item[0]):
        taken = await take(session, known[entity_id], day, len(group), numbering.CREDIT_NOTES)
        numbers.update((each.order.note_id, number) for each, number in zip(group, taken, strict=True))
    return numbers


async def _store(session: Session, made: Sequence[_Made], numbers: Mapping[UUID, Numbering]) -> None:
    heads = [_head(each, numbers[each.order.note_id]) for each in made]
    rows = [
        (
            each.order.note_id, position, each.invoice.id, line.position, line.description, line.amount, line.taxes, line.gl_code,
            line.timing, line.period_start, line.period_end,
        )
        for each in made
        for position, line in enumerate(each.note.lines, 1)
    ]  # fmt: skip
    await repository.copy_notes(session, heads, rows)
    await repository.lower(
        session, [(each.invoice.id, each.note.total, each.offset, each.order.now) for each in made]
    )


def _head(made: _Made, numbering_: Numbering) -> tuple[Any, ...]:
    number, series, year, no, issue_date = numbering_
    order, invoice, note = made.order, made.invoice, made.note
    return (
        order.note_id, number, series, year, no, invoice.account_no, invoice.entity_id, invoice.id, invoice.number, invoice.currency,
        issue_date, order.reason, note.subtotal, note.included_tax, note.tax, note.total, made.offset, note.total - made.offset,
        note.taxes, invoice.bill_to or {}, frozen(order.asked, made.taken), order.now,
    )  # fmt: skip


def frozen(asked: Asked, taken: Mapping[int, Taken]) -> dict[str, Any]:
    """What a note was computed from, as it is kept with it: `thawed` gives it back."""
    before = [{"position": position, **asdict(each)} for position, each in sorted(taken.items())]
    return {
        "asked": {"lines": [asdict(line) for line in asked.lines], "amount": asked.amount},
        "before": before,
    }


def thawed(inputs: Mapping[str, Any]) -> tuple[Asked, dict[int, Taken]]:
    """What a stored note was computed from: the arguments of `notes.credit` beside the invoice's lines."""

    def number(value: Any) -> Decimal | None:
        return None if value is None else Decimal(value)

    asked = inputs["asked"]
    lines = tuple(NoteLine(each["position"], number(each["amount"])) for each in asked["lines"])
    before = {
        each["position"]: Taken(Decimal(each["amount"]), tuple(Decimal(tax) for tax in each["taxes"]))
        for each in inputs["before"]
    }
    return Asked(lines, number(asked["amount"])), before


async def _tell(
    session: Session, actor: Actor, made: Sequence[_Made], numbers: Mapping[UUID, Numbering]
) -> None:
    people = await accounts.addressees(session, {each.invoice.account_no for each in made})
    events: list[Event] = []
    changes: list[Change] = []
    for each in made:
        order, invoice, note = each.order, each.invoice, each.note
        number, owner = numbers[order.note_id][0], people[invoice.account_no].id
        events.append(
            CreditNoteIssued(
                str(order.note_id), str(invoice.id), owner, number, note.total, each.offset, note.total - each.offset,
                invoice.currency, order.now,
            )
        )  # fmt: skip
        if each.pays:
            events.append(InvoicePaid(str(invoice.id), owner, invoice.total, invoice.currency, order.now))
        after = {
            "number": number, "invoice": str(invoice.id), "total": note.total, "offset": each.offset, "currency": invoice.currency,
        }  # fmt: skip
        changes.append(Change(actor, "credit_note.issued", "credit_note", str(order.note_id), None, after))
    await outbox.emit_all(session, events, request_id=actor.request_id)
    await audit.record_many(session, changes)
