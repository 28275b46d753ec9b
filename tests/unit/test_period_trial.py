"""A plan's own trial: where it ends, what it anchors, what an extension moves."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from tallystick.kernel.errors import Invalid
from tallystick.kernel.period import (
    Alignment,
    Cycle,
    Period,
    Schedule,
    TrialAnchor,
    anchor_after_trial,
    extend_trial,
    next_boundary,
    rezone,
    service_periods,
    trial_end,
    zone_of,
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def monthly(anchor: datetime, name: str = "UTC") -> Schedule:
    return Schedule(anchor, Cycle.MONTHLY, Alignment.ANNIVERSARY, name)


@pytest.mark.parametrize(
    ("start", "days", "name", "end"),
    [
        ("2024-01-01T00:00Z", 30, "UTC", "2024-01-31T00:00Z"),
        ("2024-01-01T10:15Z", 30, "UTC", "2024-01-31T10:15Z"),
        ("2024-01-01T10:15Z", 0, "UTC", "2024-01-01T10:15Z"),
        ("2026-03-28T12:00Z", 1, "Europe/Berlin", "2026-03-29T11:00Z"),
        ("2026-03-28T01:30Z", 1, "Europe/Berlin", "2026-03-29T01:00Z"),
        ("2026-10-25T01:30Z", 1, "Europe/Berlin", "2026-10-26T01:30Z"),
        ("2011-12-29T20:00Z", 1, "Pacific/Apia", "2011-12-30T10:00Z"),
    ],
)
def test_a_trial_lasts_whole_local_days(start: str, days: int, name: str, end: str) -> None:
    assert trial_end(at(start), days, name) == at(end)


@pytest.mark.parametrize("days", [-1, 3661, 10**9])
def test_a_trial_has_a_sane_length(days: int) -> None:
    with pytest.raises(Invalid) as refused:
        trial_end(at("2024-01-01T00:00Z"), days, "UTC")
    assert set(refused.value.details) == {"trial_period_days"}


def test_by_default_the_first_paid_period_is_a_whole_one_from_the_trials_end() -> None:
    start, ended = at("2024-01-10T00:00Z"), at("2024-01-24T00:00Z")
    plan = monthly(anchor_after_trial(start, ended))
    (whole, paid) = next(service_periods(plan, ended, None))
    assert paid == whole.period == Period(ended, at("2024-02-24T00:00Z"))


def test_anchored_at_the_start_the_first_paid_period_is_a_stub() -> None:
    start, ended = at("2024-01-10T00:00Z"), at("2024-01-24T00:00Z")
    plan = monthly(anchor_after_trial(start, ended, TrialAnchor.START))
    parts = [paid for _, paid in islice(service_periods(plan, ended, None), 2)]
    assert parts == [
        Period(ended, at("2024-02-10T00:00Z")),
        Period(at("2024-02-10T00:00Z"), at("2024-03-10T00:00Z")),
    ]


def test_an_extension_moves_the_anchor_only_while_nothing_is_billed() -> None:
    plan, longer = monthly(at("2024-01-24T00:00Z")), at("2024-02-07T00:00Z")
    assert extend_trial(plan, longer, billed=False) == monthly(longer)
    assert extend_trial(plan, longer, billed=True) == plan
    assert extend_trial(plan, longer, billed=False, setting=TrialAnchor.START) == plan


def test_an_extension_counts_in_the_zone_the_account_lives_in_now() -> None:
    plan = monthly(at("2024-01-23T23:00Z"), "Europe/Berlin")
    moved = rezone(plan, next_boundary(plan, plan.anchor - timedelta(days=1)), "America/New_York")
    extended = extend_trial(moved, at("2024-02-07T05:00Z"), billed=False)
    assert zone_of(extended, 0) == "America/New_York"
    assert next_boundary(extended, extended.anchor) == at("2024-03-07T05:00Z")
