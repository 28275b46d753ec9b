"""An invoice for a range, and previews: the renewal's own collecting and assembling, asked at another moment."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.accounts.domain import Account
from tallystick.billing import repository
from tallystick.billing.corrections.recount import fill_and_correct
from tallystick.billing.corrections.repository import unmark
from tallystick.billing.corrections.sweep import hold
from tallystick.billing.service.book import Book, Shelf, read_book
from tallystick.billing.service.collect import fill
from tallystick.billing.service.dues import range_bill
from tallystick.billing.service.renewal import Order, advance, drafts_of, next_drafts, store
from tallystick.invoicing.domain.assemble import assemble
from tallystick.invoicing.domain.draft import InvoiceDraft, Line
from tallystick.invoicing.service import InvoiceRef
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict, Invalid
from tallystick.metering import queries as metering
from tallystick.platform.db import ReadSession, Session


class NothingToBill(Conflict):
    code = "nothing_to_bill"
    sentence = "Nothing unbilled lies in this range"


class UnbilledBefore(Conflict):
    code = "unbilled_before_start"
    sentence = "Something before period_start is unbilled; begin the range there"


@dataclass(frozen=True, slots=True)
class Range:
    """[start, end) of business time."""

    start: datetime
    end: datetime


async def bill_range(
    session: Session,
    actor: Actor,
    account: Account,
    wanted: Range,
    *,
    now: datetime,
    new_id: Callable[[], UUID],
) -> list[InvoiceRef]:
    """Bills what is unbilled in the range: closed periods whole, the open one up to the range's end or now, whichever is first.

    What a partial bill charged is subtracted when its period closes. Raises `NothingToBill`; `UnbilledBefore` where a gap would be
    left; `NotDivisible` where a meter of the open period has no meaning for a part. A repeat finds nothing to bill.
    """
    end = _end(wanted, now)
    await repository.lock_account(session, account.no)
    shelf = Shelf()
    book = await read_book(session, [account.no], shelf)
    to_batch = await hold(session)
    await _refuse_gap(session, book, account, wanted.start, to_batch)
    bill = range_bill(book, book.accounts[account.no], end)
    await fill_and_correct(session, book, [bill], to_batch)
    drafts = await drafts_of(session, bill)
    if not any(each.lines for each in drafts):
        raise NothingToBill
    order = Order(end, now, to_batch, actor, new_id)
    refs = await store(session, drafts, order)
    if bill.marked:
        await unmark(session, [account.no])
    await advance(session, book, [bill])
    return refs


def _end(wanted: Range, now: datetime) -> datetime:
    end = min(wanted.end, now)
    if wanted.start >= end:
        raise Invalid.field("period_start", "must lie before period_end and not in the future")
    return end


async def _refuse_gap(
    session: ReadSession, book: Book, account: Account, start: datetime, to_batch: int
) -> None:
    """A range may not jump over something that is still to be billed."""
    before = range_bill(book, book.accounts[account.no], start)
    await fill(session, book, [before], to_batch)
    drafts = [each for own in before.inputs if (each := assemble(own)) is not None]
    if drafts:
        first = min(_counted_from(line) for each in drafts for line in each.lines)
        raise UnbilledBefore(
            details={"unbilled_from": first, "period_start": "must not lie after unbilled_from"}
        )


def _counted_from(line: Line) -> datetime:
    """Where a range must begin to hold what the line counts: something late may lie before the line's own slice."""
    counted: datetime = line.inputs.get("counted_from", line.period_start)
    return counted


@dataclass(frozen=True, slots=True)
class Preview:
    """What the account's next bill would be: when it is due, and its invoices as they stand."""

    due_at: datetime | None
    drafts: list[InvoiceDraft]


async def preview_next(session: ReadSession, account: Account) -> Preview:
    """The next bill with the usage so far. Writes nothing: equal to what the run will do if nothing more happens."""
    bill, drafts = await next_drafts(session, account.no, Shelf(), metering.ALL_BATCHES)
    return Preview(bill.instant if bill else None, drafts)


async def preview_range(session: ReadSession, account: Account, wanted: Range, *, now: datetime) -> Preview:
    """What `bill_range` would make of the range now, its refusals included. Writes nothing."""
    end = _end(wanted, now)
    book = await read_book(session, [account.no], Shelf())
    await _refuse_gap(session, book, account, wanted.start, metering.ALL_BATCHES)
    bill = range_bill(book, book.accounts[account.no], end)
    await fill_and_correct(session, book, [bill], metering.ALL_BATCHES)
    return Preview(end, await drafts_of(session, bill))
