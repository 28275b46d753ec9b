"""`tallystick demo`: usage in, bills out. Without data it bills a sample month of our own making."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tallystick.accounts import queries as accounts
from tallystick.billing.domain.runs import Parked, Run
from tallystick.billing.importers.compare import compared, exact_lines
from tallystick.billing.importers.dataset import Dataset
from tallystick.billing.importers.discover import Discovery
from tallystick.billing.importers.plan import ImportPlan
from tallystick.billing.service import loading
from tallystick.billing.service.loading import Loader
from tallystick.cli import output
from tallystick.cli.bill_reading import Issued, check_lines, explained, issued, statement
from tallystick.cli.bill_report import BillReport, Explanation, LineCheck, Source, currency_totals
from tallystick.cli.importing import Input, Loaded, loader, put, read_folder
from tallystick.cli.progress import Steps
from tallystick.cli.runtime import connected, servers
from tallystick.cli.statement import bill_console, render
from tallystick.entities.domain import DEFAULT_ID
from tallystick.kernel.errors import Conflict
from tallystick.platform.db import Database
from tallystick.platform.settings import load_settings
from tallystick.sample import sample_month

MARK = "demo"
"""In the metadata of an account that the demo opened."""


class NotADemo(Conflict):
    code = "not_a_demo_database"
    sentence = "This database holds accounts of its own; the demo keeps out of it. Set TALLYSTICK_DATA_DIR to an empty folder"


class NotOver(Conflict):
    code = "period_not_over"
    sentence = "The last month of the data is not over yet; bill it when its usage is complete"


def register(app: typer.Typer) -> None:
    """Adds `demo`."""
    app.command()(demo)


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder (or file) with FOCUS 1.0, Oracle Cloud or AWS cost reports, or token traces."
        ),
    ] = None,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", hidden=True, help="Do nothing where there are accounts already.")
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Load a month of usage, bill it, compare it with the report's own cost, and explain a line. A repeat changes nothing.

    Exit status 1 where something of it could not be billed.
    """
    settings = load_settings()
    steps = Steps(Console(stderr=True), time.monotonic)
    sources, beside = read_folder(data, steps) if data else ([Input(sample_month())], Discovery((), 0))
    with ExitStack() as running:
        with steps.step("start the database", 1, "database"):
            reached = running.enter_context(servers(settings))

        async def work(database: Database) -> BillReport | None:
            if if_empty and not await _wanted(database, sources[0].dataset):
                return None
            return await _demo(database, sources, steps)

        report = asyncio.run(connected(reached.database_url, work))
    if report is None:
        return
    report = replace(report, remarks=_remarks(beside), next_commands=_next(report.explanation, reached.urls))
    if as_json:
        output.print_json(view(report))
    else:
        render(report, bill_console(sys.stdout))
    if any(source.bad_rows or source.parked for source in report.sources):
        raise typer.Exit(1)


async def _wanted(database: Database, dataset: Dataset) -> bool:
    """Whether there is no account at all, or only part of what the data set makes: a start before was interrupted."""
    customers = {each.external_id for each in dataset.customers}
    async with database.read() as session:
        if await accounts.any_unmarked(session, MARK):
            return False
        known = await accounts.marked(session, DEFAULT_ID, MARK, customers)
        if known.keys() == customers:
            found = await issued(session, dataset, known)
            return {each.account.external_id for each in found} != customers
        return bool(known) or not await accounts.any_marked(session, MARK)


async def _demo(database: Database, sources: Sequence[Input], steps: Steps) -> BillReport:
    own = loader("demo", {MARK: sources[0].dataset.code})
    if any(source.dataset.bill_as_of > own.now() for source in sources):
        raise NotOver
    alone = await _refuse_foreign(database, own, sources)
    loaded = await put(database, own, sources, steps)
    parked = await _bill(database, own, loaded, steps, alone=alone)
    async with database.snapshot() as session:
        with steps.step("statements", sum(len(each.accounts) for each in loaded), "customers"):
            found = [await issued(session, each.source.dataset, each.accounts) for each in loaded]
    told = _compared(loaded, found, parked, steps)
    return BillReport(
        sources=tuple(told),
        totals=currency_totals([each for source in told for each in source.statements]),
        steps=tuple(steps.done),
        explanation=explained([each for own_invoices in found for each in own_invoices]),
    )


