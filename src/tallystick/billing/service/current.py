"""The current bill: usage of the open periods, by meter and day, priced so far by the code that will bill it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tallystick.accounts.domain import Account
from tallystick.billing.domain.selection import select
from tallystick.billing.service.book import Book, Shelf, read_book
from tallystick.billing.service.collect import fill
from tallystick.billing.service.dues import Bill, Renewal, usage_month
from tallystick.invoicing.domain.assemble import assemble
from tallystick.invoicing.domain.draft import Line
from tallystick.kernel.period import Part, Period, period_at
from tallystick.metering import queries as metering
from tallystick.metering.domain.slices import UsageSlice
from tallystick.platform.db import ReadSession
from tallystick.subscriptions.domain import Subscription, coverage_of

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class DayUsage:
    """What was recorded on one local day."""

    date: date
    quantity: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One meter (or service and price) of the open period and what it costs so far."""

    meter: str
    description: str
    unit: str
    quantity: Decimal
    unit_price: Decimal | None
    amount: Decimal
    exact_amount: Decimal
    days: Sequence[DayUsage]


@dataclass(frozen=True, slots=True)
class UsagePeriod:
    """An open period: of a subscription, or of usage without one."""

    subscription_id: str | None
    plan: str | None
    period_start: datetime
    period_end: datetime
    currency: str
    subtotal: Decimal
    lines: Sequence[UsageLine]


@dataclass(frozen=True, slots=True)
class CurrentUsage:
    """The account's current bill. `subtotal` per currency is before tax."""

    account_id: str
    currency: str
    subtotal: Decimal
    periods: list[UsagePeriod] = field(default_factory=list)


async def current_usage(session: ReadSession, account: Account) -> CurrentUsage:
    """The open periods of the account, what is committed now included. Writes nothing; an account without usage has no periods' lines."""
    book = await read_book(session, [account.no], Shelf())
    periods: list[UsagePeriod] = []
    for subscription in book.subscriptions.get(account.no, ()):
        part = _open_part(book, subscription)
        if part is not None:
            version = book.shelf.versions[subscription.plan_version_id]
            bill = Bill(account, part.service.end, renewals=[Renewal(subscription, version, None, part)])
            periods.append(await _period(session, book, bill, subscription, part.service))
    month = usage_month(account, account.usage_billed_to)
    bill = Bill(account, month.end, recorded=[month])
    recorded = await _period(session, book, bill, None, month.whole)
    if recorded.lines or not periods:
        periods.append(recorded)
    own = sum((each.subtotal for each in periods if each.currency == account.currency), ZERO)
    return CurrentUsage(account.id, account.currency, own, periods)


def _open_part(book: Book, subscription: Subscription) -> Part | None:
    covered = coverage_of(subscription)
    if not book.terms(subscription).has_usage or (covered.end is not None and covered.usage >= covered.end):
        return None
    whole = period_at(book.schedule(subscription), covered.usage)
    closes = whole.period.end if covered.end is None else min(whole.period.end, covered.end)
    return Part(Period(max(whole.period.start, covered.usage), closes), whole)


async def _period(
    session: ReadSession, book: Book, bill: Bill, subscription: Subscription | None, period: Period
) -> UsagePeriod:
    await fill(session, book, [bill], metering.ALL_BATCHES)
    lines = [line for own in bill.inputs if (draft := assemble(own)) is not None for line in draft.lines]
    timezone = bill.account.timezone
    days: dict[tuple[int, Any], list[DayUsage]] = defaultdict(list)
    if lines:
        for meter, price, day, quantity, events in await metering.by_day(
            session, bill.account.no, period.start, period.end, timezone
        ):
            days[meter, price].append(DayUsage(day, quantity, events))
    own = await _own_days(session, bill.account, lines)
    version = book.shelf.versions[subscription.plan_version_id] if subscription else None
    return UsagePeriod(
        subscription_id=str(subscription.id) if subscription else None,
        plan=version.name if version else None,
        period_start=period.start,
        period_end=period.end,
        currency=version.currency if version else bill.account.currency,
        subtotal=sum((line.amount for line in lines), ZERO),
        lines=[
            _line(book, line, own[n] if n in own else _meter_days(line, days)) for n, line in enumerate(lines)
        ],
    )


async def _own_days(
    session: ReadSession, account: Account, lines: Sequence[Line]
) -> dict[int, list[DayUsage]]:
    """The days of lines that count some of their meter's events only, or a property of them, by the line's place. One statement."""
    chosen = {
        place: select(account.no, line.rule, line.inputs, line.evidence, line.period_end)
        for place, line in enumerate(lines)
        if line.evidence is not None and any(line.inputs.get(name) for name in _CHOOSING)
    }
    slices = [_added_up(each.slice_) for each in chosen.values()]
    rows = await metering.by_day_and_part(session, slices, account.timezone)
    found: dict[int, list[DayUsage]] = {place: [] for place in chosen}
    places = list(chosen)
    for index, part, day, quantity, events in rows:
        group = chosen[places[index]].group
        if group is None or group == part:
            found[places[index]].append(DayUsage(day, quantity, events))
    return {place: _merged(days) for place, days in found.items()}


_CHOOSING = ("filters", "charge_filters", "group", "field")


def _added_up(slice_: UsageSlice) -> UsageSlice:
    """The same events with their values added up, whatever the meter makes of them over a period."""
    unmeasured = slice_.aggregation in ("count", "unique")
    return UsageSlice(
        slice_.account_no, slice_.meter_id, "sum", slice_.start, slice_.end, slice_.to_batch, slice_.from_batch,
        None if unmeasured else slice_.field, slice_.filters, slice_.also, group_by=slice_.group_by,
    )  # fmt: skip


def _meter_days(line: Line, days: dict[tuple[int, Any], list[DayUsage]]) -> list[DayUsage]:
    price = line.inputs.get("unit_price")
    return _merged(
        [
            day
            for (meter_id, own), rows in days.items()
            if line.evidence is not None
            and meter_id == line.evidence.meter_id
            and (price is None or own == price)
            for day in rows
        ]
    )


def _line(book: Book, line: Line, days: Sequence[DayUsage]) -> UsageLine:
    meter = book.shelf.meters[line.evidence.meter_id] if line.evidence else None
    return UsageLine(
        meter.code if meter else "", line.description, line.unit, line.quantity, line.inputs.get("unit_price"), line.amount,
        line.exact, days,
    )  # fmt: skip


def _merged(days: Sequence[DayUsage]) -> list[DayUsage]:
    """One row per day: a meter's events may carry several prices."""
    totals: dict[date, tuple[Decimal, int]] = {}
    for day in days:
        quantity, events = totals.get(day.date, (ZERO, 0))
        totals[day.date] = (quantity + day.quantity, events + day.events)
    return [DayUsage(day, *totals[day]) for day in sorted(totals)]
