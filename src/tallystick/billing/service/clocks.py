"""Advancing a test clock: every bill between then and its target is made in order, at the clock's time."""

from collections.abc import Callable
from datetime import datetime
from time import monotonic
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts import repository as account_rows
from tallystick.accounts.domain import Clock, ClockBusy
from tallystick.audit import service as audit
from tallystick.billing import repository
from tallystick.billing.service.book import Shelf
from tallystick.billing.service.renewal import Order, bill_page
from tallystick.kernel.actor import Actor, system_actor
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.metering import service as metering
from tallystick.platform.db import Database, Session

TURN_SECONDS = 2.0
"""How long the background moves one clock before it looks at the others."""


async def request_advance(session: Session, actor: Actor, clock_id: UUID, to: datetime) -> Clock:
    """Sends a clock on its way; `step` walks it there. A clock never goes back. Raises `ClockBusy` while one is under way."""
    clock = await account_rows.lock_clock(session, clock_id)
    if clock is None:
        raise NotFound
    if clock.status == "advancing":
        raise ClockBusy
    if to <= clock.frozen_time:
        raise Invalid.field("to", "must lie after the clock's frozen_time; a test clock never goes back")
    await audit.record(
        session,
        actor,
        "test_clock.advanced",
        "test_clock",
        str(clock_id),
        {"frozen_time": clock.frozen_time},
        {"to": to},
    )
    return await account_rows.set_clock(
        session, clock_id, frozen_time=clock.frozen_time, status="advancing", target=to
    )


async def step(database: Database, clock_id: UUID, new_id: Callable[[], UUID]) -> Clock:
    """One stop of a clock that is advancing: the next instant something is due, or its target. Commits; safe to repeat.

    A stop that fails leaves the clock `failed` with the reason, at the last instant that worked.
    """
    to_batch = await metering.seal(database, patience=2.0)

    async def work(session: Session) -> Clock:
        clock = await account_rows.lock_clock(session, clock_id)
        assert clock is not None, "clocks are never deleted"
        if clock.status != "advancing" or clock.target is None:
            return clock
        nos = await accounts.accounts_on(session, clock_id)
        stop = await repository.next_stop(session, nos, clock.target)
        if stop is None:
            return await account_rows.set_clock(session, clock_id, frozen_time=clock.target)
        at = max(stop, clock.frozen_time)
        due = await repository.lock_due_accounts(session, nos, at)
        order = Order(at, at, to_batch, system_actor("test-clock"), new_id)
        outcome = await bill_page(session, due, order, Shelf())
        rows = [(each.account_no, None, each.code, each.reason) for each in outcome.failures]
        await repository.park(session, rows)
        return await account_rows.set_clock(
            session, clock_id, frozen_time=at, status="advancing", target=clock.target
        )

    try:
        return await database.run(work)
    except Exception as error:
        await _fail(database, clock_id, type(error).__name__)
        raise


async def _fail(database: Database, clock_id: UUID, reason: str) -> None:
    """Stops the clock where it stands, with the reason; advancing it again tries again."""
    async with database.write() as session:
        clock = await account_rows.lock_clock(session, clock_id)
        if clock is not None and clock.status == "advancing":
            await account_rows.set_clock(
                session,
                clock_id,
                frozen_time=clock.frozen_time,
                status="failed",
                target=clock.target,
                error=reason,
            )


async def walk(
    database: Database, clock_id: UUID, new_id: Callable[[], UUID], *, until: float | None = None
) -> Clock:
    """Steps until the clock has arrived, or `time.monotonic()` has passed `until`."""
    while True:
        clock = await step(database, clock_id, new_id)
        if clock.status != "advancing" or (until is not None and monotonic() > until):
            return clock


async def walk_one(database: Database, new_id: Callable[[], UUID]) -> bool:
    """Moves one advancing clock on for a while; False where none is under way."""
    async with database.read() as session:
        clock_id = await accounts.advancing_clock(session)
    if clock_id is None:
        return False
    await walk(database, clock_id, new_id, until=monotonic() + TURN_SECONDS)
    return True
