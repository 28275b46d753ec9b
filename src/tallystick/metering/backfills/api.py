"""Amendments and backfills over HTTP. The diff of a backfill is billing's, for it needs prices and bills."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query, Request
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.catalog import queries as catalog
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid
from tallystick.kernel.pagination import Page
from tallystick.metering import queries as metering
from tallystick.metering import reading
from tallystick.metering import service as events_service
from tallystick.metering.backfills import amending, queries, service
from tallystick.metering.backfills.domain import Backfill, BackfillNotFound
from tallystick.metering.backfills.schemas import AmendedOut, AmendIn, BackfillIn, BackfillOut, CommitIn
from tallystick.metering.bodies import BATCH_CONTENT, sent_events, verdicts_view
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import MAX_TEXT, IncomingEvent, NoSuchEvent, Verdict
from tallystick.metering.schemas import BatchOut
from tallystick.platform.db import ReadSession
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, Nothing
from tallystick.platform.http.routes import Reading, Writing, allow, database, own_transaction, router

events = router("events")
backfills = router("events", "/backfills")
routers: list[tuple[APIRouter, list[str]]] = [(events, ["/v1"]), (backfills, ["/v1"])]
NoBody = Annotated[Nothing | None, Body()]


async def _views(session: ReadSession, found: list[Backfill]) -> list[dict[str, Any]]:
    owners = await accounts.by_nos(session, {no for each in found for no in each.account_nos or ()})
    meters = await catalog.meters(session, sorted({meter for each in found for meter in each.meter_ids}))
    names = ("id", "period_start", "period_end", "reason", "staged", "added", "kept", "replaced", "withdrawn", "reinstated",
             "opened_by", "opened_at", "committed_at", "cancelled_at", "reverted_at")  # fmt: skip
    return [
        {name: getattr(each, name) for name in names}
        | {
            "state": each.state.value,
            "mode": each.mode.value,
            "account_ids": None if each.account_nos is None else [owners[no].id for no in each.account_nos],
            "meters": [meters[meter].code for meter in each.meter_ids],
        }
        for each in found
    ]


async def _view(session: ReadSession, found: Backfill) -> dict[str, Any]:
    return (await _views(session, [found]))[0]


@events.post(
    "/events/{event_id:path}/amend",
    status_code=201,
    summary="Amend an event: another stands for it from now on",
    response_model=Envelope[AmendedOut],
    responses=responses(404, 409),
)
async def amend_event(
    request: Request,
    body: AmendIn,
    session: Writing,
    event_id: Annotated[str, Path(min_length=1, max_length=MAX_TEXT)],
    source: Annotated[str, Query(max_length=MAX_TEXT)] = "",
    actor: Actor = allow("events:write"),
) -> Response:
    """The event is void, and one with the changes counts under an id derived from it (`e1~2`, then `e1~3`). A repeat changes nothing.

    What is billed of it is corrected with its account's next bill. `GET /v1/events/{id}` of either tells of the other.
    """
    key = event_key(source, event_id)
    event = (await metering.stored(session, [key])).get(key)
    if event is None:
        raise NoSuchEvent
    asked = body.asked(_properties(event.id, body.properties))
    months = await amending.months(session, event, asked, system_now())
    if months:
        await events_service.prepare_months(database(request), months)
    limit = timedelta(days=request.app.state.settings.late_limit_days)
    made = await amending.amend(session, actor, event, asked, now=system_now(), late_limit=limit)
    data = {
        "id": made.id, "source": made.source, "amends": event.id, "occurred_at": made.occurred_at, "quantity": made.quantity,
        "unit_price": made.unit_price, "properties": made.properties, "status": "accepted",
    }  # fmt: skip
    return created(request, data, "Event amended")


def _properties(event_id: str, sent: dict[str, Any] | None) -> dict[str, Any] | None:
    """Properties as the reader of events takes them."""
    if sent is None:
        return None
    event = reading.read_event({"id": event_id, "meter": "meter", "properties": sent})
    if isinstance(event, Verdict):
        raise Invalid(code=event.reason, details=event.details)
    return event.properties


@backfills.post(
    "", status_code=201, summary="Open a backfill", response_model=Envelope[BackfillOut], responses=responses(409)
)  # fmt: skip
async def open_backfill(
    request: Request, body: BackfillIn, session: Writing, actor: Actor = allow("events:backfill")
) -> Response:
    """It takes events for its window and counts nothing before the commit. Look at its diff, then commit it, or cancel it."""
    opened = await service.open_backfill(session, actor, body.asked(new_uuid()), system_now())
    return created(request, await _view(session, opened), "Backfill opened")


@backfills.get("", summary="Backfills, the newest first", response_model=Listing[BackfillOut])
async def list_backfills(
    request: Request,
    session: Reading,
    limit: Limit = 50,
    cursor: str | None = None,
    state: Annotated[Literal["open", "committed", "cancelled", "reverted"] | None, Query()] = None,
    actor: Actor = allow("backfills:read"),
) -> Response:
    """With what each holds, added, replaced and gave back. `state` keeps those in one state."""
    page = await queries.backfills(session, limit, cursor, state)
    return listing(request, Page(await _views(session, list(page.rows)), page.next_cursor))


@backfills.get(
    "/{backfill_id}",
    summary="A backfill: its state and counts",
    response_model=Envelope[BackfillOut],
    responses=responses(404),
)
async def get_backfill(
    request: Request, backfill_id: UUID, session: Reading, actor: Actor = allow("backfills:read")
) -> Response:
    """`open` while it takes events; then `committed` or `cancelled`; a committed one may be `reverted`."""
    found = await queries.backfill(session, backfill_id)
    if found is None:
        raise BackfillNotFound
    return ok(request, await _view(session, found), "Backfill")


@backfills.post(
    "/{backfill_id}/events",
    summary="Send up to 10 000 events to a backfill",
    response_model=Envelope[BatchOut],
    responses=responses(404, 409),
    openapi_extra={"requestBody": {"required": True, "content": BATCH_CONTENT}},
)
@own_transaction
async def stage_events(
    request: Request, backfill_id: UUID, actor: Actor = allow("events:backfill")
) -> Response:
    """A verdict for each event in order, as by `POST /v1/events/batch`; how old they are does not matter. None counts before the commit.

    Only events of its window, accounts and meters (`outside_backfill`). Identities are those of all doors: to send what is on disk already
    changes nothing (a replacement then leaves it as it is), to send it differently is a conflict.
    """
    sent = await sent_events(request)
    readable = [event for event in sent.events if isinstance(event, IncomingEvent)]
    judged = iter(await service.stage(database(request), actor, backfill_id, readable, system_now()))
    outcome = [event if isinstance(event, Verdict) else next(judged) for event in sent.events]
    return ok(request, verdicts_view(sent, outcome), "Events judged")


@backfills.post(
    "/{backfill_id}/commit",
    summary="Let a backfill count",
    response_model=Envelope[BackfillOut],
    responses=responses(404, 409),
)
async def commit_backfill(
    request: Request,
    backfill_id: UUID,
    session: Writing,
    body: Annotated[CommitIn | None, Body()] = None,
    actor: Actor = allow("events:backfill"),
) -> Response:
    """All or nothing. A replacement voids what counts in the window at this moment. What falls into closed periods is corrected."""
    wish = body or CommitIn(digest=None, void_all=False)
    done = await service.commit(
        session, actor, backfill_id, system_now(), digest=wish.digest, void_all=wish.void_all
    )
    return ok(request, await _view(session, done), "Backfill committed")


@backfills.post(
    "/{backfill_id}/cancel",
    summary="Give up an open backfill",
    response_model=Envelope[BackfillOut],
    responses=responses(404, 409),
)
async def cancel_backfill(
    request: Request, backfill_id: UUID, session: Writing, nothing: NoBody = None, actor: Actor = allow("events:backfill")
) -> Response:  # fmt: skip
    """Its events never counted and are forgotten; their ids are free."""
    done = await service.cancel(session, actor, backfill_id, system_now())
    return ok(request, await _view(session, done), "Backfill cancelled")


@backfills.post(
    "/{backfill_id}/revert",
    summary="Undo a committed backfill",
    response_model=Envelope[BackfillOut],
    responses=responses(404, 409),
)
async def revert_backfill(
    request: Request, backfill_id: UUID, session: Writing, nothing: NoBody = None, actor: Actor = allow("events:backfill")
) -> Response:  # fmt: skip
    """Its events are void; those it replaced count again, as copies (`e1~2`) that point at them. For good: open another to go back."""
    done = await service.revert(session, actor, backfill_id, system_now())
    return ok(request, await _view(session, done), "Backfill reverted")
