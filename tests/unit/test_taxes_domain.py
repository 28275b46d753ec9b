"""Taxes: cases by hand, and the laws that every document keeps."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.money import Rounding, exponent, round_fraction, split
from tallystick.taxes.domain import Profile, Tax, Taxable, TaxRate, TaxResult, shared, tax_lines

VAT = TaxRate("vat", "VAT", D("19"))
CITY = TaxRate("city", "City", D("8.875"))


def added(
    bases: Sequence[D],
    rates: Sequence[TaxRate],
    currency: str = "USD",
    rounding: str = "rate",
    mode: Rounding = Rounding.HALF_AWAY,
) -> TaxResult:
    """All rates on top of all lines."""
    return tax_lines([Taxable(base, tuple(rates)) for base in bases], currency, rounding, mode)


def held(
    bases: Sequence[D], rates: Sequence[TaxRate], currency: str = "USD", rounding: str = "rate"
) -> TaxResult:
    """All lines hold all rates."""
    return tax_lines([Taxable(base, tuple(rates), included=True) for base in bases], currency, rounding)


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
    result = added(bases, [VAT], currency, rounding)
    assert [row[0].amount for row in result.per_line] == shares
    assert sum((each.amount for each in result.totals), D(0)) == D(total)
    assert sum((each.base for each in result.totals), D(0)) == sum(bases, D(0))


def test_rates_stand_side_by_side() -> None:
    result = added(lines("10.00", "20.00"), [VAT, CITY])
    assert [[share.amount for share in own] for own in result.per_line] == [
        lines("1.90", "0.89"),
        lines("3.80", "1.77"),
    ]
    assert [(total.rate, total.amount) for total in result.totals] == [(CITY, D("2.66")), (VAT, D("5.70"))]


def test_no_rate_is_no_tax() -> None:
    assert added(lines("10.00"), []).per_line == [()]


def test_another_rounding_of_tax_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="rate or line"):
        added(lines("1.00"), [VAT], "USD", "document")


amounts = st.integers(-(10**9), 10**9).map(lambda cents: D(cents).scaleb(-2))
percents = st.integers(0, 100 * 10**6).map(lambda millionths: D(millionths).scaleb(-6))
modes = st.sampled_from(Rounding)


@given(
    st.lists(amounts, max_size=12), st.lists(percents, max_size=3), st.sampled_from(["rate", "line"]), modes
)
def test_shares_add_up_and_stay_within_a_cent_of_their_part(
    bases: list[D], rates: list[D], rounding: str, mode: Rounding
) -> None:
    taxes = [TaxRate(f"t{i}", "T", rate) for i, rate in enumerate(rates)]
    result = added(bases, taxes, "USD", rounding, mode)
    assert len(result.totals) == (len(taxes) if bases else 0)
    for index, tax in enumerate(taxes if bases else []):
        column = [row[index].amount for row in result.per_line]
        assert sum(column, D(0)) == result.totals[index].amount
        whole = sum(bases, D(0))
        one_sign = whole and rounding == "rate" and (min(bases) >= 0 or max(bases) <= 0)
        for base, share in zip(bases, column, strict=True):
            part = Fraction(base) * Fraction(tax.rate) / 100
            if one_sign:  # then the rounded total is what is shared
                part = Fraction(result.totals[index].amount) * Fraction(base) / Fraction(whole)
            assert abs(Fraction(share) - part) < Fraction(1, 100)
    if rounding == "rate":
        for tax, total in zip(taxes if bases else [], result.totals, strict=True):
            exact = Fraction(sum(bases, D(0))) * Fraction(tax.rate) / 100
            assert total.amount == round_fraction(exact, exponent("USD"), mode)


@given(st.lists(amounts, min_size=1, max_size=12), percents)
def test_a_credit_is_the_mirror_of_its_charge(bases: list[D], rate: D) -> None:
    tax = TaxRate("t", "T", rate)
    there, back = added(bases, [tax]), added([-base for base in bases], [tax])
    assert back.totals[0].amount == -there.totals[0].amount
    if there.totals[0].amount:
        assert [row[0].amount for row in back.per_line] == [-row[0].amount for row in there.per_line]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any), st.integers(0, 10**12))
def test_with_one_sign_it_is_the_kernels_split(weights: list[int], cents: int) -> None:
    exact = [Fraction(cents * weight, 100 * sum(weights)) for weight in weights]
    assert shared(exact, 2) == split(D(cents).scaleb(-2), weights, 2)


@pytest.mark.parametrize(
    ("gross", "rates", "rounding", "net", "taxes"),
    [
        (lines("119.00"), [VAT], "rate", "100.00", lines("19.00")),
        # 29.97 ÷ 1.19 = 25.1848…: net 25.18, the tax takes the rest
        (lines("9.99", "9.99", "9.99"), [VAT], "rate", "25.18", lines("4.79")),
        # 9.99 ÷ 1.19 = 8.3949…: 8.39 a line
        (lines("9.99", "9.99", "9.99"), [VAT], "line", "25.17", lines("4.80")),
        # 100 ÷ 1.27875 = 78.2013…: 78.20; the rest of 21.80 by 8.875 to 19: 6.9408… and 14.8591…
        (lines("100.00"), [CITY, VAT], "rate", "78.20", lines("6.94", "14.86")),
        (lines("119.00", "-11.90"), [VAT], "rate", "90.00", lines("17.10")),
        (lines("-119.00"), [VAT], "rate", "-100.00", lines("-19.00")),
        (lines("10.00", "-10.00"), [VAT], "rate", "0.00", lines("0.00")),
        (lines("10.00"), [TaxRate("none", "None", D(0), "exempt")], "rate", "10.00", lines("0")),
    ],
)
def test_prices_that_hold_the_tax(
    gross: list[D], rates: list[TaxRate], rounding: str, net: str, taxes: list[D]
) -> None:
    result = held(gross, rates, "USD", rounding)
    assert [total.amount for total in result.totals] == taxes
    assert {total.base for total in result.totals} == {D(net)}
    assert D(net) + sum(taxes, D(0)) == sum(gross, D(0))


@given(
    st.lists(amounts, max_size=12),
    st.lists(percents, min_size=1, max_size=3),
    st.sampled_from(["rate", "line"]),
)
def test_what_is_taken_out_and_what_is_left_are_the_price(
    bases: list[D], rates: list[D], rounding: str
) -> None:
    taxes = [TaxRate(f"t{i}", "T", rate) for i, rate in enumerate(rates)]
    result = held(bases, taxes, "USD", rounding)
    for base, own in zip(bases, result.per_line, strict=True):
        assert own[0].base + sum((share.amount for share in own), D(0)) == base
        assert all(share.included for share in own)
    for index, total in enumerate(result.totals):
        assert total.amount == sum((row[index].amount for row in result.per_line), D(0))


@given(st.lists(amounts, min_size=1, max_size=12), st.lists(percents, max_size=3), modes)
def test_the_short_way_is_the_long_one(bases: list[D], rates: list[D], mode: Rounding) -> None:
    taxes = [TaxRate(f"t{i}", "T", rate) for i, rate in enumerate(rates)]
    shared_tuple = tuple(taxes)
    short = tax_lines([Taxable(base, shared_tuple) for base in bases], "USD", "rate", mode)
    other = Taxable(D(0), (TaxRate("zz", "Z", D(0)),))  # pays nothing and makes the lines differ
    long = tax_lines([*(Taxable(base, tuple(taxes)) for base in bases), other], "USD", "rate", mode)
    assert short.per_line == long.per_line[:-1]
    assert short.totals == long.totals[:-1]


def test_a_rate_is_rounded_once_whatever_else_its_lines_pay() -> None:
    only, both = Taxable(D("3.30"), (VAT,)), Taxable(D("3.30"), (VAT, CITY))
    result = tax_lines([only, both, only], "USD")
    assert [total.amount for total in result.totals if total.rate == VAT] == [D("1.88")]
    assert [[share.rate.code for share in own] for own in result.per_line] == [
        ["vat"],
        ["vat", "city"],
        ["vat"],
    ]


def test_held_and_added_stand_beside_each_other() -> None:
    result = tax_lines([Taxable(D("119.00"), (VAT,), included=True), Taxable(D("100.00"), (VAT,))], "USD")
    assert [(total.included, total.base, total.amount) for total in result.totals] == [
        (False, D("100.00"), D("19.00")), (True, D("100.00"), D("19.00")),
    ]  # fmt: skip


GERMANY = Tax(
    1,
    "vat",
    "VAT",
    D(19),
    later=((date(2020, 7, 1), D(16)), (date(2021, 1, 1), D(19)), (date(2030, 1, 1), None)),
)


@pytest.mark.parametrize(
    ("day", "rate"),
    [
        (date(2020, 6, 30), D(19)), (date(2020, 7, 1), D(16)), (date(2020, 12, 31), D(16)), (date(2021, 1, 1), D(19)),
        (date(2030, 1, 1), None),
    ],
)  # fmt: skip
def test_rates_have_their_days(day: date, rate: D | None) -> None:
    assert GERMANY.on(day) == rate
    assert [each.rate for each in Profile((GERMANY,)).rates("standard", day)] == (
        [] if rate is None else [rate]
    )


def test_categories_choose_and_treatments_state() -> None:
    reduced = Tax(2, "reduced", "Reduced", D(7), categories=("books",))
    full = Tax(3, "full", "Full", D(19), categories=("standard", "other"))
    day = date(2024, 1, 1)
    assert [each.code for each in Profile((full, reduced)).rates("books", day)] == ["reduced"]
    assert [each.code for each in Profile((full, reduced)).rates("standard", day)] == ["full"]
    assert Profile((full, reduced)).rates("gifts", day) == ()
    shifted = Profile((full,), "reverse_charge", "Article 196").rates("other", day)
    assert [(each.rate, each.kind, each.note) for each in shifted] == [
        (D(0), "reverse_charge", "Article 196")
    ]


@given(st.dates(date(2019, 1, 1), date(2031, 1, 1)), st.integers(1, 400))
def test_a_day_has_the_rate_of_the_last_change_before_it(day: date, ahead: int) -> None:
    changes = [since for since, _ in GERMANY.later]
    later = day + timedelta(days=ahead)
    if not any(day < since <= later for since in changes):
        assert GERMANY.on(day) == GERMANY.on(later)
