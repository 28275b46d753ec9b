"""`assemble`: from what is billable to an invoice, in one pure function.

The month-end run, a single invoice, a preview and a replay all go through here, so that a preview is the run and a line can be computed
again years later from the inputs frozen on it. Order (SEMANTICS "Invoice order"): fees and usage → minimum top-up → coupons → granted
credits → tax → customer credit → paid wallets → amount due. Each line is rounded once; the tax base is the rounded line less what was
taken off it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from tallystick.invoicing.domain.corrections import Stood, corrections, key_of, sort
from tallystick.invoicing.domain.coupons import Applied
from tallystick.invoicing.domain.coupons import discount as discount_lines
from tallystick.invoicing.domain.draft import (
    CouponUse,
    InvoiceDraft,
    Line,
    LineKind,
    TaxShare,
    TaxTotal,
    UsageEvidence,
)
from tallystick.invoicing.domain.drawing import Fund, Reach, grant_lines, pay_lines
from tallystick.kernel.errors import Refusal
from tallystick.kernel.money import Rounding
from tallystick.rating.domain.lines import LineAmount, less, round_line, round_lines
from tallystick.rating.domain.metered import Metered
from tallystick.rating.domain.models import FULL, Share
from tallystick.rating.domain.pricing import Exact, Price, amount_of
from tallystick.taxes.domain import NO_TAXES, Profile, Taxable, Taxed, TaxRate, tax_lines
from tallystick.wallets.domain import Draw

ZERO = Decimal(0)


class NegativeInvoice(Refusal):
    """A total below zero needs a credit note, not an invoice."""

    status, code = 409, "negative_invoice"
    sentence = "The invoice would be negative; issue a credit note instead"


@dataclass(frozen=True, slots=True)
class Fee:
    """A plan's recurring price for one service period: price × quantity × used ÷ whole.

    `used` and `whole` are in the basis' unit (days, microseconds, thirty-day-month days); `aligned` is the whole period.
    """

    subscription_id: UUID
    plan_version_id: int
    description: str
    price: Decimal
    quantity: Decimal
    basis: str
    used: int
    whole: int
    start: datetime
    end: datetime
    aligned: tuple[datetime, datetime]
    timing: str
    gl_code: str
    tax_category: str = "standard"
    tax_included: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Metered usage of a charge since the start of its period, less what was billed of it before.

    `quantity` counts from `counted_from` (the period's start, or the subscription's in it) to `end`; `start` is where the last bill of this period
    ended. `billed` and `billed_quantity` are what those bills charged. `terms` is what `price` was compiled from, frozen on the line.
    `metered` is what is rated where a bare `quantity` is not all, or not exact; `facts` are frozen beside the terms so that it can be
    rated again. `group` ends the price key of a line that prices one of the charge's groups.
    """

    subscription_id: UUID
    plan_version_id: int
    charge_id: int
    description: str
    unit: str
    price: Price
    terms: dict[str, Any]
    quantity: Decimal
    evidence: UsageEvidence
    counted_from: datetime
    start: datetime
    end: datetime
    aligned: tuple[datetime, datetime]
    gl_code: str
    share: Share = FULL
    billed: Decimal = ZERO
    billed_quantity: Decimal = ZERO
    partial: bool = False
    metered: Metered | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    tax_category: str = "standard"
    tax_included: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """Usage recorded with its own price, without a subscription: one line per service and price (CONTRACT §5).

    `segments` are the stretches that were counted, where a subscription priced the meter for a part of the month.
    """

    description: str
    unit: str
    unit_price: Decimal
    quantity: Decimal
    evidence: UsageEvidence
    counted_from: datetime
    start: datetime
    end: datetime
    aligned: tuple[datetime, datetime]
    gl_code: str
    billed: Decimal = ZERO
    billed_quantity: Decimal = ZERO
    partial: bool = False
    segments: Sequence[tuple[datetime, datetime]] = ()
    tax_category: str = "standard"
    tax_included: bool = False


