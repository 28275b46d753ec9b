"""Coupons: cases by hand, and the laws of what they take off."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.invoicing.domain.coupons import (
    Applied,
    Duration,
    Kind,
    Terms,
    check_terms,
    discount,
    in_order,
    recomputed,
    shares_of,
)
from tallystick.invoicing.domain.draft import Line, LineKind
from tallystick.kernel.errors import Invalid
from tallystick.wallets.domain import EVERYTHING, Scope

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def line(amount: str | D, kind: LineKind = LineKind.USAGE) -> Line:
    return Line(
        kind, "x", D(1), "", D(amount), D(amount), False, NOW, NOW + timedelta(days=31), NOW, "fee", "fee/1", "usage", "arrears", {}
    )  # fmt: skip


def coupon(number: int, kind: Kind, value: str | D, scope: Scope = EVERYTHING, at: int = 0) -> Applied:
    return Applied(UUID(int=number), f"C{number}", kind, D(value), "USD", scope, NOW + timedelta(days=at))


@pytest.mark.parametrize(
    ("kind", "value", "amounts", "shares"),
    [
        (Kind.FIXED, "10", ["30.00", "20.00"], ["6.00", "4.00"]),
        (Kind.FIXED, "100", ["30.00", "20.00"], ["30.00", "20.00"]),
        # 10 over three equal lines: the odd cent to the first
        (Kind.FIXED, "10", ["5.00", "5.00", "5.00"], ["3.34", "3.33", "3.33"]),
        # 15 % of 9.90 = 1.485 → 1.49, by the lines 0.495 each: the cents to the first two
        (Kind.PERCENT, "15", ["3.30", "3.30", "3.30"], ["0.50", "0.50", "0.49"]),
        (Kind.PERCENT, "100", ["3.30", "0.01"], ["3.30", "0.01"]),
        (Kind.PERCENT, "0.000001", ["3.30"], ["0.00"]),
        (Kind.PERCENT, "50", [], []),
    ],
)
def test_what_a_coupon_takes(kind: Kind, value: str, amounts: list[str], shares: list[str]) -> None:
    assert shares_of(kind, D(value), [D(each) for each in amounts], "USD") == [D(each) for each in shares]


def test_each_on_what_the_ones_before_left() -> None:
    lines, uses = discount(
        [line("100.00"), line("50.00")], [(coupon(1, Kind.PERCENT, "10"), None), (coupon(2, Kind.FIXED, "27"), None)], "USD"
    )  # fmt: skip
    # 15.00 in 10.00 and 5.00, then 27.00 of 135.00 in 18.00 and 9.00
    assert [each.discount for each in lines] == [D("28.00"), D("14.00")]
    assert [(use.amount, use.lines) for use in uses] == [(D("15.00"), (1, 2)), (D("27"), (1, 2))]
    assert [each.percent for each in lines[0].reductions] == [D(10), None]


def test_what_nobody_can_lower_is_left_alone() -> None:
    lines = [line("0.00"), line("10.00", LineKind.MANUAL), line("-5.00"), line("8.00", LineKind.MINIMUM)]
    reduced, uses = discount(lines, [(coupon(1, Kind.PERCENT, "50"), None)], "USD")
    assert [each.discount for each in reduced] == [D(0), D(0), D(0), D("4.00")]
    assert uses[0].lines == (4,)
    assert discount(lines[:3], [(coupon(1, Kind.FIXED, "5"), None)], "USD") == (lines[:3], ())


def test_narrower_first_then_by_application() -> None:
    meter, plan = Scope(meters=("calls",)), Scope(plans=("pro",))
    wanted = [
        coupon(4, Kind.FIXED, "1", meter, 9), coupon(3, Kind.FIXED, "1", plan, 8), coupon(1, Kind.FIXED, "1", at=1), coupon(2, Kind.FIXED, "1", at=2)
    ]  # fmt: skip
    assert in_order(wanted[::-1]) == wanted


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": D(101)}, "value"), ({"kind": Kind.FIXED}, "currency"), ({"kind": Kind.FIXED, "currency": "JPY", "value": D("0.5")}, "value"),
        ({"duration": Duration.REPEATING}, "periods"), ({"periods": 3}, "periods"),
    ],
)  # fmt: skip
def test_terms_that_do_not_fit_are_named(change: dict[str, Any], field: str) -> None:
    good = Terms(Kind.PERCENT, D(10), None, Duration.ONCE, None)
    check_terms(good)
    with pytest.raises(Invalid) as refused:
        check_terms(replace(good, **change))
    assert set(refused.value.details) == {field}


cents = st.integers(0, 10**9).map(lambda number: D(number).scaleb(-2))
terms = st.one_of(
    st.tuples(st.just(Kind.FIXED), st.integers(1, 10**9).map(lambda number: D(number).scaleb(-2))),
    st.tuples(st.just(Kind.PERCENT), st.integers(1, 100 * 10**6).map(lambda number: D(number).scaleb(-6))),
)


@given(st.lists(cents, max_size=8), st.lists(st.tuples(terms, st.sets(st.integers(0, 7))), max_size=4))
def test_what_is_taken_is_told_never_too_much_and_comes_out_again(
    amounts: list[D], wanted: list[tuple[tuple[Kind, D], set[int]]]
) -> None:
    coupons = [
        (coupon(number, kind, value), (lambda each, own=own: int(each.quantity) in own))
        for number, ((kind, value), own) in enumerate(wanted, 1)
    ]
    lines = [replace(line(amount), quantity=D(index)) for index, amount in enumerate(amounts)]
    reduced, uses = discount(lines, coupons, "USD")
    for before, after in zip(lines, reduced, strict=True):
        assert after.amount == before.amount
        assert after.discount == sum((each.amount for each in after.reductions), D(0))
        assert 0 <= after.discount <= max(after.amount, D(0))
    assert sum((use.amount for use in uses), D(0)) == sum((each.discount for each in reduced), D(0))
    for use in uses:
        assert use.kind == Kind.PERCENT or use.amount <= use.value
    assert recomputed(amounts, uses, "USD") == [
        {each.id: each.amount for each in after.reductions} for after in reduced
    ]
