"""Our money beside the report's, row by row.

Ours is quantity × price, exact. The report's cost is that product rounded when it was written, to a number of decimals
that the column itself shows (AWS writes ten and pads an eleventh with a zero, Oracle writes eleven or eighteen). A row agrees
when our product, rounded half away from zero to the decimals its provider writes, is the report's cost to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache

from tallystick.billing.importers.mapping import Mapping
from tallystick.billing.importers.plan import ImportPlan
from tallystick.billing.importers.rows import UsageRow
from tallystick.billing.importers.values import decimals
from tallystick.kernel.money import round_fraction
from tallystick.rating.domain import Price, amount_of, compile_price

_WIDE = Context(prec=200)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row whose cost we cannot reproduce: both amounts, and what its other columns say about why.

    `product` writes the multiplication out; `cause` is why, as far as other rows may share it, empty where nothing explains the difference.
    """

    line_no: int
    event_id: str
    provider: str
    description: str
    ours: Decimal
    reports: Decimal
    product: str
    cause: str = ""

    @property
    def reason(self) -> str:
        """All there is to say: why, and both amounts."""
        return f"{self.cause}; {self.product}" if self.cause else self.product


@dataclass(frozen=True, slots=True)
class Comparison:
    """`agreeing` of `compared` rows; `differences` are the rest, in file order; `without_cost` rows state no cost."""

    label: str
    agreeing: int
    compared: int
    differences: tuple[Difference, ...]
    without_cost: int
    basis: str = ""

    def sentence(self) -> str:
        """`858 of 860 FOCUS rows agree to the last digit`; `basis` says at which price where there are two."""
        return f"{self.agreeing} of {self.compared} {self.label} rows agree to the last digit{self.basis}"


def rated(quantity: Decimal, unit_price: Decimal) -> Fraction:
    """What the `standard` charge model makes of one row: the same function that prices the invoice line."""
    return amount_of(_standard(unit_price), quantity).amount


@lru_cache(maxsize=4096)
def _standard(unit_price: Decimal) -> Price:
    return compile_price("standard", {"unit_amount": f"{unit_price:f}"})


def compare(mapping: Mapping, rows: Sequence[UsageRow]) -> Comparison:
    """Price each row with the engine's own rating and hold it against the report's cost. Rows without one do not count."""
    stated = [(row, row.unit_price, row.expected_cost) for row in rows if row.expected_cost is not None]
    return _compared(mapping, rows, stated, mapping.price_word)


def compare_list(mapping: Mapping, rows: Sequence[UsageRow]) -> Comparison | None:
    """As `compare`, at the public list price and its cost; None where the format does not state them beside the price that is billed."""
    if mapping.list_price is None:
        return None
    stated = [
        (row, row.list_price, row.list_cost)
        for row in rows
        if row.list_price is not None and row.list_cost is not None
    ]
    return _compared(mapping, rows, stated, "list")


def compared(plan: ImportPlan) -> tuple[Comparison | None, Comparison | None]:
    """Both comparisons of a report: at the price that is billed, and at the list price where it is another. None of a file without costs."""
    if not isinstance(plan.mapping, Mapping):
        return None, None
    return compare(plan.mapping, plan.expectations), compare_list(plan.mapping, plan.expectations)


_Stated = tuple[UsageRow, Decimal, Decimal]


def _compared(mapping: Mapping, rows: Sequence[UsageRow], stated: Sequence[_Stated], word: str) -> Comparison:
    places = _written_decimals(mapping, stated)
    differences = tuple(
        _difference(row, price, cost, places[row.provider], word)
        for row, price, cost in stated
        if round_fraction(rated(row.quantity, price), places[row.provider]) != cost
    )
    basis = f" at the {word} price" if mapping.list_price else ""
    without = len(rows) - len(stated)
    return Comparison(mapping.label, len(stated) - len(differences), len(stated), differences, without, basis)


def _written_decimals(mapping: Mapping, stated: Sequence[_Stated]) -> dict[str, int]:
    """Decimals to which each provider writes its cost: the most that any of its rows needs, never below the format's."""
    places: dict[str, int] = {}
    for row, _, cost in stated:
        places[row.provider] = max(places.get(row.provider, mapping.cost_decimals), decimals(cost))
    return places


def _difference(row: UsageRow, price: Decimal, cost: Decimal, places: int, word: str) -> Difference:
    ours = _WIDE.multiply(row.quantity, price)
    said = f"quantity × {word} price = {row.quantity:f} × {price:f} = {ours:f}, the report says {cost:f}"
    if row.consumed is not None and row.consumed != row.quantity:
        said += f" for {row.consumed:f} consumed"
    cause = _cause(row, ours, cost, places)
    return Difference(row.line_no, row.event_id, row.provider, row.description, ours, cost, said, cause)


def _cause(row: UsageRow, ours: Decimal, cost: Decimal, places: int) -> str:
    block = _block_size(row, cost, places)
    if block is not None:
        return (
            f"priced per block of {block:,} units: the report divides what was consumed by {block:,} to get the quantity, "
            "but multiplies its cost from what was consumed"
        )
    if _list_agrees(row, places) and abs(ours - cost) < Decimal(1).scaleb(1 - places):
        return (
            f"the report's cost is a sum of parts, each rounded to {places} decimals before they were added, so that it is off in the "
            "last of them; the list cost of the same row, rounded once, agrees"
        )
    return ""


def _list_agrees(row: UsageRow, places: int) -> bool:
    if row.list_price is None or row.list_cost is None:
        return False
    return round_fraction(rated(row.quantity, row.list_price), places) == row.list_cost


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