@dataclass(frozen=True, slots=True)
class Commitment:
    """A plan's minimum for one period, prorated by `share`: what fee and usage leave of it is a top-up line.

    `fee` is what the period's fee comes to, on whichever invoice it stands; `billed` what earlier bills of the period charged for usage.
    """

    subscription_id: UUID
    plan_version_id: int
    description: str
    minimum: Decimal
    share: Fraction
    fee: Decimal
    billed: Decimal
    start: datetime
    end: datetime
    aligned: tuple[datetime, datetime]
    gl_code: str
    tax_category: str = "standard"
    tax_included: bool = False


Item = Fee | Usage | Recorded | Commitment


@dataclass(frozen=True, slots=True)
class Recount:
    """Closed periods counted again: their items as if nothing had been billed of them, and what stands on issued documents."""

    items: Sequence[Item]
    stood: Stood


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything one invoice is made of. `rounding`, `tax_rounding` and `tax_point` are the entity's settings.

    `profile` is what the account pays of which taxes, `zone` the account's, whose days its periods are; `issue_day` is the entity's day of
    issue, the tax point where the entity says so. `credit` is the customer credit there is in the invoice's currency.
    """

    account_no: int
    entity_id: int
    currency: str
    items: Sequence[Item]
    rounding: Rounding
    tax_rounding: str
    profile: Profile = NO_TAXES
    tax_point: str = "period_end"
    zone: tzinfo = UTC
    issue_day: date | None = None
    credit: Decimal = ZERO
    coupons: Sequence[
        tuple[Applied, Reach | None]
    ] = ()  # that may lower it, in order of effect, with what they reach
    funds: Sequence[Fund] = ()  # grants of the account's wallets that may pay the invoice
    recount: Recount | None = None
    parts: Stood | None = None  # what bills of the periods that are closed here charged while they were open


def assemble(inputs: Inputs) -> InvoiceDraft | None:
    """The invoice for `inputs`, or None where nothing is to be charged. Pure: the same inputs give the same bytes.

    Raises `AmountTooLarge` for a line of 10^15 or more, `NegativeInvoice` for a total below zero; a run parks the account.
    """
    lines = _lines(inputs)
    changes = _corrections(inputs, inputs.recount) if inputs.recount is not None else []
    if inputs.parts is not None:
        back = _given_back(inputs, inputs.parts)
        over = {key_of(each) for each in back}
        lines = [each for each in lines if each.kind is LineKind.FEE or key_of(each) not in over]
        changes = [*changes, *back]
    return _document(lines, inputs, changes) if lines or changes else None


def _corrections(inputs: Inputs, recount: Recount) -> list[Line]:
    """What closed periods should have been, less what stands of them: the very lines that closed them, made again."""
    return corrections(made_anew(inputs, recount), recount.stood, inputs.currency)


def _given_back(inputs: Inputs, parts: Stood) -> list[Line]:
    """Where bills of an open period charged more than its close comes to (events were voided since): corrections of their lines."""
    closed = [
        replace(item, billed=ZERO, billed_quantity=ZERO, start=item.counted_from)
        for item in inputs.items
        if isinstance(item, Usage | Recorded) and not item.partial
    ]
    anew = [line for line in _lines(replace(inputs, items=closed), anew=True) if line.evidence is not None]
    found = corrections(anew, parts, inputs.currency)
    return [line for line in found if line.corrects is not None and line.amount < 0]


def made_anew(inputs: Inputs, recount: Recount) -> list[Line]:
    """What the periods come to as if nothing were billed, each rounded as it was when it was closed; lines of 0 too. Pure."""
    anew: list[Line] = []
    for key, group in groupby(recount.items, key=_period_of):
        mode = recount.stood.rounding.get(key, inputs.rounding)
        anew += _lines(replace(inputs, items=list(group), rounding=mode), anew=True)
    return anew


def _period_of(item: Item) -> tuple[UUID | None, datetime]:
    return None if isinstance(item, Recorded) else item.subscription_id, item.aligned[0]


def _lines(inputs: Inputs, *, anew: bool = False) -> list[Line]:
    """Fees, usage, recorded usage and top-ups, each rounded once; `anew` also those that come to nothing."""
    lines: list[Line] = []
    for item in inputs.items:
        if isinstance(item, Fee):
            lines.append(_fee(item, inputs))
        elif isinstance(item, Usage):
            lines.extend(_usage(item, inputs, anew=anew))
        elif isinstance(item, Commitment):
            lines.extend(_commitment(item, lines, inputs, anew=anew))
        elif anew or item.quantity != item.billed_quantity:
            lines.append(_recorded(item, inputs))
    return lines


def _document(lines: list[Line], inputs: Inputs, changes: Sequence[Line] = ()) -> InvoiceDraft:
    """What is taken off the lines, which corrections they bear, what tax is put on them all, and what then settles the total."""
    noted: tuple[Line, ...] = ()
    uses: tuple[CouponUse, ...] = ()
    if inputs.coupons:
        reaching = [(each, reach.covers if reach else None) for each, reach in inputs.coupons]
        lines, uses = discount_lines(lines, reaching, inputs.currency, inputs.rounding)
    if changes:
        taxable = [(line.remainder, rates) for line, rates in zip(lines, _rates(lines, inputs), strict=True)]
        taken = sort(taxable, changes)
        lines, noted = [*lines, *taken.netted], taken.noted
    subtotal = sum((line.amount for line in lines), ZERO)
    draws: tuple[Draw, ...] = ()
    if inputs.funds:
        lines, draws = grant_lines(lines, inputs.funds, inputs.currency, partial(_rates, lines, inputs))
    taxed, totals, tax = _tax(lines, inputs)
    discount = sum((line.discount for line in taxed if line.reductions), ZERO)
    granted = sum((line.granted for line in taxed if line.reductions), ZERO)
    included = sum((total.amount for total in totals if total.included), ZERO)
    total = subtotal - discount - granted - included + tax
    if total < 0:
        raise NegativeInvoice
    credit = min(inputs.credit, total)
    paid = pay_lines(taxed, inputs.funds, total - credit, inputs.currency) if inputs.funds else ()
    return InvoiceDraft(
        account_no=inputs.account_no,
        entity_id=inputs.entity_id,
        currency=inputs.currency,
        period_start=min(line.period_start for line in lines or noted),
        period_end=max(line.period_end for line in lines or noted),
        lines=taxed,
        tax_totals=totals,
        subtotal=subtotal,
        tax=tax,
        total=total,
        discount=discount,
        granted=granted,
        included_tax=included,
        credit_applied=credit,
        wallet_applied=sum((each.amount for each in paid), ZERO),
        notes={"rounding": inputs.rounding, "tax_rounding": inputs.tax_rounding},
        coupon_uses=uses,
        draws=(*draws, *paid),
        noted=noted,
    )


def fee_exact(price: Decimal, quantity: Decimal, used: int, whole: int) -> Fraction:
    """A fee before rounding: multiply first, divide last."""
    (amount, of), (units, per) = price.as_integer_ratio(), quantity.as_integer_ratio()
    return Fraction(amount * units * used, of * per * whole)


def _fee(item: Fee, inputs: Inputs) -> Line:
    amount = round_line(
        fee_exact(item.price, item.quantity, item.used, item.whole), inputs.currency, inputs.rounding
    )
    return _line(
        item, amount, LineKind.FEE, "fee", "fee/1", item.quantity, "",
        {
            "price": item.price, "quantity": item.quantity, "basis": item.basis, "used": item.used, "whole": item.whole,
            "aligned": item.aligned, "rounding": inputs.rounding,
        },
        timing=item.timing,
    )  # fmt: skip


def _usage(item: Usage, inputs: Inputs, *, anew: bool = False) -> list[Line]:
    """The charge's line and, where a minimum is missed at the period's close, its top-up line."""
    exact = amount_of(item.price, item.quantity if item.metered is None else item.metered, item.share)
    if item.partial:
        exact = Exact(exact.amount, Fraction(0))
    mode = item.price.rounding or inputs.rounding
    whole, top_up = round_lines(exact, inputs.currency, mode)
    amount = less(whole, exact.amount, item.billed)
    nothing_new = not item.evidence.count or (
        item.start > item.counted_from and item.quantity == item.billed_quantity
    )
    if anew and top_up is None and item.price.minimum is not None:
        top_up = LineAmount(ZERO, ZERO, cut=False)
    if nothing_new and not amount.amount and top_up is None and not anew:
        return []
    frozen = {
        **item.terms, "fee_share": _ratio(item.share.fee), "limit_share": _ratio(item.share.limits), "aligned": item.aligned,
        "counted_from": item.counted_from, "total_quantity": item.quantity, "billed": item.billed, "billed_quantity": item.billed_quantity, "rounding": mode,
        **item.facts,
    }  # fmt: skip
    key = f"charge:{item.charge_id}{item.group}"
    rule = f"{item.price.model}/{item.price.version}"
    lines = [
        _line(
            item, amount, LineKind.USAGE, key, rule, item.quantity - item.billed_quantity, item.unit, frozen,
            evidence=item.evidence, charge_id=item.charge_id,
        )
    ]  # fmt: skip
    if top_up is not None:
        lines.append(
            _line(
                item, top_up, LineKind.MINIMUM, f"minimum:{item.charge_id}{item.group}", rule, Decimal(1), "", frozen,
                charge_id=item.charge_id, description=f"{item.description}: top-up to the minimum",
            )
        )  # fmt: skip
    return lines


def _recorded(item: Recorded, inputs: Inputs) -> Line:
    # A sum below zero is billed as zero and kept as it is (SEMANTICS "Aggregation"), here as with any price.
    exact = Fraction(max(item.quantity, ZERO)) * Fraction(item.unit_price)
    amount = less(round_line(exact, inputs.currency, inputs.rounding), exact, item.billed)
    frozen = {
        "charge_model": "standard", "properties": {"unit_amount": format(item.unit_price, "f")}, "adjustments": {},
        "aligned": item.aligned, "counted_from": item.counted_from, "total_quantity": item.quantity, "billed": item.billed,
        "billed_quantity": item.billed_quantity, "rounding": inputs.rounding, "unit_price": item.unit_price,
    }  # fmt: skip
    if item.segments:
        frozen["segments"] = item.segments
    return _line(
        item, amount, LineKind.RECORDED,
        recorded_key(item.evidence.meter_id, item.unit_price), "standard/1", item.quantity - item.billed_quantity, item.unit,
        frozen, evidence=item.evidence,
    )  # fmt: skip


def commitment_exact(minimum: Decimal, share: Fraction, reached: Decimal) -> Fraction:
    """What is missing to a prorated minimum, nothing where it is reached."""
    return max(Fraction(minimum) * share - Fraction(reached), Fraction(0))


def _commitment(item: Commitment, lines: Sequence[Line], inputs: Inputs, *, anew: bool = False) -> list[Line]:
    """The plan's top-up line. Its items come after the subscription's own, whose lines it counts."""
    used = sum(
        (
            line.amount
            for line in lines
            if line.subscription_id == item.subscription_id
            and line.kind is not LineKind.FEE
            and line.inputs["aligned"] == item.aligned
        ),
        ZERO,
    )
    reached = item.fee + item.billed + used
    amount = round_line(commitment_exact(item.minimum, item.share, reached), inputs.currency, inputs.rounding)
    if not amount.amount and not anew:
        return []
    frozen = {
        "minimum": item.minimum, "share": _ratio(item.share), "reached": reached, "aligned": item.aligned,
        "rounding": inputs.rounding,
    }  # fmt: skip
    return [_line(item, amount, LineKind.MINIMUM, "minimum", "commitment/1", Decimal(1), "", frozen)]


def recorded_key(meter_id: int, unit_price: Decimal) -> str:
    """What identifies recorded usage on an invoice: the service's meter and the price."""
    return f"recorded:{meter_id}:{format(unit_price.normalize(), 'f')}"


