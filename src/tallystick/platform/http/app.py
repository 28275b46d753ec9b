"""Builds a service's ASGI application from its routers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tallystick import __version__
from tallystick.kernel.actor import Actor
from tallystick.kernel.clock import rfc3339
from tallystick.platform.db import Database
from tallystick.platform.edge import system_now
from tallystick.platform.http import docs, errors
from tallystick.platform.http.edge import Edge
from tallystick.platform.http.envelope import ExactResponse
from tallystick.platform.http.routes import any_query, lanes, own_transaction, public, router
from tallystick.platform.settings import Settings

Startup = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build(
    *,
    title: str,
    service: str,
    description: str,
    settings: Settings,
    routers: Sequence[tuple[APIRouter, Sequence[str]]],
    authenticate: Callable[[Request], Awaitable[Actor]],
    startup: Sequence[Startup] = (),
    batch_paths: frozenset[str] = frozenset(),
) -> FastAPI:
    """The application. `routers` pairs each router with the prefixes it is mounted under (`/v1`, and for some none as well).

    `app.state` carries `settings`, `database` (while running) and `authenticate`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert settings.database_url is not None, "the supervisor names the database"
        app.state.database = await Database.connect(
            settings.database_url, size=settings.pool_size, name=service
        )
        try:
            await _enter(app, list(startup))
            yield
        finally:
            for context in reversed(app.state.contexts):
                await context.__aexit__(None, None, None)
            await app.state.database.close()

    app = FastAPI(
        title=title, docs_url=None, redoc_url=None, version=__version__, description=description, lifespan=lifespan, redirect_slashes=False,
        responses=errors.COMMON, separate_input_output_schemas=False, generate_unique_id_function=_operation_id,
        strict_content_type=False,  # a body without a type is JSON; one of another type is 415
    )  # fmt: skip
    app.state.settings = settings
    app.state.authenticate = authenticate
    errors.install(app)
    docs.install(app)
    app.include_router(_health(service), prefix="/v1")
    for part, prefixes in routers:
        for prefix in prefixes:
            app.include_router(part, prefix=prefix, include_in_schema=prefix == prefixes[0])
    edge: Any = Edge
    app.add_middleware(
        edge, max_body=settings.max_body_bytes, max_batch=settings.max_batch_bytes, batch_paths=batch_paths,
        log_access=settings.access_log,
        lanes={place: lane for part, prefixes in routers for place, lane in lanes(part, prefixes).items()},
    )  # fmt: skip
    return app


async def _enter(app: FastAPI, startup: list[Startup]) -> None:
    app.state.contexts = []
    for step in startup:
        context = step(app)
        await context.__aenter__()
        app.state.contexts.append(context)


def _operation_id(route: Any) -> str:
    return str(route.name)


def _health(service: str) -> APIRouter:
    part = router("health")

    @part.get("/health", summary="Is the service up, and does its database answer?")
    @public
    @any_query
    @own_transaction
    async def get_health(request: Request) -> Response:
        """200 `healthy` or 503 `unhealthy`, for load balancers: no credentials, no envelope."""
        try:
            async with request.app.state.database.read() as session:
                await session.fetchval("SELECT 1")
            status = "healthy"
        except Exception:
            status = "unhealthy"
        body = {"status": status, "service": service, "timestamp": rfc3339(system_now())}
        return ExactResponse(body, 200 if status == "healthy" else 503)

    return part


__all__ = ["ASGIApp", "build"]
