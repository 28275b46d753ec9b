"""Our money beside the report's, row by row.

Ours is quantity × list price, exact. The report's cost is that product rounded when it was written, to a number of decimals
that the column itself shows (AWS writes ten and pads an eleventh with a zero, Oracle writes eleven or eighteen). A row agrees
when our product, rounded half away from zero to the decimals its provider writes, is the report's cost to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache

from tallystick.billing.importers.mapping import Mapping
from tallystick.billing.importers.rows import UsageRow
from tallystick.billing.importers.values import decimals
from tallystick.kernel.money import round_fraction
from tallystick.rating.domain import Price, amount_of, compile_price

_WIDE = Context(prec=200)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row whose cost we cannot reproduce: both amounts, and what its other columns say about why."""

    line_no: int
    event_id: str
    provider: str
    description: str
    ours: Decimal
    reports: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`agreeing` of `compared` rows; `differences` are the rest, in file order; `without_cost` rows state no cost."""

    label: str
    agreeing: int
    compared: int
    differences: tuple[Difference, ...]
    without_cost: int

    def sentence(self) -> str:
        """`858 of 860 FOCUS rows agree to the last digit`."""
        return f"{self.agreeing} of {self.compared} {self.label} rows agree to the last digit"


def rated(quantity: Decimal, unit_price: Decimal) -> Fraction:
    """What the `standard` charge model makes of one row: the same function that prices the invoice line."""
    return amount_of(_standard(unit_price), quantity).amount


@lru_cache(maxsize=4096)
def _standard(unit_price: Decimal) -> Price:
    return compile_price("standard", {"unit_amount": f"{unit_price:f}"})


def compare(mapping: Mapping, rows: Sequence[UsageRow]) -> Comparison:
    """Price each row with the engine's own rating and hold it against the report's cost. Rows without one do not count."""
    stated = [(row, row.expected_cost) for row in rows if row.expected_cost is not None]
    places = _written_decimals(mapping, stated)
    differences = []
    for row, cost in stated:
        exact = rated(row.quantity, row.unit_price)
        if round_fraction(exact, places[row.provider]) != cost:
            differences.append(_difference(row, cost, places[row.provider]))
    return Comparison(
        label=mapping.label,
        agreeing=len(stated) - len(differences),
        compared=len(stated),
        differences=tuple(differences),
        without_cost=len(rows) - len(stated),
    )


def _written_decimals(mapping: Mapping, stated: Sequence[tuple[UsageRow, Decimal]]) -> dict[str, int]:
    """Decimals to which each provider writes its cost: the most that any of its rows needs, never below the format's."""
    places: dict[str, int] = {}
    for row, cost in stated:
        places[row.provider] = max(places.get(row.provider, mapping.cost_decimals), decimals(cost))
    return places


def _difference(row: UsageRow, cost: Decimal, places: int) -> Difference:
    ours = _WIDE.multiply(row.quantity, row.unit_price)
    block = _block_size(row, cost, places)
    said = (
        f"quantity × list price = {row.quantity:f} × {row.unit_price:f} = {ours:f}, the report says {cost:f}"
    )
    if block is None:
        reason = said
    else:
        reason = (
            f"priced per block of {block:,} units: the report divides {row.consumed:f} consumed by {block:,} to get the "
            f"quantity, but multiplies its cost from what was consumed; {said}"
        )
    return Difference(row.line_no, row.event_id, row.provider, row.description, ours, cost, reason)


def _block_size(row: UsageRow, cost: Decimal, places: int) -> int | None:
    """The pricing block's size where the report's cost is consumed × price and the quantity is consumed ÷ a whole size."""
    if not row.consumed or not row.quantity or row.consumed == row.quantity:
        return None
    size = Fraction(row.consumed) / Fraction(row.quantity)
    explained = round_fraction(Fraction(row.consumed) * Fraction(row.unit_price), places) == cost
    return int(size) if explained and size.denominator == 1 else None


def exact_lines(rows: Sequence[UsageRow]) -> dict[tuple[str, str], Fraction]:
    """What each invoice line must come to before its rounding: Σ quantity × price by (customer, meter)."""
    sums: dict[tuple[str, str], Fraction] = {}
    for row in rows:
        key = (row.customer_external_id, row.meter_code)
        sums[key] = sums.get(key, Fraction(0)) + rated(row.quantity, row.unit_price)
    return sums
