"""Invoices and billing records over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi import Body as BodyParameter
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.invoicing import queries, service
from tallystick.invoicing.coupons import api as coupons
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.domain.records import visible_to_customer, wanted_status
from tallystick.invoicing.notes import api as notes
from tallystick.invoicing.queries import RecordView
from tallystick.invoicing.schemas import (
    InvoiceOut,
    InvoiceSummaryOut,
    RecordIn,
    RecordOut,
    RecordPut,
    invoice_out,
    record_out,
    summaries_out,
)
from tallystick.invoicing.service import RecordWish
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page
from tallystick.platform.db import ReadSession, Session
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, Nothing, put_changes
from tallystick.platform.http.routes import Reading, Writing, allow, router

invoices = router("invoices", "/invoices")
records = router("billing records", "/billing")
routers: list[tuple[APIRouter, list[str]]] = [
    (invoices, ["/v1"]),
    (records, ["/v1", ""]),
    *notes.routers,
    *coupons.routers,
]
AccountId = Annotated[str, Path(max_length=64)]
NoBody = Annotated[Nothing | None, BodyParameter()]
Filter = Annotated[str | None, Query(max_length=64)]


async def _owner(session: ReadSession, account_no: int) -> tuple[Account, datetime]:
    account = (await accounts.by_nos(session, [account_no]))[account_no]
    return account, await accounts.business_now(session, account, system_now())


async def _changed(request: Request, session: Session, invoice_id: UUID, message: str) -> Response:
    invoice = await queries.invoice(session, invoice_id)
    assert invoice is not None, "just changed"
    return ok(request, await invoice_out(session, invoice), message, etag=invoice.revision)


@invoices.get(
    "", summary="Invoices, newest first", response_model=Listing[InvoiceSummaryOut], responses=responses(404)
)
async def list_invoices(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    account_id: Filter = None, status: Status | None = None, number: Filter = None, currency: Filter = None,
    run_id: UUID | None = None, actor: Actor = allow("invoices:read"),
) -> Response:  # fmt: skip
    """A customer sees his own, once they are issued."""
    account_no = actor.account_no if actor.is_customer else None
    if account_id is not None:
        account_no = (await accounts.visible(session, actor, account_id, include_closed=True)).no
    page = await queries.invoices(
        session, limit=limit, cursor=cursor, account_no=account_no, status=status, number=number, currency=currency,
        run_id=run_id, issued_only=actor.is_customer,
    )  # fmt: skip
    return listing(request, Page(await summaries_out(session, page.rows), page.next_cursor))


@invoices.get(
    "/{invoice_id}",
    summary="An invoice with its lines",
    response_model=Envelope[InvoiceOut],
    responses=responses(404),
)
async def get_invoice(
    request: Request, invoice_id: UUID, session: Reading, actor: Actor = allow("invoices:read")
) -> Response:
    """Rounded amounts and, beside them, the exact ones."""
    invoice = await queries.visible(session, actor, invoice_id)
    return ok(request, await invoice_out(session, invoice), etag=invoice.revision)


@invoices.post(
    "/{invoice_id}/finalize", summary="Number, post and freeze a draft", response_model=Envelope[InvoiceOut],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def finalize_invoice(
    request: Request,
    invoice_id: UUID,
    session: Writing,
    nothing: NoBody = None,
    actor: Actor = allow("invoices:write"),
) -> Response:
    """From then on nothing on it changes but its state. Where nothing is owed it is paid at once."""
    invoice = await queries.visible(session, actor, invoice_id)
    _, now = await _owner(session, invoice.account_no)
    await service.finalize(session, actor, invoice_id, now, revisions=expected_revisions(request))
    return await _changed(request, session, invoice_id, "Invoice finalized")


@invoices.post(
    "/{invoice_id}/pay", summary="Record a payment made by hand", response_model=Envelope[InvoiceOut],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def pay_invoice(
    request: Request,
    invoice_id: UUID,
    session: Writing,
    nothing: NoBody = None,
    actor: Actor = allow("invoices:write"),
) -> Response:
    """All that is owed came in outside any gateway: in cash, by transfer."""
    invoice = await queries.visible(session, actor, invoice_id)
    _, now = await _owner(session, invoice.account_no)
    await service.mark_paid(session, actor, invoice_id, now, revisions=expected_revisions(request))
    return await _changed(request, session, invoice_id, "Invoice paid")


@records.post(
    "", status_code=201, summary="Write a billing record", response_model=Envelope[RecordOut],
    responses=responses(404, 409),
)  # fmt: skip
async def create_billing_record(
    request: Request, body: RecordIn, session: Writing, actor: Actor = allow("billing:write")
) -> Response:
    """An invoice with one line. `paid` finalizes, numbers and posts it at once; `pending` and `draft` can still change."""
    account = await accounts.visible(session, actor, body.customer_id or body.account_id or "")
    now = await accounts.business_now(session, account, system_now())
    wish = RecordWish(
        body.amount,
        body.currency,
        body.description,
        body.billing_date,
        body.due_date,
        wanted_status(body.status),
    )
    record_id = new_uuid()
    await service.create_record(session, actor, account, wish, record_id=record_id, now=now)
    return await _record(request, session, record_id, account.id, "Billing record created", status=201)


@records.get(
    "/{record_id}", summary="A billing record", response_model=Envelope[RecordOut], responses=responses(404)
)
async def get_billing_record(
    request: Request, record_id: UUID, session: Reading, actor: Actor = allow("billing:read")
) -> Response:
    """Any invoice can be read as a record."""
    record = await _visible_record(session, actor, record_id)
    account, _ = await _owner(session, record.account_no)
    return ok(request, record_out(record, account.id), etag=record.revision)


@records.put(
    "/{record_id}", summary="Change a billing record", response_model=Envelope[RecordOut],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def update_billing_record(
    request: Request,
    record_id: UUID,
    body: RecordPut,
    session: Writing,
    actor: Actor = allow("billing:write"),
) -> Response:
    """Pending and draft records may change; `paid` finalizes, numbers and posts; `void`; anything else is refused."""
    record = await _visible_record(session, actor, record_id)
    account, now = await _owner(session, record.account_no)
    changes = put_changes(body, record_out(record, account.id))
    if "status" in changes and changes["status"] != record_out(record, account.id)["status"]:
        changes["status"] = wanted_status(changes["status"])
    await service.change_record(
        session, actor, account, record_id, changes, now=now, revisions=expected_revisions(request)
    )
    return await _record(request, session, record_id, account.id, "Billing record changed")


@records.get(
    "/history/{account_id}", summary="An account's billing records, newest first", response_model=Listing[RecordOut],
    responses=responses(404),
)  # fmt: skip
async def list_billing_history(
    request: Request, account_id: AccountId, session: Reading, limit: Annotated[Limit, Query()] = 50,
    cursor: str | None = None, actor: Actor = allow("billing:read"),
) -> Response:  # fmt: skip
    """All its invoices, each as a record. Staff see those of closed accounts too; customers see no drafts but pending ones."""
    account = await accounts.visible(session, actor, account_id, include_closed=not actor.is_customer)
    page = await queries.history(
        session, account.no, limit=limit, cursor=cursor, hide_drafts=actor.is_customer
    )
    return listing(request, Page([record_out(each, account.id) for each in page.rows], page.next_cursor))


async def _visible_record(session: ReadSession, actor: Actor, record_id: UUID) -> RecordView:
    record = await queries.record(session, record_id)
    if record is None or (
        actor.is_customer
        and (
            record.account_no != actor.account_no
            or not visible_to_customer(record.status, record.shown_as, record.number)
        )
    ):
        raise NotFound
    return record


async def _record(
    request: Request, session: Session, record_id: UUID, account_id: str, message: str, *, status: int = 200
) -> Response:
    record = await queries.record(session, record_id)
    assert record is not None, "just written"
    answer = created if status == 201 else ok
    return answer(request, record_out(record, account_id), message, etag=record.revision)
