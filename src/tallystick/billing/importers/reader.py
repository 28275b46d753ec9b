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
    groups = _groups(_lines(stream))
    number, first = next(groups, (0, None))
    if number == 0:
        raise Invalid.field(
            "file", "is empty; a report begins with a line of column names", code="empty_file"
        )
    columns = _header(first)
    return CsvReport(columns, _records(groups, columns))


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


def _groups(lines: Iterator[_Line]) -> Iterator[tuple[int, list[str] | str]]:
    """Lines that form one record together, with the number of the first; or the reason why they do not."""
    ahead: deque[_Line] = deque()

    def following() -> _Line | None:
        return ahead.popleft() if ahead else next(lines, None)

    while (start := following()) is not None:
        taken = [start]
        quotes, size = _quotes(start[1]), len(start[1] or "")
        while quotes % 2 and len(taken) < MAX_RECORD_LINES and size <= MAX_RECORD_BYTES:
            line = following()
            if line is None:
                break
            taken.append(line)
            quotes += _quotes(line[1])
            size += len(line[1] or "")
        texts = [text for _, text in taken if text is not None]
        if quotes % 2:
            ahead.extendleft(reversed(taken[1:]))
            yield start[0], NOT_CLOSED
        elif len(texts) < len(taken) or size > MAX_RECORD_BYTES:
            yield start[0], TOO_LONG
        else:
            yield start[0], texts


def _quotes(text: str | None) -> int:
    return text.count('"') if text else 0


def _header(group: list[str] | str | None) -> tuple[str, ...]:
    if not isinstance(group, list):
        raise Invalid.field("header", group or "is missing", code="bad_header")
    text = "".join(group).removeprefix(_UTF8_MARK)
    if _UNDECODABLE.search(text):
        raise Invalid.field("header", f"{NOT_UTF8}; save the file as UTF-8", code="not_utf8")
    if _CONTROL.search(text):
        raise Invalid.field("header", "holds a control character; this is not a CSV file", code="bad_header")
    names = tuple(name.strip() for name in next(csv.reader([text.strip("\r\n")]), []))
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


def _records(
    groups: Iterator[tuple[int, list[str] | str]], columns: tuple[str, ...]
) -> Iterator[Record | BadRow]:
    for number, group in groups:
        if isinstance(group, str):
            yield BadRow(number, "row", group)
            continue
        try:
            rows = [row for row in csv.reader(group, strict=True) if row]
        except csv.Error:
            yield BadRow(
                number, "row", "is not well-formed CSV: a closing quotation mark is followed by text"
            )
            continue
        for offset, row in enumerate(rows):
            yield _record(number + offset, row, columns)


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
