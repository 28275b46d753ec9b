"""IANA time zones: local dates to UTC instants and back.

Sources: SEMANTICS "Periods" (a skipped local time means the first instant after, a repeated one the first;
elapsed time is UTC time); PEP 495 for `fold`. Everything outside this module keeps instants in UTC:
subtracting two datetimes of one `ZoneInfo` compares wall clocks (the 23-hour day of a spring change would
last 24), so local datetimes never leave it.

The zone data is that of the installed `tzdata` package, never the machine's: every replica then agrees on a
boundary, its version is known, and an upgrade is a deliberate act (decision 4).
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import metadata, resources
from zoneinfo import ZoneInfo

from tallystick.kernel.errors import Invalid

EARLIEST_YEAR = 1900
LATEST_YEAR = 9000
"""Instants outside these years are refused, so that no boundary arithmetic can overflow a date."""

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_NOT_ZONES = frozenset({"Factory"})


class UnknownTimeZone(Invalid):
    """The name is not in the IANA database. Names are case-sensitive, as IANA's are."""

    code = "unknown_timezone"


class InstantOutOfRange(Invalid):
    """The time has no UTC offset, or lies outside the years we compute with."""

    code = "instant_out_of_range"


@cache
def zone(name: str) -> ZoneInfo:
    """The zone called `name` ("Europe/Berlin"); loaded once per process. Raises `UnknownTimeZone`.

    Only names on the package's list are opened, so a path, a machine alias ("localtime") or a leap-second
    variant ("right/UTC") cannot pass for a zone.
    """
    if name not in _zone_names():
        raise UnknownTimeZone.field("timezone", "is not an IANA time zone name, such as Europe/Berlin")
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@cache
def _zone_names() -> frozenset[str]:
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split()) - _NOT_ZONES


def zone_data_version() -> str:
    """Version of the zone data boundaries are computed with; a new one may move future boundaries (DESIGN
    §12)."""
    return metadata.version("tzdata")


def utc(instant: datetime, field: str = "instant") -> datetime:
    """`instant` as a UTC datetime, whatever offset it was written with. Raises `InstantOutOfRange`, naming
    `field`."""
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise InstantOutOfRange.field(field, "must carry a UTC offset, such as 2024-01-31T00:00:00Z")
    if not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
        raise InstantOutOfRange.field(field, f"must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return instant.astimezone(UTC)


def to_instant(local: datetime, tz: ZoneInfo) -> datetime:
    """The UTC instant of a naive local time: the first of two where clocks went back, the end of the gap
    where they went forward. Raises `ValueError` for a datetime that already has a zone."""
    if local.tzinfo is not None:
        raise ValueError("a local time carries no zone of its own")
    if not EARLIEST_YEAR - 1 <= local.year <= LATEST_YEAR + 1:
        raise InstantOutOfRange.field("instant", f"must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    first = local.replace(fold=0, tzinfo=tz).astimezone(UTC)
    if first.astimezone(tz).replace(tzinfo=None) == local:
        return first
    return _end_of_gap(local, tz, first)


def _end_of_gap(local: datetime, tz: ZoneInfo, after: datetime) -> datetime:
    """The transition that skipped `local`, found by halving: zone files carry it, `zoneinfo` does not show
    it.

    In a gap, fold 0 reads the offset before it, which lands at or after the transition (`after`), and fold 1
    the offset after it, which lands before. Transitions fall on whole seconds, so at most 17 steps find one
    in a skipped day.
    """
    before = local.replace(fold=1, tzinfo=tz).astimezone(UTC).replace(microsecond=0)
    low, high = 0, -((before - after) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if (before + middle * _SECOND).astimezone(tz).replace(tzinfo=None) > local:
            high = middle
        else:
            low = middle
    return before + high * _SECOND


def local_midnight(day: date, tz: ZoneInfo) -> datetime:
    """The instant the local `day` begins. Where midnight is skipped, the first instant after; a day that
    never was (Pacific/Apia, 30 December 2011) begins, and ends, where the next one begins."""
    return to_instant(datetime.combine(day, time.min), tz)


def local_date(instant: datetime, tz: ZoneInfo) -> date:
    """The calendar day a UTC instant falls on in the zone."""
    return instant.astimezone(tz).date()


def days_between(start: datetime, end: datetime, tz: ZoneInfo) -> int:
    """Local calendar days from the day of `start`, which counts, to the day of `end`, which does not; `start`
    <= `end`.

    A day that the zone skipped does not count: moving to the other side of the date line raises the offset by
    a day, summer time by two hours at most, so the rise in whole days is the number of days left out
    (decision 4; the tests compare it with counting, in every zone that ever skipped one).
    """
    opening, closing = start.astimezone(tz), end.astimezone(tz)
    dates = (closing.date() - opening.date()).days
    rise = _offset(closing) - _offset(opening)
    skipped = max(0, (rise + _DAY / 2) // _DAY)
    return dates - skipped


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)
