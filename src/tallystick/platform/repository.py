"""SQL of the platform's own tables: idempotency keys and the outbox."""

from collections.abc import Sequence
from typing import Any

from tallystick.platform.db import Record, Session


async def try_lock(session: Session, name: str) -> bool:
    """An advisory lock held until the transaction ends; False where another holds it. Dies with its connection: no orphan."""
    return bool(await session.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7))", name))


async def idempotency_record(session: Session, principal: str, key: str) -> Record | None:
    """The stored answer of a finished command (primary key look-up)."""
    return await session.fetchrow(
        "SELECT fingerprint, status, headers, body FROM idempotency_keys WHERE principal = $1 AND key = $2",
        principal,
        key,
    )


async def store_idempotency(
    session: Session,
    principal: str,
    key: str,
    fingerprint: bytes,
    status: int,
    headers: dict[str, str],
    body: bytes | None,
) -> None:
    """Remembers the answer in the transaction that did the work."""
    await session.execute(
        "INSERT INTO idempotency_keys (principal, key, fingerprint, status, headers, body) VALUES ($1, $2, $3, $4, $5, $6)",
        principal, key, fingerprint, status, headers, body,
    )  # fmt: skip


async def purge_idempotency(session: Session, days: int) -> int:
    """Forgets keys older than `days`; identities of events and payments live elsewhere, for ever."""
    return await session.execute(
        "DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(days => $1)", days
    )


async def insert_outbox(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    """One statement for any number of events; the sequence counts per subject from 1 without a gap.

    The subject's own row is locked by the command that emits, so that two writers never compute the same number; the unique index
    on (subject, sequence) proves it.
    """
    columns = list(zip(*rows, strict=True))
    await session.execute(
        """
        INSERT INTO outbox (event_type, version, subject_type, subject_id, sequence, payload, request_id, occurred_at)
        SELECT n.event_type, n.version, n.subject_type, n.subject_id,
               coalesce((SELECT max(o.sequence) FROM outbox o
                         WHERE o.subject_type = n.subject_type AND o.subject_id = n.subject_id), 0)
               + row_number() OVER (PARTITION BY n.subject_type, n.subject_id ORDER BY n.ord),
               n.payload, n.request_id, n.occurred_at
        FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::timestamptz[])
             WITH ORDINALITY AS n(event_type, version, subject_type, subject_id, payload, request_id, occurred_at, ord)
        ORDER BY n.ord
        """,
        *columns,
    )
