"""What must hold of prices that look at events, whatever the events."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import naive_rating

from tallystick.kernel.money import Rounding
from tallystick.rating.domain import (
    Metered,
    Need,
    NoMatrixRow,
    NotMetered,
    Share,
    amount_of,
    compile_price,
    estimate,
    fold,
    freeze,
    rate,
    round_lines,
    thaw,
)


def decimals(top: int, places: int = 6, low: int = 0) -> st.SearchStrategy[Decimal]:
    return st.decimals(low, top, places=places, allow_nan=False, allow_infinity=False)


money = decimals(300, 2) | decimals(50, 12) | st.integers(0, 20).map(Decimal)
signed = money | decimals(50, 2, -50)
rates = decimals(1, 3) | decimals(1, 12) | st.sampled_from([Decimal(0), Decimal(1)])
shares = st.builds(lambda a, b: Share(Fraction(a, 31), Fraction(b, 7)), st.integers(0, 31), st.integers(0, 7))
scales = st.sampled_from([None, {"divide": 100}, {"multiply": "2.5"}, {"divide": 3}])


@st.composite
def percentages(draw: st.DrawFn) -> dict[str, Any]:
    bounds = sorted([draw(decimals(5, 2)), draw(decimals(20, 2))])
    optional = {
        "fixed_amount": draw(decimals(2, 2)),
        "free_events": draw(st.integers(0, 5)),
        "free_total": draw(money),
        "min_per_event": bounds[0],
        "max_per_event": bounds[1],
    }
    kept = draw(st.sets(st.sampled_from(sorted(optional))))
    return {"rate": draw(rates), **{name: value for name, value in optional.items() if name in kept}}


def metered(values: list[Decimal]) -> Metered:
    return Metered(sum(map(Fraction, values), Fraction(0)), len(values), values=tuple(values))


@given(percentages(), st.lists(signed, max_size=12), shares, scales)
def test_a_folded_percentage_is_the_loop_over_its_events(
    properties: dict[str, Any], values: list[Decimal], share: Share, conversion: dict[str, Any] | None
) -> None:
    around = {} if conversion is None else {"unit_conversion": conversion}
    case = {
        "model": "percentage",
        "properties": properties,
        "adjustments": around,
        "events": values,
        "limits": share.limits,
    }
    price, usage = compile_price("percentage", properties, around), metered(values)
    rated = rate(price, usage, share)
    assert rated.exact == amount_of(price, usage, share).amount == naive_rating.price(case)[0]
    assert sum(step.subtotal for step in rated.steps) == rated.exact
    assert len(rated.steps) <= 8
    assert rate(price, thaw(freeze(price, usage, share)), share) == rated


@given(percentages(), st.lists(signed, max_size=12), shares)
def test_no_event_is_lost_in_the_fold(
    properties: dict[str, Any], values: list[Decimal], share: Share
) -> None:
    price = compile_price("percentage", {**properties, "min_per_event": 0, "max_per_event": 1000})
    folded = fold(price, metered(values), share).folded
    assert folded is not None
    parts = (folded.free_units, folded.split_units, folded.plain_units, folded.low_units, folded.high_units)
    assert sum(parts) == sum(map(Fraction, values))
    counts = (folded.free_events, folded.plain_events, folded.low_events, folded.high_events)
    assert sum(counts) == len(values)


@given(percentages(), st.lists(money, max_size=10), money)
def test_another_event_never_makes_a_percentage_cheaper(
    properties: dict[str, Any], values: list[Decimal], more: Decimal
) -> None:
    price = compile_price("percentage", properties)
    assert amount_of(price, metered(values)).amount <= amount_of(price, metered([*values, more])).amount


@given(rates, decimals(2, 2), st.lists(signed, max_size=10))
def test_bounds_and_allowances_that_never_apply_change_nothing(
    part: Decimal, fixed: Decimal, values: list[Decimal]
) -> None:
    plain = compile_price("percentage", {"rate": part, "fixed_amount": fixed})
    bounded = compile_price("percentage", {"rate": part, "fixed_amount": fixed, "max_per_event": 10**9})
    assert amount_of(plain, metered(values)) == amount_of(bounded, metered(values))


@given(rates, st.lists(money, min_size=1, max_size=10), decimals(500, 2))
def test_a_free_total_alone_does_not_care_about_order(
    part: Decimal, values: list[Decimal], free: Decimal
) -> None:
    price = compile_price("percentage", {"rate": part, "free_total": free})
    beyond = max(sum(map(Fraction, values)) - Fraction(free), Fraction(0))
    assert amount_of(price, metered(values)).amount == Fraction(part) * beyond
    assert amount_of(price, metered(values[::-1])) == amount_of(price, metered(values))


@st.composite
def rate_tiers(draw: st.DrawFn) -> list[dict[str, Any]]:
    bounds = sorted(draw(st.sets(st.integers(1, 500), max_size=4)))
    return [
        {"up_to": up_to, "rate": draw(rates), "flat_amount": draw(decimals(9, 2))}
        for up_to in [*bounds, None]
    ]


@given(rate_tiers(), signed, st.booleans())
def test_a_graduated_percentage_is_graduated_by_rates(
    tiers: list[dict[str, Any]], units: Decimal, at_zero: bool
) -> None:
    as_prices = [
        {("unit_amount" if name == "rate" else name): value for name, value in tier.items()} for tier in tiers
    ]
    percent = compile_price("graduated_percentage", {"tiers": tiers, "first_tier_flat_at_zero": at_zero})
    graduated = compile_price("graduated", {"tiers": as_prices, "first_tier_flat_at_zero": at_zero})
    assert amount_of(percent, units) == amount_of(graduated, units)
    rated = rate(percent, units)
    assert sum(step.subtotal for step in rated.steps) == rated.exact


@given(rate_tiers(), st.lists(money, max_size=6))
def test_splitting_units_never_changes_a_graduated_total(
    tiers: list[dict[str, Any]], parts: list[Decimal]
) -> None:
    """Priced as they come, each part by what it adds to the total before it, the parts come to the price of the whole."""
    price = compile_price("graduated_percentage", {"tiers": tiers})
    sofar, paid = Fraction(0), amount_of(price, 0).amount
    for part in parts:
        paid += amount_of(price, sofar + Fraction(part)).amount - amount_of(price, sofar).amount
        sofar += Fraction(part)
    assert paid == amount_of(price, sofar).amount


@given(rate_tiers(), money, money)
def test_stairs_cost_what_the_tier_of_the_total_says(
    tiers: list[dict[str, Any]], one: Decimal, other: Decimal
) -> None:
    steps = [{"up_to": tier["up_to"], "flat_amount": index} for index, tier in enumerate(tiers)]
    price = compile_price("stairstep", {"tiers": steps})
    low, high = sorted([one, other])
    assert amount_of(price, low).amount <= amount_of(price, high).amount
    volume = compile_price("volume", {"tiers": steps})
    assert amount_of(price, low) == amount_of(volume, low)
    assert [step.subtotal for step in rate(price, low).steps] == [amount_of(price, low).amount]


REGIONS: list[str | None] = ["eu", "us", "4", None]
groups = st.dictionaries(
    st.tuples(st.sampled_from(REGIONS), st.sampled_from(["s", "l", None])), signed, max_size=9
)


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, Any]:
    kinds = st.tuples(st.sampled_from(REGIONS), st.sampled_from(["s", "l", None]))
    rows = draw(st.lists(kinds, unique=True, min_size=1, max_size=8))
    return {
        "dimensions": ["region", "size"],
        "rows": [{"values": list(values), "unit_amount": draw(rates)} for values in rows],
        "default": {"unit_amount": draw(rates)},
    }


def grouped(totals: dict[tuple[str | None, ...], Decimal]) -> Metered:
    rows = tuple((values, Fraction(units)) for values, units in totals.items())
    return Metered(sum((units for _, units in rows), Fraction(0)), len(rows), groups=rows)


@given(matrices(), groups, scales)
def test_a_matrix_is_the_sum_of_standard_prices(
    properties: dict[str, Any],
    totals: dict[tuple[str | None, ...], Decimal],
    conversion: dict[str, Any] | None,
) -> None:
    around = {} if conversion is None else {"unit_conversion": conversion}
    price, usage = compile_price("matrix", properties, around), grouped(totals)
    expected = Fraction(0)
    for values, units in totals.items():
        unit = naive_rating.matrix_price(properties, dict(zip(["region", "size"], values, strict=True)))
        standard = compile_price(
            "standard", {"unit_amount": Decimal(unit.numerator) / unit.denominator}, around
        )
        expected += amount_of(standard, units).amount
    rated = rate(price, usage)
    assert rated.exact == amount_of(price, usage).amount == expected
    assert sum(step.subtotal for step in rated.steps) == rated.exact
    assert len(rated.steps) <= len(properties["rows"]) + 3


@given(matrices(), groups)
def test_a_matrix_without_a_default_refuses_exactly_what_no_row_matches(
    properties: dict[str, Any], totals: dict[tuple[str | None, ...], Decimal]
) -> None:
    price, usage = compile_price("matrix", {**properties, "default": None}), grouped(totals)
    names = ["region", "size"]
    bare = {**properties, "default": None}
    try:
        for values in totals:
            naive_rating.matrix_price(bare, dict(zip(names, values, strict=True)))
    except LookupError:
        with pytest.raises(NoMatrixRow):
            amount_of(price, usage)
        with pytest.raises(NoMatrixRow):
            rate(price, usage)
    else:
        assert amount_of(price, usage) == amount_of(compile_price("matrix", properties), usage)


@given(st.lists(st.tuples(signed, rates), max_size=10))
def test_dynamic_is_the_sum_of_what_the_events_say(events: list[tuple[Decimal, Decimal]]) -> None:
    price = compile_price("dynamic", {})
    priced = sum((Fraction(q) * Fraction(p) for q, p in events), Fraction(0))
    usage = Metered(sum((Fraction(q) for q, _ in events), Fraction(0)), len(events), priced=priced)
    rated = rate(price, usage)
    assert rated.exact == amount_of(price, usage).amount == max(priced, Fraction(0))
    assert sum(step.subtotal for step in rated.steps) == rated.exact


@given(
    percentages(),
    st.lists(money, max_size=8),
    shares,
    st.sampled_from(["USD", "JPY", "KWD"]),
    st.sampled_from(list(Rounding)),
)
def test_an_estimate_is_what_the_lines_get(
    properties: dict[str, Any], values: list[Decimal], share: Share, currency: str, mode: Rounding
) -> None:
    price = compile_price(
        "percentage", properties, {"minimum_amount": 5, "discount_percent": 10, "rounding": mode}
    )
    told = estimate(price, metered(values), currency, share=share)
    line, top_up = round_lines(amount_of(price, metered(values), share), currency, mode)
    assert (told.line, told.top_up) == (line, top_up)
    assert told.amount == line.amount + (0 if top_up is None else top_up.amount)


NEEDS: list[tuple[str, dict[str, Any], Need]] = [
    ("standard", {"unit_amount": 1}, Need.TOTAL),
    ("percentage", {"rate": 1}, Need.TOTAL),
    ("percentage", {"rate": 1, "fixed_amount": 0, "free_events": 0, "free_total": 0}, Need.TOTAL),
    ("percentage", {"rate": 1, "fixed_amount": 1}, Need.COUNT),
    ("percentage", {"rate": 1, "free_events": 1}, Need.VALUES),
    ("percentage", {"rate": 1, "free_total": 1}, Need.VALUES),
    ("percentage", {"rate": 1, "min_per_event": 0}, Need.VALUES),
    ("percentage", {"rate": 1, "max_per_event": 1}, Need.VALUES),
    ("dynamic", {}, Need.PRICED),
    ("matrix", {"dimensions": ["a"], "rows": [{"values": ["x"], "unit_amount": 1}]}, Need.GROUPS),
]


@pytest.mark.parametrize(("model", "properties", "need"), NEEDS)
def test_a_price_says_what_it_needs_and_takes_no_less(
    model: str, properties: dict[str, Any], need: Need
) -> None:
    price = compile_price(model, properties)
    assert price.needs is need
    assert price.dimensions == tuple(properties.get("dimensions", ()))
    if need is Need.TOTAL:
        assert amount_of(price, 3) == amount_of(price, Metered(Fraction(3)))
        return
    with pytest.raises(NotMetered):
        amount_of(price, 3)
    if need is not Need.PRICED:  # a sum of nothing does not show
        with pytest.raises(NotMetered):
            rate(price, Metered(Fraction(3)))


def test_a_quantity_is_enough_of_a_meter_for_prices_of_a_total() -> None:
    price = compile_price("graduated", {"tiers": [{"up_to": None, "unit_amount": "0.1"}]})
    usage = Metered(Fraction(7), 3, Fraction(1), (Fraction(7),))
    assert rate(price, usage) == rate(price, 7)
    assert fold(price, usage) == Metered(Fraction(7))


def test_values_that_do_not_match_their_count_are_refused() -> None:
    price = compile_price("percentage", {"rate": 1, "free_events": 1})
    with pytest.raises(NotMetered):
        amount_of(price, Metered(Fraction(3), 2, values=(Fraction(3),)))
