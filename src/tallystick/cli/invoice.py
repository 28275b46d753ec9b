"""`tallystick invoice`: show, explain and verify invoices."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from tallystick.accounts import queries as accounts
from tallystick.billing.service import explaining
from tallystick.cli import output
from tallystick.cli.runtime import with_database
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.notes import queries as notes
from tallystick.invoicing.notes.queries import NoteView
from tallystick.invoicing.queries import InvoiceView
from tallystick.kernel.errors import NotFound
from tallystick.kernel.zones import local_date, zone
from tallystick.platform.db import Database, ReadSession

app = typer.Typer(help="Show, explain and verify invoices.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The invoice's number or id.")]


class NoSuchInvoice(NotFound):
    code = "invoice_not_found"
    sentence = "There is no invoice with this number or id; `tallystick invoice list` shows what there is"


@app.command()
def show(name: Name, as_json: output.JsonOption = False) -> None:
    """An invoice with its lines."""

    async def work(database: Database) -> tuple[InvoiceView, list[Any], list[NoteView], ZoneInfo]:
        async with database.snapshot() as session:
            found = await _find(session, name)
            owner = (await accounts.by_nos(session, [found.account_no]))[found.account_no]
            own = await notes.of_invoice(session, found.id)
            return found, await invoices.lines(session, found.id), own, zone(owner.timezone)

    invoice, lines, credited, local = with_database(work)
    if as_json:
        output.print_json({"invoice": invoice, "lines": lines, "credit_notes": credited})
        return
    output.record(
        {
            "number": invoice.number or "draft", "status": invoice.status.value, "issue_date": invoice.issue_date,
            "due_date": invoice.due_date, "period": _period(invoice.period_start, invoice.period_end, local),
        },
        as_json=False,
    )  # fmt: skip
    table = [
        {"#": line.position, "description": line.description, "quantity": f"{line.quantity:,f} {line.unit}".strip(),
         "exact": f"{line.exact:,f}", "amount": f"{line.amount:,f}"}
        for line in lines
    ]  # fmt: skip
    output.rows(table, as_json=False)
    output.record(
        {name: f"{amount:,f} {invoice.currency}" for name, amount in _sums(invoice).items()}, as_json=False
    )
    if credited:
        table = [
            {
                "credit note": note.number,
                "issue_date": note.issue_date,
                "total": f"{note.total:,f}",
                "reason": note.reason,
            }
            for note in credited
        ]
        output.rows(table, as_json=False)


def _period(start: datetime, end: datetime, local: ZoneInfo) -> str:
    """First and last day as the account lives them: the end itself belongs to what follows."""
    last = max(end - timedelta(microseconds=1), start)
    return f"{local_date(start, local)} to {local_date(last, local)} ({local.key})"


def _sums(invoice: InvoiceView) -> dict[str, Decimal]:
    """From the lines to what is due; what is nothing is not shown."""
    taken = {
        "discount": -invoice.discount,
        "granted credit": -invoice.granted,
        "tax included": -invoice.included_tax,
    }
    settled = {
        "credit used": -invoice.credit_applied,
        "from wallets": -invoice.wallet_applied,
        "credit notes": -invoice.amount_offset,
        "paid": -invoice.amount_paid,
    }
    return {
        "lines": invoice.subtotal,
        **{name: amount for name, amount in taken.items() if amount},
        **{tax.name: tax.amount for tax in invoice.taxes},
        "total": invoice.total,
        **{name: amount for name, amount in settled.items() if amount},
        "due": invoice.owed,
    }


@app.command("list")
def list_(
    as_json: output.JsonOption = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=200)] = 50,
) -> None:
    """The newest invoices."""

    async def work(database: Database) -> tuple[list[dict[str, Any]], bool]:
        async with database.read() as session:
            page = await invoices.invoices(session, limit=limit)
        shown = [
            {"number": each.number or "draft", "id": each.id, "status": each.status.value, "issue_date": each.issue_date,
             "total": each.total, "currency": each.currency}
            for each in page.rows
        ]  # fmt: skip
        return shown, page.next_cursor is not None

    shown, more = with_database(work)
    output.rows(shown, as_json=as_json)
    if more and not as_json:
        typer.echo(f"… and older ones: the newest {limit} are shown; --limit shows up to 200")


@app.command()
def explain(
    name: Name,
    line: Annotated[int | None, typer.Option(help="Only this line.", min=1)] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Why each line costs what it costs, in sentences to check by hand."""

    async def work(database: Database) -> explaining.InvoiceExplanation:
        async with database.snapshot() as session:
            return await explaining.explain(session, await _find(session, name))

    told = with_database(work)
    if line is not None:
        told.lines[:] = [each for each in told.lines if each.position == line]
        if not told.lines:
            raise NotFound("The invoice has no such line", code="line_not_found")
    if as_json:
        output.print_json(told)
    else:
        typer.echo(explaining.as_text(told), nl=False)


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(help="The invoice's number or id; all invoices by default.")
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Compute invoices again from their events and frozen inputs. Exit status 1 where one differs."""

    async def work(database: Database) -> list[explaining.Verification]:
        async with database.snapshot() as session:
            if name is not None:
                return [await explaining.verify(session, await _find(session, name))]
            return [await explaining.verify(session, each) async for each in _all(session)]

    reports = with_database(work)
    bad = [report for report in reports if not report.agrees]
    if as_json:
        output.print_json([explaining.verification_view(report) for report in reports])
    else:
        for report in bad:
            for problem in report.problems:
                typer.echo(f"{report.number or report.invoice_id}: {problem}")
        lines, events = sum(each.lines for each in reports), sum(each.events for each in reports)
        typer.echo(
            f"{len(reports)} {'invoice' if len(reports) == 1 else 'invoices'}, {lines} lines, {events} events computed again: {len(bad)} differ"
        )
    if bad:
        raise typer.Exit(1)


async def _find(session: ReadSession, name: str) -> InvoiceView:
    try:
        found = await invoices.invoice(session, UUID(name))
    except ValueError:
        page = await invoices.invoices(session, limit=1, number=name)
        found = page.rows[0] if page.rows else None
    if found is None:
        raise NoSuchInvoice
    return found


async def _all(session: ReadSession) -> Any:
    cursor: str | None = None
    while True:
        page = await invoices.invoices(session, limit=200, cursor=cursor)
        for each in page.rows:
            yield each
        cursor = page.next_cursor
        if cursor is None:
            return
