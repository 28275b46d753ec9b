"""SQL of the write side of identity."""

from datetime import datetime
from uuid import UUID

from tallystick.platform.db import Record, Session


async def insert_user(
    session: Session, role: str, entity_id: int, account_no: int | None, account_id: str | None
) -> int:
    """A user without personal fields; its id."""
    return int(
        await session.fetchval(
            "INSERT INTO users (role, entity_id, account_no, account_id) VALUES ($1, $2, $3, $4) RETURNING id",
            role,
            entity_id,
            account_no,
            account_id,
        )
    )


async def insert_profile(
    session: Session, user_id: int, email: str, first_name: str, last_name: str, password_hash: str
) -> bool:
    """Personal fields and password; False where the address is taken (unique index on lower(email) decides races)."""
    taken = await session.fetchval(
        """
        WITH profile AS (
            INSERT INTO user_profiles (user_id, email, first_name, last_name) VALUES ($1, $2, $3, $4)
            ON CONFLICT ((lower(email))) DO NOTHING RETURNING user_id
        )
        INSERT INTO credentials (user_id, password_hash) SELECT user_id, $5 FROM profile RETURNING user_id
        """,
        user_id, email, first_name, last_name, password_hash,
    )  # fmt: skip
    return taken is not None


async def set_password(session: Session, user_id: int, password_hash: str) -> None:
    """A new password; every token given out before dies with the version."""
    await session.execute(
        "UPDATE credentials SET password_hash = $2 WHERE user_id = $1", user_id, password_hash
    )
    await session.execute("UPDATE users SET token_version = token_version + 1 WHERE id = $1", user_id)


async def set_role(session: Session, user_id: int, role: str) -> None:
    """Another role, and status active; every token given out before dies with the version."""
    await session.execute(
        "UPDATE users SET role = $2, status = 'active', token_version = token_version + 1 WHERE id = $1",
        user_id,
        role,
    )


async def lock_users_of_account(session: Session, account_no: int) -> list[int]:
    """The users of an account, locked in order of id."""
    records = await session.fetch(
        "SELECT id FROM users WHERE account_no = $1 AND status <> 'erased' ORDER BY id FOR UPDATE", account_no
    )
    return [record["id"] for record in records]


async def erase_users(session: Session, user_ids: list[int]) -> None:
    """Deletes everything personal; the rows stay, for the log refers to them."""
    for table in ("user_profiles", "credentials", "sessions"):
        await session.execute(f"DELETE FROM {table} WHERE user_id = ANY($1::int[])", user_ids)  # noqa: S608
    await session.execute(
        "UPDATE users SET status = 'erased', token_version = token_version + 1 WHERE id = ANY($1::int[])",
        user_ids,
    )


async def insert_session(
    session: Session, session_id: UUID, user_id: int, refresh_hash: bytes, expires_at: datetime
) -> None:
    """A sign-in with its refresh token."""
    await session.execute(
        "INSERT INTO sessions (id, user_id, refresh_hash, expires_at) VALUES ($1, $2, $3, $4)",
        session_id,
        user_id,
        refresh_hash,
        expires_at,
    )


async def delete_expired_sessions(session: Session) -> int:
    """Sign-ins whose refresh token is of no use any more (index on expires_at), a bounded number at a time."""
    return await session.execute(
        """
        DELETE FROM sessions WHERE id IN (
            SELECT id FROM sessions WHERE expires_at < now() ORDER BY expires_at LIMIT 10000 FOR UPDATE SKIP LOCKED
        )
        """
    )


async def insert_api_key(
    session: Session, entity_id: int, name: str, hint: str, key_hash: bytes, scopes: list[str],
    created_by: int | None, expires_at: datetime | None,
) -> int:  # fmt: skip
    """A new key; its id."""
    return int(
        await session.fetchval(
            """
            INSERT INTO api_keys (entity_id, name, hint, key_hash, scopes, created_by, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
            """,
            entity_id, name, hint, key_hash, scopes, created_by, expires_at,
        )
    )  # fmt: skip


async def revoke_api_key(session: Session, entity_id: int, key_id: int) -> Record | None:
    """Ends a key that still lives; None where there is none."""
    return await session.fetchrow(
        """
        UPDATE api_keys SET revoked_at = now() WHERE id = $2 AND entity_id = $1 AND revoked_at IS NULL
        RETURNING name, scopes
        """,
        entity_id,
        key_id,
    )
