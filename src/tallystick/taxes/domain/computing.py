"""Taxes on the lines of a document, exact until one rounding per rate.

Sources: SEMANTICS "Rounding and splitting" (largest remainder, ties to the first) and "Invoice order" (the base is the rounded
line; `rate`: once per category and rate of the document, shared to lines; `line`: each line on its own; prices that include tax: net =
gross ÷ (1 + Σ rates), the taxes share the rest).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from tallystick.kernel.money import Rounding, exponent, round_fraction, split
from tallystick.taxes.domain.rules import TaxRate

ZERO = Decimal(0)
PER_RATE = "rate"
PER_LINE = "line"


@dataclass(frozen=True, slots=True)
class Taxable:
    """A rounded line less what was taken off it, the rates that are due on it, and whether it holds them already."""

    amount: Decimal
    rates: tuple[TaxRate, ...]
    included: bool = False


class Taxed(NamedTuple):
    """One rate on one line, or of a whole document: its base without tax, and the tax."""

    rate: TaxRate
    base: Decimal
    amount: Decimal
    included: bool = False


@dataclass(frozen=True, slots=True)
class TaxResult:
    """`per_line[i]` are the taxes on line i in the order of its rates; those of one rate add up to its entry in `totals`."""

    per_line: list[tuple[Taxed, ...]]
    totals: list[Taxed]


def tax_lines(
    lines: Sequence[Taxable], currency: str, rounding: str = PER_RATE, mode: Rounding = Rounding.HALF_AWAY
) -> TaxResult:
    """The taxes of a document. Rates add up side by side: none is a base of another. Lines may be negative (corrections).

    `rounding` is the entity's setting, `rate` or `line`. The same lines give the same result; totals come in order of code and rate.
    """
    if rounding not in (PER_RATE, PER_LINE):
        raise ValueError("tax rounding is rate or line")
    scale = exponent(currency)
    if rounding == PER_RATE and _alike(lines):
        return _of_one_kind([line.amount for line in lines], lines[0].rates, scale, mode)
    found: list[dict[TaxRate, Taxed]] = [{} for _ in lines]
    together = [range(len(lines))] if rounding == PER_RATE else [range(i, i + 1) for i in range(len(lines))]
    for places in together:
        _add(lines, places, found, scale, mode)
        _take_out(lines, places, found, scale, mode)
    per_line = [
        tuple(own[rate] for rate in line.rates) if own else () for line, own in zip(lines, found, strict=True)
    ]
    return TaxResult(per_line, _totals(per_line))


def _alike(lines: Sequence[Taxable]) -> bool:
    """Whether every line has the same taxes on top: nearly every document of a run."""
    if not lines or lines[0].included:
        return False
    rates = lines[0].rates
    return all(line.rates is rates and not line.included for line in lines)


def _of_one_kind(
    amounts: Sequence[Decimal], rates: Sequence[TaxRate], scale: int, mode: Rounding
) -> TaxResult:
    """As the long way (a test holds them together), without looking up which line pays what."""
    columns = [percent_shared(amounts, rate.rate, scale, mode) for rate in rates]
    per_line: list[tuple[Taxed, ...]] = [() for _ in amounts]
    if rates:
        per_line = [
            tuple(Taxed(rate, amount, share) for rate, share in zip(rates, shares, strict=True))
            for amount, shares in zip(amounts, zip(*columns, strict=True), strict=True)
        ]
    whole = sum(amounts, ZERO)
    totals = [Taxed(rate, whole, sum(column, ZERO)) for rate, column in zip(rates, columns, strict=True)]
    return TaxResult(per_line, sorted(totals, key=_place))


def _place(tax: Taxed) -> tuple[str, Decimal, str, bool]:
    return tax.rate.code, tax.rate.rate, tax.rate.kind, tax.included


def _add(
    lines: Sequence[Taxable],
    places: Iterable[int],
    found: list[dict[TaxRate, Taxed]],
    scale: int,
    mode: Rounding,
) -> None:
    """Taxes on top of prices: each rate once over all lines that pay it."""
    members: dict[TaxRate, list[int]] = {}
    for place in places:
        if not lines[place].included:
            for rate in lines[place].rates:
                members.setdefault(rate, []).append(place)
    for rate, own in members.items():
        shares = percent_shared([lines[place].amount for place in own], rate.rate, scale, mode)
        for place, share in zip(own, shares, strict=True):
            found[place][rate] = Taxed(rate, lines[place].amount, share)


def _take_out(
    lines: Sequence[Taxable],
    places: Iterable[int],
    found: list[dict[TaxRate, Taxed]],
    scale: int,
    mode: Rounding,
) -> None:
    """Taxes that prices hold: the net of all lines with the same rates is rounded once, the taxes share the rest by their rates."""
    members: dict[tuple[TaxRate, ...], list[int]] = {}
    for place in places:
        if lines[place].included and lines[place].rates:
            members.setdefault(lines[place].rates, []).append(place)
    for rates, own in members.items():
        amounts = [lines[place].amount for place in own]
        gross, percent = sum(amounts, ZERO), sum((rate.rate for rate in rates), ZERO)
        held = gross - round_fraction(Fraction(gross) * 100 / (100 + Fraction(percent)), scale, mode)
        parts = split(held, [rate.rate for rate in rates], scale) if percent else [ZERO for _ in rates]
        columns = [_shared_by(part, amounts, gross, scale) for part in parts]
        for index, place in enumerate(own):
            base = lines[place].amount - sum((column[index] for column in columns), ZERO)
            for rate, column in zip(rates, columns, strict=True):
                found[place][rate] = Taxed(rate, base, column[index], included=True)


def _shared_by(total: Decimal, amounts: Sequence[Decimal], gross: Decimal, scale: int) -> list[Decimal]:
    """`total` over lines in proportion to their amounts, which may have both signs."""
    if not gross:
        return [ZERO for _ in amounts]
    return shared([Fraction(total) * Fraction(amount) / Fraction(gross) for amount in amounts], scale)


def _totals(per_line: Sequence[tuple[Taxed, ...]]) -> list[Taxed]:
    sums: dict[tuple[TaxRate, bool], tuple[Decimal, Decimal]] = {}
    for own in per_line:
        for tax in own:
            base, amount = sums.get((tax.rate, tax.included), (ZERO, ZERO))
            sums[tax.rate, tax.included] = base + tax.base, amount + tax.amount
    totals = [Taxed(rate, base, amount, included) for (rate, included), (base, amount) in sums.items()]
    return sorted(totals, key=_place)


def percent_shared(
    amounts: Sequence[Decimal], percent: Decimal, scale: int, mode: Rounding = Rounding.HALF_AWAY
) -> list[Decimal]:
    """`percent` of the sum of `amounts`, rounded once, and shared over them as `shared` does. Amounts have `scale` decimals."""
    hundredths, denominator = percent.as_integer_ratio()
    units = [int(amount.scaleb(scale)) * hundredths for amount in amounts]
    return [Decimal(share).scaleb(-scale) for share in _share(units, 100 * denominator, mode)]


def shared(exact: Sequence[Fraction], scale: int, mode: Rounding = Rounding.HALF_AWAY) -> list[Decimal]:
    """Rounds the sum of `exact` once and shares it over them by largest remainder, ties to the first.

    Where all have one sign the rounded sum is split by weight (`kernel.money.split`). Corrections mix signs, for which weights have no
    meaning; then each share starts at its own floor, and the units still missing go to the largest remainders. A total below zero is
    shared as its mirror image.
    """
    denominator = lcm(*(each.denominator for each in exact))
    units = [each.numerator * (denominator // each.denominator) * 10**scale for each in exact]
    return [Decimal(share).scaleb(-scale) for share in _share(units, denominator, mode)]


def _share(units: Sequence[int], denominator: int, mode: Rounding) -> list[int]:
    """As `shared`, of `units` ÷ `denominator`: whole numbers all along, for this runs once per rate of every invoice."""
    whole = sum(units)
    if whole < 0:
        return [-share for share in _share([-unit for unit in units], denominator, mode)]
    total = int(round_fraction(Fraction(whole, denominator), 0, mode))
    if whole > 0 and min(units) >= 0:
        parts = [divmod(total * unit, whole) for unit in units]
    else:
        parts = [divmod(unit, denominator) for unit in units]
    floors = [floor for floor, _ in parts]
    missing = total - sum(floors)
    if missing:
        for index in sorted(range(len(parts)), key=lambda i: (-parts[i][1], i))[:missing]:
            floors[index] += 1
    return floors
