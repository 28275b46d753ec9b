"""The preview of a schedule: every period, what part of it is served, when it closes."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest

from tallystick.kernel.errors import Invalid
from tallystick.kernel.period import Alignment, Cycle, EmptyPeriod, Period, Schedule, next_boundary, rezone
from tallystick.kernel.proration import MAX_PREVIEW, Basis, PreviewPeriod, Share, schedule_preview
from tallystick.kernel.zones import InstantOutOfRange


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_stubs_and_wholes_with_their_fractions() -> None:
    plan = Schedule(at("2024-01-10T09:30Z"), Cycle.MONTHLY, Alignment.CALENDAR, "UTC")
    preview = schedule_preview(plan, at("2024-01-10T09:30Z"), at("2024-03-15T12:00Z"))
    assert [(p.index, p.fraction, p.is_stub) for p in preview] == [
        (0, Fraction(22, 31), True),
        (1, Fraction(1), False),
        (2, Fraction(14, 31), True),
    ]
    assert preview[0] == PreviewPeriod(
        index=0,
        zone="UTC",
        service=Period(at("2024-01-10T09:30Z"), at("2024-02-01T00:00Z")),
        whole=Period(at("2024-01-01T00:00Z"), at("2024-02-01T00:00Z")),
        share=Share(22, 31),
        days_used=22,
        days_whole=31,
        closes_at=at("2024-02-01T00:00Z"),
    )


def test_the_basis_and_the_closing_delay_are_the_plans_own() -> None:
    plan = Schedule(at("2024-02-01T00:00Z"), Cycle.MONTHLY, Alignment.CALENDAR, "UTC")
    (stub,) = schedule_preview(
        plan,
        at("2024-02-11T00:00Z"),
        at("2024-03-01T00:00Z"),
        basis=Basis.THIRTY_360,
        close_delay=timedelta(hours=1),
    )
    assert (stub.share, stub.days_used, stub.days_whole) == (Share(20, 30), 19, 29)
    assert stub.closes_at == at("2024-03-01T01:00Z")


def test_an_open_service_is_shown_as_far_as_asked() -> None:
    plan = Schedule(at("2024-01-31T00:00Z"), Cycle.MONTHLY, Alignment.ANNIVERSARY, "Europe/Berlin")
    preview = schedule_preview(plan, plan.anchor, None, 24)
    assert len(preview) == 24
    assert all(earlier.service.end == later.service.start for earlier, later in pairwise(preview))


def test_a_change_of_zone_shows() -> None:
    plan = Schedule(at("2023-12-31T23:00Z"), Cycle.MONTHLY, Alignment.CALENDAR, "Europe/Berlin")
    moved = rezone(plan, next_boundary(plan, plan.anchor), "Asia/Kathmandu")
    assert [p.zone for p in schedule_preview(moved, plan.anchor, count=3)] == [
        "Europe/Berlin",
        "Asia/Kathmandu",
        "Asia/Kathmandu",
    ]


@pytest.mark.parametrize("count", [0, -1, MAX_PREVIEW + 1])
def test_a_preview_has_a_sane_length(count: int) -> None:
    plan = Schedule(at("2024-01-01T00:00Z"), Cycle.WEEKLY, Alignment.CALENDAR, "UTC")
    with pytest.raises(Invalid) as refused:
        schedule_preview(plan, plan.anchor, count=count)
    assert set(refused.value.details) == {"count"}


def test_a_preview_needs_instants_in_order_and_in_our_years() -> None:
    plan = Schedule(at("2024-01-01T00:00Z"), Cycle.YEARLY, Alignment.CALENDAR, "UTC")
    with pytest.raises(EmptyPeriod):
        schedule_preview(plan, plan.anchor, plan.anchor)
    with pytest.raises(InstantOutOfRange):
        schedule_preview(plan, datetime(2024, 1, 1))
    with pytest.raises(InstantOutOfRange):
        schedule_preview(plan, plan.anchor, datetime(9999, 1, 1, tzinfo=UTC))
    with pytest.raises(InstantOutOfRange):
        schedule_preview(plan, datetime(8990, 1, 1, tzinfo=UTC), count=20)
