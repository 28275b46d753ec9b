"""What must hold of every price and every quantity, beside a second, slower way to the same amount."""

from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.money import Rounding, exact_decimal, round_money
from tallystick.rating.domain import (
    Share,
    amount_of,
    compile_price,
    estimate,
    less,
    rate,
    round_line,
    round_lines,
)


def decimals(top: int, places: int = 6, low: int = 0) -> st.SearchStrategy[Decimal]:
    return st.decimals(low, top, places=places, allow_nan=False, allow_infinity=False)


quantities = decimals(3_000) | st.integers(0, 300).map(Decimal) | decimals(10**14, 12)
unit_prices = decimals(10) | decimals(1, 12)
fees = decimals(100, 2)
shares = st.builds(
    lambda a, b, c: Share(Fraction(a, 31), Fraction(b, c)),
    st.integers(0, 31),
    st.integers(0, 7),
    st.just(7),
)


@st.composite
def tier_lists(draw: st.DrawFn, flats: bool = True) -> list[dict[str, Any]]:
    bounds = sorted(draw(st.sets(st.integers(1, 3_000), max_size=5)))
    fee = fees if flats else st.just(Decimal(0))
    return [
        {"up_to": up_to, "unit_amount": draw(unit_prices), "flat_amount": draw(fee)}
        for up_to in [*bounds, None]
    ]


@st.composite
def prices(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    models = ["flat", "standard", "graduated", "volume", "package", "stairstep", "graduated_percentage"]
    model = draw(st.sampled_from(models))
    match model:
        case "flat":
            return model, {"amount": draw(fees)}
        case "standard":
            return model, {"unit_amount": draw(unit_prices)}
        case "package":
            size = draw(decimals(100, 3, 1))
            return model, {
                "package_size": size,
                "package_amount": draw(fees),
                "free_units": draw(decimals(50)),
            }
    tiers = draw(tier_lists())
    if model == "stairstep":
        tiers = [{"up_to": tier["up_to"], "flat_amount": tier["flat_amount"]} for tier in tiers]
    if model == "graduated_percentage":
        tiers = [
            {"up_to": tier["up_to"], "rate": tier["unit_amount"] % 1, "flat_amount": tier["flat_amount"]}
            for tier in tiers
        ]
    return model, {"tiers": tiers, "first_tier_flat_at_zero": draw(st.booleans())}


adjustments = st.fixed_dictionaries(
    {},
    optional={
        "unit_conversion": st.fixed_dictionaries(
            {"divide": st.sampled_from([3, 7, 1024]), "round_up": st.booleans()}
        ),
        "usage_discount_units": decimals(500),
        "discount_percent": decimals(100, 2),
        "maximum_amount": decimals(500, 2, 100),
        "minimum_amount": decimals(100, 2),
        "rounding": st.sampled_from([each.value for each in Rounding]),
    },
)


def brute_force_graduated(tiers: list[dict[str, Any]], units: Fraction, at_zero: bool) -> Fraction:
    """Walks the tiers, paying each slice as it comes: the definition, read aloud."""
    paid, left, lower = Fraction(0), units, Fraction(0)
    for index, tier in enumerate(tiers):
        if left > 0 or (index == 0 and at_zero):
            width = left if tier["up_to"] is None else min(left, tier["up_to"] - lower)
            paid += width * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])
            left -= width
        if tier["up_to"] is not None:
            lower = Fraction(tier["up_to"])
    return paid


@given(tier_lists(), quantities, st.booleans())
def test_graduated_is_the_sum_of_its_slices(
    tiers: list[dict[str, Any]], units: Decimal, at_zero: bool
) -> None:
    price = compile_price("graduated", {"tiers": tiers, "first_tier_flat_at_zero": at_zero})
    expected = brute_force_graduated(tiers, Fraction(units), at_zero and units == 0)
    assert amount_of(price, units).amount == expected


