"""The API description, completed: how to present credentials, and which permission each operation asks for."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

_TOKEN = "/v1/auth/token"
SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a login, or an API key.",
    },
    "password": {
        "type": "oauth2",
        "description": "Sign in with e-mail and password.",
        "flows": {"password": {"tokenUrl": _TOKEN, "refreshUrl": _TOKEN, "scopes": {}}},
    },
    "service": {
        "type": "oauth2",
        "description": "An API key's number as client_id, the key as client_secret.",
        "flows": {"clientCredentials": {"tokenUrl": _TOKEN, "scopes": {}}},
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key (`tsk_…`)."},
}


def complete(app: FastAPI) -> None:
    """Adds to the description what the framework cannot know. Built on first use, like the rest of it."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            schema.setdefault("components", {})["securitySchemes"] = SCHEMES
            _name_permissions(app, schema["paths"])
        return plain()

    app.openapi = described  # type: ignore[method-assign]


def _name_permissions(app: FastAPI, paths: dict[str, dict[str, Any]]) -> None:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute):
            continue
        permission = permission_of(route)
        for method in route.methods or ():
            operation = paths.get(str(context.path_format), {}).get(method.lower())
            if operation is None:
                continue
            operation["security"] = (
                []
                if permission is None
                else [{"password": []}, {"service": []}, {"bearer": []}, {"apiKey": []}]
            )
            if permission is not None:
                operation["x-permission"] = permission


def permission_of(route: APIRoute) -> str | None:
    """The permission that `allow(…)` of the route names; None where it is public. Raises `ValueError` where there are several."""
    calls = [part.call for part in route.dependant.dependencies]
    named = {call.permission for call in calls if hasattr(call, "permission")}  # type: ignore[union-attr]
    if len(named) > 1:
        raise ValueError(f"{route.path} names several permissions")
    return next(iter(named), None)
