"""Signing in and out, passwords, who am I, API keys, the public keys."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.identity import authentication, edge, oauth, queries, recovery, service, sessions, tokens
from tallystick.identity.schemas import (
    ApiKeyIn,
    ApiKeyOut,
    EndedOut,
    ForgotIn,
    GrantOut,
    KeySetOut,
    LoginIn,
    LogoutIn,
    MeOut,
    NewApiKeyOut,
    PasswordIn,
    RefreshIn,
    ResetIn,
    TokenOut,
    TokenRefused,
)
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, ExactResponse, Listing, created, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit
from tallystick.platform.http.routes import (
    Reading,
    Writing,
    actor_of,
    allow,
    any_query,
    own_sessions,
    own_transaction,
    prepared,
    public,
    refuses_as,
    router,
    secret_answer,
)

auth = router("identity", "/auth")
keys = router("identity", "/api-keys")
known = router("identity", "/.well-known")
routers: list[tuple[APIRouter, list[str]]] = [(auth, ["/v1"]), (keys, ["/v1"]), (known, [""])]
KeyId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@auth.post("/login", summary="Sign in", response_model=Envelope[GrantOut], responses=responses(409))
@public
@secret_answer
@prepared(edge.check_login)
async def login(request: Request, body: LoginIn, session: Writing) -> Response:
    """A wrong password, an unknown address and a closed user get the same 401. Ten tries a minute per address and e-mail."""
    grant = await service.sign_in(session, edge.signed_in(request), edge.issuing(request))
    return ok(request, edge.grant_data(grant), "Logged in")


_TEXT = {"type": "string"}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {
                            "type": "string",
                            "enum": ["password", "refresh_token", "client_credentials"],
                        },
                        "username": {**_TEXT, "description": "password: the e-mail address"},
                        "password": {**_TEXT, "format": "password", "description": "password"},
                        "refresh_token": {**_TEXT, "description": "refresh_token"},
                        "client_id": {**_TEXT, "description": "client_credentials: the API key's number"},
                        "client_secret": {**_TEXT, "format": "password", "description": "client_credentials: the API key"},
                        "scope": {**_TEXT, "description": "Permissions apart by spaces; all that there are if left out"},
                    },
                    "example": {"grant_type": "password", "username": "user@example.com", "password": "SecurePassword123!"},
                }
            }
        },
    }
}  # fmt: skip
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": TokenRefused, "description": "An error of RFC 6749 §5.2"},
    401: {"model": TokenRefused, "description": "`invalid_client`"},
    429: {"model": TokenRefused, "description": "`temporarily_unavailable`; try again after `Retry-After`"},
    503: {"model": TokenRefused, "description": "`temporarily_unavailable`"},
}


@auth.post(
    "/token", summary="OAuth 2 token", response_model=TokenOut, responses=_REFUSED, openapi_extra=_FORM
)
@public
@refuses_as(oauth.refused)
@any_query
@own_transaction
async def issue_token(request: Request) -> Response:
    """A form in and plain answers out (RFC 6749), without the envelope; `Idempotency-Key` is not read here.

    `password`: a user's e-mail and password; a sign-in has all rights of its user, so that `scope` is left out. `refresh_token`: exchanges the token, as `/v1/auth/refresh` does. `client_credentials`:
    an API key's number and the key, by HTTP Basic or in the form; the token may do what `scope` names, no longer than the key.
    """
    return await oauth.token(request)


@auth.post("/refresh", summary="Renew a sign-in", response_model=Envelope[GrantOut], responses=responses(409))
@public
@secret_answer
@own_sessions
async def refresh_session(request: Request, body: RefreshIn) -> Response:
    """A new access token and a new refresh token; the old one is used up. Shown again, it ends the session: 401 for both holders.

    Send an `Idempotency-Key` where an answer may get lost: asking again is then 409 `already_issued`, and ends nothing. A session
    lasts 30 days, and 14 without renewal.
    """
    return ok(request, edge.grant_data(await edge.renew(request, body.refresh_token)), "Renewed")


@auth.post("/logout", summary="Sign out", response_model=Envelope[EndedOut], responses=responses(409))
async def logout(
    request: Request, session: Writing, body: LogoutIn | None = None, actor: Actor = allow("profile:write")
) -> Response:
    """Ends the session of this request, its refresh token and its access tokens; with `all` every session and token of yours."""
    asked = body or LogoutIn()
    ended = await sessions.log_out(
        session, actor, current=request.state.login_session, refresh_token=asked.refresh_token, everywhere=asked.all
    )  # fmt: skip
    session.after_commit.append(authentication.forget(edge.identity_of(request), "user", actor.id))
    return ok(request, {"sessions_ended": ended}, "Logged out")


@auth.put("/password", summary="Change your password", response_model=Envelope[EndedOut])
@secret_answer
@prepared(edge.check_current_password)
async def change_password(
    request: Request, body: PasswordIn, session: Writing, actor: Actor = allow("profile:write")
) -> Response:
    """Needs the current one. This session goes on; all others end, and so do letters with a reset link."""
    ended = await sessions.change_password(
        session, actor, current=request.state.login_session, old_hash=edge.old_password_hash(request),
        new_hash=edge.new_password_hash(request),
    )  # fmt: skip
    session.after_commit.append(authentication.forget(edge.identity_of(request), "user", actor.id))
    return ok(request, {"sessions_ended": ended}, "Password changed")


@auth.post(
    "/password/forgot", status_code=202, summary="Ask for a new password", response_model=Envelope[None]
)
@public
@prepared(edge.count_reset)
async def forgot_password(request: Request, body: ForgotIn, session: Writing) -> Response:
    """The same answer for every address. Where it belongs to a user he gets a letter with a link, five an hour at most."""
    await recovery.ask(session, new_uuid(), body.email, actor_of(request).request_id)
    return ok(request, None, "If this address has an account, a letter is on its way", status=202)


@auth.post("/password/reset", summary="Choose a new password", response_model=Envelope[None])
@public
@secret_answer
@prepared(edge.check_reset)
async def reset_password(request: Request, body: ResetIn, session: Writing) -> Response:
    """With the token of the letter, which works once. All sessions of the user end; sign in with the new password."""
    new_hash = edge.new_password_hash(request)
    user_id = await recovery.reset(session, actor_of(request), token=body.token, new_hash=new_hash)
    session.after_commit.append(authentication.forget(edge.identity_of(request), "user", str(user_id)))
    return ok(request, None, "Password changed; sign in with it")


@known.get("/jwks.json", summary="The keys that access tokens are signed with", response_model=KeySetOut)
@public
@any_query
@own_transaction
async def get_key_set(request: Request) -> Response:
    """Public Ed25519 keys (RFC 7517, RFC 8037). One signs, all of them count; keep them five minutes at most."""
    headers = {"Cache-Control": "public, max-age=300"}
    return ExactResponse(tokens.published(edge.identity_of(request).accepted), 200, headers)


@auth.get(
    "/me", summary="The user behind the token", response_model=Envelope[MeOut], responses=responses(404)
)
async def get_me(request: Request, session: Reading, actor: Actor = allow("profile:read")) -> Response:
    """The user, its role and its account."""
    if actor.user_id is None:
        raise NotFound("There is no user behind these credentials")
    user = await queries.user(session, actor.user_id)
    data = {
        "user_id": user.id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": user.role,
        "account_id": user.account_id,
    }
    return ok(request, data)


@keys.get("", summary="Living API keys, newest first", response_model=Listing[ApiKeyOut])
async def list_api_keys(
    request: Request,
    session: Reading,
    limit: Annotated[Limit, Query()] = 50,
    cursor: str | None = None,
    actor: Actor = allow("apikeys:read"),
) -> Response:
    """Never the keys themselves: they are stored hashed."""
    return listing(request, await queries.api_keys(session, actor.entity_id, limit, cursor))


@keys.post(
    "",
    status_code=201,
    summary="A key for a service",
    response_model=Envelope[NewApiKeyOut],
    responses=responses(409),
)
@secret_answer
async def create_api_key(
    request: Request, body: ApiKeyIn, session: Writing, actor: Actor = allow("apikeys:write")
) -> Response:
    """The key is in this answer and nowhere else. It may do what its scopes say, until it expires or is deleted."""
    if body.expires_at is not None and body.expires_at <= system_now():
        raise Invalid.field("expires_at", "must lie in the future")
    key = tokens.new_secret(tokens.API_KEY_PREFIX)
    key_id, scopes = await service.make_api_key(
        session, actor, key=key, name=body.name, scopes=body.scopes, expires_at=body.expires_at
    )
    data: dict[str, Any] = {
        "id": key_id,
        "key": key,
        "name": body.name,
        "scopes": scopes,
        "expires_at": body.expires_at,
    }
    return created(request, data, "API key created; it is shown only this once")


@keys.delete(
    "/{key_id}", status_code=204, summary="End a key", response_class=Response, responses=responses(404, 409)
)
async def revoke_api_key(
    request: Request, key_id: KeyId, session: Writing, actor: Actor = allow("apikeys:write")
) -> Response:
    """It stops working within five seconds everywhere, tokens given for it included."""
    await service.revoke_api_key(session, actor, key_id)
    session.after_commit.append(authentication.forget(edge.identity_of(request), "api_key", str(key_id)))
    return Response(status_code=204)