@given(tier_lists(), quantities)
def test_graduated_units_of_all_slices_are_the_quantity(tiers: list[dict[str, Any]], units: Decimal) -> None:
    rated = rate(compile_price("graduated", {"tiers": tiers}), units)
    assert sum(step.units for step in rated.steps) == Fraction(units)  # type: ignore[attr-defined]


@given(tier_lists(), quantities, quantities)
def test_graduated_never_falls(tiers: list[dict[str, Any]], one: Decimal, other: Decimal) -> None:
    price = compile_price("graduated", {"tiers": tiers})
    low, high = sorted([one, other])
    assert amount_of(price, low).amount <= amount_of(price, high).amount


@given(tier_lists(flats=False), st.integers(0, 5), decimals(1, 12))
def test_graduated_has_no_jump_at_an_edge_without_fees(
    tiers: list[dict[str, Any]], which: int, beyond: Decimal
) -> None:
    edges = [tier["up_to"] for tier in tiers if tier["up_to"] is not None] or [0]
    edge, price = edges[which % len(edges)], compile_price("graduated", {"tiers": tiers})
    dearest = max(Fraction(tier["unit_amount"]) for tier in tiers)
    step = amount_of(price, edge + Fraction(beyond)).amount - amount_of(price, edge).amount
    assert 0 <= step <= dearest * Fraction(beyond)


@given(tier_lists(flats=False), quantities, quantities)
def test_graduated_marginal_prices_add_up(tiers: list[dict[str, Any]], one: Decimal, more: Decimal) -> None:
    price = compile_price("graduated", {"tiers": tiers})
    first, both = Fraction(one), Fraction(one) + Fraction(more)
    dearest = max(Fraction(tier["unit_amount"]) for tier in tiers)
    cheapest = min(Fraction(tier["unit_amount"]) for tier in tiers)
    added = amount_of(price, both).amount - amount_of(price, first).amount
    assert cheapest * Fraction(more) <= added <= dearest * Fraction(more)


@given(tier_lists(), quantities)
def test_volume_is_the_tier_of_the_total(tiers: list[dict[str, Any]], units: Decimal) -> None:
    tier = next(tier for tier in tiers if tier["up_to"] is None or units <= tier["up_to"])
    expected = Fraction(units) * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])
    assert amount_of(compile_price("volume", {"tiers": tiers}), units).amount == expected


@given(unit_prices, fees, quantities)
def test_one_open_tier_is_the_same_in_both_tiered_models(unit: Decimal, fee: Decimal, units: Decimal) -> None:
    one = {"tiers": [{"up_to": None, "unit_amount": unit, "flat_amount": fee}]}
    graduated, volume = compile_price("graduated", one), compile_price("volume", one)
    standard = compile_price("standard", {"unit_amount": unit})
    assert amount_of(graduated, units) == amount_of(volume, units)
    assert amount_of(graduated, units).amount == amount_of(standard, units).amount + Fraction(fee)


@given(decimals(100, 3, 1), fees, decimals(50), decimals(10_000, 12))
def test_package_charges_each_started_package(
    size: Decimal, amount: Decimal, free: Decimal, units: Decimal
) -> None:
    price = compile_price("package", {"package_size": size, "package_amount": amount, "free_units": free})
    packages = 0
    while Fraction(free) + packages * Fraction(size) < Fraction(units):
        packages += 1
    assert amount_of(price, units).amount == packages * Fraction(amount)


@given(unit_prices, quantities, quantities)
def test_standard_is_additive(unit: Decimal, one: Decimal, other: Decimal) -> None:
    price = compile_price("standard", {"unit_amount": unit})
    parts = amount_of(price, one).amount + amount_of(price, other).amount
    assert amount_of(price, Fraction(one) + Fraction(other)).amount == parts


