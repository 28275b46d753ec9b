"""Reading the audit log and its chain."""

from collections.abc import AsyncIterator
from datetime import datetime

from tallystick.audit.domain import Block
from tallystick.platform.db import ReadSession


async def blocks(session: ReadSession, after: int = 0) -> AsyncIterator[Block]:
    """Blocks in order, a few at a time: a block may hold thousands of digests."""
    position = after
    while True:
        records = await session.fetch(
            """
            SELECT id, previous_hash, hash, last_row, row_ids, row_digests, key_id, signature, created_at
            FROM audit_blocks WHERE id > $1 ORDER BY id LIMIT 50
            """,
            position,
        )
        if not records:
            return
        for record in records:
            yield Block(**record)
        position = records[-1]["id"]


async def unsealed(session: ReadSession, after: int) -> tuple[int, int | None, datetime | None]:
    """How many rows lie above the last block, the first of them and its time (primary key range)."""
    record = await session.fetchrow(
        "SELECT count(*) AS n, min(id) AS first, min(created_at) AS since FROM audit_log WHERE id > $1", after
    )
    assert record is not None
    return record["n"], record["first"], record["since"]


async def rows_about(session: ReadSession) -> int:
    """About how many rows there are, for a progress bar: ids run a little ahead of rows."""
    return int(await session.fetchval("SELECT coalesce(max(id), 0) FROM audit_log"))
