"""Money: one rounding, and splits that add up, against the definitions written out plainly."""

from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.money import Rounding, round_fraction, split

fractions = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6)


def plainly(total: D, weights: list[Fraction], scale: int) -> list[D]:
    """Largest remainder, ties to the first, as the page has it."""
    units = abs(Fraction(total)) * 10**scale
    exact = [units * weight / sum(weights) for weight in weights]
    shares = [each.numerator // each.denominator for each in exact]
    order = sorted(range(len(weights)), key=lambda i: (-(exact[i] - shares[i]), i))
    for index in order[: int(units) - sum(shares)]:
        shares[index] += 1
    return [D(share if total >= 0 else -share).scaleb(-scale) for share in shares]


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        ("0.10", [1, 1, 1], ["0.04", "0.03", "0.03"]), ("-0.10", [1, 1, 1], ["-0.04", "-0.03", "-0.03"]),
        ("10.00", [D("0.1"), D("0.2")], ["3.33", "6.67"]), ("0.01", [0, 5, 5], ["0.00", "0.01", "0.00"]),
        ("0.00", [3, 4], ["0.00", "0.00"]), ("1.00", [Fraction(1, 3), Fraction(2, 3)], ["0.33", "0.67"]),
    ],
)  # fmt: skip
def test_by_hand(total: str, weights: list[D], parts: list[str]) -> None:
    assert split(D(total), weights, 2) == [D(part) for part in parts]


weights = st.lists(
    st.one_of(st.fractions(0, 10**6, max_denominator=10**4), st.decimals(0, 10**6, places=6)),
    min_size=1,
    max_size=9,
)


@given(st.integers(-(10**15), 10**15), weights.filter(any), st.sampled_from([0, 2, 3, 6]))
def test_parts_are_what_the_definition_says(units: int, given: list[Fraction | D], scale: int) -> None:
    total = D(units).scaleb(-scale)
    parts = split(total, given, scale)
    assert sum(parts, D(0)) == total
    assert parts == plainly(total, [Fraction(weight) for weight in given], scale)


@pytest.mark.parametrize(
    ("total", "weights", "message"),
    [
        ("1.00", [1, -1], "negative"),
        ("1.00", [0, 0], "all zero"),
        ("0.00", [], "all zero"),
        ("0.001", [1], "more decimals"),
    ],
)
def test_what_has_no_answer_is_an_error(total: str, weights: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(D(total), weights, 2)


@given(fractions, st.integers(0, 6))
def test_roundings_are_what_their_names_say(value: Fraction, scale: int) -> None:
    step = Fraction(1, 10**scale)
    results = {mode: Fraction(round_fraction(value, scale, mode)) for mode in Rounding}
    for result in results.values():
        assert abs(result - value) < step
        assert (result / step).denominator == 1
    assert abs(results[Rounding.DOWN]) <= abs(value) <= abs(results[Rounding.UP])
    for mode in (Rounding.HALF_AWAY, Rounding.HALF_EVEN):
        assert abs(results[mode] - value) <= step / 2
    if abs(results[Rounding.HALF_AWAY] - value) == step / 2:
        assert abs(results[Rounding.HALF_AWAY]) > abs(value)
        assert (results[Rounding.HALF_EVEN] / step).numerator % 2 == 0
