"""The one function that bills: under the accounts' locks, what is due becomes invoices, and the periods move on.

Month-end runs call it with hundreds of accounts, a test clock with a few, a preview with its first half. One invoice per account,
currency and due instant gathers subscriptions, usage and recorded usage alike. An account that cannot be billed is left as it was,
with the reason, and stops nobody. Everything it writes commits together, so a run that dies half-way has billed whole accounts only,
and a repeat finds the rest: that no slice is billed twice is a unique index, not a promise.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from tallystick.accounts import repository as accounts
from tallystick.billing.corrections.noting import issue as issue_notes
from tallystick.billing.corrections.noting import noted_of
from tallystick.billing.corrections.planning import Stock, becomes, place, read_stock
from tallystick.billing.corrections.recount import fill_and_correct
from tallystick.billing.corrections.repository import unmark
from tallystick.billing.service.book import Book, Shelf, read_book
from tallystick.billing.service.dues import Bill, due_bill, usage_month
from tallystick.invoicing import service as invoicing
from tallystick.invoicing.domain.assemble import assemble
from tallystick.invoicing.domain.draft import InvoiceDraft, Status
from tallystick.invoicing.service import InvoiceRef
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Refusal
from tallystick.kernel.period import close_instant, next_due
from tallystick.metering import service as metering
from tallystick.platform.db import ReadSession, Session
from tallystick.subscriptions import repository as subscriptions
from tallystick.subscriptions.domain import Advance, Subscription
from tallystick.subscriptions.service import announce_ends

REFUSED = (Refusal, asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
"""What may be wrong with one account; everything else is wrong with the run."""

ZERO = Decimal(0)
MAX_EMPTY = 24
"""Bills without a charge that a preview walks over before it says that nothing is coming."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to bill and as whom. `as_of` is business time: bills due then are made.

    `now` dates the documents. With `at_due`, as on a test clock, each is dated when it fell due, never before `now`.
    """

    as_of: datetime
    now: datetime
    to_batch: int
    actor: Actor
    new_id: Callable[[], UUID]
    run_id: UUID | None = None
    at_due: bool = False

    def moment(self, bill: Bill) -> datetime:
        """The business time at which the bill is made."""
        return max(bill.instant, self.now) if self.at_due else self.now


@dataclass(frozen=True, slots=True)
class Failure:
    """An account that could not be billed, and why."""

    account_no: int
    code: str
    reason: str


@dataclass(slots=True)
class Outcome:
    """What came of a batch."""

    invoices: list[InvoiceRef] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Takes over another batch's outcome."""
        self.invoices.extend(other.invoices)
        self.failures.extend(other.failures)


async def bill_accounts(session: Session, account_nos: Sequence[int], order: Order, shelf: Shelf) -> Outcome:
    """Bills all that is due of these accounts, in order of due instants. The caller holds their row locks.

    A repeat bills nothing more. Accounts on a test clock are billed like any other: whose time it is, the caller says.
    """
    outcome = Outcome()
    remaining = list(account_nos)
    while remaining:
        book = await read_book(session, remaining, shelf)
        bills = [
            bill for no in remaining if (bill := due_bill(book, book.accounts[no], order.as_of)) is not None
        ]
        await settle(session, book, set(remaining) - {bill.account.no for bill in bills})
        bills, later = in_order(book, bills) if order.at_due else (bills, [])
        await fill_and_correct(session, book, bills, order.to_batch, None if order.at_due else order.now)
        done, failures = await planned(session, bills)
        outcome.failures.extend(failures)
        drafts = [each for _, own in done for each in own]
        if drafts:
            moments = [order.moment(bill) for bill, own in done for _ in own]
            outcome.invoices.extend(await store(session, drafts, order, moments))
        await unmark(session, [bill.account.no for bill, _ in done if bill.marked])
        following = await advance(session, book, [bill for bill, _ in done])
        remaining = later + [no for no, due in following if due is not None and due <= order.as_of]
    return outcome


def in_order(book: Book, bills: Sequence[Bill]) -> tuple[list[Bill], list[int]]:
    """The bills that can be made now so that numbers follow time, the earliest first, and the accounts whose bills come after.

    A bill waits where another account owes two before it: its second one is then due first.
    """
    last = max((bill.instant for bill in bills), default=None)
    following = [_step(book, bill, [], []) for bill in bills if bill.instant != last]
    horizon = min((at for at in following if at is not None), default=None)
    now = [bill for bill in bills if horizon is None or bill.instant <= horizon]
    now.sort(key=lambda bill: (bill.instant, bill.account.no))
    return now, [bill.account.no for bill in bills if horizon is not None and bill.instant > horizon]


