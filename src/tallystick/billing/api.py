"""Billing over HTTP: current usage, runs, range invoices, previews, explanations, verdicts, clocks, closing an account."""

from datetime import datetime
from time import monotonic
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body as BodyParameter
from fastapi import Path, Query, Request
from starlette.responses import PlainTextResponse, Response

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.billing import queries
from tallystick.billing.comparing import api as comparing
from tallystick.billing.corrections.sweep import arrive, glance
from tallystick.billing.schemas import (
    AdvanceIn,
    ClockOut,
    EventOut,
    ExplanationOut,
    PeriodOut,
    PeriodsIn,
    PreviewIn,
    PreviewOut,
    RangeIn,
    RunIn,
    RunOut,
    UsageOut,
)
from tallystick.billing.service import clocks, closing, current, explaining, ranges, runs, verdicts, voiding
from tallystick.billing.service.ranges import Preview, Range
from tallystick.billing.views import clock_view, draft_view, line_view, period_view, run_view
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.schemas import InvoiceOut, invoice_out
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid
from tallystick.kernel.pagination import Page
from tallystick.kernel.period import Alignment, Cycle, Schedule
from tallystick.kernel.proration import Basis, schedule_preview
from tallystick.platform.db import ReadSession
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.http.envelope import Envelope, Listing, created, expected_revisions, listing, ok
from tallystick.platform.http.errors import responses
from tallystick.platform.http.fields import Limit, Nothing
from tallystick.platform.http.routes import Reading, Writing, allow, database, own_sessions, router

part = router("billing")
accounts_part = router("accounts", "/accounts")
routers: list[tuple[Any, list[str]]] = [(part, ["/v1"]), *comparing.routers, (accounts_part, ["/v1", ""])]
PATIENCE = 2.0
"""Seconds a bill waits for events that are being written at this moment."""

INLINE_SECONDS = 3.0
"""How long a test clock is moved within the request; a longer way goes on in the background."""


async def _account(session: ReadSession, actor: Actor, account_id: str) -> tuple[Account, datetime]:
    account = await accounts.visible(session, actor, account_id)
    return account, await accounts.business_now(session, account, system_now())


@part.get(
    "/accounts/{account_id}/usage",
    summary="The current bill",
    response_model=Envelope[UsageOut],
    responses=responses(404),
)
async def get_current_usage(
    request: Request, account_id: str, session: Reading, actor: Actor = allow("usage:read")
) -> Response:
    """Usage of the periods that are still open, by meter and day, with its price so far."""
    account, _ = await _account(session, actor, account_id)
    return ok(request, await current.current_usage(session, account), "Current usage")


@accounts_part.delete(
    "/{account_id}",
    summary="Close an account",
    status_code=204,
    responses=responses(404, 409),
)
async def close_account(
    account_id: str, session: Writing, actor: Actor = allow("accounts:close")
) -> Response:
    """Its personal data is erased, its documents are kept. Refused while money is owed or something still runs."""
    account, now = await _account(session, actor, account_id)
    await closing.close_account(session, actor, account, now)
    return Response(status_code=204)


@part.get(
    "/events/{event_id:path}",
    summary="What became of an event",
    response_model=Envelope[EventOut],
    responses=responses(404),
)
async def get_event(
    request: Request,
    event_id: Annotated[str, Path(max_length=255)],
    session: Reading,
    source: Annotated[str, Query(max_length=255)] = "",
    actor: Actor = allow("events:read"),
) -> Response:
    """Pending, billed on which line of which invoice, void, or why it is not billed. `source` is part of its identity."""
    return ok(request, await verdicts.fate(session, actor, source, event_id), "Event")


