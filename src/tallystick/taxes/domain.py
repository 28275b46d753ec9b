"""Taxes on the lines of a document, exact until one rounding per rate.

Sources: SEMANTICS "Rounding and splitting" (largest remainder, ties to the first) and "Invoice order" (the base is the rounded
line; `rate`: once per rate and document, shared to lines; `line`: each line on its own).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tallystick.kernel.errors import Conflict, Invalid
from tallystick.kernel.money import Rounding, exponent, round_fraction, split

ZERO = Decimal(0)
PER_RATE = "rate"
PER_LINE = "line"


class TaxExists(Conflict):
    code, sentence = "tax_exists", "A tax with this code exists; a new rate needs a new code"


class UnknownTax(Invalid):
    code, sentence = "unknown_tax", "There is no tax with this code"


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A tax as documents freeze it. `rate` is in percent: 19 is 19 %."""

    id: int
    code: str
    name: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class RateTotal:
    """One rate of a document: what it was computed on, and the tax."""

    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TaxResult:
    """`per_line[i][r]` is the tax of rate r on line i; the shares of a rate add up to `totals[r].amount`."""

    per_line: list[list[Decimal]]
    totals: list[RateTotal]


def apply(
    bases: Sequence[Decimal],
    rates: Sequence[TaxRate],
    currency: str,
    rounding: str = PER_RATE,
    mode: Rounding = Rounding.HALF_AWAY,
) -> TaxResult:
    """The taxes on rounded lines. Rates add up side by side: none is a base of another.

    `rounding` is the entity's setting, `rate` or `line`. Lines may be negative (corrections). The same input gives the same result.
    """
    if rounding not in (PER_RATE, PER_LINE):
        raise ValueError("tax rounding is rate or line")
    scale = exponent(currency)
    base = sum(bases, ZERO)
    by_rate: list[list[Decimal]] = []
    for rate in rates:
        exact = [Fraction(line) * Fraction(rate.rate) / 100 for line in bases]
        if rounding == PER_LINE:
            by_rate.append([round_fraction(tax, scale, mode) for tax in exact])
        else:
            by_rate.append(shared(exact, scale, mode))
    totals = [RateTotal(base, sum(shares, ZERO)) for shares in by_rate]
    return TaxResult([[shares[i] for shares in by_rate] for i in range(len(bases))], totals)


def shared(exact: Sequence[Fraction], scale: int, mode: Rounding = Rounding.HALF_AWAY) -> list[Decimal]:
    """Rounds the sum of `exact` once and shares it over them by largest remainder, ties to the first.

    Where all have one sign the rounded sum is split by weight (`kernel.money.split`). Corrections mix signs, for which weights have no
    meaning; then each share starts at its own floor, and the units still missing go to the largest remainders. A total below zero is
    shared as its mirror image.
    """
    whole = sum(exact, Fraction(0))
    if whole > 0 and all(tax >= 0 for tax in exact):
        return split(round_fraction(whole, scale, mode), exact, scale)
    if whole < 0:
        return [-share for share in shared([-tax for tax in exact], scale, mode)]
    units = [tax * 10**scale for tax in exact]
    floors = [unit.numerator // unit.denominator for unit in units]
    missing = int(round_fraction(whole * 10**scale, 0, mode)) - sum(floors)
    for index in sorted(range(len(units)), key=lambda i: (floors[i] - units[i], i))[:missing]:
        floors[index] += 1
    return [Decimal(floor).scaleb(-scale) + ZERO for floor in floors]
