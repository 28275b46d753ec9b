"""SQL of the audit log's write side."""

from collections.abc import Sequence
from typing import Any

from tallystick.audit.domain import Block, Row
from tallystick.platform.db import ReadSession, Session

_ROW = """id, xid, actor_kind, actor_id, actor_role, entity_id, action, object_type, object_id, before, after,
          request_id, created_at"""
_BLOCK = "id, previous_hash, hash, last_row, row_ids, row_digests, key_id, signature, created_at"
_SEAL_LOCK = 728_611_002


async def insert_row(session: Session, values: Sequence[Any]) -> None:
    """One row. The transaction's number is taken in the CTE, so before the identity's next value: see `sequence_position`."""
    await session.execute(
        """
        WITH own AS MATERIALIZED (SELECT pg_current_xact_id()::text::bigint AS xid)
        INSERT INTO audit_log (xid, actor_kind, actor_id, actor_role, entity_id, action, object_type, object_id, before, after,
                               request_id)
        SELECT own.xid, $1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10 FROM own
        """,
        *values,
    )


async def insert_rows(session: Session, rows: Sequence[Sequence[Any]]) -> None:
    """Any number of rows in one statement; the same order of transaction number and identity."""
    await session.execute(
        """
        WITH own AS MATERIALIZED (SELECT pg_current_xact_id()::text::bigint AS xid)
        INSERT INTO audit_log (xid, actor_kind, actor_id, actor_role, entity_id, action, object_type, object_id, before, after,
                               request_id)
        SELECT own.xid, n.*
        FROM own, unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
                         $9::jsonb[], $10::text[]) AS n
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def subject_keys(session: Session, subjects: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """The keys of these subjects, made where they are missing. 244 random bits each."""
    records = await session.fetch(
        """
        WITH wanted AS (SELECT DISTINCT object_type, object_id FROM unnest($1::text[], $2::text[]) AS w(object_type, object_id)),
        made AS (
            INSERT INTO audit_subject_keys (object_type, object_id, key)
            SELECT object_type, object_id,
                   decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
            FROM wanted ORDER BY object_type, object_id
            ON CONFLICT (object_type, object_id) DO UPDATE SET key = audit_subject_keys.key
            RETURNING object_type, object_id, key
        )
        SELECT object_type, object_id, key FROM made
        """,
        [subject[0] for subject in subjects],
        [subject[1] for subject in subjects],
    )
    return {(record["object_type"], record["object_id"]): record["key"] for record in records}


async def delete_subject_key(session: Session, object_type: str, object_id: str) -> None:
    """After this the subject's digests say nothing to anyone."""
    await session.execute(
        "DELETE FROM audit_subject_keys WHERE object_type = $1 AND object_id = $2", object_type, object_id
    )


async def sequence_position(session: ReadSession) -> int:
    """The highest row id given out so far, committed or not; 0 at the beginning."""
    return int(
        await session.fetchval("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_log_id_seq")
    )


async def next_transaction(session: ReadSession) -> int:
    """The number that the next transaction will get."""
    return int(await session.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))


async def oldest_running(session: ReadSession) -> int:
    """Every transaction below this number has ended."""
    return int(await session.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))


async def lock_sealing(session: Session) -> None:
    """One sealer at a time; freed with the transaction. An advisory lock gives the transaction no number of its own."""
    await session.fetchval("SELECT pg_advisory_xact_lock($1)", _SEAL_LOCK)


async def last_block(session: ReadSession) -> Block | None:
    """The newest block (primary key, backwards)."""
    record = await session.fetchrow(f"SELECT {_BLOCK} FROM audit_blocks ORDER BY id DESC LIMIT 1")  # noqa: S608
    return Block(**record) if record else None


async def rows_between(session: ReadSession, after: int, until: int, limit: int) -> list[Row]:
    """Rows with `after < id <= until` in order of id (primary key range)."""
    records = await session.fetch(
        f"SELECT {_ROW} FROM audit_log WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3",  # noqa: S608
        after,
        until,
        limit,
    )
    return [Row(**record) for record in records]


async def insert_block(session: Session, block: Block) -> None:
    """The next block of the chain."""
    await session.execute(
        f"INSERT INTO audit_blocks ({_BLOCK}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",  # noqa: S608
        block.id, block.previous_hash, block.hash, block.last_row, list(block.row_ids), block.row_digests, block.key_id,
        block.signature, block.created_at,
    )  # fmt: skip
