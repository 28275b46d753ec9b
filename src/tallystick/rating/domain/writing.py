"""How numbers are written for people: in full, with their unit or their currency's decimals.

A number that does not end (10/31 of a fee) is shown to 12 decimals and an ellipsis, beside the fraction it comes from.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final

from tallystick.kernel.money import Rounding, exponent, round_fraction

_LONGEST: Final = 18
_SHOWN: Final = 12


class Writer:
    """How numbers are written: amounts with at least the currency's decimals, units with their name."""

    def __init__(self, currency: str, unit: str = "units") -> None:
        self.places, self.unit = exponent(currency), unit

    def money(self, value: Fraction | Decimal) -> str:
        """An amount in full, `1,234.50`."""
        return number(Fraction(value), self.places)

    def units(self, value: Fraction) -> str:
        """A quantity with its unit, `1,500 GB`; one of the unnamed units is `1 unit`."""
        return f"{number(value)} {'unit' if self.unit == 'units' and value == 1 else self.unit}"

    def volume(self, value: Fraction) -> str:
        """An amount that is measured, such as the turnover a percentage is taken of; units nobody named are not written."""
        return number(value) if self.unit == "units" else self.units(value)

    def percent(self, rate: Fraction) -> str:
        """A rate, `2.9 %`."""
        return f"{number(rate * 100)} %"


def number(value: Fraction, least: int = 0) -> str:
    """`value` in full with at least `least` decimals and commas between thousands; endless digits end in an ellipsis."""
    ends = 10**_LONGEST % value.denominator == 0
    digits = round_fraction(value, _LONGEST if ends else _SHOWN, Rounding.DOWN)
    whole, _, decimals = f"{abs(digits):,f}".partition(".")
    if ends:
        decimals = decimals.rstrip("0").ljust(least, "0")
    sign = "−" if value < 0 else ""
    return sign + whole + (f".{decimals}" if decimals else "") + ("" if ends else "…")


def part(value: str, prorated: Fraction) -> str:
    """`value`, or the part of it that is due."""
    return value if prorated == 1 else f"{value} × {prorated} of the period"
