"""Many exact numbers at once: as integers over one denominator, because adding up a million fractions takes seconds."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import lcm


def over_one_denominator(values: Iterable[Fraction | Decimal]) -> tuple[list[int], int]:
    """Integers and the number each of them is to be divided by."""
    pairs = [value.as_integer_ratio() for value in values]
    unit = lcm(*{denominator for _, denominator in pairs})
    return [numerator * (unit // denominator) for numerator, denominator in pairs], unit
