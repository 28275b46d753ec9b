"""JSON in and out: every digit kept, everything that parsers disagree about refused, nothing of it repeated."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tallystick.kernel.errors import Malformed
from tallystick.platform import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**25), max_value=10**25)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**39), 10**39) | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


def same(read: Any, meant: Any) -> bool:
    """Equal in value and kind; a Decimal without a fraction may come back as an integer."""
    odd = isinstance(meant, dict | list) or isinstance(read, dict | list | str) or read is None
    if odd and type(read) is not type(meant):
        return False
    if isinstance(meant, dict):
        return read.keys() == meant.keys() and all(same(read[name], value) for name, value in meant.items())
    if isinstance(meant, list):
        return len(read) == len(meant) and all(map(same, read, meant))
    if isinstance(meant, bool) or meant is None or isinstance(meant, str):
        return type(read) is type(meant) and read == meant
    return not isinstance(read, bool | float) and Decimal(read) == Decimal(meant)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    written = wire.dumps(value)
    assert same(wire.loads(written), value)
    assert same(wire.loads_own(written), value)
    assert same(json.loads(written, parse_float=Decimal), value), "anyone else reads it too"


@given(VALUES)
def test_however_it_is_spelt_it_is_the_same(value: Any) -> None:
    plain = json.dumps(value, default=str).encode()
    spread = json.dumps(value, default=str, indent=3).encode()
    assert wire.canonical(wire.loads(plain)) == wire.canonical(wire.loads(spread))


@given(st.dictionaries(TEXT, st.integers(), min_size=2, max_size=6))
def test_order_does_not_matter(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert wire.canonical(value) == wire.canonical(turned)


@given(VALUES, VALUES)
def test_other_values_have_other_forms(one: Any, two: Any) -> None:
    if not (same(one, two) or same(two, one)):
        assert wire.canonical(one) != wire.canonical(two)


@given(NUMBERS)
def test_a_number_is_written_digit_by_digit(value: Decimal) -> None:
    written = wire.dumps(value).decode()
    assert "E" not in written.upper()
    assert Decimal(written) == value
    assert wire.dumps_decimal_strings(value).decode() == f'"{written}"'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("29.99"), "29.99"),
        (Decimal("1E-12"), "0.000000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-18"), "0.000000000000000000"),
        (Decimal("-1.5E-9"), "-0.0000000015"),
        (Decimal("123456789012345678"), "123456789012345678"),
        (Decimal("0.1") + Decimal("0.2"), "0.3"),
        ({"a": [Decimal("1E-7"), (Decimal("1E+2"),)], "b": "x:1E+5"}, '{"a":[0.0000001,[100]],"b":"x:1E+5"}'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (datetime(2024, 1, 1, tzinfo=UTC), '"2024-01-01T00:00:00Z"'),
    ],
)
def test_written(value: Any, written: str) -> None:
    assert wire.dumps(value).decode() == written


def test_models_and_records_are_written() -> None:
    class Model(BaseModel):
        price: Decimal

    @dataclass
    class View:
        price: Decimal
        inner: Model

    view = View(Decimal("1E-9"), Model(price=Decimal("2E-9")))
    assert wire.dumps(view) == b'{"price":0.000000001,"inner":{"price":0.000000002}}'
    assert wire.dumps_decimal_strings(view) == b'{"price":"0.000000001","inner":{"price":"0.000000002"}}'


def test_a_fraction_is_no_number_of_json() -> None:
    with pytest.raises(TypeError):
        wire.dumps({"a": object()})


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"1.10000000000000008882", Decimal("1.10000000000000008882")),
        (b"1e2", Decimal("1e2")),
        (b"-0.0", Decimal("-0.0")),
        (b"12345678901234567890123456789", 12345678901234567890123456789),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"a\\\\u0000"', "a\\u0000"),
        (b'{"a":{"b":1},"c":{"b":1}}', {"a": {"b": 1}, "c": {"b": 1}}),
        (b'{"a\\\\":1,"b":"\\":"}', {"a\\": 1, "b": '":'}),
        (b" \n[ ]\t", []),
        (b"[" * 32 + b"]" * 32, None),
    ],
)
def test_read(body: bytes, value: Any) -> None:
    found = wire.loads(body)
    assert type(found) is not float
    assert value is None or (found == value and type(found) is type(value))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b" ", "malformed_json"),
        (b"{", "malformed_json"),
        (b"{} {}", "malformed_json"),
        (b"[1,]", "malformed_json"),
        (b"{'a': 1}", "malformed_json"),
        (b"01", "malformed_json"),
        (b"+1", "malformed_json"),
        (b".5", "malformed_json"),
        (b"NaN", "malformed_json"),
        (b"[Infinity]", "malformed_json"),
        (b"-Infinity", "malformed_json"),
        (b"nan", "malformed_json"),
        (b'"\\ud800"', "malformed_json"),
        (b'"\\ude00\\ud83d"', "malformed_json"),
        (b'"a\x01"', "malformed_json"),
        (b'"a\x00"', "malformed_json"),
        (b'"\\x41"', "malformed_json"),
        ('{"a": 1}'.encode("utf-16"), "malformed_json"),
        ('{"a": 1}'.encode("utf-16-le"), "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed"),
        (b'"\xff"', "malformed_utf8"),
        (b'"\xc0\xaf"', "malformed_utf8"),
        (b'"\xed\xa0\x80"', "malformed_utf8"),
        (b"1e400", "number_out_of_range"),
        (b"1e-400", "number_out_of_range"),
        (b"1e999999999999999999999", "number_out_of_range"),
        (b"9" * 50, "number_out_of_range"),
        (b"-" + b"9" * 50, "number_out_of_range"),
        (b"[" + b"9" * 5000 + b"]", None),
        (b'{"a": ' + b"9" * 41 + b"}", "number_out_of_range"),
        (b"0." + b"1" * 60, "number_too_long"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b'[{"x":{"a":1 , "a" :2}}]', "duplicate_key"),
        (b'{"a":1,"a":2,"b\\\\":3}', "duplicate_key"),
        (b'{"\\"":1,"\\"":2}', "duplicate_key"),
        (b'{"":1,"":2}', "duplicate_key"),
        (b'"a\\u0000b"', "nul_character"),
        (b'{"\\u0000": 1}', "nul_character"),
        (b'[{"a": ["\\u0000"]}]', "nul_character"),
        (b"[" * 33 + b"]" * 33, "too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "too_deep"),
        (b"[" * 100_000, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_refused(body: bytes, code: str | None) -> None:
    with pytest.raises(Malformed) as caught:
        wire.loads(body)
    assert code is None or caught.value.code == code
    assert caught.value.details == {}
    assert len(caught.value.sentence) < 80


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = wire.loads(body)
    except Malformed:
        return
    assert not isinstance(value, float)
    assert json.loads(body.decode("utf-8")) is not NotImplemented, "what we read, others read too"


@given(st.dictionaries(TEXT, st.integers(0, 9), min_size=1, max_size=4), st.data())
def test_no_double_key_gets_by(value: dict[str, int], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    pairs = [*value.items(), (key, 7)]
    shuffled = data.draw(st.permutations(pairs))
    body = "{" + ",".join(f"{json.dumps(name)}:{item}" for name, item in shuffled) + "}"
    with pytest.raises(Malformed) as caught:
        wire.loads(body.encode())
    assert caught.value.code == "duplicate_key"


def test_no_binary_float_anywhere() -> None:
    found = wire.loads(b'{"a": [0.1, 1e-5, 1.0, 5e0]}')["a"]
    assert all(type(number) is Decimal for number in found)
    assert math.isclose(float(sum(found)), 6.10001)
