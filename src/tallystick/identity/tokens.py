"""Access tokens: JWT signed with Ed25519 (RFC 8725, RFC 9068). The algorithm is ours to choose, never the token's."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tallystick.identity.domain import InvalidToken, Standing, TokenExpired
from tallystick.kernel.errors import Malformed
from tallystick.platform import wire
from tallystick.platform.keys import SigningKey

ISSUER = "tallystick"
AUDIENCE = "tallystick"
LEEWAY_SECONDS = 30
API_KEY_PREFIX = "tsk_"
MAX_LENGTH = 4096
KEY_SUBJECT = "key:"
_REQUIRED = ["exp", "iat", "nbf", "sub", "aud", "iss", "jti"]
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{86}\Z", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_HEADER = frozenset({"alg", "typ", "kid"})


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: whose it is (a user, or an API key by its number), and what may end it before its time.

    `scopes` narrow what an API key may; None for users, whose role decides.
    """

    user_id: int | None
    key_id: int | None
    token_version: int
    session_id: UUID | None
    scopes: frozenset[str] | None
    expires_at: int


def issue(
    key: SigningKey, user: Standing, session_id: UUID | None, *, now: datetime, seconds: int, jti: str
) -> str:
    """A token for `user`, good for `seconds` from `now`."""
    claims = {"sub": str(user.id), "ver": user.token_version, "role": user.role}
    if session_id:
        claims["sid"] = str(session_id)
    return _signed(key, claims, now, seconds, jti)


def issue_for_key(
    key: SigningKey, api_key_id: int, scopes: Iterable[str], *, now: datetime, seconds: int, jti: str
) -> str:
    """A token for an API key (RFC 6749 §4.4), which may do what `scopes` say and the key still may."""
    claims = {
        "sub": f"{KEY_SUBJECT}{api_key_id}",
        "ver": 0,
        "role": "service",
        "scope": " ".join(sorted(scopes)),
    }
    return _signed(key, claims, now, seconds, jti)


def _signed(key: SigningKey, own: dict[str, Any], now: datetime, seconds: int, jti: str) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()),
        "exp": int((now + timedelta(seconds=seconds)).timestamp()),
        "jti": jti,
        **own,
    }
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.key_id, "typ": "at+jwt"})


def read(token: str, accepted: Mapping[str, Ed25519PublicKey]) -> Claims:
    """The claims of a valid token, signed by one of `accepted` (by key id). Raises `TokenExpired` or `InvalidToken`.

    The header may name the key among ours and nothing else: no other algorithm, no address or body of a key (`jku`, `x5u`, `jwk`).
    """
    try:
        public = accepted[_key_id(token)]
        claims = jwt.decode(
            token, public, algorithms=["EdDSA"], issuer=ISSUER, audience=AUDIENCE, leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED, "strict_aud": True},
        )  # fmt: skip
        _part(token, 1)  # a claim that stands there twice would read differently elsewhere
        return _read(claims)
    except jwt.ExpiredSignatureError:
        raise TokenExpired from None
    except (jwt.PyJWTError, Malformed, KeyError, AttributeError, ValueError, TypeError, RecursionError):
        raise InvalidToken from None


def _key_id(token: str) -> str:
    if len(token) > MAX_LENGTH or not _FORM.match(token):
        raise InvalidToken
    header = _part(token, 0)
    if header.keys() != _HEADER or (header["alg"], header["typ"]) != ("EdDSA", "at+jwt"):
        raise InvalidToken
    return str(header["kid"])


def _part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    value: dict[str, Any] = wire.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value


def _read(claims: dict[str, Any]) -> Claims:
    subject, version = claims["sub"], claims["ver"]
    of_key = subject.startswith(KEY_SUBJECT)
    number = subject.removeprefix(KEY_SUBJECT)
    if not _NUMBER.match(number) or type(version) is not int:
        raise InvalidToken
    expires_at = int(claims["exp"])
    if of_key:
        return Claims(None, int(number), version, None, frozenset(claims["scope"].split()), expires_at)
    sid = claims.get("sid")
    return Claims(int(number), None, version, None if sid is None else UUID(sid), None, expires_at)


def published(accepted: Mapping[str, Ed25519PublicKey]) -> dict[str, Any]:
    """The key set (RFC 7517, RFC 8037) that others verify with."""
    keys = [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": kid,
            "x": _base64(key.public_bytes_raw()),
        }
        for kid, key in accepted.items()
    ]
    return {"keys": keys}


def new_secret(prefix: str = "") -> str:
    """256 random bits as 43 URL-safe characters behind `prefix`. Called at the edge."""
    return prefix + _base64(secrets.token_bytes(32))


def derived_secret(key: bytes, purpose: str) -> str:
    """43 URL-safe characters that only `key` makes of `purpose`, the same ones every time: a letter written twice says the same."""
    return _base64(hmac.digest(key, purpose.encode(), "sha256"))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def secret_hash(secret: str) -> bytes:
    """SHA-256: enough for 256 random bits, and cheap to look up by."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
