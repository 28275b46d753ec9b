"""Aggregations in a few lines each: the definitions that the SQL of metering is tested against, and that `explain` repeats.

An event belongs to the period its `occurred_at` falls in, `[start, end)`: one at `start` counts, one at `end` is the next
period's. Source: SEMANTICS "Aggregation". Results are exact; a result below zero bills as zero (pricing.py) but is answered as
it is. No events: zero.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from tallystick.rating.domain.reading import ZERO


class Aggregation(StrEnum):
    """How a meter turns events into one quantity."""

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    UNIQUE = "unique"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Event:
    """`value` is the quantity, or for `unique` the property that is counted. Arrival is (batch, position in the batch)."""

    occurred_at: datetime
    batch: int
    position: int
    value: Decimal | str


def within(events: Iterable[Event], start: datetime | None, end: datetime | None) -> list[Event]:
    """The events of `[start, end)`; None is open."""
    return [
        event
        for event in events
        if (start is None or start <= event.occurred_at) and (end is None or event.occurred_at < end)
    ]


def aggregate(
    kind: Aggregation, events: Iterable[Event], start: datetime | None = None, end: datetime | None = None
) -> Fraction:
    """The quantity of a period, exactly. The order of `events` does not matter: time and arrival decide."""
    return _DEFINITIONS[kind](within(events, start, end))


def _number(event: Event) -> Fraction:
    if isinstance(event.value, str):
        raise TypeError("only unique aggregates texts")
    return Fraction(event.value)


def count(events: Sequence[Event]) -> Fraction:
    """How many events, whatever their values."""
    return Fraction(len(events))


def total(events: Sequence[Event]) -> Fraction:
    """The sum of the values."""
    return sum((_number(event) for event in events), ZERO)


def largest(events: Sequence[Event]) -> Fraction:
    """The greatest value."""
    return max((_number(event) for event in events), default=ZERO)


def unique(events: Sequence[Event]) -> Fraction:
    """How many different values: texts as written, numbers by their value (1 and 1.0 are one)."""
    return Fraction(len({event.value for event in events}))


def latest(events: Sequence[Event]) -> Fraction:
    """The value of the last event by time; of several at one instant, the last to arrive."""
    last = max(events, key=lambda event: (event.occurred_at, event.batch, event.position), default=None)
    return ZERO if last is None else _number(last)


_DEFINITIONS: Final[Mapping[Aggregation, Callable[[Sequence[Event]], Fraction]]] = {
    Aggregation.COUNT: count,
    Aggregation.SUM: total,
    Aggregation.MAX: largest,
    Aggregation.UNIQUE: unique,
    Aggregation.LATEST: latest,
}
