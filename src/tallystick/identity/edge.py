"""What the routes of identity, and the register route of accounts, do before and after their transaction."""

import hashlib
from typing import Any

from fastapi import Request

from tallystick.identity import queries, service, sessions, tokens
from tallystick.identity.authentication import Identity
from tallystick.identity.domain import ResetTokenInvalid, User, WeakPassword, WrongPassword
from tallystick.identity.passwords import MAX_LENGTH, MIN_LENGTH, check_password
from tallystick.identity.service import Grant, Issuing
from tallystick.kernel.errors import Unauthenticated
from tallystick.platform import rate_limit
from tallystick.platform.db import Session
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.routes import StrictRequest, actor_of, database


def issuing(request: Request) -> Issuing:
    """Key, clock and chance for one sign-in."""
    identity = identity_of(request)
    return Issuing(identity.key, system_now(), identity.token_seconds, new_uuid(), tokens.new_secret())


async def hash_new_password(request: Request) -> None:
    """Before a registration: counts it against the address, hashes the password. `new_password_hash` gives the result.

    A body that the route will refuse costs no hash; a weak password is refused here, for a hash of it would be wasted.
    """
    request.state.password_hash = None
    await rate_limit.check(request, "register", rate_limit.address(request))
    email, password = await _strings(request, "email", "password")
    if email is not None and password is not None:
        await _hash(request, password, email)


async def _hash(request: Request, password: str, email: str) -> None:
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return  # the route names the field
    try:
        check_password(password, email)
    except WeakPassword as weak:
        request.state.refused_password = weak
        return
    request.state.password_hash = await identity_of(request).hasher.hash(password)


def new_password_hash(request: Request) -> str:
    """The hash made before the transaction. Raises what stood against it: `WeakPassword`, `ResetTokenInvalid`."""
    made: str | None = request.state.password_hash
    if made is None:
        raise getattr(request.state, "refused_password", None) or WeakPassword()
    return made


async def check_login(request: Request) -> None:
    """Before a login: `signed_in` gives the user whose password it is."""
    request.state.signed_in = None
    email, password = await _strings(request, "email", "password")
    if email is not None and password is not None:
        request.state.signed_in = await try_password(request, email, password)


async def try_password(request: Request, email: str, password: str) -> User | None:
    """The active user with this address and password, None for all else, at equal cost. Counted against address and e-mail.

    Whoever is signed in already counts against his address too: the limit of a principal is no licence to guess.
    """
    if actor_of(request).kind != "anonymous":
        await rate_limit.check(request, "anonymous", rate_limit.address(request))
    subject = _login_subject(request, email)
    await rate_limit.check(request, "login", subject)
    found: tuple[User, str] | None = None
    if len(email) <= 320 and "\x00" not in email:
        async with database(request).read() as session:
            found = await queries.by_email(session, email)
    right = await identity_of(request).hasher.check(password, found[1] if found else None)
    if not right or found is None or found[0].status != "active":
        return None
    await rate_limit.forget(request.app.state.limiter, request.app.state.limits["login"], subject)
    return found[0]


def signed_in(request: Request) -> User:
    """The user found by `check_login`. Raises `Unauthenticated`, the same for a wrong password and an unknown address."""
    user: User | None = request.state.signed_in
    if user is None:
        raise Unauthenticated
    return user


async def sign_in(request: Request, user: User) -> Grant:
    """A session of its own transaction. Raises `BadCredentials`."""
    made = issuing(request)

    async def work(session: Session) -> Grant:
        return await service.sign_in(session, user, made)

    return await database(request).run(work)


async def renew(request: Request, refresh_token: str) -> Grant:
    """A renewal in its own transaction, committed before anything is refused. Raises `InvalidToken`."""
    made = issuing(request)

    async def work(session: Session) -> Grant | None:
        return await sessions.renew(session, actor_of(request), refresh_token, made)

    return sessions.granted(await database(request).run(work))


async def check_current_password(request: Request) -> None:
    """Before a change of password: tries the current one, at the price of a login, and hashes the new one."""
    request.state.password_hash = request.state.old_hash = None
    user_id = actor_of(request).user_id
    current, new = await _strings(request, "current_password", "new_password")
    if user_id is None or current is None or new is None:
        return  # the route names the field, or says who may
    subject = f"user:{user_id}"
    await rate_limit.check(request, "login", subject)
    async with database(request).read() as session:
        stored = await queries.password_hash(session, user_id)
        email = (await queries.user(session, user_id)).email
    if not await identity_of(request).hasher.check(current, stored):
        return
    request.state.old_hash = stored
    await rate_limit.forget(request.app.state.limiter, request.app.state.limits["login"], subject)
    await _hash(request, new, email)


def old_password_hash(request: Request) -> str:
    """The stored hash of the current password, where that was right. Raises `WrongPassword`."""
    stored: str | None = request.state.old_hash
    if stored is None:
        raise WrongPassword(details={"current_password": WrongPassword.problem})
    return stored


async def count_reset(request: Request) -> None:
    """Before a letter is asked for: counted against the address, whatever the e-mail."""
    await rate_limit.check(request, "reset", rate_limit.address(request))


async def check_reset(request: Request) -> None:
    """Before a reset: counted against the address; a token that counts gets its new password hashed, another costs no hash."""
    request.state.password_hash = None
    await rate_limit.check(request, "reset", rate_limit.address(request))
    token, new = await _strings(request, "token", "new_password")
    if token is None or new is None:
        return
    async with database(request).read() as session:
        email = await queries.reset_email(session, tokens.secret_hash(token))
    if email is None:
        request.state.refused_password = ResetTokenInvalid(details={"token": ResetTokenInvalid.problem})
    else:
        await _hash(request, new, email)


def identity_of(request: Request) -> Identity:
    """Keys and password threads of this process."""
    identity: Identity = request.app.state.identity
    return identity


def grant_data(grant: Grant) -> dict[str, Any]:
    """The answer of register and login, in the contract's order."""
    return {
        "access_token": grant.access_token,
        "token_type": grant.token_type,
        "expires_in": grant.expires_in,
        "user_id": grant.user_id,
        "email": grant.email,
        "refresh_token": grant.refresh_token,
    }


def _login_subject(request: Request, email: str) -> str:
    digest = hashlib.sha256(email.strip().casefold().encode("utf-8", "replace")).hexdigest()[:24]
    return f"{rate_limit.address(request)}:{digest}"


async def _strings(request: Request, first: str, second: str) -> tuple[str | None, str | None]:
    """Two fields of the body where both are strings; the route itself says what is wrong with any other body."""
    if not isinstance(request, StrictRequest):
        raise TypeError("routes of this application read JSON strictly")
    body = await request.json() if await request.body() else None
    if not isinstance(body, dict):
        return None, None
    one, two = body.get(first), body.get(second)
    if not isinstance(one, str) or not isinstance(two, str):
        return None, None
    return one, two
