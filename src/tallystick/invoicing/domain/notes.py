"""Credit notes: what part of an issued invoice is taken back, line by line, with its taxes. Pure.

One function, `credit`, is the preview, the note and its proof. A line below zero is credited below zero, so that a full note is the
invoice. How a line's taxes follow its amount: `crediting`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.invoicing.domain.crediting import (
    Billed,
    CreditedLine,
    OpenLine,
    Taken,
    in_terms,
    treatment,
    turned,
    with_tax,
)
from tallystick.invoicing.domain.draft import ZERO, TaxShare, TaxTotal
from tallystick.kernel.errors import Conflict, Invalid
from tallystick.kernel.money import exponent, split
from tallystick.ledger.domain import Entry, Posting

MAX_LINES = 1000
"""Lines that one request may name."""


class NotCreditable(Conflict):
    code = "invoice_not_creditable"
    sentence = "Only an issued invoice can be credited; change a draft, and leave a void one"


class NothingLeft(Conflict):
    code = "credit_note_nothing_left"
    sentence = "All of this was credited or corrected before; nothing is left of it"


class OverLine(Conflict):
    code = "credit_note_over_line"
    sentence = "The credit is more than is left of a line; see details"


class OverInvoice(Conflict):
    code = "credit_note_over_invoice"
    sentence = "The credit is more than is left of the invoice; see details"


class OverTax(Conflict):
    code = "credit_note_over_tax"
    sentence = "The credit takes more of a tax rate than the invoice has; name the lines below zero of that rate too, or credit it in full"


class NotPositive(Invalid):
    code = "credit_note_not_positive"
    sentence = "A credit note must come to more than zero"


class UnknownLine(Invalid):
    code = "credit_note_unknown_line"
    sentence = "The invoice has no such line; see details"


class OtherCurrency(Invalid):
    code = "credit_note_currency"
    sentence = "currency: a credit note is in its invoice's currency"


@dataclass(frozen=True, slots=True)
class NoteLine:
    """A line to credit, by its position on the invoice.

    `amount` is in the line's own terms (before tax, or with it where its price holds it) and has its sign; None is all that is left of it.
    """

    position: int
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What of an invoice is to be credited: these lines; or `amount` of its total, tax included; or, with neither, all that is left."""

    lines: tuple[NoteLine, ...] = ()
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class NoteDraft:
    """A note as computed: subtotal (lines) − included tax + tax = total."""

    lines: tuple[CreditedLine, ...]
    taxes: tuple[TaxTotal, ...]
    subtotal: Decimal
    included_tax: Decimal
    tax: Decimal
    total: Decimal


def credit(
    lines: Sequence[Billed],
    rates: Sequence[TaxTotal],
    taken: Mapping[int, Taken],
    asked: Asked,
    currency: str,
) -> NoteDraft:
    """The note that takes `asked` back of an invoice's lines, of which `taken` (by position) is gone already; `rates` are the invoice's.

    Raises `NothingLeft`, `OverLine`, `OverInvoice`, `OverTax`, `NotPositive`, `UnknownLine`, and `Invalid` for digits that the currency
    has not. The same arguments give the same note.
    """
    scale = exponent(currency)
    _check_digits(asked, scale, currency)
    known = [turned(line, taken.get(line.position, Taken())) for line in lines]
    if asked.lines:
        found = _by_line(known, asked.lines, scale, currency)
    elif asked.amount is not None:
        found = _by_total(known, asked.amount, scale, currency)
    else:
        found = [in_terms(line, line.left, scale) for line in known]
    made = tuple(line for line in found if line.amount or any(tax.amount for tax in line.taxes))
    if not made:
        raise NothingLeft
    note = _note(made, rates)
    left = sum((line.sign * line.left_total for line in known), ZERO)
    if note.total > left:
        raise OverInvoice(details={"amount": f"{max(left, ZERO):f} {currency} is left of the invoice"})
    if note.total <= 0:
        raise NotPositive
    _check_rates(known, made)
    return note


def _by_line(
    known: Sequence[OpenLine], wanted: Sequence[NoteLine], scale: int, currency: str
) -> list[CreditedLine]:
    by_position = {line.billed.position: line for line in known}
    unknown: dict[str, Any] = {}
    over: dict[str, Any] = {}
    signs: dict[str, Any] = {}
    seen: set[int] = set()
    found = []
    for index, want in enumerate(wanted):
        line = by_position.get(want.position)
        if line is None or want.position in seen:
            unknown[f"lines.{index}.line"] = (
                "is not a line of this invoice" if line is None else "is named twice"
            )
            continue
        seen.add(want.position)
        amount = line.left if want.amount is None else line.sign * want.amount
        if want.amount is not None and amount <= 0:
            signs[f"lines.{index}.amount"] = "must have the line's sign and not be zero"
        elif amount > line.left:
            over[f"lines.{index}.amount"] = f"{line.sign * line.left:f} {currency} is left of this line"
        else:
            found.append(in_terms(line, amount, scale))
    if unknown:
        raise UnknownLine(details=unknown)
    if signs:
        raise NotPositive(details=signs)
    if over:
        raise OverLine(details=over)
    return found


