"""Coupons over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.accounts import service as account_commands
from tallystick.entities.domain import TEST_ID
from tallystick.invoicing.coupons import queries
from tallystick.invoicing.coupons.schemas import AppliedOut, ApplyIn, CouponIn, CouponOut, CouponPut
from tallystick.invoicing.service import couponing
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid
from tallystick.kernel.pagination import Page
from tallystick.platform.db import ReadSession
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, put_changes
from tallystick.platform.http.routes import Reading, Writing, allow, router

coupons = router("coupons", "/coupons")
of_account = router("coupons", "/accounts")
routers: list[tuple[APIRouter, list[str]]] = [(coupons, ["/v1"]), (of_account, ["/v1"])]
CouponId = Annotated[int, Path(ge=1, le=2**31 - 1)]
AccountId = Annotated[str, Path(max_length=64)]


@coupons.get("", summary="Coupons, by code", response_model=Listing[CouponOut])
async def list_coupons(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    code: Annotated[str | None, Query(max_length=100)] = None,
    livemode: Annotated[bool, Query(description="False: those for accounts on test clocks")] = True,
    actor: Actor = allow("coupons:read"),
) -> Response:  # fmt: skip
    """Of the caller's entity."""
    entity_id = actor.entity_id if livemode else TEST_ID
    return listing(request, await queries.coupons(session, entity_id, limit=limit, cursor=cursor, code=code))


@coupons.post(
    "", status_code=201, summary="Make a coupon", response_model=Envelope[CouponOut], responses=responses(409)
)
async def create_coupon(
    request: Request, body: CouponIn, session: Writing, actor: Actor = allow("coupons:write")
) -> Response:
    """An amount or a share off; limited to lines of meters or plans where it says so."""
    made = await couponing.make_coupon(session, actor, body.asked, livemode=body.livemode)
    return created(request, made, "Coupon created", etag=made.revision)


@coupons.post(
    "/apply", status_code=201, summary="Redeem a coupon for an account", response_model=Envelope[AppliedOut],
    responses=responses(404, 409),
)  # fmt: skip
async def apply_coupon(
    request: Request, body: ApplyIn, session: Writing, actor: Actor = allow("coupons:apply")
) -> Response:
    """It lowers the account's invoices from now on: narrower coupons first, then in the order they were redeemed."""
    account = await account_commands.locked(
        session, actor, await _account_id(session, actor, body.account_id)
    )
    now = await accounts.business_now(session, account, system_now())
    applied_id = await couponing.redeem(session, actor, account, body.code, applied_id=new_uuid(), now=now)
    return created(request, await queries.one_applied(session, account.no, applied_id), "Coupon applied")


async def _account_id(session: ReadSession, actor: Actor, account_id: str | None) -> str:
    if account_id is not None:
        return account_id
    if actor.account_no is None:
        raise Invalid.field("account_id", "is required: whose invoices the coupon lowers")
    return (await accounts.by_nos(session, [actor.account_no]))[actor.account_no].id


@coupons.get("/{coupon_id}", summary="A coupon", response_model=Envelope[CouponOut], responses=responses(404))
async def get_coupon(
    request: Request, coupon_id: CouponId, session: Reading, actor: Actor = allow("coupons:read")
) -> Response:
    """With how often it was redeemed."""
    found = await queries.coupon(session, coupon_id)
    return ok(request, found, etag=found.revision)


@coupons.put(
    "/{coupon_id}",
    summary="Change a coupon",
    response_model=Envelope[CouponOut],
    responses=responses(404, 412),
)
async def update_coupon(
    request: Request, coupon_id: CouponId, body: CouponPut, session: Writing, actor: Actor = allow("coupons:write")
) -> Response:  # fmt: skip
    """Name, limits, and whether it is given out. What it gives never changes."""
    shown = await couponing.locked(session, coupon_id, expected_revisions(request))
    changed = await couponing.change(session, actor, shown, put_changes(body, shown))
    return ok(request, changed, "Coupon changed", etag=changed.revision)


@of_account.get(
    "/{account_id}/coupons", summary="The coupons an account has redeemed", response_model=Listing[AppliedOut],
    responses=responses(404),
)  # fmt: skip
async def list_applied_coupons(
    request: Request, account_id: AccountId, session: Reading, actor: Actor = allow("accounts:read")
) -> Response:
    """Oldest first, with what each took off so far."""
    account = await accounts.visible(session, actor, account_id)
    return listing(request, Page(await queries.applied(session, account.no), None))


@of_account.delete(
    "/{account_id}/coupons/{applied_id}", status_code=204, summary="Withdraw a coupon from an account",
    responses=responses(404),
)  # fmt: skip
async def withdraw_coupon(
    request: Request, account_id: AccountId, applied_id: UUID, session: Writing, actor: Actor = allow("coupons:write")
) -> Response:  # fmt: skip
    """It lowers nothing from now on; what it took off stands."""
    account = await account_commands.locked(session, actor, account_id)
    now = await accounts.business_now(session, account, system_now())
    await couponing.withdraw(session, actor, account, applied_id, now)
    return Response(status_code=204)
