"""The subscription service with a store that says yes and writes nothing: the floor of single events."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from tallystick.apps.subscription_service import create_app as create_whole_app
from tallystick.metering import memory
from tallystick.metering.domain.admission import Admitted
from tallystick.metering.domain.events import ACCEPTED, Verdict
from tallystick.metering.grouping import Group


async def accept(rows: Sequence[Admitted], _principals: Sequence[str]) -> list[Verdict]:
    """Writes nothing."""
    return [ACCEPTED] * len(rows)


def create_app() -> FastAPI:
    """The application: HTTP, authentication, limits, reading and admission are the real ones."""
    app = create_whole_app()
    whole = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(inner: FastAPI) -> AsyncIterator[None]:
        async with whole(inner):
            memory.of(inner.state.database).group = Group(accept)
            yield

    app.router.lifespan_context = lifespan
    return app
