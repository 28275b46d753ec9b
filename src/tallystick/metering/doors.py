"""Usage by internal teams, to the letter of CONTRACT §5: bare answers, mounted at /api/v1 and /api/internal.

Usage is stored as an event of the service's meter that carries its own price. What identifies the write becomes the event's id, so
the event store's permanent uniqueness is what makes a retry safe, and the record's id is that of the event: the same every time.
"""

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from tallystick.accounts import service as accounts
from tallystick.accounts.domain import NewAccount
from tallystick.catalog.domain import SERVICE_METER
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.metering import service
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.schemas import CustomerAnswer, CustomerIn, UsageAnswer, UsageIn
from tallystick.platform.edge import new_id, new_uuid, system_now
from tallystick.platform.http.envelope import bare
from tallystick.platform.http.errors import responses
from tallystick.platform.http.routes import (
    KeyReused,
    Writing,
    allow,
    database,
    own_transaction,
    router,
    sent_key,
)

internal = router("internal usage")
_RETRY: dict[int | str, dict[str, Any]] = {
    200: {"model": UsageAnswer, "description": "A retry: the record made before"}
}


@internal.post(
    "/customers",
    status_code=201,
    summary="Open a customer",
    response_model=CustomerAnswer,
    responses=responses(409),
)
async def create_customer(
    request: Request, body: CustomerIn, session: Writing, actor: Actor = allow("usage:write")
) -> Response:
    """A customer is an account without e-mail in the default currency."""
    new = NewAccount(
        id=new_id("acc"), name=body.customer_name, currency=request.app.state.settings.default_currency
    )
    account = await accounts.open_account(session, actor, new, now=system_now())
    return bare(request, {"customer": {"id": account.id, "name": body.customer_name}}, 201)


@internal.post(
    "/customers/{customer_id}/usage",
    status_code=201,
    summary="Record usage of a service",
    response_model=UsageAnswer,
    responses={**_RETRY, **responses(404)},
)
@own_transaction
async def create_usage(
    request: Request, customer_id: str, body: UsageIn, actor: Actor = allow("usage:write")
) -> Response:
    """201: on disk. 200: a retry (same Idempotency-Key, `request_id` or X-Request-Id), nothing more is charged. 422: it differs."""
    event = IncomingEvent(
        id=_identity(request, body),
        source=f"usage:{actor.principal}:{customer_id}",
        meter=SERVICE_METER + body.service,
        account_id=customer_id,
        quantity=body.units_consumed,
        unit_price=body.price_per_unit,
    )
    verdict, key = await service.ingest_one(
        database(request), actor, event, now=system_now(), request_id=actor.request_id
    )
    if verdict.status == "conflict":
        raise KeyReused
    if verdict.status == "invalid":
        raise _refusal(verdict.reason, verdict.details)
    record = {"id": UUID(bytes=key), "customer_id": customer_id, **body.model_dump(exclude={"request_id"})}
    return bare(request, {"usage": record}, 201 if verdict.status == "accepted" else 200)


def _identity(request: Request, body: UsageIn) -> str:
    """First present wins: Idempotency-Key, `request_id`, the caller's own X-Request-Id. One made by us identifies nothing."""
    key = sent_key(request)
    if key is not None:
        return f"key:{key}"
    if body.request_id is not None:
        return f"body:{body.request_id}"
    if request.state.request_id_is_callers:
        return f"request:{request.state.request_id}"
    return f"new:{new_uuid()}"


def _refusal(reason: str, details: Any) -> Invalid | NotFound:
    if reason == "unknown_account":
        return NotFound("There is no customer with this id")
    if reason == "unknown_meter":
        return Invalid.field("service", "is not one of the allowed services", code="unknown_service")
    return Invalid(code=reason, details=details)
