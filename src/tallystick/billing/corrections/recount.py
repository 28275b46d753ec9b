"""Closed periods counted again, with whatever their account is billed for next.

A marked period goes through the very code that closed it (`collect.fill`, then `assemble`), as if nothing had been billed of it, up to the
batch the bill counts. Plan versions, charges and meters never change once they are used, so what decided a line then decides it now;
the mode of rounding is taken from what stands. `invoicing.domain.corrections` takes off what stands and makes the lines.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.accounts.domain import Account, usage_schedule
from tallystick.billing.corrections import queries
from tallystick.billing.corrections.queries import Mark
from tallystick.billing.service.book import Book
from tallystick.billing.service.collect import fill
from tallystick.billing.service.dues import Bill, RecordedPart, Renewal
from tallystick.invoicing.domain.assemble import Recount
from tallystick.invoicing.domain.corrections import Standing, Stood
from tallystick.kernel.clock import parse_instant
from tallystick.kernel.period import Part, Period, period_at
from tallystick.platform.db import ReadSession
from tallystick.subscriptions.domain import Subscription

ZERO = Decimal(0)


async def fill_and_correct(
    session: ReadSession, book: Book, bills: Sequence[Bill], to_batch: int, now: datetime | None = None
) -> None:
    """As `collect.fill`, and each bill's inputs take in what is marked of its account.

    One statement more for any number of bills, a constant number where some are marked. An account whose recurring meter is marked
    has that meter counted from its first event, here and in the bill: what later periods began with is no longer so.
    """
    marked = await queries.marks(session, [bill.account.no for bill in bills])
    for bill in bills:
        bill.marked = bill.account.no in marked
    afresh = {no for no, own in marked.items() if any(_recurs(book, no, mark) for mark in own)}
    await fill(session, book, bills, to_batch, now, afresh=afresh)
    again = [
        old for bill in bills if (old := _closed(book, bill, marked.get(bill.account.no, ()))) is not None
    ]
    if not again:
        return
    await fill(session, book, again, to_batch, now, afresh=afresh, anew=True)
    stands = await queries.stood(session, [_span(old) for old in again])
    given = await queries.noted(session, {line.invoice_id for own in stands.values() for line in own})
    by_account = {bill.account.no: bill for bill in bills}
    for old in again:
        by_account[old.account.no].closing[:0] = old.closing
        no = old.account.no
        again_ = any(mark.again for mark in marked[no])
        _take_in(by_account[no], old, Stood(stands.get(no, ()), to_batch, given, again_))


def _recurs(book: Book, account_no: int, mark: Mark) -> bool:
    return any(
        charge.meter_id == mark.meter_id and book.shelf.meters[charge.meter_id].recurring
        for each in book.all_subscriptions.get(account_no, ())
        for charge in book.shelf.versions[each.plan_version_id].charges
    )


def _closed(book: Book, bill: Bill, marks: Sequence[Mark]) -> Bill | None:
    """The marked closed periods of the account as a bill of their own, None where there are none."""
    old = Bill(bill.account, bill.instant)
    for subscription in book.all_subscriptions.get(bill.account.no, ()):
        old.renewals += _renewals(book, subscription, marks)
    old.recorded += _months(book, bill.account, marks)
    return old if old.renewals or old.recorded else None


def _renewals(book: Book, subscription: Subscription, marks: Sequence[Mark]) -> Iterable[Renewal]:
    """The subscription's closed periods that a mark touches; where no minimum joins them, with the marked charges only."""
    version = book.shelf.versions[subscription.plan_version_id]
    priced = {charge.meter_id for charge in version.charges}
    parts: dict[datetime, Part] = {}
    meters: dict[datetime, set[int]] = defaultdict(set)
    for mark in marks:
        if mark.meter_id in priced:
            recurring = book.shelf.meters[mark.meter_id].recurring
            for part in _periods(book, subscription, mark.first_at, None if recurring else mark.last_at):
                parts[part.service.start] = part
                meters[part.service.start].add(mark.meter_id)
    for start, part in sorted(parts.items()):
        charges = tuple(
            each for each in version.charges if version.minimum is not None or each.meter_id in meters[start]
        )
        yield Renewal(subscription, replace(version, charges=charges), None, part)