@part.post(
    "/invoices",
    summary="Bill what is unbilled in a range",
    status_code=201,
    response_model=Envelope[InvoiceOut],
    responses=responses(404, 409),
)
async def create_invoice(
    request: Request, body: RangeIn, session: Writing, actor: Actor = allow("invoices:write")
) -> Response:
    """Closed periods are billed whole, the open one up to `period_end` or now; its close later bills the difference."""
    await arrive(database(request), patience=PATIENCE, strict=True)
    account, now = await _account(session, actor, body.account_id)
    refs = await ranges.bill_range(
        session, actor, account, Range(body.period_start, body.period_end), now=now, new_id=new_uuid
    )
    first = await invoices.invoice(session, refs[0].id)
    assert first is not None, "just stored"
    shown = await invoice_out(session, first)
    return created(request, shown, f"{len(refs)} invoices created" if len(refs) > 1 else "Invoice created")


@part.post(
    "/invoices/preview",
    summary="Preview the next invoice, or a range",
    response_model=Envelope[PreviewOut],
    responses=responses(404, 409),
)
async def preview_invoice(
    request: Request, body: PreviewIn, session: Writing, actor: Actor = allow("invoices:read")
) -> Response:
    """What billing would make of it, computed by the same code; nothing is written. Without a range: the next invoice as it stands."""
    await glance(database(request), PATIENCE)
    account, now = await _account(session, actor, body.account_id)
    if body.period_start is None and body.period_end is None:
        found: Preview = await ranges.preview_next(session, account)
    elif body.period_start is None or body.period_end is None:
        raise Invalid.field("period_end", "goes together with period_start")
    else:
        found = await ranges.preview_range(
            session, account, Range(body.period_start, body.period_end), now=now
        )
    data = {
        "account_id": account.id,
        "due_at": found.due_at,
        "invoices": [draft_view(each) for each in found.drafts if each.lines],
        "credit_notes": [line_view(line) for each in found.drafts for line in each.noted],
    }
    return ok(request, data, "Preview")


@part.get(
    "/invoices/{invoice_id}/explain",
    summary="Why each line costs what it costs",
    response_model=Envelope[ExplanationOut],
    responses=responses(404),
)
async def explain_invoice(
    request: Request,
    invoice_id: UUID,
    session: Reading,
    format: Annotated[str, Query(pattern="^(json|text)$")] = "json",
    actor: Actor = allow("invoices:read"),
) -> Response:
    """Each step from the events to the amount; with `format=text` as sentences to check by hand."""
    told = await explaining.explain(session, await invoices.visible(session, actor, invoice_id))
    if format == "text":
        return PlainTextResponse(explaining.as_text(told))
    return ok(request, told, "Explanation")


@part.get(
    "/invoices/{invoice_id}/verify",
    summary="Compute an invoice again from its events and frozen inputs",
    response_model=Envelope[dict[str, Any]],
    responses=responses(404),
)
async def verify_invoice(
    request: Request, invoice_id: UUID, session: Reading, actor: Actor = allow("invoices:read")
) -> Response:
    """Line by line, credit notes included; every difference is named. Nothing is written."""
    report = await explaining.verify(session, await invoices.visible(session, actor, invoice_id))
    return ok(
        request, explaining.verification_view(report), "Verified" if report.agrees else "Differences found"
    )


@part.post(
    "/invoices/{invoice_id}/void",
    summary="Undo an unpaid invoice",
    response_model=Envelope[InvoiceOut],
    responses=responses(404, 409, 412),
)
async def void_invoice(
    request: Request,
    invoice_id: UUID,
    session: Writing,
    nothing: Annotated[Nothing | None, BodyParameter()] = None,
    actor: Actor = allow("invoices:write"),
) -> Response:
    """It keeps its number and charges nothing; what it billed is unbilled again, and the next bill finds it."""
    invoice = await invoices.visible(session, actor, invoice_id)
    account = (await accounts.by_nos(session, [invoice.account_no]))[invoice.account_no]
    now = await accounts.business_now(session, account, system_now())
    await voiding.void_invoice(session, actor, invoice, now, revisions=expected_revisions(request))
    shown = await invoices.invoice(session, invoice_id)
    assert shown is not None, "just changed"
    return ok(request, await invoice_out(session, shown), "Invoice voided", etag=shown.revision)


