"""Access tokens: JWT signed with Ed25519 (RFC 8725, RFC 9068). The algorithm is ours to choose, never the token's."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from tallystick.identity.domain import InvalidToken, Standing, TokenExpired
from tallystick.platform.keys import SigningKey

ISSUER = "tallystick"
AUDIENCE = "tallystick"
LEEWAY_SECONDS = 30
API_KEY_PREFIX = "tsk_"
_REQUIRED = ["exp", "iat", "nbf", "sub", "aud", "iss", "jti"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    user_id: int
    token_version: int
    expires_at: int


def issue(
    key: SigningKey, user: Standing, session_id: UUID | None, *, now: datetime, seconds: int, jti: str
) -> str:
    """A token for `user`, good for `seconds` from `now`."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user.id),
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()),
        "exp": int((now + timedelta(seconds=seconds)).timestamp()),
        "jti": jti,
        "ver": user.token_version,
        "role": user.role,
        **({"sid": str(session_id)} if session_id else {}),
    }
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.key_id, "typ": "at+jwt"})


def read(token: str, key: SigningKey) -> Claims:
    """The claims of a valid token. Raises `TokenExpired` or `InvalidToken`."""
    try:
        claims = jwt.decode(
            token, key.public, algorithms=["EdDSA"], issuer=ISSUER, audience=AUDIENCE, leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED, "strict_aud": True},
        )  # fmt: skip
        user_id, version = claims["sub"], claims["ver"]
        if not (user_id.isascii() and user_id.isdigit() and len(user_id) < 10 and isinstance(version, int)):
            raise InvalidToken
        return Claims(int(user_id), version, int(claims["exp"]))
    except jwt.ExpiredSignatureError:
        raise TokenExpired from None
    except (jwt.PyJWTError, KeyError, AttributeError, ValueError, TypeError, RecursionError):
        raise InvalidToken from None


def new_secret(prefix: str = "") -> str:
    """256 random bits as 43 URL-safe characters behind `prefix`. Called at the edge."""
    return prefix + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def secret_hash(secret: str) -> bytes:
    """SHA-256: enough for 256 random bits, and cheap to look up by."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
