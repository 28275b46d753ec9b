"""Advancing a test clock: every bill between then and its target is made in order, at the clock's time.

A clock walks in pages: the accounts that are due next, hundreds at once, each bill dated when it fell due. A page bills what its accounts owe
up to the last of these instants and moves the clock there, in one transaction; so a walk that is killed has billed whole pages, and whoever takes it
up goes on from the clock's present. What happens to one account happens in order of time, always: before the next end of a wallet's
top-up or hold only the bills are made that fall due until then.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

import asyncpg

from tallystick.accounts import queries as accounts
from tallystick.accounts import repository as account_rows
from tallystick.accounts.domain import Clock, ClockBusy
from tallystick.audit import service as audit
from tallystick.billing import queries, repository
from tallystick.billing.corrections.sweep import arrive, hold
from tallystick.billing.domain.runs import ClockProgress
from tallystick.billing.service.book import Shelf
from tallystick.billing.service.renewal import Order, bill_page
from tallystick.billing.service.runs import PAGE, patient_collector
from tallystick.kernel.actor import Actor, system_actor
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.metering.service import EventsSettling
from tallystick.platform.db import Database, ReadSession, Session
from tallystick.wallets import queries as wallets
from tallystick.wallets import service as wallet_ends

TURN_SECONDS = 2.0
"""How long the background moves one clock before it looks at the others."""

FURTHEST = timedelta(days=5 * 366)
"""A longer way is a slip of the pen: it would bill every account hundreds of times. Who means it goes in several advances."""

PATIENCE = 2.0
"""Seconds a walk waits, at its first page, for events that are being written; later pages take what is there."""


async def request_advance(session: Session, actor: Actor, clock_id: UUID, to: datetime) -> Clock:
    """Sends a clock on its way; `step` walks it there. Raises `ClockBusy` while one is under way, `Invalid` for a `to` that
    does not lie ahead or lies further than `FURTHEST`."""
    clock = await account_rows.lock_clock(session, clock_id)
    if clock is None:
        raise NotFound
    if clock.status == "advancing":
        raise ClockBusy
    if to <= clock.frozen_time:
        raise Invalid.field("to", "must lie after the clock's frozen_time; a test clock never goes back")
    if to > clock.frozen_time + FURTHEST:
        raise Invalid.field(
            "to", "must lie within five years of the clock's frozen_time; advance in several steps"
        )
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


async def step(
    database: Database,
    clock_id: UUID,
    new_id: Callable[[], UUID],
    *,
    shelf: Shelf | None = None,
    patience: float = PATIENCE,
    page: int = PAGE,
) -> Clock:
    """One page of a clock that is advancing, or its arrival. Commits; safe to repeat, and by several at once.

    A page that fails leaves the clock `failed` with the reason, where the page before brought it. Where events that were acknowledged
    cannot be counted yet, within `patience` (zero: what is there is taken), the clock stays where it is and goes on later.
    """
    try:
        await arrive(database, patience=patience, strict=patience > 0)
    except EventsSettling:
        async with database.read() as session:
            return await accounts.clock(session, clock_id)

    async def work(session: Session) -> Clock:
        clock = await account_rows.lock_clock(session, clock_id)
        assert clock is not None, "clocks are never deleted"
        if clock.status != "advancing" or clock.target is None:
            return clock
        ends = await wallets.next_end(session, clock_id, clock.frozen_time, clock.target)
        due = await repository.claim_on_clock(session, clock_id, ends or clock.target, page)
        if not due and ends is not None:
            if await wallet_ends.end_on_clock(session, clock_id, ends):
                at = max(clock.frozen_time, ends)
                return await account_rows.set_clock(
                    session, clock_id, frozen_time=at, status="advancing", target=clock.target
                )
            due = await repository.claim_on_clock(session, clock_id, clock.target, page)
        if not due:
            return await account_rows.set_clock(session, clock_id, frozen_time=clock.target)
        until = max(clock.frozen_time, *(at for _, at in due))
        actor = system_actor("test-clock")
        order = Order(until, clock.frozen_time, await hold(session), actor, new_id, at_due=True)
        outcome = await bill_page(session, [no for no, _ in due], order, shelf or Shelf())
        rows = [(each.account_no, None, each.code, each.reason) for each in outcome.failures]
        await repository.park(session, rows)
        return await account_rows.set_clock(
            session, clock_id, frozen_time=until, status="advancing", target=clock.target
        )

    try:
        return await database.run(work)
    except (
        asyncpg.LockNotAvailableError
    ):  # somebody is at work on one of the accounts: the clock waits, it has not failed
        async with database.read() as session:
            return await accounts.clock(session, clock_id)
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
    database: Database,
    clock_id: UUID,
    new_id: Callable[[], UUID],
    *,
    until: float | None = None,
    progress: Callable[[Clock], None] | None = None,
) -> Clock:
    """Steps until the clock has arrived, or `time.monotonic()` has passed `until`; `progress` is called after each."""
    shelf, patience = Shelf(), PATIENCE
    async with database.read() as session:
        began = (await accounts.clock(session, clock_id)).frozen_time
    with patient_collector():
        while True:
            clock = await step(database, clock_id, new_id, shelf=shelf, patience=patience)
            if progress is not None:
                progress(clock)
            if clock.status != "advancing" or (until is not None and monotonic() > until):
                return clock
            patience = 0.0 if clock.frozen_time > began else PATIENCE


async def walk_one(database: Database, new_id: Callable[[], UUID]) -> bool:
    """Moves one advancing clock on for a while; False where none is under way."""
    async with database.read() as session:
        clock_id = await accounts.advancing_clock(session)
    if clock_id is None:
        return False
    await walk(database, clock_id, new_id, until=monotonic() + TURN_SECONDS)
    return True


async def show(session: ReadSession, clock_id: UUID) -> tuple[Clock, ClockProgress]:
    """The clock, how much is still due until its target, and which accounts stand aside. Raises `NotFound`."""
    clock = await accounts.clock(session, clock_id)
    return clock, await queries.clock_progress(session, clock_id, clock.target)
