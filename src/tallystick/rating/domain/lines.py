"""From an exact amount to the amount on a line: rounded once, the exact value kept beside it (SEMANTICS "Rounding")."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tallystick.kernel.errors import Invalid
from tallystick.kernel.money import MAX_INTEGER_DIGITS, Rounding, exact_decimal, exponent, round_fraction
from tallystick.rating.domain.pricing import Exact

_BOUND = 10**MAX_INTEGER_DIGITS


class AmountTooLarge(Invalid):
    """A line of 10^15 or more. A billing run parks the account; an estimate refuses."""

    code = "amount_too_large"
    sentence = "The amount has more than 15 digits before the decimal point; check the quantity and the price"


@dataclass(frozen=True, slots=True)
class LineAmount:
    """What a line stores: `amount` at the currency's exponent, `exact` to 18 decimals, `cut` where that lost digits."""

    amount: Decimal
    exact: Decimal
    cut: bool


def round_line(value: Fraction, currency: str, mode: Rounding = Rounding.HALF_AWAY) -> LineAmount:
    """The one rounding of a line. Raises `AmountTooLarge`."""
    amount = round_fraction(value, exponent(currency), mode)
    if not -_BOUND < amount < _BOUND:
        raise AmountTooLarge
    exact, cut = exact_decimal(value)
    return LineAmount(amount, exact, cut)


def less(line: LineAmount, exact: Fraction, billed: Decimal) -> LineAmount:
    """What is left of a line, whose exact amount is `exact`, once `billed` of it was charged before.

    The whole is rounded, then what was charged is taken off: so the lines of a period come to the one rounding of the period's price,
    however often it was billed in between. Rounding the rest by itself would take a cent back wherever the whole ends in half a one.
    """
    if not billed:
        return line
    rest, cut = exact_decimal(exact - Fraction(billed))
    return LineAmount(line.amount - billed, rest, cut)


def round_lines(
    exact: Exact, currency: str, mode: Rounding = Rounding.HALF_AWAY
) -> tuple[LineAmount, LineAmount | None]:
    """The line and the top-up line beside it (None where nothing is missing after rounding).

    The top-up is the rounded minimum less the rounded line. Rounding it by itself would charge 20.01 for a minimum of 20.00
    whenever usage ends in half a cent (12.345 and 7.655 both round up); so the two lines come to the minimum, always.
    """
    line = round_line(exact.amount, currency, mode)
    if not exact.minimum_top_up:
        return line, None
    whole = round_line(exact.amount + exact.minimum_top_up, currency, mode)
    missing = whole.amount - line.amount
    if not missing:
        return line, None
    top_up, cut = exact_decimal(exact.minimum_top_up)
    return line, LineAmount(missing, top_up, cut)
