"""Aggregations at the edges of a period, with ties, with nothing."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.rating.domain import Aggregation, Event, aggregate, amount_of, compile_price
from tallystick.rating.domain.aggregation import weighted_sum

START, END = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def event(at: datetime, value: str | int, batch: int = 1, position: int = 0) -> Event:
    return Event(at, batch, position, Decimal(value))


MARCH = [
    event(START - TICK, "1000"),
    event(START, "0.1"),
    event(START + TICK, "0.2", 1, 1),
    event(END - TICK, "-5", 2, 0),
    event(END - TICK, "7", 2, 1),
    event(END - TICK, "6", 1, 9),
    event(END, "2000"),
]


@pytest.mark.parametrize(
    ("kind", "quantity"),
    [
        ("count", "5"),
        ("sum", "8.3"),
        ("max", "7"),
        ("min", "-5"),
        ("average", "1.66"),
        ("unique", "5"),
        ("latest", "7"),
    ],
)
def test_a_period_holds_its_start_and_not_its_end(kind: str, quantity: str) -> None:
    assert aggregate(Aggregation(kind), MARCH, START, END) == Fraction(quantity)
    assert aggregate(Aggregation(kind), reversed(MARCH), START, END) == Fraction(quantity)


@pytest.mark.parametrize("kind", [kind for kind in Aggregation if kind is not Aggregation.WEIGHTED_SUM])
def test_nothing_is_zero(kind: Aggregation) -> None:
    p = 95 if kind is Aggregation.PERCENTILE else None
    assert aggregate(kind, [], START, END, percentile=p) == 0
    assert aggregate(kind, MARCH, END + TICK, None, percentile=p) == 0


def test_without_bounds_all_events_count() -> None:
    assert aggregate(Aggregation.COUNT, MARCH) == 7


def test_bounds_are_instants_whatever_the_zone_they_are_written_in() -> None:
    new_york = timezone(timedelta(hours=-5))
    assert aggregate(Aggregation.SUM, [event(START.astimezone(new_york), "3")], START, END) == 3


def test_sums_are_exact() -> None:
    parts = [
        event(START, "0.000000000001"),
        event(START, "100000000000000"),
        event(START, "-100000000000000"),
    ]
    assert aggregate(Aggregation.SUM, parts) == Fraction(1, 10**12)


def test_unique_counts_texts_as_written_and_numbers_by_value() -> None:
    texts = [Event(START, 1, n, text) for n, text in enumerate(["a", "A", "a ", "a", "", "1"])]
    assert aggregate(Aggregation.UNIQUE, texts) == 5
    assert aggregate(Aggregation.UNIQUE, [event(START, "1"), event(START, "1.0"), event(START, "2")]) == 2


def test_latest_goes_by_time_then_by_arrival() -> None:
    late_arrival = event(START, "1", batch=9, position=9)
    assert aggregate(Aggregation.LATEST, [event(START + TICK, "2"), late_arrival]) == 2
    assert aggregate(Aggregation.LATEST, [event(START, "3", 2, 0), event(START, "4", 1, 99)]) == 3
    assert aggregate(Aggregation.LATEST, [event(START, "5", 2, 1), event(START, "6", 2, 0)]) == 5


def test_only_numbers_are_summed() -> None:
    with pytest.raises(TypeError, match="only unique"):
        aggregate(Aggregation.SUM, [Event(START, 1, 0, "text")])


def test_a_negative_sum_is_kept_and_bills_zero() -> None:
    quantity = aggregate(Aggregation.SUM, [event(START, "3"), event(START, "-5")])
    assert quantity == -2
    assert amount_of(compile_price("standard", {"unit_amount": 1}), quantity).amount == 0


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-9, 9)), max_size=30), st.integers(-3, 3))
def test_a_period_cut_in_two_loses_nothing(rows: list[tuple[int, int]], cut: int) -> None:
    events = [event(START + day * timedelta(days=1), value, 1, n) for n, (day, value) in enumerate(rows)]
    at = START + cut * timedelta(days=1)
    for kind in (Aggregation.COUNT, Aggregation.SUM):
        parts = aggregate(kind, events, None, at) + aggregate(kind, events, at, None)
        assert parts == aggregate(kind, events)


@pytest.mark.parametrize(
    ("p", "place"), [(1, 1), (10, 1), (11, 2), (50, 5), (51, 6), (90, 9), (91, 10), (99, 10), (100, 10)]
)
def test_a_percentile_is_the_nearest_rank(p: int, place: int) -> None:
    values = [event(START, value) for value in (70, 10, 100, 40, 20, 90, 30, 60, 80, 50)]
    assert aggregate(Aggregation.PERCENTILE, values, percentile=p) == 10 * place


def test_an_average_that_does_not_end_is_one_fraction() -> None:
    assert aggregate(Aggregation.AVERAGE, [event(START, 1), event(START, 1), event(START, 0)]) == Fraction(
        2, 3
    )


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=30), st.integers(1, 100))
def test_percentiles_lie_between_least_and_greatest(values: list[int], p: int) -> None:
    events = [event(START, value) for value in values]
    found = aggregate(Aggregation.PERCENTILE, events, percentile=p)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= p * len(values)
    assert sum(value < found for value in values) * 100 < p * len(values)


def test_a_weighted_sum_is_the_level_over_time() -> None:
    """10 from the middle of a day of a two-day period, 4 less for the last quarter of a day, on top of 2 that were there."""
    day, start = timedelta(days=1), datetime(2024, 1, 1, tzinfo=UTC)
    changes = [event(start + day / 2, 10), event(start + day * 3 / 4, -4)]
    assert weighted_sum(changes, start + day, 2 * day) == Fraction(4, 2)
    assert weighted_sum(changes, start + day, 2 * day, start=start, level=Fraction(2)) == Fraction(6, 2)
    assert weighted_sum([], start + day, day) == 0


def test_what_an_aggregation_lacks_is_told() -> None:
    with pytest.raises(ValueError, match="needs its p"):
        aggregate(Aggregation.PERCENTILE, MARCH)
    with pytest.raises(ValueError, match="length of its period"):
        aggregate(Aggregation.WEIGHTED_SUM, MARCH)