def _by_total(known: Sequence[OpenLine], amount: Decimal, scale: int, currency: str) -> list[CreditedLine]:
    """`amount` of the total over what is left of the lines above zero, by largest remainder; all of it takes the remainder of every line."""
    if amount <= 0:
        raise NotPositive(details={"amount": "must be more than zero"})
    left = sum((line.sign * line.left_total for line in known), ZERO)
    if left <= 0:
        raise NothingLeft
    if amount > left:
        raise OverInvoice(details={"amount": f"{left:f} {currency} is left of the invoice"})
    if amount == left:
        return [in_terms(line, line.left, scale) for line in known]
    open_ = [line for line in known if line.sign > 0 and line.left_total > 0]
    shares = split(amount, [line.left_total for line in open_], scale)
    return [with_tax(line, share, scale) for line, share in zip(open_, shares, strict=True)]


def _note(lines: tuple[CreditedLine, ...], rates: Sequence[TaxTotal]) -> NoteDraft:
    taxes = _totals(lines, rates)
    subtotal = sum((line.amount for line in lines), ZERO)
    included = sum((tax.amount for tax in taxes if tax.included), ZERO)
    tax = sum((tax.amount for tax in taxes), ZERO)
    return NoteDraft(lines, taxes, subtotal, included, tax, subtotal - included + tax)


def _rate(tax: TaxShare | TaxTotal) -> tuple[tuple[str, Any], ...]:
    return tuple(treatment(tax).items())


def _totals(lines: Sequence[CreditedLine], rates: Sequence[TaxTotal]) -> tuple[TaxTotal, ...]:
    """The note's rates in the order of the invoice's, with all that these say of their treatment."""
    sums: dict[tuple[Any, ...], tuple[Decimal, Decimal]] = {}
    for line in lines:
        for tax in line.taxes:
            base, amount = sums.get(_rate(tax), (ZERO, ZERO))
            sums[_rate(tax)] = (base + tax.base, amount + tax.amount)
    said = {_rate(rate): rate for rate in rates}
    order = [key for key in said if key in sums] + [key for key in sums if key not in said]
    return tuple(
        replace(said[key], base=sums[key][0], amount=sums[key][1])
        if key in said
        else TaxTotal(**dict(key), base=sums[key][0], amount=sums[key][1])
        for key in order
    )


def _check_rates(known: Sequence[OpenLine], made: Sequence[CreditedLine]) -> None:
    """Of no rate of the document more is taken than it has; where lines below zero lower a rate, that is less than its lines have."""
    if all(line.sign > 0 for line in known):
        return
    bounds: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    gone: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for line in known:
        for i, tax in enumerate(line.billed.taxes):
            bounds[_rate(tax)] += tax.amount
            gone[_rate(tax)] += line.sign * line.taken.taxes[i]
    for each in made:
        for tax in each.taxes:
            gone[_rate(tax)] += tax.amount
    for key, amount in gone.items():
        if not min(bounds[key], ZERO) <= amount <= max(bounds[key], ZERO):
            raise OverTax


def _check_digits(asked: Asked, scale: int, currency: str) -> None:
    unit = Decimal(1).scaleb(-scale)
    given = {f"lines.{index}.amount": line.amount for index, line in enumerate(asked.lines)}
    wrong = {
        name: f"has more than the {scale} decimals of {currency}"
        for name, amount in ({"amount": asked.amount} | given).items()
        if amount is not None and amount % unit
    }
    if wrong:
        raise Invalid(details=wrong, code="too_many_decimals")


ISSUED = "credit_note.issued"


def posting_key(note_id: UUID) -> str:
    """The business identity of what a note posts: it is issued once."""
    return f"credit_note:{note_id}:issued"


def posting(
    note_id: UUID,
    note: NoteDraft,
    *,
    account_no: int,
    entity_id: int,
    currency: str,
    offset: Decimal,
    now: datetime,
) -> Posting:
    """What a note does to the books: each line's revenue, deferred where it was billed in advance, and each tax against the receivable
    as far as something is owed (`offset`), and customer credit for the rest."""
    entries = []
    for line in note.lines:
        if line.earned:
            account = "deferred" if line.timing == "advance" else "revenue"
            period = (line.period_start, line.period_end) if line.period_start < line.period_end else None
            entries.append(Entry(account, line.earned, None, line.gl_code, period))
    entries += [Entry(f"tax:{tax.code}", tax.amount) for tax in note.taxes if tax.amount]
    for account, amount in (("receivable", offset), ("customer_credit", note.total - offset)):
        if amount:
            entries.append(Entry(account, -amount, account_no))
    key = posting_key(note_id)
    return Posting(key, ISSUED, entity_id, currency, now, "credit_note", str(note_id), tuple(entries))
