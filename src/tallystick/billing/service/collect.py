"""What is due: subscriptions and recorded usage → counted → the `Inputs` of invoices. Reads only, so a preview may call it too."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from tallystick.accounts.domain import Account, usage_schedule
from tallystick.billing.service.book import Book, stock_meters
from tallystick.catalog.domain import Charge, PlanVersion
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.domain.assemble import (
    Commitment,
    Fee,
    Inputs,
    Item,
    Recorded,
    Usage,
    fee_exact,
    recorded_key,
)
from tallystick.invoicing.domain.draft import UsageEvidence
from tallystick.invoicing.queries import PartialBilled
from tallystick.kernel.errors import Conflict
from tallystick.kernel.money import Rounding, round_money
from tallystick.kernel.period import Coverage, Due, Part, Period, Terms, close_instant, next_due, period_at
from tallystick.kernel.proration import fraction, share
from tallystick.metering import queries as metering
from tallystick.metering.domain.slices import AccountSlice, UsageSlice, UsageTotal
from tallystick.platform.db import ReadSession
from tallystick.rating.domain import Aggregation, Share
from tallystick.subscriptions.domain import Subscription, coverage_of

ZERO = Decimal(0)
NOT_DIVISIBLE = frozenset({Aggregation.MAX, Aggregation.UNIQUE, Aggregation.LATEST})
"""Aggregations whose part of a period says nothing about the whole: such a period is billed at its end, never in pieces."""


class NotDivisible(Conflict):
    code = "not_divisible"
    sentence = (
        "A period with a max, unique or latest meter is billed when it ends; choose an end on its boundary"
    )


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

    `covered` and `usage_to` say what will be billed once this is: each subscription's coverage, and recorded usage.
    """

    account: Account
    instant: datetime
    renewals: list[Renewal] = field(default_factory=list)
    recorded: list[RecordedPart] = field(default_factory=list)
    covered: dict[UUID, Coverage] = field(default_factory=dict)
    usage_to: datetime | None = None
    inputs: list[Inputs] = field(default_factory=list)


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
    month = period_at(usage_schedule(account), billed_to).period
    return RecordedPart(Period(max(month.start, billed_to), month.end), month.end)


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


async def fill(session: ReadSession, book: Book, bills: Sequence[Bill], to_batch: int) -> None:
    """Counts the usage of all bills in two statements and gives each its `inputs`."""
    slices: list[UsageSlice] = []
    for bill in bills:
        for renewal in bill.renewals:
            if renewal.usage is not None:
                slices.extend(_slices(book, bill, renewal, renewal.usage, to_batch))
    totals = iter(await metering.aggregate(session, slices) if slices else [])
    recorded = iter(await _recorded(session, book, bills, to_batch))
    partials = _by_owner(
        await invoices.partial_billed(session, [(bill.account.no, _open_since(bill)) for bill in bills])
    )
    for bill in bills:
        items: dict[str, list[Item]] = defaultdict(list)
        for renewal in bill.renewals:
            items[renewal.version.currency].extend(_renewal_items(book, renewal, totals, partials, to_batch))
        for part in bill.recorded:
            items[bill.account.currency].extend(
                _recorded_items(book, part, next(recorded), partials[bill.account.no, None], to_batch)
            )
        bill.inputs = [_inputs(book, bill.account, currency, own) for currency, own in items.items() if own]


def _open_since(bill: Bill) -> datetime:
    """Where the earliest period that the bill closes or touches began to be counted."""
    starts = [each.usage.service.start for each in bill.renewals if each.usage is not None]
    starts += [part.whole.start for part in bill.recorded]
    return min(starts, default=bill.instant)


def _inputs(book: Book, account: Account, currency: str, items: list[Item]) -> Inputs:
    entity = book.shelf.entities[account.entity_id]
    return Inputs(
        account.no,
        account.entity_id,
        currency,
        items,
        book.tax_rates.get(account.no, ()),
        Rounding(entity.rounding),
        entity.tax_rounding,
    )


