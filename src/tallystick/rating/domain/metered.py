"""What a price is given: the quantity of a period and, where its model prices events, what it must see of them.

`Price.needs` says what that is, so that whoever counts reads no more than the price looks at.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from tallystick.rating.domain.aggregation import Aggregation
from tallystick.rating.domain.reading import ZERO


class Need(StrEnum):
    """What of the events a price must see, besides the aggregated quantity. Each price has one need."""

    TOTAL = "total"
    """Nothing more: the aggregated quantity."""

    COUNT = "count"
    """The number of events (a percentage with a fixed amount)."""

    PRICED = "priced"
    """Σ quantity × unit price of the events (dynamic)."""

    VALUES = "values"
    """Every event's quantity (1 where events are counted), ordered by time, then by arrival (a percentage with free events, free total, minimum or maximum)."""

    GROUPS = "groups"
    """The total of each combination of the properties that `Price.dimensions` names (matrix)."""

    def fed_by(self, aggregation: Aggregation) -> bool:
        """Whether a meter of this aggregation can feed such a price: one that prices each event needs events that are added up."""
        if self is Need.PRICED:
            return aggregation is Aggregation.SUM
        return self not in (Need.COUNT, Need.VALUES) or aggregation in (Aggregation.SUM, Aggregation.COUNT)


@dataclass(frozen=True, slots=True)
class Folded:
    """A percentage's events summed by what became of them: all that their order and size decide, in a few numbers.

    The event that crosses the free total counts in the class its charged part falls in; its free part is `split_units` (0: none did).
    Units are as metered and add up to the quantity. `low` pays the minimum per event, `high` the maximum.
    """

    free_events: int = 0
    free_units: Fraction = ZERO
    split_units: Fraction = ZERO
    plain_events: int = 0
    plain_units: Fraction = ZERO
    low_events: int = 0
    low_units: Fraction = ZERO
    high_events: int = 0
    high_units: Fraction = ZERO


@dataclass(frozen=True, slots=True)
class Metered:
    """The usage of a period. `units` is its aggregated quantity; the rest is filled as far as the price `needs` it.

    `events` counts the events behind `units` (for `COUNT` and `VALUES`). `values` are their quantities in order; decimals as they
    come from the database do. `groups` pairs a combination of property values, in the order of `Price.dimensions` (None where an
    event lacks the property), with its total; each combination stands once. `folded` stands for `values` that were folded before
    (`fold`), so that a stored line is computed again without its events.
    """

    units: Fraction
    events: int = 0
    priced: Fraction = ZERO
    values: tuple[Fraction | Decimal, ...] = ()
    groups: tuple[tuple[tuple[str | None, ...], Fraction], ...] = ()
    folded: Folded | None = None


class NotMetered(ValueError):
    """A price was given less than it needs: a programming error of whoever counts."""


def require(need: Need, metered: Metered) -> None:
    """Raises `NotMetered` where it shows that `metered` was counted for a lesser need."""
    used = metered.units != 0 or metered.events != 0
    lacking = (
        (need is Need.COUNT and metered.units != 0 and not metered.events)
        or (need is Need.VALUES and used and not metered.values and metered.folded is None)
        or (need is Need.VALUES and bool(metered.values) and metered.events not in (0, len(metered.values)))
        or (need is Need.GROUPS and metered.units != 0 and not metered.groups)
    )
    if lacking:
        raise NotMetered(f"this price needs the {need} of the events")
