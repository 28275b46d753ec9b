"""Plans, meters and services over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.catalog import queries, service
from tallystick.catalog.schemas import (
    PLAN_FIELDS,
    MeterIn,
    MeterOut,
    PlanIn,
    PlanOut,
    PlanPut,
    ServiceIn,
    ServiceOut,
    terms_changes,
)
from tallystick.kernel.actor import Actor
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, put_changes
from tallystick.platform.http.routes import Reading, Writing, actor_of, allow, public, router

plans = router("catalog", "/plans")
meters = router("catalog", "/meters")
services = router("catalog", "/services")
routers: list[tuple[APIRouter, list[str]]] = [(plans, ["/v1"]), (meters, ["/v1"]), (services, ["/v1"])]
PlanId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Filter = Annotated[str | None, Query(max_length=300)]


def sees_all(actor: Actor) -> bool:
    """Staff see plans that are not on offer too."""
    return not actor.is_customer and actor.may("catalog:read")


@plans.get("", summary="Plans on offer", response_model=Listing[PlanOut])
@public
async def list_plans(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    code: Filter = None, currency: Filter = None, is_active: bool | None = None,
) -> Response:  # fmt: skip
    """Public. Staff see the ones that are not public or not active as well."""
    page = await queries.plans(
        session, limit=limit, cursor=cursor, all_plans=sees_all(actor_of(request)), code=code, currency=currency,
        is_active=is_active,
    )  # fmt: skip
    return listing(request, page)


@plans.get("/{plan_id}", summary="A plan", response_model=Envelope[PlanOut], responses=responses(404))
@public
async def get_plan(request: Request, plan_id: PlanId, session: Reading) -> Response:
    """With the terms that new subscriptions get."""
    plan = await queries.plan(session, plan_id, all_plans=sees_all(actor_of(request)))
    return ok(request, plan, etag=plan.revision)


@plans.post(
    "", status_code=201, summary="Make a plan", response_model=Envelope[PlanOut], responses=responses(409)
)
async def create_plan(
    request: Request, body: PlanIn, session: Writing, actor: Actor = allow("catalog:write")
) -> Response:
    """Charges are read by the code that later rates them: a plan that is accepted can be billed."""
    plan = await service.make_plan(
        session, actor, code=body.code, name=body.name, is_public=body.is_public, is_active=body.is_active,
        terms=body.terms(),
    )  # fmt: skip
    return created(request, plan, "Plan created", etag=plan.revision)


@plans.put(
    "/{plan_id}", summary="Change a plan", response_model=Envelope[PlanOut], responses=responses(404, 409, 412)
)  # fmt: skip
async def update_plan(
    request: Request, plan_id: PlanId, body: PlanPut, session: Writing, actor: Actor = allow("catalog:write")
) -> Response:
    """Other terms make a new version, for new subscriptions; those that run stay on theirs."""
    shown = await service.locked_plan(session, plan_id, expected_revisions(request))
    changes = put_changes(body, shown)
    own = {name: value for name, value in changes.items() if name in PLAN_FIELDS}
    plan = await service.change_plan(session, actor, shown, own, terms_changes(changes))
    return ok(request, plan, "Plan changed", etag=plan.revision)


@meters.get("", summary="Meters, by code", response_model=Listing[MeterOut])
async def list_meters(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    code: Filter = None, actor: Actor = allow("catalog:read"),
) -> Response:  # fmt: skip
    """How events become quantities."""
    return listing(request, await queries.meter_page(session, limit=limit, cursor=cursor, code=code))


@meters.post(
    "", status_code=201, summary="Make a meter", response_model=Envelope[MeterOut], responses=responses(409)
)
async def create_meter(
    request: Request, body: MeterIn, session: Writing, actor: Actor = allow("catalog:write")
) -> Response:
    """A meter never changes: what is billed on it could not be explained otherwise."""
    meter = await service.make_meter(
        session, actor, code=body.code, name=body.name or body.code, aggregation=body.aggregation, field=body.field,
        filters=body.filters, unit=body.unit, recurring=body.recurring, percentile=body.percentile,
    )  # fmt: skip
    return created(request, meter, "Meter created")


@services.get("", summary="Services, by name", response_model=Listing[ServiceOut])
async def list_services(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    actor: Actor = allow("catalog:read"),
) -> Response:  # fmt: skip
    """The services that internal teams may record usage of."""
    return listing(request, await queries.services(session, limit=limit, cursor=cursor))


@services.post(
    "", status_code=201, summary="Allow a service", response_model=Envelope[ServiceOut], responses=responses(409)
)  # fmt: skip
async def create_service(
    request: Request, body: ServiceIn, session: Writing, actor: Actor = allow("catalog:write")
) -> Response:
    """Its usage is counted on a meter of its own, `service:<name>`."""
    meter = await service.allow_service(session, actor, body.name)
    return created(request, queries.Service(body.name, meter.code, meter.created_at), "Service allowed")
