"""`tallystick doctor`: every context's invariants, run against the live data."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer

from tallystick.cli import output
from tallystick.cli.runtime import with_database
from tallystick.migrations.models import CONTEXTS
from tallystick.platform.db import Database

SHOWN = 20


def register(app: typer.Typer) -> None:
    """Adds `doctor`."""
    app.command()(doctor)


def invariants() -> dict[str, str]:
    """Every statement that must return no row, by `context.name`."""
    found: dict[str, str] = {}
    for context in CONTEXTS:
        if find_spec(f"tallystick.{context}.invariants"):
            module = import_module(f"tallystick.{context}.invariants")
            found.update({f"{context}.{name}": sql for name, sql in module.INVARIANTS.items()})
    return found


async def examine(database: Database) -> list[dict[str, Any]]:
    """Each invariant and what violates it; all in one snapshot."""
    findings: list[dict[str, Any]] = []
    async with database.snapshot() as session:
        for name, sql in invariants().items():
            rows = await session.fetch(sql)
            findings.append(
                {"invariant": name, "violations": len(rows), "examples": [dict(row) for row in rows[:SHOWN]]}
            )
    return findings


def doctor(as_json: output.JsonOption = False) -> None:
    """Check every invariant of the data: sums, numbers, periods, ledger, events. Exit status 1 where one is broken."""
    findings = with_database(examine)
    broken = [each for each in findings if each["violations"]]
    if as_json:
        output.print_json(findings)
    else:
        for each in broken:
            typer.echo(f"{each['invariant']}: {each['violations']} violations")
            for example in each["examples"]:
                typer.echo("  " + ", ".join(f"{key}={value}" for key, value in example.items()))
        typer.echo(f"{len(findings)} invariants checked, {len(broken)} broken")
    if broken:
        raise typer.Exit(1)
