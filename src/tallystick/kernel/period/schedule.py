"""The boundaries of a billing cycle, each in closed form from the anchor.

A boundary is never derived from the one before it: that is how a cycle of the 31st drifts to the 28th, or
stops (killbill#127). It is a local date, computed from the anchor's own local date, and the instant that date
begins in the zone in force. Finding the period of an instant takes the same time after ten years as after one
month.
"""

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from tallystick.kernel.errors import Invalid
from tallystick.kernel.period.interval import Period
from tallystick.kernel.zones import (
    EARLIEST_YEAR,
    LATEST_YEAR,
    InstantOutOfRange,
    local_date,
    local_midnight,
    utc,
    zone,
)

_WEEK = 7


class Cycle(StrEnum):
    """How long a period is (CONTRACT §6 `billing_cycle`)."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    SEMIANNUAL = "semiannual"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        """Calendar months in a period; 0 for a week, which is no number of months."""
        return _MONTHS[self]


_MONTHS = {Cycle.WEEKLY: 0, Cycle.MONTHLY: 1, Cycle.QUARTERLY: 3, Cycle.SEMIANNUAL: 6, Cycle.YEARLY: 12}


class Alignment(StrEnum):
    """Where the boundaries lie: counted from the anchor, or where the calendar has them."""

    ANNIVERSARY = "anniversary"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class Rezone:
    """From boundary `index`, which stays at `instant`, the account lives in `zone`."""

    index: int
    instant: datetime
    zone: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that decides a subscription's boundaries; small enough to freeze on a line.

    `anchor` is the UTC instant service starts (or its trial ends); `zone` the account's zone then, whose
    local date of the anchor is kept for ever. `billing_day` (1 to 31, clamped to short months; default the
    1st) moves calendar months and multiples of them; weeks start on Monday. `rezones` is filled by `rezone`,
    in order. Raises `UnknownTimeZone`, `InstantOutOfRange`, or `Invalid` for a billing day that cannot apply.
    """

    anchor: datetime
    cycle: Cycle
    alignment: Alignment
    zone: str
    billing_day: int | None = None
    rezones: tuple[Rezone, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor", utc(self.anchor, "anchor"))
        zone(self.zone)
        if self.billing_day is None:
            return
        if self.alignment is not Alignment.CALENDAR or self.cycle is Cycle.WEEKLY:
            raise Invalid.field("billing_day", "applies only to calendar periods of months")
        if not 1 <= self.billing_day <= 31:
            raise Invalid.field("billing_day", "must be a day of the month, 1 to 31")


@dataclass(frozen=True, slots=True)
class Aligned:
    """A whole period of a cycle and how to measure parts of it: the denominator of every proration.

    `index` is the number of the boundary that opens it; `zone` is the one its days are counted in.
    """

    index: int
    period: Period
    cycle: Cycle
    zone: str


def boundary(schedule: Schedule, n: int) -> datetime:
    """The UTC instant of the n-th boundary, strictly increasing; number 0 opens the anchor's period.

    (A zone change that applies before a calendar's anchor moves boundaries by some hours, and an anchor that
    near one may find itself in period -1 or 1. Nothing depends on the number but the order.)

    Anniversary: the anchor itself, then the local midnight of its date n periods on, clamped to the month's
    last day. Calendar: the local midnight that opens the n-th week, month, quarter, half-year or year. Raises
    `InstantOutOfRange`.
    """
    position = _rezone_position(schedule, n)
    if position and schedule.rezones[position - 1].index == n:
        return schedule.rezones[position - 1].instant
    if n == 0 and schedule.alignment is Alignment.ANNIVERSARY:
        return schedule.anchor
    name = schedule.rezones[position - 1].zone if position else schedule.zone
    return local_midnight(_boundary_date(schedule, n), zone(name))


def zone_of(schedule: Schedule, n: int) -> str:
    """The zone in force in the period that boundary `n` opens."""
    position = _rezone_position(schedule, n)
    return schedule.rezones[position - 1].zone if position else schedule.zone


def period_at(schedule: Schedule, instant: datetime) -> Aligned:
    """The whole aligned period that contains `instant`, also before the anchor. Constant time.

    The local date guesses the index; a day of month not yet reached and a change of zone, which moves dates by
    up to two days, leave it off by one or two, and the rest is walked. Raises `InstantOutOfRange`.
    """
    index = _index_guess(schedule, utc(instant))
    start, end = boundary(schedule, index), boundary(schedule, index + 1)
    while instant < start:
        index, start, end = index - 1, boundary(schedule, index - 1), start
    while instant >= end:
        index, start, end = index + 1, end, boundary(schedule, index + 2)
    return _aligned(schedule, index, start, end)


def next_boundary(schedule: Schedule, after: datetime) -> datetime:
    """The first boundary strictly after an instant."""
    return period_at(schedule, after).period.end


def periods_between(schedule: Schedule, start: datetime, end: datetime | None) -> Iterator[Aligned]:
    """The whole aligned periods that share an instant with `[start, end)`, in order; endless without an end.

    Consecutive ones touch: no gap, no overlap. `service_periods` cuts each to what is served.
    """
    if end is not None and start >= end:
        return
    whole = period_at(schedule, start)
    yield whole
    while end is None or whole.period.end < end:
        index, opened = whole.index + 1, whole.period.end
        whole = _aligned(schedule, index, opened, boundary(schedule, index + 1))
        yield whole


def service_periods(
    schedule: Schedule, start: datetime, end: datetime | None
) -> Iterator[tuple[Aligned, Period]]:
    """Each whole period that service from `start` to `end` touches, with the part of it that is served.

    A first stub runs to the next boundary of the cycle (annual, day 1, from 10 January: to 1 January); a last
    one ends with the service. The parts touch each other and add up to `[start, end)`.
    """
    for whole in periods_between(schedule, start, end):
        closed = whole.period.end
        yield whole, Period(max(whole.period.start, start), closed if end is None else min(closed, end))


def rezone(schedule: Schedule, old_end: datetime, new_zone: str) -> Schedule:
    """The schedule of an account whose zone changed: `new_zone` applies from the boundary `old_end` on.

    `old_end` is the end of the period that was running when the zone changed (`next_boundary(schedule,
    changed_at)`). The period it opens starts there, not at the new zone's midnight, so that periods chain;
    the ones after start at the new zone's midnights. Earlier periods stay as they were. Repeating it is
    harmless; of two changes before one boundary the later counts. Raises `Invalid` where `old_end` is no
    boundary or lies before an earlier change.
    """
    zone(new_zone)
    opened = period_at(schedule, old_end)
    if opened.period.start != old_end:
        raise Invalid.field("old_end", "must be the end of a period")
    if any(known.index > opened.index for known in schedule.rezones):
        raise Invalid.field("old_end", "must not lie before a zone change already applied")
    kept = tuple(known for known in schedule.rezones if known.index < opened.index)
    if new_zone == (kept[-1].zone if kept else schedule.zone):
        return replace(schedule, rezones=kept)
    return replace(schedule, rezones=(*kept, Rezone(opened.index, old_end, new_zone)))


def close_instant(end: datetime, close_delay: timedelta) -> datetime:
    """When a period that ends at `end` is closed and billed: after the entity's delay, in elapsed time.

    Until then its invoice is a preview. SEMANTICS' defaults: none for fees, an hour for usage, six for calls.
    """
    if close_delay < timedelta(0):
        raise Invalid.field("close_delay", "must not be negative")
    return end + close_delay


def _aligned(schedule: Schedule, index: int, start: datetime, end: datetime) -> Aligned:
    return Aligned(index, Period(start, end), schedule.cycle, zone_of(schedule, index))


def _rezone_position(schedule: Schedule, n: int) -> int:
    """How many zone changes apply at boundary `n`."""
    return bisect_right(schedule.rezones, n, key=lambda known: known.index)


def _boundary_date(schedule: Schedule, n: int) -> date:
    """The local date of the n-th boundary."""
    if schedule.cycle is Cycle.WEEKLY:
        ordinal = _first_week_day(schedule).toordinal() + _WEEK * n
        if not date(EARLIEST_YEAR, 1, 1).toordinal() <= ordinal <= date(LATEST_YEAR, 12, 31).toordinal():
            raise _out_of_range()
        return date.fromordinal(ordinal)
    month, day = _first_month(schedule)
    return _clamped(month + n * schedule.cycle.months, day)


def _index_guess(schedule: Schedule, instant: datetime) -> int:
    position = bisect_right(schedule.rezones, instant, key=lambda known: known.instant)
    name = schedule.rezones[position - 1].zone if position else schedule.zone
    day = local_date(instant, zone(name))
    if schedule.cycle is Cycle.WEEKLY:
        return (day - _first_week_day(schedule)).days // _WEEK
    month, _ = _first_month(schedule)
    return (_month_number(day) - month) // schedule.cycle.months


def _first_week_day(schedule: Schedule) -> date:
    """Local date of boundary 0 of a weekly cycle."""
    day = _anchor_date(schedule)
    return day if schedule.alignment is Alignment.ANNIVERSARY else day - timedelta(days=day.weekday())


def _first_month(schedule: Schedule) -> tuple[int, int]:
    """Month number of boundary 0 and the day of month wanted, before clamping."""
    anchor = _anchor_date(schedule)
    if schedule.alignment is Alignment.ANNIVERSARY:
        return _month_number(anchor), anchor.day
    step, day = schedule.cycle.months, schedule.billing_day or 1
    month = _month_number(anchor) // step * step
    return (month, day) if _clamped(month, day) <= anchor else (month - step, day)


def _anchor_date(schedule: Schedule) -> date:
    return local_date(schedule.anchor, zone(schedule.zone))


def _month_number(day: date) -> int:
    return 12 * day.year + day.month - 1


def _clamped(month_number: int, day: int) -> date:
    """That day of the month, or the month's last (31 January, 28 February, 31 March)."""
    year, month = month_number // 12, month_number % 12 + 1
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise _out_of_range()
    return date(year, month, min(day, monthrange(year, month)[1]))


def _out_of_range() -> Invalid:
    return InstantOutOfRange.field("period", f"must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")
