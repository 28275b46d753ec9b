"""The sweep: whatever arrives is looked at once, and what falls into a period that is billed is marked for its account's next bill.

Nothing is lost and nothing counted twice, because two things never happen at once and one number joins them. A bill holds the sweep
off from when it reads `swept_to` until it commits, and counts exactly the batches up to it. The sweep holds bills off while it looks at
batches after `swept_to` and moves it on. So of an event in batch b:

- every bill committed before b was looked at counted only batches below b: where such a bill closed the event's period, the sweep sees that
  period billed, and marks it;
- where none did, no mark is needed: whoever closes the period later reads a `swept_to` of b or more, and counts the event.

The seal (metering) sees to it that no batch appears behind `swept_to`. Ingest takes no part in any of this, and a batch whose
events all occurred after everything that was ever billed is passed over without reading them. Marks may widen what is counted
again, never what it comes to: a price whose events are the same is left alone.
"""

from functools import partial

import asyncpg

from tallystick.billing.corrections import repository
from tallystick.metering import queries as metering_queries
from tallystick.metering import service as metering
from tallystick.platform.db import Database, Session

_TRIES = 6
AT_ONCE = 50_000
"""About how many events one transaction looks at: bills wait for it, so it is over in a fraction of a second."""


async def arrive(database: Database, *, patience: float = 0.0, strict: bool = False) -> int:
    """Seals what has arrived, as `metering.seal`, and looks at it; gives the batch up to which that is done. A repeat is safe.

    Waits for bills that are under way. What was acknowledged before this call is in bills made after it, if `patience` sufficed; with `strict`
    `EventsSettling` is raised where it did not.
    """
    sealed, tries = await metering.seal(database, patience=patience, strict=strict), 0
    while True:
        try:
            swept = await database.run(partial(_step, to_batch=sealed, wait=True))
        except asyncpg.LockNotAvailableError:  # a bill took longer than one statement may wait
            tries += 1
            if tries == _TRIES:
                raise
            continue
        if swept is not None and swept >= sealed:
            return swept


async def sweep(database: Database) -> bool:
    """One step in the background, unless a bill is under way; True where more is left to look at. Any number may run."""
    async with database.read() as session:
        sealed = await metering_queries.sealed_to(session)
        if await repository.swept_to(session) >= sealed:
            return False
    swept = await database.run(partial(_step, to_batch=sealed, wait=False))
    return swept is not None and swept < sealed


async def glance(database: Database, patience: float) -> None:
    """Seals what has arrived, as `metering.seal`, and looks at it, waiting for no bill: previews then tell of it."""
    await metering.seal(database, patience=patience)
    while await sweep(database):
        continue


async def hold(session: Session) -> int:
    """The batch up to which a bill counts; it stays so until the transaction ends. To be called before anything is counted."""
    return await repository.keep_sweep_away(session)


async def _step(session: Session, *, to_batch: int, wait: bool) -> int | None:
    """Looks at what comes next, up to `to_batch`; the batch it came to, None where a bill was in the way."""
    swept = await repository.swept_to(session)
    if swept >= to_batch:
        return swept
    if not await repository.keep_bills_away(session, wait=wait):
        return None
    swept = await repository.swept_to(session)
    following = await repository.next_sweep(session, swept, to_batch, AT_ONCE)
    if following is None:
        return swept
    await repository.mark_late(session, following.batches, following.span, (swept, following.upto))
    await repository.set_swept(session, following.upto)
    return following.upto
