"""Commands of metering: ingest, void, seal. Ingest and seal open their own transactions, the rest works in the caller's."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg
from asyncpg.pgproto.pgproto import UUID as FastUUID

from tallystick.accounts import queries as accounts
from tallystick.audit import service as audit
from tallystick.catalog import queries as catalog
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Unavailable
from tallystick.metering import memory, queries, repository
from tallystick.metering.domain.admission import (
    LATE_LIMIT,
    Admitted,
    Directory,
    MeteredAccount,
    Rules,
    admit,
    compare,
)
from tallystick.metering.domain.digest import halves
from tallystick.metering.domain.events import ACCEPTED, IncomingEvent, StoredEvent, Verdict
from tallystick.metering.domain.slices import UsageSlice, UsageTotal
from tallystick.metering.grouping import Group
from tallystick.platform.db import Database, Session

_SEAL_PAUSE = 0.005


async def ingest(
    database: Database,
    actor: Actor,
    events: Sequence[IncomingEvent],
    *,
    now: datetime,
    request_id: str,
    backfill: bool = False,
    late_limit: timedelta = LATE_LIMIT,
) -> list[Verdict]:
    """A verdict for each event, in order. The accepted ones are on disk when this returns; a repeat finds them as duplicates.

    One statement writes; one more compares, only where identities were taken; one looks up accounts, only where they are not known.
    """
    found = admit(events, await directory(database, actor, events), Rules(now, backfill, late_limit))
    rows = [row for row in found if type(row) is Admitted]
    verdicts = await write(database, rows, [actor.principal], request_id) if rows else []
    if len(rows) == len(found):
        return verdicts
    written = iter(verdicts)
    return [row if isinstance(row, Verdict) else next(written) for row in found]


async def ingest_one(
    database: Database,
    actor: Actor,
    event: IncomingEvent,
    *,
    now: datetime,
    request_id: str,
    backfill: bool = False,
    late_limit: timedelta = LATE_LIMIT,
) -> tuple[Verdict, bytes]:
    """As `ingest` for one event, in a commit shared with others that arrive at the same time; also the event's key, if it has one.

    A shared batch keeps all principals and no request id.
    """
    row = admit([event], await directory(database, actor, [event]), Rules(now, backfill, late_limit))[0]
    if isinstance(row, Verdict):
        return row, b""
    return await _group(database).submit(row, actor.principal), row.key


def _group(database: Database) -> Group:
    remembered = memory.of(database)
    if remembered.group is None:

        async def together(rows: Sequence[Admitted], principals: Sequence[str]) -> list[Verdict]:
            return await write(database, rows, list(principals), "")

        remembered.group = Group(together)
    return remembered.group


async def directory(database: Database, actor: Actor, events: Sequence[IncomingEvent]) -> Directory:
    """The accounts and meters that `events` name: from memory, the rest by one statement each."""
    known = memory.of(database)
    renewed = known.turn()
    by_id, meters = known.accounts, known.meters
    by_external = known.external.setdefault(actor.entity_id, {})
    ids = {event.account_id for event in events if event.account_id not in by_id} - {None}
    external = {event.external_id for event in events if event.external_id not in by_external} - {None}
    codes = {event.meter for event in events if event.meter not in meters}
    if not (ids or external or codes or renewed):
        return Directory(by_id, by_external, meters)
    async with database.read() as session:
        if codes:
            meters.update(await catalog.meters_by_code(session, codes))
        if ids or external or renewed:
            rows = await accounts.for_metering(
                session, actor.entity_id, [*renewed, *(x for x in ids if x)], [x for x in external if x]
            )
            found = [MeteredAccount(*row) for row in rows]
            kept = [account for account in found if account.frozen_time is None]
            by_id.update((account.id, account) for account in kept)
            for account in kept:
                if account.external_id:
                    known.external.setdefault(account.entity_id, {})[account.external_id] = account
            if len(kept) < len(found):
                by_id = by_id | {account.id: account for account in found}
                by_external = by_external | {
                    a.external_id: a for a in found if a.external_id in external and a.external_id
                }
    return Directory(by_id, by_external, meters)


async def write(
    database: Database, rows: Sequence[Admitted], principals: list[str], request_id: str
) -> list[Verdict]:
    """Writes rows in one transaction; identities that stand twice among them, or in the store, are compared, not written."""
    await _prepare_months(database, rows)
    try:
        return await database.run(lambda session: _write(session, rows, principals, request_id), single=True)
    except asyncpg.CheckViolationError as error:
        if error.constraint_name is not None:
            raise
        # "No partition for row": the database is not the one that was remembered (restored, migrated down). Look again, once.
        memory.of(database).months.clear()
        await _prepare_months(database, rows)
        return await database.run(lambda session: _write(session, rows, principals, request_id), single=True)


async def _write(
    session: Session, rows: Sequence[Admitted], principals: list[str], request_id: str
) -> list[Verdict]:
    firsts: dict[bytes, Admitted] = {}
    for row in rows:
        firsts.setdefault(row.key, row)
    fresh = list(firsts.values())
    columns, source = event_columns(fresh)
    result = await repository.insert_events(session, columns, principals, request_id, source)
    taken = {key.bytes for key in result["taken"] or ()}
    if not taken and len(fresh) == len(rows):
        return [ACCEPTED] * len(rows)
    stored = await queries.stored(session, list(taken)) if taken else {}
    return [_outcome(row, firsts[row.key], stored.get(row.key)) for row in rows]


def _outcome(row: Admitted, first: Admitted, stored: StoredEvent | None) -> Verdict:
    if stored is not None:
        return compare(row, stored)
    return ACCEPTED if row is first else compare(row, first)


def event_columns(rows: Sequence[Admitted]) -> tuple[list[Sequence[object]], str]:
    """The rows as `repository.insert_events` takes them, and their common source where there is one."""
    high, low = halves([row.digest for row in rows])
    sources = {row.sent.source or "" for row in rows}
    columns: list[Sequence[object]] = [
        [FastUUID(row.key) for row in rows],
        [row.account_no for row in rows],
        [row.meter_id for row in rows],
        [row.occurred_at for row in rows],
        high,
        low,
        [row.sent.id for row in rows],
        _unless_all([row.quantity for row in rows], "1"),
        _unless_all([row.unit_price for row in rows], ""),
        _unless_all([row.properties for row in rows], ""),
        [] if len(sources) == 1 else [row.sent.source or "" for row in rows],
    ]
    return columns, sources.pop()


def _unless_all(values: list[str], default: str) -> list[str]:
    return [] if values.count(default) == len(values) else values


async def _prepare_months(database: Database, rows: Sequence[Admitted]) -> None:
    known = memory.of(database).months
    needed = {(row.occurred_at.year, row.occurred_at.month) for row in rows}
    missing = {date(year, month, 1) for year, month in needed} - known
    if missing:
        known |= await prepare_months(database, missing)


async def prepare_months(database: Database, wanted: set[date]) -> set[date]:
    """Makes the partitions of months (their first days) that are missing, in a transaction of its own; all there are. Safe to repeat."""
    async with database.read() as session:
        present = await queries.months(session)
    if wanted <= present:
        return present
    async with database.write() as session:
        await repository.lock_partitions(session)
        present = await queries.months(session)
        for month in sorted(wanted - present):
            after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
            await repository.attach_month(session, month, after)
    return present | wanted


class EventsSettling(Unavailable):
    """Events that were acknowledged cannot be counted yet: an older write of somebody is still open."""

    code = "events_settling"
    sentence = "Events are still being settled behind an older open write transaction; try again in a moment"


async def seal(database: Database, *, patience: float = 0.0, strict: bool = False) -> int:
    """Advances `sealed_to` over every batch that can no longer appear, and returns it. A repeat is safe, as are many at once.

    A batch gets its xid before its id. So when the last id handed out is read first and a fresh xid X taken after, every batch up to
    that id has an xid below X, and once no transaction below X is open, each of them has committed or never will. An older open
    transaction anywhere holds the seal back; `patience` is how many seconds to wait for it, so that what was acknowledged before
    this call is sealed when it returns. With `strict` it raises `EventsSettling` where that was not enough.
    """
    async with database.single() as session:
        target = await repository.last_batch(session)
        waited = 0.0
        while True:
            await repository.promote_seal(session)
            await repository.propose_seal(session, await repository.last_batch(session))
            await repository.promote_seal(session)
            reached = await queries.sealed_to(session)
            if reached < target and waited >= patience and strict:
                raise EventsSettling
            if reached >= target or waited >= patience:
                return reached
            await asyncio.sleep(_SEAL_PAUSE)
            waited += _SEAL_PAUSE


async def void(
    session: Session, actor: Actor, event: StoredEvent, *, now: datetime, reason: str, request_id: str
) -> bool:
    """The event counts no more from its own batch on. False where it was void already: a repeat is safe."""
    batch = await repository.insert_void(
        session,
        UUID(bytes=event.key),
        principal=actor.principal,
        request_id=request_id,
        reason=reason,
        voided_at=now,
    )
    if batch is None:
        return False
    await audit.record(
        session,
        actor,
        "event.voided",
        "event",
        f"{event.source}/{event.id}",
        after={"batch": batch, "account_no": event.account_no, "quantity": event.quantity, "reason": reason},
    )
    return True


async def keep_states(session: Session, slices: Sequence[UsageSlice], totals: Sequence[UsageTotal]) -> None:
    """Freezes what recurring meters have at the end of these slices, in two statements; the others are passed over.

    The next period begins with it and reads nothing older. A repeat changes nothing: a state is what its events make it.
    """
    kept = [(each, total) for each, total in zip(slices, totals, strict=True) if each.recurring]
    units = [each for each, _ in kept if each.aggregation == "unique"]
    levels = [(each, total) for each, total in kept if each.aggregation != "unique"]
    if units:
        await repository.insert_units(session, units)
    if levels:
        await repository.insert_levels(session, [each for each, _ in levels], [total for _, total in levels])


async def rederive(session: Session, slices: Sequence[UsageSlice]) -> list[UsageTotal]:
    """What closed slices come to with all that arrived up to their `to_batch`, and the states they then leave.

    For corrections. Of a recurring meter all closed periods from the earliest that something late fell into must be given, at once or
    one after the other: each begins with what the one before it leaves now, and the open period with what the last one leaves. A repeat
    gives the same and stores nothing more. Slices that do not recur are counted again, nothing else.
    """
    begun = await queries.with_states(session, slices)
    totals = await queries.aggregate(session, begun)
    await keep_states(session, begun, totals)
    return totals


__all__ = ["ingest", "ingest_one", "keep_states", "prepare_months", "rederive", "seal", "void", "write"]
