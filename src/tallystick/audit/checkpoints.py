"""Checkpoints outside the database: `head.json`, the newest block, and `checkpoints.jsonl`, one line an hour.

Whoever can change every table still cannot change these without leaving the database's machine, nor sign for us.
"""

import base64
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tallystick.audit.domain import Block, Checkpoint
from tallystick.platform import wire

_EVERY = timedelta(hours=1)


def write(folder: Path, block: Block) -> None:
    """Notes the newest block. Raises `OSError` where the folder cannot be written. A repeat changes nothing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = wire.dumps(_out(block)) + b"\n"
    log = folder / "checkpoints.jsonl"
    last = _last(log)
    if last is None or (block.id > last.block_id and block.created_at - last.created_at >= _EVERY):
        with log.open("ab") as file:
            file.write(line)
    part = folder / f".head.{os.getpid()}"
    part.write_bytes(line)
    part.replace(folder / "head.json")


def read(folder: Path) -> Sequence[Checkpoint]:
    """All checkpoints in the folder; none where there is no folder. Lines that cannot be read prove nothing and are left out."""
    found: list[Checkpoint] = []
    for name in ("checkpoints.jsonl", "head.json"):
        path = folder / name
        if path.exists():
            found.extend(point for line in path.read_bytes().splitlines() if (point := _in(line)) is not None)
    return found


def _last(log: Path) -> Checkpoint | None:
    if not log.exists():
        return None
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1024))
        lines = file.read().splitlines()
    return _in(lines[-1]) if lines else None


def _out(block: Block) -> dict[str, Any]:
    return {
        "block": block.id,
        "hash": block.hash.hex(),
        "last_row": block.last_row,
        "at": block.created_at.isoformat(),
        "key": block.key_id,
        "signature": base64.b64encode(block.signature).decode(),
    }


def _in(line: bytes) -> Checkpoint | None:
    try:
        fields = wire.loads_own(line)
        return Checkpoint(
            fields["block"], bytes.fromhex(fields["hash"]), fields["last_row"], datetime.fromisoformat(fields["at"]),
            fields["key"], base64.b64decode(fields["signature"]),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError):
        return None
