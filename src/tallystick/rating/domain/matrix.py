"""matrix {dimensions, rows, default}: the units of each combination of property values at the price of the first row that matches.

    {"dimensions": ["region", "size"],
     "rows": [{"values": ["eu", "large"], "unit_amount": "0.10"},
              {"values": {"region": "eu"}, "unit_amount": "0.05"}],
     "default": {"unit_amount": "0.08"}}

`values` is a list in the order of `dimensions`, or an object by their names; null, or a name left out, matches everything, a missing
property too. Values are compared as texts: `4` and `"4"` are one, `true` is "true". Without a row and without a default, usage is refused.
Each combination is billed like a standard price: one below zero bills zero.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from tallystick.kernel.errors import Invalid
from tallystick.rating.domain.exactness import over_one_denominator
from tallystick.rating.domain.metered import Metered, Need
from tallystick.rating.domain.models import EventModel, Share
from tallystick.rating.domain.reading import ONE, ZERO, Fields
from tallystick.rating.domain.steps import MatrixUnits, NegativeUsage, Step

REFUSES: Final[Mapping[str, str]] = {
    "usage_discount_units": "has no meaning for matrix: units have different prices; use discount_percent",
    "unit_conversion.round_up": "has no meaning for matrix: each combination would be rounded up by itself",
}
MAX_DIMENSIONS: Final = 8
MAX_ROWS: Final = 1000
_PROPERTY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}", re.ASCII)
_LONGEST = 255
_DIGITS = 30

Values = tuple[str | None, ...]


class NoMatrixRow(Invalid):
    """Usage that no row matches, and no default. A billing run parks the account, an estimate refuses."""

    code = "no_matrix_row"
    sentence = "No row of the matrix matches some of the usage and it has no default; add a row or a default"


@dataclass(frozen=True, slots=True)
class Row:
    """A price; `values` in the order of the dimensions, None matches everything."""

    values: Values
    unit_amount: Fraction


@dataclass(frozen=True, slots=True)
class Finder:
    """The rows that fix the same dimensions (by position), each by its values there."""

    fixed: tuple[int, ...]
    places: Mapping[Values, int]

    def find(self, combination: Values) -> int | None:
        """The place of the row, if one matches."""
        return self.places.get(tuple([combination[position] for position in self.fixed]))


@dataclass(frozen=True, slots=True)
class Used:
    """What the combinations that one row prices come to, those below zero apart."""

    combinations: int
    units: Fraction
    negative: Fraction


@dataclass(frozen=True, slots=True)
class Matrix(EventModel):
    """`finders` follow from `rows`: a combination is looked up once for each set of fixed dimensions, however many rows there are."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    default: Fraction | None
    finders: tuple[Finder, ...] = field(compare=False)

    @property
    def needs(self) -> Need:
        return Need.GROUPS

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self.names

    def amount(self, metered: Metered, share: Share, scale: Fraction) -> Fraction:
        used = self._used(metered)
        return sum((self._price(row) * each.units for row, each in used.items()), ZERO) * scale

    def steps(self, metered: Metered, share: Share, scale: Fraction) -> tuple[Step, ...]:
        used = self._used(metered)
        negative = sum((each.negative for each in used.values()), ZERO)
        steps: list[Step] = [NegativeUsage(units=negative * scale)] if negative else []
        order = sorted(used, key=lambda row: len(self.rows) if row is None else row)
        return (*steps, *(self._step(row, used[row], scale) for row in order))

    def _used(self, metered: Metered) -> dict[int | None, Used]:
        """Units by row. Raises `NoMatrixRow` also where nothing is billed: a hole is told when it is first met."""
        whole, unit = over_one_denominator([units for _, units in metered.groups])
        by_row: dict[int | None, list[int]] = {}
        for (values, _), number in zip(metered.groups, whole, strict=True):
            by_row.setdefault(self._row(values), []).append(number)
        if None in by_row:
            self._price(None)
        return {
            row: Used(
                len(numbers),
                Fraction(sum(number for number in numbers if number > 0), unit),
                Fraction(sum(number for number in numbers if number < 0), unit),
            )
            for row, numbers in by_row.items()
        }

    def _row(self, combination: Values) -> int | None:
        """The first row that matches; None is the default."""
        places = [place for finder in self.finders if (place := finder.find(combination)) is not None]
        return min(places, default=None)

    def _price(self, row: int | None) -> Fraction:
        """Raises `NoMatrixRow`."""
        if row is not None:
            return self.rows[row].unit_amount
        if self.default is None:
            raise NoMatrixRow(
                details={"properties.rows": "no row matches some of the usage; add a row or a default"}
            )
        return self.default

    def _step(self, row: int | None, used: Used, scale: Fraction) -> MatrixUnits:
        price, units = self._price(row), used.units * scale
        return MatrixUnits(
            row=None if row is None else row + 1,
            matches="" if row is None else self._told(self.rows[row].values),
            combinations=used.combinations,
            units=units,
            unit_amount=price,
            subtotal=units * price,
        )

    def _told(self, values: Values) -> str:
        return ", ".join(
            f"{name} {value}" for name, value in zip(self.names, values, strict=True) if value is not None
        )


