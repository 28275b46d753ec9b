"""`tallystick audit`: proving that nobody changed the log."""

import time
from typing import Any

import typer
from rich.console import Console

from tallystick.audit import checkpoints, places, queries, service
from tallystick.audit.domain import VerifyReport
from tallystick.cli import output
from tallystick.cli.output import JsonOption
from tallystick.cli.progress import Steps
from tallystick.cli.runtime import with_database
from tallystick.platform.db import Database
from tallystick.platform.settings import load_settings

app = typer.Typer(help="The log of who did what.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps a group of one command a group."""


@app.command()
def verify(as_json: JsonOption = False) -> None:
    """Recompute the whole chain; name the first bad row and the unsealed tail. Exit status 1 where something was changed."""
    settings = load_settings()
    keys, known = places.known_keys(settings), checkpoints.read(places.folder(settings))

    async def work(database: Database) -> VerifyReport:
        async with database.snapshot() as session:
            steps = Steps(Console(stderr=True), time.monotonic)
            with steps.step("Verifying", await queries.rows_about(session), "rows") as done:
                return await service.verify(session, keys, known, done)

    report = with_database(work, settings=settings)
    if as_json:
        output.print_json(_fields(report))
    else:
        _say(report)
    raise typer.Exit(0 if report.intact else 1)


def _fields(report: VerifyReport) -> dict[str, Any]:
    problem = report.problem
    return {
        "intact": report.intact,
        "rows": report.rows,
        "blocks": report.blocks,
        "problem": None
        if problem is None
        else {
            "kind": problem.kind,
            "first_bad_row": problem.row_id,
            "block": problem.block_id,
            "sentence": problem.sentence,
        },
        "unsealed": {
            "rows": report.unsealed,
            "from_row": report.unsealed_from,
            "since": report.unsealed_since,
        },
    }


def _say(report: VerifyReport) -> None:
    if report.problem is not None:
        typer.echo(f"{report.problem.sentence}. First bad row: {report.problem.row_id}.")
        typer.echo(f"Intact before it: {report.rows} rows in {report.blocks} blocks.")
        return
    typer.echo(f"Intact: {report.rows} rows in {report.blocks} blocks.")
    if report.unsealed:
        since = output.text(report.unsealed_since)
        typer.echo(
            f"Not sealed yet: {report.unsealed} rows from row {report.unsealed_from} on, since {since}."
        )
