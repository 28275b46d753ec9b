"""The OAuth 2 token endpoint (RFC 6749): a form in, plain answers out, errors by the standard's names.

There are no registered clients: `password` and `refresh_token` are for the house's own pages and Swagger's Authorize, and need no
`client_id`. `client_credentials` is for services; their client is an API key: its number and the key itself.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request
from starlette.responses import Response

from tallystick.identity import edge, queries, tokens
from tallystick.identity.domain import ROLES, BadCredentials, InvalidToken
from tallystick.identity.service import Grant
from tallystick.kernel.errors import RateLimited, Refusal, Unavailable
from tallystick.platform import rate_limit
from tallystick.platform.http.envelope import ExactResponse
from tallystick.platform.http.routes import database

_FORM = "application/x-www-form-urlencoded"
_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_MOST_FIELDS = 20


class Refused(Exception):
    """An error of RFC 6749 §5.2. Nothing of what was sent is repeated."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


async def token(request: Request) -> Response:
    """The endpoint: a grant, or the error that stands against it."""
    try:
        form = _fields(request.headers.get("content-type", ""), await request.body())
        body = await _granted(request, form, _client(request, form))
        return ExactResponse(body, 200, _HEADERS)
    except Refused as refused:
        headers = dict(_HEADERS)
        if refused.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="tallystick"'
        body = {"error": refused.error, "error_description": refused.description}
        return ExactResponse(body, refused.status, headers)


def refused(outcome: Refusal) -> Response:
    """What stops the request before or outside the grant, such as a rate limit, in the shape that OAuth clients read."""
    error = "server_error" if outcome.status >= 500 else "invalid_request"
    headers = dict(_HEADERS)
    if isinstance(outcome, RateLimited | Unavailable):
        error = "temporarily_unavailable"
        headers["Retry-After"] = str(outcome.retry_after or 1)
    body = {"error": error, "error_description": outcome.sentence}
    return ExactResponse(body, outcome.status, headers)


async def _granted(request: Request, form: Mapping[str, str], client: tuple[str, str]) -> dict[str, Any]:
    kind = form.get("grant_type")
    if kind is None:
        raise Refused("invalid_request", "grant_type is required")
    if kind == "password":
        return await _by_password(request, form)
    if kind == "refresh_token":
        return await _by_refresh_token(request, form)
    if kind == "client_credentials":
        return await _by_key(request, form, client)
    raise Refused(
        "unsupported_grant_type", "grant_type must be password, refresh_token or client_credentials"
    )


async def _by_password(request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    if "username" not in form or "password" not in form:
        raise Refused("invalid_request", "username and password are required")
    user = await edge.try_password(request, form["username"], form["password"])
    if user is None:
        raise Refused("invalid_grant", "These are no one's username and password")
    if _within(form, ROLES[user.role]) != ROLES[user.role]:
        raise Refused(
            "invalid_scope", "A sign-in has all rights of its user; leave scope out, or take an API key"
        )
    try:
        return _body(await edge.sign_in(request, user), ROLES[user.role])
    except BadCredentials:
        raise Refused("invalid_grant", "These are no one's username and password") from None


async def _by_refresh_token(request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    if "refresh_token" not in form:
        raise Refused("invalid_request", "refresh_token is required")
    if form.keys() & {"scope"}:
        raise Refused("invalid_scope", "A renewed sign-in has the rights it had; leave scope out")
    try:
        grant = await edge.renew(request, form["refresh_token"])
    except InvalidToken:
        raise Refused(
            "invalid_grant", "This refresh token is unknown, used, expired or ended; sign in again"
        ) from None
    async with database(request).read() as session:
        user = await queries.user(session, grant.user_id)
    return _body(grant, ROLES[user.role])


async def _by_key(request: Request, form: Mapping[str, str], client: tuple[str, str]) -> dict[str, Any]:
    made = edge.issuing(request)
    await rate_limit.check(request, "login", f"{rate_limit.address(request)}:client")
    async with database(request).read() as session:
        key = await queries.key_standing(session, tokens.secret_hash(client[1]))
    left = made.seconds
    if key is not None and key.expires_at is not None:
        left = min(left, int((key.expires_at - made.now).total_seconds()))
    if key is None or key.revoked_at is not None or left <= 0 or str(key.id) != client[0]:
        raise Refused("invalid_client", "client_id is the number of an API key, client_secret the key", 401)
    await rate_limit.forget(
        request.app.state.limiter, request.app.state.limits["login"], f"{rate_limit.address(request)}:client"
    )
    scopes = _within(form, key.scopes)
    token_ = tokens.issue_for_key(
        made.key, key.id, scopes, now=made.now, seconds=left, jti=str(made.session_id)
    )
    return {"access_token": token_, "token_type": "bearer", "expires_in": left, "scope": _spaced(scopes)}


def _within(form: Mapping[str, str], rights: frozenset[str]) -> frozenset[str]:
    """The scopes asked for, all where none are. Raises `Refused` for one that is not among `rights`."""
    asked = frozenset(form.get("scope", "").split())
    if not asked <= rights:
        raise Refused("invalid_scope", "scope names something that these credentials may not do")
    return asked or rights


def _body(grant: Grant, rights: frozenset[str]) -> dict[str, Any]:
    return {
        "access_token": grant.access_token,
        "token_type": grant.token_type,
        "expires_in": grant.expires_in,
        "scope": _spaced(rights),
        "refresh_token": grant.refresh_token,
    }


def _spaced(scopes: frozenset[str]) -> str:
    return " ".join(sorted(scopes))


def _fields(content_type: str, body: bytes) -> dict[str, str]:
    """The form. A field without a value is as if it were left out, one sent twice is an error (RFC 6749 §3.2)."""
    if content_type.split(";")[0].strip().lower() != _FORM:
        raise Refused("invalid_request", f"Send the form as {_FORM}")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise Refused("invalid_request", "The form cannot be read") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("invalid_request", "A field of the form is there twice")
    return {name: value for name, value in pairs if value}


def _client(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Client id and secret, from the form or by HTTP Basic (RFC 6749 §2.3.1); both at once is an error."""
    header = request.headers.get("authorization", "")
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        plain = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise Refused("invalid_request", "The Authorization header cannot be read") from None
    client_id, _, secret = plain.partition(":")
    if "client_secret" in form and secret:
        raise Refused("invalid_request", "Send the client's secret once, in the header or in the form")
    return unquote_plus(client_id), unquote_plus(secret)