def read(fields: Fields) -> Matrix:
    """Version 1."""
    names, lines = _read_names(fields), fields.objects("rows", most=MAX_ROWS)
    rows = [Row(_read_values(each, names), each.number("unit_amount")) for each in lines]
    finders: dict[tuple[int, ...], dict[Values, int]] = {}
    for index, (each, row) in enumerate(zip(lines, rows, strict=True)):
        fixed = tuple(position for position, value in enumerate(row.values) if value is not None)
        places = finders.setdefault(fixed, {})
        if places.setdefault(tuple(row.values[position] for position in fixed), index) < index:
            each.problem("values", "an earlier row has the same values, so this one would never match")
        each.close()
    found = tuple(Finder(fixed, places) for fixed, places in finders.items())
    return Matrix(names, tuple(rows), _read_default(fields), found)


def _read_names(fields: Fields) -> tuple[str, ...]:
    raw = fields.raw("dimensions")
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes) or not 1 <= len(raw) <= MAX_DIMENSIONS:
        fields.problem("dimensions", f"must be a list of 1 to {MAX_DIMENSIONS} property names")
        return ()
    if not all(isinstance(name, str) and _PROPERTY.fullmatch(name) for name in raw):
        fields.problem("dimensions", "names must be letters, digits and _.-, at most 100 of them")
        return ()
    if len(set(raw)) < len(raw):
        fields.problem("dimensions", "must not name a property twice")
    return tuple(raw)


def _read_values(row: Fields, names: tuple[str, ...]) -> Values:
    raw = row.raw("values")
    given: Sequence[Any]
    if isinstance(raw, Mapping):
        if names and raw.keys() - set(names):
            row.problem("values", "names a property that is not one of the dimensions")
        given = [raw.get(name) for name in names]
    elif isinstance(raw, Sequence) and not isinstance(raw, str | bytes):
        given = raw
        if names and len(raw) != len(names):
            row.problem("values", "must have one value for each dimension, null for any")
            given = [None] * len(names)
    else:
        row.problem("values", "is required" if raw is None else "must be a list or an object")
        given = [None] * len(names)
    return tuple(_read_text(row, value) for value in given)


def _read_text(row: Fields, value: object) -> str | None:
    text = as_text(value)
    if value is not None and (text is None or len(text) > _LONGEST):
        row.problem("values", f"must be texts of at most {_LONGEST} characters, numbers, true, false or null")
        return None
    return text


def as_text(value: object) -> str | None:
    """A property's value as matrices and groups compare it: texts as they are, numbers in the digits they were written, true, false.

    None where it is absent or something else: a list, an object, a number of more than 30 digits.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_DIGITS else None
    if isinstance(value, Decimal):  # bounded first: writing out 1E+999999 is where time would go
        short = (
            value.is_finite() and abs(value.adjusted()) < _DIGITS and len(value.as_tuple().digits) <= _DIGITS
        )
        return f"{value:f}" if short else None
    return value if isinstance(value, str) else None


def _read_default(fields: Fields) -> Fraction | None:
    raw = fields.raw("default")
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        fields.problem("default", 'must be an object such as {"unit_amount": "0.05"}, or null')
        return ONE
    default = fields.object("default")
    price = default.number("unit_amount")
    default.close()
    return price