def _slices(book: Book, bill: Bill, renewal: Renewal, part: Part, to_batch: int) -> Iterable[UsageSlice]:
    start = max(part.whole.period.start, renewal.subscription.anchor)
    end = renewal.usage_end or part.service.end
    for charge in renewal.version.charges:
        meter = book.shelf.meters[charge.meter_id]
        if renewal.usage_end is not None and meter.aggregation in NOT_DIVISIBLE:
            raise NotDivisible(details={"meter": meter.code})
        yield UsageSlice(
            bill.account.no,
            meter.id,
            meter.aggregation,
            start,
            end,
            to_batch,
            field=meter.field,
            filters=meter.filters,
        )


def _renewal_items(
    book: Book, renewal: Renewal, totals: Iterable[UsageTotal], partials: "Partials", to_batch: int
) -> Iterable[Item]:
    if renewal.fee is not None and renewal.version.price:
        yield _fee_item(renewal, renewal.fee)
    if renewal.usage is not None:
        billed = partials[renewal.subscription.account_no, renewal.subscription.id]
        due = _share(renewal, renewal.usage)
        for charge, total in zip(renewal.version.charges, totals, strict=False):
            yield _usage_item(book, renewal, renewal.usage, charge, total, billed, due, to_batch)
        if renewal.version.minimum is not None and renewal.usage_end is None:
            yield _commitment_item(book, renewal, renewal.usage, renewal.version.minimum, billed)


def _commitment_item(
    book: Book, renewal: Renewal, part: Part, minimum: Decimal, billed: list[PartialBilled]
) -> Commitment:
    """The plan's minimum for the period that closes; the period's fee counts towards it, whichever invoice it stands on."""
    version = renewal.version
    fee = _fee_item(renewal, part)
    exact = fee_exact(fee.price, fee.quantity, fee.used, fee.whole)
    rounding = Rounding(book.shelf.entities[renewal.subscription.entity_id].rounding)
    return Commitment(
        subscription_id=renewal.subscription.id,
        plan_version_id=version.id,
        description=f"{version.name}: top-up to the minimum",
        minimum=minimum,
        share=_share(renewal, part).limits,
        fee=round_money(exact, version.currency, rounding),
        billed=sum((each.amount for each in billed if each.period_start >= part.whole.period.start), ZERO),
        start=part.service.start,
        end=part.service.end,
        aligned=(part.whole.period.start, part.whole.period.end),
        gl_code=version.gl_code,
    )


def _share(renewal: Renewal, part: Part) -> Share:
    """What part of flat amounts, and of minimums and included units, the served part of the period is due."""
    measured = fraction(renewal.version.proration, part.service, part.whole)
    return Share(
        measured, measured if renewal.version.settings.get("prorate_limits", True) else Share().limits
    )


def _fee_item(renewal: Renewal, part: Part) -> Fee:
    basis = renewal.version.proration
    measured = share(basis, part.service, part.whole)
    return Fee(
        subscription_id=renewal.subscription.id,
        plan_version_id=renewal.version.id,
        description=renewal.version.name,
        price=renewal.version.price,
        quantity=renewal.subscription.quantity,
        basis=basis.value,
        used=measured.used,
        whole=measured.whole,
        start=part.service.start,
        end=part.service.end,
        aligned=(part.whole.period.start, part.whole.period.end),
        timing=renewal.version.billing_timing,
        gl_code=renewal.version.gl_code,
    )


def _usage_item(
    book: Book,
    renewal: Renewal,
    part: Part,
    charge: Charge,
    total: UsageTotal,
    billed: list[PartialBilled],
    due: Share,
    to_batch: int,
) -> Usage:
    start = max(part.whole.period.start, renewal.subscription.anchor)
    key = f"charge:{charge.id}"
    own = [each for each in billed if each.price_key == key and each.period_start >= start] if billed else []
    meter = book.shelf.meters[charge.meter_id]
    return Usage(
        subscription_id=renewal.subscription.id,
        plan_version_id=renewal.version.id,
        charge_id=charge.id,
        description=charge.name,
        unit=meter.unit,
        price=book.shelf.price(charge, renewal.version.currency),
        terms=book.shelf.terms(charge),
        quantity=total.quantity,
        evidence=UsageEvidence(meter.id, 0, to_batch, total.count, total.checksum),
        counted_from=start,
        start=max([start, *(each.period_end for each in own)]),
        end=renewal.usage_end or part.service.end,
        aligned=(part.whole.period.start, part.whole.period.end),
        gl_code=charge.gl_code,
        share=due,
        billed=sum((each.amount for each in own), ZERO),
        billed_quantity=sum((each.quantity for each in own), ZERO),
        partial=renewal.usage_end is not None,
    )  # fmt: skip


