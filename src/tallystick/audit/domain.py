"""The chain of audit blocks: what is hashed, how it is checked. Pure.

A row's digest is SHA-256 over one canonical spelling of its fields. A block holds the ids and digests of its rows; its hash is
SHA-256 over the previous block's hash, its own header and those digests; a signature (Ed25519) over the hash makes it a checkpoint.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.kernel.actor import Actor

GENESIS = bytes(32)
BLOCK_ROWS = 5000
"""Rows per block at most; a burst makes several blocks."""

_ROW, _BLOCK = b"tallystick audit row 1\n", b"tallystick audit block 1\n"

PERSONAL_ANYWHERE = frozenset({"email", "phone", "first_name", "last_name", "address", "tax_id"})
PERSONAL_BY_TYPE: Mapping[str, frozenset[str]] = {
    "account": frozenset({"name", "metadata"}),
}
SECRET = frozenset(
    {"password", "password_hash", "refresh_token", "access_token", "key", "key_hash", "secret"}
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to record: who did what to which object; `before` and `after` hold the fields that matter."""

    actor: Actor
    action: str
    object_type: str
    object_id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An audit row as stored."""

    id: int
    xid: int
    actor_kind: str
    actor_id: str
    actor_role: str
    entity_id: int
    action: str
    object_type: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block as stored."""

    id: int
    previous_hash: bytes
    hash: bytes
    last_row: int
    row_ids: Sequence[int]
    row_digests: bytes
    key_id: str
    signature: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is kept outside the database: without it nobody can prove that the newest blocks were not cut off."""

    block_id: int
    hash: bytes
    last_row: int
    created_at: datetime
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing wrong. `row_id` is the first row that cannot be trusted."""

    kind: str
    row_id: int
    block_id: int
    sentence: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found. `unsealed` rows are newer than the last block; nothing is proven about them yet."""

    rows: int
    blocks: int
    problem: Problem | None
    unsealed: int
    unsealed_from: int | None
    unsealed_since: datetime | None

    @property
    def intact(self) -> bool:
        """Whether every sealed row is as it was written."""
        return self.problem is None


def personal_fields(change: Change) -> bool:
    """Whether the change carries personal values at any depth, so that its subject needs a key."""
    names = _personal_names(change.object_type)
    return any(_names_any(value, names) for value in (change.before, change.after))


def masked(values: Mapping[str, Any] | None, object_type: str, key: bytes | None) -> dict[str, Any] | None:
    """`values` fit for the log: secrets gone, personal values as digests under the subject's `key`, at any depth.

    Equal values give equal digests, so that one sees whether a field changed; without the key they say nothing.
    """
    return None if values is None else _masked(values, _personal_names(object_type), key)


def _personal_names(object_type: str) -> frozenset[str]:
    return PERSONAL_ANYWHERE | PERSONAL_BY_TYPE.get(object_type, frozenset())


def _names_any(value: Any, names: frozenset[str]) -> bool:
    if isinstance(value, Mapping):
        return bool(names & value.keys()) or any(_names_any(item, names) for item in value.values())
    return isinstance(value, list | tuple) and any(_names_any(item, names) for item in value)


def _masked(value: Any, names: frozenset[str], key: bytes | None) -> Any:
    if isinstance(value, list | tuple):
        return [_masked(item, names, key) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: _digest(item, key) if name in names and item is not None else _masked(item, names, key)
        for name, item in value.items()
        if name not in SECRET
    }


def _digest(value: Any, key: bytes | None) -> dict[str, str]:
    assert key is not None, "a subject with personal values has a key"
    return {"digest": hmac.digest(key, spelling(value), "sha256").hex()[:32]}


def spelling(value: Any) -> bytes:
    """One spelling per value: sorted keys, no white space, ASCII, decimals marked so that 1.5 and "1.5" differ."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_exact)
    return text.encode()


