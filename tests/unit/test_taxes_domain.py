"""Taxes: cases by hand, and the laws that every document keeps."""

from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.money import Rounding, exponent, round_fraction, split
from tallystick.taxes.domain import TaxRate, apply, shared

VAT = TaxRate(1, "vat", "VAT", D("19"))
CITY = TaxRate(2, "city", "City", D("8.875"))


def lines(*amounts: str) -> list[D]:
    return [D(amount) for amount in amounts]


@pytest.mark.parametrize(
    ("bases", "rounding", "currency", "shares", "total"),
    [
        # 9.90 × 19 % = 1.881 → 1.88; each line is owed 0.627: the two cents that floors leave go to the first two
        (lines("3.30", "3.30", "3.30"), "rate", "USD", lines("0.63", "0.63", "0.62"), "1.88"),
        (lines("3.30", "3.30", "3.30"), "line", "USD", lines("0.63", "0.63", "0.63"), "1.89"),
        (lines("0.01", "0.01", "0.01"), "rate", "USD", lines("0.01", "0.00", "0.00"), "0.01"),
        (lines("0.01", "0.01", "0.01"), "line", "USD", lines("0.00", "0.00", "0.00"), "0.00"),
        (lines("100", "0", "50"), "rate", "JPY", lines("19", "0", "10"), "29"),
        (lines("-3.30", "-3.30", "-3.30"), "rate", "USD", lines("-0.63", "-0.63", "-0.62"), "-1.88"),
        # a correction beside a charge: 1.90 − 0.475 = 1.425, half away from zero
        (lines("10.00", "-2.50"), "rate", "USD", lines("1.90", "-0.47"), "1.43"),
        (lines("0.00", "0.00"), "rate", "USD", lines("0.00", "0.00"), "0.00"),
        ([], "rate", "USD", [], "0"),
    ],
)
def test_one_rate(bases: list[D], rounding: str, currency: str, shares: list[D], total: str) -> None:
    result = apply(bases, [VAT], currency, rounding)
    assert [row[0] for row in result.per_line] == shares
    assert result.totals[0].amount == D(total)
    assert result.totals[0].base == sum(bases, D(0))


def test_rates_stand_side_by_side() -> None:
    result = apply(lines("10.00", "20.00"), [VAT, CITY], "USD")
    assert result.per_line == [lines("1.90", "0.89"), lines("3.80", "1.77")]
    assert [total.amount for total in result.totals] == lines("5.70", "2.66")


def test_no_rate_is_no_tax() -> None:
    assert apply(lines("10.00"), [], "USD").per_line == [[]]


def test_another_rounding_of_tax_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="rate or line"):
        apply(lines("1.00"), [VAT], "USD", "document")


amounts = st.integers(-(10**9), 10**9).map(lambda cents: D(cents).scaleb(-2))
percents = st.integers(0, 100 * 10**6).map(lambda millionths: D(millionths).scaleb(-6))
modes = st.sampled_from(Rounding)


@given(
    st.lists(amounts, max_size=12), st.lists(percents, max_size=3), st.sampled_from(["rate", "line"]), modes
)
def test_shares_add_up_and_stay_within_a_cent(
    bases: list[D], rates: list[D], rounding: str, mode: Rounding
) -> None:
    taxes = [TaxRate(i, f"t{i}", "T", rate) for i, rate in enumerate(rates)]
    result = apply(bases, taxes, "USD", rounding, mode)
    for index, tax in enumerate(taxes):
        column = [row[index] for row in result.per_line]
        assert sum(column, D(0)) == result.totals[index].amount
        for base, share in zip(bases, column, strict=True):
            assert abs(Fraction(share) - Fraction(base) * Fraction(tax.rate) / 100) < Fraction(1, 100)
    if rounding == "rate":
        for tax, total in zip(taxes, result.totals, strict=True):
            exact = Fraction(sum(bases, D(0))) * Fraction(tax.rate) / 100
            assert total.amount == round_fraction(exact, exponent("USD"), mode)


@given(st.lists(amounts, min_size=1, max_size=12), percents)
def test_a_credit_is_the_mirror_of_its_charge(bases: list[D], rate: D) -> None:
    tax = TaxRate(1, "t", "T", rate)
    there = apply(bases, [tax], "USD")
    back = apply([-base for base in bases], [tax], "USD")
    assert back.totals[0].amount == -there.totals[0].amount
    if there.totals[0].amount:
        assert [row[0] for row in back.per_line] == [-row[0] for row in there.per_line]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any), st.integers(0, 10**12))
def test_with_one_sign_it_is_the_kernels_split(weights: list[int], cents: int) -> None:
    exact = [Fraction(cents * weight, 100 * sum(weights)) for weight in weights]
    assert shared(exact, 2) == split(D(cents).scaleb(-2), weights, 2)
