"""Keyset pages: a cursor is where the last page ended, in the order of the list."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from tallystick.kernel.errors import Invalid

Row = TypeVar("Row")
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows of one page and the cursor of the next, None at the end."""

    rows: Sequence[Row]
    next_cursor: str | None


def encode_cursor(*position: str | int) -> str:
    """An opaque cursor from the sort values of the last row shown."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *kinds: type) -> list[str | int] | None:
    """The position in a cursor, or None for the first page. Raises `Invalid` where it is not one of this list's."""
    if cursor is None:
        return None
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        position = None
    if (
        not isinstance(position, list)
        or len(position) != len(kinds)
        or any(type(value) is not kind for value, kind in zip(position, kinds, strict=True))
        or any(isinstance(value, int) and abs(value) >= 2**63 for value in position)
        or any(isinstance(value, str) and not _storable(value) for value in position)
    ):
        raise _not_ours()
    return position


def decode_uuid_cursor(cursor: str | None) -> UUID | None:
    """As `decode_cursor`, for lists in the order of a UUID."""
    position = decode_cursor(cursor, str)
    if position is None:
        return None
    try:
        return UUID(str(position[0]))
    except ValueError:
        raise _not_ours() from None


def _not_ours() -> Invalid:
    return Invalid.field("cursor", "is not a cursor of this list; start again without it")


def _storable(text: str) -> bool:
    """No NUL and no half of a surrogate pair: what no stored value holds, no position does."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
