"""The diff of a backfill over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from tallystick.billing.comparing.diff import diff
from tallystick.billing.comparing.schemas import DiffOut
from tallystick.kernel.actor import Actor
from tallystick.platform.edge import system_now
from tallystick.platform.http.envelope import Envelope, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Nothing
from tallystick.platform.http.routes import allow, database, own_transaction, router

part = router("events", "/backfills")
routers: list[tuple[APIRouter, list[str]]] = [(part, ["/v1"])]


@part.post(
    "/{backfill_id}/diff",
    summary="What committing a backfill would change; nothing is written",
    response_model=Envelope[DiffOut],
    responses=responses(404, 409),
)
@own_transaction
async def diff_backfill(
    request: Request,
    backfill_id: UUID,
    nothing: Annotated[Nothing | None, Body()] = None,
    actor: Actor = allow("events:backfill"),
) -> Response:
    """Each price of each period before and after, and whether the difference becomes a correction line, a credit note, or just counts.

    Computed by committing it in a transaction that is undone, and by what bills.
    """
    return ok(request, await diff(database(request), actor, backfill_id, system_now()), "Backfill compared")
