"""Commands of identity. Registration is `accounts.service.register`, which calls `register_user` and `sign_in`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tallystick.audit import service as audit
from tallystick.identity import queries, repository, tokens
from tallystick.identity.domain import (
    SESSION_DAYS,
    BadCredentials,
    EmailTaken,
    KeyNotFound,
    Role,
    Standing,
    User,
    check_scopes,
)
from tallystick.kernel.actor import Actor
from tallystick.platform.db import Session
from tallystick.platform.keys import SigningKey


@dataclass(frozen=True, slots=True)
class Grant:
    """What a sign-in answers (CONTRACT §3)."""

    access_token: str
    token_type: str
    expires_in: int
    user_id: int
    email: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Issuing:
    """What signing in needs from the edge: key, clock and chance. `session_id` is a fresh id: of a new session, or of a renewal."""

    key: SigningKey
    now: datetime
    seconds: int
    session_id: UUID
    refresh_token: str


async def register_user(
    session: Session, actor: Actor, *, email: str, password_hash: str, first_name: str, last_name: str, role: Role,
    account_no: int | None = None, account_id: str | None = None, entity_id: int = 1,
) -> User:  # fmt: skip
    """Makes a user; customers carry their account. Raises `EmailTaken`; then the caller's transaction must not be kept."""
    user_id = await repository.insert_user(session, role, entity_id, account_no, account_id)
    if not await repository.insert_profile(session, user_id, email, first_name, last_name, password_hash):
        raise EmailTaken(details={"email": EmailTaken.sentence})
    user = User(user_id, role, entity_id, account_no, account_id, "active", 1, email, first_name, last_name)
    after = {
        "role": role,
        "account_id": account_id,
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
    }
    await audit.record(session, actor, "user.registered", "user", str(user_id), None, after)
    return user


async def sign_in(session: Session, user: User, issuing: Issuing) -> Grant:
    """Opens a session for a user whose password was right, and writes it down.

    Raises `BadCredentials` where the password was changed or the user ended since it was looked at.
    """
    expires_at = issuing.now + timedelta(days=SESSION_DAYS)
    opened = await repository.insert_session(
        session, issuing.session_id, user.id, user.token_version, tokens.secret_hash(issuing.refresh_token), expires_at
    )  # fmt: skip
    if not opened:
        raise BadCredentials
    return grant(user, issuing.session_id, issuing)


def grant(user: User, session_id: UUID, issuing: Issuing) -> Grant:
    """What a sign-in and each renewal of it answer."""
    token = tokens.issue(
        issuing.key, standing_of(user), session_id, now=issuing.now, seconds=issuing.seconds,
        jti=str(issuing.session_id),
    )  # fmt: skip
    return Grant(token, "bearer", issuing.seconds, user.id, user.email, issuing.refresh_token)


def standing_of(user: User) -> Standing:
    """The part of a user that a token speaks of."""
    return Standing(
        user.id, user.role, user.entity_id, user.account_no, user.account_id, user.status, user.token_version
    )


async def ensure_admin(
    session: Session, actor: Actor, *, email: str, password_hash: str
) -> tuple[User, bool]:
    """Sees to it that this admin exists; True where he was made. A known user becomes admin and gets the password.

    A customer keeps his account and his role: raises `EmailTaken`.
    """
    found = await queries.by_email(session, email)
    if found is None:
        made = await register_user(
            session,
            actor,
            email=email,
            password_hash=password_hash,
            first_name="Admin",
            last_name="",
            role="admin",
        )
        return made, True
    user = found[0]
    if user.role == "customer":
        raise EmailTaken("This e-mail address belongs to a customer; choose another for the admin")
    await repository.set_password(session, user.id, password_hash)
    if user.role != "admin" or user.status != "active":
        await repository.set_role(session, user.id, "admin")
    await repository.end_sessions(session, user.id, "role")
    before, after = {"role": user.role, "status": user.status}, {"role": "admin", "status": "active"}
    await audit.record(session, actor, "user.made_admin", "user", str(user.id), before, after)
    return await queries.user(session, user.id), False


async def erase_users_of(session: Session, actor: Actor, account_no: int) -> None:
    """Erases the people of a closed account: their tokens die, their personal fields and the log's digests of them go.

    A repeat does nothing.
    """
    user_ids = await repository.lock_users_of_account(session, account_no)
    if not user_ids:
        return
    await repository.erase_users(session, user_ids)
    for user_id in user_ids:
        await audit.record(session, actor, "user.erased", "user", str(user_id))
        await audit.forget(session, "user", str(user_id))


async def forget_expired_sessions(session: Session) -> int:
    """Housekeeping; how many went. A repeat goes on where this stopped."""
    return await repository.delete_expired_sessions(session)


async def make_api_key(
    session: Session, actor: Actor, *, key: str, name: str, scopes: list[str], expires_at: datetime | None
) -> tuple[int, list[str]]:
    """Stores the hash of `key`, which the edge made and shows once; its id and scopes. Raises `UnknownScope`."""
    granted = check_scopes(scopes)
    hint = key[: len(tokens.API_KEY_PREFIX) + 4]
    key_id = await repository.insert_api_key(
        session, actor.entity_id, name, hint, tokens.secret_hash(key), granted, actor.user_id, expires_at
    )
    after = {"name": name, "scopes": granted, "expires_at": expires_at}
    await audit.record(session, actor, "api_key.created", "api_key", str(key_id), None, after)
    return key_id, granted


async def revoke_api_key(session: Session, actor: Actor, key_id: int) -> None:
    """Ends a key; it stops working within five seconds everywhere. Raises `KeyNotFound`."""
    ended = await repository.revoke_api_key(session, actor.entity_id, key_id)
    if ended is None:
        raise KeyNotFound
    before = {"name": ended["name"], "scopes": list(ended["scopes"])}
    await audit.record(session, actor, "api_key.revoked", "api_key", str(key_id), before, None)
