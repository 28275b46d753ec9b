"""Bodies of events: the fast way and the careful way accept the same, and only bad rows are refused."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.errors import Invalid, Malformed, Refusal, TooLarge
from tallystick.metering import reading
from tallystick.metering.domain.events import IncomingEvent, Verdict
from tallystick.platform import wire

GOOD: dict[str, Any] = {
    "id": "e1",
    "meter": "calls",
    "account_id": "acc_1",
    "quantity": 2,
    "occurred_at": "2024-06-15T12:00:00.5+02:00",
    "properties": {"region": "eu", "n": 1},
}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def careful(text: bytes) -> IncomingEvent | Verdict:
    try:
        return reading.read_event(wire.loads(text))
    except Malformed as refused:
        return Verdict("invalid", refused.code)


def fast(text: bytes) -> IncomingEvent | None:
    found = reading._fast(lambda: [reading._one.decode(text)], text)
    return None if found is None else IncomingEvent(**msgspec.structs.asdict(found[0]))


def test_a_good_event_goes_the_fast_way() -> None:
    event = fast(body(GOOD))
    assert event == careful(body(GOOD))
    assert event is not None
    assert event.properties == {"region": "eu", "n": 1}


texts = st.text(alphabet='aZ"\\:, {}[]1ü\x00\x07\x7f\n\ud800\U0001f600', max_size=5)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**42), 10**42), st.floats(), texts, st.lists(st.integers(), max_size=2),
    st.sampled_from(["2024-06-15T12:00:00Z", "2024-06-15T12:00:00", "2024-06-15", "12.50", "1e5", "NaN", "\u0663", "1_0"]),
    st.dictionaries(texts, st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just([1])), max_size=3),
)  # fmt: skip
fields = st.sampled_from([*reading._FIELDS, "unknown"])


@given(
    st.dictionaries(fields, values, max_size=4),
    st.booleans(),
    st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : ")]),
)
def test_what_the_fast_way_takes_the_careful_way_takes_alike(
    changes: dict[str, Any], escape: bool, separators: tuple[str, str]
) -> None:
    text = json.dumps({**GOOD, **changes}, ensure_ascii=escape, separators=separators).encode(
        "utf-8", "surrogatepass"
    )
    event = fast(text)
    if event is not None:
        assert careful(text) == event


@pytest.mark.parametrize(
    "text",
    [
        b'{"id":"a","meter":"m","id":"b"}',
        b'{"id":"a","meter":"m","\\u0069d":"b"}',
        b'{"id":"a","meter":"m","id" :"b"}',
        b'{"id":"a","meter":"m","properties":{"x":1,"x":2}}',
        b'{"id":"a","meter":"m","quantity":1,"quantity":1}',
        b'{"id":"a\\u0000","meter":"m"}',
        b'{"id":"a\\u0007","meter":"m"}',
        b'{"id":"a\x7f","meter":"m"}',
        b'{"id":"\\ud800","meter":"m"}',
        b'{"id":"\xff","meter":"m"}',
        b'{"id":"a","meter":"m","quantity":1e400}',
        b'{"id":"a","meter":"m","quantity":NaN}',
        b'{"id":"a","meter":"m","quantity":-1}',
        b'{"id":"a","meter":"m","quantity":true}',
        b'{"id":"a","meter":"m","quantity":"1_0"}',
        b'{"id":"a","meter":"m","quantity":"Infinity"}',
        b'{"id":"a","meter":"m","unit_price":-0.5}',
        b'{"id":"a","meter":"m","occurred_at":"2024-06-15T12:00:00"}',
        b'{"id":"a","meter":"m","occurred_at":1718452800}',
        b'{"id":"a","meter":"m","properties":{"x":[1]}}',
        b'{"id":"a","meter":"m","properties":{"x":{"y":1}}}',
        b'{"id":"a","meter":"m","properties":{"":1}}',
        b'{"id":"a","meter":"m","properties":[]}',
        b'{"id":"a","meter":"m","surprise":1}',
        b'{"id":"","meter":"m"}',
        b'{"id":1,"meter":"m"}',
        b'{"id":"a"}',
        b"[]",
        b"1",
        b"",
        b"{" * 100,
        b'{"id":"' + b"x" * 256 + b'","meter":"m"}',
        b'{"id":"a","meter":"' + b"x" * 101 + b'"}',
        json.dumps({"id": "a", "meter": "m", "properties": {str(n): n for n in range(51)}}).encode(),
    ],
)
def test_bad_events_are_refused_both_ways(text: bytes) -> None:
    assert fast(text) is None
    with pytest.raises(Refusal) as caught:
        reading.read_one(text)
    assert caught.value.status in (400, 422)


def test_every_bad_field_is_named_and_nothing_is_echoed() -> None:
    with pytest.raises(Invalid) as caught:
        reading.read_one(body({"id": 5, "quantity": "secret", "occurred_at": "secret", "secret": 1}))
    assert set(caught.value.details) == {"id", "meter", "quantity", "occurred_at", "event"}
    assert "secret" not in str(caught.value.details.values())


def test_numbers_written_as_text_and_odd_spacing_are_fine() -> None:
    event = reading.read_one(b'{"id" : "a", "meter" : "m", "quantity" : "1.50", "source" : null}')
    assert (event.quantity, event.source) == (Decimal("1.50"), None)


def test_an_escape_is_no_fault() -> None:
    assert reading.read_one(b'{"id":"Z\\u00fcrich \\"x\\"","meter":"m"}').id == 'Zürich "x"'


def test_only_the_bad_rows_of_an_array_are_refused() -> None:
    rows = [
        json.dumps(GOOD),
        '{"id":"x","meter":"m","quantity":1e400}',
        "3",
        '{"id":"y","meter":"m","id":"z"}',
        json.dumps(GOOD),
    ]
    sent = reading.read_array(("[" + ",".join(rows) + "]").encode())
    assert (sent.place, list(sent.places)) == ("index", [0, 1, 2, 3, 4])
    kinds = [event.reason if isinstance(event, Verdict) else "good" for event in sent.events]
    assert kinds == ["good", "number_out_of_range", "invalid_event", "duplicate_key", "good"]


def test_lines_keep_their_numbers() -> None:
    sent = reading.read_lines(b"\n" + body(GOOD) + b"\r\n\nnonsense\n" + body(GOOD) + b"\n\xff\xff\n")
    assert (sent.place, list(sent.places)) == ("line", [2, 4, 5, 6])
    assert [isinstance(event, IncomingEvent) for event in sent.events] == [True, False, True, False]
    whole = reading.read_lines(body(GOOD) + b"\n" + body(GOOD))
    assert list(whole.places) == [1, 2]
    assert all(isinstance(event, IncomingEvent) for event in whole.events)


def test_two_events_on_one_line_are_one_bad_line() -> None:
    sent = reading.read_lines(body(GOOD) + b" " + body(GOOD) + b"\n")
    assert [type(event) for event in sent.events] == [Verdict]


@pytest.mark.parametrize("text", [b"{}", b"3", b'"x"', b"null", b"[]"])
def test_a_batch_is_an_array_of_something(text: bytes) -> None:
    with pytest.raises(Invalid):
        reading.read_array(text)


def test_what_is_no_json_is_refused_whole() -> None:
    for text in (b"", b"[", b"[1,]", b"\xef\xbb\xbf[]", b"[" * 5000):
        with pytest.raises(Malformed):
            reading.read_array(text)
    with pytest.raises(Invalid):
        reading.read_lines(b"\n \n")


def test_a_batch_has_a_size() -> None:
    row = b'{"id":"a","meter":"m"}'
    assert len(reading.read_array(b"[" + b",".join([row] * 10_000) + b"]").events) == 10_000
    with pytest.raises(TooLarge):
        reading.read_array(b"[" + b",".join([row] * 10_001) + b"]")
    with pytest.raises(TooLarge):
        reading.read_lines(b"\n".join([row] * 10_001))


@pytest.mark.parametrize(
    "bad",
    [
        b'{"id":"a","meter":"m","quantity":NaN}',
        b'{"id":"a","meter":"m","quantity":-Infinity}',
        b'{"id":"\\ud800","meter":"m"}',
        b'{"id":"\xff","meter":"m"}',
        b'{"id":"a","meter":"m","quantity":1e400}',
        b'{"id":"a","id":"a","meter":"m"}',
        b'{"id":"a","meter":"m",}',
        b'{"id":"a" "meter":"m"}',
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"nonsense",
    ],
)
def test_an_unreadable_row_of_an_array_is_refused_alone(bad: bytes) -> None:
    good = body(GOOD)
    sent = reading.read_array(b" [" + good + b" , " + bad + b",\n" + good + b"]\n")
    assert [isinstance(each, Verdict) for each in sent.events] == [False, True, False]
    assert list(sent.places) == [0, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        b'[{"id":"a}]',
        b'[{"id":NaN},',
        b"[NaN]]",
        b"[NaN",
        b"NaN]",
        b"[NaN,,NaN]",
        b"[NaN] [NaN]",
        b"{NaN}",
        b'{"a":[NaN]}',
        b"",
    ],
)
def test_an_array_that_cannot_be_made_out_is_refused_whole(text: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        reading.read_array(text)
    assert caught.value.status in (400, 422)
