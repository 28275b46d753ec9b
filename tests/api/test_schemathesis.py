"""The API against its own description: no server error, no undocumented status or type, every answer as its schema says.

A real server in a thread; an admin and a stranger send what Schemathesis makes up from the OpenAPI description, right and wrong.
"""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
import support
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from seeded import seed as furnished
from tests.conftest import execute, with_database

from tallystick.apps.subscription_service import create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PLAIN = support.make_settings("postgresql://nowhere", Path("nowhere"))
DESCRIPTION = json.loads(json.dumps(create_app(PLAIN).openapi()))
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
SLOW_TO_MAKE = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@dataclass(frozen=True)
class Target:
    """A running server and what opens its doors."""

    url: str
    admin: dict[str, str]
    known: dict[str, Any]


@contextmanager
def running(app: FastAPI) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """`app` on a port of its own, in a thread with a loop of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, loop="asyncio"))
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve()

    thread = threading.Thread(target=asyncio.run, args=[serve()], daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started, "the server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", loops[0]
    server.should_exit = True
    thread.join(20)


async def furnish(url: str, admin: dict[str, str]) -> dict[str, Any]:
    """One of everything, so that right requests find what they ask for."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        return (await furnished(client, admin)).ids


@pytest.fixture(scope="module")
def target(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    name = f"test_{uuid4().hex[:12]}"
    asyncio.run(execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    app = create_app(support.make_settings(with_database(server_url, name), tmp_path_factory.mktemp("house")))
    with running(app) as (url, loop):
        admin = asyncio.run_coroutine_threadsafe(support.staff_headers(app, "admin"), loop).result(20)
        known = asyncio.run(furnish(url, admin))
        yield Target(url, admin, known)
    asyncio.run(execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


RIGHT, WRONG = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


def attack(
    operation: Any,
    target: Target,
    headers: dict[str, str],
    examples: int,
    mode: schemathesis.GenerationMode,
    known: dict[str, Any] | None = None,
) -> None:
    """Sends `examples` requests to `operation`, right or wrong ones, and holds every answer against the description."""

    @seed(2026)
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=SLOW_TO_MAKE,
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if known is not None:
            case = at_home(case, known)
        case.call_and_validate(base_url=target.url, headers=headers, checks=CHECKS)

    send()


EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
CAN_BE_WRONG = pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.body or each.query or each.path_parameters],
    ids=lambda each: each.label,
)


ENDS = {"DELETE /v1/accounts/{account_id}", "POST /v1/auth/logout"}
"""What would take the furniture away, or the admin who looks at it."""


@EACH
def test_right_requests_of_an_admin(operation: Any, target: Target) -> None:
    if operation.label != "POST /v1/auth/logout":
        attack(operation, target, target.admin, 10, RIGHT)


def at_home(case: Any, known: dict[str, Any]) -> Any:
    """`case` about things that are there."""
    case.path_parameters = {
        name: known.get(name, value) for name, value in (case.path_parameters or {}).items()
    }
    if isinstance(case.body, dict):
        case.body = {name: known[name] if name in FOUND else value for name, value in case.body.items()}
    return case


FOUND = {"account_id", "plan_id", "meter", "service"}


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.path_parameters or each.method == "get" or each.body],
    ids=lambda each: each.label,
)
def test_about_things_that_are_there(operation: Any, target: Target) -> None:
    if operation.label not in ENDS:
        attack(operation, target, target.admin, 6, RIGHT, target.known)


@CAN_BE_WRONG
def test_wrong_requests_of_an_admin(operation: Any, target: Target) -> None:
    attack(operation, target, target.admin, 10, WRONG)


@EACH
def test_a_stranger(operation: Any, target: Target) -> None:
    attack(operation, target, {}, 2, RIGHT)


@pytest.mark.long
@pytest.mark.parametrize("mode", [RIGHT, WRONG], ids=["right", "wrong"])
@CAN_BE_WRONG
def test_at_length(operation: Any, target: Target, mode: schemathesis.GenerationMode) -> None:
    attack(operation, target, target.admin, 200, mode)