def _exact(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return {
        "\x00": type(value).__name__,
        "value": format(value, "f") if isinstance(value, Decimal) else str(value),
    }


def row_digest(row: Row) -> bytes:
    """SHA-256 over every field of the row."""
    fields = [
        row.id, row.xid, row.actor_kind, row.actor_id, row.actor_role, row.entity_id, row.action, row.object_type,
        row.object_id, row.before, row.after, row.request_id, row.created_at,
    ]  # fmt: skip
    return hashlib.sha256(_ROW + spelling(fields)).digest()


def block_hash(
    block_id: int, previous_hash: bytes, last_row: int, ids: Sequence[int], digests: bytes, at: datetime
) -> bytes:
    """The hash that the next block and the signature build on."""
    header = spelling([block_id, last_row, at, list(ids)])
    return hashlib.sha256(_BLOCK + previous_hash + header + digests).digest()


def make_block(
    previous: Block | None,
    rows: Sequence[Row],
    last_row: int,
    at: datetime,
    key_id: str,
    sign: Callable[[bytes], bytes],
) -> Block:
    """The next block over `rows`, which are all that exist above the previous block up to `last_row`."""
    block_id = previous.id + 1 if previous else 1
    previous_hash = previous.hash if previous else GENESIS
    ids = [row.id for row in rows]
    digests = b"".join(row_digest(row) for row in rows)
    digest = block_hash(block_id, previous_hash, last_row, ids, digests, at)
    return Block(block_id, previous_hash, digest, last_row, ids, digests, key_id, sign(digest), at)


def check_block(
    block: Block, previous: Block | None, signed: Callable[[str, bytes, bytes], bool]
) -> Problem | None:
    """Whether the block follows the previous one, hashes to its hash and carries our signature."""
    after = previous.last_row if previous else 0
    first = next(iter(block.row_ids), after + 1)
    if block.id != (previous.id + 1 if previous else 1):
        missing = previous.id + 1 if previous else 1
        return Problem(
            "block_missing",
            after + 1,
            missing,
            f"Block {missing} is missing; rows from {after + 1} on are unproven",
        )
    if block.previous_hash != (previous.hash if previous else GENESIS):
        return Problem(
            "chain_broken", first, block.id, f"Block {block.id} does not continue the block before it"
        )
    expected = block_hash(
        block.id, block.previous_hash, block.last_row, block.row_ids, block.row_digests, block.created_at
    )
    if expected != block.hash:
        return Problem("block_changed", first, block.id, f"Block {block.id} was changed after it was sealed")
    if not signed(block.key_id, block.signature, block.hash):
        return Problem(
            "signature_invalid",
            first,
            block.id,
            f"Block {block.id} is not signed by this installation's key: it was rewritten",
        )
    return None


def check_rows(block: Block, rows: Iterable[Row]) -> Problem | None:
    """The first row of the block that was changed, removed or put in between."""
    digests = {
        row_id: block.row_digests[32 * place : 32 * place + 32] for place, row_id in enumerate(block.row_ids)
    }
    found = {row.id: row for row in rows}
    for row_id in sorted(digests.keys() | found.keys()):
        if row_id not in found:
            return Problem("row_deleted", row_id, block.id, f"Row {row_id} of block {block.id} was deleted")
        if row_id not in digests:
            return Problem(
                "row_inserted",
                row_id,
                block.id,
                f"Row {row_id} was put into block {block.id} after it was sealed",
            )
        if row_digest(found[row_id]) != digests[row_id]:
            return Problem("row_changed", row_id, block.id, f"Row {row_id} of block {block.id} was changed")
    return None


def check_checkpoints(
    known: Sequence[Checkpoint],
    sealed: Mapping[int, tuple[bytes, int]],
    last: Block | None,
    signed: Callable[[str, bytes, bytes], bool],
) -> Problem | None:
    """Whether the chain still holds every block that a checkpoint outside the database has seen, and the checkpoints are ours.

    `sealed` gives hash and first row of the blocks that checkpoints name, where they exist.
    """
    foreign: Checkpoint | None = None
    for point in sorted(known, key=lambda each: each.block_id):
        if not signed(point.key_id, point.signature, point.hash):
            foreign = foreign or point  # it says nothing about the chain, but somebody wrote it
            continue
        if point.block_id not in sealed:
            row = (last.last_row if last else 0) + 1
            return Problem(
                "tail_removed", row, point.block_id,
                f"A checkpoint of {point.created_at:%Y-%m-%d %H:%M:%S} UTC knows block {point.block_id} up to row {point.last_row}, "
                "which is gone: rows were removed, or an older database was restored",
            )  # fmt: skip
        digest, first_row = sealed[point.block_id]
        if digest != point.hash:
            return Problem(
                "rewritten",
                first_row,
                point.block_id,
                f"Block {point.block_id} differs from its checkpoint: the chain was rewritten",
            )
    if foreign is None:
        return None
    _, first_row = sealed.get(foreign.block_id, (b"", (last.last_row if last else 0) + 1))
    return Problem(
        "checkpoint_changed", first_row, foreign.block_id,
        f"The checkpoint of block {foreign.block_id} is not signed by a key of ours: the file was changed, or a key is missing",
    )  # fmt: skip
