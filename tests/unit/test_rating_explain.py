"""Explanations as people read them, and lines as they are rounded."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tallystick.kernel.money import Rounding
from tallystick.rating.domain import (
    AmountTooLarge,
    Exact,
    Share,
    as_json,
    compile_price,
    describe,
    describe_rounding,
    estimate,
    rate,
    round_line,
    round_lines,
)
from tallystick.rating.domain.writing import number

TIERS = {
    "tiers": [
        {"up_to": "1000", "unit_amount": "0.05", "flat_amount": "10"},
        {"up_to": "2000", "unit_amount": "0.04"},
        {"up_to": "3000", "flat_amount": "2"},
        {"up_to": None, "unit_amount": "0.0333", "flat_amount": "5"},
    ]
}
FREE_TIER = {"tiers": [{"up_to": "100", "unit_amount": "0"}, {"up_to": None, "unit_amount": "1"}]}
PACK = {"package_size": 100, "package_amount": "5", "free_units": 100}
PART = Share(Fraction(10, 31), Fraction(10, 31))
NOTHING_ROUNDED = "amount: {} USD, exact, nothing rounded"

TOLD: list[tuple[str, dict[str, Any], dict[str, Any], str, Share, list[str]]] = [
    (
        "graduated",
        TIERS,
        {},
        "3500.5",
        Share(),
        [
            "first 1,000 units at 0.05 + flat fee 10.00 = 60.00",
            "next 1,000 units (above 1,000 up to 2,000) at 0.04 = 40.00",
            "next 1,000 units (above 2,000 up to 3,000): flat fee 2.00",
            "next 500.5 units (above 3,000) at 0.0333 + flat fee 5.00 = 21.66665",
            "together 60.00 + 40.00 + 2.00 + 21.66665 = 123.66665",
            "rounded half away from zero to 2 decimals: 123.66665 → 123.67 USD",
        ],
    ),
    (
        "graduated",
        TIERS,
        {},
        "0",
        Share(),
        ["no usage: flat fee 10.00 of the first tier is due", NOTHING_ROUNDED.format("10.00")],
    ),
    (
        "graduated",
        FREE_TIER,
        {},
        "0",
        Share(),
        ["no usage: nothing is due", NOTHING_ROUNDED.format("0.00")],
    ),
    (
        "graduated",
        FREE_TIER,
        {},
        "1",
        Share(),
        ["first 1 unit at 0.00 = 0.00", NOTHING_ROUNDED.format("0.00")],
    ),
    (
        "graduated",
        {"tiers": [{"up_to": None, "unit_amount": "2"}]},
        {},
        "3",
        Share(),
        ["all 3 units at 2.00 = 6.00", NOTHING_ROUNDED.format("6.00")],
    ),
    (
        "volume",
        TIERS,
        {},
        "1500",
        Share(),
        [
            "all 1,500 units (tier above 1,000 up to 2,000) at 0.04 = 60.00",
            NOTHING_ROUNDED.format("60.00"),
        ],
    ),
    (
        "volume",
        {"tiers": [{"up_to": None, "unit_amount": "2"}]},
        {},
        "3",
        Share(),
        ["all 3 units at 2.00 = 6.00", NOTHING_ROUNDED.format("6.00")],
    ),
    (
        "package",
        PACK,
        {},
        "1451",
        Share(),
        [
            "1,451 units less 100 free = 1,351 units in 14 packages of 100 (13.51 rounded up) at 5.00 = 70.00",
            NOTHING_ROUNDED.format("70.00"),
        ],
    ),
    (
        "package",
        {"package_size": "2.5", "package_amount": "1"},
        {},
        "2.5",
        Share(),
        ["2.5 units in 1 package of 2.5 at 1.00 = 1.00", NOTHING_ROUNDED.format("1.00")],
    ),
    (
        "package",
        PACK,
        {},
        "32",
        PART,
        [
            "32 units, all within 100 free × 10/31 of the period: no package started",
            NOTHING_ROUNDED.format("0.00"),
        ],
    ),
    ("package", PACK, {}, "0", Share(), ["0 units: no package started", NOTHING_ROUNDED.format("0.00")]),
    ("flat", {"amount": "30"}, {}, "1", Share(), ["fixed amount 30.00", NOTHING_ROUNDED.format("30.00")]),
    (
        "flat",
        {"amount": "30"},
        {"rounding": "down"},
        "1",
        PART,
        [
            "fixed amount 30.00 × 10/31 of the period = 9.677419354838…",
            "rounded down, towards zero to 2 decimals: 9.677419354838… → 9.67 USD",
        ],
    ),
    (
        "standard",
        {"unit_amount": "0.0823"},
        {"minimum_amount": "20"},
        "150",
        Share(),
        [
            "150 units at 0.0823 = 12.345",
            "rounded half away from zero to 2 decimals: 12.345 → 12.35 USD",
            "minimum 20.00, less 12.345: 7.655 missing",
            "top-up line: 7.65 USD; both lines come to 20.00",
        ],
    ),
    (
        "standard",
        {"unit_amount": "0.0001"},
        {"minimum_amount": "20"},
        "199999",
        Share(),
        [
            "199,999 units at 0.0001 = 19.9999",
            "rounded half away from zero to 2 decimals: 19.9999 → 20.00 USD",
            "minimum 20.00, less 19.9999: 0.0001 missing",
            "nothing is missing once rounded: no top-up line",
        ],
    ),
    (
        "standard",
        {"unit_amount": "0.05"},
        {"minimum_amount": "20"},
        "0",
        PART,
        [
            "0 units at 0.05 = 0.00",
            NOTHING_ROUNDED.format("0.00"),
            "minimum 20.00 × 10/31 of the period = 6.451612903225…, less 0.00: 6.451612903225… missing",
            "top-up line: 6.45 USD; both lines come to 6.45, which is 6.451612903225… rounded",
        ],
    ),
    (
        "standard",
        {"unit_amount": "0.05"},
        {
            "unit_conversion": {"divide": 1024, "round_up": True},
            "usage_discount_units": "310",
            "discount_percent": "12.5",
            "maximum_amount": "50",
        },
        "1234567",
        Share(),
        [
            "converted: 1,234,567 ÷ 1,024 = 1,205.6318359375, rounded up to 1,206 units",
            "1,206 units less 310 units included = 896 units to price",
            "896 units at 0.05 = 44.80",
            "discount of 12.5 % on 44.80 = −5.60",
            "together 44.80 − 5.60 = 39.20",
            NOTHING_ROUNDED.format("39.20"),
        ],
    ),
    (
        "standard",
        {"unit_amount": "0.05"},
        {"unit_conversion": {"multiply": "0.001"}, "usage_discount_units": "5"},
        "4000",
        Share(),
        [
            "converted: 4,000 × 0.001 = 4 units",
            "4 units, all within 5 units included: nothing left to price",
            "0 units at 0.05 = 0.00",
            NOTHING_ROUNDED.format("0.00"),
        ],
    ),
    (
        "standard",
        {"unit_amount": "1"},
        {"maximum_amount": "31"},
        "25.5",
        PART,
        [
            "25.5 units at 1.00 = 25.50",
            "25.50 is over the maximum 31.00 × 10/31 of the period = 10.00: −15.50",
            "together 25.50 − 15.50 = 10.00",
            NOTHING_ROUNDED.format("10.00"),
        ],
    ),
    (
        "standard",
        {"unit_amount": "1"},
        {"maximum_amount": "20"},
        "25.5",
        Share(),
        [
            "25.5 units at 1.00 = 25.50",
            "25.50 is over the maximum 20.00: −5.50",
            "together 25.50 − 5.50 = 20.00",
            NOTHING_ROUNDED.format("20.00"),
        ],
    ),
    (
        "standard",
        {"unit_amount": "1"},
        {},
        "-5",
        Share(),
        [
            "usage of −5 units is below zero and billed as 0 units",
            "0 units at 1.00 = 0.00",
            NOTHING_ROUNDED.format("0.00"),
        ],
    ),
]


@pytest.mark.parametrize(("model", "properties", "adjustments", "quantity", "share", "text"), TOLD)
def test_every_step_reads_as_a_sentence(
    model: str,
    properties: dict[str, Any],
    adjustments: dict[str, Any],
    quantity: str,
    share: Share,
    text: list[str],
) -> None:
    price = compile_price(model, properties, adjustments)
    assert list(estimate(price, Decimal(quantity), "USD", share=share).text) == text


def test_units_have_names_and_currencies_their_decimals() -> None:
    price = compile_price("standard", {"unit_amount": "3"})
    assert describe(rate(price, Decimal("7.5")).steps, "JPY", "GB") == ["7.5 GB at 3 = 22.5"]
    assert describe(rate(price, 1).steps, "KWD", "GB") == ["1 GB at 3.000 = 3.000"]
    assert describe([], "JPY") == []


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        (Rounding.HALF_AWAY, "rounded half away from zero to whole JPY: 22.5 → 23 JPY"),
        (Rounding.HALF_EVEN, "rounded half to even to whole JPY: 22.5 → 22 JPY"),
        (Rounding.UP, "rounded up, away from zero to whole JPY: 22.5 → 23 JPY"),
        (Rounding.DOWN, "rounded down, towards zero to whole JPY: 22.5 → 22 JPY"),
    ],
)
def test_the_rounding_is_told(mode: Rounding, sentence: str) -> None:
    exact = Fraction("22.5")
    assert describe_rounding(exact, round_line(exact, "JPY", mode), "JPY", mode) == sentence


@pytest.mark.parametrize(
    ("value", "least", "text"),
    [
        ("0", 2, "0.00"),
        ("1234567.5", 2, "1,234,567.50"),
        ("0.000000000001", 2, "0.000000000001"),
        ("-1/3", 2, "−0.333333333333…"),
        ("1000", 0, "1,000"),
    ],
)
def test_numbers_are_written_in_full(value: str, least: int, text: str) -> None:
    assert number(Fraction(value), least) == text


def test_steps_are_json_with_exact_numbers() -> None:
    price = compile_price("standard", {"unit_amount": "0.05"}, {"maximum_amount": "31"})
    assert [as_json(step) for step in rate(price, Decimal("1000.50"), PART).steps] == [
        {
            "kind": "units_at_price",
            "units": Decimal("1000.5"),
            "unit_amount": Decimal("0.05"),
            "subtotal": Decimal("50.025"),
        },
        {
            "kind": "maximum",
            "maximum": Decimal("31"),
            "prorated": "10/31",
            "before": Decimal("50.025"),
            "subtotal": Decimal("-40.025"),
        },
    ]
    packages = as_json(rate(compile_price("package", PACK), 151).steps[0])
    assert (packages["packages"], packages["billable"]) == (1, Decimal(51))
    fee = as_json(rate(compile_price("flat", {"amount": "30"}), 1, PART).steps[0])
    assert fee == {
        "kind": "flat_fee",
        "amount": Decimal("30"),
        "prorated": "10/31",
        "subtotal": Decimal("9.677419354838709677"),
        "cut": True,
    }


def test_a_line_keeps_its_exact_amount_and_says_when_it_was_cut() -> None:
    line = round_line(Fraction(1, 3), "USD")
    assert (str(line.amount), str(line.exact), line.cut) == ("0.33", "0.333333333333333333", True)
    line = round_line(Fraction("12.345"), "USD")
    assert (str(line.amount), line.exact, line.cut) == ("12.35", Decimal("12.345"), False)


def test_a_line_and_its_top_up_never_come_to_a_cent_more_than_the_minimum() -> None:
    line, top_up = round_lines(Exact(Fraction("12.345"), Fraction("7.655")), "USD")
    assert top_up is not None
    assert (line.amount, top_up.amount) == (Decimal("12.35"), Decimal("7.65"))
    assert top_up.exact == Decimal("7.655")
    assert round_lines(Exact(Fraction("5"), Fraction(0)), "USD") == (round_line(Fraction(5), "USD"), None)


@pytest.mark.parametrize("value", ["1000000000000000", "-1000000000000000", "999999999999999.995"])
def test_a_line_of_sixteen_digits_is_refused(value: str) -> None:
    with pytest.raises(AmountTooLarge):
        round_line(Fraction(value), "USD")


def test_the_largest_line_is_kept() -> None:
    assert str(round_line(Fraction("999999999999999.99"), "USD").amount) == "999999999999999.99"
