"""Wallets over HTTP."""

from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi import Body as BodyParameter
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.accounts import service as account_commands
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid
from tallystick.kernel.pagination import Page
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, Nothing, put_changes
from tallystick.platform.http.routes import Reading, Writing, allow, router
from tallystick.wallets import queries, service
from tallystick.wallets.domain import Scope
from tallystick.wallets.queries import WalletView
from tallystick.wallets.schemas import (
    CaptureIn,
    HoldIn,
    HoldOut,
    TopUpIn,
    TopUpOut,
    TransactionOut,
    WalletIn,
    WalletOut,
    WalletPut,
)

wallets = router("wallets", "/wallets")
routers: list[tuple[APIRouter, list[str]]] = [(wallets, ["/v1"])]
Filter = Annotated[str | None, Query(max_length=64)]
Moved = Literal["top_up", "draw", "give_back", "take_back", "expiry", "forfeit", "hold", "release", "capture"]


def _shown(wallet: WalletView) -> dict[str, Any]:
    values = asdict(wallet)
    del values["account_no"], values["entity_id"]
    return values


@wallets.post(
    "", status_code=201, summary="Open a wallet", response_model=Envelope[WalletOut], responses=responses(404, 409)
)  # fmt: skip
async def create_wallet(
    request: Request, body: WalletIn, session: Writing, actor: Actor = allow("wallets:write")
) -> Response:
    """Empty, in one currency. An account may have several; `priority` says which is used first."""
    account = await account_commands.locked(session, actor, body.account_id)
    now = await accounts.business_now(session, account, system_now())
    scope = Scope(tuple(body.meters), tuple(body.plans))
    new = service.NewWallet(new_uuid(), body.name, body.currency, body.priority, scope, body.expires_at)
    await service.open_wallet(session, actor, account, new, now)
    made = await queries.wallet(session, new.id, system_now())
    return created(request, _shown(made), "Wallet opened", etag=made.revision)


@wallets.get("", summary="Wallets, newest first", response_model=Listing[WalletOut], responses=responses(404))
async def list_wallets(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    account_id: Filter = None, currency: Filter = None, status: Literal["active", "expired", "terminated"] | None = None,
    actor: Actor = allow("wallets:read"),
) -> Response:  # fmt: skip
    """A customer sees his own."""
    account_no = actor.account_no if actor.is_customer else None
    if account_id is not None:
        account_no = (await accounts.visible(session, actor, account_id, include_closed=True)).no
    page = await queries.wallets(
        session, system_now(), limit=limit, cursor=cursor, account_no=account_no, currency=currency, status=status
    )  # fmt: skip
    return listing(request, Page([_shown(each) for each in page.rows], page.next_cursor))


@wallets.get(
    "/{wallet_id}", summary="A wallet and its balance", response_model=Envelope[WalletOut], responses=responses(404)
)  # fmt: skip
async def get_wallet(
    request: Request, wallet_id: UUID, session: Reading, actor: Actor = allow("wallets:read")
) -> Response:
    """At the account's present."""
    found = await queries.visible(session, actor, wallet_id, system_now())
    return ok(request, _shown(found), etag=found.revision)


