"""Reading a price's JSON: every number exact, every problem collected under the path of its field.

A price is written once and rated millions of times, so all checking happens here, when it is compiled. Sources: CONTRACT
"Money" (digits read exactly, unit prices up to 12 decimals, amounts no finer than their currency) and §6 (property shapes).
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from tallystick.kernel.money import MAX_INTEGER_DIGITS

MAX_DECIMALS: Final = 12
"""Decimals of a unit price or a number of units, as CONTRACT "Money" sets them."""

ZERO: Final = Fraction(0)
ONE: Final = Fraction(1)

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_LONGEST = 60
_ENOUGH = 100
_NOT_A_NUMBER = 'must be a decimal number, as a string such as "0.05" or as a JSON number'
_TOO_LONG = f"must have at most {MAX_INTEGER_DIGITS} digits before and {MAX_DECIMALS} after the decimal point"


class NotANumber(ValueError):
    """The sentence that says what is wrong with a number."""


def read_number(raw: object) -> Fraction:
    """`raw` (a decimal string, an int or a Decimal) as an exact fraction of at most 15 and 12 digits.

    Floats and booleans are refused: a float has lost its digits already. Raises `NotANumber` with one sentence.
    """
    if isinstance(raw, str):
        if len(raw) > _LONGEST or not _NUMBER.fullmatch(raw):
            raise NotANumber(_NOT_A_NUMBER)
        raw = Decimal(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | Decimal):
        raise NotANumber(_NOT_A_NUMBER)
    if isinstance(raw, Decimal):
        if not raw.is_finite():
            raise NotANumber("must be a finite number")
        if not raw:
            return ZERO  # 0E+999999999 is a zero too, and must not be expanded
        # Both bounds come before the conversion: expanding 1E+400000 or a million digits is where time would go.
        if not -MAX_DECIMALS <= raw.adjusted() < MAX_INTEGER_DIGITS or len(raw.as_tuple().digits) > _LONGEST:
            raise NotANumber(_TOO_LONG)
    value = Fraction(raw)
    if abs(value) >= 10**MAX_INTEGER_DIGITS or 10**MAX_DECIMALS % value.denominator:
        raise NotANumber(_TOO_LONG)
    return value


class Fields:
    """One JSON object being read: typed getters that note problems instead of raising, so that all are told at once.

    A getter answers a harmless stand-in after a problem; whoever opened the reading raises before anything uses it.
    `null` counts as absent. `decimals` is the currency's exponent where it is known: amounts of money must fit it.
    """

    def __init__(self, raw: object, path: str, problems: dict[str, str], decimals: int | None = None) -> None:
        self.path, self.problems, self.decimals = path, problems, decimals
        self._known: set[str] = set()
        if isinstance(raw, Mapping):
            self._raw: Mapping[Any, Any] = raw
        else:
            self._raw = {}
            problems[path] = "must be an object"

    def at(self, name: str) -> str:
        """The path of a field, as `details` names it: `charges[0].properties.unit_amount`."""
        return f"{self.path}.{name}" if self.path else name

    def problem(self, name: str, sentence: str) -> None:
        """Notes what is wrong with a field."""
        self.problems.setdefault(self.at(name), sentence)

    def raw(self, name: str) -> Any:
        """The value as it came, None where absent; the field counts as known from here on."""
        self._known.add(name)
        return self._raw.get(name)

    def has(self, name: str) -> bool:
        """Whether the field was given (null is not)."""
        return self.raw(name) is not None

    def names(self, name: str) -> bool:
        """Whether the field stands there at all, be it as null."""
        return name in self._raw

    def number(
        self, name: str, *, default: Fraction | None = None, positive: bool = False, most: int | None = None
    ) -> Fraction:
        """A number that is not negative (`positive`: greater than 0). Without a default it is required."""
        raw = self.raw(name)
        if raw is None:
            if default is None:
                self.problem(name, "is required")
            return ONE if default is None else default
        try:
            value = read_number(raw)
        except NotANumber as refused:
            self.problem(name, str(refused))
            return ONE
        if value < 0 or (positive and value == 0):
            self.problem(name, "must be greater than 0" if positive else "must not be negative")
            return ONE
        if most is not None and value > most:
            self.problem(name, f"must not be greater than {most}")
            return ONE
        return value

    def money(self, name: str, *, default: Fraction | None = None) -> Fraction:
        """An amount that is not negative and, where the currency is known, no finer than its minor unit."""
        value = self.number(name, default=default)
        if self.decimals is not None and 10**self.decimals % value.denominator:
            self.problem(name, f"must have at most {self.decimals} decimals, like its currency")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        raw = self.raw(name)
        if raw is None:
            return default
        if not isinstance(raw, bool):
            self.problem(name, "must be true or false")
            return default
        return raw

    def object(self, name: str) -> "Fields":
        """A nested object."""
        return Fields(self.raw(name), self.at(name), self.problems, self.decimals)

    def objects(self, name: str, *, most: int) -> list["Fields"]:
        """A list of 1 to `most` objects, each with its own index in the path."""
        raw = self.raw(name)
        if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
            self.problem(name, "is required" if raw is None else "must be a list")
            return []
        if not 1 <= len(raw) <= most:
            self.problem(name, f"must have 1 to {most} entries")
            return []
        return [
            Fields(row, f"{self.at(name)}[{i}]", self.problems, self.decimals) for i, row in enumerate(raw)
        ]

    def close(self) -> None:
        """Notes fields nobody asked for, up to a hundred. A name that is not a plain word is not repeated."""
        for name in self._raw:
            if name in self._known or len(self.problems) >= _ENOUGH:
                continue
            if isinstance(name, str) and _SAFE_NAME.fullmatch(name):
                self.problem(name, "is not a known field")
            else:
                self.problems.setdefault(self.path, "has a field that is not known here")
