"""Cursors: opaque, exact, and refused where they are not of the list."""

import base64
import json
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.errors import Invalid
from tallystick.kernel.pagination import decode_cursor, decode_uuid_cursor, encode_cursor

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)


@given(TEXT, INTEGERS)
def test_a_position_comes_back(text: str, number: int) -> None:
    assert decode_cursor(encode_cursor(text, number), str, int) == [text, number]


@given(st.uuids())
def test_a_uuid_comes_back(value: UUID) -> None:
    assert decode_uuid_cursor(encode_cursor(str(value))) == value


def test_the_first_page_has_none() -> None:
    assert decode_cursor(None, int) is None
    assert decode_uuid_cursor(None) is None


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (
        lambda: decode_cursor(text, int),
        lambda: decode_cursor(text, str, int),
        lambda: decode_uuid_cursor(text),
    ):
        with suppress(Invalid):
            read()


@pytest.mark.parametrize(
    "position",
    [[], ["1"], [1, 2], [True], [None], [1.0], [2**63], [-(2**63)], {}, 1, "x", [[1]]],
    ids=str,
)
def test_of_another_list(position: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
    with pytest.raises(Invalid):
        decode_cursor(cursor, int)


@pytest.mark.parametrize("text", ["a\x00", "\ud800", "x\udfff"])
def test_text_that_nothing_stored_holds(text: str) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps([text]).encode()).decode()
    with pytest.raises(Invalid):
        decode_cursor(cursor, str)
