"""Boundaries by golden case: month ends, leap years, DST, skipped midnights and days, zone changes."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice

import pytest

from tallystick.kernel.errors import Invalid
from tallystick.kernel.period import (
    Alignment,
    Cycle,
    EmptyPeriod,
    Period,
    Schedule,
    boundary,
    close_instant,
    next_boundary,
    period_at,
    periods_between,
    rezone,
    service_periods,
    zone_of,
)
from tallystick.kernel.zones import InstantOutOfRange, UnknownTimeZone, local_midnight, zone

ANNIVERSARY, CALENDAR = Alignment.ANNIVERSARY, Alignment.CALENDAR


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def midnight(day: str, name: str) -> datetime:
    return local_midnight(date.fromisoformat(day), zone(name))


def schedule(
    anchor: str,
    cycle: Cycle = Cycle.MONTHLY,
    alignment: Alignment = ANNIVERSARY,
    name: str = "UTC",
    billing_day: int | None = None,
) -> Schedule:
    when = at(anchor) if "T" in anchor else midnight(anchor, name)
    return Schedule(when, cycle, alignment, name, billing_day)


def dates(plan: Schedule, first: int, last: int) -> list[str]:
    """Local dates of boundaries; asserts that each is its date's first instant."""
    tz = zone(plan.zone)
    instants = [boundary(plan, n) for n in range(first, last + 1)]
    days = [instant.astimezone(tz).date() for instant in instants]
    assert instants == [local_midnight(day, tz) for day in days]
    return [day.isoformat() for day in days]


