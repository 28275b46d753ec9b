"""Taxes over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.accounts import service as account_commands
from tallystick.kernel.actor import Actor
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, put_changes
from tallystick.platform.http.routes import Reading, Writing, allow, router
from tallystick.taxes import queries, service
from tallystick.taxes.schemas import AccountTaxesIn, TaxIn, TaxOut, TaxPut, TaxRateOut

taxes = router("taxes", "/taxes")
account_taxes = router("taxes", "/accounts")
routers: list[tuple[APIRouter, list[str]]] = [(taxes, ["/v1"]), (account_taxes, ["/v1"])]
TaxId = Annotated[int, Path(ge=1, le=2**31 - 1)]
AccountId = Annotated[str, Path(max_length=64)]


@taxes.get("", summary="Taxes, by code", response_model=Listing[TaxOut])
async def list_taxes(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    code: Annotated[str | None, Query(max_length=100)] = None, actor: Actor = allow("taxes:read"),
) -> Response:  # fmt: skip
    """Of the caller's entity."""
    return listing(
        request, await queries.taxes(session, actor.entity_id, limit=limit, cursor=cursor, code=code)
    )


@taxes.post(
    "", status_code=201, summary="Make a tax", response_model=Envelope[TaxOut], responses=responses(409)
)
async def make_tax(
    request: Request, body: TaxIn, session: Writing, actor: Actor = allow("taxes:write")
) -> Response:
    """A rate in percent. A default one is charged on every new invoice of the entity."""
    tax = await service.make_tax(
        session, actor, code=body.code, name=body.name, rate=body.rate, is_default=body.is_default
    )
    return created(request, tax, "Tax created", etag=tax.revision)


@taxes.get("/{tax_id}", summary="A tax", response_model=Envelope[TaxOut], responses=responses(404))
async def get_tax(
    request: Request, tax_id: TaxId, session: Reading, actor: Actor = allow("taxes:read")
) -> Response:
    """Of the caller's entity."""
    tax = await queries.tax(session, actor.entity_id, tax_id)
    return ok(request, tax, etag=tax.revision)


@taxes.put(
    "/{tax_id}", summary="Change a tax", response_model=Envelope[TaxOut], responses=responses(404, 412)
)
async def change_tax(
    request: Request, tax_id: TaxId, body: TaxPut, session: Writing, actor: Actor = allow("taxes:write")
) -> Response:
    """Name and default. For another rate make another tax, and let it be the default."""
    shown = await service.locked_tax(session, actor, tax_id, expected_revisions(request))
    tax = await service.change_tax(session, actor, shown, put_changes(body, shown))
    return ok(request, tax, "Tax changed", etag=tax.revision)


@account_taxes.get(
    "/{account_id}/taxes", summary="What an account pays", response_model=Envelope[list[TaxRateOut]],
    responses=responses(404),
)  # fmt: skip
async def get_account_taxes(
    request: Request, account_id: AccountId, session: Reading, actor: Actor = allow("taxes:read")
) -> Response:
    """Its own taxes, or the defaults of its entity."""
    account = await accounts.visible(session, actor, account_id)
    rates = await queries.for_accounts(session, [(account.no, account.entity_id)])
    return ok(request, rates[account.no])


@account_taxes.put(
    "/{account_id}/taxes", summary="Give an account taxes of its own", response_model=Envelope[list[TaxRateOut]],
    responses=responses(404),
)  # fmt: skip
async def set_account_taxes(
    request: Request,
    account_id: AccountId,
    body: AccountTaxesIn,
    session: Writing,
    actor: Actor = allow("taxes:write"),
) -> Response:
    """They replace the defaults, on invoices made from now on; an empty list brings the defaults back."""
    account = await account_commands.locked(session, actor, account_id)
    rates = await service.set_account_taxes(session, actor, account, body.codes)
    return ok(request, rates, "Taxes changed")
