"""From a request's credentials to its actor.

A verified credential is remembered for five seconds under the hash of what was presented, so that a busy caller costs a hash and a
look-up, no signature check and no statement. Five seconds is also how long a revoked key, an ended session or a disabled user still
passes in other processes; the process that ends them forgets them at once.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import Request

from tallystick.identity import queries, tokens
from tallystick.identity.domain import ROLES, InvalidToken, KeyStanding, Standing, TokenExpired, may_use
from tallystick.identity.passwords import Hasher
from tallystick.kernel.actor import Actor, Kind
from tallystick.kernel.errors import Unauthenticated
from tallystick.platform.db import Database
from tallystick.platform.keys import SigningKey

CACHE_SECONDS = 5.0
_CACHE_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class Known:
    """A verified credential. `until` is on the monotonic clock."""

    until: float
    kind: Kind
    id: str
    role: str
    permissions: frozenset[str]
    entity_id: int
    user_id: int | None
    account_no: int | None
    account_id: str | None
    session_id: UUID | None = None


@dataclass(slots=True)
class Identity:
    """What identity keeps for the length of a process: the key that signs, the keys that count, the password threads, recent credentials."""

    key: SigningKey
    accepted: Mapping[str, Ed25519PublicKey]
    hasher: Hasher
    token_seconds: int
    known: dict[bytes, Known] = field(default_factory=dict)


async def authenticate(request: Request) -> Actor:
    """The actor of this request: a user by access token, a service by API key, or nobody where nothing is presented.

    Raises `Unauthenticated`, `TokenExpired` or `InvalidToken`; what was presented and does not count is never taken for nothing.
    """
    credential = _presented(request)
    request_id: str = getattr(request.state, "request_id", "")
    address = request.client.host if request.client else None
    if credential is None:
        return Actor("anonymous", address or "", "anonymous", request_id=request_id, address=address)
    identity: Identity = request.app.state.identity
    digest = hashlib.sha256(credential.encode("utf-8", "replace")).digest()
    known = identity.known.get(digest)
    if known is None or known.until <= time.monotonic():
        known = await _verify(identity, request.app.state.database, credential)
        _remember(identity.known, digest, known)
    request.state.login_session = known.session_id
    return Actor(
        known.kind, known.id, known.role, known.permissions, known.entity_id, known.user_id, known.account_no,
        known.account_id, request_id, address,
    )  # fmt: skip


def _presented(request: Request) -> str | None:
    """The one credential of the request. Two that differ are refused rather than one of them chosen."""
    given: str | None = None
    for name, raw in request.scope["headers"]:
        if name == b"authorization":
            scheme, _, value = raw.decode("latin-1").strip().partition(" ")
            if scheme.lower() != "bearer" or not value.strip():
                raise Unauthenticated
        elif name == b"x-api-key":
            value = raw.decode("latin-1")
            if not value.strip().startswith(tokens.API_KEY_PREFIX):
                raise InvalidToken
        else:
            continue
        if given is not None and given != value.strip():
            raise InvalidToken
        given = value.strip()
    return given


async def _verify(identity: Identity, database: Database, credential: str) -> Known:
    now = time.monotonic()
    if credential.startswith(tokens.API_KEY_PREFIX):
        async with database.read() as session:
            key = await queries.key_standing(session, tokens.secret_hash(credential))
        return _known_key(key, now)
    claims = tokens.read(credential, identity.accepted)
    left = claims.expires_at + tokens.LEEWAY_SECONDS - time.time()
    if claims.key_id is not None:
        async with database.read() as session:
            key = await queries.key_standing_by_id(session, claims.key_id)
        return _known_key(key, now, left, claims.scopes)
    assert claims.user_id is not None
    async with database.read() as session:
        standing = await queries.standing(session, claims.user_id, claims.session_id)
    if standing is None or not may_use(standing, claims.token_version):
        raise InvalidToken
    return _known_user(standing, now + min(CACHE_SECONDS, left), claims.session_id)


def _known_key(
    key: KeyStanding | None, now: float, left: float = CACHE_SECONDS, scopes: frozenset[str] | None = None
) -> Known:
    """A key's own permissions; those of a token that it got, where the token has fewer."""
    if key is None or key.revoked_at is not None:
        raise InvalidToken
    left = min(left, CACHE_SECONDS)
    if key.expires_at is not None:
        left = min(left, (key.expires_at - datetime.now(UTC)).total_seconds())
        if left <= 0:
            raise TokenExpired
    rights = key.scopes if scopes is None else key.scopes & scopes
    return Known(now + left, "api_key", str(key.id), "service", rights, key.entity_id, None, None, None)


def _known_user(user: Standing, until: float, session_id: UUID | None) -> Known:
    return Known(
        until, "user", str(user.id), user.role, ROLES[user.role], user.entity_id, user.id, user.account_no,
        user.account_id, session_id,
    )  # fmt: skip


def forget(identity: Identity, kind: Kind, id_: str) -> Callable[[], None]:
    """For `session.after_commit`: what this user or key presented is looked at anew from the next request on."""

    def work() -> None:
        for digest in [
            each for each, known in identity.known.items() if (known.kind, known.id) == (kind, id_)
        ]:
            del identity.known[digest]

    return work


def _remember(cache: dict[bytes, Known], digest: bytes, known: Known) -> None:
    if len(cache) >= _CACHE_SIZE:
        for old in list(cache)[: _CACHE_SIZE // 2]:
            del cache[old]
    cache[digest] = known
