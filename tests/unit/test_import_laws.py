"""Whatever stands in a file: rows or refusals come out, never another exception, and good rows are never lost to bad ones."""

import io
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.billing.importers.focus import FOCUS
from tallystick.billing.importers.oci import OCI
from tallystick.billing.importers.reader import BadRow, Record, open_csv
from tallystick.billing.importers.rows import NotBilled, UsageRow, read_usage
from tallystick.kernel.errors import Refusal

FIXTURES = Path(__file__).parent / "fixtures"
FILES = {
    "focus": (FOCUS, (FIXTURES / "focus_small.csv").read_bytes()),
    "oci": (OCI, (FIXTURES / "oci_small.csv").read_bytes()),
}

awkward = st.sampled_from(
    [b'"', b",", b"\n", b"\r", b"\r\n", b"\x00", b"\xff", b"1", b"NaN", b"\xe2\x82", b"a", b" "]
)


@given(st.lists(awkward, max_size=60))
def test_any_bytes_after_a_header_become_records_or_bad_rows(pieces: list[bytes]) -> None:
    for outcome in open_csv(io.BytesIO(b"a,b\n" + b"".join(pieces))).records:
        assert isinstance(outcome, Record | BadRow)
        assert outcome.line_no >= 2


@given(st.binary(max_size=300))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    try:
        outcomes = list(open_csv(io.BytesIO(data)).records)
    except Refusal:
        return
    assert all(isinstance(each, Record | BadRow) for each in outcomes)


@settings(max_examples=300)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_report_changed_anywhere_is_read_or_refused(code: str, data: st.DataObject) -> None:
    mapping, original = FILES[code]
    at = data.draw(st.integers(0, len(original)))
    cut = data.draw(st.integers(0, 30))
    changed = original[:at] + b"".join(data.draw(st.lists(awkward, max_size=5))) + original[at + cut :]
    try:
        outcomes = list(read_usage(io.BytesIO(changed), mapping))
    except Refusal:
        return
    assert all(isinstance(each, UsageRow | NotBilled | BadRow) for each in outcomes)


good_or_bad = st.lists(
    st.sampled_from(
        [b"good,1", b"bad", b"b,a,d", b'bad,"x"y', b"bad,\xff", b"bad,\x00", b'bad,"open', b"good,2"]
    ),
    max_size=30,
)


@given(good_or_bad)
def test_every_good_row_is_read_whatever_the_bad_ones_do(rows: list[bytes]) -> None:
    read = [
        each for each in open_csv(io.BytesIO(b"a,b\n" + b"\n".join(rows))).records if isinstance(each, Record)
    ]
    wanted = [number for number, row in enumerate(rows, start=2) if row.startswith(b"good")]
    assert [record.line_no for record in read] == wanted
