"""Recurring meters: what a level comes to over local days, and what of a meter's events a stored state stands for. Pure.

A unit counts for a local day when it is active at any moment of it (SEMANTICS "Aggregation"). Count and sum have units without
identity: one that leaves and one that comes may be the same, so a day counts its highest level. A level is what all events of an instant
leave; it holds until the next instant with an event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b

import msgspec

from tallystick.kernel.zones import days_between, local_date, local_midnight, zone
from tallystick.metering.domain.slices import UsageSlice, conditions

_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
BEFORE = 0
"""The place of what came before the first day."""


@dataclass(frozen=True, slots=True)
class DayChange:
    """What one day did to a level: `net` in all, `peak` the highest sum of its changes so far; `at_start`: its first change came with the day."""

    net: Decimal
    peak: Decimal
    at_start: bool


@dataclass(frozen=True, slots=True)
class LevelDays:
    """A level over days: as it was at their start, summed (each day its highest), and as it is at the end."""

    carried: Fraction
    unit_days: Fraction
    closing: Fraction


def level_days(base: Fraction, changes: Mapping[int, DayChange], days: int) -> LevelDays:
    """Sums a level over `days`. `changes` are by day, from 1; `BEFORE` holds what came before, `days + 1` what came after."""
    level = base + (Fraction(changes[BEFORE].net) if BEFORE in changes else 0)
    carried, total = level, Fraction(0)
    for day in range(1, days + 1):
        change = changes.get(day)
        if change is None:
            total += level
            continue
        peak = level + Fraction(change.peak)
        total += peak if change.at_start else max(level, peak)
        level += Fraction(change.net)
    if days + 1 in changes:
        level += Fraction(changes[days + 1].net)
    return LevelDays(carried, total, level)


def day_bounds(start: datetime, end: datetime, timezone: str) -> tuple[datetime, ...]:
    """The bounds of the local days from the day of `start`, which counts, to the day of `end`, which does not: one more than days.

    As proration counts days: a period that ends within a day leaves that day to the next. A day that the zone skipped is none.
    """
    tz = zone(timezone)
    bounds = [start]
    day, last = local_date(start, tz), local_date(end, tz)
    while day < last:
        day += timedelta(days=1)
        bound = local_midnight(day, tz)
        if bound > bounds[-1]:
            bounds.append(min(bound, end))
    return tuple(bounds)


def whole_of(aggregation: str, start: datetime, end: datetime, timezone: str, *, recurring: bool) -> int:
    """The length of a whole aligned period in the unit that its quantity is divided by; 0 where nothing is."""
    if aggregation == "weighted_sum":
        return (end - start) // timedelta(microseconds=1)
    return days_between(start, end, zone(timezone)) if recurring else 0


def scope(slice_: UsageSlice) -> bytes:
    """16 bytes that stand for which events of the meter a state counts, and by what it is split."""
    seen = [slice_.aggregation, slice_.field, conditions(slice_), slice_.split_by]
    return blake2b(_encode(seen), digest_size=16).digest()
