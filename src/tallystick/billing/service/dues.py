"""What is due: the parts of subscriptions and the months of recorded usage that one bill covers. Nothing is counted yet."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from tallystick.accounts.domain import Account, usage_schedule
from tallystick.billing.service.book import Book
from tallystick.catalog.domain import PlanVersion
from tallystick.invoicing.domain.assemble import (
    Inputs,
)
from tallystick.kernel.period import (
    Coverage,
    Due,
    Part,
    Period,
    Schedule,
    Terms,
    close_instant,
    next_due,
    period_at,
)
from tallystick.metering.domain.slices import UsageSlice, UsageTotal
from tallystick.subscriptions.domain import Subscription, coverage_of


@dataclass(frozen=True, slots=True)
class Renewal:
    """A subscription and what is billed of it now."""

    subscription: Subscription
    version: PlanVersion
    fee: Part | None
    usage: Part | None
    usage_end: datetime | None = None  # where a range stops inside an open period


@dataclass(frozen=True, slots=True)
class RecordedPart:
    """Usage without subscription of one calendar month, up to `end`."""

    whole: Period
    end: datetime


@dataclass(slots=True)
class Bill:
    """What one account is billed for at one instant; `inputs` has one entry per currency.

    `covered` and `usage_to` say what will be billed once this is: each subscription's coverage, and recorded usage. `closing` is what
    recurring meters came to in periods that it closes: the state they leave is frozen with it.
    """

    account: Account
    instant: datetime
    renewals: list[Renewal] = field(default_factory=list)
    recorded: list[RecordedPart] = field(default_factory=list)
    covered: dict[UUID, Coverage] = field(default_factory=dict)
    usage_to: datetime | None = None
    inputs: list[Inputs] = field(default_factory=list)
    closing: list[tuple[UsageSlice, UsageTotal]] = field(default_factory=list)
    marked: bool = False  # something of closed periods came too late, and this bill corrects it


def after(covered: Coverage, fee: Part | None, usage: Part | None) -> Coverage:
    """The coverage once these parts are billed."""
    return Coverage(
        covered.start,
        covered.end,
        fee.service.end if fee else covered.fees,
        usage.service.end if usage else covered.usage,
    )


def usage_month(account: Account, billed_to: datetime) -> RecordedPart:
    """The calendar month of recorded usage that follows `billed_to`."""
    month = _month(usage_schedule(account), billed_to)
    return RecordedPart(Period(max(month.start, billed_to), month.end), month.end)


@lru_cache(maxsize=4096)
def _month(schedule: Schedule, at: datetime) -> Period:
    """Most accounts share their months with thousands of others."""
    return period_at(schedule, at).period


def due_bill(book: Book, account: Account, as_of: datetime | None) -> Bill | None:
    """The account's earliest bill due at `as_of` (None: the next one, whenever that is)."""
    dues: list[tuple[Subscription, PlanVersion, Due]] = []
    for subscription in book.subscriptions.get(account.no, ()):
        version = book.shelf.versions[subscription.plan_version_id]
        due = next_due(book.schedule(subscription), coverage_of(subscription), book.terms(subscription))
        if due is not None:
            dues.append((subscription, version, due))
    month = usage_month(account, account.usage_billed_to) if account.is_open else None
    month_at = close_instant(month.end, book.usage_delay(account)) if month else None
    instants = [due.instant for _, _, due in dues] + ([month_at] if month_at else [])
    if not instants or (as_of is not None and min(instants) > as_of):
        return None
    bill = Bill(account, min(instants))
    for subscription, version, due in dues:
        if due.instant == bill.instant:
            bill.renewals.append(Renewal(subscription, version, due.fee, due.usage))
            bill.covered[subscription.id] = after(coverage_of(subscription), due.fee, due.usage)
    if month is not None and month_at == bill.instant:
        bill.recorded.append(month)
        bill.usage_to = month.end
    return bill


def range_bill(book: Book, account: Account, end: datetime) -> Bill:
    """All that is unbilled before `end`, whatever its close delay; of periods still open then, the usage so far."""
    bill = Bill(account, end)
    for subscription in book.subscriptions.get(account.no, ()):
        _range_renewals(book, subscription, bill, end)
    billed_to = account.usage_billed_to
    while account.is_open and billed_to < end:
        month = usage_month(account, billed_to)
        if month.end > end:
            bill.recorded.append(RecordedPart(month.whole, end))
            break
        bill.recorded.append(month)
        billed_to = bill.usage_to = month.end
    return bill


def _range_renewals(book: Book, subscription: Subscription, bill: Bill, end: datetime) -> None:
    version = book.shelf.versions[subscription.plan_version_id]
    schedule, own = book.schedule(subscription), book.terms(subscription)
    terms = Terms(own.advance, own.has_usage, timedelta(0), timedelta(0))
    covered = coverage_of(subscription)
    while (due := next_due(schedule, covered, terms)) is not None and due.instant <= end:
        fee = due.fee if due.fee and (due.instant < end or not own.advance) else None
        if fee is None and due.usage is None:
            break
        bill.renewals.append(Renewal(subscription, version, fee, due.usage))
        covered = after(covered, fee, due.usage)
    if own.has_usage and covered.usage < end and (covered.end is None or covered.usage < covered.end):
        whole = period_at(schedule, covered.usage)
        closes = whole.period.end if covered.end is None else min(whole.period.end, covered.end)
        part = Part(Period(max(whole.period.start, covered.usage), closes), whole)
        bill.renewals.append(Renewal(subscription, version, None, part, usage_end=end))
    bill.covered[subscription.id] = covered
