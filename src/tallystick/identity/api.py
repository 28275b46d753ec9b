"""Signing in, who am I, API keys."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.identity import edge, queries, service, tokens
from tallystick.identity.schemas import ApiKeyIn, ApiKeyOut, GrantOut, LoginIn, MeOut, NewApiKeyOut
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.platform.edge import system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit
from tallystick.platform.http.routes import Reading, Writing, allow, prepared, public, router, secret_answer

auth = router("identity", "/auth")
keys = router("identity", "/api-keys")
routers: list[tuple[APIRouter, list[str]]] = [(auth, ["/v1"]), (keys, ["/v1"])]
KeyId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@auth.post("/login", summary="Sign in", response_model=Envelope[GrantOut], responses=responses(409))
@public
@secret_answer
@prepared(edge.check_login)
async def login(request: Request, body: LoginIn, session: Writing) -> Response:
    """A wrong password, an unknown address and a closed user get the same 401. Ten tries a minute per address and e-mail."""
    grant = await service.sign_in(session, edge.signed_in(request), edge.issuing(request))
    return ok(request, edge.grant_data(grant), "Logged in")


@auth.get(
    "/me", summary="The user behind the token", response_model=Envelope[MeOut], responses=responses(404)
)
async def me(request: Request, session: Reading, actor: Actor = allow("profile:read")) -> Response:
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
async def api_keys(
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
async def make_api_key(
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
async def revoke_api_key(key_id: KeyId, session: Writing, actor: Actor = allow("apikeys:write")) -> Response:
    """It stops working within five seconds everywhere."""
    await service.revoke_api_key(session, actor, key_id)
    return Response(status_code=204)
