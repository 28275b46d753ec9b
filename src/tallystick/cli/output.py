"""What a command prints: a table for a person, or with `--json` exact numbers for a program. Answers on stdout, the rest on stderr."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tallystick.kernel.clock import rfc3339
from tallystick.kernel.errors import Refusal
from tallystick.platform import wire

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
"""A command that prints data takes `as_json: JsonOption = False`."""

console = Console(soft_wrap=True, highlight=False)


def rows(
    data: Sequence[Mapping[str, Any]], *, as_json: bool, columns: Sequence[str] = (), title: str = ""
) -> None:
    """Prints a list; `columns` chooses and orders what the table shows, JSON always has all."""
    if as_json:
        print_json(data)
        return
    shown = list(columns) or list(data[0] if data else ())
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in shown:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in data:
        table.add_row(*(text(row.get(column)) for column in shown))
    console.print(table if data else "nothing", markup=False)


def record(data: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints one thing, a field a line."""
    if as_json:
        print_json(data)
        return
    width = max((len(name) for name in data), default=0)
    for name, value in data.items():
        console.print(f"{name.replace('_', ' '):<{width}}  {text(value)}", markup=False)


def print_json(data: Any) -> None:
    """One line of JSON; Decimals keep their digits."""
    sys.stdout.write(wire.dumps(data).decode() + "\n")
    sys.stdout.flush()


def text(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return rfc3339(value) if isinstance(value, datetime) else str(value)


def refused(refusal: Refusal) -> int:
    """Says on stderr why not; the exit status for it."""
    print(f"{refusal.sentence} [{refusal.code}]", file=sys.stderr)
    for name, problem in refusal.details.items():
        print(f"  {name}: {problem}", file=sys.stderr)
    return 1
