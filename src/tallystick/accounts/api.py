"""Accounts, test clocks, registration over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.accounts import queries, service
from tallystick.accounts.domain import AccountView, Clock, NewAccount
from tallystick.accounts.schemas import AccountIn, AccountPut, ClockIn, RegisterIn
from tallystick.accounts.service import Registration
from tallystick.identity import edge
from tallystick.identity.schemas import GrantOut
from tallystick.kernel.actor import Actor
from tallystick.platform.edge import new_id, new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, put_changes
from tallystick.platform.http.routes import (
    Reading,
    Writing,
    actor_of,
    allow,
    prepared,
    public,
    router,
    secret_answer,
)

accounts = router("accounts", "/accounts")
clocks = router("test clocks", "/test-clocks")
registration = router("identity", "/auth")
routers: list[tuple[APIRouter, list[str]]] = [
    (accounts, ["/v1", ""]),
    (clocks, ["/v1"]),
    (registration, ["/v1"]),
]
AccountId = Annotated[str, Path(max_length=64)]
IncludeClosed = Annotated[bool, Query(description="For admins: closed accounts are shown too")]
Filter = Annotated[str | None, Query(max_length=255)]


@accounts.post(
    "", status_code=201, summary="Open an account", response_model=Envelope[AccountView], responses=responses(409)
)  # fmt: skip
async def create_account(
    request: Request, body: AccountIn, session: Writing, actor: Actor = allow("accounts:write")
) -> Response:
    """For staff and services; customers get theirs when they register."""
    fields = body.model_dump()
    fields["currency"] = body.currency or request.app.state.settings.default_currency
    new = NewAccount(id=new_id("acc"), **fields)
    account = await service.open_account(session, actor, new, now=system_now())
    shown = await queries.view(session, account.no)
    return created(request, shown, "Account created", etag=shown.revision)


@accounts.get("", summary="Accounts, newest first", response_model=Listing[AccountView])
async def list_accounts(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    sort: Annotated[Literal["created_at", "-created_at", "name", "-name"], Query()] = "-created_at",
    include_closed: IncludeClosed = False, email: Filter = None, external_id: Filter = None, name: Filter = None,
    currency: Filter = None, status: Literal["open", "closed"] | None = None, actor: Actor = allow("accounts:read"),
) -> Response:  # fmt: skip
    """A customer sees his own."""
    page = await queries.page(
        session, actor, limit=limit, cursor=cursor, sort=sort, include_closed=include_closed and actor.role == "admin",
        email=email, external_id=external_id, name=name, currency=currency, status=status,
    )  # fmt: skip
    return listing(request, page)


@accounts.get(
    "/{account_id}", summary="An account", response_model=Envelope[AccountView], responses=responses(404)
)
async def get_account(
    request: Request, account_id: AccountId, session: Reading, include_closed: IncludeClosed = False,
    actor: Actor = allow("accounts:read"),
) -> Response:  # fmt: skip
    """Closed ones are gone, except for admins who ask for them; their personal data is gone for everyone."""
    closed = include_closed and actor.role == "admin"
    account = await queries.visible(session, actor, account_id, include_closed=closed)
    shown = await queries.view(session, account.no)
    return ok(request, shown, etag=shown.revision)


@accounts.put(
    "/{account_id}", summary="Change an account", response_model=Envelope[AccountView],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def update_account(
    request: Request, account_id: AccountId, body: AccountPut, session: Writing, actor: Actor = allow("accounts:write")
) -> Response:  # fmt: skip
    """Fields left out stay; `null` clears where that is possible. A new `timezone` applies from the next period on."""
    account = await service.locked(session, actor, account_id, expected_revisions(request))
    shown = await queries.view(session, account.no)
    changes = put_changes(body, shown)
    new_tax_id = changes.get("tax_id", shown.tax_id)
    if new_tax_id != shown.tax_id and await request.app.state.tax_is_shifted(session, account.no):
        service.check_tax_id_of_shifted(actor, new_tax_id)
    now = await queries.business_now(session, account, system_now())
    changed = await service.update(session, actor, account, shown, changes, now=now)
    return ok(request, changed, "Account changed", etag=changed.revision)


@clocks.post("", status_code=201, summary="Make a test clock", response_model=Envelope[Clock])
async def create_test_clock(
    request: Request, body: ClockIn, session: Writing, actor: Actor = allow("clocks:write")
) -> Response:
    """It stands still until it is advanced. Accounts opened with its id belong to the test entity and live by its time."""
    made = await service.make_clock(
        session, actor, clock_id=new_uuid(), name=body.name, frozen_time=body.frozen_time
    )
    return created(request, made, "Test clock created")


@clocks.get("", summary="Test clocks, newest first", response_model=Listing[Clock])
async def list_test_clocks(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    actor: Actor = allow("clocks:read"),
) -> Response:  # fmt: skip
    """With their present and, while they are being advanced, their target."""
    return listing(request, await queries.clocks(session, limit=limit, cursor=cursor))


@registration.post(
    "/register", status_code=201, summary="Sign up", response_model=Envelope[GrantOut], responses=responses(409)
)  # fmt: skip
@public
@secret_answer
@prepared(edge.hash_new_password)
async def register(request: Request, body: RegisterIn, session: Writing) -> Response:
    """A user and a billing account of his own. An e-mail that another account has stays off the new account."""
    settings = request.app.state.settings
    account = NewAccount(
        new_id("acc"), f"{body.first_name} {body.last_name}", email=body.email, currency=settings.default_currency
    )  # fmt: skip
    person = Registration(
        account, body.email, edge.new_password_hash(request), body.first_name, body.last_name
    )
    issuing = edge.issuing(request)
    grant = await service.register(session, actor_of(request), person, issuing, now=issuing.now)
    return created(request, edge.grant_data(grant), "User registered")
