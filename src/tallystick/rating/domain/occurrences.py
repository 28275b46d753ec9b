"""From events to what a price is given, in a few lines: the definition that the SQL of metering is tested against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tallystick.rating.domain.aggregation import Aggregation, Event, aggregate
from tallystick.rating.domain.matrix import as_text
from tallystick.rating.domain.metered import Metered, Need
from tallystick.rating.domain.pricing import Price
from tallystick.rating.domain.reading import ZERO


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event with all a price may look at. `unit_price` None counts as 0."""

    event: Event
    unit_price: Decimal | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


def meter(
    price: Price, kind: Aggregation, occurrences: Sequence[Occurrence], *, percentile: int | None = None
) -> Metered:
    """What `price` needs of the events. Their order does not matter: time and arrival decide."""
    events = [each.event for each in occurrences]
    units, count = aggregate(kind, events, percentile=percentile), len(events)
    match price.needs:
        case Need.VALUES:
            ordered = sorted(events, key=lambda event: (event.occurred_at, event.batch, event.position))
            counted = kind is Aggregation.COUNT
            values = tuple(Fraction(1 if counted else event.value) for event in ordered)
            return Metered(units, count, values=values)
        case Need.PRICED:
            priced = (Fraction(each.event.value) * Fraction(each.unit_price or 0) for each in occurrences)
            return Metered(units, count, priced=sum(priced, ZERO))
        case Need.GROUPS:
            return Metered(units, count, groups=_groups(price, kind, occurrences, percentile))
    return Metered(units, count)


def _groups(
    price: Price, kind: Aggregation, occurrences: Sequence[Occurrence], percentile: int | None
) -> tuple[tuple[tuple[str | None, ...], Fraction], ...]:
    groups: dict[tuple[str | None, ...], list[Event]] = {}
    for each in occurrences:
        combination = tuple(as_text(each.properties.get(name)) for name in price.dimensions)
        groups.setdefault(combination, []).append(each.event)
    return tuple(
        (values, aggregate(kind, events, percentile=percentile)) for values, events in groups.items()
    )