def _ratio(value: Fraction) -> list[int]:
    return [value.numerator, value.denominator]


def _line(
    item: Item,
    amount: LineAmount,
    kind: LineKind,
    price_key: str,
    rule: str,
    quantity: Decimal,
    unit: str,
    frozen: dict[str, Any],
    *,
    timing: str = "arrears",
    evidence: UsageEvidence | None = None,
    charge_id: int | None = None,
    description: str | None = None,
) -> Line:
    return Line(
        kind=kind,
        description=description or item.description,
        quantity=quantity,
        unit=unit,
        amount=amount.amount,
        exact=amount.exact,
        exact_cut=amount.cut,
        period_start=item.start,
        period_end=item.end,
        slice_start=item.start,
        price_key=price_key,
        rule=rule,
        gl_code=item.gl_code,
        timing=timing,
        inputs=frozen,
        subscription_id=None if isinstance(item, Recorded) else item.subscription_id,
        plan_version_id=None if isinstance(item, Recorded) else item.plan_version_id,
        charge_id=charge_id,
        evidence=evidence,
        partial=item.partial if isinstance(item, Usage | Recorded) else False,
        tax_category=item.tax_category,
        tax_included=item.tax_included,
    )


def _tax(lines: list[Line], inputs: Inputs) -> tuple[tuple[Line, ...], tuple[TaxTotal, ...], Decimal]:
    """Each line by its own rates: those it carries (corrections), else those of its category on its tax point."""
    if not inputs.profile.taxes and all(not line.tax_rates for line in lines):
        return tuple(lines), (), ZERO
    taxable = [
        Taxable(line.remainder, rates, line.tax_included)
        for line, rates in zip(lines, _rates(lines, inputs), strict=True)
    ]
    result = tax_lines(taxable, inputs.currency, inputs.tax_rounding)
    taxed = tuple(
        line.but(taxes=tuple(TaxShare(*_frozen(share)) for share in shares)) if shares else line
        for line, shares in zip(lines, result.per_line, strict=True)
    )
    totals = tuple(TaxTotal(*_frozen(total), total.rate.note) for total in result.totals)
    return taxed, totals, sum((total.amount for total in totals), ZERO)


