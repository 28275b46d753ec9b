"""Reading users and keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.identity.domain import KeyStanding, Standing, User
from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page, decode_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record

_USER = """u.id, u.role, u.entity_id, u.account_no, u.account_id, u.status, u.token_version,
           p.email, p.first_name, p.last_name"""


@dataclass(frozen=True, slots=True)
class ApiKeyView:
    """A key as it is listed: never the key itself. `hint` is its beginning."""

    id: int
    name: str
    hint: str
    scopes: list[str]
    expires_at: datetime | None
    created_by: int | None
    created_at: datetime


async def user(session: ReadSession, user_id: int) -> User:
    """A user with personal fields. Raises `NotFound`, also for an erased one."""
    record = await session.fetchrow(
        f"SELECT {_USER} FROM users u JOIN user_profiles p ON p.user_id = u.id WHERE u.id = $1",  # noqa: S608
        user_id,
    )
    if record is None:
        raise NotFound("No such user", code="user_not_found")
    return User(**record)


async def by_email(session: ReadSession, email: str) -> tuple[User, str] | None:
    """The user of an address, whatever its case, with the stored password hash (unique index on lower(email))."""
    record = await session.fetchrow(
        f"""
        SELECT {_USER}, c.password_hash FROM user_profiles p JOIN users u ON u.id = p.user_id
        JOIN credentials c ON c.user_id = u.id WHERE lower(p.email) = lower($1)
        """,  # noqa: S608
        email,
    )
    if record is None:
        return None
    fields = dict(record)
    stored = fields.pop("password_hash")
    return User(**fields), stored


async def standing(session: ReadSession, user_id: int, session_id: UUID | None = None) -> Standing | None:
    """What decides over a user's token, and whether its session lives (primary keys)."""
    record = await session.fetchrow(
        """
        SELECT id, role, entity_id, account_no, account_id, status, token_version,
               CASE WHEN $2::uuid IS NOT NULL THEN EXISTS (
                   SELECT FROM sessions s WHERE s.id = $2 AND s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > now()
               ) END AS session_alive
        FROM users u WHERE id = $1
        """,
        user_id,
        session_id,
    )
    return Standing(**record) if record else None


async def session_of(session: ReadSession, token_hash: bytes) -> UUID | None:
    """The session that a refresh token renews or has renewed (unique indexes)."""
    found: UUID | None = await session.fetchval(
        """
        SELECT id FROM sessions WHERE refresh_hash = $1
        UNION ALL SELECT session_id FROM spent_refresh_tokens WHERE token_hash = $1
        """,
        token_hash,
    )
    return found


async def password_hash(session: ReadSession, user_id: int) -> str | None:
    """The stored hash of a user's password (primary key)."""
    found: str | None = await session.fetchval(
        "SELECT password_hash FROM credentials WHERE user_id = $1", user_id
    )
    return found


async def reset_email(session: ReadSession, token_hash: bytes) -> str | None:
    """The address of the user whom a living reset token belongs to; None where the token does not count."""
    found: str | None = await session.fetchval(
        """
        SELECT p.email FROM password_resets r JOIN users u ON u.id = r.user_id JOIN user_profiles p ON p.user_id = u.id
        WHERE r.token_hash = $1 AND r.used_at IS NULL AND r.expires_at > now() AND u.status = 'active'
        """,
        token_hash,
    )
    return found


async def letters_within_an_hour(session: ReadSession, user_id: int) -> int:
    """How many reset letters a user got (index on user_id and sent_at)."""
    return int(
        await session.fetchval(
            "SELECT count(*) FROM password_resets WHERE user_id = $1 AND sent_at > now() - interval '1 hour'",
            user_id,
        )
    )


async def key_standing(session: ReadSession, key_hash: bytes) -> KeyStanding | None:
    """What decides over an API key (unique index on key_hash)."""
    record = await session.fetchrow(
        "SELECT id, entity_id, scopes, expires_at, revoked_at FROM api_keys WHERE key_hash = $1", key_hash
    )
    return _key_standing(record)


async def key_standing_by_id(session: ReadSession, key_id: int) -> KeyStanding | None:
    """What decides over a token that was given for an API key (primary key)."""
    record = await session.fetchrow(
        "SELECT id, entity_id, scopes, expires_at, revoked_at FROM api_keys WHERE id = $1", key_id
    )
    return _key_standing(record)


def _key_standing(record: Record | None) -> KeyStanding | None:
    if record is None:
        return None
    return KeyStanding(
        record["id"],
        record["entity_id"],
        frozenset(record["scopes"]),
        record["expires_at"],
        record["revoked_at"],
    )


async def api_keys(session: ReadSession, entity_id: int, limit: int, cursor: str | None) -> Page[ApiKeyView]:
    """Living keys, newest first (index on entity and id, backwards)."""
    position = decode_cursor(cursor, int)
    records = await session.fetch(
        """
        SELECT id, name, hint, scopes, expires_at, created_by, created_at FROM api_keys
        WHERE entity_id = $1 AND revoked_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3
        """,
        entity_id,
        min(int(position[0]), 2**31 - 1) if position else 2**31 - 1,
        limit + 1,
    )
    rows = [ApiKeyView(**record) for record in records[:limit]]
    return Page(rows, encode_cursor(rows[-1].id) if len(records) > limit else None)


async def has_admin(session: ReadSession) -> bool:
    """Whether anyone can administer this installation."""
    return bool(
        await session.fetchval("SELECT EXISTS (SELECT FROM users WHERE role = 'admin' AND status = 'active')")
    )


async def first_admin(session: ReadSession) -> User | None:
    """The admin who was there first."""
    record = await session.fetchrow(
        f"""
        SELECT {_USER} FROM users u JOIN user_profiles p ON p.user_id = u.id
        WHERE u.role = 'admin' AND u.status = 'active' ORDER BY u.id LIMIT 1
        """  # noqa: S608
    )
    return User(**record) if record else None


async def active(session: ReadSession, email: str) -> User | None:
    """The user of an address who may sign in."""
    found = await by_email(session, email)
    return found[0] if found is not None and found[0].status == "active" else None


async def users_of_accounts(session: ReadSession, account_nos: Iterable[int]) -> dict[int, int]:
    """The first active user of each account; accounts that nobody signs in to are left out."""
    records = await session.fetch(
        """
        SELECT account_no, min(id) AS id FROM users
        WHERE account_no = ANY($1::bigint[]) AND status = 'active' GROUP BY account_no
        """,
        list(account_nos),
    )
    return {record["account_no"]: record["id"] for record in records}
