"""Two digests of an event: its identity (source, id) and its content. Both BLAKE2b, 128 bits (RFC 7693).

The content digest covers what is billed and proven: identity, account, meter, time, quantity, price, properties. Lines store the XOR
of their events' digests, which no order of reading can change. The spelling of a number does not matter (1.50 is 1.5), so that the
digest can be made again from the stored row; `VERSION` is mixed in and changes with the layout.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from struct import Struct, unpack
from typing import Any

import msgspec

VERSION = b"event/1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = Struct(">qiiii")
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def event_key(source: str, event_id: str) -> bytes:
    """The 16 bytes that stand for (source, id). Neither may hold NUL, which separates them."""
    return blake2b(f"{source}\0{event_id}".encode(), digest_size=16).digest()


def plain(number: Decimal) -> str:
    """One spelling per value: no exponent, no trailing zeros, no negative zero."""
    if not number:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def properties_text(properties: Mapping[str, Any]) -> str:
    """Properties as JSON with sorted keys and plain numbers; "" where there are none."""
    if not properties:
        return ""
    if Decimal in map(type, properties.values()):
        properties = {
            name: Decimal(plain(value)) if type(value) is Decimal else value
            for name, value in properties.items()
        }
    return _encode(properties).decode()


def content_digest(
    key: bytes,
    account_no: int,
    meter_id: int,
    occurred_at: datetime,
    quantity: str,
    unit_price: str,
    properties: str,
) -> bytes:
    """The 16-byte digest of an event's content. Numbers and properties come as `plain` and `properties_text` spell them."""
    since = occurred_at - _EPOCH
    head = _HEAD.pack(account_no, meter_id, since.days, since.seconds, since.microseconds)
    tail = f"{quantity}\0{unit_price}\0{properties}".encode()
    return blake2b(key + head + tail, digest_size=16, person=VERSION).digest()


def halves(digests: Iterable[bytes]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Digests as two columns of signed 64-bit integers, the form in which PostgreSQL can XOR them."""
    joined = b"".join(digests)
    numbers = unpack(f">{len(joined) // 8}q", joined)
    return numbers[0::2], numbers[1::2]


def whole(high: int, low: int) -> int:
    """Two signed 64-bit halves as one unsigned 128-bit number."""
    mask = (1 << 64) - 1
    return (high & mask) << 64 | low & mask
