"""Recording, sealing and proving.

Rows are written unchained in the transaction that does the deed: a chain in that transaction would be one lock for everybody.
A sealer chains committed rows afterwards. Row ids are given out before commits, so a row can appear below one already seen;
the sealer therefore waits until every transaction that could hold an id up to its mark has ended (`Mark`, `oldest_running`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from tallystick.audit import checkpoints, queries, repository
from tallystick.audit.domain import (
    BLOCK_ROWS,
    Block,
    Change,
    Checkpoint,
    Problem,
    VerifyReport,
    check_block,
    check_checkpoints,
    check_rows,
    make_block,
    masked,
    personal_fields,
)
from tallystick.kernel.actor import Actor
from tallystick.platform.db import Database, ReadSession, Session
from tallystick.platform.keys import SigningKey, verifies

log = structlog.get_logger("audit")

BEFORE_ALL = -(1 << 63)
"""Rows count from 1; whoever slips one in below that is found too."""


@dataclass(frozen=True, slots=True)
class Mark:
    """No row with an id up to `last_row` can still appear once every transaction below `transaction` has ended."""

    last_row: int
    transaction: int


async def record(
    session: Session,
    actor: Actor,
    action: str,
    object_type: str,
    object_id: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Writes down one deed in the caller's transaction. Personal values become digests, secrets are left out."""
    change = Change(actor, action, object_type, object_id, before, after)
    key = None
    if personal_fields(change):
        keys = await repository.subject_keys(session, [(object_type, object_id)])
        key = keys[object_type, object_id]
    await repository.insert_row(session, _values(change, key))


async def record_many(session: Session, changes: Sequence[Change]) -> None:
    """As `record`, for a batch: one statement, two where personal values are among them."""
    if not changes:
        return
    subjects = [(each.object_type, each.object_id) for each in changes if personal_fields(each)]
    keys = await repository.subject_keys(session, subjects) if subjects else {}
    await repository.insert_rows(
        session, [_values(each, keys.get((each.object_type, each.object_id))) for each in changes]
    )


def _values(change: Change, key: bytes | None) -> tuple[Any, ...]:
    actor = change.actor
    return (
        actor.kind, actor.id, actor.role, actor.entity_id, change.action, change.object_type, change.object_id,
        masked(change.before, change.object_type, key), masked(change.after, change.object_type, key), actor.request_id,
    )  # fmt: skip


async def forget(session: Session, object_type: str, object_id: str) -> None:
    """Erases a subject from the log without touching a row: its digests' key is deleted. A repeat does nothing."""
    await repository.delete_subject_key(session, object_type, object_id)


async def mark(session: ReadSession) -> Mark:
    """Where the log stands. The order of the two statements matters: a row's transaction number is older than its id."""
    position = await repository.sequence_position(session)
    return Mark(position, await repository.next_transaction(session))


async def seal_to(session: Session, until: Mark, key: SigningKey, at: datetime) -> list[Block] | None:
    """Chains what lies between the last block and the mark; None where a transaction below the mark still runs.

    `at` is system time, for the block's header. Safe to repeat and to race: one sealer at a time, and blocks go on from the last.
    """
    await repository.lock_sealing(session)
    if await repository.oldest_running(session) < until.transaction:
        return None
    made: list[Block] = []
    previous = await repository.last_block(session)
    while True:
        after = previous.last_row if previous else 0
        rows = await repository.rows_between(session, after, until.last_row, BLOCK_ROWS)
        if not rows:
            return made
        last_row = rows[-1].id if len(rows) == BLOCK_ROWS else until.last_row
        previous = make_block(previous, rows, last_row, at, key.key_id, key.sign)
        await repository.insert_block(session, previous)
        made.append(previous)


async def advance(
    database: Database, before: Mark | None, key: SigningKey, folder: Path, at: datetime
) -> tuple[Mark, int]:
    """One step of the background sealer: seals up to the mark of the last step, sets a new one.

    Called four times a second a row is sealed within a second of its commit. Returns the new mark and the number of rows sealed.
    """
    blocks: list[Block] = []
    if before is not None:
        async with database.write() as session:
            made = await seal_to(session, before, key, at)
        if made is None:
            return (
                before,
                0,
            )  # a newer mark would wait for newer transactions: a busy log would never be sealed
        blocks = made
    _note(folder, blocks)
    async with database.read() as reading:
        return await mark(reading), sum(len(block.row_ids) for block in blocks)


def _note(folder: Path, blocks: Sequence[Block]) -> None:
    """After the commit: a checkpoint must never know a block that was rolled back."""
    if blocks:
        checkpoints.write(folder, blocks[-1])
        log.info(
            "audit checkpoint", block=blocks[-1].id, hash=blocks[-1].hash.hex(), last_row=blocks[-1].last_row
        )


async def seal(
    database: Database, key: SigningKey, folder: Path, at: datetime, *, patience: float = 5.0
) -> int:
    """Seals all that is committed now; waits up to `patience` seconds for transactions under way. Returns the number of rows."""
    async with database.read() as reading:
        until = await mark(reading)
    for _ in range(max(1, int(patience / 0.02))):
        async with database.write() as session:
            blocks = await seal_to(session, until, key, at)
        if blocks is not None:
            _note(folder, blocks)
            return sum(len(block.row_ids) for block in blocks)
        await asyncio.sleep(0.02)
    return 0


async def verify(
    session: ReadSession,
    keys: Sequence[SigningKey],
    known: Sequence[Checkpoint],
    progress: Callable[[int], None] | None = None,
) -> VerifyReport:
    """Recomputes the whole chain. Give it a snapshot session, and checkpoints read *before* that snapshot was taken.

    Stops at the first problem: what comes after a break is unproven anyway. `progress` is told how many rows each block proved.
    """
    public = {key.key_id: key.public for key in keys}

    def signed(key_id: str, signature: bytes, message: bytes) -> bool:
        return key_id in public and verifies(public[key_id], signature, message)

    sealed: dict[int, tuple[bytes, int]] = {}
    wanted = {point.block_id for point in known}
    previous: Block | None = None
    rows = count = 0
    problem: Problem | None = None
    async for block in queries.blocks(session):
        problem = check_block(block, previous, signed) or await _check_rows(session, block, previous)
        if problem is not None:
            break
        rows, count = rows + len(block.row_ids), count + 1
        if progress is not None:
            progress(len(block.row_ids))
        if block.id in wanted:
            sealed[block.id] = (block.hash, block.row_ids[0])
        previous = block
    if problem is None:
        problem = check_checkpoints(known, sealed, previous, signed)
    unsealed, first, since = await queries.unsealed(session, previous.last_row if previous else 0)
    if problem is not None:
        return VerifyReport(rows, count, problem, 0, None, None)
    return VerifyReport(rows, count, None, unsealed, first, since)


async def _check_rows(session: ReadSession, block: Block, previous: Block | None) -> Problem | None:
    after = previous.last_row if previous else BEFORE_ALL
    limit = (
        2 * BLOCK_ROWS + 1
    )  # one more than a block can hold would do; a flood of inserted rows is named by its first
    return check_rows(block, await repository.rows_between(session, after, block.last_row, limit))
