"""A CSV file as records with line numbers, in constant memory.

What is wrong with the file as a whole is an `Invalid` (nothing can be read); what is wrong with one record is a `BadRow`
and the records after it are still read. An unclosed quotation mark would let a naive reader swallow the rest of the file:
here a record may span a limited number of lines, and reading resumes on the line after the one that went wrong.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from tallystick.kernel.errors import Invalid, TooLarge

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_RECORD_BYTES = 64 * 1024
MAX_RECORD_LINES = 64
MAX_CELL_CHARACTERS = 8 * 1024

_UNDECODABLE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = "\ufeff"

NOT_UTF8 = "is not valid UTF-8"
TOO_LONG = f"is longer than {MAX_RECORD_BYTES // 1024} KiB"
NOT_CSV = (
    "is not well-formed CSV: text after a closing quotation mark, or a line break outside of quotation marks"
)
NOT_CLOSED = "has a quotation mark that is never closed"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that was refused. `line_no` counts from 1, the header being line 1; `reason` never repeats the input."""

    line_no: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose cells are named by the header. `line_no` is the line it starts on."""

    line_no: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class CsvReport:
    """An opened report: its columns, and its records still to be read (once)."""

    columns: tuple[str, ...]
    records: Iterator[Record | BadRow]


_Line: TypeAlias = tuple[int, str | None]
"""A line's number and text; None where it was longer than a record may be."""


def open_csv(stream: BinaryIO) -> CsvReport:
    """Read the header of a comma-separated UTF-8 file and hand out its records lazily.

    Raises `Invalid` for a file that is empty, not UTF-8, separated by something else, or whose header repeats or lacks a
    name, and `TooLarge` while reading past the limit. Reading has no effect outside the stream.
    """
    source = _Source(_lines(stream))
    group = _group(source)
    if group is None:
        raise Invalid.field(
            "file", "is empty; a report begins with a line of column names", code="empty_file"
        )
    columns = _header(group)
    return CsvReport(columns, _records(source, columns))


class _Source:
    """Lines that can be given back, so that a record which went wrong costs its first line only."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self._ahead: deque[_Line] = deque()

    def take(self) -> _Line | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def give_back(self, lines: Sequence[_Line]) -> None:
        self._ahead.extendleft(reversed(lines))


@dataclass(frozen=True, slots=True)
class _Group:
    """Lines that form one record together, or the reason why they do not."""

    lines: tuple[_Line, ...]
    problem: str | None

    @property
    def start(self) -> int:
        return self.lines[0][0]

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines if text is not None]


def _lines(stream: BinaryIO) -> Iterator[_Line]:
    number = total = 0
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        number += 1
        total += len(line)
        if number == 1 and line.startswith(_UTF16_MARKS):
            raise Invalid.field("file", "is UTF-16; save it as UTF-8", code="not_utf8")
        too_long = len(line) > MAX_RECORD_BYTES
        while too_long and not line.endswith(b"\n") and (line := stream.readline(MAX_RECORD_BYTES)):
            total += len(line)
        if total > MAX_FILE_BYTES:
            raise TooLarge(
                f"The file is over {MAX_FILE_BYTES // 1024 // 1024} MiB; split it by day or by account"
            )
        yield number, None if too_long else line.decode("utf-8", "surrogateescape")


def _group(source: _Source) -> _Group | None:
    """The next record's lines: one, or several where a quotation mark stays open at a line's end."""
    start = source.take()
    if start is None:
        return None
    taken = [start]
    quotes, size = _quotes(start[1]), len(start[1] or "")
    while quotes % 2 and len(taken) < MAX_RECORD_LINES and size <= MAX_RECORD_BYTES:
        line = source.take()
        if line is None:
            break
        taken.append(line)
        quotes += _quotes(line[1])
        size += len(line[1] or "")
    if quotes % 2:
        problem: str | None = NOT_CLOSED
    else:
        problem = TOO_LONG if size > MAX_RECORD_BYTES or any(text is None for _, text in taken) else None
    return _Group(tuple(taken), problem)


def _quotes(text: str | None) -> int:
    return text.count('"') if text else 0


def _header(group: _Group) -> tuple[str, ...]:
    if group.problem:
        raise Invalid.field("header", group.problem, code="bad_header")
    text = "".join(group.texts).removeprefix(_UTF8_MARK)
    if _UNDECODABLE.search(text):
        raise Invalid.field("header", f"{NOT_UTF8}; save the file as UTF-8", code="not_utf8")
    if _CONTROL.search(text):
        raise Invalid.field("header", "holds a control character; this is not a CSV file", code="bad_header")
    names = _names(text.strip("\r\n"))
    if len(names) < 2:
        found = next((word for mark, word in _OTHER_DELIMITERS.items() if mark in text), None)
        problem = (
            f"is separated by {found}; separate columns by commas"
            if found
            else "names fewer than two columns"
        )
        raise Invalid.field("header", problem, code="wrong_delimiter" if found else "bad_header")
    if "" in names:
        raise Invalid.field("header", f"column {names.index('') + 1} has no name", code="bad_header")
    repeated = next((name for position, name in enumerate(names) if name in names[:position]), None)
    if repeated is not None:
        position = len(names) - names[::-1].index(repeated)
        raise Invalid.field(
            "header", f"column {position} repeats a name that came before", code="duplicate_column"
        )
    return names


def _names(line: str) -> tuple[str, ...]:
    if "\r" in line or "\n" in line:
        raise Invalid.field(
            "header",
            "holds a line break; end lines with a line feed and keep names on one line",
            code="bad_header",
        )
    try:
        return tuple(name.strip() for name in next(csv.reader([line], strict=True), []))
    except csv.Error:
        raise Invalid.field("header", NOT_CSV, code="bad_header") from None


def _records(source: _Source, columns: tuple[str, ...]) -> Iterator[Record | BadRow]:
    """A record of several lines that cannot be used may be a cut line and the good ones after it: those are read again."""
    while (group := _group(source)) is not None:
        outcomes = _parsed(group, columns)
        if len(group.lines) > 1 and any(isinstance(outcome, BadRow) for outcome in outcomes):
            source.give_back(group.lines[1:])
            first = outcomes[0]
            yield first if isinstance(first, BadRow) else BadRow(group.start, "row", NOT_CLOSED)
        else:
            yield from outcomes


def _parsed(group: _Group, columns: tuple[str, ...]) -> list[Record | BadRow]:
    if group.problem:
        return [BadRow(group.start, "row", group.problem)]
    try:
        rows = [row for row in csv.reader(group.texts, strict=True) if row]
    except csv.Error:
        return [BadRow(group.start, "row", NOT_CSV)]
    return [_record(group.start + offset, row, columns) for offset, row in enumerate(rows)]


def _record(number: int, row: Sequence[str], columns: tuple[str, ...]) -> Record | BadRow:
    if len(row) != len(columns):
        cut = "; the line may be cut" if len(row) < len(columns) else ""
        return BadRow(number, "row", f"has {len(row)} cells where the header has {len(columns)}{cut}")
    for name, cell in zip(columns, row, strict=True):
        reason = _unreadable(cell)
        if reason:
            return BadRow(number, name, reason)
    return Record(number, dict(zip(columns, row, strict=True)))


def _unreadable(cell: str) -> str | None:
    if len(cell) > MAX_CELL_CHARACTERS:
        return f"is longer than {MAX_CELL_CHARACTERS} characters"
    if "\x00" in cell:
        return "holds a NUL character"
    if _UNDECODABLE.search(cell):
        return NOT_UTF8
    return "holds a control character" if _CONTROL.search(cell) else None
