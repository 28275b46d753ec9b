"""`tallystick usage`: usage from files."""

import asyncio
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tallystick.billing.importers.discover import FORMATS, FoundReport, recognise
from tallystick.billing.importers.rows import NotBilled
from tallystick.cli import output
from tallystick.cli.importing import Loaded, loader, put, read_report
from tallystick.cli.progress import Steps
from tallystick.cli.runtime import connected, servers
from tallystick.kernel.clock import rfc3339
from tallystick.platform.settings import load_settings

app = typer.Typer(help="Usage from files.", no_args_is_help=True)
SHOWN_LINES = 10


class Format(StrEnum):
    """The formats that are read."""

    focus = "focus"
    oci = "oci"
    cur = "cur"
    tokens = "tokens"


@app.callback()
def _group() -> None:
    """Keeps a group of one command a group."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV file.")],
    format_: Annotated[
        Format | None, typer.Option("--format", help="What it is; told by its header otherwise.")
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Load a cost report or a token trace: customers, meters, its prices as a plan, and every row as an event. Bills nothing.

    A repeat loads nothing twice. Exit status 1 where rows were refused; the others are loaded.
    """
    steps = Steps(Console(stderr=True), time.monotonic)
    source = read_report(_report(file, format_), steps)
    settings = load_settings()
    own = loader("usage-import", {})
    with ExitStack() as running:
        with steps.step("start the database", 1, "database"):
            reached = running.enter_context(servers(settings))
        (loaded,) = asyncio.run(
            connected(reached.database_url, lambda database: put(database, own, [source], steps))
        )
    shown = view(loaded)
    if as_json:
        output.print_json(shown)
    else:
        _say(loaded, shown)
    if shown["refused"]:
        raise typer.Exit(1)


def _report(file: Path, wanted: Format | None) -> FoundReport:
    if wanted is None:
        return recognise(file)
    return FoundReport(file, next(mapping for mapping in FORMATS if mapping.code == wanted.value))


def view(loaded: Loaded) -> dict[str, Any]:
    """What became of the file, for programs."""
    plan = loaded.source.plan
    dataset = loaded.source.dataset
    counts = loaded.counts()
    return {
        "title": dataset.title,
        "format": plan.mapping.code if plan else None,
        "zone": plan.mapping.zone if plan else "",
        "customers": len(dataset.customers),
        "meters": len(dataset.meters),
        "events": asdict(counts) | {"sentence": counts.sentence()},
        "refused": [asdict(row) for row in loaded.refused()],
        "not_billed": [asdict(row) for row in plan.not_billed] if plan else [],
        "complete_at": dataset.bill_as_of,
    }


def _say(loaded: Loaded, shown: dict[str, Any]) -> None:
    typer.echo(f"{shown['title']}: {shown['customers']:,} customers, {shown['meters']:,} meters")
    typer.echo(shown["events"]["sentence"] + (f"; {shown['zone']}" if shown["zone"] else ""))
    for reason, lines in _reasons(loaded.source.plan.not_billed if loaded.source.plan else ()).items():
        more = ", …" if len(lines) > SHOWN_LINES else ""
        named = ", ".join(str(line) for line in lines[:SHOWN_LINES])
        rows = "row is" if len(lines) == 1 else "rows are"
        typer.echo(f"{len(lines):,} {rows} not billed (line {named}{more}): {reason}")
    for row in loaded.refused():
        output.console.print(f"line {row.line_no} was refused: {row.field} {row.reason}", markup=False)
    typer.echo(
        f"`tallystick bill --as-of {rfc3339(shown['complete_at'])}` bills what is due when its months are closed"
    )


def _reasons(rows: tuple[NotBilled, ...]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        found[row.reason].append(row.line_no)
    return found