@wallets.put(
    "/{wallet_id}", summary="Change or terminate a wallet", response_model=Envelope[WalletOut],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def update_wallet(
    request: Request, wallet_id: UUID, body: WalletPut, session: Writing, actor: Actor = allow("wallets:write")
) -> Response:  # fmt: skip
    """Name, priority, expiry. `"status": "terminated"` ends it: what was granted is gone; while paid money is left or a hold is active it
    is refused (409)."""
    wallet = await service.locked(session, wallet_id, system_now(), expected_revisions(request))
    changes = put_changes(body, _shown(wallet))
    if changes.get("status", "terminated") not in ("terminated", wallet.status):
        raise Invalid.field("status", "may become terminated, nothing else")
    await service.change(session, actor, wallet, changes)
    changed = await queries.wallet(session, wallet_id, system_now())
    return ok(request, _shown(changed), "Wallet changed", etag=changed.revision)


@wallets.post(
    "/{wallet_id}/top-ups", status_code=201, summary="Put money or credit into a wallet",
    response_model=Envelope[TopUpOut], responses=responses(404, 409),
)  # fmt: skip
async def top_up_wallet(
    request: Request, wallet_id: UUID, body: TopUpIn, session: Writing, actor: Actor = allow("wallets:write")
) -> Response:
    """Posted at once. Send an `Idempotency-Key`: the same key never tops up twice."""
    wallet = await service.locked(session, wallet_id, system_now())
    new = service.TopUp(new_uuid(), **body.model_dump())
    return created(request, await service.top_up(session, actor, wallet, new), "Wallet topped up")


@wallets.get(
    "/{wallet_id}/top-ups", summary="A wallet's top-ups, newest first", response_model=Listing[TopUpOut],
    responses=responses(404),
)  # fmt: skip
async def list_wallet_top_ups(
    request: Request, wallet_id: UUID, session: Reading, limit: Annotated[Limit, Query()] = 50,
    cursor: str | None = None, actor: Actor = allow("wallets:read"),
) -> Response:  # fmt: skip
    """With what remains of each."""
    found = await queries.visible(session, actor, wallet_id, system_now())
    return listing(request, await queries.grants(session, found.id, limit=limit, cursor=cursor))


@wallets.get(
    "/{wallet_id}/transactions", summary="A wallet's history, newest first", response_model=Listing[TransactionOut],
    responses=responses(404),
)  # fmt: skip
async def list_wallet_transactions(
    request: Request, wallet_id: UUID, session: Reading, limit: Annotated[Limit, Query()] = 50,
    cursor: str | None = None, kind: Moved | None = None, actor: Actor = allow("wallets:read"),
) -> Response:  # fmt: skip
    """Top-ups, what paid which line of which invoice, what void invoices gave back, expiry, holds."""
    found = await queries.visible(session, actor, wallet_id, system_now())
    return listing(
        request, await queries.transactions(session, found.id, limit=limit, cursor=cursor, kind=kind)
    )


@wallets.post(
    "/{wallet_id}/holds", status_code=201, summary="Reserve a part of the balance", response_model=Envelope[HoldOut],
    responses=responses(404, 409),
)  # fmt: skip
async def create_wallet_hold(
    request: Request, wallet_id: UUID, body: HoldIn, session: Writing, actor: Actor = allow("wallets:write")
) -> Response:
    """Never more than is free. What is held pays no invoice and does not expire until the hold is over."""
    wallet = await service.locked(session, wallet_id, system_now())
    held = await service.hold(session, actor, wallet, service.NewHold(new_uuid(), **body.model_dump()))
    return created(request, held, "Reserved")


@wallets.get(
    "/{wallet_id}/holds", summary="A wallet's holds, newest first", response_model=Listing[HoldOut],
    responses=responses(404),
)  # fmt: skip
async def list_wallet_holds(
    request: Request, wallet_id: UUID, session: Reading, limit: Annotated[Limit, Query()] = 50,
    cursor: str | None = None, status: Literal["active", "captured", "released", "expired"] | None = None,
    actor: Actor = allow("wallets:read"),
) -> Response:  # fmt: skip
    """Those that are over too."""
    found = await queries.visible(session, actor, wallet_id, system_now())
    return listing(request, await queries.holds(session, found.id, limit=limit, cursor=cursor, status=status))


@wallets.post(
    "/{wallet_id}/holds/{hold_id}/capture", summary="Use what is reserved", response_model=Envelope[HoldOut],
    responses=responses(404, 409),
)  # fmt: skip
async def capture_wallet_hold(
    request: Request, wallet_id: UUID, hold_id: UUID, session: Writing,
    body: Annotated[CaptureIn | None, BodyParameter()] = None, actor: Actor = allow("wallets:write"),
) -> Response:  # fmt: skip
    """All of it or a part; the rest is let go. It is earned at once, without an invoice. A hold is captured once."""
    wallet = await service.locked(session, wallet_id, system_now())
    asked = body or CaptureIn()
    held = await service.capture_hold(session, actor, wallet, hold_id, asked.amount, asked.gl_code)
    return ok(request, held, "Captured")


@wallets.post(
    "/{wallet_id}/holds/{hold_id}/release", summary="Let go of what is reserved", response_model=Envelope[HoldOut],
    responses=responses(404, 409),
)  # fmt: skip
async def release_wallet_hold(
    request: Request, wallet_id: UUID, hold_id: UUID, session: Writing,
    nothing: Annotated[Nothing | None, BodyParameter()] = None, actor: Actor = allow("wallets:write"),
) -> Response:  # fmt: skip
    """It is free again at once."""
    wallet = await service.locked(session, wallet_id, system_now())
    return ok(request, await service.release(session, actor, wallet, hold_id), "Released")
