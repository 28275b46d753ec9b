"""Levels over local days, and how long a period is: the pure half of recurring meters."""

import itertools
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.zones import days_between, zone
from tallystick.metering.domain.carried import DayChange, day_bounds, level_days, scope, whole_of
from tallystick.metering.domain.slices import UsageSlice, UsageTotal, metered_of
from tallystick.rating.domain.metered import Need

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


changes = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(-5, 5)), max_size=12)
"""(day, moment of the day, change); day 0 is before the first, day 11 after the last of ten. Moment 0 is the day's start."""


@given(st.integers(-5, 20), changes)
def test_a_day_counts_the_highest_level_it_saw(base: int, sent: list[tuple[int, int, int]]) -> None:
    days = 10
    by_day: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for day, moment, change in sent:
        by_day[min(day, days + 1)][moment] += change
    given_changes: dict[int, DayChange] = {}
    for day, moments in by_day.items():
        running, peaks = 0, []
        for moment in sorted(moments):
            running += moments[moment]
            peaks.append(running)
        given_changes[day] = DayChange(Decimal(running), Decimal(max(peaks)), 0 in moments)
    found = level_days(Fraction(base), given_changes, days)
    level = base + sum(by_day[0].values())
    assert found.carried == level
    total = 0
    for day in range(1, days + 1):
        seen = [] if 0 in by_day[day] else [level]
        for moment in sorted(by_day[day]):
            level += by_day[day][moment]
            seen.append(level)
        total += max(seen)
    assert found.unit_days == total
    assert found.closing == level + sum(by_day[days + 1].values())


instants = st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))


@given(
    instants,
    st.integers(0, 90 * 24 * 3600),
    st.sampled_from([BERLIN, "UTC", "Pacific/Apia", "America/New_York", "Africa/Cairo"]),
)
def test_days_are_those_of_proration(start: datetime, seconds: int, name: str) -> None:
    end = start + timedelta(seconds=seconds)
    bounds = day_bounds(start, end, name)
    assert len(bounds) - 1 == days_between(start, end, zone(name))
    assert list(bounds) == sorted(set(bounds))
    assert bounds[0] == start
    assert bounds[-1] <= end
    assert day_bounds(start, bounds[-1], name) == bounds, "the last bound stands for the end"


def test_the_days_of_the_clock_changes_are_days() -> None:
    spring = day_bounds(at("2024-03-29T23:00"), at("2024-04-01T22:00"), BERLIN)
    assert [b - a for a, b in itertools.pairwise(spring)] == [
        timedelta(hours=24), timedelta(hours=23), timedelta(hours=24),
    ]  # fmt: skip
    autumn = day_bounds(at("2024-10-26T22:00"), at("2024-10-28T23:00"), BERLIN)
    assert [b - a for a, b in itertools.pairwise(autumn)] == [
        timedelta(hours=25),
        timedelta(hours=24),
    ]


def test_a_day_that_a_zone_skipped_is_none() -> None:
    bounds = day_bounds(at("2011-12-28T10:00"), at("2012-01-01T10:00"), "Pacific/Apia")
    assert len(bounds) - 1 == 4  # the 28th to the 31st without the 30th, and one more to the 1st


@pytest.mark.parametrize(
    ("aggregation", "recurring", "whole"),
    [
        ("weighted_sum", False, 31 * 86_400_000_000 - 3_600_000_000),
        ("sum", True, 31),
        ("sum", False, 0),
        ("max", False, 0),
    ],
)
def test_what_a_quantity_is_divided_by(aggregation: str, recurring: bool, whole: int) -> None:
    start, end = at("2024-02-29T23:00"), at("2024-03-31T22:00")  # March in Berlin: 31 days, an hour short
    assert whole_of(aggregation, start, end, BERLIN, recurring=recurring) == whole


def test_a_state_is_of_the_same_events_only() -> None:
    start = at("2024-01-01")
    base = UsageSlice(1, 2, "sum", start, start + timedelta(days=1), 9)
    others = [
        UsageSlice(1, 2, "count", start, start, 9),
        UsageSlice(1, 2, "sum", start, start, 9, field="size"),
        UsageSlice(1, 2, "sum", start, start, 9, filters={"a": ["b"]}),
        UsageSlice(1, 2, "sum", start, start, 9, also={"a": ["b", "c"]}),
        UsageSlice(1, 2, "sum", start, start, 9, group_by=("a",)),
    ]
    assert len({scope(each) for each in [base, *others]}) == 6
    assert scope(base) == scope(UsageSlice(1, 2, "sum", start, start, 10))
    assert scope(others[2]) == scope(UsageSlice(1, 2, "sum", start, start, 9, also={"a": ["b"]}))


def test_a_price_is_given_what_it_needs() -> None:
    total = UsageTotal(
        Decimal("0.333"),
        3,
        7,
        Fraction(1, 3),
        Decimal(5),
        (Decimal(1), Decimal(2)),
        ((("eu",), Fraction(1)),),
    )
    assert metered_of(total, Need.TOTAL).units == Fraction(1, 3)
    assert (metered_of(total, Need.VALUES).events, metered_of(total, Need.VALUES).values) == (2, (1, 2))
    assert (metered_of(total, Need.PRICED).priced, metered_of(total, Need.COUNT).events) == (5, 3)
    assert metered_of(total, Need.GROUPS).groups == ((("eu",), Fraction(1)),)
