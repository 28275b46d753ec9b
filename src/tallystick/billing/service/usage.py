"""Usage that subscriptions price: which events each charge counts, and what they came to as items of an invoice.

How a charge is counted: the meter's aggregation over the events that match the meter's filters and the charge's, split by the charge's
`group_by` (one item, hence one line, for each combination of values) and by the dimensions of its price, with what the price `needs`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from tallystick.billing.service.book import Book
from tallystick.billing.service.dues import Bill, Renewal
from tallystick.catalog.domain import Charge, Meter
from tallystick.invoicing.domain.assemble import Usage
from tallystick.invoicing.domain.draft import UsageEvidence
from tallystick.invoicing.queries import PartialBilled
from tallystick.kernel.errors import Conflict
from tallystick.kernel.period import Part, Period
from tallystick.metering.domain.carried import day_bounds, whole_of
from tallystick.metering.domain.slices import Part as Group
from tallystick.metering.domain.slices import UsageSlice, UsageTotal, metered_of
from tallystick.platform import wire
from tallystick.rating.domain import Aggregation, Need, Price, Share, freeze

ZERO = Decimal(0)
DIVISIBLE = frozenset({Aggregation.COUNT, Aggregation.SUM})
"""Aggregations whose part of a period is a part of the whole; a period with any other is billed at its end, never in pieces."""
FALLING = frozenset({"volume", "stairstep"})
"""Models by which the next unit may lower the price of all: a part of a period could cost more than the whole."""
_SHOWN = 60


class NotDivisible(Conflict):
    code = "not_divisible"
    sentence = (
        "A period is billed in parts only where its meters count or add up without carrying over, and no volume or stairstep price "
        "applies; choose an end on its boundary"
    )


def usage_slices(
    book: Book, bill: Bill, renewal: Renewal, part: Part, served: Period, to_batch: int
) -> Iterable[UsageSlice]:
    """What each charge of the renewal counts, in their order. `served`: the part of the period whose days count.

    Raises `NotDivisible` where the range ends inside the period and a part of it would say nothing about the whole.
    """
    for charge in renewal.version.charges:
        meter = book.shelf.meters[charge.meter_id]
        if renewal.usage_end is not None and not _divides(charge, meter):
            raise NotDivisible(details={"meter": meter.code})
        slice_ = UsageSlice(
            bill.account.no,
            meter.id,
            meter.aggregation,
            max(part.whole.period.start, renewal.subscription.anchor),
            renewal.usage_end or part.service.end,
            to_batch,
            field=meter.field,
            filters=meter.filters,
        )
        price = book.shelf.price(charge, renewal.version.currency)
        yield _further(slice_, charge, meter, price, part, served)


def _divides(charge: Charge, meter: Meter) -> bool:
    return meter.aggregation in DIVISIBLE and not meter.recurring and charge.charge_model not in FALLING


def _further(
    slice_: UsageSlice, charge: Charge, meter: Meter, price: Price, part: Part, served: Period
) -> UsageSlice:
    """The slice with all that a count, sum or maximum of a plain charge does without."""
    need = price.needs
    timed = meter.recurring or meter.aggregation is Aggregation.WEIGHTED_SUM
    if not (timed or charge.filters or charge.group_by or meter.percentile or need is not Need.TOTAL):
        return slice_
    whole, zone = part.whole.period, part.whole.zone
    daily = meter.recurring and meter.aggregation is not Aggregation.WEIGHTED_SUM
    return replace(
        slice_,
        also=charge.filters,
        percentile=meter.percentile,
        group_by=charge.group_by,
        dimensions=price.dimensions,
        need=need,
        recurring=meter.recurring,
        whole=whole_of(meter.aggregation, whole.start, whole.end, zone, recurring=meter.recurring),
        days=day_bounds(slice_.start, served.end, zone) if daily else (),
    )


def usage_items(
    book: Book,
    renewal: Renewal,
    part: Part,
    charge: Charge,
    counted: tuple[UsageSlice, UsageTotal],
    billed: Sequence[PartialBilled],
    due: Share,
) -> Iterable[Usage]:
    """The charge's items: one, or one for each group, each less what partial bills of the period charged for it.

    A grouped charge without any event is one item too, at its period's close, so that what is due for nothing used is charged.
    """
    slice_, total = counted
    if not slice_.group_by or (not total.parts and renewal.usage_end is None):
        yield _item(book, renewal, part, charge, slice_, total, billed, due, None)
    for group, own in total.parts:
        yield _item(book, renewal, part, charge, slice_, own, billed, due, group)


def _item(
    book: Book,
    renewal: Renewal,
    part: Part,
    charge: Charge,
    slice_: UsageSlice,
    total: UsageTotal,
    billed: Sequence[PartialBilled],
    due: Share,
    group: Group | None,
) -> Usage:
    price = book.shelf.price(charge, renewal.version.currency)
    suffix = "" if group is None else group_suffix(group)
    start, key = slice_.start, f"charge:{charge.id}{suffix}"
    own = [each for each in billed if each.price_key == key and each.period_start >= start] if billed else []
    meter = book.shelf.meters[charge.meter_id]
    plain = slice_.need is Need.TOTAL and total.exact is None
    metered = None if plain else metered_of(total, slice_.need)
    facts = _facts(slice_, total, part, group)
    if metered is not None:
        facts["metered"] = freeze(price, metered, due)
    return Usage(
        subscription_id=renewal.subscription.id,
        plan_version_id=renewal.version.id,
        charge_id=charge.id,
        description=charge.name if group is None else f"{charge.name}: {told(charge.group_by, group)}",
        unit=meter.unit,
        price=price,
        terms=book.shelf.terms(charge),
        quantity=total.quantity,
        evidence=UsageEvidence(meter.id, slice_.from_batch, slice_.to_batch, total.count, total.checksum),
        counted_from=start,
        start=max([start, *(each.period_end for each in own)]),
        end=slice_.end,
        aligned=(part.whole.period.start, part.whole.period.end),
        gl_code=charge.gl_code,
        tax_category=renewal.version.tax_category,
        tax_included=book.includes_tax(renewal.subscription),
        share=due,
        billed=sum((each.amount for each in own), ZERO),
        billed_quantity=sum((each.quantity for each in own), ZERO),
        partial=renewal.usage_end is not None,
        metered=metered,
        facts=facts,
        group=suffix,
    )  # fmt: skip


def _facts(slice_: UsageSlice, total: UsageTotal, part: Part, group: Group | None) -> dict[str, Any]:
    """What is frozen on the line beside its terms, so that it is counted again from the events as it was: `billing.domain.selection`."""
    facts: dict[str, Any] = {}
    if group is not None:
        facts["group"] = dict(zip(slice_.group_by, group, strict=True))
    if slice_.whole:
        facts["whole"] = slice_.whole
    if slice_.days:
        facts["zone"], facts["days_to"] = part.whole.zone, slice_.days[-1]
    if slice_.recurring:
        base = slice_.base
        at: datetime | None = None if base is None else base.ref.at
        batch = None if base is None else base.ref.to_batch
        facts["carried"] = {"at": at, "to_batch": batch, "level": str(total.carried)}
    return facts


def group_suffix(group: Group) -> str:
    """What a group adds to its charge's price key: a digest, because values may be long."""
    return ":" + blake2b(wire.dumps(list(group)), digest_size=16).hexdigest()


def told(names: Sequence[str], group: Group) -> str:
    """A group in words: `region eu, without tier`."""
    return ", ".join(
        f"without {name}" if value is None else f"{name} {value[:_SHOWN]}{'…' if len(value) > _SHOWN else ''}"
        for name, value in zip(names, group, strict=True)
    )
