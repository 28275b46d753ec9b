"""What prices come to as things stand: closed periods with the corrections that are coming, open periods so far.

Everything is computed by what bills: the next bill by `fill_and_correct` and `assemble`, as the run does it, the open periods by the
same over all that is not billed yet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.billing.corrections.recount import fill_and_correct
from tallystick.billing.domain.selection import instant
from tallystick.billing.service.book import Book, Shelf, read_book, stock_meters
from tallystick.billing.service.dues import Bill, Renewal, due_bill, usage_month
from tallystick.billing.service.renewal import Failure, draft, planned
from tallystick.invoicing.domain.draft import Line
from tallystick.kernel.period import Part, Period, period_at
from tallystick.metering import queries as metering
from tallystick.platform.db import ReadSession
from tallystick.subscriptions.domain import Subscription, coverage_of

ZERO = Decimal(0)
PAGE = 500


class Outcome(StrEnum):
    """What a difference becomes: a line of the next invoice, a credit note, or just a part of the period's own line."""

    CORRECTION_LINE = "correction_line"
    CREDIT_NOTE = "credit_note"
    OPEN_PERIOD = "open_period"


@dataclass(frozen=True, slots=True)
class Price:
    """What is priced: an account's, which subscription's (None: recorded usage), in which whole period, under which key."""

    account_no: int
    subscription_id: UUID | None
    period: datetime
    key: str


@dataclass(frozen=True, slots=True)
class Stand:
    """What a price comes to: `amount` of `quantity`, of which documents say `billed_amount` and `billed_quantity` already."""

    outcome: Outcome
    line: Line
    currency: str
    meter: str | None
    quantity: Decimal
    amount: Decimal
    billed_quantity: Decimal = ZERO
    billed_amount: Decimal = ZERO


@dataclass(slots=True)
class Standing:
    """The prices of some accounts, and those accounts whose next bill cannot be made."""

    prices: dict[Price, Stand] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


async def standing(session: ReadSession, account_nos: Sequence[int], system_now: datetime) -> Standing:
    """What these accounts' prices come to by all events there are. A constant number of statements for every 500 accounts."""
    found, shelf = Standing(), Shelf()
    for at in range(0, len(account_nos), PAGE):
        page = account_nos[at : at + PAGE]
        book = await read_book(session, page, shelf)
        nows = await accounts.business_nows(session, book.accounts.values(), system_now)
        lines = [*await _corrections(session, book, found), *await _open(session, book, nows)]
        await stock_meters(
            session, shelf, {line.evidence.meter_id for _, line, _, _ in lines if line.evidence}
        )
        found.prices |= {
            _price(account, line): _stand(book, line, outcome, currency)
            for account, line, outcome, currency in lines
        }
    return found


_Line = tuple[Account, Line, Outcome, str]


async def _corrections(session: ReadSession, book: Book, found: Standing) -> list[_Line]:
    """The corrections that the accounts' next bills bring."""
    bills = [bill for each in book.accounts.values() if (bill := due_bill(book, each, None)) is not None]
    await fill_and_correct(session, book, bills, metering.ALL_BATCHES)
    made, failures = await planned(session, bills)
    found.failures += failures
    lines = [
        (bill.account, line, outcome, each.currency)
        for bill, drafts in made
        for each in drafts
        for own, outcome in ((each.lines, Outcome.CORRECTION_LINE), (each.noted, Outcome.CREDIT_NOTE))
        for line in own
    ]
    return [each for each in lines if each[1].corrects is not None or each[1].inputs.get("late")]


async def _open(session: ReadSession, book: Book, nows: dict[int, datetime]) -> list[_Line]:
    """What is not billed yet."""
    bills = [_open_bill(book, each, nows[each.no]) for each in book.accounts.values()]
    await fill_and_correct(session, book, bills, metering.ALL_BATCHES)
    for bill in bills:
        bill.inputs = [replace(own, recount=None) for own in bill.inputs if own.items]
    made, _ = draft(bills)
    return [
        (bill.account, line, Outcome.OPEN_PERIOD, each.currency)
        for bill, drafts in made
        for each in drafts
        for line in each.lines
    ]


def _open_bill(book: Book, account: Account, now: datetime) -> Bill:
    """The usage of all periods that are not billed yet and began before `now`, each whole."""
    bill = Bill(account, now)
    for subscription in book.subscriptions.get(account.no, ()):
        version = book.shelf.versions[subscription.plan_version_id]
        bill.renewals += [
            Renewal(subscription, version, None, part) for part in _open_parts(book, subscription, now)
        ]
    billed_to = account.usage_billed_to
    while account.is_open and billed_to < now:
        month = usage_month(account, billed_to)
        bill.recorded.append(month)
        billed_to = month.end
    return bill


def _open_parts(book: Book, subscription: Subscription, now: datetime) -> Iterator[Part]:
    if not book.terms(subscription).has_usage:
        return
    covered, schedule = coverage_of(subscription), book.schedule(subscription)
    at = covered.usage
    while at < now and (covered.end is None or at < covered.end):
        whole = period_at(schedule, at)
        closes = whole.period.end if covered.end is None else min(whole.period.end, covered.end)
        yield Part(Period(max(whole.period.start, at), closes), whole)
        at = whole.period.end


def _price(account: Account, line: Line) -> Price:
    return Price(account.no, line.subscription_id, instant(line.inputs["aligned"][0]), line.price_key)


def _stand(book: Book, line: Line, outcome: Outcome, currency: str) -> Stand:
    before = line.inputs.get("before")
    amount, quantity = (ZERO, ZERO) if before is None else (before["amount"], before["quantity"])
    meter = None if line.evidence is None else book.shelf.meters[line.evidence.meter_id].code
    counted = line.quantity if line.evidence is not None else ZERO
    billed = quantity if line.evidence is not None else ZERO
    return Stand(outcome, line, currency, meter, billed + counted, amount + line.amount, billed, amount)
