"""Taxes over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.accounts import service as account_commands
from tallystick.entities.domain import TEST_ID
from tallystick.kernel.actor import Actor
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, put_changes
from tallystick.platform.http.routes import Reading, Writing, allow, router
from tallystick.taxes import queries, service
from tallystick.taxes.schemas import (
    AccountTaxesIn,
    AccountTaxOut,
    RateIn,
    TaxIn,
    TaxOut,
    TaxPut,
    TreatmentIn,
    TreatmentOut,
    account_taxes_out,
)

taxes = router("taxes", "/taxes")
account_taxes = router("taxes", "/accounts")
routers: list[tuple[APIRouter, list[str]]] = [(taxes, ["/v1"]), (account_taxes, ["/v1"])]
TaxId = Annotated[int, Path(ge=1, le=2**31 - 1)]
AccountId = Annotated[str, Path(max_length=64)]


@taxes.get("", summary="Taxes, by code", response_model=Listing[TaxOut])
async def list_taxes(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    code: Annotated[str | None, Query(max_length=100)] = None,
    livemode: Annotated[bool, Query(description="False: those of accounts on test clocks")] = True,
    actor: Actor = allow("taxes:read"),
) -> Response:  # fmt: skip
    """Of the caller's entity."""
    entity_id = actor.entity_id if livemode else TEST_ID
    return listing(request, await queries.taxes(session, entity_id, limit=limit, cursor=cursor, code=code))


@taxes.post(
    "", status_code=201, summary="Make a tax", response_model=Envelope[TaxOut], responses=responses(409, 422)
)
async def create_tax(
    request: Request, body: TaxIn, session: Writing, actor: Actor = allow("taxes:write")
) -> Response:
    """A rate in percent. A default one is charged on every new invoice of the entity."""
    new = service.NewTax(
        body.code, body.name, body.rate, body.is_default, body.kind, tuple(body.categories), body.note
    )
    tax = await service.make_tax(session, actor, new, livemode=body.livemode)
    return created(request, tax, "Tax created", etag=tax.revision)


@taxes.get("/{tax_id}", summary="A tax", response_model=Envelope[TaxOut], responses=responses(404))
async def get_tax(
    request: Request, tax_id: TaxId, session: Reading, actor: Actor = allow("taxes:read")
) -> Response:
    """Of the caller's entity."""
    tax = await queries.tax(session, service.entities_of(actor), tax_id)
    return ok(request, tax, etag=tax.revision)


@taxes.put(
    "/{tax_id}", summary="Change a tax", response_model=Envelope[TaxOut], responses=responses(404, 412)
)
async def update_tax(
    request: Request, tax_id: TaxId, body: TaxPut, session: Writing, actor: Actor = allow("taxes:write")
) -> Response:
    """Name, default, categories and note. Another rate is added with its date."""
    shown = await service.locked_tax(session, actor, tax_id, expected_revisions(request))
    tax = await service.change_tax(session, actor, shown, put_changes(body, shown))
    return ok(request, tax, "Tax changed", etag=tax.revision)


@taxes.post(
    "/{tax_id}/rates", status_code=201, summary="Add a later rate", response_model=Envelope[TaxOut],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def add_tax_rate(
    request: Request, tax_id: TaxId, body: RateIn, session: Writing, actor: Actor = allow("taxes:write")
) -> Response:
    """In force from its date on; lines whose tax point is before keep the rate of then, issued documents too."""
    shown = await service.locked_tax(session, actor, tax_id, expected_revisions(request))
    tax = await service.add_rate(session, actor, shown, body.valid_from, body.rate)
    return created(request, tax, "Rate added", etag=tax.revision)


@account_taxes.get(
    "/{account_id}/taxes", summary="What an account pays", response_model=Envelope[list[AccountTaxOut]],
    responses=responses(404),
)  # fmt: skip
async def get_account_taxes(
    request: Request, account_id: AccountId, session: Reading, actor: Actor = allow("taxes:read")
) -> Response:
    """Its own taxes, or the defaults of its entity."""
    account = await accounts.visible(session, actor, account_id)
    found = await queries.for_accounts(session, [(account.no, account.entity_id)])
    return ok(request, account_taxes_out(found[account.no]))


@account_taxes.put(
    "/{account_id}/taxes", summary="Give an account taxes of its own", response_model=Envelope[list[AccountTaxOut]],
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
    profile = await service.set_account_taxes(session, actor, account, body.codes)
    return ok(request, account_taxes_out(profile), "Taxes changed")


@account_taxes.get(
    "/{account_id}/tax-treatment", summary="How an account is taxed", response_model=Envelope[TreatmentOut],
    responses=responses(404),
)  # fmt: skip
async def get_tax_treatment(
    request: Request, account_id: AccountId, session: Reading, actor: Actor = allow("taxes:read")
) -> Response:
    """Like everybody, exempt, or owing the tax itself."""
    account = await accounts.visible(session, actor, account_id)
    found = (await queries.for_accounts(session, [(account.no, account.entity_id)]))[account.no]
    return ok(request, {"treatment": found.treatment, "note": found.note})


@account_taxes.put(
    "/{account_id}/tax-treatment", summary="Exempt an account, or shift the tax to it",
    response_model=Envelope[TreatmentOut], responses=responses(404),
)  # fmt: skip
async def set_tax_treatment(
    request: Request, account_id: AccountId, body: TreatmentIn, session: Writing, actor: Actor = allow("taxes:write")
) -> Response:  # fmt: skip
    """On invoices made from now on. Shifting asks for the account's `tax_id`; the price of an account that is not charged is the plan's,
    also where it would hold the tax."""
    account = await account_commands.locked(session, actor, account_id)
    found = await service.set_treatment(session, actor, account, body.treatment, body.note)
    return ok(request, {"treatment": found.treatment, "note": found.note}, "Tax treatment changed")
