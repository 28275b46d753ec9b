"""A subscription's periods, its state, and when it is billed next."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from tallystick.accounts.domain import ZoneChange
from tallystick.catalog.domain import Charge, PlanVersion
from tallystick.entities.domain import Entity
from tallystick.kernel.period import Alignment, Cycle
from tallystick.kernel.proration import Basis
from tallystick.subscriptions.domain import Subscription, due_at, period_now, schedule_of, status_at

ENTITY = Entity(
    1, "e", "E", "USD", "UTC", None, False, "half_away", "rate", 0, 3600, 30, "period_end", False, 1
)
CHARGE = Charge(1, 1, 0, "c", "C", 1, "standard", 1, {"unit_amount": "1"}, {}, "usage")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


START = at("2024-01-31T08:00Z")
PLAN = PlanVersion(
    1, 1, 1, "p", "P", Decimal("30"), "USD", Cycle.MONTHLY, "advance", Alignment.ANNIVERSARY, 0, Basis.DAYS, {}, None, {},
    "standard", "subscriptions", (),
)  # fmt: skip
OPEN = Subscription(
    UUID(int=1), 1, 1, 1, Decimal(1), "USD", START, None, START, "UTC", 1, None, None, START, START, START, 1, START, START
)  # fmt: skip


def test_the_current_period_is_the_one_of_now() -> None:
    period = period_now(OPEN, PLAN, at("2024-03-15T00:00Z"))
    assert (period.start, period.end) == (at("2024-02-29T00:00Z"), at("2024-03-31T00:00Z"))


def test_before_the_start_it_is_the_first_after_the_end_the_last() -> None:
    assert period_now(OPEN, PLAN, at("2023-01-01T00:00Z")).start == START
    ended = replace(OPEN, ended_at=at("2024-02-29T00:00Z"), canceled_at=START)
    assert period_now(ended, PLAN, at("2025-01-01T00:00Z")).end == at("2024-02-29T00:00Z")
    never = replace(OPEN, ended_at=START, canceled_at=START)
    assert period_now(never, PLAN, START).start == START


def test_a_trial_is_a_period_of_its_own() -> None:
    paid = at("2024-03-01T08:00Z")
    trial = replace(OPEN, trial_end=paid, anchor=paid, billed_to=paid, usage_billed_to=paid)
    first = period_now(trial, PLAN, at("2024-02-10T00:00Z"))
    assert (first.start, first.end) == (START, paid)
    second = period_now(trial, PLAN, paid)
    assert (second.start, second.end) == (paid, at("2024-04-01T00:00Z"))
    assert due_at(trial, PLAN, ENTITY) == paid
    assert due_at(replace(trial, ended_at=START, canceled_at=START), PLAN, ENTITY) is None


def test_a_stub_of_a_calendar_plan_starts_where_it_is_served() -> None:
    calendar = replace(PLAN, alignment=Alignment.CALENDAR, settings={"billing_day": 15})
    period = period_now(OPEN, calendar, START)
    assert (period.start, period.end) == (START, at("2024-02-15T00:00Z"))


@pytest.mark.parametrize(
    ("plan", "billed_to", "usage_billed_to", "ended_at", "due"),
    [
        (PLAN, "2024-01-31T08:00Z", "2024-01-31T08:00Z", None, "2024-01-31T08:00Z"),
        (PLAN, "2024-02-29T00:00Z", "2024-01-31T08:00Z", None, "2024-02-29T00:00Z"),
        (PLAN, "2024-02-29T00:00Z", "2024-01-31T08:00Z", "2024-02-10T00:00Z", None),
        (replace(PLAN, billing_timing="arrears"), "2024-01-31T08:00Z", "2024-01-31T08:00Z", None, "2024-02-29T00:00Z"),
        (replace(PLAN, billing_timing="arrears"), "2024-01-31T08:00Z", "2024-01-31T08:00Z", "2024-02-10T00:00Z", "2024-02-10T00:00Z"),
        (replace(PLAN, charges=(CHARGE,)), "2024-02-29T00:00Z", "2024-01-31T08:00Z", None, "2024-02-29T01:00Z"),
        (replace(PLAN, charges=(CHARGE,)), "2024-02-29T00:00Z", "2024-01-31T08:00Z", "2024-02-10T00:00Z", "2024-02-10T01:00Z"),
        (replace(PLAN, charges=(CHARGE,)), "2024-02-29T00:00Z", "2024-02-10T00:00Z", "2024-02-10T00:00Z", None),
        (replace(PLAN, minimum=Decimal(5)), "2024-02-29T00:00Z", "2024-01-31T08:00Z", None, "2024-02-29T01:00Z"),
    ],
)  # fmt: skip
def test_when_the_next_bill_is_due(
    plan: PlanVersion, billed_to: str, usage_billed_to: str, ended_at: str | None, due: str | None
) -> None:
    subscription = replace(
        OPEN,
        billed_to=at(billed_to),
        usage_billed_to=at(usage_billed_to),
        ended_at=at(ended_at) if ended_at else None,
    )
    assert due_at(subscription, plan, ENTITY) == (at(due) if due else None)


def test_a_zone_change_moves_later_boundaries_only() -> None:
    moved = replace(OPEN, zone_changes=(ZoneChange(at("2024-02-10T00:00Z"), "Asia/Tokyo"),))
    assert period_now(moved, PLAN, at("2024-02-20T00:00Z")).end == at("2024-02-29T00:00Z")
    assert period_now(moved, PLAN, at("2024-03-01T00:00Z")).end == at("2024-03-30T15:00Z")
    assert schedule_of(OPEN, PLAN).rezones == ()


def test_the_state_follows_from_the_dates() -> None:
    ending = replace(OPEN, ended_at=at("2024-02-10T00:00Z"), canceled_at=START)
    assert status_at(OPEN, at("2030-01-01T00:00Z")) == "active"
    assert status_at(ending, at("2024-02-09T23:59Z")) == "active"
    assert status_at(ending, at("2024-02-10T00:00Z")) == "canceled"
