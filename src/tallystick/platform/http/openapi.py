"""The API description, completed: credentials, permissions, sections, what each refusal's `code` may be, real requests and answers."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

_SIGN_IN = "/v1/auth/token"
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
        "flows": {"password": {"tokenUrl": _SIGN_IN, "refreshUrl": _SIGN_IN, "scopes": {}}},
    },
    "service": {
        "type": "oauth2",
        "description": "An API key's number as client_id, the key as client_secret.",
        "flows": {"clientCredentials": {"tokenUrl": _SIGN_IN, "scopes": {}}},
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key (`tsk_…`)."},
}


_DONE = {
    "200": "Done",
    "201": "Created",
    "202": "Accepted, for later",
    "204": "Done; there is nothing to show",
}
_TYPICAL = ("validation_failed", "unauthorized", "malformed_json")
_REFUSED = {"$ref": "#/components/schemas/Refused"}


@dataclass(frozen=True, slots=True)
class Texts:
    """What a service says of its API. `sections` are (name, sentence, pattern of paths); the files are read when they are asked for.

    `refusals` holds {"sentences": {code: …}, "operations": {operation: {status: [code]}}}, `examples` {operation: {request, status, answer}}.
    """

    introduction: str
    sections: Sequence[tuple[str, str, str]]
    order: Sequence[str]
    refusals: Path
    examples: Path


def complete(app: FastAPI, texts: Texts) -> None:
    """Adds to the description what the framework cannot know. Built on first use, like the rest of it."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            schema.setdefault("components", {})["securitySchemes"] = SCHEMES
            schema["info"]["description"] = texts.introduction
            schema["servers"] = [{"url": "/", "description": "This installation"}]
            _name_permissions(app, schema["paths"])
            _sort(schema, texts)
            _tell_refusals(schema, json.loads(texts.refusals.read_text()))
            _show_examples(schema, json.loads(texts.examples.read_text()))
        return plain()

    app.openapi = described  # type: ignore[method-assign]


def _operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
    ]


def _sort(schema: dict[str, Any], texts: Texts) -> None:
    sentences = {name: sentence for name, sentence, _ in texts.sections}
    for path, _, operation in _operations(schema):
        fitting = [name for name, _, pattern in texts.sections if re.match(pattern, path)]
        operation["tags"] = fitting[:1] or operation["tags"]
    schema["tags"] = [{"name": name, "description": sentences[name]} for name in texts.order]


def _tell_refusals(schema: dict[str, Any], known: Mapping[str, Any]) -> None:
    sentences = known["sentences"]
    shared = _shared(known["operations"])
    schemas = schema["components"]["schemas"]
    how_many = Counter(
        code for by_status in known["operations"].values() for codes in by_status.values() for code in codes
    )
    schemas |= {f"Refused{status}": _refused(codes) for status, codes in shared.items()}
    for _, method, operation in _operations(schema):
        codes_of = known["operations"].get(operation["operationId"], {})
        if method != "get" and "idempotency_in_flight" in codes_of.get("409", ()):
            content = {"application/json": {"schema": _REFUSED}}
            operation["responses"].setdefault(
                "409", {"description": "Conflict with the state", "content": content}
            )
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for status, response in operation["responses"].items():
            codes = codes_of.get(status)
            body = response.get("content", {}).get("application/json", {})
            if codes and body.get("schema") == _REFUSED:
                told = "\n".join(f"- `{code}`: {sentences[code]}" for code in codes)
                response["description"] = f"{response['description']}\n\n{told}"
                alike = tuple(codes) == shared[status]
                body["schema"] = (
                    {"$ref": f"#/components/schemas/Refused{status}"} if alike else _refused(codes)
                )
                code = min(codes, key=lambda each: (each not in _TYPICAL, how_many[each], each))
                body["example"] = _example(code, sentences[code])
            elif response["description"] == "Successful Response":
                response["description"] = _DONE[status]


def _shared(operations: Mapping[str, Mapping[str, list[str]]]) -> dict[str, tuple[str, ...]]:
    """By status the codes that most operations have."""
    found: dict[str, Counter[tuple[str, ...]]] = {}
    for by_status in operations.values():
        for status, codes in by_status.items():
            found.setdefault(status, Counter())[tuple(codes)] += 1
    return {status: counted.most_common(1)[0][0] for status, counted in sorted(found.items())}


def _refused(codes: Sequence[str]) -> dict[str, Any]:
    code = {"type": "string", "enum": list(codes)}
    return {"allOf": [_REFUSED, {"type": "object", "properties": {"code": code}}]}


def _example(code: str, sentence: str) -> dict[str, Any]:
    details = {"field": "what is wrong with it"} if code == "validation_failed" else {}
    return {
        "success": False, "error": sentence, "code": code, "details": details, "request_id": "8ad37aef63fc4255",
        "timestamp": "2024-01-01T00:00:00Z",
    }  # fmt: skip


def _show_examples(schema: dict[str, Any], examples: Mapping[str, Any]) -> None:
    for _, _, operation in _operations(schema):
        example = examples.get(operation["operationId"], {})
        if "request" in example:
            for media, kind in operation["requestBody"]["content"].items():
                lines = "ndjson" in media
                kind["example"] = (
                    "\n".join(map(json.dumps, example["request"])) if lines else example["request"]
                )
        answer = operation["responses"].get(str(example.get("status")), {})
        for kind in answer.get("content", {}).values():
            kind["example"] = example["answer"]


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