def _compared(
    loaded: Sequence[Loaded], found: Sequence[Sequence[Issued]], parked: Sequence[Parked], steps: Steps
) -> list[Source]:
    rows = sum(len(each.source.plan.event_lines) for each in loaded if each.source.plan)
    with steps.step("compare with the reports", rows, "rows") if rows else nullcontext():
        return [_source(each, invoices, parked) for each, invoices in zip(loaded, found, strict=True)]


async def _refuse_foreign(database: Database, own: Loader, sources: Sequence[Input]) -> bool:
    """True where all accounts are the demo's. Raises `NotADemo` where there are others and something is still to be loaded."""
    customers = {each.external_id for source in sources for each in source.dataset.customers}
    async with database.read() as session:
        if not await accounts.any_unmarked(session, MARK):
            return True
        known = await accounts.marked(session, own.actor.entity_id, MARK, customers)
    if known.keys() != customers:
        raise NotADemo
    return False


async def _bill(
    database: Database, own: Loader, loaded: Sequence[Loaded], steps: Steps, *, alone: bool
) -> list[Parked]:
    nos = {account.no for each in loaded for account in each.accounts.values()}
    as_of = max(each.source.dataset.bill_as_of for each in loaded)
    with steps.step("billing run", len(nos), "accounts") as done:
        billed = 0

        def progress(run: Run) -> None:
            nonlocal billed
            done(run.accounts_done - billed)
            billed = run.accounts_done

        return await loading.bill(database, own, nos, as_of, everyone=alone, progress=progress)


def _source(loaded: Loaded, found: Sequence[Issued], parked: Sequence[Parked]) -> Source:
    plan = loaded.source.plan
    ids = {account.id for account in loaded.accounts.values()}
    first, second = compared(plan) if plan else (None, None)
    return Source(
        title=loaded.source.dataset.title,
        statements=tuple(statement(each) for each in found),
        comparison=first,
        list_comparison=second,
        line_check=_line_check(plan, found) if plan else None,
        not_billed=plan.not_billed if plan else (),
        bad_rows=loaded.refused(),
        verdicts=loaded.counts(),
        parked=tuple(
            f"{each.account_id}: {each.reason} [{each.code}]" for each in parked if each.account_id in ids
        ),
        zone=plan.mapping.zone if plan else "",
    )


def _line_check(plan: ImportPlan, found: Sequence[Issued]) -> LineCheck:
    if not plan.priced:
        return check_lines(plan.mapping.label, found, exact_lines(plan.expectations))
    counted = check_lines(plan.mapping.label, found, plan.priced)
    return replace(counted, what="exactly what their tokens come to, counted tier by tier")


def _remarks(beside: Discovery) -> tuple[str, ...]:
    found = [
        f"{path.name} lists subscribers; this bills them for a year on a test clock: {_program()} subscribers {path}"
        for path in beside.subscribers
    ]
    if beside.others:
        files = "file in the folder is" if beside.others == 1 else "files in the folder are"
        found.append(f"{beside.others} other CSV {files} of no format that is read here")
    return tuple(found)


def _next(explanation: Explanation | None, urls: Sequence[str]) -> tuple[tuple[str, str], ...]:
    program = _program()
    found = (
        [(f"{program} invoice explain {explanation.invoice}", "every line of that invoice")]
        if explanation
        else []
    )
    found += [
        (f"{program} invoice list", "all invoices"),
        (f"{program} invoice verify", "compute every invoice again from its events"),
        (f"{program} doctor", "check every invariant of the data"),
    ]
    serving = (f"{urls[0]}/docs", "the API, running now") if urls else None
    return (*found, serving or (f"{program} up", "start everything; API pages at /docs"))


def _program() -> str:
    """How to call this program from where the person is."""
    found = Path(sys.executable).with_name("tallystick")
    if not found.exists():
        return "tallystick"
    try:
        return str(found.relative_to(Path.cwd()))
    except ValueError:
        return "tallystick"


def _differences(shown: dict[str, Any] | None) -> Sequence[dict[str, Any]]:
    return shown.get("differences", ()) if shown else ()


def view(report: BillReport) -> dict[str, Any]:
    """The report for programs: all of it, every line and every digit, with its sentences."""
    shown = asdict(report)
    for source, own in zip(report.sources, shown["sources"], strict=True):
        for name in ("comparison", "list_comparison", "line_check", "verdicts"):
            part = getattr(source, name)
            if part is not None:
                own[name]["sentence"] = part.sentence()
            for each, difference in zip(
                getattr(part, "differences", ()), _differences(own[name]), strict=True
            ):
                difference["reason"] = each.reason
    shown["next_commands"] = [{"command": command, "shows": what} for command, what in report.next_commands]
    return shown
