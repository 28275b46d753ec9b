"""What the login route here and the register route of accounts do before and after their transaction."""

import hashlib
from typing import Any

from fastapi import Request

from tallystick.identity import queries, tokens
from tallystick.identity.authentication import Identity
from tallystick.identity.domain import User, WeakPassword
from tallystick.identity.passwords import check_password
from tallystick.identity.service import Grant, Issuing
from tallystick.kernel.errors import Unauthenticated
from tallystick.platform import rate_limit
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.routes import StrictRequest


def issuing(request: Request) -> Issuing:
    """Key, clock and chance for one sign-in."""
    identity: Identity = request.app.state.identity
    return Issuing(identity.key, system_now(), identity.token_seconds, new_uuid(), tokens.new_secret())


async def hash_new_password(request: Request) -> None:
    """Before a registration: counts it against the address, hashes the password. `new_password_hash` gives the result.

    A body that the route will refuse costs no hash; a weak password is refused here, for a hash of it would be wasted.
    """
    request.state.password_hash = None
    await rate_limit.check(request, "register", rate_limit.address(request))
    email, password = await _pair(request)
    if email is not None and password is not None and len(password) >= 12:
        try:
            check_password(password, email)
        except WeakPassword as weak:
            request.state.weak_password = weak
            return
        identity: Identity = request.app.state.identity
        request.state.password_hash = await identity.hasher.hash(password)


def new_password_hash(request: Request) -> str:
    """The hash made by `hash_new_password`. Raises `WeakPassword`."""
    made: str | None = request.state.password_hash
    if made is None:
        raise getattr(request.state, "weak_password", None) or WeakPassword()
    return made


async def check_login(request: Request) -> None:
    """Before a login: counts it against address and e-mail, finds the user and tries the password, at equal cost for nobody."""
    request.state.signed_in = None
    email, password = await _pair(request)
    if email is None or password is None:
        return  # the route names the field
    subject = _login_subject(request, email)
    await rate_limit.check(request, "login", subject)
    found: tuple[User, str] | None = None
    if len(email) <= 320 and "\x00" not in email:
        async with request.app.state.database.read() as session:
            found = await queries.by_email(session, email)
    identity: Identity = request.app.state.identity
    right = await identity.hasher.check(password, found[1] if found else None)
    if right and found is not None and found[0].status == "active":
        request.state.signed_in = found[0]
        await rate_limit.forget(request.app.state.limiter, request.app.state.limits["login"], subject)


def signed_in(request: Request) -> User:
    """The user found by `check_login`. Raises `Unauthenticated`, the same for a wrong password and an unknown address."""
    user: User | None = request.state.signed_in
    if user is None:
        raise Unauthenticated
    return user


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


async def _pair(request: Request) -> tuple[str | None, str | None]:
    """E-mail and password of the body where both are strings; the route itself says what is wrong with any other body."""
    if not isinstance(request, StrictRequest):
        raise TypeError("routes of this application read JSON strictly")
    body = await request.json() if await request.body() else None
    if not isinstance(body, dict):
        return None, None
    email, password = body.get("email"), body.get("password")
    if not isinstance(email, str) or not isinstance(password, str):
        return None, None
    return email, password