@given(fees, st.lists(st.integers(1, 31), min_size=1, max_size=8))
def test_a_flat_fee_in_parts_is_the_whole_fee(amount: Decimal, days: list[int]) -> None:
    price, whole = compile_price("flat", {"amount": amount}), sum(days)
    parts = [amount_of(price, 1, Share(fee=Fraction(part, whole))).amount for part in days]
    assert sum(parts) == Fraction(amount)


@given(prices(), adjustments, quantities, shares)
def test_the_fast_way_and_the_told_way_agree(
    price: tuple[str, dict[str, Any]], around: dict[str, Any], units: Decimal, share: Share
) -> None:
    compiled = compile_price(*price, around)
    rated = rate(compiled, units, share)
    assert amount_of(compiled, units, share) == (rated.exact, rated.minimum_top_up)
    assert sum(step.subtotal for step in rated.steps) == rated.exact
    assert rated.exact >= 0


@given(prices(), adjustments, decimals(1_000), shares)
def test_adjustments_apply_in_their_order(
    price: tuple[str, dict[str, Any]], around: dict[str, Any], quantity: Decimal, share: Share
) -> None:
    """The whole pipeline once more, in one straight line."""
    units = Fraction(quantity)
    if conversion := around.get("unit_conversion"):
        units /= conversion["divide"]
        units = Fraction(ceil(units)) if conversion["round_up"] else units
    units = max(units - Fraction(around.get("usage_discount_units", 0)) * share.limits, Fraction(0))
    amount = amount_of(compile_price(*price), units, share).amount
    amount -= amount * Fraction(around.get("discount_percent", 0)) / 100
    if "maximum_amount" in around:
        amount = min(amount, Fraction(around["maximum_amount"]) * share.limits)
    top_up = max(Fraction(around.get("minimum_amount", 0)) * share.limits - amount, Fraction(0))
    assert amount_of(compile_price(*price, around), quantity, share) == (amount, top_up)


@given(prices(), adjustments, decimals(100_000), shares, st.sampled_from(["USD", "JPY", "KWD"]))
def test_an_estimate_is_what_the_lines_get(
    price: tuple[str, dict[str, Any]], around: dict[str, Any], units: Decimal, share: Share, currency: str
) -> None:
    compiled = compile_price(*price, around)
    exact = amount_of(compiled, units, share)
    mode = compiled.rounding or Rounding.HALF_EVEN
    line, top_up = round_lines(exact, currency, mode)
    told = estimate(compiled, units, currency, share=share, rounding=Rounding.HALF_EVEN)
    assert (told.line, told.top_up) == (line, top_up)
    assert told.amount == line.amount + (0 if top_up is None else top_up.amount)
    assert told.amount == round_money(sum(exact, Fraction(0)), currency, mode)
    assert (told.exact_amount, told.cut) == exact_decimal(sum(exact, Fraction(0)))
    assert told.text


@given(fees, decimals(100, 12), st.sampled_from(list(Rounding)))
def test_a_line_and_its_top_up_come_to_the_minimum(minimum: Decimal, used: Decimal, mode: Rounding) -> None:
    compiled = compile_price("standard", {"unit_amount": 1}, {"minimum_amount": minimum})
    line, top_up = round_lines(amount_of(compiled, used), "USD", mode)
    if used <= minimum:
        assert line.amount + (0 if top_up is None else top_up.amount) == minimum
    else:
        assert top_up is None


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=6),
    st.decimals("0", "2", places=4),
    st.sampled_from(Rounding),
)
def test_however_often_a_period_is_billed_it_comes_to_one_rounding(
    parts: list[int], unit: Decimal, mode: Rounding
) -> None:
    """Bills of an open period, then its close: each rounds the whole so far and takes off what was charged."""
    billed, units = Decimal(0), Fraction(0)
    for part in parts:
        units += part
        exact = units * Fraction(unit)
        line = less(round_line(exact, "USD", mode), exact, billed)
        assert line.amount >= 0
        assert Fraction(line.exact) == exact - Fraction(billed)
        billed += line.amount
    assert billed == round_line(units * Fraction(unit), "USD", mode).amount
