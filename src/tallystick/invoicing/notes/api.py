"""Credit notes and customer credit over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tallystick.accounts import queries as accounts
from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service
from tallystick.invoicing.notes import queries
from tallystick.invoicing.notes.schemas import (
    CreditMoveOut,
    CreditOut,
    NoteIn,
    NoteOut,
    NotePreviewOut,
    NoteSummaryOut,
    credit_out,
    moves_out,
    note_out,
    notes_out,
    preview_out,
)
from tallystick.invoicing.service import NoteOrder, noting
from tallystick.kernel.actor import Actor
from tallystick.kernel.pagination import Page
from tallystick.ledger import queries as ledger
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit
from tallystick.platform.http.routes import Reading, Writing, allow, router

of_invoice = router("credit notes", "/invoices")
notes = router("credit notes", "/credit-notes")
credit = router("credit notes", "/accounts")
routers: list[tuple[APIRouter, list[str]]] = [(of_invoice, ["/v1"]), (notes, ["/v1"]), (credit, ["/v1"])]
AccountId = Annotated[str, Path(max_length=64)]
CREDIT = "customer_credit"
Filter = Annotated[str | None, Query(max_length=64)]


@of_invoice.post(
    "/{invoice_id}/credit-notes", status_code=201, summary="Issue a credit note", response_model=Envelope[NoteOut],
    responses=responses(404, 409, 412),
)  # fmt: skip
async def create_credit_note(
    request: Request, invoice_id: UUID, body: NoteIn, session: Writing, actor: Actor = allow("invoices:write")
) -> Response:
    """Full, by amount or by line; numbered and frozen at once. It first lowers what is still owed; the rest becomes customer credit."""
    invoice = await invoices.visible(session, actor, invoice_id)
    account = (await accounts.by_nos(session, [invoice.account_no]))[invoice.account_no]
    now = await accounts.business_now(session, account, system_now())
    order = NoteOrder(
        new_uuid(), invoice_id, body.asked, body.reason, now, body.currency, expected_revisions(request)
    )
    (ref,) = await service.issue_many(session, actor, [order])
    shown = await queries.visible(session, actor, ref.id)
    return created(request, await note_out(session, shown), "Credit note issued")


@of_invoice.post(
    "/{invoice_id}/credit-notes/preview", summary="A credit note as it would be; nothing is written",
    response_model=Envelope[NotePreviewOut], responses=responses(404, 409),
)  # fmt: skip
async def preview_credit_note(
    request: Request, invoice_id: UUID, body: NoteIn, session: Writing, actor: Actor = allow("invoices:write")
) -> Response:
    """The same computation as the note's, from what is left of the invoice now."""
    invoice = await invoices.visible(session, actor, invoice_id)
    note, offset = await noting.preview(session, invoice, body.asked, body.currency)
    return ok(request, preview_out(invoice_id, invoice.currency, note, offset), "Preview")


@of_invoice.get(
    "/{invoice_id}/credit-notes", summary="The credit notes of an invoice, newest first",
    response_model=Listing[NoteSummaryOut], responses=responses(404),
)  # fmt: skip
async def list_invoice_credit_notes(
    request: Request, invoice_id: UUID, session: Reading, limit: Annotated[Limit, Query()] = 50,
    cursor: str | None = None, actor: Actor = allow("invoices:read"),
) -> Response:  # fmt: skip
    """A customer sees those of his own invoices."""
    invoice = await invoices.visible(session, actor, invoice_id)
    page = await queries.notes(session, limit=limit, cursor=cursor, invoice_id=invoice.id)
    return listing(request, Page(await notes_out(session, page.rows), page.next_cursor))


@notes.get(
    "", summary="Credit notes, newest first", response_model=Listing[NoteSummaryOut], responses=responses(404)
)
async def list_credit_notes(
    request: Request, session: Reading, limit: Annotated[Limit, Query()] = 50, cursor: str | None = None,
    account_id: Filter = None, invoice_id: UUID | None = None, number: Filter = None, currency: Filter = None,
    actor: Actor = allow("invoices:read"),
) -> Response:  # fmt: skip
    """A customer sees his own."""
    account_no = actor.account_no if actor.is_customer else None
    if account_id is not None:
        account_no = (await accounts.visible(session, actor, account_id, include_closed=True)).no
    page = await queries.notes(
        session, limit=limit, cursor=cursor, account_no=account_no, invoice_id=invoice_id, number=number, currency=currency
    )  # fmt: skip
    return listing(request, Page(await notes_out(session, page.rows), page.next_cursor))


@notes.get(
    "/{note_id}",
    summary="A credit note with its lines",
    response_model=Envelope[NoteOut],
    responses=responses(404),
)
async def get_credit_note(
    request: Request, note_id: UUID, session: Reading, actor: Actor = allow("invoices:read")
) -> Response:
    """It never changes."""
    note = await queries.visible(session, actor, note_id)
    return ok(request, await note_out(session, note), etag=1)


@credit.get(
    "/{account_id}/credit",
    summary="Customer credit",
    response_model=Envelope[CreditOut],
    responses=responses(404),
)
async def get_customer_credit(
    request: Request, account_id: AccountId, session: Reading, actor: Actor = allow("invoices:read")
) -> Response:
    """What credit notes gave and invoices did not use yet, from the ledger. The next invoices use it by themselves."""
    account = await accounts.visible(session, actor, account_id)
    balances = await ledger.balances(session, account.no, CREDIT)
    return ok(request, credit_out(account.id, balances), "Customer credit")


@credit.get(
    "/{account_id}/credit/history", summary="Where customer credit came from and went, newest first",
    response_model=Listing[CreditMoveOut], responses=responses(404),
)  # fmt: skip
async def list_customer_credit_history(
    request: Request, account_id: AccountId, session: Reading, limit: Annotated[Limit, Query()] = 50,
    cursor: str | None = None, actor: Actor = allow("invoices:read"),
) -> Response:  # fmt: skip
    """The entries of the ledger: credit notes give, invoices use, voids give back."""
    account = await accounts.visible(session, actor, account_id)
    page = await ledger.entries(session, limit=limit, cursor=cursor, account_no=account.no, account=CREDIT)
    return listing(request, Page(moves_out(page.rows), page.next_cursor))
