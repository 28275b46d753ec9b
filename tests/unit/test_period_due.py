"""When a subscription is billed next, and for what."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.period import Alignment, Coverage, Cycle, Schedule, Terms, next_due

HOUR = timedelta(hours=1)
NONE = timedelta(0)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(
    anchor: str = "2024-01-31", zone: str = "UTC", alignment: Alignment = Alignment.ANNIVERSARY
) -> Schedule:
    return Schedule(at(anchor), Cycle.MONTHLY, alignment, zone)


def fresh(start: str, end: str | None = None) -> Coverage:
    return Coverage(at(start), at(end) if end else None, at(start), at(start))


def walk(plan: Schedule, covered: Coverage, terms: Terms, rounds: int) -> list[tuple[str, str, str]]:
    """The bills in order: instant, fee period, usage period."""
    bills = []
    for _ in range(rounds):
        due = next_due(plan, covered, terms)
        if due is None:
            break
        fee = f"{due.fee.service.start:%m-%d}/{due.fee.service.end:%m-%d}" if due.fee else ""
        usage = f"{due.usage.service.start:%m-%d}/{due.usage.service.end:%m-%d}" if due.usage else ""
        bills.append((f"{due.instant:%m-%dT%H}", fee, usage))
        covered = replace(
            covered,
            fees=due.fee.service.end if due.fee else covered.fees,
            usage=due.usage.service.end if due.usage else covered.usage,
        )
    return bills


@pytest.mark.parametrize(
    ("terms", "end", "bills"),
    [
        (
            Terms(advance=True, has_usage=True, fee_delay=NONE, usage_delay=HOUR),
            None,
            [
                ("01-31T00", "01-31/02-29", ""),
                ("02-29T01", "02-29/03-31", "01-31/02-29"),
                ("03-31T01", "03-31/04-30", "02-29/03-31"),
            ],
        ),
        (
            Terms(advance=True, has_usage=False, fee_delay=NONE, usage_delay=HOUR),
            None,
            [
                ("01-31T00", "01-31/02-29", ""),
                ("02-29T00", "02-29/03-31", ""),
                ("03-31T00", "03-31/04-30", ""),
            ],
        ),
        (
            Terms(advance=False, has_usage=True, fee_delay=NONE, usage_delay=HOUR),
            "2024-03-10",
            [("02-29T01", "01-31/02-29", "01-31/02-29"), ("03-10T01", "02-29/03-10", "02-29/03-10")],
        ),
        (
            Terms(advance=True, has_usage=True, fee_delay=NONE, usage_delay=HOUR),
            "2024-02-10",
            [("01-31T00", "01-31/02-10", ""), ("02-10T01", "", "01-31/02-10")],
        ),
    ],
)
def test_bills_in_order(terms: Terms, end: str | None, bills: list[tuple[str, str, str]]) -> None:
    assert walk(schedule(), fresh("2024-01-31", end), terms, 3) == bills


def test_a_calendar_stub_comes_first() -> None:
    terms = Terms(advance=True, has_usage=False, fee_delay=NONE, usage_delay=HOUR)
    bills = walk(schedule("2024-01-10", alignment=Alignment.CALENDAR), fresh("2024-01-10"), terms, 2)
    assert bills == [("01-10T00", "01-10/02-01", ""), ("02-01T00", "02-01/03-01", "")]


def test_nothing_is_due_after_the_end() -> None:
    covered = Coverage(at("2024-01-31"), at("2024-02-10"), at("2024-02-29"), at("2024-02-10"))
    terms = Terms(advance=True, has_usage=True, fee_delay=NONE, usage_delay=HOUR)
    assert next_due(schedule(), covered, terms) is None


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    cycle=st.sampled_from(Cycle),
    alignment=st.sampled_from(Alignment),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]),
    advance=st.booleans(),
    has_usage=st.booleans(),
    days=st.integers(1, 800),
)
def test_every_instant_is_billed_once(
    start: datetime, cycle: Cycle, alignment: Alignment, zone: str, advance: bool, has_usage: bool, days: int
) -> None:
    begin = start.replace(tzinfo=UTC)
    plan = Schedule(begin, cycle, alignment, zone)
    covered = Coverage(begin, begin + timedelta(days=days), begin, begin)
    terms = Terms(advance=advance, has_usage=has_usage, fee_delay=NONE, usage_delay=HOUR)
    last = None
    for _ in range(500):
        due = next_due(plan, covered, terms)
        if due is None:
            break
        assert last is None or due.instant >= last
        last = due.instant
        if due.fee:
            assert due.fee.service.start == covered.fees
            assert due.fee.whole.period.covers(due.fee.service)
            covered = replace(covered, fees=due.fee.service.end)
        if due.usage:
            assert due.usage.service.start == covered.usage
            covered = replace(covered, usage=due.usage.service.end)
    assert covered.fees == covered.end
    assert covered.usage == (covered.end if has_usage else begin)
