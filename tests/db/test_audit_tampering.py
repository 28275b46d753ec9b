"""Tampering that test_audit_chain has not: hashes, signatures, checkpoints; and what `tallystick audit verify` says of it to a person."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.platform.db import Database
from tallystick.platform.keys import load_key
from tests.db.test_audit_chain import Log, rehash, tamper, write
from tests.db.test_identity_cli import Program


@pytest.fixture
async def log(database: Database, tmp_path: Path) -> Log:
    """Twelve rows in three blocks, in the places where the program looks."""
    made = Log(database, load_key(tmp_path / "keys", "audit", make=True), tmp_path / "audit")
    for block in range(3):
        for number in range(4):
            await write(database, 4 * block + number + 1)
        assert await made.seal() == 4
    return made


@pytest.fixture
def program(database_url: str, tmp_path: Path) -> Program:
    return Program(database_url, tmp_path)


async def found(log: Log) -> tuple[str, int, int | None]:
    """Kind of the problem, first bad row, block."""
    problem = (await log.verify()).problem
    assert problem is not None
    return problem.kind, problem.row_id, problem.block_id


_ROW = """INSERT INTO audit_log (id, xid, actor_kind, actor_id, actor_role, entity_id, action, object_type, object_id, request_id)
    OVERRIDING SYSTEM VALUE VALUES ({}, 1, 'user', '1', 'admin', 1, 'plan.changed', 'plan', '6', '')"""


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        ([_ROW.format(0)], ("row_inserted", 0, 1)),
        (
            ["UPDATE audit_log a SET after = b.after FROM audit_log b WHERE (a.id, b.id) IN ((6, 10), (10, 6))"],
            ("row_changed", 6, 2),
        ),
        (["UPDATE audit_blocks SET hash = previous_hash WHERE id = 2"], ("block_changed", 5, 2)),
        (["UPDATE audit_blocks SET signature = decode(repeat('00', 64), 'hex') WHERE id = 3"], ("signature_invalid", 9, 3)),
    ],
)  # fmt: skip
async def test_each_tampering_is_named(
    log: Log, statements: list[str], problem: tuple[str, int, int]
) -> None:
    assert (await log.verify()).intact
    await tamper(log.database, *statements)
    assert await found(log) == problem


async def test_a_chain_signed_anew_is_named(log: Log, tmp_path: Path) -> None:
    """With another key the signature fails; with our own the checkpoint outside knows better."""
    await rehash(log, load_key(tmp_path / "elsewhere", "audit", make=True))
    assert await found(log) == ("signature_invalid", 5, 2)
    await rehash(log, log.key)
    assert await found(log) == ("rewritten", 9, 3)


def _with(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda fields: {**fields, **changes}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_with(hash="ab" * 32), ("checkpoint_changed", 9, 3)),
        (_with(signature="AAAA"), ("checkpoint_changed", 9, 3)),
        (_with(key="another"), ("checkpoint_changed", 9, 3)),
        (_with(block=2), ("rewritten", 5, 2)),
        (_with(block=7), ("tail_removed", 13, 7)),
    ],
)
async def test_a_changed_checkpoint_is_named(
    log: Log,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    problem: tuple[str, int, int],
) -> None:
    """It is signed: nobody can bring it into line with a log that he changed."""
    head = log.folder / "head.json"
    head.write_text(json.dumps(change(json.loads(head.read_text()))))
    assert await found(log) == problem


async def test_a_changed_checkpoint_hides_nothing(log: Log) -> None:
    """What the other checkpoints know of the chain is said first."""
    head = log.folder / "head.json"
    head.write_text(json.dumps(_with(hash="ab" * 32)(json.loads(head.read_text()))))
    await tamper(log.database, "DELETE FROM audit_log", "DELETE FROM audit_blocks")
    assert await found(log) == ("tail_removed", 1, 1)


async def told(program: Program) -> str:
    """The kind, once the command has said the same to people and to programs, both with status 1."""
    shown, read = await program("audit", "verify"), await program("audit", "verify", "--json")
    assert (shown.status, read.status, read.json["intact"]) == (1, 1, False)
    problem = read.json["problem"]
    assert shown.out.splitlines()[0] == f"{problem['sentence']}. First bad row: {problem['first_bad_row']}."
    return f"{problem['kind']} at row {problem['first_bad_row']}, block {problem['block']}"


async def test_the_command_names_it(log: Log, program: Program) -> None:
    """From the mildest on: what comes earlier in the chain is said instead of what comes later."""
    assert (await program("audit", "verify")).out == "Intact: 12 rows in 3 blocks.\n"
    await write(log.database, 13)
    tail = await program("audit", "verify")
    assert (tail.status, tail.out.splitlines()[0]) == (0, "Intact: 12 rows in 3 blocks.")
    assert "Not sealed yet: 1 rows from row 13 on, since " in tail.out
    head = log.folder / "head.json"
    head.write_text(json.dumps(_with(hash="ab" * 32)(json.loads(head.read_text()))))
    assert await told(program) == "checkpoint_changed at row 9, block 3"
    await tamper(log.database, "DELETE FROM audit_log WHERE id = 10")
    assert await told(program) == "row_deleted at row 10, block 3"
    await tamper(log.database, "UPDATE audit_log SET actor_id = '8' WHERE id = 6")
    assert await told(program) == "row_changed at row 6, block 2"
    await tamper(log.database, "DELETE FROM audit_log", "DELETE FROM audit_blocks")
    assert await told(program) == "tail_removed at row 1, block 1"
