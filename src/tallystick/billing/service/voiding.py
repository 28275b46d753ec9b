"""Voiding an invoice: the document charges nothing, and what it billed is unbilled again, so that the next bill finds it."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from tallystick.accounts import repository as accounts
from tallystick.accounts.domain import Account
from tallystick.billing import repository
from tallystick.billing.corrections.queries import built_upon
from tallystick.billing.corrections.undoing import corrects, mark_again
from tallystick.billing.service.book import Book, Shelf, read_book
from tallystick.billing.service.dues import usage_month
from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service as invoicing
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.kernel.actor import Actor
from tallystick.kernel.clock import parse_instant
from tallystick.kernel.errors import Conflict
from tallystick.kernel.period import close_instant, next_due
from tallystick.platform.db import Session
from tallystick.subscriptions import repository as subscriptions
from tallystick.subscriptions.domain import Advance, Subscription, coverage_of


class LaterBilled(Conflict):
    code = "later_billed"
    sentence = "A later invoice bills the time after this one, or corrects what it billed; void that one first, so that no period is left out"


async def void_invoice(
    session: Session,
    actor: Actor,
    invoice: InvoiceView,
    now: datetime,
    *,
    revisions: Collection[int] | None = None,
) -> None:
    """Voids an unpaid invoice and takes the cursors of what it billed back to where they were; what it corrected is to be corrected again.

    The next run bills it again, with what came since. Raises `LaterBilled`, and as `invoicing.service.void`; a repeat is refused.
    """
    await repository.lock_account(session, invoice.account_no)
    await invoicing.locked(
        session, invoice.id, revisions
    )  # who read an older state is told that before anything else
    if await invoices.later_slices(session, invoice.id) or await built_upon(session, invoice.id):
        raise LaterBilled
    lines = await invoices.lines(session, invoice.id)
    await invoicing.void(session, actor, invoice.id, now, revisions=revisions)
    if invoice.number is not None:
        await _take_back(session, invoice.account_no, lines)


async def _take_back(session: Session, account_no: int, lines: Iterable[LineView]) -> None:
    book = await read_book(session, [account_no], Shelf())
    account = book.accounts[account_no]
    owned = {each.id: each for each in book.all_subscriptions.get(account_no, ())}
    before = dict(owned)
    await mark_again(session, book, account_no, lines)
    for line in lines:
        kind = str(line.kind)
        if corrects(line):
            continue
        if kind == "recorded":
            account = replace(account, usage_billed_to=min(account.usage_billed_to, _counted_from(line)))
        elif line.subscription_id is not None and line.subscription_id in owned:
            owned[line.subscription_id] = _unbilled(owned[line.subscription_id], kind, line)
    moves = [_move(book, each) for each in owned.values() if each != before[each.id]]
    await subscriptions.advance(session, moves)
    await _settle(session, book, account, {move.id: move for move in moves})


def _unbilled(subscription: Subscription, kind: str, line: LineView) -> Subscription:
    if kind == "fee":
        return replace(subscription, billed_to=min(subscription.billed_to, line.period_start))
    return replace(subscription, usage_billed_to=min(subscription.usage_billed_to, _counted_from(line)))


def _counted_from(line: LineView) -> datetime:
    counted = line.inputs.get("counted_from")
    return parse_instant(counted) if counted else line.period_start


def _move(book: Book, subscription: Subscription) -> Advance:
    due = next_due(book.schedule(subscription), coverage_of(subscription), book.terms(subscription))
    return Advance(
        subscription.id, subscription.billed_to, subscription.usage_billed_to, due.instant if due else None
    )


async def _settle(session: Session, book: Book, account: Account, moves: dict[UUID, Advance]) -> None:
    """The account's own cursor, and when anything of it is due next."""
    month_at = account.next_usage_billing_at
    if account.is_open:
        month_at = close_instant(usage_month(account, account.usage_billed_to).end, book.usage_delay(account))
    await accounts.set_next_billing(session, [(account.no, None)])
    await accounts.advance_usage(session, [(account.no, account.usage_billed_to, month_at)])
    instants = [
        moves[each.id].next_billing_at if each.id in moves else each.next_billing_at
        for each in book.all_subscriptions.get(account.no, ())
    ]
    earliest = [at for at in (*instants, month_at) if at is not None]
    await accounts.set_next_billing(session, [(account.no, min(earliest) if earliest else None)])