@dataclass(slots=True)
class RecordedGroup:
    """Recorded usage of one month at one service and price, added up over the stretches of the month it was recorded usage in."""

    meter_id: int
    unit_price: Decimal
    quantity: Decimal = ZERO
    count: int = 0
    checksum: int = 0
    segments: list[tuple[datetime, datetime]] = field(default_factory=list)


async def _recorded(
    session: ReadSession, book: Book, bills: Sequence[Bill], to_batch: int
) -> list[list[RecordedGroup]]:
    """Recorded usage of every month of every bill, in their order.

    While a subscription prices a meter, its usage is not recorded usage, whatever price it carries: the month is cut where that changes.
    """
    slices: list[AccountSlice] = []
    owners: list[int] = []
    months = [(bill.account, part) for bill in bills for part in bill.recorded]
    for index, (account, part) in enumerate(months):
        for start, end, priced in _stretches(book, account, part):
            slices.append(AccountSlice(account.no, start, end, to_batch, except_meters=priced))
            owners.append(index)
    found: list[dict[tuple[int, Decimal], RecordedGroup]] = [{} for _ in months]
    for total in await metering.recorded(session, slices):
        groups = found[owners[total.slice_index]]
        group = groups.setdefault(
            (total.meter_id, total.unit_price), RecordedGroup(total.meter_id, total.unit_price)
        )
        group.quantity += total.quantity
        group.count += total.count
        group.checksum ^= total.checksum
        group.segments.append((slices[total.slice_index].start, slices[total.slice_index].end))
    await stock_meters(session, book.shelf, {meter for groups in found for meter, _ in groups})
    return [list(groups.values()) for groups in found]


def _stretches(
    book: Book, account: Account, part: RecordedPart
) -> Iterable[tuple[datetime, datetime, tuple[int, ...]]]:
    """The month in stretches over which the same meters are priced by subscriptions, each with those meters."""
    start, end = part.whole.start, part.end
    owned = [
        (
            max(each.started_at, start),
            min(each.ended_at or end, end),
            book.shelf.versions[each.plan_version_id].charges,
        )
        for each in book.all_subscriptions.get(account.no, ())
    ]
    owned = [each for each in owned if each[0] < each[1] and each[2]]
    cuts = sorted({start, end, *(at for since, until, _ in owned for at in (since, until))})
    for since, until in pairwise(cuts):
        priced = {
            charge.meter_id for a, b, charges in owned if a <= since and until <= b for charge in charges
        }
        yield since, until, tuple(sorted(priced))


def _recorded_items(
    book: Book,
    part: RecordedPart,
    totals: Iterable[RecordedGroup],
    billed: list[PartialBilled],
    to_batch: int,
) -> Iterable[Recorded]:
    for total in totals:
        meter = book.shelf.meters[total.meter_id]
        key = recorded_key(meter.id, total.unit_price)
        own = [each for each in billed if each.price_key == key and each.period_start >= part.whole.start]
        yield Recorded(
            description=meter.name,
            unit=meter.unit,
            unit_price=total.unit_price,
            quantity=total.quantity,
            evidence=UsageEvidence(meter.id, 0, to_batch, total.count, total.checksum),
            counted_from=part.whole.start,
            segments=total.segments if total.segments != [(part.whole.start, part.end)] else [],
            start=max([part.whole.start, *(each.period_end for each in own)]),
            end=part.end,
            aligned=(part.whole.start, part.whole.end),
            gl_code="usage",
            billed=sum((each.amount for each in own), ZERO),
            billed_quantity=sum((each.quantity for each in own), ZERO),
            partial=part.end < part.whole.end,
        )


Partials = defaultdict[tuple[int, UUID | None], list[PartialBilled]]


def _by_owner(rows: Iterable[PartialBilled]) -> Partials:
    found: Partials = defaultdict(list)
    for row in rows:
        found[row.account_no, row.subscription_id].append(row)
    return found
