"""Printing a bill: statements, totals, comparison, one line explained, and how long each step took.

Names and descriptions come from foreign files: they are printed as plain text (no console markup, no control characters).
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TextIO, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tallystick.billing.importers.compare import Comparison
from tallystick.cli.bill_report import (
    BillReport,
    CurrencyTotal,
    Explanation,
    Source,
    Statement,
    StatementLine,
    Step,
)

SHOWN_LINES = 8
"""Lines shown per statement before the smallest are gathered in one; `None` in `render` shows all."""

WIDTH = 100
APART = 3
"""So many rows with one reason are told one by one; more are told together, their lines named."""

_INDENT = (0, 0, 0, 2)
_GAP = 3
_UNIT_WIDTH = 14
_LEAST_DESCRIPTION = 16
_SHOWN_DECIMALS = 12
_ZERO = Decimal(0)
_Row = TypeVar("_Row")


def render(report: BillReport, console: Console, shown_lines: int | None = SHOWN_LINES) -> None:
    """Print everything. At most 100 columns wide; no number is ever cut short to fit."""
    width = min(WIDTH, console.width)
    for part in _parts(report, shown_lines, width):
        console.print(part, width=width)


def bill_console(stream: TextIO) -> Console:
    """A console that prints 100 columns where `stream` is a file or a pipe, and the terminal's own where it is one."""
    return Console(file=stream, width=None if stream.isatty() else WIDTH, highlight=False)


def _parts(report: BillReport, shown_lines: int | None, width: int) -> Iterable[RenderableType]:
    for source in report.sources:
        yield Rule(_plain(source.title, "bold"), align="left")
        for statement in source.statements:
            yield _statement(statement, shown_lines, width)
            yield Text()
    yield Rule(Text("Totals", "bold"), align="left")
    yield _totals(report.totals)
    if any(source.comparison for source in report.sources):
        yield Rule(Text("Compared with the reports' own cost, row by row", "bold"), align="left")
    else:
        yield Rule(Text("What became of it", "bold"), align="left")
    yield from (_comparison(source) for source in report.sources)
    if report.explanation:
        yield Rule(Text("One line explained", "bold"), align="left")
        yield _explanation(report.explanation)
    yield Rule(Text("How long it took", "bold"), align="left")
    yield step_table(report.steps)
    if report.remarks or report.next_commands:
        yield Rule(Text("Where to look next", "bold"), align="left")
        yield _next(report)


def _statement(statement: Statement, shown_lines: int | None, width: int) -> RenderableType:
    shown, rest = _shortened(statement.lines, shown_lines)
    rows = [
        (
            _plain(line.description),
            "" if line.quantity is None else _cut(line.quantity),
            _plain(line.unit),
            _cut(line.exact),
            _amount(line.amount),
        )
        for line in shown
    ]
    if rest:
        exact, amount = sum((line.exact for line in rest), _ZERO), sum((line.amount for line in rest), _ZERO)
        rows.append(
            (Text(f"and {len(rest)} smaller lines", "italic"), "", Text(), _cut(exact), _amount(amount))
        )
    sums = [("net", statement.net)] if statement.taxes else []
    sums += [(tax.name, tax.amount) for tax in statement.taxes] + [("total", statement.total)]
    table = _statement_table(statement.currency, rows, [_amount(amount) for _, amount in sums], width)
    for row in rows:
        table.add_row(*row)
    table.add_section()
    for name, amount in sums:
        style = "bold" if name == "total" else ""
        table.add_row(_plain(name, style), "", "", "", Text(_amount(amount), style))
    return Group(_heading(statement), Padding(table, _INDENT))


def _statement_table(
    currency: str, rows: Sequence[tuple[Text, str, Text, str, str]], sums: Sequence[str], width: int
) -> Table:
    """Numbers get the room they need, always; units a little; the description what is left, cut with an ellipsis."""
    quantity = max((len(row[1]) for row in rows), default=0)
    unit = max((row[2].cell_len for row in rows), default=0)
    exact = max((len(row[3]) for row in rows), default=0)
    amount = max((len(text) for text in (*(row[4] for row in rows), *sums)), default=0)
    room = width - _INDENT[3] - _GAP * 4 - max(quantity, 8) - max(exact, 5) - max(amount, 3)
    unit = max(4, min(unit, _UNIT_WIDTH, room - _LEAST_DESCRIPTION))
    needed = [max(quantity, 8), unit, max(exact, 5), max(amount, 3)]
    description = max(_LEAST_DESCRIPTION, room - unit)
    names = (
        ("description", "left"),
        ("quantity", "right"),
        ("unit", "left"),
        ("exact", "right"),
        (currency, "right"),
    )
    table = _table(*names)
    for column, room in zip(table.columns, (description, *needed), strict=True):
        column.width, column.overflow = room, "ellipsis"
    return table


def _heading(statement: Statement) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(_plain(statement.customer, "bold cyan"), _plain(f"invoice {statement.number}", "bold"))
    days = f"{statement.first_day:%-d %b} to {statement.last_day:%-d %b %Y}, {statement.timezone}"
    about = _plain(f"{days}; customer {statement.reference}", "dim")
    about.no_wrap, about.overflow = True, "ellipsis"
    return Group(line, about)


def _shortened(
    lines: Sequence[StatementLine], shown: int | None
) -> tuple[Sequence[StatementLine], Sequence[StatementLine]]:
    """The lines to show, in invoice order, and the smallest ones to gather; one line is never gathered alone."""
    if shown is None or len(lines) <= shown + 1:
        return lines, ()
    by_size = sorted(range(len(lines)), key=lambda index: (-abs(lines[index].exact), index))
    largest = set(by_size[:shown])
    rest = [line for index, line in enumerate(lines) if index not in largest]
    return [lines[index] for index in sorted(largest)], rest