async def settle(session: Session, book: Book, idle: Collection[int]) -> None:
    """Puts right when accounts are due that were taken up too early: whoever finds nothing due leaves nothing to be found again."""
    dues = []
    for no in sorted(idle):
        coming = due_bill(book, book.accounts[no], None)
        dues.append((no, coming.instant if coming else None))
    await accounts.set_next_billing(session, dues)


async def bill_page(session: Session, account_nos: Sequence[int], order: Order, shelf: Shelf) -> Outcome:
    """As `bill_accounts`, but what the database refuses of one account fails alone: the others are billed together, as if it were not there.

    Together, because numbers follow time across accounts (`in_order`).
    """
    try:
        async with session.savepoint():
            return await bill_accounts(session, account_nos, order, shelf)
    except REFUSED as refused:
        if len(account_nos) == 1:
            return Outcome(failures=[_failure(account_nos[0], refused)])
        outcome = Outcome(failures=await _refused(session, account_nos, order, shelf))
        if not outcome.failures:
            raise
    failed = {each.account_no for each in outcome.failures}
    outcome.add(await bill_page(session, [no for no in account_nos if no not in failed], order, shelf))
    return outcome


class _Undo(Exception):
    """Ends the savepoint of a trial."""


async def _refused(session: Session, account_nos: Sequence[int], order: Order, shelf: Shelf) -> list[Failure]:
    """Who of a group that cannot be stored together is to blame, found by halves. Whatever it tries is undone."""
    found: list[Failure] = []
    middle = len(account_nos) // 2
    for half in (account_nos[:middle], account_nos[middle:]):
        try:
            async with session.savepoint():
                await bill_accounts(session, half, order, shelf)
                raise _Undo
        except _Undo:
            continue
        except REFUSED as refused:
            if len(half) == 1:
                found.append(_failure(half[0], refused))
            else:
                found += await _refused(session, half, order, shelf)
    return found


def _failure(account_no: int, refused: Exception) -> Failure:
    if isinstance(refused, Refusal):
        return Failure(account_no, refused.code, refused.sentence)
    return Failure(account_no, "not_storable", f"The database refuses the invoice ({type(refused).__name__})")


def draft(bills: Sequence[Bill]) -> tuple[list[tuple[Bill, list[InvoiceDraft]]], list[Failure]]:
    """The invoices of each bill; a bill that cannot be assembled fails alone."""
    done: list[tuple[Bill, list[InvoiceDraft]]] = []
    failures: list[Failure] = []
    for bill in bills:
        try:
            done.append((bill, _assembled(bill)))
        except Refusal as refused:
            failures.append(Failure(bill.account.no, refused.code, refused.sentence))
    return done, failures


async def planned(
    session: ReadSession, bills: Sequence[Bill]
) -> tuple[list[tuple[Bill, list[InvoiceDraft]]], list[Failure]]:
    """As `draft`; what the invoices cannot take is planned as credit notes, and the credit that these leave pays the same bill.

    A bill whose corrections nothing can give back fails alone. A constant number of statements; none where no correction is left over.
    """
    done, failures = draft(bills)
    stock = await read_stock(session, [line for _, own in done for each in own for line in each.noted])
    found: list[tuple[Bill, list[InvoiceDraft]]] = []
    for bill, drafts in done:
        try:
            found.append((bill, _with_notes(bill, drafts, stock)))
        except Refusal as refused:
            failures.append(Failure(bill.account.no, refused.code, refused.sentence))
    return found, failures


async def drafts_of(session: ReadSession, bill: Bill) -> list[InvoiceDraft]:
    """The invoices of one bill as `planned`. Raises what is wrong with it."""
    drafts = _assembled(bill)
    stock = await read_stock(session, [line for each in drafts for line in each.noted])
    return _with_notes(bill, drafts, stock)


def _assembled(bill: Bill) -> list[InvoiceDraft]:
    return [each for own in bill.inputs if (each := assemble(own)) is not None]


def _with_notes(bill: Bill, drafts: list[InvoiceDraft], stock: Stock) -> list[InvoiceDraft]:
    """The drafts settled again with what their notes leave as credit (SEMANTICS "Invoice order": notes come before paid wallets)."""
    noted = [line for each in drafts for line in each.noted]
    if not noted:
        return drafts
    found = place(noted, stock)
    credit = becomes(found, stock)
    bill.inputs = [
        replace(own, credit=own.credit + credit.get((own.entity_id, own.currency), ZERO))
        for own in bill.inputs
    ]
    given = iter(found)
    return [replace(each, given_back=tuple(next(given) for _ in each.noted)) for each in _assembled(bill)]


