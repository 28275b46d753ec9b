"""Commands of backfills: open, stage, commit, cancel, revert. All but `stage` work in the caller's transaction.

Staged events lie in a table of their own and count nowhere. A commit writes them, and voids what they replace, in one transaction and
one batch; so does a revert. Bills count whole batches up to one that is sealed: none ever counts a part of a window. What falls
into closed periods is found by billing's sweep like anything else that comes late.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import blake2b
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.catalog import queries as catalog
from tallystick.kernel.actor import Actor
from tallystick.metering import service as metering
from tallystick.metering.backfills import queries, repository
from tallystick.metering.backfills.domain import (
    ELSEWHERE,
    MAX_EVENTS,
    VOID,
    Applied,
    Backfill,
    BackfillAccountClosed,
    BackfillBuiltUpon,
    BackfillChanged,
    BackfillEmpty,
    BackfillEventTaken,
    BackfillFull,
    BackfillNotCommitted,
    BackfillNotFound,
    BackfillOverlaps,
    BackfillScope,
    Mode,
    NewBackfill,
    Staged,
    State,
    check_window,
    outside,
)
from tallystick.metering.backfills.writing import Follower, columns_of, copied, identities, succession
from tallystick.metering.domain.admission import Admitted, Rules, admit, compare
from tallystick.metering.domain.events import ACCEPTED, CONFLICT, DUPLICATE, IncomingEvent, Verdict
from tallystick.platform.db import Database, ReadSession, Session

PAGE = 20_000
COPIES = 5_000
_SHOWN = 20


async def open_backfill(session: Session, actor: Actor, new: NewBackfill, now: datetime) -> Backfill:
    """An open backfill, which counts nothing yet.

    Raises `BackfillScope` for accounts or meters that are not there, `BackfillWindow`, and `BackfillOverlaps` where an open one has
    some of the same.
    """
    meters = await catalog.meters_by_code(session, new.meters)
    found = {} if new.account_ids is None else await accounts.by_ids(session, new.account_ids)
    wrong = {}
    if len(meters) < len(set(new.meters)):
        wrong["meters"] = "one is not a meter; create it first"
    if len(found) < len(set(new.account_ids or ())):
        wrong["account_ids"] = "one names no open account"
    entities = {account.entity_id for account in found.values()} or {actor.entity_id}
    if len(entities) > 1:
        wrong["account_ids"] = "belong to several entities; open a backfill for each"
    if wrong:
        raise BackfillScope(details=wrong)
    moments = (await accounts.business_nows(session, found.values(), now)).values()
    check_window(new.period_start, new.period_end, min(moments, default=now))
    await repository.lock_opening(session)
    opened = Backfill(
        new.id, entities.pop(), State.OPEN, new.mode,
        None if new.account_ids is None else tuple(sorted(account.no for account in found.values())),
        tuple(sorted(meter.id for meter in meters.values())), new.period_start, new.period_end, new.reason, actor.principal, now,
    )  # fmt: skip
    other = await queries.overlapping(session, opened, State.OPEN)
    if other is not None:
        raise BackfillOverlaps(details={"backfill_id": str(other)})
    await repository.insert_backfill(session, opened)
    scope = {"mode": new.mode.value, "start": new.period_start, "end": new.period_end, "reason": new.reason}
    await audit.record(session, actor, "backfill.opened", "backfill", str(new.id), after=scope)
    return opened


async def locked(session: Session, backfill_id: UUID) -> Backfill:
    """The backfill, held until the transaction ends. Raises `BackfillNotFound`."""
    found = await repository.lock(session, backfill_id)
    if found is None:
        raise BackfillNotFound
    return found


async def stage(
    database: Database, actor: Actor, backfill_id: UUID, events: Sequence[IncomingEvent], now: datetime
) -> list[Verdict]:
    """A verdict for each event, in order; the accepted ones wait in the backfill. A repeat finds them as duplicates.

    Judged as at every other door, but for the late limit; and only what belongs to the window, accounts and meters. An event that is on
    disk as it is sent is accepted by a replacement, which then leaves it as it is, and a duplicate elsewhere. Raises `BackfillNotFound`,
    `BackfillNotOpen`, and `BackfillFull` before anything is staged.
    """
    directory = await metering.directory(database, actor, events)
    found = admit(events, directory, Rules(now, backfill=True))
    rows = [row for row in found if isinstance(row, Admitted)]
    async with database.read() as session:
        backfill = await queries.backfill(session, backfill_id)
        known = await accounts.by_nos(session, {row.account_no for row in rows})
    if backfill is None:
        raise BackfillNotFound
    backfill.require_open()
    own = {no for no, account in known.items() if account.entity_id == backfill.entity_id}
    verdicts = [row if isinstance(row, Verdict) else outside(row, backfill, own) or row for row in found]
    chosen = [row for row in verdicts if isinstance(row, Admitted)]
    if chosen:
        months = {row.occurred_at.date().replace(day=1) for row in chosen}
        await metering.prepare_months(database, months)
        judged = iter(await database.run(partial(_stage, backfill_id=backfill_id, rows=chosen)))
        return [row if isinstance(row, Verdict) else next(judged) for row in verdicts]
    return [row for row in verdicts if isinstance(row, Verdict)]


async def _stage(session: Session, backfill_id: UUID, rows: Sequence[Admitted]) -> list[Verdict]:
    backfill = await locked(session, backfill_id)
    backfill.require_open()
    firsts: dict[bytes, Admitted] = {}
    for row in rows:
        firsts.setdefault(row.key, row)
    taken = await queries.taken(session, list(firsts))
    judged = {key: _judge(row, backfill, taken) for key, row in firsts.items()}
    fresh = [firsts[key] for key, verdict in judged.items() if verdict is ACCEPTED]
    if backfill.staged + len(fresh) > MAX_EVENTS:
        raise BackfillFull(details={"events": f"at most {MAX_EVENTS}"})
    if fresh:
        staged = await repository.stage(
            session, backfill_id, columns_of([_as_stored(row, taken) for row in fresh])
        )
        judged |= {row.key: ELSEWHERE for row in fresh if row.key not in staged}
        await repository.count_staged(session, backfill_id, len(staged))
    return [
        judged[row.key] if row is firsts[row.key] else _second(row, firsts[row.key], judged[row.key])
        for row in rows
    ]


def _judge(row: Admitted, backfill: Backfill, taken: Staged) -> Verdict:
    waiting = taken.waiting.get(row.key)
    if waiting is not None:
        return ELSEWHERE if waiting[0] != backfill.id else compare(row, waiting[1])
    stored = taken.stored.get(row.key)
    if stored is None:
        return ACCEPTED
    if stored.voided_by is not None:
        return VOID
    verdict = compare(row, stored)
    return ACCEPTED if verdict is DUPLICATE and backfill.mode is Mode.REPLACE else verdict


def _as_stored(row: Admitted, taken: Staged) -> Admitted:
    """What is on disk, where it is: its sender may have sent less this time."""
    stored = taken.stored.get(row.key)
    if stored is None:
        return row
    return copied(stored, stored.id)


def _second(row: Admitted, first: Admitted, verdict: Verdict) -> Verdict:
    """An identity that stands twice in one request."""
    same = compare(row, first)
    return verdict if verdict.status == "invalid" else CONFLICT if same is CONFLICT else DUPLICATE


async def apply(session: Session, actor: Actor, backfill: Backfill, now: datetime) -> Applied:
    """Writes what is staged and voids what it replaces, in one batch. The dry run calls it too, and takes it back.

    Raises `BackfillEventTaken`, `BackfillFull`, `BackfillAccountClosed`.
    """
    backfill.require_open()
    clashing = await queries.conflicting(session, backfill.id, _SHOWN)
    if clashing:
        raise BackfillEventTaken(details={"ids": clashing})
    wanted = await queries.to_write(session, backfill.id)
    scope = await _scope(session, backfill, wanted.accounts)
    if backfill.mode is Mode.REPLACE:
        count = await queries.counting_in(session, backfill, scope, MAX_EVENTS + 1)
        if count > MAX_EVENTS:
            raise BackfillFull(details={"events": f"over {MAX_EVENTS} count in the window"})
    batch = await repository.open_batch(
        session, wanted.fresh, wanted.first_at, actor.principal, actor.request_id
    )
    replaced = 0
    if backfill.mode is Mode.REPLACE:
        replaced = await repository.void_window(session, backfill, scope, batch, now)
    if await _write(session, backfill, batch) != wanted.fresh:
        raise BackfillEventTaken  # some came another way this very moment
    checksum, voided = await queries.voided_in(session, batch)
    content = f"{wanted.staged} {wanted.fresh} {wanted.checksum:x} {replaced} {checksum:x}"
    return Applied(
        batch, wanted.fresh, wanted.staged - wanted.fresh, replaced, tuple(sorted({*wanted.accounts, *voided})),
        blake2b(content.encode(), digest_size=16).hexdigest(),
    )  # fmt: skip


async def _scope(session: ReadSession, backfill: Backfill, staged: Sequence[int]) -> list[int]:
    """The accounts whose usage the backfill touches. Raises `BackfillAccountClosed`."""
    named = {*staged, *(backfill.account_nos or ())}
    known = await accounts.by_nos(session, named)
    _require_open(list(known.values()))
    if backfill.account_nos is None:
        return await accounts.open_nos(session, backfill.entity_id)
    return list(backfill.account_nos)


def _require_open(known: Sequence[Account]) -> None:
    closed = [account.id for account in known if not account.is_open]
    if closed:
        raise BackfillAccountClosed(details={"account_ids": closed[:_SHOWN]})


async def _write(session: Session, backfill: Backfill, batch: int) -> int:
    after = written = 0
    while True:
        more, last = await repository.add_staged(session, backfill.id, batch, after, PAGE)
        if last is None:
            return written
        written, after = written + more, last


async def commit(
    session: Session, actor: Actor, backfill_id: UUID, now: datetime, *, digest: str | None = None, void_all: bool = False
) -> Backfill:  # fmt: skip
    """The backfill counts. All or nothing: a repeat is refused, a crash leaves it open.

    With `digest` only if it does exactly what the diff with that digest showed: `BackfillChanged` otherwise. An empty one needs
    `void_all`, and must be a replacement: `BackfillEmpty`. Raises what `apply` raises.
    """
    backfill = await locked(session, backfill_id)
    backfill.require_open()
    if backfill.staged == 0 and not (void_all and backfill.mode is Mode.REPLACE):
        raise BackfillEmpty
    applied = await apply(session, actor, backfill, now)
    if digest is not None and digest != applied.digest:
        raise BackfillChanged
    await repository.forget_staged(session, backfill_id)
    counts = (applied.added, applied.kept, applied.replaced)
    await repository.set_committed(session, backfill_id, applied.batch, now, counts)
    done = {
        "batch": applied.batch,
        "added": applied.added,
        "kept": applied.kept,
        "replaced": applied.replaced,
    }
    await audit.record(session, actor, "backfill.committed", "backfill", str(backfill_id), after=done)
    return await locked(session, backfill_id)


async def cancel(session: Session, actor: Actor, backfill_id: UUID, now: datetime) -> Backfill:
    """The backfill will never count; what was staged is forgotten, and its ids are free. Raises `BackfillNotOpen`."""
    backfill = await locked(session, backfill_id)
    backfill.require_open()
    await repository.forget_staged(session, backfill_id)
    await repository.set_cancelled(session, backfill_id, now)
    await audit.record(
        session, actor, "backfill.cancelled", "backfill", str(backfill_id), after={"staged": backfill.staged}
    )
    return replace(backfill, state=State.CANCELLED, cancelled_at=now)


async def revert(session: Session, actor: Actor, backfill_id: UUID, now: datetime) -> Backfill:
    """What the backfill wrote is void, also where it was amended since; what it replaced is there again, as copies that point at it.

    Copies, because a void is for ever and so is an identity. What was recorded since by other doors is left alone. For good: neither a
    commit nor a revert follows. Raises `BackfillNotCommitted`, `BackfillBuiltUpon`, `BackfillAccountClosed`.
    """
    await repository.lock_opening(session)
    await repository.keep_amendments_away(session)
    backfill = await locked(session, backfill_id)
    if backfill.commit_batch is None or backfill.state is not State.COMMITTED:
        raise BackfillNotCommitted(details={"state": backfill.state.value})
    later = await queries.overlapping(session, backfill, State.COMMITTED, backfill.commit_batch)
    if later is not None:
        raise BackfillBuiltUpon(details={"backfill_id": str(later)})
    touched = await queries.accounts_of(session, backfill)
    _require_open(list((await accounts.by_nos(session, touched)).values()))
    count, first_at = await queries.first_voided_in(session, backfill.commit_batch)
    batch = await repository.open_batch(session, count, first_at, actor.principal, actor.request_id)
    withdrawn = await repository.void_added(session, backfill, batch, now)
    reinstated = await _reinstate(session, backfill.commit_batch, batch)
    await repository.set_reverted(session, backfill_id, batch, now, (withdrawn, reinstated))
    done = {"batch": batch, "withdrawn": withdrawn, "reinstated": reinstated}
    await audit.record(session, actor, "backfill.reverted", "backfill", str(backfill_id), after=done)
    return await locked(session, backfill_id)


async def _reinstate(session: Session, former_batch: int, batch: int) -> int:
    """Writes copies of what `former_batch` voided, in the order of their arrival."""
    done = 0
    async for page in queries.replaced_by(session, former_batch, COPIES):
        wanted = [
            Follower(each.event.source, each.origin, each.origin_id, each.revision + 1) for each in page
        ]
        followers = await identities(session, wanted)
        rows = [copied(each.event, follower.id) for each, follower in zip(page, followers, strict=True)]
        written = await repository.add_events(session, batch, done, columns_of(rows))
        if written < len(rows):
            raise BackfillEventTaken
        await repository.insert_successions(
            session,
            [
                succession(row, each.event.key, follower, "reinstatement")
                for row, each, follower in zip(rows, page, followers, strict=True)
            ],
        )
        done += written
    return done
