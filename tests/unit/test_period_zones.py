"""Local dates to instants: gaps, repeats, days that never were, names that are no zones."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.zones import (
    InstantOutOfRange,
    UnknownTimeZone,
    days_between,
    local_date,
    local_midnight,
    to_instant,
    utc,
    zone,
    zone_data_version,
)

SKIPPED_DAYS = [
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Fakaofo", date(2011, 12, 30)),
    ("Pacific/Kiritimati", date(1994, 12, 31)),
    ("Pacific/Kanton", date(1994, 12, 31)),
    ("Pacific/Kwajalein", date(1993, 8, 21)),
]
HARD_ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia",
    "Africa/Casablanca", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "America/Havana", "Asia/Tehran",
    "Pacific/Kwajalein", "Pacific/Kiritimati", "America/St_Johns", "Antarctica/Troll", "Europe/Dublin",
]  # fmt: skip


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("name", "local", "instant"),
    [
        ("UTC", "2024-02-29T00:00", "2024-02-29T00:00Z"),
        ("Asia/Kathmandu", "2024-03-01T00:00", "2024-02-29T18:15Z"),
        # spring: 02:30 does not exist; the first instant after the gap is 03:00 summer time
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00Z"),
        ("America/New_York", "2024-03-10T02:15:30.5", "2024-03-10T07:00Z"),
        # autumn: 02:30 comes twice; the first is still summer time
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30Z"),
        ("America/New_York", "2024-11-03T01:30", "2024-11-03T05:30Z"),
        # half an hour of summer time
        ("Australia/Lord_Howe", "2024-10-06T02:10", "2024-10-05T15:30Z"),
        ("Australia/Lord_Howe", "2024-04-07T01:45", "2024-04-06T14:45Z"),
        # midnight itself is skipped
        ("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00Z"),
        ("Asia/Beirut", "2024-03-31T00:00", "2024-03-30T22:00Z"),
        ("Africa/Cairo", "2024-04-26T00:00", "2024-04-25T22:00Z"),
        # midnight comes twice
        ("America/Havana", "2024-11-03T00:00", "2024-11-03T04:00Z"),
        # Ramadan: Morocco goes back in spring, in the middle of the night
        ("Africa/Casablanca", "2024-03-10T02:30", "2024-03-10T01:30Z"),
        ("Africa/Casablanca", "2024-04-14T02:30", "2024-04-14T02:00Z"),
        # a whole day is skipped
        ("Pacific/Apia", "2011-12-30T00:00", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-30T23:59:59", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00Z"),
        # beyond the transitions a zone file lists
        ("Europe/Berlin", "2400-07-01T00:00", "2400-06-30T22:00Z"),
    ],
)
def test_a_local_time_is_one_instant(name: str, local: str, instant: str) -> None:
    assert to_instant(datetime.fromisoformat(local), zone(name)) == at(instant)


def test_a_time_with_a_zone_is_not_local() -> None:
    with pytest.raises(ValueError, match="no zone"):
        to_instant(datetime(2024, 1, 1, tzinfo=UTC), zone("Europe/Berlin"))


@pytest.mark.parametrize("year", [1, 1800, 9002, 9999])
def test_local_times_beyond_our_years_are_refused(year: int) -> None:
    with pytest.raises(InstantOutOfRange):
        to_instant(datetime(year, 1, 1), zone("Asia/Kathmandu"))


@given(
    name=st.sampled_from(HARD_ZONES),
    local=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2060, 1, 1)),
)
def test_the_instant_is_the_first_whose_clock_shows_it_or_has_passed_it(name: str, local: datetime) -> None:
    tz = zone(name)
    instant = to_instant(local, tz)

    def shown(moment: datetime) -> datetime:
        return moment.astimezone(tz).replace(tzinfo=None)

    assert shown(instant) >= local
    assert shown(instant - timedelta(microseconds=1)) < local


@pytest.mark.parametrize(("name", "skipped"), SKIPPED_DAYS)
def test_a_skipped_day_has_no_length_and_counts_for_nothing(name: str, skipped: date) -> None:
    tz, day = zone(name), timedelta(days=1)
    assert local_midnight(skipped, tz) == local_midnight(skipped + day, tz)
    assert local_midnight(skipped - day, tz) < local_midnight(skipped, tz)
    assert local_date(local_midnight(skipped, tz), tz) == skipped + day
    opened = local_midnight(skipped - 20 * day, tz)
    for later in range(1, 40):
        closed = local_midnight(skipped - 20 * day + later * day, tz)
        existing = later if later <= 20 else later - 1
        assert days_between(opened, closed, tz) == existing


@given(
    name=st.sampled_from(HARD_ZONES),
    day=st.dates(min_value=date(1990, 1, 1), max_value=date(2030, 1, 1)),
    hours=st.lists(st.integers(0, 400 * 24), min_size=2, max_size=2),
)
def test_days_of_parts_add_up_to_the_days_of_the_whole(name: str, day: date, hours: list[int]) -> None:
    tz = zone(name)
    start = local_midnight(day, tz)
    middle, end = (start + timedelta(hours=hour) for hour in sorted(hours))
    parts = days_between(start, middle, tz), days_between(middle, end, tz)
    assert min(parts) >= 0
    assert sum(parts) == days_between(start, end, tz)


@given(
    name=st.sampled_from(HARD_ZONES),
    day=st.dates(min_value=date(1990, 1, 1), max_value=date(2030, 1, 1)),
    span=st.integers(0, 60),
)
def test_days_between_is_what_counting_midnights_gives(name: str, day: date, span: int) -> None:
    tz = zone(name)
    midnights = {local_midnight(day + timedelta(days=later), tz) for later in range(span + 1)}
    assert days_between(min(midnights), max(midnights), tz) == len(midnights) - 1


@pytest.mark.parametrize(
    "name",
    [
        "", "Berlin", "europe/berlin", "Europe", "Europe/Berlin/", "../../etc/passwd", "/etc/localtime",
        "localtime", "Factory", "posixrules", "right/UTC", "posix/Europe/Berlin", "zone.tab", "UTC\0",
        "\ud800", "EST5EDT4,M3.2.0", "Europe/Berlin\n", "x" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_iana_zone_is_refused_and_not_echoed(name: str) -> None:
    with pytest.raises(UnknownTimeZone) as refused:
        zone(name)
    assert refused.value.code == "unknown_timezone"
    assert set(refused.value.details) == {"timezone"}
    assert not name or name not in str(refused.value).replace("Europe/Berlin", "")


def test_a_zone_is_loaded_once_and_its_data_has_a_version() -> None:
    assert zone("Europe/Berlin") is zone("Europe/Berlin")
    assert isinstance(zone("US/Pacific"), ZoneInfo)
    assert int(zone_data_version().split(".")[0]) >= 2024


def test_an_instant_from_outside_becomes_utc() -> None:
    plus_two = timezone(timedelta(hours=2))
    assert utc(datetime(2024, 5, 1, 1, 30, tzinfo=plus_two)) == datetime(2024, 4, 30, 23, 30, tzinfo=UTC)
    assert utc(datetime(2024, 5, 1, tzinfo=zone("UTC"))).tzinfo is UTC


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2024, 1, 1),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_an_instant_without_offset_or_reason_names_its_field(instant: datetime) -> None:
    with pytest.raises(InstantOutOfRange) as refused:
        utc(instant, "occurred_at")
    assert set(refused.value.details) == {"occurred_at"}
