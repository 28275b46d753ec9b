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


async def set_password(
    session: Session, user_id: int, password_hash: str, old_hash: str | None = None
) -> bool:
    """A new password; False where `old_hash` is given and is the password's no longer.

    Every token without a session dies with the version. The row of the user is locked first, before his sessions: whoever opens
    one shares that lock, so that no sign-in with the old password comes through behind it.
    """
    await session.execute("UPDATE users SET token_version = token_version + 1 WHERE id = $1", user_id)
    changed = await session.execute(
        "UPDATE credentials SET password_hash = $2 WHERE user_id = $1 AND password_hash = coalesce($3, password_hash)",
        user_id,
        password_hash,
        old_hash,
    )
    return changed == 1


async def raise_version(session: Session, user_id: int) -> None:
    """Ends every token of a user that belongs to no session."""
    await session.execute("UPDATE users SET token_version = token_version + 1 WHERE id = $1", user_id)


async def set_role(session: Session, user_id: int, role: str) -> None:
    """Another role, and status active; tokens without a session die with the version."""
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
    for table in ("user_profiles", "credentials", "sessions", "password_resets"):
        await session.execute(f"DELETE FROM {table} WHERE user_id = ANY($1::int[])", user_ids)  # noqa: S608
    await session.execute(
        "UPDATE users SET status = 'erased', token_version = token_version + 1 WHERE id = ANY($1::int[])",
        user_ids,
    )


async def insert_session(
    session: Session, session_id: UUID, user_id: int, token_version: int, refresh_hash: bytes, expires_at: datetime
) -> bool:  # fmt: skip
    """A sign-in with its refresh token; False where the user changed since his password was looked at.

    FOR SHARE waits for a change of password that is under way, and makes a later one wait and find this session.
    """
    made = await session.execute(
        """
        INSERT INTO sessions (id, user_id, refresh_hash, expires_at)
        SELECT $1, id, $4, $5 FROM users WHERE id = $2 AND token_version = $3 AND status = 'active' FOR SHARE
        """,
        session_id, user_id, token_version, refresh_hash, expires_at,
    )  # fmt: skip
    return made == 1


async def turn_session(session: Session, old_hash: bytes, new_hash: bytes, idle_days: int) -> Record | None:
    """Exchanges the refresh token of a living session; id and user_id of it, None where the old one renews nothing.

    Of two at once the second waits for the row, sees another hash in it, and gets None (unique index on refresh_hash).
    """
    return await session.fetchrow(
        """
        WITH turned AS (
            UPDATE sessions s SET refresh_hash = $2, used_at = now()
            WHERE s.refresh_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
              AND s.used_at > now() - make_interval(days => $3)
              AND EXISTS (SELECT FROM users u WHERE u.id = s.user_id AND u.status = 'active')
            RETURNING s.id, s.user_id
        ), spent AS (
            INSERT INTO spent_refresh_tokens (token_hash, session_id) SELECT $1, id FROM turned
        )
        SELECT id, user_id FROM turned
        """,
        old_hash,
        new_hash,
        idle_days,
    )


async def end_session_of_spent(session: Session, token_hash: bytes) -> Record | None:
    """Ends the session that a used refresh token once renewed; its id and user_id, None where there is none to end."""
    return await session.fetchrow(
        """
        UPDATE sessions SET revoked_at = now(), revoked_for = 'reuse'
        WHERE id = (SELECT session_id FROM spent_refresh_tokens WHERE token_hash = $1) AND revoked_at IS NULL
        RETURNING id, user_id
        """,
        token_hash,
    )


async def end_sessions(
    session: Session, user_id: int, reason: str, *, only: list[UUID] | None = None, but: UUID | None = None
) -> list[UUID]:
    """Ends living sessions of a user: all, or `only` these, or all `but` one (index on user_id); the ids of those ended."""
    records = await session.fetch(
        """
        UPDATE sessions SET revoked_at = now(), revoked_for = $2
        WHERE user_id = $1 AND revoked_at IS NULL AND ($3::uuid[] IS NULL OR id = ANY($3)) AND id IS DISTINCT FROM $4
        RETURNING id
        """,
        user_id,
        reason,
        only,
        but,
    )
    return [record["id"] for record in records]


async def delete_expired_sessions(session: Session) -> int:
    """Sign-ins whose refresh token is of no use any more (index on expires_at), a bounded number at a time."""
    return await session.execute(
        """
        DELETE FROM sessions WHERE id IN (
            SELECT id FROM sessions WHERE expires_at < now() ORDER BY expires_at LIMIT 10000 FOR UPDATE SKIP LOCKED
        )
        """
    )


async def insert_reset(session: Session, reset_id: UUID, email: str, request_id: str) -> None:
    """Writes down that someone asked for a new password: the same statement whether or not anyone has the address."""
    await session.execute(
        "INSERT INTO password_resets (id, email, request_id) VALUES ($1, $2, $3)",
        reset_id,
        email,
        request_id,
    )


async def claim_reset(session: Session) -> Record | None:
    """The next one whose letter is due, locked until the transaction ends; others step over it (partial index on next_try_at)."""
    return await session.fetchrow(
        """
        SELECT id, email, request_id FROM password_resets WHERE sent_at IS NULL AND next_try_at <= now()
        ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED
        """
    )


async def drop_reset(session: Session, reset_id: UUID) -> None:
    """Forgets a request that gets no letter, and the address in it."""
    await session.execute("DELETE FROM password_resets WHERE id = $1", reset_id)


async def open_reset(session: Session, reset_id: UUID, user_id: int, token_hash: bytes, seconds: int) -> None:
    """The letter goes out: its token counts from now on, the typed address is forgotten."""
    await session.execute(
        """
        UPDATE password_resets SET email = NULL, user_id = $2, token_hash = $3, sent_at = now(),
               expires_at = now() + make_interval(secs => $4)
        WHERE id = $1
        """,
        reset_id,
        user_id,
        token_hash,
        seconds,
    )


async def postpone_reset(session: Session, reset_id: UUID) -> int:
    """A letter that could not be written is tried again, ever later, an hour apart at most; how often it was tried."""
    return int(
        await session.fetchval(
            """
            UPDATE password_resets SET attempts = attempts + 1,
                   next_try_at = now() + make_interval(secs => least(3600, 5 * power(2, least(attempts, 12))))
            WHERE id = $1 RETURNING attempts
            """,
            reset_id,
        )
    )


async def use_reset(session: Session, token_hash: bytes) -> int | None:
    """Uses a token up, once whoever comes at the same time; its user, None where it does not count (unique index on token_hash)."""
    user_id: int | None = await session.fetchval(
        """
        UPDATE password_resets r SET used_at = now()
        WHERE r.token_hash = $1 AND r.used_at IS NULL AND r.expires_at > now()
          AND EXISTS (SELECT FROM users u WHERE u.id = r.user_id AND u.status = 'active')
        RETURNING r.user_id
        """,
        token_hash,
    )
    return user_id


async def close_resets(session: Session, user_id: int) -> None:
    """Tokens of other letters die with the password they were to replace."""
    await session.execute(
        "UPDATE password_resets SET used_at = now() WHERE user_id = $1 AND used_at IS NULL", user_id
    )


async def delete_old_resets(session: Session) -> int:
    """Tokens that expired a day ago (index on expires_at): until then they count against the letters of an hour."""
    return await session.execute("DELETE FROM password_resets WHERE expires_at < now() - interval '1 day'")


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
