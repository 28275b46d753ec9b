"""A CSV file as records: what is wrong with the file refuses the file, what is wrong with a row refuses the row."""

import io

import pytest

from tallystick.billing.importers import reader
from tallystick.billing.importers.reader import BadRow, Record, open_csv
from tallystick.kernel.errors import Invalid, TooLarge


def read(data: bytes) -> list[Record | BadRow]:
    return list(open_csv(io.BytesIO(data)).records)


def lines(data: bytes) -> list[tuple[int, str]]:
    """(line, cell or reason) of each outcome."""
    return [
        (each.line_no, each.reason if isinstance(each, BadRow) else each.cells["a"]) for each in read(data)
    ]


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "empty_file", "is empty"),
        (b"a;b;c\n1;2;3\n", "wrong_delimiter", "separated by semicolons"),
        (b"a\tb\n1\t2\n", "wrong_delimiter", "separated by tabs"),
        (b"a|b\n1|2\n", "wrong_delimiter", "separated by bars"),
        (b"hello\n", "bad_header", "fewer than two columns"),
        (b"a,b,a\n1,2,3\n", "duplicate_column", "column 3 repeats"),
        (b"a,,c\n1,2,3\n", "bad_header", "column 2 has no name"),
        ("a,b\n1,2\n".encode("utf-16"), "not_utf8", "UTF-16"),
        (b"a,b\xff\n1,2\n", "not_utf8", "not valid UTF-8"),
        (b"a,b\x00\n1,2\n", "bad_header", "control character"),
        (b"a,b\r1,2\r", "bad_header", "line break"),
        (b'"a\nb",c\n1,2\n', "bad_header", "line break"),
        (b'"a"b,c\n1,2\n', "bad_header", "not well-formed CSV"),
        (b'"a,b\n1,2\n', "bad_header", "never closed"),
        (b"a," + b"b" * 70_000 + b"\n1,2\n", "bad_header", "longer than 64 KiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(data: bytes, code: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(data)
    assert caught.value.code == code
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (b"1", "row", "has 1 cells where the header has 2; the line may be cut"),
        (b"1,2,3", "row", "has 3 cells where the header has 2"),
        (b"1,\xff\xfe", "b", "is not valid UTF-8"),
        (b"1,x\x00y", "b", "holds a NUL character"),
        (b"1,x\x1by", "b", "holds a control character"),
        (b"1," + b"x" * 9_000, "b", "is longer than 8192 characters"),
        (b"1," + b"x" * 200_000, "row", "is longer than 64 KiB"),
        (b'1,"x"y', "row", reader.NOT_CSV),
        (b"1,x\ry", "row", reader.NOT_CSV),
        (b'1,"never closed', "row", "has a quotation mark that is never closed"),
    ],
)
def test_a_bad_row_is_named_and_the_rows_around_it_are_read(row: bytes, field: str, reason: str) -> None:
    first, bad, last = read(b"a,b\nbefore,1\n" + row + b"\nafter,2\n")
    assert isinstance(first, Record)
    assert first.cells["a"] == "before"
    assert bad == BadRow(3, field, reason)
    assert isinstance(last, Record)
    assert (last.line_no, last.cells["a"]) == (4, "after")


def test_line_numbers_count_physical_lines_through_quoted_line_breaks_and_empty_lines() -> None:
    assert lines(b'a,b\nx,"two\nlines"\n\ny,1\r\nz,2') == [(2, "x"), (4 + 1, "y"), (6, "z")]


def test_an_unclosed_quotation_mark_does_not_swallow_the_file() -> None:
    good = b"".join(b'"row, %d",2\n' % n for n in range(200))
    outcome = read(b'a,b\nx,"open\n' + good)
    assert outcome[0] == BadRow(2, "row", reader.NOT_CLOSED)
    assert len([each for each in outcome if isinstance(each, Record)]) == 200


def test_a_byte_order_mark_and_spaces_around_names_are_not_part_of_a_name() -> None:
    assert open_csv(io.BytesIO(b"\xef\xbb\xbfa, b \n1,2\n")).columns == ("a", "b")


def test_records_are_read_lazily() -> None:
    class Endless(io.RawIOBase):
        """A stream with no end: reading it whole would never return."""

        def __init__(self) -> None:
            self.sent = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            text = b"a,b\n" if self.sent == 0 else b"1,2\n"
            self.sent += 1
            buffer[: len(text)] = text
            return len(text)

    records = open_csv(io.BufferedReader(Endless(), 16)).records
    assert [next(records).line_no for _ in range(1000)] == list(range(2, 1002))


def test_a_file_over_the_limit_is_refused_while_reading() -> None:
    class Many(io.RawIOBase):
        """One over-long line after another, without holding them."""

        sent = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if self.sent > reader.MAX_FILE_BYTES + 10_000_000:
                return 0
            first = b"a,b\n" if self.sent == 0 else b""
            buffer[:] = first + b"x" * (len(buffer) - len(first))
            self.sent += len(buffer)
            return len(buffer)

    with pytest.raises(TooLarge):
        list(open_csv(io.BufferedReader(Many(), 1 << 20)).records)
