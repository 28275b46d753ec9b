"""JSON, read strictly and written exactly (RFC 8259, I-JSON RFC 7493).

Reading keeps every digit: integers stay integers, anything with a point or an exponent becomes `Decimal`. Refused, because parsers
disagree about them: duplicate keys, NaN and Infinity, invalid UTF-8, lone surrogates, NUL in strings, nesting over 32 levels.
Writing shows Decimals as plain JSON numbers with their own digits (`29.99`), never through a binary float.
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tallystick.kernel.errors import Malformed

MAX_DEPTH = 32
_MAX_NUMBER = 60
_KEY_END = re.compile(rb'(?<!\\)"\s*:')


def _number(text: str) -> Decimal:
    if len(text) > _MAX_NUMBER:
        raise Malformed("A number in the body is too long; 60 characters at most", code="number_too_long")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Malformed("A number in the body is out of range", code="number_out_of_range") from None
    if value and abs(value.adjusted()) > 40:
        raise Malformed("A number in the body is out of range", code="number_out_of_range")
    return value


_decoder = msgspec.json.Decoder(float_hook=_number)


def loads(body: bytes) -> Any:
    """The value in `body`. Raises `Malformed` saying what is wrong, without repeating the input. A repeat is safe."""
    if body[:3] == b"\xef\xbb\xbf":
        raise Malformed("The body begins with a byte order mark; send plain UTF-8")
    try:
        value = _decoder.decode(body)
    except msgspec.DecodeError:
        raise Malformed("The body is not valid JSON", code="malformed_json") from None
    except UnicodeDecodeError:
        raise Malformed("The body is not valid UTF-8", code="malformed_utf8") from None
    except RecursionError:
        raise Malformed(f"The body is nested deeper than {MAX_DEPTH} levels", code="too_deep") from None
    keys = _inspect(value, 1)
    if (
        b'\\\\"' in body or len(_KEY_END.findall(body)) != keys
    ):  # a key that ends in a backslash is not counted
        _refuse_duplicates(body)
    if b"\\u0000" in body:
        _refuse_nul(value)
    return value


def _inspect(value: Any, depth: int) -> int:
    """Counts the keys kept, and refuses what is nested too deep or an integer too large to be meant."""
    if depth > MAX_DEPTH:
        raise Malformed(f"The body is nested deeper than {MAX_DEPTH} levels", code="too_deep")
    kind = type(value)
    if kind is dict:
        count = len(value)
        for item in value.values():
            item_kind = type(item)
            if item_kind is dict or item_kind is list:
                count += _inspect(item, depth + 1)
            elif item_kind is int and not -(10**40) < item < 10**40:
                raise Malformed("A number in the body is out of range", code="number_out_of_range")
        return count
    if kind is list:
        return sum(_inspect(item, depth + 1) for item in value)
    if kind is int and not -(10**40) < value < 10**40:
        raise Malformed("A number in the body is out of range", code="number_out_of_range")
    return 0


def _refuse_duplicates(body: bytes) -> None:
    """The slow path, taken only where the count of keys looks wrong: parses again and looks at each object's pairs."""
    import json

    def pairs(items: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in items}) != len(items):
            raise Malformed("An object in the body has the same key twice", code="duplicate_key")

    json.loads(body, object_pairs_hook=pairs, parse_float=str, parse_int=str)


def _refuse_nul(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise Malformed("A string in the body holds a NUL character", code="nul_character")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_nul(key)
            _refuse_nul(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_nul(item)


def _plain(value: Any) -> Any:
    """For types msgspec does not know: subclasses of UUID that drivers return, Pydantic models, fractions never."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "hex") and hasattr(value, "int"):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


_numbers = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain, uuid_format="canonical")
_strings = msgspec.json.Encoder(decimal_format="string", enc_hook=_plain, uuid_format="canonical")
_EXPONENT = re.compile(rb'(?:^|[:,\[])"?-?[0-9](?:\.[0-9]+)?E[+-][0-9]')


def dumps(value: Any) -> bytes:
    """`value` as JSON, Decimals as numbers: `29.99`, `0.000000000001`."""
    data = _numbers.encode(value)
    return _numbers.encode(_positional(value, False)) if _has_exponent(data) else data


def dumps_decimal_strings(value: Any) -> bytes:
    """As `dumps`, Decimals as strings."""
    data = _strings.encode(value)
    return _strings.encode(_positional(value, True)) if _has_exponent(data) else data


def _has_exponent(data: bytes) -> bool:
    return (b"E-" in data or b"E+" in data) and _EXPONENT.search(data) is not None


def _positional(value: Any, strings: bool) -> Any:
    """The slow path, for Decimals that Python spells with an exponent (`1E-12`): every digit in its place instead."""

    def walk(item: Any) -> Any:
        if isinstance(item, Decimal):
            return format(item, "f") if strings else msgspec.Raw(format(item, "f").encode())
        if isinstance(item, dict):
            return {key: walk(each) for key, each in item.items()}
        return [walk(each) for each in item] if isinstance(item, list | tuple) else item

    return walk(msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True, enc_hook=_plain))


def canonical(value: Any) -> bytes:
    """One spelling per value: keys sorted, no white space, numbers without trailing zeros. For fingerprints."""
    return msgspec.json.encode(_canonical(value), order="sorted")


def _canonical(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        value = Decimal(value)
    if isinstance(value, Decimal):
        return {"\x00n": format(value.normalize() if value else Decimal(0), "f")}
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return [_canonical(item) for item in value]


loads_own: Callable[[bytes], Any] = msgspec.json.Decoder(float_hook=Decimal).decode
"""Reads JSON that we wrote ourselves: exact, without the checks for foreign input."""
