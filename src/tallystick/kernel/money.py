"""Money: exact amounts, one rounding, splits that always add up.

Sources: ISO 4217 for exponents; SEMANTICS "Rounding and splitting" (half away from zero by default, largest remainder).
Exact intermediate values are `fractions.Fraction`: a price is multiplied first, divided last, once, and rounded once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from enum import StrEnum
from fractions import Fraction
from math import lcm

from tallystick.kernel.currencies import EXPONENTS
from tallystick.kernel.errors import Invalid

MAX_INTEGER_DIGITS = 15
"""Amounts stay below 10^15 in their major unit; the database checks the same bound."""

EXACT_SCALE = 18
"""Decimals kept when an exact value is stored beside its rounded one."""

_WIDE = Context(prec=60)


class Rounding(StrEnum):
    """How a line is rounded at its currency's exponent; a setting per currency or entity."""

    HALF_AWAY = "half_away"
    HALF_EVEN = "half_even"
    UP = "up"
    DOWN = "down"


def exponent(currency: str) -> int:
    """Minor digits of an ISO 4217 currency (USD 2, JPY 0, KWD 3). Raises `Invalid` for an unknown code."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise Invalid.field("currency", "is not an ISO 4217 currency code", code="unknown_currency") from None


def round_fraction(value: Fraction, scale: int, mode: Rounding = Rounding.HALF_AWAY) -> Decimal:
    """`value` as a Decimal with exactly `scale` decimals. `UP` and `DOWN` are away from and towards zero."""
    numerator, denominator = abs(value.numerator) * 10**scale, value.denominator
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if rest and (
        mode is Rounding.UP
        or (mode is Rounding.HALF_AWAY and twice >= denominator)
        or (
            mode is Rounding.HALF_EVEN
            and (twice > denominator or (twice == denominator and quotient % 2 == 1))
        )
    ):
        quotient += 1
    signed = -quotient if value.numerator < 0 else quotient
    return Decimal(signed).scaleb(-scale, _WIDE)


def round_money(value: Fraction, currency: str, mode: Rounding = Rounding.HALF_AWAY) -> Decimal:
    """The one rounding of a line: to the currency's minor unit."""
    return round_fraction(value, exponent(currency), mode)


def exact_decimal(value: Fraction) -> tuple[Decimal, bool]:
    """`value` to 18 decimals, and whether digits were cut to get there (SEMANTICS: "says when it was cut").

    No zeros at its end: 2.9 is written the same whether it was just computed or read back from where it is kept.
    """
    digits, rest = divmod(abs(value.numerator) * 10**EXACT_SCALE, value.denominator)
    scale = EXACT_SCALE
    while scale and digits % 10 == 0:
        digits, scale = digits // 10, scale - 1
    return Decimal(-digits if value.numerator < 0 else digits).scaleb(-scale, _WIDE), rest != 0


def split(total: Decimal, weights: Sequence[Fraction | Decimal | int], scale: int) -> list[Decimal]:
    """Parts of `total` in proportion to `weights`, each with `scale` decimals, adding up to `total` exactly.

    Largest remainder, ties to the first. A negative total splits like its absolute value. Weights may not be negative;
    all-zero weights are an error, because any answer would be arbitrary. `total` must itself have at most `scale` decimals.
    """
    units = _whole_numbers(weights)
    if min(units, default=0) < 0:
        raise ValueError("weights must not be negative")
    whole = sum(units)
    if whole == 0:
        raise ValueError("cannot split over weights that are all zero")
    coins = total.scaleb(scale, _WIDE)
    magnitude = abs(int(coins))
    if magnitude != abs(coins):
        raise ValueError("the total has more decimals than its parts may have")
    parts = [divmod(magnitude * unit, whole) for unit in units]
    floors = [floor for floor, _ in parts]
    left = magnitude - sum(floors)
    if left:
        for index in sorted(range(len(parts)), key=lambda i: (-parts[i][1], i))[:left]:
            floors[index] += 1
    sign = -1 if coins < 0 else 1
    return [Decimal(sign * floor).scaleb(-scale, _WIDE) for floor in floors]


def _whole_numbers(weights: Sequence[Fraction | Decimal | int]) -> list[int]:
    """Whole numbers in the same proportion: this runs for every discount, grant and tax of a run."""
    ratios = [weight.as_integer_ratio() for weight in weights]
    common = lcm(*(denominator for _, denominator in ratios))
    return [numerator * (common // denominator) for numerator, denominator in ratios]


def quantize(amount: Decimal, currency: str) -> Decimal:
    """`amount` written with exactly the currency's decimals. Raises `Invalid` where digits would be lost."""
    places = exponent(currency)
    with localcontext(_WIDE):
        fitted = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN)
        if fitted != amount:
            raise Invalid.field(
                "amount", f"has more than the {places} decimals of {currency}", code="too_many_decimals"
            )
    return fitted


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency's minor-unit precision. Addition across currencies is a programming error."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not self.amount.is_finite():
            raise Invalid.field("amount", "must be a finite number")
        object.__setattr__(self, "amount", quantize(self.amount, self.currency))

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def _same(self, other: "Money") -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}")
        return other.amount
