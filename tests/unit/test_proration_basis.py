"""Fractions of a period, by each basis: golden cases, and the laws parts of a whole must keep."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.money import Rounding
from tallystick.kernel.period import Aligned, Alignment, Cycle, Period, Schedule, boundary, period_at, rezone
from tallystick.kernel.proration import (
    Basis,
    Share,
    fraction,
    prorated_amount,
    prorated_quantity,
    share,
    used_until,
)

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia",
    "Africa/Casablanca", "America/Sao_Paulo", "Africa/Cairo",
]  # fmt: skip
ADDITIVE = [Basis.DAYS, Basis.SECONDS, Basis.THIRTY_360]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def whole_at(
    anchor: str, instant: str, cycle: Cycle, alignment: Alignment = Alignment.CALENDAR, name: str = "UTC"
) -> Aligned:
    return period_at(Schedule(at(anchor), cycle, alignment, name), at(instant))


def calendar_month(day: str, name: str = "UTC") -> Aligned:
    return whole_at("2000-01-10T00:00Z", f"{day}T12:00Z", Cycle.MONTHLY, Alignment.CALENDAR, name)


def anniversary(anchor: str, day: str, cycle: Cycle = Cycle.MONTHLY) -> Aligned:
    return whole_at(f"{anchor}T00:00Z", f"{day}T12:00Z", cycle, Alignment.ANNIVERSARY)


def part(start: str, end: str) -> Period:
    return Period(at(start), at(end))


def days(start: str, end: str) -> Period:
    return part(f"{start}T00:00Z", f"{end}T00:00Z")


@pytest.mark.parametrize(
    ("whole", "used", "expected"),
    [
        (calendar_month("2024-02-10"), days("2024-02-10", "2024-03-01"), Share(20, 29)),
        (calendar_month("2023-02-10"), days("2023-02-10", "2023-03-01"), Share(19, 28)),
        (calendar_month("2024-01-10"), days("2024-01-31", "2024-02-01"), Share(1, 31)),
        # the day a part starts counts whole, the day it ends not at all
        (calendar_month("2024-01-10"), part("2024-01-10T23:59Z", "2024-02-01T00:00Z"), Share(22, 31)),
        (calendar_month("2024-01-10"), part("2024-01-01T00:00Z", "2024-01-10T23:59Z"), Share(9, 31)),
        (calendar_month("2024-01-10"), part("2024-01-10T01:00Z", "2024-01-10T23:59Z"), Share(0, 31)),
        # days are local: 23:30 UTC is the next day in Berlin; a spring month has 31 days, if one hour less
        (
            calendar_month("2026-03-10", "Europe/Berlin"),
            part("2026-03-28T23:30Z", "2026-03-31T22:00Z"),
            Share(3, 31),
        ),
        # the day Samoa left out is no day
        (
            calendar_month("2011-12-10", "Pacific/Apia"),
            part("2011-12-28T10:00Z", "2011-12-31T10:00Z"),
            Share(3, 30),
        ),
        (anniversary("2024-01-31", "2024-02-10"), days("2024-02-10", "2024-02-29"), Share(19, 29)),
        (
            anniversary("2023-03-01", "2023-05-01", Cycle.YEARLY),
            days("2023-03-01", "2024-03-01"),
            Share(366, 366),
        ),
        (
            anniversary("2024-01-01", "2024-01-05", Cycle.WEEKLY),
            days("2024-01-05", "2024-01-08"),
            Share(3, 7),
        ),
    ],
)
def test_by_days(whole: Aligned, used: Period, expected: Share) -> None:
    assert share(Basis.DAYS, used, whole) == expected
    assert fraction(Basis.DAYS, used, whole) == Fraction(expected.used, expected.whole)


@pytest.mark.parametrize(
    ("whole", "used", "expected"),
    [
        (calendar_month("2024-02-10"), days("2024-02-10", "2024-03-01"), Fraction(20, 29)),
        (calendar_month("2024-01-10"), part("2024-01-10T12:00Z", "2024-01-11T00:00Z"), Fraction(1, 62)),
        (
            calendar_month("2026-03-10", "Europe/Berlin"),
            part("2026-03-28T23:00Z", "2026-03-29T22:00Z"),
            Fraction(23, 31 * 24 - 1),
        ),
        (
            calendar_month("2024-10-10", "Australia/Lord_Howe"),
            part("2024-10-05T13:30Z", "2024-10-06T13:00Z"),
            Fraction(47, 2 * 31 * 24 - 1),
        ),
        (
            calendar_month("2024-01-10"),
            Period(at("2024-01-31T23:59:59.999999Z"), at("2024-02-01T00:00Z")),
            Fraction(1, 31 * 86_400 * 10**6),
        ),
    ],
)
def test_by_seconds(whole: Aligned, used: Period, expected: Fraction) -> None:
    assert fraction(Basis.SECONDS, used, whole) == expected


@pytest.mark.parametrize(
    ("whole", "used", "expected"),
    [
        (calendar_month("2024-02-10"), days("2024-02-10", "2024-03-01"), Share(21, 30)),
        (calendar_month("2023-02-10"), days("2023-02-01", "2023-02-28"), Share(27, 30)),
        (calendar_month("2024-01-10"), days("2024-01-10", "2024-02-01"), Share(21, 30)),
        (calendar_month("2024-01-10"), days("2024-01-30", "2024-01-31"), Share(0, 30)),
        (calendar_month("2024-01-10"), days("2024-01-31", "2024-02-01"), Share(1, 30)),
        # cycles of the month's end: 28 and 32 such days are one month each
        (anniversary("2023-01-31", "2023-02-10"), days("2023-01-31", "2023-02-28"), Share(30, 30)),
        (anniversary("2023-01-31", "2023-02-10"), days("2023-01-31", "2023-02-27"), Share(27, 30)),
        (anniversary("2023-01-31", "2023-03-10"), days("2023-02-28", "2023-03-31"), Share(30, 30)),
        (anniversary("2023-01-31", "2023-03-10"), days("2023-02-28", "2023-03-30"), Share(30, 30)),
        (anniversary("2023-01-31", "2023-03-10"), days("2023-02-28", "2023-03-15"), Share(17, 30)),
        (
            anniversary("2024-01-15", "2024-02-01", Cycle.QUARTERLY),
            days("2024-03-15", "2024-04-15"),
            Share(30, 90),
        ),
        (
            anniversary("2024-01-15", "2024-02-01", Cycle.SEMIANNUAL),
            days("2024-01-15", "2024-02-15"),
            Share(30, 180),
        ),
        (
            anniversary("2024-01-15", "2024-02-01", Cycle.YEARLY),
            days("2024-02-29", "2025-01-15"),
            Share(316, 360),
        ),
        # a week is no number of months: measured in days
        (
            anniversary("2024-01-29", "2024-02-01", Cycle.WEEKLY),
            days("2024-02-01", "2024-02-05"),
            Share(4, 7),
        ),
    ],
)
def test_by_thirty_day_months(whole: Aligned, used: Period, expected: Share) -> None:
    assert share(Basis.THIRTY_360, used, whole) == expected


def test_without_proration_any_use_costs_the_full_price() -> None:
    whole = calendar_month("2024-01-10")
    moment = Period(whole.period.start, whole.period.start + timedelta(microseconds=1))
    assert fraction(Basis.NONE, moment, whole) == 1
    assert fraction(Basis.NONE, None, whole) == 0


@pytest.mark.parametrize("basis", list(Basis))
def test_nothing_used_is_nothing_and_the_whole_is_one(basis: Basis) -> None:
    whole = calendar_month("2024-01-10")
    assert fraction(basis, None, whole) == 0
    assert fraction(basis, whole.period, whole) == 1


@pytest.mark.parametrize("basis", list(Basis))
def test_a_part_must_lie_inside_its_whole(basis: Basis) -> None:
    with pytest.raises(ValueError, match="inside"):
        fraction(basis, days("2023-12-31", "2024-01-02"), calendar_month("2024-01-10"))


@st.composite
def cut_periods(draw: st.DrawFn) -> tuple[Aligned, list[Period]]:
    """A whole period of any schedule, perhaps after a change of zone, and a partition of it."""
    cycle, alignment = draw(st.sampled_from(Cycle)), draw(st.sampled_from(Alignment))
    anchor = draw(
        st.datetimes(min_value=datetime(2009, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC))
    )
    plan = Schedule(anchor, cycle, alignment, draw(st.sampled_from(ZONES)))
    index = draw(st.integers(0, 40))
    if draw(st.booleans()):
        plan = rezone(plan, boundary(plan, index), draw(st.sampled_from(ZONES)))
    whole = period_at(plan, boundary(plan, index))
    microseconds = whole.period.length // timedelta(microseconds=1)
    cuts = draw(st.lists(st.integers(1, microseconds - 1), max_size=6, unique=True))
    instants = [whole.period.start + timedelta(microseconds=cut) for cut in (0, *sorted(cuts), microseconds)]
    return whole, [Period(start, end) for start, end in pairwise(instants)]


@given(case=cut_periods(), basis=st.sampled_from(ADDITIVE))
def test_the_parts_of_a_period_add_up_to_it(case: tuple[Aligned, list[Period]], basis: Basis) -> None:
    whole, parts = case
    fractions = [fraction(basis, used, whole) for used in parts]
    assert all(0 <= one <= 1 for one in fractions)
    assert sum(fractions) == 1


@given(case=cut_periods(), basis=st.sampled_from(Basis))
def test_more_use_never_costs_less(case: tuple[Aligned, list[Period]], basis: Basis) -> None:
    whole, parts = case
    growing = [fraction(basis, Period(whole.period.start, used.end), whole) for used in parts]
    assert growing == sorted(growing)
    assert growing[-1] == 1


JANUARY = calendar_month("2024-01-10", "Europe/Berlin").period


@pytest.mark.parametrize(
    ("basis", "cut", "billed", "expected"),
    [
        (Basis.DAYS, "2024-01-10T12:00Z", False, "2024-01-10T12:00Z"),
        (Basis.DAYS, "2024-01-10T12:00Z", True, "2024-01-10T23:00Z"),
        (Basis.THIRTY_360, "2024-01-10T12:00Z", True, "2024-01-10T23:00Z"),
        (Basis.SECONDS, "2024-01-10T12:00Z", True, "2024-01-10T12:00Z"),
        (Basis.NONE, "2024-01-10T12:00Z", True, "2024-01-10T12:00Z"),
        # at local midnight nothing of the new day is used
        (Basis.DAYS, "2024-01-10T23:00Z", True, "2024-01-10T23:00Z"),
        # never past the period
        (Basis.DAYS, "2024-01-31T12:00Z", True, "2024-01-31T23:00Z"),
        (Basis.DAYS, "2024-01-31T23:00Z", True, "2024-01-31T23:00Z"),
        (Basis.DAYS, "2024-03-01T12:00Z", False, "2024-01-31T23:00Z"),
    ],
)
def test_what_counts_as_used(basis: Basis, cut: str, billed: bool, expected: str) -> None:
    used = used_until(basis, JANUARY, at(cut), "Europe/Berlin", bill_last_day=billed)
    assert used == Period(JANUARY.start, at(expected))


@pytest.mark.parametrize("billed", [False, True])
@pytest.mark.parametrize("early", [timedelta(0), timedelta(hours=1), timedelta(days=40)])
def test_what_ends_before_it_begins_used_nothing(early: timedelta, billed: bool) -> None:
    midday = Period(at("2024-01-10T12:00Z"), JANUARY.end)
    cut = midday.start - early
    assert used_until(Basis.DAYS, midday, cut, "Europe/Berlin", bill_last_day=billed) is None


def test_a_prorated_price_is_rounded_once() -> None:
    assert prorated_amount(Decimal("29.99"), Fraction(20, 29), "USD") == Decimal("20.68")
    assert prorated_amount(Decimal("0.01"), Fraction(1, 2), "USD") == Decimal("0.01")
    assert prorated_amount(Decimal("0.01"), Fraction(1, 2), "USD", Rounding.HALF_EVEN) == Decimal("0.00")
    assert prorated_amount(Decimal("1000"), Fraction(1, 3), "JPY") == Decimal("333")
    assert prorated_amount(Decimal("1"), Fraction(1, 3), "KWD") == Decimal("0.333")
    assert prorated_amount(Fraction(1, 3), Fraction(3), "USD") == Decimal("1.00")


def test_a_prorated_quantity_stays_exact() -> None:
    assert prorated_quantity(Decimal("1000"), Fraction(20, 29)) == Fraction(20_000, 29)
