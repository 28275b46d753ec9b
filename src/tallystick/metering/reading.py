"""Bodies of events, read twice: fast when all is well, row by row when something is not.

The fast way decodes the whole body into structs at C speed. What it cannot vouch for (a wrong type, a number written as text, an
escape, a key that may stand twice) sends the body down the careful way, which reads each row by
itself and says what is wrong with it. Both accept the same events: a property test holds them together.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.kernel.errors import Invalid, Malformed, TooLarge
from tallystick.metering.domain.events import (
    MAX_BATCH,
    MAX_METER,
    MAX_PROPERTIES,
    MAX_PROPERTY_NAME,
    MAX_TEXT,
    SCALARS,
    IncomingEvent,
    Verdict,
    invalid,
)
from tallystick.platform import wire
from tallystick.platform.http.fields import clean_text, decimal_value

_FIELDS = IncomingEvent.__struct_fields__
_MAX_BIG = 10**40
_NEGATIVE = "must not be negative"


class _Sent(IncomingEvent, frozen=True, gc=False, forbid_unknown_fields=True):
    """Numbers as they stand in the body, so that one written as text can be told from one that is not."""

    quantity: Any = None
    unit_price: Any = None


def _float(text: str) -> Decimal:
    value = Decimal(text) if len(text) <= 60 else None
    if value is None or (value and abs(value.adjusted()) > 40):
        raise ValueError("left to the careful way")
    return value


_one = msgspec.json.Decoder(_Sent, float_hook=_float)
_many = msgspec.json.Decoder(list[_Sent], float_hook=_float)
_rows: Any = msgspec.json.Decoder(list[msgspec.Raw])
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},"]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sent:
    """The events of a body in their order, or the verdict on a row that cannot be read; `places` says where each stands.

    `place` is "index" (from 0, in an array) or "line" (from 1, in NDJSON).
    """

    events: Sequence[IncomingEvent | Verdict]
    place: str
    places: Sequence[int]


def read_one(body: bytes) -> IncomingEvent:
    """The event in a body. Raises `Malformed`, or `Invalid` naming every field that is wrong."""
    fast = _fast(lambda: [_one.decode(body)], body)
    if fast is not None:
        return fast[0]
    event = read_event(wire.loads(body))
    if isinstance(event, Verdict):
        raise Invalid(details=event.details, code="validation_failed")
    return event


def read_array(body: bytes) -> Sent:
    """Events of a JSON array. Raises where the whole cannot be read, is no array, is empty or holds over 10 000."""
    fast = _fast(lambda: _many.decode(body), body)
    if fast is not None:
        return Sent(fast, "index", range(_counted(len(fast))))
    try:
        rows = _rows.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        apart = _elements(body)
        if apart is None:
            wire.loads(body)
            raise Invalid.field("body", "must be an array of events", code="validation_failed") from None
        rows = apart
    return Sent([_row(bytes(row)) for row in rows], "index", range(_counted(len(rows))))


def _elements(body: bytes) -> list[bytes] | None:
    """The texts of an array's elements where one of them is no JSON (NaN, a lone surrogate, bytes that are no UTF-8), so that it alone
    is refused. None where the array itself cannot be made out: then nothing is taken."""
    text = body.strip(b" \t\r\n")
    rows, depth, start = [], 0, 1
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
            if depth == 0 and token.end() != len(text):
                return None
        elif mark == b"," and depth == 1:
            rows.append(text[start : token.start()])
            start = token.end()
        elif mark == b'"':
            return None
        if depth == 0 and mark != b"]":
            return None
    if depth != 0 or text[:1] != b"[" or text[-1:] != b"]":
        return None
    rows.append(text[start:-1])
    return rows if all(row.strip(b" \t\r\n") for row in rows) else None


def read_lines(body: bytes) -> Sent:
    """Events of NDJSON, one a line; empty lines are passed over. Raises where there is none, or over 10 000."""
    lines = body.split(b"\n")
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    _counted(len(numbers))
    fast = _fast(lambda: _one.decode_lines(body), body)
    if fast is not None and len(fast) == len(numbers):
        return Sent(fast, "line", numbers)
    return Sent([_row(lines[number - 1]) for number in numbers], "line", numbers)


def _counted(count: int) -> int:
    if count == 0:
        raise Invalid.field("body", "must hold at least one event", code="validation_failed")
    if count > MAX_BATCH:
        raise TooLarge(f"A batch holds at most {MAX_BATCH} events; send several", code="batch_too_large")
    return count


def _fast(decode: Callable[[], Sequence[IncomingEvent]], body: bytes) -> Sequence[IncomingEvent] | None:
    """The events where nothing about them is in doubt, else None. An escape may hide a control character, or a quote."""
    if b"\\" in body or b"\x7f" in body:
        return None
    try:
        events = decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return events if _sound(events, body.count(b'"')) else None


def _sound(events: Sequence[IncomingEvent], quotes: int) -> bool:
    """Numbers are numbers and not negative, properties are scalars, times have offsets, and no key stands twice.

    Without escapes each key and each text has two quotes. As many as the kept ones need means that no key was lost to another of the
    same name.
    """
    kept = 4 * len(events)
    for e in events:
        kept += 2 * ((e.source is not None) + (e.account_id is not None) + (e.external_id is not None))
        for number in (e.quantity, e.unit_price):
            if number is not None:
                kind = type(number)
                if (kind is not int and kind is not Decimal) or number < 0:
                    return False
                kept += 1
        if e.occurred_at is not None:
            if e.occurred_at.tzinfo is None:
                return False
            kept += 2
        if e.properties is not None:
            kept += 1 + len(e.properties)
            for value in e.properties.values():
                if type(value) is str:
                    kept += 1
                elif type(value) not in SCALARS or (type(value) is int and abs(value) >= _MAX_BIG):
                    return False
    return 2 * kept == quotes


def _row(text: bytes) -> IncomingEvent | Verdict:
    try:
        return read_event(wire.loads(text))
    except Malformed as refused:
        return Verdict("invalid", refused.code, {"event": refused.sentence})


def read_event(value: Any) -> IncomingEvent | Verdict:
    """The careful way: an event from a decoded value, or the verdict that names each field that is wrong."""
    if not isinstance(value, dict):
        return invalid("invalid_event", "event", "must be an object")
    given = {name: item for name, item in value.items() if item is not None}
    wrong = {} if given.keys() <= _KNOWN else {"event": f"knows the fields {', '.join(_FIELDS)} only"}
    wrong |= {name: "is required" for name in ("id", "meter") if name not in given}
    fields: dict[str, Any] = {}
    for name in _FIELDS:
        if name in given:
            try:
                fields[name] = _READERS[name](given[name])
            except ValueError as problem:
                wrong[name] = str(problem)
    if wrong:
        return Verdict("invalid", "invalid_event", wrong)
    return IncomingEvent(**fields)


def _text(most: int, least: int = 1) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a text")
        if not least <= len(value) <= most:
            raise ValueError(f"must be {least} to {most} characters")
        return clean_text(value)

    return read


def _number(value: Any) -> Decimal | int:
    number = decimal_value(value)
    if number < 0:
        raise ValueError(_NEGATIVE)
    return number


def _quantity(value: Any) -> Decimal | int:
    try:
        return _number(value)
    except ValueError as wrong:
        if str(wrong) != _NEGATIVE:
            raise
        raise ValueError(f"{_NEGATIVE}; put what may be negative into a property") from None


def _time(value: Any) -> datetime:
    try:
        time = msgspec.convert(value, datetime) if isinstance(value, str) else None
    except msgspec.ValidationError:
        time = None
    if time is None:
        raise ValueError("must be an RFC 3339 time with offset, as in 2024-01-01T00:00:00Z")
    if time.tzinfo is None:
        raise ValueError("needs an offset, as in 2024-01-01T00:00:00Z")
    return time


def _properties(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    if len(value) > MAX_PROPERTIES:
        raise ValueError(f"must hold at most {MAX_PROPERTIES} properties")
    for name, item in value.items():
        if not 1 <= len(name) <= MAX_PROPERTY_NAME:
            raise ValueError(f"must have names of 1 to {MAX_PROPERTY_NAME} characters")
        clean_text(name)
        if type(item) not in SCALARS:
            raise ValueError("must hold texts, numbers, booleans and null only")
        if isinstance(item, str):
            clean_text(item)
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "id": _text(MAX_TEXT),
    "meter": _text(MAX_METER),
    "source": _text(MAX_TEXT, 0),
    "account_id": _text(MAX_TEXT),
    "external_id": _text(MAX_TEXT),
    "quantity": _quantity,
    "occurred_at": _time,
    "properties": _properties,
    "unit_price": _number,
}
_KNOWN = frozenset(_READERS)
