"""The write side of catalog files: the lock that makes appliers take turns, and the record of what was applied."""

from collections.abc import Mapping
from typing import Any

from tallystick.kernel.actor import Actor
from tallystick.platform.db import Session

_LOCK = 728_611_015


async def lock(session: Session) -> None:
    """One applier at a time, until its transaction ends. Waits as long as the session's lock_timeout, then the driver's LockNotAvailableError."""
    await session.fetchval("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def insert_application(
    session: Session,
    actor: Actor,
    *,
    kind: str,
    rolled_back_to: int | None,
    name: str,
    digest: str,
    prune: bool,
    summary: Mapping[str, Any],
    before: str,
    after: str,
) -> int:
    """Records an application under the next number, without gaps: the caller holds the lock."""
    number: int = await session.fetchval(
        """
        INSERT INTO catalog_files (number, kind, rolled_back_to, entity_id, principal, request_id, name, digest, prune, summary,
            before, after)
        SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM catalog_files
        RETURNING number
        """,
        kind, rolled_back_to, actor.entity_id, actor.principal, actor.request_id, name, digest, prune, summary, before, after,
    )  # fmt: skip
    return number
