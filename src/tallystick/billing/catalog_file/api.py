"""The catalog file over HTTP, for staff: it shows plans that are not on offer, and taxes."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tallystick.billing.catalog_file import queries, service
from tallystick.billing.catalog_file.schemas import (
    AppliedOut,
    CatalogApplyIn,
    CatalogFileIn,
    CatalogFileOut,
    DifferenceOut,
    VersionOut,
)
from tallystick.billing.catalog_file.views import applied_view, difference_view, version_view
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound
from tallystick.platform.edge import system_now
from tallystick.platform.http.envelope import Envelope, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit
from tallystick.platform.http.routes import Reading, Writing, allow, router

part = router("catalog", "/catalog")
routers: list[tuple[APIRouter, list[str]]] = [(part, ["/v1"])]


def _only_staff(actor: Actor) -> None:
    if actor.is_customer:
        raise NotFound


@part.get(
    "/file",
    summary="The catalog as a file",
    response_model=Envelope[CatalogFileOut],
    responses=responses(404),
)
async def get_catalog_file(
    request: Request, session: Reading, actor: Actor = allow("catalog:read")
) -> Response:
    """For staff: YAML, always the same bytes for the same catalog; applying it changes nothing. Taxes only for who may read them."""
    _only_staff(actor)
    text = await service.export(session, actor.entity_id, with_taxes=actor.may("taxes:read"))
    return ok(request, {"file": text})


@part.get(
    "/versions",
    summary="What files were applied",
    response_model=Envelope[list[VersionOut]],
    responses=responses(404),
)
async def list_catalog_versions(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50,
    actor: Actor = allow("catalog:read"),
) -> Response:  # fmt: skip
    """For staff: the newest first. `tallystick catalog rollback` makes the catalog again as one of them left it."""
    _only_staff(actor)
    found = await queries.applications(session, actor.entity_id, limit)
    return ok(request, [version_view(each) for each in found])


@part.post("/diff", summary="What a catalog file would change", response_model=Envelope[DifferenceOut])
async def diff_catalog_file(
    request: Request, body: CatalogFileIn, session: Writing, actor: Actor = allow("catalog:write")
) -> Response:
    """Changes nothing. Shows whom each change touches and what it is worth a month; every mistake of the file is named at its line."""
    found = await service.diff(session, actor, body.file, now=system_now(), prune=body.prune, name=None)
    return ok(request, difference_view(found))


@part.post(
    "/apply", summary="Make the catalog as a file says", response_model=Envelope[AppliedOut], responses=responses(409)
)  # fmt: skip
async def apply_catalog_file(
    request: Request, body: CatalogApplyIn, session: Writing, actor: Actor = allow("catalog:write")
) -> Response:
    """All of it or nothing; a repeat finds nothing to change. Plans whose terms change get new versions, subscriptions stay on theirs."""
    applied = await service.apply(
        session, actor, body.file, now=system_now(), prune=body.prune, name=None, expected=body.token
    )
    view: dict[str, Any] = applied_view(applied)
    return ok(request, view, "Catalog applied" if applied.number is not None else "Nothing to change")