async def next_drafts(
    session: ReadSession, account_no: int, shelf: Shelf, to_batch: int
) -> tuple[Bill | None, list[InvoiceDraft]]:
    """The account's next bill that charges something, as it stands now, collected and assembled as the run does it. Writes nothing.

    Bills that would be empty, such as months without recorded usage, are walked over, not further than anything can be known.
    """
    book = await read_book(session, [account_no], shelf)
    first: Bill | None = None
    for _ in range(MAX_EMPTY):
        bill = due_bill(book, book.accounts[account_no], None)
        if bill is None:
            break
        await fill_and_correct(session, book, [bill], to_batch)
        drafts = await drafts_of(session, bill)
        if drafts:
            return bill, drafts
        first = first or bill
        book = moved_on(book, bill)
    return first, []


def moved_on(book: Book, bill: Bill) -> Book:
    """The book as it will be once `bill` is made."""
    account = bill.account
    if bill.usage_to is not None:
        account = replace(account, usage_billed_to=bill.usage_to)
    owned = [
        replace(each, billed_to=bill.covered[each.id].fees, usage_billed_to=bill.covered[each.id].usage)
        if each.id in bill.covered
        else each
        for each in book.subscriptions.get(account.no, ())
    ]
    return replace(book, accounts={account.no: account}, subscriptions={account.no: owned})


async def store(
    session: Session, drafts: list[InvoiceDraft], order: Order, moments: Sequence[datetime] | None = None
) -> list[InvoiceRef]:
    """Finalizes the invoices: numbered, posted, announced; each at its moment, all at the order's `now` where none are given.

    Corrections that they could not take are issued as credit notes before, because invoice numbers are the last lock.
    """
    corrections = noted_of(drafts, moments or [order.now] * len(drafts))
    await issue_notes(session, order.actor, corrections, order.new_id)
    return await invoicing.store(
        session,
        drafts,
        status=Status.FINALIZED,
        now=order.now,
        ids=[order.new_id() for _ in drafts],
        actor=order.actor,
        run_id=order.run_id,
        moments=moments,
    )


async def advance(session: Session, book: Book, bills: Sequence[Bill]) -> list[tuple[int, datetime | None]]:
    """Moves every billed subscription and month on; gives each account's next due instant."""
    moves: list[Advance] = []
    months: list[Month] = []
    dues = [(bill.account.no, _step(book, bill, moves, months)) for bill in bills]
    closing = [counted for bill in bills for counted in bill.closing]
    await metering.keep_states(session, [slice_ for slice_, _ in closing], [total for _, total in closing])
    await subscriptions.advance(session, moves)
    await announce_ends(session, _finished(book, bills, moves))
    await accounts.advance_usage(session, months)
    await accounts.set_next_billing(session, dues)
    return dues


Month = tuple[int, datetime, datetime | None]
"""An account, how far its recorded usage is billed, and when it is billed next."""


def _step(book: Book, bill: Bill, moves: list[Advance], months: list[Month]) -> datetime | None:
    """When the account owes its next bill once this one is made; adds what moves to `moves` and `months`."""
    account = bill.account
    nexts = _moved(book, bill, moves)
    month_at = account.next_usage_billing_at
    if bill.usage_to is not None:
        following = usage_month(account, bill.usage_to)
        month_at = close_instant(following.end, book.usage_delay(account)) if account.is_open else None
        months.append((account.no, bill.usage_to, month_at))
    return min((at for at in (*nexts, month_at) if at is not None), default=None)


def _finished(book: Book, bills: Sequence[Bill], moves: Sequence[Advance]) -> list[tuple[Subscription, str]]:
    """Subscriptions whose scheduled end has come and of which all is billed now, with their accounts' ids."""
    done = {move.id for move in moves if move.next_billing_at is None}
    return [
        (subscription, bill.account.id)
        for bill in bills
        for subscription in book.subscriptions.get(bill.account.no, ())
        if subscription.id in done
    ]


def _moved(book: Book, bill: Bill, moves: list[Advance]) -> list[datetime | None]:
    """Adds the moves of the bill's subscriptions; the next due instants of all the account's subscriptions."""
    nexts: list[datetime | None] = []
    for subscription in book.subscriptions.get(bill.account.no, ()):
        covered = bill.covered.get(subscription.id)
        if covered is None:
            nexts.append(subscription.next_billing_at)
            continue
        following = next_due(book.schedule(subscription), covered, book.terms(subscription))
        at = following.instant if following else None
        moves.append(Advance(subscription.id, covered.fees, covered.usage, at))
        nexts.append(at)
    return nexts
