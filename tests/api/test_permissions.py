"""Every route is public or names one permission of the table, and the roles get through exactly where the table says."""

import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from support import bearer, make_settings, make_user, service_key

from tallystick.apps.subscription_service import create_app
from tallystick.identity.domain import PERMISSIONS, ROLES, SCOPES, Role
from tallystick.platform.http.openapi import permission_of

FRAMEWORK = {"/docs", "/docs/assets", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
PUBLIC = {
    ("GET", "/v1/health"), ("POST", "/v1/auth/login"), ("POST", "/v1/auth/register"), ("GET", "/v1/plans"),
    ("GET", "/v1/plans/{plan_id}"), ("POST", "/v1/auth/token"), ("POST", "/v1/auth/refresh"), ("POST", "/v1/auth/password/forgot"),
    ("POST", "/v1/auth/password/reset"), ("GET", "/.well-known/jwks.json"),
}  # fmt: skip
"""The whole list of what needs no credentials. Adding to it is a decision."""


@dataclass(frozen=True)
class Mounted:
    """A route where a client finds it."""

    method: str
    path: str
    public: bool
    permission: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def concrete(self) -> str:
        """The path with something in place of each parameter."""
        return "/".join("1" if "{" in part else part for part in self.path.split("/"))


def mounted(app: FastAPI) -> list[Mounted]:
    """Every route of ours at every place it is mounted."""
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            public = getattr(route.endpoint, "public", False)
            found += [
                Mounted(method, str(context.path), public, permission_of(route)) for method in route.methods
            ]
    assert len(found) > 5
    return found


@pytest.fixture
def plain_app(tmp_path: Path) -> FastAPI:
    return create_app(make_settings("postgresql://nowhere", tmp_path))


def test_every_route_is_public_or_names_a_known_permission(plain_app: FastAPI) -> None:
    for route in mounted(plain_app):
        assert route.public == ((route.method, route.path) in PUBLIC), route
        assert route.public != (route.permission in PERMISSIONS), f"{route} is on nobody's list"


def test_the_description_says_who_may(plain_app: FastAPI) -> None:
    schema = plain_app.openapi()
    schemes = schema["components"]["securitySchemes"]
    assert set(schemes) == {"password", "service", "bearer", "apiKey"}
    flows = [flow for each in schemes.values() for flow in each.get("flows", {}).values()]
    assert [flow["tokenUrl"] for flow in flows] == ["/v1/auth/token"] * 2
    assert "post" in schema["paths"]["/v1/auth/token"], "Authorize would ask a path that is not there"
    described = 0
    for route in mounted(plain_app):
        operation = schema["paths"].get(re.sub(r":path}", "}", route.path), {}).get(route.method.lower())
        if operation is not None:
            assert operation.get("x-permission") == route.permission
            assert bool(operation["security"]) != route.public
            described += 1
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert described >= len(operations)
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)), "clients are generated from these names"


def test_nothing_but_the_frameworks_pages_escapes_the_rule(plain_app: FastAPI) -> None:
    contexts = iter_route_contexts(plain_app.routes)
    others = {context.path for context in contexts if not isinstance(context.original_route, APIRoute)}
    assert others == FRAMEWORK


def test_no_route_hides_another(plain_app: FastAPI) -> None:
    """Routes are tried in order: of two that match the same path, the second is never reached."""
    seen: set[tuple[str, str]] = set()
    for route in mounted(plain_app):
        shape = (route.method, re.sub(r"\{[^}]*\}", "{}", route.path))
        assert shape not in seen, f"{route} is hidden by a route before it"
        seen.add(shape)


def test_both_mounts_serve_the_same(plain_app: FastAPI) -> None:
    """CONTRACT §4: accounts and billing records also without `/v1`; §5: the internal doors under `/api/v1` and `/api/internal`."""
    routes = {(route.method, route.path) for route in mounted(plain_app)}
    bare = {(method, path) for method, path in routes if path.startswith(("/accounts", "/billing"))}
    versioned = {
        (method, path.removeprefix("/v1"))
        for method, path in routes
        if re.match(r"/v1/(accounts(/\{account_id\})?|billing(/.*)?)$", path)
    }
    assert versioned
    assert bare == versioned
    doors = {(method, path.removeprefix("/api/v1")) for method, path in routes if path.startswith("/api/v1/")}
    assert doors == {
        (method, path.removeprefix("/api/internal"))
        for method, path in routes
        if path.startswith("/api/internal/")
    }


def test_reads_ask_for_reading_and_writes_for_writing(plain_app: FastAPI) -> None:
    for route in mounted(plain_app):
        if route.permission is not None and route.method in ("PUT", "PATCH", "DELETE"):
            assert not route.permission.endswith(":read"), f"{route} asks for {route.permission}"
        if route.permission is not None and route.method == "GET":
            assert route.permission.endswith(":read"), f"{route} asks for {route.permission}"


async def test_nobody_gets_in_without_credentials(app: FastAPI, client: httpx.AsyncClient) -> None:
    for route in mounted(app):
        if not route.public:
            answer = await client.request(route.method, route.concrete, json={})
            assert answer.status_code == 401, f"{route} answered {answer.status_code}"
            assert answer.json()["error"] == "Unauthorized"


@pytest.mark.parametrize("role", ["admin", "finance", "support", "customer"])
async def test_roles_get_through_where_the_table_says(
    app: FastAPI, client: httpx.AsyncClient, role: Role
) -> None:
    """With a body that cannot be right: who may gets anything but 401 and 403, who may not gets the refusal and nothing else.

    Staff are told that their role may not; for a customer it is not there (CONTRACT §2).
    """
    account = (1, "acc_1") if role == "customer" else (None, None)
    headers = bearer(app, await make_user(app, role, account_no=account[0], account_id=account[1]))
    for route in mounted(app):
        if route.public:
            continue
        answer = await client.request(route.method, route.concrete, headers=headers, content=b"[]")
        told = f"{route} as {role}: {answer.status_code} {answer.text}"
        assert answer.status_code not in (401, 405, 500), told
        if route.permission in ROLES[role]:
            assert answer.status_code != 403, told
        elif role == "customer":
            assert (answer.status_code, answer.json()["code"], answer.json()["details"]) == (
                404,
                "not_found",
                {},
            ), told
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), told


async def test_a_key_gets_through_where_its_scope_says(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Every scope by itself, on every route."""
    for scope in sorted(SCOPES):
        headers = await service_key(app, [scope])
        for route in mounted(app):
            if not route.public:
                answer = await client.request(route.method, route.concrete, headers=headers, content=b"[]")
                assert (answer.status_code == 403) == (route.permission != scope), f"{route}: {answer.text}"
                assert answer.status_code not in (401, 500), f"{route}: {answer.text}"
