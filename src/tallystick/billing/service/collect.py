"""What is due, counted: bills → the `Inputs` of invoices. Reads only, so a preview may call it too."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import islice
from uuid import UUID

from tallystick.billing.service.book import Book
from tallystick.billing.service.dues import Bill, Renewal
from tallystick.billing.service.funds import coupons, funds
from tallystick.billing.service.recorded import recorded_groups, recorded_items
from tallystick.billing.service.usage import usage_items, usage_slices
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.domain.assemble import (
    Commitment,
    Fee,
    Inputs,
    Item,
    fee_exact,
)
from tallystick.invoicing.domain.corrections import Stood
from tallystick.invoicing.queries import PartialBilled
from tallystick.kernel.money import Rounding, round_money
from tallystick.kernel.period import Part, Period
from tallystick.kernel.proration import fraction, share, used_until
from tallystick.kernel.zones import zone
from tallystick.metering import queries as metering
from tallystick.metering.domain.slices import UsageSlice, UsageTotal
from tallystick.platform.db import ReadSession
from tallystick.rating.domain import Share
from tallystick.taxes.domain import NO_TAXES

ZERO = Decimal(0)


async def fill(
    session: ReadSession,
    book: Book,
    bills: Sequence[Bill],
    to_batch: int,
    now: datetime | None = None,
    *,
    afresh: Collection[int] = (),
    anew: bool = False,
) -> None:
    """Counts the usage of all bills and gives each its `inputs`, in a constant number of statements whatever their number.

    `now` is when they are issued: when due, unless said. What recurring meters of closed periods end with is in `closing`; those of the
    accounts `afresh` are counted from their first event. `anew` takes off nothing that was billed of a period before.
    """
    slices: list[UsageSlice] = []
    for bill in bills:
        for renewal in bill.renewals:
            if renewal.usage is not None:
                served = _served(renewal, renewal.usage)
                slices.extend(usage_slices(book, bill, renewal, renewal.usage, served, to_batch))
    slices = [
        replace(each, base=None) if each.recurring and each.account_no in afresh else each
        for each in await metering.with_states(session, slices)
    ]
    totals = iter(zip(slices, await metering.aggregate(session, slices), strict=True))
    recorded = iter(await recorded_groups(session, book, bills, to_batch))
    open_since = [] if anew else [(bill.account.no, _open_since(bill)) for bill in bills]
    partials = _by_owner(await invoices.partial_billed(session, open_since) if open_since else ())
    for bill in bills:
        items: dict[str, list[Item]] = defaultdict(list)
        parts: dict[str, list[PartialBilled]] = defaultdict(list)
        bill.closing = []
        for renewal in bill.renewals:
            counted = [] if renewal.usage is None else list(islice(totals, len(renewal.version.charges)))
            items[renewal.version.currency].extend(_renewal_items(book, renewal, counted, partials))
            if renewal.usage_end is None:
                bill.closing += [each for each in counted if each[0].recurring]
                parts[renewal.version.currency] += _parts(
                    partials[bill.account.no, renewal.subscription.id], renewal.usage
                )
        for part in bill.recorded:
            items[bill.account.currency].extend(
                recorded_items(
                    book, part, next(recorded), partials[bill.account.no, None], to_batch,
                    book.shelf.entities[bill.account.entity_id].prices_include_tax,
                )
            )  # fmt: skip
            if part.end == part.whole.end:
                billed = partials[bill.account.no, None]
                parts[bill.account.currency] += [
                    each for each in billed if each.period_start >= part.whole.start
                ]
        bill.inputs = [
            _inputs(book, bill, currency, own, now or bill.instant)
            for currency, own in items.items()
            if own or parts[currency] or anew
        ]
        for index, each in enumerate(bill.inputs):
            if parts[each.currency]:
                bill.inputs[index] = replace(each, parts=Stood(parts[each.currency], to_batch))


def _parts(billed: Iterable[PartialBilled], closed: Part | None) -> list[PartialBilled]:
    """What bills of the period charged while it was open."""
    return (
        [] if closed is None else [each for each in billed if each.period_start >= closed.whole.period.start]
    )


def _open_since(bill: Bill) -> datetime:
    """Where the earliest period that the bill closes or touches began to be counted."""
    starts = [each.usage.service.start for each in bill.renewals if each.usage is not None]
    starts += [part.whole.start for part in bill.recorded]
    return min(starts, default=bill.instant)


def _inputs(book: Book, bill: Bill, currency: str, items: list[Item], issued: datetime) -> Inputs:
    account = bill.account
    entity = book.shelf.entities[account.entity_id]
    return Inputs(
        account.no,
        account.entity_id,
        currency,
        items,
        Rounding(entity.rounding),
        entity.tax_rounding,
        book.taxes.get(account.no, NO_TAXES),
        entity.tax_point,
        zone(account.timezone),
        issued.astimezone(zone(entity.timezone)).date(),
        credit=book.credit(account, currency),
        coupons=coupons(book, account.no, currency),
        funds=funds(book, account.no, currency, bill.instant),
    )


def _renewal_items(
    book: Book, renewal: Renewal, counted: Sequence[tuple[UsageSlice, UsageTotal]], partials: "Partials"
) -> Iterable[Item]:
    if renewal.fee is not None and renewal.version.price:
        yield _fee_item(book, renewal, renewal.fee)
    if renewal.usage is not None:
        billed = partials[renewal.subscription.account_no, renewal.subscription.id]
        due = _share(renewal, renewal.usage)
        for charge, each in zip(renewal.version.charges, counted, strict=True):
            yield from usage_items(book, renewal, renewal.usage, charge, each, billed, due)
        if renewal.version.minimum is not None and renewal.usage_end is None:
            yield _commitment_item(book, renewal, renewal.usage, renewal.version.minimum, billed)


def _commitment_item(
    book: Book, renewal: Renewal, part: Part, minimum: Decimal, billed: list[PartialBilled]
) -> Commitment:
    """The plan's minimum for the period that closes; the period's fee counts towards it, whichever invoice it stands on."""
    version = renewal.version
    fee = _fee_item(book, renewal, _paid_part(renewal, part))
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
        tax_category=version.tax_category,
        tax_included=book.includes_tax(renewal.subscription),
    )


def _paid_part(renewal: Renewal, part: Part) -> Part:
    """The part of the period whose fee was charged: in advance it may go on beyond the end of the service."""
    if not renewal.version.in_advance:
        return part
    until = min(part.whole.period.end, max(renewal.subscription.billed_to, part.service.end))
    return Part(Period(part.service.start, until), part.whole)


def _served(renewal: Renewal, part: Part) -> Period:
    """The part of the period that counts; with the setting `bill_last_day` the day of the end counts whole."""
    ended = renewal.subscription.ended_at
    if ended is None or ended != part.service.end or not renewal.version.settings.get("bill_last_day"):
        return part.service
    rest = Period(part.service.start, part.whole.period.end)
    return (
        used_until(renewal.version.proration, rest, ended, part.whole.zone, bill_last_day=True)
        or part.service
    )


def _share(renewal: Renewal, part: Part) -> Share:
    """What part of flat amounts, and of minimums and included units, the served part of the period is due."""
    measured = fraction(renewal.version.proration, _served(renewal, part), part.whole)
    return Share(
        measured, measured if renewal.version.settings.get("prorate_limits", True) else Share().limits
    )


def _fee_item(book: Book, renewal: Renewal, part: Part) -> Fee:
    basis = renewal.version.proration
    measured = share(basis, _served(renewal, part), part.whole)
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
        tax_category=renewal.version.tax_category,
        tax_included=book.includes_tax(renewal.subscription),
    )


Partials = defaultdict[tuple[int, UUID | None], list[PartialBilled]]


def _by_owner(rows: Iterable[PartialBilled]) -> Partials:
    found: Partials = defaultdict(list)
    for row in rows:
        found[row.account_no, row.subscription_id].append(row)
    return found
