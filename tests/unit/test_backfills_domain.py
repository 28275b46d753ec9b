"""Windows, scopes and derived ids of amendments and backfills."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.metering.backfills.domain import (
    MAX_WINDOW,
    Backfill,
    BackfillNotOpen,
    BackfillWindow,
    Mode,
    State,
    check_window,
    derived_id,
    outside,
)
from tallystick.metering.domain.admission import Admitted
from tallystick.metering.domain.events import MAX_TEXT, IncomingEvent

START, END, TICK = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 1, tzinfo=UTC),
    timedelta(microseconds=1),
)
BACKFILL = Backfill(UUID(int=1), 1, State.OPEN, Mode.ADD, (7, 8), (3,), START, END, "", "user:1", END)


def row(
    account_no: int = 7, meter_id: int = 3, at: datetime | None = START, external: bool = False
) -> Admitted:
    sent = IncomingEvent(
        id="1",
        meter="m",
        account_id=None if external else "a",
        external_id="x" if external else None,
        occurred_at=at,
    )
    return Admitted(b"", account_no, meter_id, at or START, "1", "", "", b"", sent)


@pytest.mark.parametrize(
    ("start", "end", "word"),
    [
        (START, START, "after period_start"),
        (END, START, "after period_start"),
        (START, END + TICK, "in the future"),
        (END - MAX_WINDOW - TICK, END, "400 days"),
    ],
)
def test_windows_that_cannot_be(start: datetime, end: datetime, word: str) -> None:
    with pytest.raises(BackfillWindow) as refused:
        check_window(start, end, END)
    assert word in refused.value.details["period_end"]


def test_windows_at_their_limits() -> None:
    check_window(END - MAX_WINDOW, END, END)
    check_window(END - TICK, END, END)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (row(), None),
        (row(at=END - TICK), None),
        (row(at=END), "occurred_at"),
        (row(at=START - TICK), "occurred_at"),
        (row(at=None), "occurred_at"),
        (row(account_no=9), "account_id"),
        (row(account_no=9, external=True), "external_id"),
        (row(meter_id=4), "meter"),
    ],
)
def test_only_its_own_events(event: Admitted, name: str | None) -> None:
    verdict = outside(event, BACKFILL, {7, 8, 9})
    assert (None if verdict is None else next(iter(verdict.details))) == name


def test_a_backfill_for_everybody_takes_those_of_its_entity() -> None:
    everybody = replace(BACKFILL, account_nos=None)
    assert outside(row(account_no=9), everybody, {9}) is None
    assert outside(row(account_no=9), everybody, {7}) is not None


@pytest.mark.parametrize("state", [State.COMMITTED, State.CANCELLED, State.REVERTED])
def test_only_an_open_one_takes_anything(state: State) -> None:
    BACKFILL.require_open()
    with pytest.raises(BackfillNotOpen) as refused:
        replace(BACKFILL, state=state).require_open()
    assert refused.value.details == {"state": state.value}


def test_ids_follow_each_other() -> None:
    assert [derived_id("e1", n) for n in (2, 3)] == ["e1~2", "e1~3"]


@given(st.text(min_size=1, max_size=MAX_TEXT), st.text(min_size=1, max_size=MAX_TEXT), st.integers(2, 10**6))
def test_derived_ids_fit_and_tell_their_origins_apart(one: str, other: str, revision: int) -> None:
    assert len(derived_id(one, revision)) <= MAX_TEXT
    assert derived_id(one, revision) != derived_id(one, revision + 1)
    if one != other:
        assert derived_id(one, revision) != derived_id(other, revision)
