"""Subscriptions over HTTP: start, read, end."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.accounts import service as account_commands
from tallystick.accounts.schemas import Uuid
from tallystick.catalog import queries as catalog
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.kernel.pagination import Page
from tallystick.kernel.zones import local_midnight, zone
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit
from tallystick.platform.http.routes import Reading, Writing, allow, router
from tallystick.subscriptions import queries, service
from tallystick.subscriptions.domain import period_now
from tallystick.subscriptions.schemas import SubscriptionIn, SubscriptionOut, When
from tallystick.subscriptions.service import Start

part = router("subscriptions", "/subscriptions")
routers: list[tuple[APIRouter, list[str]]] = [(part, ["/v1"])]


@part.post(
    "", status_code=201, summary="Start a subscription", response_model=Envelope[SubscriptionOut],
    responses=responses(404, 409),
)  # fmt: skip
async def create_subscription(
    request: Request, body: SubscriptionIn, session: Writing, actor: Actor = allow("subscriptions:write")
) -> Response:
    """On the plan's current version, active at once and billed by invoice. A start in the past is billed back to there."""
    account = await account_commands.locked(session, actor, body.account_id)
    now = await accounts.business_now(session, account, system_now())
    wanted = Start(
        new_uuid(), body.plan_id, _instant(body.start_date or now, account.timezone), body.quantity or Decimal(1)
    )  # fmt: skip
    made = await service.start(session, actor, account, wanted, now=now)
    shown = (await queries.views(session, [made], system_now()))[0]
    return created(request, shown, "Subscription started", etag=shown.revision)


@part.get(
    "", summary="Subscriptions, newest first", response_model=Listing[SubscriptionOut], responses=responses(404)
)  # fmt: skip
async def list_subscriptions(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    account_id: Annotated[str | None, Query(max_length=64)] = None,
    plan_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None, actor: Actor = allow("subscriptions:read"),
) -> Response:  # fmt: skip
    """A customer sees his own. An `account_id` that is not there, or not his, is a 404."""
    account_no = actor.account_no if actor.is_customer else None
    if account_id is not None:
        account_no = (await accounts.visible(session, actor, account_id, include_closed=True)).no
    versions = None if plan_id is None else await catalog.version_ids(session, plan_id)
    page = await queries.page(
        session, limit=limit, cursor=cursor, account_no=account_no, version_ids=versions
    )
    shown = await queries.views(session, page.rows, system_now())
    return listing(request, Page(shown, page.next_cursor))


@part.get(
    "/{subscription_id}", summary="A subscription", response_model=Envelope[SubscriptionOut],
    responses=responses(404),
)  # fmt: skip
async def get_subscription(
    request: Request, subscription_id: Uuid, session: Reading, actor: Actor = allow("subscriptions:read")
) -> Response:
    """With its current period and when its next bill is made."""
    found = await queries.by_id(session, subscription_id)
    if actor.is_customer and found.account_no != actor.account_no:
        raise NotFound
    shown = (await queries.views(session, [found], system_now()))[0]
    return ok(request, shown, etag=shown.revision)


@part.delete(
    "/{subscription_id}", summary="End a subscription", response_model=Envelope[SubscriptionOut],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def cancel_subscription(
    request: Request, subscription_id: Uuid, session: Writing,
    when: Annotated[When, Query(description="`period_end`, `now`, or a local date of the account (its midnight)")]
    = "period_end",
    credit: Annotated[Literal["none"], Query(description="What is given back of a fee billed in advance: nothing")] = "none",
    actor: Actor = allow("subscriptions:write"),
) -> Response:  # fmt: skip
    """What was used until then is still billed; a fee billed in advance stands. A scheduled end can be moved by ending again."""
    found, account = await service.locked(session, actor, subscription_id, expected_revisions(request))
    plan = (await catalog.plan_versions(session, [found.plan_version_id]))[found.plan_version_id]
    now = await accounts.business_now(session, account, system_now())
    if isinstance(when, str):
        at = now if when == "now" else period_now(found, plan, now).end
    else:
        at = _instant(when, account.timezone)
    ended = await service.end(session, actor, found, account, plan, at=at, now=now)
    shown = (await queries.views(session, [ended], system_now()))[0]
    return ok(request, shown, "Subscription ended" if at <= now else "End scheduled", etag=shown.revision)


def _instant(moment: date | datetime, timezone: str) -> datetime:
    """A local date is the account's midnight."""
    if isinstance(moment, datetime):
        return moment
    try:
        return local_midnight(moment, zone(timezone))
    except Invalid:
        raise Invalid.field("date", "is out of range") from None
