"""Users, roles and the one table of permissions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tallystick.kernel.errors import Conflict, Invalid, NotFound, Unauthenticated

Role = Literal["admin", "finance", "support", "customer"]

_READ = frozenset(
    {
        "accounts:read", "apikeys:read", "audit:read", "backfills:read", "billing:read", "catalog:read", "clocks:read", "coupons:read", "entities:read",
        "events:read", "invoices:read", "ledger:read", "profile:read", "runs:read", "subscriptions:read", "taxes:read",
        "usage:read", "users:read", "wallets:read",
    }
)  # fmt: skip
_WRITE = frozenset(
    {
        "accounts:close", "accounts:write", "apikeys:write", "billing:write", "catalog:write", "clocks:write", "coupons:apply", "coupons:write", "entities:write",
        "events:backfill", "events:write", "invoices:write", "profile:write", "rating:estimate", "runs:write", "subscriptions:write", "taxes:write",
        "usage:write", "users:write", "wallets:write",
    }
)  # fmt: skip

PERMISSIONS = _READ | _WRITE
"""Every right there is. A route names exactly one of them, or is public."""

ROLES: Mapping[Role, frozenset[str]] = {
    "admin": PERMISSIONS,
    "finance": PERMISSIONS - {"users:write", "apikeys:read", "apikeys:write", "clocks:write"},
    "support": (_READ | {"profile:write", "rating:estimate"}) - {"apikeys:read"},
    "customer": frozenset(
        {
            "accounts:read", "accounts:write", "billing:read", "catalog:read", "coupons:apply", "events:read", "invoices:read",
            "profile:read", "profile:write", "rating:estimate", "subscriptions:read", "usage:read", "wallets:read",
        }
    ),
}  # fmt: skip
"""What each role may do. A customer's rights reach only what belongs to his own account."""

SCOPES = PERMISSIONS - {
    "apikeys:read", "apikeys:write", "users:read", "users:write", "profile:read", "profile:write",
}  # fmt: skip
"""What an API key may be given: no key can make keys or users, or has a profile."""

SESSION_DAYS = 30
"""A sign-in ends after so many days, however often it was renewed."""
IDLE_DAYS = 14
"""A sign-in that nobody renews for so many days is over."""
RESETS_AN_HOUR = 5
"""Letters with a reset link that one user gets in an hour at most; what is asked beyond them is dropped without a word."""

SessionEnd = Literal["logout", "reuse", "password", "role"]


class EmailTaken(Conflict):
    code = "email_taken"
    sentence = "This e-mail address has an account already; log in, or use another address"


class WeakPassword(Invalid):
    code = "weak_password"
    sentence = "This password is too easy to guess; see details"


class BadCredentials(Unauthenticated):
    sentence = "Unauthorized"


class TokenExpired(Unauthenticated):
    code = "token_expired"
    sentence = "Token expired"


class InvalidToken(Unauthenticated):
    code = "invalid_token"
    sentence = "Invalid token"


class WrongPassword(Invalid):
    code = "wrong_password"
    sentence = "current_password: is not your password"
    problem = "is not your password"


class ResetTokenInvalid(Invalid):
    code = "reset_token_invalid"
    sentence = "token: is unknown, used or expired; ask for another letter"
    problem = "is unknown, used or expired; ask for another letter"


class NoSession(Conflict):
    code = "no_session"
    sentence = "This token belongs to no sign-in; send all: true to end every token of yours"


class UnknownScope(Invalid):
    code = "unknown_scope"
    sentence = "Some scopes do not exist; see details"


class KeyNotFound(NotFound):
    code = "api_key_not_found"
    sentence = "No such API key"


@dataclass(frozen=True, slots=True)
class User:
    """A person who signs in, with his personal fields."""

    id: int
    role: Role
    entity_id: int
    account_no: int | None
    account_id: str | None
    status: str
    token_version: int
    email: str
    first_name: str
    last_name: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a user decides over his token, read at most every few seconds. `session_alive` is None where no session was asked about."""

    id: int
    role: Role
    entity_id: int
    account_no: int | None
    account_id: str | None
    status: str
    token_version: int
    session_alive: bool | None = None


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """What of an API key decides over a request."""

    id: int
    entity_id: int
    scopes: frozenset[str]
    expires_at: datetime | None
    revoked_at: datetime | None


def check_scopes(scopes: list[str]) -> list[str]:
    """The scopes in order, each once. Raises `UnknownScope` without repeating what was sent."""
    if not scopes or not set(scopes) <= SCOPES:
        raise UnknownScope(details={"scopes": "must be some of " + ", ".join(sorted(SCOPES))})
    return sorted(set(scopes))


def may_use(user: Standing, token_version: int) -> bool:
    """Whether a token of this user still counts. Where it belongs to a session, that session's life decides; else its version."""
    if user.status != "active":
        return False
    return user.token_version == token_version if user.session_alive is None else user.session_alive
