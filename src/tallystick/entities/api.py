"""Entities over HTTP: the selling company's settings."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from tallystick.entities import queries, service
from tallystick.entities.schemas import EntityOut, EntityPut
from tallystick.kernel.actor import Actor
from tallystick.kernel.pagination import Page
from tallystick.platform.http.envelope import Envelope, Listing, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import put_changes
from tallystick.platform.http.routes import Reading, Writing, allow, router

entities = router("entities", "/entities")
routers: list[tuple[APIRouter, list[str]]] = [(entities, ["/v1"])]
EntityId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@entities.get("", summary="The selling companies", response_model=Listing[EntityOut])
async def list_entities(
    request: Request, session: Reading, actor: Actor = allow("entities:read")
) -> Response:
    """Few enough for one page. `is_test` marks the one that accounts on test clocks are billed by."""
    return listing(request, Page(list((await queries.all(session)).values()), None))


@entities.get(
    "/{entity_id}", summary="A selling company", response_model=Envelope[EntityOut], responses=responses(404)
)
async def get_entity(
    request: Request, entity_id: EntityId, session: Reading, actor: Actor = allow("entities:read")
) -> Response:
    """With its settings."""
    found = await queries.get(session, entity_id)
    return ok(request, found, etag=found.revision)


@entities.put(
    "/{entity_id}", summary="Change a selling company's settings", response_model=Envelope[EntityOut],
    responses=responses(404, 412),
)  # fmt: skip
async def update_entity(
    request: Request, entity_id: EntityId, body: EntityPut, session: Writing, actor: Actor = allow("entities:write")
) -> Response:  # fmt: skip
    """How lines and taxes are rounded, which day's rate is paid, how long periods stay open, payment terms."""
    shown = await service.locked(session, entity_id, expected_revisions(request))
    changed = await service.change(session, actor, shown, put_changes(body, shown))
    return ok(request, changed, "Entity changed", etag=changed.revision)
