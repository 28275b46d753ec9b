"""Aggregations in a few lines each: the definitions that the SQL of metering is tested against, and that `explain` repeats.

An event belongs to the period its `occurred_at` falls in, `[start, end)`: one at `start` counts, one at `end` is the next
period's. Source: SEMANTICS "Aggregation". Results are exact; a result below zero bills as zero (pricing.py) but is answered as
it is. No events: zero.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    MIN = "min"
    AVERAGE = "average"
    UNIQUE = "unique"
    LATEST = "latest"
    WEIGHTED_SUM = "weighted_sum"
    PERCENTILE = "percentile"


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
    kind: Aggregation,
    events: Iterable[Event],
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    percentile: int | None = None,
) -> Fraction:
    """The quantity of a period, exactly. The order of `events` does not matter: time and arrival decide.

    `percentile` is its p, 1 to 100. A weighted sum also needs the length of its period: `weighted_sum`.
    """
    chosen = within(events, start, end)
    if kind is Aggregation.PERCENTILE:
        if percentile is None:
            raise ValueError("a percentile needs its p")
        return nearest_rank(chosen, percentile)
    if kind not in _DEFINITIONS:
        raise ValueError("a weighted sum needs the length of its period")
    return _DEFINITIONS[kind](chosen)


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


def smallest(events: Sequence[Event]) -> Fraction:
    """The least value."""
    return min((_number(event) for event in events), default=ZERO)


def average(events: Sequence[Event]) -> Fraction:
    """The sum of the values ÷ their number, one exact fraction."""
    return total(events) / len(events) if events else ZERO


def rank(percentile: int, count: int) -> int:
    """The place (from 1) of the p-th percentile among `count` ordered values: ⌈p·n/100⌉, in integers."""
    return -(-percentile * count // 100)


def nearest_rank(events: Sequence[Event], percentile: int) -> Fraction:
    """The p-th percentile: a value that was measured, never one between two."""
    ordered = sorted(_number(event) for event in events)
    return ordered[rank(percentile, len(ordered)) - 1] if ordered else ZERO


def weighted_sum(
    events: Sequence[Event],
    end: datetime,
    whole: timedelta,
    *,
    start: datetime | None = None,
    level: Fraction = ZERO,
) -> Fraction:
    """A level that each event changes by its value, summed over time up to `end` and divided by the length of the `whole` aligned period.

    Not prorated again: a short period is short in the sum. `level` is what there was at `start`. Time is elapsed UTC time.
    """
    tick = timedelta(microseconds=1)
    integral = sum((_number(event) * ((end - event.occurred_at) // tick) for event in events), ZERO)
    if start is not None:
        integral += level * ((end - start) // tick)
    return integral / (whole // tick)


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
    Aggregation.MIN: smallest,
    Aggregation.AVERAGE: average,
    Aggregation.UNIQUE: unique,
    Aggregation.LATEST: latest,
}
