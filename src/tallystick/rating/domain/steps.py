"""Steps: how an amount came about, as data. Text and JSON are derived from them when someone reads.

`subtotal` is what a step adds to the amount of its line (0 where it changes units only), so the subtotals of a line's steps
add up to its exact amount. Units and amounts are exact fractions; bounds are `(lower, upper]`, `upper` None is open.
"""

from dataclasses import dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from tallystick.kernel.money import exact_decimal

_NOTHING = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One sentence of an explanation."""

    kind: ClassVar[str]
    subtotal: Fraction = field(default=_NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeUsage(Step):
    """A sum below zero bills as zero; the value itself stays on the line."""

    kind: ClassVar[str] = "negative_usage"
    units: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion(Step):
    """Metered units turned into billed ones. `exact` is the result before it was rounded up to whole units."""

    kind: ClassVar[str] = "unit_conversion"
    units: Fraction
    factor: Fraction
    divides: bool
    exact: Fraction
    result: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsOff(Step):
    """Units that cost nothing, taken off before the model. `prorated` is the part of them that is due."""

    kind: ClassVar[str] = "usage_discount"
    units: Fraction
    included: Fraction
    prorated: Fraction
    result: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatFee(Step):
    """A fixed amount, or the part of it that is due."""

    kind: ClassVar[str] = "flat_fee"
    amount: Fraction
    prorated: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsAtPrice(Step):
    """All units at one price."""

    kind: ClassVar[str] = "units_at_price"
    units: Fraction
    unit_amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSlice(Step):
    """The units that lie in one tier, at its price, and its flat fee."""

    kind: ClassVar[str] = "tier_slice"
    lower: Fraction
    upper: Fraction | None
    units: Fraction
    unit_amount: Fraction
    flat_amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeTier(Step):
    """All units at the price of the tier their total falls in, and its flat fee."""

    kind: ClassVar[str] = "volume_tier"
    lower: Fraction
    upper: Fraction | None
    units: Fraction
    unit_amount: Fraction
    flat_amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(Step):
    """Started packages, after the free units. `prorated` is the part of the free units that is due."""

    kind: ClassVar[str] = "packages"
    units: Fraction
    free_units: Fraction
    prorated: Fraction
    billable: Fraction
    package_size: Fraction
    package_amount: Fraction
    packages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StairTier(Step):
    """The flat amount of the tier that the total falls in, whatever the units."""

    kind: ClassVar[str] = "stairstep_tier"
    lower: Fraction
    upper: Fraction | None
    units: Fraction
    flat_amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSlice(Step):
    """The part of an amount that lies in one tier, at its rate, and its flat fee."""

    kind: ClassVar[str] = "rate_slice"
    lower: Fraction
    upper: Fraction | None
    units: Fraction
    rate: Fraction
    flat_amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeEvents(Step):
    """Events that cost nothing, and the free part of the one that crosses the free total (`split_units`, 0 where none does).

    `prorated` is the part of the allowance that is due.
    """

    kind: ClassVar[str] = "free_events"
    events: int
    units: Fraction
    split_units: Fraction
    prorated: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class RateOf(Step):
    """A rate of an amount: of everything, or of the events that are neither free nor at a bound."""

    kind: ClassVar[str] = "rate"
    rate: Fraction
    units: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedParts(Step):
    """A fixed amount for each event."""

    kind: ClassVar[str] = "fixed_per_event"
    events: int
    fixed_amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsAtMinimum(Step):
    """Events whose rate and fixed part come to less than the minimum per event."""

    kind: ClassVar[str] = "events_at_minimum"
    events: int
    units: Fraction
    min_per_event: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsAtMaximum(Step):
    """Events whose rate and fixed part come to more than the maximum per event."""

    kind: ClassVar[str] = "events_at_maximum"
    events: int
    units: Fraction
    max_per_event: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrices(Step):
    """Events at the unit price that each of them brought."""

    kind: ClassVar[str] = "own_prices"
    events: int
    units: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixUnits(Step):
    """The units of all combinations that one row prices. `row` counts from 1, None is the default."""

    kind: ClassVar[str] = "matrix_row"
    row: int | None
    matches: str
    combinations: int
    units: Fraction
    unit_amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class BelowZero(Step):
    """An amount below zero bills as zero: `subtotal` takes it away again."""

    kind: ClassVar[str] = "below_zero"
    before: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentOff(Step):
    """A percentage off the amount so far."""

    kind: ClassVar[str] = "percentage_discount"
    percent: Fraction
    before: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Capped(Step):
    """The amount so far was over the maximum."""

    kind: ClassVar[str] = "maximum"
    maximum: Fraction
    prorated: Fraction
    before: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedUp(Step):
    """What is missing to the minimum; a line of its own."""

    kind: ClassVar[str] = "minimum_top_up"
    minimum: Fraction
    prorated: Fraction
    before: Fraction


Json = str | int | bool | Decimal | None


def plain_decimal(value: Fraction) -> Decimal:
    """`value` as a Decimal without trailing zeros, to 18 decimals at most."""
    return exact_decimal(value)[0]


def as_json(step: Step) -> dict[str, Json]:
    """A step as a JSON object: its kind, its numbers, and `cut: true` where one of them has more than 18 decimals.

    `prorated` is written as a fraction, `"10/31"`: that is the number a reader checks against the calendar.
    """
    answer: dict[str, Json] = {"kind": step.kind}
    cut = False
    for each in fields(step):
        value = getattr(step, each.name)
        if each.name == "prorated":
            answer[each.name] = str(value)
        elif isinstance(value, Fraction):
            cut = cut or exact_decimal(value)[1]
            answer[each.name] = plain_decimal(value)
        else:
            answer[each.name] = value
    answer["subtotal"] = answer.pop("subtotal")
    if cut:
        answer["cut"] = True
    return answer
