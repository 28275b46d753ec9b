"""What holds for every schedule: periods tile time, boundaries rise, an instant is in exactly one period."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.period import (
    Alignment,
    Cycle,
    Schedule,
    boundary,
    next_boundary,
    period_at,
    periods_between,
    rezone,
    service_periods,
)

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia",
    "Africa/Casablanca", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "America/Havana", "Pacific/Kiritimati",
]  # fmt: skip

instants = st.datetimes(
    min_value=datetime(1990, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC)
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any schedule, with up to three zone changes."""
    cycle, alignment = draw(st.sampled_from(Cycle)), draw(st.sampled_from(Alignment))
    days = st.none() | st.integers(1, 31)
    day = draw(days) if alignment is Alignment.CALENDAR and cycle is not Cycle.WEEKLY else None
    plan = Schedule(draw(instants), cycle, alignment, draw(st.sampled_from(ZONES)), day)
    for index in sorted(draw(st.lists(st.integers(-5, 30), max_size=3))):
        plan = rezone(plan, boundary(plan, index), draw(st.sampled_from(ZONES)))
    return plan


@given(plan=schedules(), n=st.integers(-40, 400))
def test_boundaries_rise_and_lie_days_apart(plan: Schedule, n: int) -> None:
    assert boundary(plan, n + 1) - boundary(plan, n) > timedelta(days=4)


@given(plan=schedules(), n=st.integers(-40, 400))
def test_a_boundary_opens_its_own_period(plan: Schedule, n: int) -> None:
    opened = period_at(plan, boundary(plan, n))
    assert (opened.index, opened.period.start) == (n, boundary(plan, n))
    before = period_at(plan, boundary(plan, n) - timedelta(microseconds=1))
    assert (before.index, before.period.end) == (n - 1, boundary(plan, n))


@given(plan=schedules(), instant=instants)
def test_every_instant_is_in_the_period_found_for_it(plan: Schedule, instant: datetime) -> None:
    whole = period_at(plan, instant)
    assert whole.period.contains(instant)
    assert whole.period.start == boundary(plan, whole.index)
    assert whole.period.end == boundary(plan, whole.index + 1) == next_boundary(plan, instant)


@given(plan=schedules())
def test_number_zero_holds_the_anchor(plan: Schedule) -> None:
    """Unless an earlier change of zone moved a calendar's boundary past it, by less than two days."""
    near = timedelta(days=2)
    if plan.alignment is Alignment.ANNIVERSARY or all(known.index > 0 for known in plan.rezones):
        assert period_at(plan, plan.anchor).index == 0
    else:
        assert boundary(plan, 0) - near < plan.anchor < boundary(plan, 1) + near


@given(plan=schedules(), start=instants, days=st.integers(1, 1500))
def test_service_is_tiled_without_gap_or_overlap(plan: Schedule, start: datetime, days: int) -> None:
    end = start + timedelta(days=days)
    parts = list(islice(service_periods(plan, start, end), 400))
    assert parts[0][1].start == start
    assert parts[-1][1].end == end
    assert all(earlier.end == later.start for (_, earlier), (_, later) in pairwise(parts))
    assert all(whole.period.covers(part) for whole, part in parts)
    assert all(whole.period == part for whole, part in parts[1:-1])
    assert [whole for whole, _ in parts] == list(periods_between(plan, start, end))


@given(plan=schedules(), changed_at=instants, name=st.sampled_from(ZONES))
def test_a_zone_change_leaves_what_has_begun_as_it_was(
    plan: Schedule, changed_at: datetime, name: str
) -> None:
    changed_at = max([changed_at, *(known.instant for known in plan.rezones)])
    running = period_at(plan, changed_at)
    moved = rezone(plan, running.period.end, name)
    assert period_at(moved, changed_at) == running
    assert period_at(moved, running.period.end).period.start == running.period.end
    for n in range(running.index - 3, running.index + 1):
        assert boundary(moved, n) == boundary(plan, n)
