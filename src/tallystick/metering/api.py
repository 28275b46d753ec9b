"""Events over HTTP (CONTRACT §8)."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request
from starlette.responses import Response

from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict, Invalid
from tallystick.metering import doors, queries, reading, service
from tallystick.metering.backfills import api as backfills
from tallystick.metering.bodies import (
    BATCH_CONTENT,
    EVENT_SCHEMA,
    JSON,
    content_kind,
    sent_events,
    verdicts_view,
)
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import MAX_TEXT, IncomingEvent, NoSuchEvent, Verdict
from tallystick.metering.schemas import AcceptedOut, BatchOut, VoidedOut, VoidIn
from tallystick.platform.edge import system_now
from tallystick.platform.http.envelope import Envelope, created, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.routes import Writing, allow, database, direct, router

events = router("events")
routers: list[tuple[APIRouter, list[str]]] = [
    (events, ["/v1"]),
    *backfills.routers,
    (doors.internal, ["/api/v1", "/api/internal"]),
]


class EventConflict(Conflict):
    code = "event_conflict"
    sentence = "An event with this source and id exists and differs; send the same fields, or a new id"


EventId = Annotated[str, Path(min_length=1, max_length=MAX_TEXT)]
Source = Annotated[str, Query(max_length=MAX_TEXT)]
_DUPLICATE: dict[int | str, dict[str, Any]] = {
    200: {"model": Envelope[AcceptedOut], "description": "A duplicate"}
}


def _takes(content: dict[str, Any]) -> dict[str, Any]:
    backfill = {
        "name": "backfill",
        "in": "query",
        "required": False,
        "description": "Lets events older than the late limit in; needs the right events:backfill",
        "schema": {"type": "boolean", "default": False},
    }
    return {"parameters": [backfill], "requestBody": {"required": True, "content": content}}


@events.post(
    "/events",
    status_code=201,
    summary="Record one usage event",
    response_model=Envelope[AcceptedOut],
    responses={**_DUPLICATE, **responses(409)},
    openapi_extra=_takes({"application/json": {"schema": EVENT_SCHEMA}}),
)
@direct
async def record_event(request: Request, actor: Actor = allow("events:write")) -> Response:
    """201: on disk. 200: it was already. 409: another event has this source and id. 422: `code` says what is wrong with it."""
    content_kind(request, JSON)
    event = reading.read_one(await request.body())
    verdict, _ = await service.ingest_one(
        database(request),
        actor,
        event,
        now=system_now(),
        request_id=actor.request_id,
        **_rules(request, actor),
    )
    if verdict.status == "conflict":
        raise EventConflict(details=verdict.details)
    if verdict.status == "invalid":
        raise Invalid(code=verdict.reason, details=verdict.details)
    data = {"id": event.id, "source": event.source or "", "status": verdict.status}
    answer = created if verdict.status == "accepted" else ok
    return answer(request, data, "Event recorded")


@events.post(
    "/events/batch",
    summary="Record up to 10 000 usage events",
    response_model=Envelope[BatchOut],
    openapi_extra=_takes(BATCH_CONTENT),
)
@direct
async def record_events(request: Request, actor: Actor = allow("events:write")) -> Response:
    """A verdict for each event in order. Accepted ones are on disk whatever the others are; the whole call may be repeated."""
    sent = await sent_events(request)
    readable = [event for event in sent.events if isinstance(event, IncomingEvent)]
    verdicts = iter(
        await service.ingest(
            database(request), actor, readable, now=system_now(), request_id=actor.request_id,
            **_rules(request, actor),
        )
    )  # fmt: skip
    outcome = [event if isinstance(event, Verdict) else next(verdicts) for event in sent.events]
    return ok(request, verdicts_view(sent, outcome), "Events judged")


def _rules(request: Request, actor: Actor) -> dict[str, Any]:
    asked = request.query_params.get("backfill", "false")
    if asked not in ("true", "false"):
        raise Invalid.field("backfill", "must be true or false", code="validation_failed")
    if asked == "true":
        actor.require("events:backfill")
    late_limit = timedelta(days=request.app.state.settings.late_limit_days)
    return {"backfill": asked == "true", "late_limit": late_limit}


@events.post(
    "/events/{event_id:path}/void",
    summary="Void an event",
    response_model=Envelope[VoidedOut],
    responses=responses(404),
)
async def void_event(
    request: Request,
    session: Writing,
    event_id: EventId,
    source: Source = "",
    body: Annotated[VoidIn | None, Body()] = None,
    actor: Actor = allow("events:write"),
) -> Response:
    """The event counts no more. A repeat changes nothing. What is billed of it is taken back with its account's next bill."""
    event = (await queries.stored(session, [event_key(source, event_id)])).get(event_key(source, event_id))
    if event is None:
        raise NoSuchEvent
    reason = body.reason if body else ""
    await service.void(session, actor, event, now=system_now(), reason=reason, request_id=actor.request_id)
    return ok(request, {"id": event.id, "source": event.source, "status": "void"}, "Event voided")
