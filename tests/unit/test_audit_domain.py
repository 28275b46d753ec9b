"""The chain as pure functions: one spelling per row, and laws over any rows and any single change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.audit.domain import (
    GENESIS,
    Block,
    Change,
    Checkpoint,
    Row,
    check_block,
    check_checkpoints,
    check_rows,
    make_block,
    masked,
    personal_fields,
    row_digest,
    spelling,
)
from tallystick.kernel.actor import system_actor

AT = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8) | st.decimals(allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = st.none() | st.dictionaries(st.text(max_size=6), VALUES, max_size=4)


def row(number: int, before: dict[str, Any] | None = None, **changes: Any) -> Row:
    plain = Row(
        number, 100, "user", "7", "admin", 1, "plan.changed", "plan", "3", before, {"n": number}, "r", AT
    )
    return replace(plain, **changes)


def sign(message: bytes) -> bytes:
    return b"signed " + message


def signed(key_id: str, signature: bytes, message: bytes) -> bool:
    return key_id == "ours" and signature == b"signed " + message


def chain(*runs: list[Row]) -> list[Block]:
    blocks: list[Block] = []
    for rows in runs:
        blocks.append(make_block(blocks[-1] if blocks else None, rows, rows[-1].id, AT, "ours", sign))
    return blocks


@given(FIELDS, FIELDS)
def test_different_fields_have_different_digests(
    one: dict[str, Any] | None, other: dict[str, Any] | None
) -> None:
    same = spelling(one) == spelling(other)
    assert (row_digest(row(1, one)) == row_digest(row(1, other))) == same
    assert row_digest(row(1, one)) != row_digest(row(2, one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.5"), "1.5"), (Decimal("1.5"), Decimal("1.50")), (1, "1"), (True, 1), (None, "null"), (["a", "b"], ["ab"]), ({"a": 1}, [["a", 1]]),
        (AT, AT + timedelta(microseconds=1)), ("é", "e\u0301"),
    ],
)  # fmt: skip
def test_spellings_differ(one: Any, other: Any) -> None:
    assert spelling(one) != spelling(other)


def test_a_spelling_does_not_depend_on_order_or_zone() -> None:
    assert spelling({"a": 1, "b": 2}) == spelling({"b": 2, "a": 1})
    assert spelling(AT) == spelling(AT.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo))


@pytest.mark.parametrize("field", [name for name in Row.__slots__ if name != "created_at"])
def test_every_field_counts(field: str) -> None:
    changed = replace(row(1), **{field: "other" if isinstance(getattr(row(1), field), str) else 99})
    assert row_digest(changed) != row_digest(row(1))
    assert row_digest(row(1, created_at=AT + timedelta(microseconds=1))) != row_digest(row(1))


def test_a_chain_checks() -> None:
    runs = [[row(1), row(2)], [row(4), row(7)]]
    first, second = chain(*runs)
    assert first.previous_hash == GENESIS
    assert second.previous_hash == first.hash
    assert check_block(first, None, signed) is None
    assert check_block(second, first, signed) is None
    assert check_rows(first, runs[0]) is None
    assert check_rows(second, runs[1]) is None


@given(st.integers(0, 5), st.sampled_from(["change", "delete", "insert"]))
def test_any_single_change_names_its_row(place: int, how: str) -> None:
    rows = [row(2 * number + 2) for number in range(6)]
    (block,) = chain(rows)
    target = rows[place].id
    tampered = list(rows)
    if how == "change":
        tampered[place] = replace(rows[place], actor_id="8")
    elif how == "delete":
        del tampered[place]
    else:
        target -= 1
        tampered.append(row(target))
    problem = check_rows(block, tampered)
    assert problem is not None
    assert problem.row_id == target
    assert problem.kind == {"change": "row_changed", "delete": "row_deleted", "insert": "row_inserted"}[how]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"id": 3}, "block_missing"), ({"previous_hash": bytes(32)}, "chain_broken"), ({"hash": bytes(32)}, "block_changed"), ({"last_row": 99}, "block_changed"),
        ({"row_ids": [4, 8]}, "block_changed"), ({"row_digests": bytes(64)}, "block_changed"), ({"created_at": AT + timedelta(seconds=1)}, "block_changed"),
        ({"signature": b"signed"}, "signature_invalid"), ({"key_id": "theirs"}, "signature_invalid"),
    ],
)  # fmt: skip
def test_any_change_of_a_block_is_seen(change: dict[str, Any], kind: str) -> None:
    first, second = chain([row(1), row(2)], [row(4), row(7)])
    problem = check_block(replace(second, **change), first, signed)
    assert problem is not None
    assert problem.kind == kind
    assert problem.row_id in (3, 4)


def point(block: Block, **changes: Any) -> Checkpoint:
    plain = Checkpoint(block.id, block.hash, block.last_row, block.created_at, block.key_id, block.signature)
    return replace(plain, **changes)


def test_checkpoints() -> None:
    first, second = chain([row(1), row(2)], [row(4), row(7)])
    whole = {1: (first.hash, 1), 2: (second.hash, 4)}
    assert check_checkpoints([point(second), point(first)], whole, second, signed) is None
    cut = check_checkpoints([point(second)], {1: (first.hash, 1)}, first, signed)
    assert cut is not None
    assert (cut.kind, cut.row_id, cut.block_id) == ("tail_removed", 3, 2)
    other = check_checkpoints([point(first)], {1: (bytes(32), 1)}, first, signed)
    assert other is not None
    assert (other.kind, other.row_id) == ("rewritten", 1)


def test_a_checkpoint_that_is_not_ours_says_nothing_of_the_chain_and_is_named() -> None:
    (first,) = chain([row(1)])
    foreign = point(first, block_id=9, signature=b"x")
    problem = check_checkpoints([foreign, point(first)], {1: (first.hash, 1)}, first, signed)
    assert problem is not None
    assert (problem.kind, problem.row_id, problem.block_id) == ("checkpoint_changed", 2, 9)
    chain_first = check_checkpoints([foreign, point(first)], {}, None, signed)
    assert chain_first is not None
    assert chain_first.kind == "tail_removed"


def test_masking_leaves_secrets_out_and_structures_whole() -> None:
    key = bytes(32)
    values = {
        "email": "a@b.test",
        "address": {"city": "Oslo", "line1": "x"},
        "amount": Decimal("1.10"),
        "password": "p",
        "name": "plan A",
    }
    assert masked(None, "plan", None) is None
    shown = masked(values, "plan", key)
    assert shown is not None
    assert set(shown) == {"email", "address", "amount", "name"}
    assert (shown["amount"], shown["name"]) == (Decimal("1.10"), "plan A"), "a plan's name is not personal"
    reordered = masked({"address": {"line1": "x", "city": "Oslo"}}, "plan", key)
    assert reordered == {"address": shown["address"]}
    of_account = masked({"name": "plan A"}, "account", key)
    assert of_account is not None
    assert of_account["name"] != "plan A"


def test_masking_reaches_every_depth() -> None:
    values = {"plan": {"holder": [{"email": "grace@b.test", "token": "kept", "secret": "gone"}]}, "n": 1}
    change = Change(system_actor("t"), "x", "plan", "1", None, values)
    assert personal_fields(change)
    assert not personal_fields(replace(change, after={"plan": [{"n": 1}], "name": "A"}))
    shown = masked(values, "plan", bytes(32))
    assert "grace" not in str(shown)
    assert "gone" not in str(shown)
    assert "kept" in str(shown)