def _rates(lines: Sequence[Line], inputs: Inputs) -> list[tuple[TaxRate, ...]]:
    """The rates of each line: those it carries, else those of its category on its tax point.

    A line that stands tells no rate's sentence: a rate that is carried and still there takes its own again.
    """
    known: dict[tuple[str, datetime], tuple[TaxRate, ...]] = {}
    for line in lines:
        at = line.tax_category, line.period_end
        if at not in known:
            known[at] = inputs.profile.rates(line.tax_category, _tax_day(line, inputs))
    carried = any(line.tax_rates is not None for line in lines)
    told = {replace(rate, note=""): rate for own in known.values() for rate in own} if carried else {}
    return [
        known[line.tax_category, line.period_end]
        if line.tax_rates is None
        else tuple(told.get(replace(rate, note=""), rate) for rate in line.tax_rates)
        for line in lines
    ]


def _tax_day(line: Line, inputs: Inputs) -> date:
    """The last day of the line's service where the account lives, or the day of issue (SEMANTICS "Rate by tax point")."""
    if inputs.tax_point == "issue_date" and inputs.issue_day is not None:
        return inputs.issue_day
    last = max(line.period_start, line.period_end - timedelta(microseconds=1))
    return last.astimezone(inputs.zone).date()


def _frozen(tax: Taxed) -> tuple[str, str, Decimal, Decimal, Decimal, bool, str]:
    rate = tax.rate
    return rate.code, rate.name, rate.rate, tax.base, tax.amount, tax.included, rate.kind