def _totals(totals: Sequence[CurrencyTotal]) -> RenderableType:
    names = (
        ("currency", "left"),
        ("invoices", "right"),
        ("lines", "right"),
        ("net", "right"),
        ("tax", "right"),
    )
    table = _table(*names, ("total", "right"))
    for total in totals:
        sums = (_amount(total.net), _amount(total.tax), Text(_amount(total.total), "bold"))
        table.add_row(total.currency, f"{total.invoices:,}", f"{total.lines:,}", *sums)
    return Padding(Group(table, Text()), _INDENT)


def _comparison(source: Source) -> RenderableType:
    parts: list[RenderableType] = [_plain(source.title, "bold")]
    if source.zone:
        parts.append(_plain(source.zone, "dim"))
    if source.verdicts:
        parts.append(Text(source.verdicts.sentence()))
    for each in (source.comparison, source.list_comparison):
        parts.extend(_agreement(each) if each else ())
    if source.line_check:
        whole = source.line_check.agreeing == source.line_check.compared
        parts.append(Text(source.line_check.sentence(), "green" if whole else "bold red"))
    for reason, rows in _together(source.not_billed, lambda row: row.reason):
        parts.append(_plain(f"{_lines(row.line_no for row in rows)} not billed: {reason}"))
    parts.extend(
        _plain(f"line {row.line_no} was refused: {row.field} {row.reason}", "red") for row in source.bad_rows
    )
    parts.extend(_plain(f"not billed: {each}", "bold red") for each in source.parked)
    return Padding(Group(*parts, Text()), _INDENT)


def _together(rows: Iterable[_Row], shared: Callable[[_Row], str]) -> list[tuple[str, list[_Row]]]:
    """Rows that share a reason in one group, in order of first appearance; up to `APART` of them are told one by one."""
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(shared(row), []).append(row)
    return [
        (reason, part)
        for reason, own in groups.items()
        for part in ([own] if len(own) > APART else [[row] for row in own])
    ]


def _lines(numbers: Iterable[int]) -> str:
    """`line 7 is`, or `12 rows (lines 2 to 13) are`: every line is named."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    count = sum(last - first + 1 for first, last in spans)
    named = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in spans)
    return f"line {named} is" if count == 1 else f"{count} rows (lines {named}) are"


def _agreement(comparison: Comparison) -> Iterable[RenderableType]:
    yield Text(comparison.sentence(), "bold green" if not comparison.differences else "bold yellow")
    if comparison.without_cost:
        yield Text(f"{comparison.without_cost} billed rows state no cost and cannot be compared")
    for cause, rows in _together(comparison.differences, lambda each: each.cause):
        if cause and len(rows) > 1:
            yield _plain(f"{_lines(each.line_no for each in rows)[:-4]} cannot agree for one reason", "bold")
            yield Padding(_plain(f"{cause}. For example line {rows[0].line_no}: {rows[0].product}"), _INDENT)
            continue
        for each in rows:
            yield _plain(f"line {each.line_no} cannot agree: {each.provider}, {each.description}", "bold")
            yield Padding(_plain(each.reason), _INDENT)


def _explanation(explanation: Explanation) -> RenderableType:
    title = _plain(f"{explanation.customer}, invoice {explanation.invoice}: {explanation.line}", "bold")
    sentences = [Padding(_plain(f"· {sentence}"), _INDENT) for sentence in explanation.sentences]
    return Padding(Group(title, *sentences, Text()), _INDENT)


def step_table(steps: Sequence[Step]) -> RenderableType:
    """How long each step took."""
    table = _table(
        ("step", "left"), ("handled", "right"), ("", "left"), ("seconds", "right"), ("a second", "right")
    )
    for step in steps:
        pace = f"{round(step.count / step.seconds):,}" if step.seconds > 0 and step.count > 1 else ""
        table.add_row(step.name, f"{step.count:,}", step.unit, f"{step.seconds:.2f}", pace)
    table.add_section()
    table.add_row(
        Text("together", "bold"), "", "", Text(f"{sum(step.seconds for step in steps):.2f}", "bold"), ""
    )
    return Padding(Group(table, Text()), _INDENT)


def _next(report: BillReport) -> RenderableType:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(no_wrap=True)
    for command, shows in report.next_commands:
        table.add_row(_plain(command, "bold"), _plain(shows))
    return Padding(Group(table, *(_plain(remark) for remark in report.remarks)), _INDENT)


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_edge=False,
        header_style="dim",
        expand=False,
    )
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    return table


def _number(value: Decimal) -> str:
    """All digits, thousands separated, no padding zeros."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _cut(value: Decimal) -> str:
    """An exact number, all digits up to twelve decimals; more end in an ellipsis (JSON output has them all)."""
    text = _number(value)
    whole, _, decimals = text.partition(".")
    return text if len(decimals) <= _SHOWN_DECIMALS else f"{whole}.{decimals[:_SHOWN_DECIMALS]}…"


def _amount(value: Decimal) -> str:
    return f"{value:,f}"


def _plain(text: str, style: str = "") -> Text:
    """Foreign text as it is: markup is not read, control and direction-changing characters are shown as a space."""
    return Text("".join(" " if unicodedata.category(mark) in {"Cc", "Cf"} else mark for mark in text), style)
