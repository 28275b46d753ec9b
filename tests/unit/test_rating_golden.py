"""The golden corpus: what every version of every rule answers. A line that changes here changes issued invoices.

Rows are only ever added. A rule that should answer differently gets a new version and its own rows.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tallystick.rating.domain import MODELS, Exact, Share, amount_of, compile_price, rate

TIERS = [
    {"up_to": "1000", "unit_amount": "0.05", "flat_amount": "10"},
    {"up_to": "2000", "unit_amount": "0.04", "flat_amount": "0"},
    {"up_to": None, "unit_amount": "0.03", "flat_amount": "5"},
]
FREE_FIRST = [{"up_to": 100, "unit_amount": 0}, {"up_to": None, "unit_amount": "0.10"}]
STEPS = [{"up_to": "10", "flat_amount": "3"}, {"up_to": None, "flat_amount": "7"}]
PACK = {"package_size": "100", "package_amount": "5", "free_units": "50"}
ODD_PACK = {"package_size": "0.7", "package_amount": "1.10"}

# model, version, properties, quantity, exact amount
PLAIN: list[tuple[str, int, dict[str, Any], str, str]] = [
    ("flat", 1, {"amount": "29.99"}, "0", "29.99"),
    ("flat", 1, {"amount": "29.99"}, "100000", "29.99"),
    ("flat", 1, {"amount": 0}, "1", "0"),
    ("standard", 1, {"unit_amount": "0.05"}, "0", "0"),
    ("standard", 1, {"unit_amount": "0.05"}, "1", "1/20"),
    ("standard", 1, {"unit_amount": "0.05"}, "1234.5", "61.725"),
    ("standard", 1, {"unit_amount": "0.05"}, "-3", "0"),
    ("standard", 1, {"unit_amount": "0.000000000001"}, "0.000000000001", "0.000000000000000000000001"),
    ("standard", 1, {"unit_amount": "0.000000000001"}, "100000000000000", "100"),
    ("standard", 1, {"unit_amount": "999999999999999"}, "100000000000000", "99999999999999900000000000000"),
    ("standard", 1, {"unit_amount": Decimal("1E-12")}, "3", "0.000000000003"),
    ("graduated", 1, {"tiers": TIERS}, "0", "10"),
    ("graduated", 1, {"tiers": TIERS, "first_tier_flat_at_zero": False}, "0", "0"),
    ("graduated", 1, {"tiers": TIERS, "first_tier_flat_at_zero": False}, "1", "10.05"),
    ("graduated", 1, {"tiers": TIERS}, "-1", "10"),
    ("graduated", 1, {"tiers": TIERS}, "0.000000000001", "10.00000000000005"),
    ("graduated", 1, {"tiers": TIERS}, "999.999999999999", "59.99999999999995"),
    ("graduated", 1, {"tiers": TIERS}, "1000", "60"),
    ("graduated", 1, {"tiers": TIERS}, "1000.000000000001", "60.00000000000004"),
    ("graduated", 1, {"tiers": TIERS}, "2000", "100"),
    ("graduated", 1, {"tiers": TIERS}, "2000.000000000001", "105.00000000000003"),
    ("graduated", 1, {"tiers": TIERS}, "2500.5", "120.015"),
    ("graduated", 1, {"tiers": TIERS}, "100000000000000", "3000000000045"),
    ("graduated", 1, {"tiers": FREE_FIRST}, "100", "0"),
    ("graduated", 1, {"tiers": FREE_FIRST}, "100.5", "0.05"),
    ("graduated", 1, {"tiers": [{"up_to": None, "unit_amount": "2"}]}, "3.25", "6.5"),
    ("graduated", 1, {"tiers": STEPS}, "10", "3"),
    ("graduated", 1, {"tiers": STEPS}, "11", "10"),
    ("volume", 1, {"tiers": TIERS}, "0", "10"),
    ("volume", 1, {"tiers": TIERS, "first_tier_flat_at_zero": False}, "0", "0"),
    ("volume", 1, {"tiers": TIERS, "first_tier_flat_at_zero": False}, "1", "10.05"),
    ("volume", 1, {"tiers": TIERS}, "1000", "60"),
    ("volume", 1, {"tiers": TIERS}, "1000.000000000001", "40.00000000000004"),
    ("volume", 1, {"tiers": TIERS}, "2000", "80"),
    ("volume", 1, {"tiers": TIERS}, "2001", "65.03"),
    ("volume", 1, {"tiers": TIERS}, "100000000000000", "3000000000005"),
    ("package", 1, PACK, "0", "0"),
    ("package", 1, PACK, "50", "0"),
    ("package", 1, PACK, "50.000000000001", "5"),
    ("package", 1, PACK, "150", "5"),
    ("package", 1, PACK, "150.000000000001", "10"),
    ("package", 1, PACK, "100000000000000", "5000000000000"),
    ("package", 1, PACK, "-100", "0"),
    ("package", 1, ODD_PACK, "0.7", "1.1"),
    ("package", 1, ODD_PACK, "2.1", "3.3"),
    ("package", 1, ODD_PACK, "2.100000000001", "4.4"),
]

TENTH, THIRD = Share(fee=Fraction(1, 10)), Share(Fraction(10, 31), Fraction(10, 31))
PENNY = {"unit_amount": "0.01"}

# model, properties, adjustments, share, quantity, exact amount, top-up
ADJUSTED: list[tuple[str, dict[str, Any], dict[str, Any], Share, str, str, str]] = [
    ("flat", {"amount": "30"}, {}, TENTH, "1", "3", "0"),
    ("flat", {"amount": "30"}, {}, THIRD, "1", "300/31", "0"),
    ("flat", {"amount": "30"}, {"minimum_amount": "40"}, TENTH, "1", "3", "37"),
    ("flat", {"amount": "30"}, {"minimum_amount": "40"}, THIRD, "1", "300/31", "100/31"),
    ("standard", PENNY, {}, THIRD, "100", "1", "0"),
    ("standard", PENNY, {"unit_conversion": {"multiply": "2.5"}}, Share(), "3", "0.075", "0"),
    ("standard", PENNY, {"unit_conversion": {"divide": "3"}}, Share(), "1", "1/300", "0"),
    ("standard", PENNY, {"unit_conversion": {"divide": 3, "round_up": True}}, Share(), "1", "0.01", "0"),
    ("standard", PENNY, {"unit_conversion": {"divide": 3, "round_up": True}}, Share(), "3", "0.01", "0"),
    ("standard", PENNY, {"usage_discount_units": "100"}, Share(), "99.9", "0", "0"),
    ("standard", PENNY, {"usage_discount_units": "100"}, Share(), "101", "0.01", "0"),
    ("standard", PENNY, {"usage_discount_units": "310"}, THIRD, "101", "0.01", "0"),
    ("standard", PENNY, {"discount_percent": "12.5"}, Share(), "100", "0.875", "0"),
    ("standard", PENNY, {"discount_percent": 100}, Share(), "100", "0", "0"),
    ("standard", PENNY, {"maximum_amount": "1"}, Share(), "100", "1", "0"),
    ("standard", PENNY, {"maximum_amount": "1"}, Share(), "101", "1", "0"),
    ("standard", PENNY, {"maximum_amount": "31"}, THIRD, "5000", "10", "0"),
    ("standard", PENNY, {"maximum_amount": "0"}, Share(), "101", "0", "0"),
    ("standard", PENNY, {"minimum_amount": "1"}, Share(), "0", "0", "1"),
    ("standard", PENNY, {"minimum_amount": "1"}, Share(), "-9", "0", "1"),
    ("standard", PENNY, {"minimum_amount": "1"}, Share(), "99", "0.99", "0.01"),
    ("standard", PENNY, {"minimum_amount": "1"}, Share(), "100", "1", "0"),
    ("standard", PENNY, {"minimum_amount": "31"}, THIRD, "100", "1", "9"),
    ("standard", PENNY, {"minimum_amount": "2", "maximum_amount": "2"}, Share(), "300", "2", "0"),
    ("package", PACK, {}, Share(limits=Fraction(1, 2)), "126", "10", "0"),
    # the order: 10,000 → 10 converted → 8 after 2 free → 8.00 → 4.00 after 50 % → 3.00 at most → 2.00 missing to 5.00
    (
        "standard",
        {"unit_amount": "1"},
        {
            "unit_conversion": {"divide": "1000"},
            "usage_discount_units": "2",
            "discount_percent": "50",
            "maximum_amount": "3",
        },
        Share(),
        "10000",
        "3",
        "0",
    ),
    (
        "standard",
        {"unit_amount": "1"},
        {
            "unit_conversion": {"divide": "1000"},
            "usage_discount_units": "2",
            "discount_percent": "50",
            "minimum_amount": "5",
        },
        Share(),
        "10000",
        "4",
        "1",
    ),
]


@pytest.mark.parametrize(("model", "version", "properties", "quantity", "exact"), PLAIN)
def test_every_version_of_a_model_keeps_its_results(
    model: str, version: int, properties: dict[str, Any], quantity: str, exact: str
) -> None:
    price = compile_price(model, properties, version=version)
    rated = rate(price, Decimal(quantity))
    assert rated.exact == Fraction(exact)
    assert amount_of(price, Decimal(quantity)) == Exact(Fraction(exact), Fraction(0))
    assert sum(step.subtotal for step in rated.steps) == rated.exact
    assert rated.quantity == Fraction(quantity)
    assert rated.minimum is None
    assert rated.minimum_top_up == 0


@pytest.mark.parametrize(
    ("model", "properties", "adjustments", "share", "quantity", "exact", "top_up"), ADJUSTED
)
def test_adjustments_and_shares(
    model: str,
    properties: dict[str, Any],
    adjustments: dict[str, Any],
    share: Share,
    quantity: str,
    exact: str,
    top_up: str,
) -> None:
    price = compile_price(model, properties, adjustments, version=1)
    rated = rate(price, Decimal(quantity), share)
    assert (rated.exact, rated.minimum_top_up) == (Fraction(exact), Fraction(top_up))
    assert amount_of(price, Decimal(quantity), share) == (rated.exact, rated.minimum_top_up)
    assert sum(step.subtotal for step in rated.steps) == rated.exact


def test_the_rows_cover_every_version_of_the_models_of_a_plain_quantity() -> None:
    """Those that look at more are in test_rating_corpus.py."""
    assert {(row[0], row[1]) for row in PLAIN} >= {
        (name, version)
        for name in ("flat", "standard", "graduated", "volume", "package")
        for version in MODELS[name].versions
    }
