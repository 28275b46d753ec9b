"""Billing runs: asked for over HTTP or the command line, claimed by whoever is free, counted as they go.

A run holds no state of its own: it bills, page by page, accounts whose `next_billing_at` has come, each page in a transaction that also
moves its counters. Killed at any moment, it is claimed again after its lease and goes on with what is still due. Several runs and several
claimers at once share the accounts by row locks.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.billing import queries, repository
from tallystick.billing.corrections.sweep import arrive, hold
from tallystick.billing.domain.runs import Run, RunNotFound
from tallystick.billing.service.book import Shelf
from tallystick.billing.service.renewal import Order, bill_page
from tallystick.kernel.actor import Actor, system_actor
from tallystick.kernel.errors import Invalid
from tallystick.platform.db import Database, ReadSession, Session

log = structlog.get_logger("billing")
PAGE = 400
"""Accounts billed in one transaction: large enough to make its statements worth their price, small enough to hold locks briefly."""

LEASE_SECONDS = 30
"""How long a run may be silent before another takes it up; every page renews it."""

LANES = 2
"""Pages under way at once: while one waits for PostgreSQL, another computes."""

PATIENCE = 10.0
"""Seconds a run waits for events that are being written when it starts."""

Progress = Callable[[Run], None]


async def request_run(
    session: Session, actor: Actor, *, run_id: UUID, as_of: datetime, now: datetime, account: Account | None
) -> Run:
    """Asks for a run. It bills what is due at `as_of`, which may not lie ahead of the account's (or the system's) clock.

    Naming an account bills that one alone and takes it out of parking.
    """
    if as_of > now:
        raise Invalid.field("as_of", "must not lie in the future; preview shows what will be billed")
    await repository.insert_run(
        session, run_id, account.no if account else None, as_of, actor.principal, actor.request_id
    )
    if account is not None:
        await repository.unpark(session, account.no)
    await audit.record(
        session, actor, "billing_run.requested", "billing_run", str(run_id), None, {"as_of": as_of}
    )
    return await find_run(session, run_id)


async def find_run(session: ReadSession, run_id: UUID) -> Run:
    """The run with its progress. Raises `RunNotFound`."""
    run = await queries.run(session, run_id)
    if run is None:
        raise RunNotFound
    return run


async def run_now(
    database: Database,
    actor: Actor,
    *,
    run_id: UUID,
    as_of: datetime,
    now: Callable[[], datetime],
    new_id: Callable[[], UUID],
    account: Account | None = None,
    progress: Progress | None = None,
) -> Run:
    """Asks for a run and carries it out here: claimed as it is written, so that nobody else takes it up meanwhile."""
    async with database.write() as session:
        run = await request_run(session, actor, run_id=run_id, as_of=as_of, now=now(), account=account)
        await repository.begin_run(session, run.id, 0)
    return await execute(database, run, now=now, new_id=new_id, progress=progress)


async def claim_and_execute(
    database: Database,
    *,
    now: Callable[[], datetime],
    new_id: Callable[[], UUID],
    lease_seconds: int = LEASE_SECONDS,
) -> bool:
    """Takes one waiting run (or one whose claimer died) and carries it out; False where none waits."""
    async with database.write() as session:
        run = await repository.claim_run(session, lease_seconds)
    if run is None:
        return False
    await execute(database, run, now=now, new_id=new_id)
    return True


async def execute(
    database: Database,
    run: Run,
    *,
    now: Callable[[], datetime],
    new_id: Callable[[], UUID],
    progress: Progress | None = None,
    page: int = PAGE,
) -> Run:
    """Carries a run out, page after page, to its end. Safe to repeat at any point."""
    try:
        await arrive(database, patience=PATIENCE)
        async with database.write() as session:
            await repository.begin_run(
                session, run.id, await queries.due_count(session, run.as_of, run.account_no)
            )
        work = _Work(database, run, Shelf(), now, new_id, progress or _silent, page)
        with patient_collector():
            await asyncio.gather(*(_pages(work) for _ in range(1 if run.account_no else LANES)))
        async with database.write() as session:
            await repository.finish_run(session, run.id, None)
            return await find_run(session, run.id)
    except Exception as error:
        log.error("billing run failed", run_id=str(run.id), exc_info=error)
        async with database.write() as session:
            await repository.finish_run(session, run.id, type(error).__name__)
        raise


@dataclass(frozen=True, slots=True)
class _Work:
    """One run being carried out."""

    database: Database
    run: Run
    shelf: Shelf
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    progress: Progress
    page: int


@contextmanager
def patient_collector() -> Iterator[None]:
    """Lets the cycle collector look less often while a run makes many short-lived values and no cycles: a fifth of the time else."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _silent(_run: Run) -> None:
    """Nobody watches."""


async def _pages(work: _Work) -> None:
    """Page after page, until none is due that nobody else has taken."""
    while True:
        run, more = await work.database.run(partial(_page, work))
        work.progress(run)
        if not more:
            return


async def _page(work: _Work, session: Session) -> tuple[Run, bool]:
    """Bills one page and counts it, in the caller's transaction; False where there was nothing more to bill."""
    run, now = work.run, work.now()
    if run.account_no is None:
        nos = await repository.claim_due(session, run.as_of, work.page)
    else:
        nos = await repository.lock_due_account(session, run.account_no, run.as_of)
        account = (await accounts.by_nos(session, [run.account_no]))[run.account_no]
        now = await accounts.business_now(session, account, now)
    actor = system_actor("billing-run", request_id=run.request_id)
    order = Order(run.as_of, now, await hold(session), actor, work.new_id, run.id)
    outcome = await bill_page(session, nos, order, work.shelf)
    if outcome.failures:
        await repository.park(
            session, [(each.account_no, run.id, each.code, each.reason) for each in outcome.failures]
        )
    await repository.count(session, run.id, len(nos), len(outcome.invoices), len(outcome.failures))
    return await find_run(session, run.id), bool(nos) and run.account_no is None