@part.post(
    "/billing-runs",
    summary="Bill everything that is due",
    status_code=202,
    response_model=Envelope[RunOut],
    responses=responses(404),
)
async def create_billing_run(
    request: Request, body: RunIn, session: Writing, actor: Actor = allow("runs:write")
) -> Response:
    """Accepted for later; `GET /v1/billing-runs/{id}` shows the progress."""
    account, now = None, system_now()
    if body.account_id is not None:
        account, now = await _account(session, actor, body.account_id)
    run = await runs.request_run(
        session, actor, run_id=new_uuid(), as_of=body.as_of or now, now=now, account=account
    )
    return ok(request, run_view(run), "Billing run accepted", status=202)


@part.get("/billing-runs", summary="Billing runs, the newest first", response_model=Listing[RunOut])
async def list_billing_runs(
    request: Request,
    session: Reading,
    limit: Limit = 50,
    cursor: str | None = None,
    actor: Actor = allow("runs:read"),
) -> Response:
    """With their phase, their progress, and how many accounts they parked."""
    page = await queries.runs(session, limit, cursor)
    return listing(request, Page([run_view(run) for run in page.rows], page.next_cursor))


@part.get(
    "/billing-runs/{run_id}",
    summary="A run and how far it is",
    response_model=Envelope[RunOut],
    responses=responses(404),
)
async def get_billing_run(
    request: Request, run_id: UUID, session: Reading, actor: Actor = allow("runs:read")
) -> Response:
    """`status` is `pending`, `running`, `done` or `failed`; `error` says why it failed."""
    return ok(request, run_view(await runs.find_run(session, run_id)), "Billing run")


@part.post(
    "/test-clocks/{clock_id}/advance",
    summary="Move a test clock: everything due until then happens in order",
    response_model=Envelope[ClockOut],
    responses={
        202: {"model": Envelope[ClockOut], "description": "On its way; GET shows when it is ready"},
        **responses(404, 409),
    },
)
@own_sessions
async def advance_test_clock(
    request: Request, clock_id: UUID, body: AdvanceIn, actor: Actor = allow("clocks:write")
) -> Response:
    """200 with status `ready` where the way is short, 202 with `advancing` where it goes on in the background."""
    async with database(request).write() as session:
        await clocks.request_advance(session, actor, clock_id, body.to)
    await clocks.walk(database(request), clock_id, new_uuid, until=monotonic() + INLINE_SECONDS)
    async with database(request).read() as session:
        clock, progress = await clocks.show(session, clock_id)
    status = 200 if clock.status == "ready" else 202
    return ok(request, clock_view(clock, progress), "Test clock", status=status)


@part.get(
    "/test-clocks/{clock_id}",
    summary="A test clock, how far it is, and whom it could not bill",
    response_model=Envelope[ClockOut],
    responses=responses(404),
)
async def get_test_clock(
    request: Request, clock_id: UUID, session: Reading, actor: Actor = allow("clocks:read")
) -> Response:
    """Its present; `status` is `ready`, `advancing` or `failed`. A parked account is billed again by a run that names it."""
    return ok(request, clock_view(*await clocks.show(session, clock_id)), "Test clock")


@part.post(
    "/periods/preview",
    summary="The periods of a schedule, with their fractions",
    response_model=Envelope[list[PeriodOut]],
)
async def preview_periods(
    request: Request, body: PeriodsIn, actor: Actor = allow("rating:estimate")
) -> Response:
    """As billing will cut them, each with its days and its fraction of the whole. Pure: nothing is read or written."""
    schedule = Schedule(
        body.anchor, Cycle(body.cycle), Alignment(body.alignment), body.timezone, body.billing_day
    )
    found = schedule_preview(
        schedule, body.start or body.anchor, body.end, body.count, basis=Basis(body.basis)
    )
    return ok(request, [period_view(each) for each in found], "Periods")
