"""Which grant pays what: examples, and the laws that hold of any grants and any lines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.errors import Invalid
from tallystick.ledger.domain import check
from tallystick.platform import wire
from tallystick.wallets import posting
from tallystick.wallets.domain import (
    Draw,
    Grant,
    InsufficientBalance,
    Kind,
    OverCapture,
    Scope,
    capture,
    check_ends,
    check_price,
    coverable,
    draw,
    facts,
    frozen,
    hold_end,
    order,
    reserve,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def money(text: str) -> Decimal:
    return Decimal(text)


def grant(free: str, number: int = 1, **changes: Any) -> Grant:
    plain = Grant(
        UUID(int=number), UUID(int=100), "Credits", Kind.GRANTED, Decimal(free), 50, None, START, "EUR"
    )
    return replace(plain, **changes)


def shares(drawn: list[Draw]) -> list[tuple[int, list[tuple[int, str]]]]:
    return [(each.grant.id.int, [(line, str(amount)) for line, amount in each.shares]) for each in drawn]


def test_the_order_is_priority_then_end_then_granted_then_age() -> None:
    late, soon = START + 9 * DAY, START + 5 * DAY
    used = [
        grant("1", 1, priority=0, kind=Kind.PAID),
        grant("1", 2, ends_at=soon, kind=Kind.PAID, granted_at=START + DAY),
        grant("1", 3, ends_at=late, granted_at=START),
        grant("1", 4, ends_at=late, granted_at=START + DAY),
        grant("1", 5, ends_at=late, kind=Kind.PAID, granted_at=START - DAY),
        grant("1", 6, granted_at=START),
        grant("1", 7, granted_at=START),
        grant("1", 8, priority=51, ends_at=START),
    ]
    used.reverse()
    assert [each.id.int for each in sorted(used, key=order)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_grant_is_shared_over_its_lines_in_proportion_to_the_last_coin() -> None:
    drawn = draw([(grant("10.00"), None)], [money("10.00"), money("10.00"), money("10.00")], "EUR")
    assert shares(drawn) == [(1, [(0, "3.34"), (1, "3.33"), (2, "3.33")])]


def test_a_limited_grant_leaves_other_lines_to_those_that_reach_them() -> None:
    sooner, later = grant("8.00", 1, priority=1), grant("100.00", 2)
    opens = [money("5.00"), money("20.00"), money("0.00")]
    assert shares(draw([(later, None), (sooner, (0,))], opens, "EUR")) == [
        (1, [(0, "5.00")]), (2, [(1, "20.00")]),
    ]  # fmt: skip


def test_an_invoice_draws_whole_coins_and_a_fraction_of_one_stays() -> None:
    assert shares(draw([(grant("1.239999"), None)], [money("5.00")], "EUR")) == [(1, [(0, "1.23")])]
    assert draw([(grant("0.009999"), None)], [money("5.00")], "EUR") == []
    assert shares(draw([(grant("12.9"), None)], [money("500")], "JPY")) == [(1, [(0, "12")])]


@pytest.mark.parametrize(
    ("parts", "total", "may"),
    [
        (["10.00", "5.00"], "15.00", ["10.00", "5.00"]),
        (["10.00", "5.00"], "99.00", ["10.00", "5.00"]),
        (["10.00", "-3.00", "5.00"], "12.00", ["8.00", "0.00", "4.00"]),
        (["10.00", "-30.00"], "-20.00", ["0.00", "0.00"]),
        (["-1.00"], "-1.00", ["0"]),
        ([], "0.00", []),
    ],
)
def test_what_lies_below_zero_lowers_the_rest_in_proportion(
    parts: list[str], total: str, may: list[str]
) -> None:
    assert coverable([money(each) for each in parts], money(total), 2) == [money(each) for each in may]


def test_a_grant_pays_until_its_end_and_only_its_currency() -> None:
    ending = grant("1", ends_at=START + DAY)
    assert ending.usable(START + DAY - timedelta(microseconds=1), "EUR")
    assert not ending.usable(START + DAY, "EUR")
    assert not ending.usable(START, "USD")
    assert not grant("0").usable(START, "EUR")
    assert grant("1").usable(datetime(2999, 1, 1, tzinfo=UTC), "EUR")


def test_both_lists_of_a_scope_limit() -> None:
    both = Scope(("calls",), ("pro",))
    assert [both.reaches("calls", "pro"), both.reaches("calls", "free"), both.reaches(None, "pro")] == [
        True,
        False,
        False,
    ]
    assert Scope().reaches(None, None)
    assert not Scope().limited
    assert Scope(plans=("pro",)).reaches("any", "pro")


def test_a_hold_is_made_of_grants_in_the_order_of_use_and_captured_in_it() -> None:
    grants = [grant("5", 1), grant("2.5", 2, priority=1), grant("9", 3, priority=99)]
    parts = reserve(grants, money("8"))
    assert [(each.id.int, amount) for each, amount in parts] == [
        (2, money("2.5")),
        (1, money("5")),
        (3, money("0.5")),
    ]
    with pytest.raises(InsufficientBalance):
        reserve(grants, money("16.500001"))
    held = [(each.id, amount) for each, amount in parts]
    assert [(each.int, *rest) for each, *rest in capture(held, money("3"))] == [
        (2, money("2.5"), 0), (1, money("0.5"), money("4.5")), (3, 0, money("0.5")),
    ]  # fmt: skip
    with pytest.raises(OverCapture):
        capture(held, money("8.000001"))


def test_bounds_of_expiry_hold_and_price() -> None:
    with pytest.raises(Invalid, match="expires_at"):
        check_ends(START, START)
    check_ends(None, START)
    assert hold_end(None, START) == START + DAY
    assert hold_end(START + 31 * DAY, START) == START + 31 * DAY
    with pytest.raises(Invalid, match="31 days"):
        hold_end(START + 31 * DAY + timedelta(microseconds=1), START)
    assert check_price(Kind.PAID, money("10"), None) == 10
    assert check_price(Kind.PAID, money("10"), money("9")) == 9
    assert check_price(Kind.GRANTED, money("10"), None) == 0
    for kind, price in ((Kind.PAID, "10.01"), (Kind.PAID, "0"), (Kind.GRANTED, "1")):
        with pytest.raises(Invalid, match="price"):
            check_price(kind, money("10"), money(price))


def test_every_posting_balances() -> None:
    some = UUID(int=1)
    for amount, price in (("10", "10"), ("10", "7"), ("10", "0")):
        kind = Kind.PAID if price != "0" else Kind.GRANTED
        check(posting.topped_up(some, kind, 3, 1, "EUR", money(amount), money(price), START))
    for kind in Kind:
        check(posting.ended(5, kind, 3, 1, "EUR", money("0.000001"), START))
    taken = {Kind.PAID: money("1"), Kind.GRANTED: money("0.5")}
    check(posting.captured(some, taken, 3, 1, "EUR", "prepaid", START))


SCALES = {"EUR": 2, "JPY": 0, "KWD": 3}
currencies = st.sampled_from(sorted(SCALES))


@st.composite
def cases(draw_: st.DrawFn) -> tuple[list[tuple[Grant, tuple[int, ...] | None]], list[Decimal], str]:
    """Any grants and any open lines in one currency."""
    currency = draw_(currencies)
    count = draw_(st.integers(0, 5))
    coins = st.integers(0, 5000).map(lambda units: Decimal(units).scaleb(-SCALES[currency]))
    opens = draw_(st.lists(coins, min_size=count, max_size=count))
    grants = []
    for number in range(draw_(st.integers(0, 5))):
        reach = draw_(
            st.none() | st.sets(st.integers(0, max(count - 1, 0)), max_size=count).map(sorted).map(tuple)
        )
        ends = draw_(st.none() | st.integers(1, 5).map(lambda days: START + days * DAY))
        free = draw_(st.integers(0, 9_000_000_000).map(lambda units: Decimal(units).scaleb(-6)))
        made = grant(
            str(free), number + 1, priority=draw_(st.integers(0, 2)), ends_at=ends, currency=currency,
            granted_at=START + draw_(st.integers(0, 2)) * DAY, kind=draw_(st.sampled_from(list(Kind))),
        )  # fmt: skip
        grants.append((made, reach))
    return grants, opens, currency


@given(cases())
def test_draws_keep_their_bounds(case: tuple[Any, ...]) -> None:
    grants, opens, currency = case
    drawn = draw(grants, opens, currency)
    for line, open_ in enumerate(opens):
        paid = sum((amount for each in drawn for index, amount in each.shares if index == line), Decimal(0))
        assert 0 <= paid <= open_
    for each in drawn:
        assert 0 < each.amount <= each.grant.free
        assert all(amount > 0 and amount == round(amount, SCALES[currency]) for _, amount in each.shares)
        assert each.lines is None or all(index in each.lines for index, _ in each.shares)


@given(cases(), st.randoms())
def test_draws_do_not_depend_on_the_order_they_are_told_in(case: tuple[Any, ...], random: Any) -> None:
    grants, opens, currency = case
    mixed = list(grants)
    random.shuffle(mixed)
    assert draw(mixed, opens, currency) == draw(grants, opens, currency)


@given(cases())
def test_nobody_pays_while_someone_before_him_could(case: tuple[Any, ...]) -> None:
    """After all draws, a grant with a whole coin left reaches no line on which a later grant paid something."""
    grants, opens, currency = case
    drawn = {each.grant.id: each for each in draw(grants, opens, currency)}
    used = sorted(grants, key=lambda each: order(each[0]))
    for position, (first, reach) in enumerate(used):
        spent = drawn[first.id].amount if first.id in drawn else Decimal(0)
        if first.free - spent >= Decimal(1).scaleb(-SCALES[currency]):
            for later, _ in used[position + 1 :]:
                lines = [index for index, _ in drawn[later.id].shares] if later.id in drawn else []
                assert not lines or (reach is not None and not set(lines) & set(reach))


@given(cases())
def test_what_is_frozen_draws_the_same_again(case: tuple[Any, ...]) -> None:
    grants, opens, currency = case
    drawn = draw(grants, opens, currency)
    again = []
    for each in drawn:
        told = wire.loads_own(wire.dumps(facts(each)))  # as the database keeps it
        again.append(
            frozen(each.grant.id, each.grant.wallet_id, each.grant.code, each.grant.kind, currency, told)
        )
    assert draw(again, opens, currency) == drawn


@given(st.lists(st.integers(-500, 500), max_size=6), st.integers(-500, 2000), currencies)
def test_what_may_be_covered_is_never_more_than_the_part_or_the_whole(
    units: list[int], whole: int, currency: str
) -> None:
    scale = SCALES[currency]
    parts, total = [Decimal(unit).scaleb(-scale) for unit in units], Decimal(whole).scaleb(-scale)
    may = coverable(parts, total, scale)
    assert all(0 <= each <= max(part, Decimal(0)) for each, part in zip(may, parts, strict=True))
    assert sum(may, Decimal(0)) == min(
        max(total, Decimal(0)), sum((max(part, Decimal(0)) for part in parts), Decimal(0))
    )


@given(cases(), st.integers(0, 9_000_000_000))
def test_a_hold_takes_what_it_says_and_gives_back_the_rest(case: tuple[Any, ...], units: int) -> None:
    grants = [each for each, _ in case[0]]
    amount, free = Decimal(units).scaleb(-6), sum((each.free for each in grants), Decimal(0))
    if amount > free:
        with pytest.raises(InsufficientBalance):
            reserve(grants, amount)
        return
    parts = reserve(grants, amount)
    assert sum((part for _, part in parts), Decimal(0)) == amount
    assert all(0 < part <= each.free for each, part in parts)
    half = round(amount / 2, 6) if amount else amount
    done = capture([(each.id, part) for each, part in parts], min(half, amount))
    assert sum((taken for _, taken, _ in done), Decimal(0)) == min(half, amount)
    assert [taken + rest for _, taken, rest in done] == [part for _, part in parts]
