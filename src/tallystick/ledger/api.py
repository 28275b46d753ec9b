"""The books over HTTP, for reading."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.kernel.actor import Actor
from tallystick.kernel.clock import bounded
from tallystick.kernel.pagination import Page
from tallystick.ledger import queries
from tallystick.ledger.queries import AccountView, EntryView, TrialLine
from tallystick.ledger.schemas import EntryOut, LedgerAccountOut, TrialBalanceOut
from tallystick.platform.db import ReadSession
from tallystick.platform.http.envelope import Envelope, Listing, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit
from tallystick.platform.http.routes import Reading, allow, router

ledger = router("ledger", "/ledger")
routers: list[tuple[APIRouter, list[str]]] = [(ledger, ["/v1"])]
Filter = Annotated[str | None, Query(max_length=200)]
Entity = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Since = Annotated[datetime | None, AfterValidator(lambda at: at and bounded(at))]


async def _number(session: ReadSession, actor: Actor, account_id: str | None) -> int | None:
    if account_id is None:
        return None
    return (await accounts.visible(session, actor, account_id, include_closed=True)).no


async def _named(
    session: ReadSession, rows: Sequence[AccountView] | Sequence[EntryView]
) -> list[dict[str, Any]]:
    """Rows with the billing account's id in place of its number."""
    owners = await accounts.by_nos(session, {row.account_no for row in rows if row.account_no})
    named = []
    for row in rows:
        values = asdict(row)
        number = values.pop("account_no")
        values["account_id"] = owners[number].id if number in owners else None
        named.append(values)
    return named


@ledger.get(
    "/accounts",
    summary="Ledger accounts and their balances",
    response_model=Listing[LedgerAccountOut],
    responses=responses(404),
)
async def list_ledger_accounts(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    account_id: Filter = None, account: Filter = None, currency: Filter = None, entity_id: Entity = None,
    actor: Actor = allow("ledger:read"),
) -> Response:  # fmt: skip
    """Customers' (`receivable`) and the entities' own (`revenue`, `deferred`, `tax:…`, `cash:…`). Debit is positive."""
    page = await queries.accounts(
        session, limit=limit, cursor=cursor, account_no=await _number(session, actor, account_id), code=account,
        currency=currency, entity_id=entity_id,
    )  # fmt: skip
    rows = await _named(session, page.rows)
    for row in rows:
        row["account"] = row.pop("code")
    return listing(request, Page(rows, page.next_cursor))


@ledger.get(
    "/entries", summary="Entries, newest first", response_model=Listing[EntryOut], responses=responses(404)
)
async def list_ledger_entries(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    account_id: Filter = None, account: Filter = None, ledger_account_id: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    source_type: Filter = None, source_id: Filter = None, entity_id: Entity = None, since: Since = None, until: Since = None,
    actor: Actor = allow("ledger:read"),
) -> Response:  # fmt: skip
    """`source_type=invoice&source_id=…` shows what an invoice did; `since` and `until` bound the business time, half-open."""
    page = await queries.entries(
        session, limit=limit, cursor=cursor, account_no=await _number(session, actor, account_id), account=account,
        ledger_account_id=ledger_account_id, source_type=source_type, source_id=source_id, entity_id=entity_id,
        since=since, until=until,
    )  # fmt: skip
    return listing(request, Page(await _named(session, page.rows), page.next_cursor))


@ledger.get(
    "/trial-balance", summary="Debits and credits of the whole books", response_model=Envelope[list[TrialBalanceOut]]
)  # fmt: skip
async def get_trial_balance(
    request: Request, session: Reading, entity_id: Entity = None, currency: Filter = None,
    actor: Actor = allow("ledger:read"),
) -> Response:  # fmt: skip
    """Per entity and currency. The difference is 0 at every moment; `tallystick doctor` says so too."""
    lines = await queries.trial_balance(session, entity_id=entity_id, currency=currency)
    books = [
        _book(key, list(group)) for key, group in groupby(lines, lambda line: (line.entity_id, line.currency))
    ]
    return ok(request, books, "Trial balance")


def _book(key: tuple[int, str], lines: Sequence[TrialLine]) -> dict[str, Any]:
    debit = sum((line.debit for line in lines), Decimal(0))
    credit = sum((line.credit for line in lines), Decimal(0))
    rows = [
        {"account": line.account, "gl_code": line.gl_code, "debit": line.debit, "credit": line.credit}
        for line in lines
    ]
    return {
        "entity_id": key[0], "currency": key[1], "debit": debit, "credit": credit, "difference": debit - credit, "accounts": rows,
    }  # fmt: skip
