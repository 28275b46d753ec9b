"""One invoice changes its state: finalized, paid, void."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts.queries import Addressee
from tallystick.audit import service as audit
from tallystick.contracts.events import Event, InvoiceFinalized, InvoicePaid, InvoiceVoided
from tallystick.entities import queries as entities
from tallystick.invoicing import queries, repository
from tallystick.invoicing.coupons import repository as coupons
from tallystick.invoicing.domain import posting, states
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.queries import InvoiceView
from tallystick.invoicing.service.storing import due_date, take
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict, NotFound, Stale
from tallystick.kernel.zones import local_date, zone
from tallystick.ledger import service as ledger
from tallystick.platform import outbox
from tallystick.platform.db import Session
from tallystick.wallets import service as wallets


class Noted(Conflict):
    code = "invoice_noted"
    sentence = (
        "Credit notes stand against this invoice, so it cannot be voided; credit the rest of it instead"
    )


async def finalize(
    session: Session,
    actor: Actor,
    invoice_id: UUID,
    now: datetime,
    *,
    pay: bool = False,
    bill_to: Mapping[str, Any] | None = None,
    revisions: Collection[int] | None = None,
) -> None:
    """Numbers, posts and freezes a draft; with `pay`, or where nothing is owed, it is paid at the same instant.

    `now` is the account's business time. The document keeps name and address as the account has them now, or `bill_to`. Raises `NotFound`, `IllegalTransition` (a repeat
    too), `Stale` where `revisions` does not hold the invoice's.
    """
    invoice = await locked(session, invoice_id, revisions)
    status = Status.PAID if pay or invoice.amount_due == 0 else Status.FINALIZED
    states.require(invoice.status, status)
    lines = await queries.lines(session, invoice_id)
    entity = await entities.get(session, invoice.entity_id)
    person = await _addressee(session, invoice)
    head = _head(invoice)
    earned = posting.finalized(head, lines, invoice.taxes, now)
    paid = posting.paid(head, invoice.amount_due, now) if pay and invoice.amount_due else None
    await ledger.post(session, [each for each in (earned, paid) if each is not None])
    (number,) = await take(session, entity, local_date(now, zone(entity.timezone)), 1)
    due = due_date(invoice.due_date, number, entity)
    await repository.finalize(session, invoice_id, (status, *number, due, bill_to or person.bill_to, now))
    events: list[Event] = [
        InvoiceFinalized(str(invoice_id), person.id, number[0], invoice.total, invoice.currency, now)
    ]
    if status is Status.PAID:
        events.append(InvoicePaid(str(invoice_id), person.id, invoice.total, invoice.currency, now))
    await outbox.emit_all(session, events, request_id=actor.request_id)
    await _audit(session, actor, "finalized", invoice, {"status": status.value, "number": number[0]})


async def mark_paid(
    session: Session,
    actor: Actor,
    invoice_id: UUID,
    now: datetime,
    *,
    revisions: Collection[int] | None = None,
) -> None:
    """Money came in by hand, outside any gateway: cash:manual against what is owed. Raises as `finalize`; a repeat is refused."""
    invoice = await locked(session, invoice_id, revisions)
    if invoice.status is Status.DRAFT:
        raise states.IllegalTransition(
            "Finalize the invoice before it is paid", details={"status": "is draft"}
        )
    states.require(invoice.status, Status.PAID)
    person = await _addressee(session, invoice)
    await ledger.post(session, [posting.paid(_head(invoice), invoice.owed, now)])
    await repository.mark_paid(session, invoice_id, now)
    event = InvoicePaid(str(invoice_id), person.id, invoice.total, invoice.currency, now)
    await outbox.emit(session, event, request_id=actor.request_id)
    await _audit(session, actor, "paid", invoice, {"status": Status.PAID.value})


async def void(
    session: Session,
    actor: Actor,
    invoice_id: UUID,
    now: datetime,
    *,
    revisions: Collection[int] | None = None,
) -> None:
    """Undoes an unpaid invoice: the books get the opposite posting, the number stays taken, its slices may be billed again.

    Raises as `finalize`, and `Noted` where credit notes stand against it; a repeat is refused.
    """
    invoice = await locked(session, invoice_id, revisions)
    states.require(invoice.status, Status.VOID)
    if invoice.amount_noted:
        raise Noted
    if invoice.number is not None:
        await ledger.reverse(
            session, posting.key(invoice_id, posting.FINALIZED), key=posting.key(invoice_id, posting.VOIDED),
            kind=posting.VOIDED, now=now,
        )  # fmt: skip
        if invoice.credit_applied or invoice.wallet_applied:
            await ledger.reverse(
                session, posting.key(invoice_id, posting.SETTLED), key=posting.key(invoice_id, posting.UNSETTLED),
                kind=posting.UNSETTLED, now=now,
            )  # fmt: skip
        await wallets.undo(session, invoice_id, now)
        await coupons.give_back(session, invoice_id)
        event = InvoiceVoided(str(invoice_id), (await _addressee(session, invoice)).id, now)
        await outbox.emit(session, event, request_id=actor.request_id)
    await repository.void(session, invoice_id, now)
    await _audit(session, actor, "voided", invoice, {"status": Status.VOID.value})


async def locked(session: Session, invoice_id: UUID, revisions: Collection[int] | None) -> InvoiceView:
    """The invoice, ours until the transaction ends. Raises `NotFound`, or `Stale` where its revision is none of those expected."""
    row = await repository.lock_invoice(session, invoice_id)
    if row is None:
        raise NotFound
    invoice = queries.invoice_of(row)
    if revisions is not None and invoice.revision not in revisions:
        raise Stale
    return invoice


def _head(invoice: InvoiceView) -> posting.Head:
    return posting.Head(
        invoice.id, invoice.account_no, invoice.entity_id, invoice.currency, invoice.total, invoice.granted
    )


async def _addressee(session: Session, invoice: InvoiceView) -> Addressee:
    return (await accounts.addressees(session, [invoice.account_no]))[invoice.account_no]


async def _audit(
    session: Session, actor: Actor, deed: str, invoice: InvoiceView, after: Mapping[str, Any]
) -> None:
    before = {"status": invoice.status.value}
    await audit.record(session, actor, f"invoice.{deed}", "invoice", str(invoice.id), before, after)