# fmt: off
ANNIVERSARIES = [
    ("2023-01-31", Cycle.MONTHLY, ["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30", "2023-05-31"]),
    ("2024-01-31", Cycle.MONTHLY, ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
    ("2024-01-30", Cycle.MONTHLY, ["2024-01-30", "2024-02-29", "2024-03-30"]),
    ("2023-01-29", Cycle.MONTHLY, ["2023-01-29", "2023-02-28", "2023-03-29"]),
    ("2024-02-29", Cycle.MONTHLY, ["2024-02-29", "2024-03-29", "2024-04-29"]),
    ("2024-02-29", Cycle.YEARLY, ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
    ("2096-02-29", Cycle.YEARLY, ["2096-02-29", "2097-02-28", "2098-02-28", "2099-02-28", "2100-02-28"]),
    ("2023-11-30", Cycle.QUARTERLY, ["2023-11-30", "2024-02-29", "2024-05-30", "2024-08-30"]),
    ("2023-08-31", Cycle.SEMIANNUAL, ["2023-08-31", "2024-02-29", "2024-08-31", "2025-02-28"]),
    ("2024-12-30", Cycle.WEEKLY, ["2024-12-30", "2025-01-06", "2025-01-13"]),
]
CALENDARS = [
    ("2024-01-10", Cycle.MONTHLY, None, ["2024-01-01", "2024-02-01", "2024-03-01"]),
    ("2024-01-01", Cycle.MONTHLY, None, ["2024-01-01", "2024-02-01"]),
    ("2024-05-10", Cycle.QUARTERLY, None, ["2024-04-01", "2024-07-01", "2024-10-01", "2025-01-01"]),
    ("2024-08-10", Cycle.SEMIANNUAL, None, ["2024-07-01", "2025-01-01", "2025-07-01"]),
    ("2024-01-10", Cycle.YEARLY, None, ["2024-01-01", "2025-01-01", "2026-01-01"]),
    ("2024-05-16", Cycle.WEEKLY, None, ["2024-05-13", "2024-05-20", "2024-05-27"]),
    ("2024-05-13", Cycle.WEEKLY, None, ["2024-05-13", "2024-05-20"]),
    ("2024-01-10", Cycle.MONTHLY, 15, ["2023-12-15", "2024-01-15", "2024-02-15"]),
    ("2024-01-15", Cycle.MONTHLY, 15, ["2024-01-15", "2024-02-15"]),
    ("2023-01-31", Cycle.MONTHLY, 31, ["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30"]),
    ("2023-02-28", Cycle.MONTHLY, 31, ["2023-02-28", "2023-03-31"]),
    ("2024-01-10", Cycle.QUARTERLY, 31, ["2023-10-31", "2024-01-31", "2024-04-30", "2024-07-31"]),
    ("2024-01-10", Cycle.YEARLY, 1, ["2024-01-01", "2025-01-01"]),
    ("2024-01-10", Cycle.YEARLY, 15, ["2023-01-15", "2024-01-15", "2025-01-15"]),
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
# fmt: on


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize(("anchor", "cycle", "expected"), ANNIVERSARIES)
def test_anniversaries_are_counted_from_the_anchor(
    anchor: str, cycle: Cycle, expected: list[str], name: str
) -> None:
    plan = schedule(anchor, cycle, ANNIVERSARY, name)
    assert dates(plan, 0, len(expected) - 1) == expected


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize(("anchor", "cycle", "day", "expected"), CALENDARS)
def test_calendar_periods_begin_where_the_calendar_has_them(
    anchor: str, cycle: Cycle, day: int | None, expected: list[str], name: str
) -> None:
    plan = schedule(anchor, cycle, CALENDAR, name, day)
    assert dates(plan, 0, len(expected) - 1) == expected


def test_a_trial_from_new_year_resets_on_the_first_of_february() -> None:
    assert next_boundary(schedule("2024-01-01T00:00Z"), at("2024-01-01T00:00Z")) == at("2024-02-01T00:00Z")


def test_the_first_anniversary_period_begins_at_the_anchor_and_ends_at_midnight() -> None:
    plan = schedule("2024-01-30T17:45Z", name="Europe/Berlin")
    first = period_at(plan, at("2024-02-10T00:00Z"))
    assert first.index == 0
    assert first.period == Period(at("2024-01-30T17:45Z"), at("2024-02-28T23:00Z"))


def test_the_anchor_date_is_the_local_one() -> None:
    assert dates(schedule("2024-01-31T23:30Z", name="Europe/Berlin"), 1, 2) == ["2024-03-01", "2024-04-01"]
    assert dates(schedule("2024-02-01T03:00Z", name="America/New_York"), 1, 2) == ["2024-02-29", "2024-03-31"]


def test_before_the_anchor_the_cycle_goes_on_backwards() -> None:
    plan = schedule("2024-03-31T10:00Z")
    before = period_at(plan, at("2024-03-31T09:59Z"))
    assert (before.index, before.period) == (-1, Period(at("2024-02-29T00:00Z"), at("2024-03-31T10:00Z")))
    assert dates(plan, -3, -1) == ["2023-12-31", "2024-01-31", "2024-02-29"]


@pytest.mark.parametrize(
    ("name", "start", "hours"),
    [
        ("Europe/Berlin", "2026-03-01", 31 * 24 - 1),
        ("Europe/Berlin", "2026-10-01", 31 * 24 + 1),
        ("America/New_York", "2024-03-01", 31 * 24 - 1),
        ("America/New_York", "2024-11-01", 30 * 24 + 1),
        ("Australia/Lord_Howe", "2024-10-01", 31 * 24 - 0.5),
        ("Australia/Lord_Howe", "2024-04-01", 30 * 24 + 0.5),
        ("Asia/Kathmandu", "2024-03-01", 31 * 24),
        ("Africa/Casablanca", "2024-03-01", 31 * 24 + 1),
        ("Africa/Casablanca", "2024-04-01", 30 * 24 - 1),
        ("America/Sao_Paulo", "2018-11-01", 30 * 24 - 1),
        ("Pacific/Apia", "2011-12-01", 30 * 24),
    ],
)
def test_a_month_lasts_as_long_as_its_clocks_make_it(name: str, start: str, hours: float) -> None:
    plan = schedule("2000-01-01", Cycle.MONTHLY, CALENDAR, name)
    assert period_at(plan, midnight(start, name)).period.length == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("name", "anchor", "n", "expected"),
    [
        ("America/Sao_Paulo", "2018-10-04", 1, "2018-11-04T03:00Z"),
        ("Asia/Beirut", "2024-01-31", 2, "2024-03-30T22:00Z"),
        ("Africa/Cairo", "2024-03-26", 1, "2024-04-25T22:00Z"),
        ("America/Havana", "2024-10-03", 1, "2024-11-03T04:00Z"),
        ("Pacific/Apia", "2011-11-30", 1, "2011-12-30T10:00Z"),
    ],
)
def test_a_boundary_on_a_skipped_or_repeated_midnight(name: str, anchor: str, n: int, expected: str) -> None:
    plan = schedule(anchor, name=name)
    assert boundary(plan, n) == at(expected)
    assert period_at(plan, at(expected)).index == n
    assert period_at(plan, at(expected) - timedelta(microseconds=1)).index == n - 1


def test_weeks_pass_over_a_day_that_never_was() -> None:
    plan = schedule("2011-12-16", Cycle.WEEKLY, ANNIVERSARY, "Pacific/Apia")
    lengths = [period_at(plan, boundary(plan, n)).period.length.days for n in range(4)]
    assert lengths == [7, 7, 6, 7]


def test_service_of_a_year_on_day_one_from_the_tenth_has_a_stub_to_new_year() -> None:
    plan = schedule("2024-01-10", Cycle.YEARLY, CALENDAR, billing_day=1)
    parts = [part for _, part in islice(service_periods(plan, plan.anchor, None), 2)]
    assert parts == [
        Period(at("2024-01-10T00:00Z"), at("2025-01-01T00:00Z")),
        Period(at("2025-01-01T00:00Z"), at("2026-01-01T00:00Z")),
    ]


def test_service_ends_with_a_last_stub_and_an_end_on_a_boundary_opens_nothing() -> None:
    plan = schedule("2024-01-15")
    ended = [part for _, part in service_periods(plan, plan.anchor, at("2024-03-01T06:00Z"))]
    assert ended == [
        Period(at("2024-01-15T00:00Z"), at("2024-02-15T00:00Z")),
        Period(at("2024-02-15T00:00Z"), at("2024-03-01T06:00Z")),
    ]
    assert [w.index for w in periods_between(plan, plan.anchor, at("2024-03-15T00:00Z"))] == [0, 1]
    assert list(periods_between(plan, plan.anchor, plan.anchor)) == []


def test_a_new_zone_applies_from_the_next_boundary_and_periods_chain() -> None:
    plan = schedule("2024-01-31", name="Europe/Berlin")
    moved = rezone(plan, next_boundary(plan, at("2024-02-10T12:00Z")), "America/New_York")
    starts = [boundary(moved, n) for n in range(4)]
    assert starts == [
        midnight("2024-01-31", "Europe/Berlin"),
        midnight("2024-02-29", "Europe/Berlin"),
        midnight("2024-03-31", "America/New_York"),
        midnight("2024-04-30", "America/New_York"),
    ]
    assert [zone_of(moved, n) for n in range(3)] == ["Europe/Berlin", "America/New_York", "America/New_York"]
    assert period_at(moved, starts[1]).period == Period(starts[1], starts[2])
    assert period_at(moved, starts[1] - timedelta(seconds=1)).zone == "Europe/Berlin"
    assert [period_at(moved, start).index for start in starts] == [0, 1, 2, 3]


def test_a_later_zone_on_the_other_side_of_the_date_line_does_not_mislead() -> None:
    """The last hour before 28 February in Samoa (then UTC-11) is 1 March in Kiritimati: two months on from January's."""
    plan = schedule("2009-12-31T11:00Z", name="Pacific/Apia")
    moved = rezone(plan, boundary(plan, 6), "Pacific/Kiritimati")
    last = boundary(plan, 2) - timedelta(microseconds=1)
    assert period_at(moved, last) == period_at(plan, last)
    assert period_at(moved, last).period == Period(boundary(plan, 1), boundary(plan, 2))


def test_an_anchor_seen_from_a_zone_adopted_long_before_it() -> None:
    """A long trial, moved from UTC-11 to UTC+14: the moment before the anchor, 31 January there, is 2 February here."""
    plan = schedule("2009-02-01T10:30Z", name="Pacific/Niue")
    moved = rezone(plan, boundary(plan, -2), "Pacific/Kiritimati")
    before = period_at(moved, plan.anchor - timedelta(microseconds=1))
    assert (before.index, before.period.end) == (-1, plan.anchor)
    assert period_at(moved, plan.anchor).index == 0


def test_a_zone_change_before_a_calendar_anchor_leaves_it_in_the_period_before() -> None:
    plan = schedule("2024-01-01", Cycle.MONTHLY, CALENDAR, "UTC")
    moved = rezone(plan, boundary(plan, -1), "America/New_York")
    assert boundary(moved, 0) == at("2024-01-01T05:00Z")
    assert period_at(moved, moved.anchor).period == Period(at("2023-12-01T00:00Z"), at("2024-01-01T05:00Z"))
    parts = [part for _, part in islice(service_periods(moved, moved.anchor, None), 2)]
    assert parts[0] == Period(at("2024-01-01T00:00Z"), at("2024-01-01T05:00Z"))
    assert parts[1].start == parts[0].end


def test_zone_changes_can_be_repeated_undone_and_followed_by_others() -> None:
    plan = schedule("2024-01-01", Cycle.MONTHLY, CALENDAR, "Europe/Berlin")
    february = boundary(plan, 1)
    moved = rezone(plan, february, "Asia/Kathmandu")
    assert rezone(moved, february, "Asia/Kathmandu") == moved
    assert rezone(moved, february, "Europe/Berlin") == plan
    assert rezone(moved, february, "Pacific/Apia") == rezone(plan, february, "Pacific/Apia")
    twice = rezone(moved, boundary(moved, 3), "Pacific/Apia")
    assert [zone_of(twice, n) for n in (0, 1, 2, 3)] == [
        "Europe/Berlin",
        *["Asia/Kathmandu"] * 2,
        "Pacific/Apia",
    ]
    assert boundary(twice, 4) == midnight("2024-05-01", "Pacific/Apia")


def test_a_zone_changes_at_a_boundary_only_and_in_order() -> None:
    plan = schedule("2024-01-01", name="Europe/Berlin")
    with pytest.raises(Invalid) as refused:
        rezone(plan, at("2024-02-10T12:00Z"), "UTC")
    assert set(refused.value.details) == {"old_end"}
    moved = rezone(plan, boundary(plan, 3), "UTC")
    with pytest.raises(Invalid):
        rezone(moved, boundary(plan, 2), "Asia/Kathmandu")
    with pytest.raises(UnknownTimeZone):
        rezone(plan, boundary(plan, 1), "Mars/Olympus")


def test_a_period_closes_after_its_delay_in_elapsed_time() -> None:
    end = midnight("2026-03-29", "Europe/Berlin")
    assert close_instant(end, timedelta(0)) == end
    assert close_instant(end, timedelta(hours=6)) == at("2026-03-29T05:00Z")
    with pytest.raises(Invalid):
        close_instant(end, timedelta(seconds=-1))


@pytest.mark.parametrize(
    ("cycle", "alignment", "day"),
    [
        (Cycle.MONTHLY, ANNIVERSARY, 1),
        (Cycle.WEEKLY, CALENDAR, 1),
        (Cycle.MONTHLY, CALENDAR, 0),
        (Cycle.MONTHLY, CALENDAR, 32),
        (Cycle.MONTHLY, CALENDAR, -1),
    ],
)
def test_a_billing_day_that_cannot_apply_is_refused(cycle: Cycle, alignment: Alignment, day: int) -> None:
    with pytest.raises(Invalid) as refused:
        schedule("2024-01-01", cycle, alignment, "UTC", day)
    assert set(refused.value.details) == {"billing_day"}


def test_a_schedule_needs_an_instant_and_a_zone() -> None:
    with pytest.raises(InstantOutOfRange):
        Schedule(datetime(2024, 1, 1), Cycle.MONTHLY, ANNIVERSARY, "UTC")
    with pytest.raises(UnknownTimeZone):
        Schedule(at("2024-01-01T00:00Z"), Cycle.MONTHLY, ANNIVERSARY, "Mars/Olympus")


@pytest.mark.parametrize("cycle", list(Cycle))
@pytest.mark.parametrize("n", [10**6, -(10**6), 10**40, -(10**40)])
def test_boundaries_beyond_our_years_are_refused(cycle: Cycle, n: int) -> None:
    with pytest.raises(InstantOutOfRange):
        boundary(schedule("2024-01-01", cycle), n)


def test_a_period_is_half_open() -> None:
    january = Period(at("2024-01-01T00:00Z"), at("2024-02-01T00:00Z"))
    february = Period(january.end, at("2024-03-01T00:00Z"))
    both = Period(january.start, february.end)
    assert january.contains(january.start)
    assert not january.contains(january.end)
    assert not january.overlaps(february)
    assert january.overlaps(both)
    assert january.intersect(february) is None
    assert both.intersect(february) == february
    assert both.covers(january)
    assert not january.covers(both)
    assert january.length == timedelta(days=31)
    assert sorted([both, february, january]) == [january, both, february]


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (datetime(2024, 1, 1), datetime(2024, 1, 2, tzinfo=UTC), "start"),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2), "end"),
        (
            datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            datetime(2024, 1, 2, tzinfo=UTC),
            "start",
        ),
        (datetime(2024, 1, 1, tzinfo=zone("Europe/London")), datetime(2024, 1, 2, tzinfo=UTC), "start"),
    ],
)
def test_a_period_takes_only_utc_instants(start: datetime, end: datetime, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        Period(start, end)
    assert set(refused.value.details) == {field}


@pytest.mark.parametrize("days", [0, -1])
def test_a_period_is_never_empty(days: int) -> None:
    start = at("2024-01-01T00:00Z")
    with pytest.raises(EmptyPeriod):
        Period(start, start + timedelta(days=days))
    assert Period.between(start, start + timedelta(days=days)) is None
