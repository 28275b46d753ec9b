"""Recorded usage: counted by month, service and price, where no subscription prices it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from tallystick.accounts.domain import Account
from tallystick.billing.service.book import Book, stock_meters
from tallystick.billing.service.dues import Bill, RecordedPart
from tallystick.invoicing.domain.assemble import (
    Recorded,
    recorded_key,
)
from tallystick.invoicing.domain.draft import UsageEvidence
from tallystick.invoicing.queries import PartialBilled
from tallystick.metering import queries as metering
from tallystick.metering.domain.slices import AccountSlice
from tallystick.platform.db import ReadSession

ZERO = Decimal(0)


@dataclass(slots=True)
class RecordedGroup:
    """Recorded usage of one month at one service and price, added up over the stretches of the month it was recorded usage in."""

    meter_id: int
    unit_price: Decimal
    quantity: Decimal = ZERO
    count: int = 0
    checksum: int = 0
    segments: list[tuple[datetime, datetime]] = field(default_factory=list)


async def recorded_groups(
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


def recorded_items(
    book: Book,
    part: RecordedPart,
    totals: Iterable[RecordedGroup],
    billed: list[PartialBilled],
    to_batch: int,
    included: bool,
) -> Iterable[Recorded]:
    """A month's groups as items of an invoice, each less what partial bills of the month charged for it. `included`: prices hold the tax."""
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
            tax_included=included,
            billed=sum((each.amount for each in own), ZERO),
            billed_quantity=sum((each.quantity for each in own), ZERO),
            partial=part.end < part.whole.end,
        )