def _periods(
    book: Book, subscription: Subscription, first: datetime, last: datetime | None
) -> Iterable[Part]:
    schedule = book.schedule(subscription)
    at = max(first, subscription.anchor)
    until = subscription.usage_billed_to
    while at < until and (last is None or at <= last):
        whole = period_at(schedule, at)
        ended = subscription.ended_at
        end = whole.period.end if ended is None else min(whole.period.end, ended)
        if end <= until:
            yield Part(Period(max(whole.period.start, subscription.anchor), end), whole)
        at = whole.period.end


def _months(book: Book, account: Account, marks: Sequence[Mark]) -> Iterable[RecordedPart]:
    """The closed months of recorded usage that a mark touches, those before the account was opened too."""
    found: dict[datetime, RecordedPart] = {}
    months = usage_schedule(account)
    for mark in marks:
        at = mark.first_at
        while at <= mark.last_at and at < account.usage_billed_to:
            whole = period_at(months, at).period
            cut = account.usage_from
            start, end = (
                (max(whole.start, cut), whole.end) if at >= cut else (whole.start, min(whole.end, cut))
            )
            if end <= account.usage_billed_to:
                found[start] = RecordedPart(Period(start, end), end)
            at = end
    return [part for _, part in sorted(found.items())]


def _span(old: Bill) -> tuple[int, datetime, datetime]:
    """The stretch in which everything that stands of these periods begins."""
    services = [each.usage.service for each in old.renewals if each.usage is not None]
    services += [part.whole for part in old.recorded]
    return old.account.no, min(each.start for each in services), max(each.end for each in services)


def _take_in(bill: Bill, old: Bill, stood: Stood) -> None:
    """Gives each of the bill's inputs what was counted again in its currency; where it has none in that currency, one that has nothing else."""
    mine = _recounted(old)
    for anew in old.inputs:
        lines = [line for line in stood.lines if mine.get(_whose(line)) == anew.currency]
        # A correction on credit notes takes off what the notes on its lines gave back for it: what is left of these was given by hand.
        of_notes: dict[tuple[UUID, int], Decimal] = {
            (line.invoice_id, line.position): line.amount - line.discount - line.granted + _elsewhere(line)
            for line in lines
            if not line.position
        }
        recount = Recount(anew.items, replace(stood, lines=lines, given={**stood.given, **of_notes}))
        for index, own in enumerate(bill.inputs):
            if own.currency == anew.currency:
                bill.inputs[index] = replace(own, recount=recount)
                break
        else:
            bill.inputs.append(replace(anew, items=[], recount=recount))


def _elsewhere(line: Standing) -> Decimal:
    """What of a correction on notes lines of other prices gave back (`planning.place`); `queries.noted` does not count it as theirs."""
    return sum((Decimal(amount) for _, _, amount in line.inputs.get("elsewhere", ())), ZERO)


_Whose = tuple[UUID | None, datetime, int | None]


def _recounted(old: Bill) -> dict[_Whose, str]:
    """Which prices were counted again, and their currency: (subscription, period, charge), charge None for top-ups of plans and for recorded usage."""
    found: dict[_Whose, str] = {}
    for each in old.renewals:
        if each.usage is not None:
            start = each.usage.whole.period.start
            found |= {
                (each.subscription.id, start, charge.id): each.version.currency
                for charge in each.version.charges
            }
            if each.version.minimum is not None:
                found[each.subscription.id, start, None] = each.version.currency
    for part in old.recorded:
        found[None, part.whole.start, None] = old.account.currency
    return found


def _whose(line: Standing) -> _Whose:
    return line.subscription_id, parse_instant(line.inputs["aligned"][0]), line.charge_id
