"""`tallystick catalog`: the catalog as a file."""

import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tallystick.billing.catalog_file import queries, service, views
from tallystick.billing.catalog_file.reading import decoded
from tallystick.cli import output
from tallystick.cli.output import JsonOption
from tallystick.cli.progress import Steps
from tallystick.cli.runtime import with_database
from tallystick.kernel.actor import system_actor
from tallystick.platform.db import Database
from tallystick.platform.edge import system_now

app = typer.Typer(help="The catalog as a file: plans, meters, services, taxes.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A YAML file; - reads standard input.")]
Prune = Annotated[bool, typer.Option("--prune", help="Retire plans and taxes that the file does not name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ACTOR = system_actor("cli")


@app.command()
def export(
    file: Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help="Where to; else standard output.")] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Write the catalog as YAML. Applying it changes nothing; the same catalog is always the same bytes."""

    async def work(database: Database) -> str:
        async with database.snapshot() as session:
            return await service.export(session, ACTOR.entity_id)

    text = with_database(work)
    if file is not None:
        file.write_text(text, encoding="utf-8", newline="\n")
        if as_json:
            output.print_json({"file": str(file), "bytes": len(text.encode())})
        return
    if as_json:
        output.print_json({"catalog": text})
    else:
        sys.stdout.write(text)


@app.command()
def diff(
    file: File,
    prune: Prune = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name the accounts that are touched.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what applying a file would change, whom that touches, and what it is worth a month. Changes nothing."""
    text, name = _read(file)

    async def work(database: Database) -> service.Difference:
        async with database.snapshot() as session:
            return await service.diff(
                session, ACTOR, text, now=system_now(), prune=prune, name=name, named=verbose
            )

    _show(with_database(_waiting("Comparing", work)), as_json=as_json)


@app.command()
def apply(file: File, prune: Prune = False, yes: Yes = False, as_json: JsonOption = False) -> None:
    """Show what a file changes, ask, and make it so: all of it or nothing. A repeat finds nothing to change."""
    text, name = _read(file)
    _agree_and_apply(text, name, prune=prune, yes=yes, as_json=as_json)


@app.command()
def history(
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 50, as_json: JsonOption = False
) -> None:
    """The versions of the catalog that files made, the newest first."""

    async def work(database: Database) -> list[dict[str, Any]]:
        async with database.read() as session:
            found = await queries.applications(session, ACTOR.entity_id, limit)
        return [
            {"version": each.number, "when": each.created_at, "who": each.principal, "what": _what(each), "file": each.name,
             **each.summary, "digest": each.digest}
            for each in found
        ]  # fmt: skip

    columns = ("version", "when", "who", "what", "file", "add", "change", "retire", "digest")
    output.rows(with_database(work), as_json=as_json, columns=columns)


@app.command()
def rollback(
    version: Annotated[int | None, typer.Argument(help="A version of `history`, 0 for the start; else the one before the last.", min=0)] = None,
    yes: Yes = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make the catalog again as a version left it, as new versions of its plans. What came since is retired; nothing is deleted."""

    async def work(database: Database) -> tuple[int, str]:
        async with database.snapshot() as session:
            return await service.version_text(session, ACTOR.entity_id, version)

    number, text = with_database(work)
    _agree_and_apply(text, f"version {number}", prune=True, yes=yes, as_json=as_json, rolled_back_to=number)


def _agree_and_apply(
    text: str, name: str, *, prune: bool, yes: bool, as_json: bool, rolled_back_to: int | None = None
) -> None:
    async def look(database: Database) -> service.Difference:
        async with database.snapshot() as session:
            return await service.diff(session, ACTOR, text, now=system_now(), prune=prune, name=name)

    expected: str | None = None
    if not yes:
        seen = with_database(_waiting("Comparing", look))
        expected = seen.token
        _tell(seen, to_stderr=as_json)
        if seen.does_something and not typer.confirm("Apply this?", err=True):
            typer.echo("Nothing was applied.", err=True)
            raise typer.Exit(1)

    async def work(database: Database) -> service.Applied:
        async with database.write() as session:
            return await service.apply(
                session, ACTOR, text, now=system_now(), prune=prune, name=name, expected=expected, rolled_back_to=rolled_back_to
            )  # fmt: skip

    applied = with_database(_waiting("Applying", work))
    if as_json:
        output.print_json(views.applied_view(applied))
        return
    if yes:
        _tell(applied.difference)
    if applied.number is not None:
        typer.echo(f"Applied: the catalog is at version {applied.number}.")


def _what(each: queries.Application) -> str:
    return "apply" if each.rolled_back_to is None else f"rollback to {each.rolled_back_to}"


def _show(difference: service.Difference, *, as_json: bool) -> None:
    if as_json:
        output.print_json(views.difference_view(difference))
    else:
        _tell(difference)


def _tell(difference: service.Difference, *, to_stderr: bool = False) -> None:
    for line in views.told(difference):
        typer.echo(line, err=to_stderr)


def _waiting(name: str, work: Callable[[Database], Awaitable[Any]]) -> Callable[[Database], Awaitable[Any]]:
    """The work, with a bar on a terminal where it takes long."""

    async def watched(database: Database) -> Any:
        with _steps().step(name, 1, "catalog") as done:
            result = await work(database)
            done(1)
            return result

    return watched


def _steps() -> Steps:
    return Steps(Console(stderr=True), time.monotonic)


def _read(file: Path) -> tuple[str, str]:
    if str(file) == "-":
        return decoded(sys.stdin.buffer.read()), "-"
    try:
        return decoded(file.read_bytes()), file.name
    except OSError:
        raise typer.BadParameter("cannot be read", param_hint="FILE") from None
