"""Rating over HTTP: what would this cost?"""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from tallystick.kernel.actor import Actor
from tallystick.platform.http.envelope import Envelope, ok
from tallystick.platform.http.routes import allow, router
from tallystick.rating.domain import compile_price, estimate
from tallystick.rating.schemas import EstimateIn, EstimateOut

part = router("rating")
routers: list[tuple[Any, list[str]]] = [(part, ["/v1"])]


@part.post(
    "/rating/estimate",
    summary="What a quantity would cost, and the steps that lead there",
    response_model=Envelope[EstimateOut],
)
async def estimate_charge(
    request: Request, body: EstimateIn, actor: Actor = allow("rating:estimate")
) -> Response:
    """Pure: nothing is read or written, and an invoice line over the same usage comes to the same amount, by the same functions."""
    price = compile_price(body.charge_model, body.properties, body.adjustments, currency=body.currency)
    told = estimate(price, body.metered(price), body.currency, unit=body.unit)
    return ok(request, EstimateOut.of(told), "Estimate")
