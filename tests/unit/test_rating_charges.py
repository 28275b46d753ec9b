"""Charges of a plan are compiled by the same code that rates them: what cannot be billed is no plan."""

from decimal import Decimal
from typing import Any

import pytest

from tallystick.catalog.domain import ChargeTerms, Terms, check_terms
from tallystick.kernel.errors import Invalid
from tallystick.rating.domain import MODELS

GOOD: dict[str, dict[str, Any]] = {
    "flat": {"amount": "5"},
    "standard": {"unit_amount": "0.05"},
    "graduated": {"tiers": [{"up_to": None, "unit_amount": "0.05"}]},
    "volume": {"tiers": [{"up_to": None, "unit_amount": "0.05"}]},
    "package": {"package_size": 10, "package_amount": "1"},
    "percentage": {"rate": "0.029", "fixed_amount": "0.30", "free_events": 3},
    "graduated_percentage": {"tiers": [{"up_to": None, "rate": "0.01"}]},
    "stairstep": {"tiers": [{"up_to": None, "flat_amount": "5"}]},
    "dynamic": {},
    "matrix": {"dimensions": ["region"], "rows": [{"values": ["eu"], "unit_amount": "1"}]},
}


def plan(*charges: tuple[str, dict[str, Any], dict[str, Any]], currency: str = "USD") -> Terms:
    return Terms(
        Decimal(0),
        currency,
        charges=tuple(
            ChargeTerms(f"c{index}", "c", "calls", model, properties, adjustments, "usage")
            for index, (model, properties, adjustments) in enumerate(charges)
        ),
    )


def test_a_plan_takes_every_model() -> None:
    assert set(GOOD) == set(MODELS)
    terms = plan(*((model, properties, {}) for model, properties in GOOD.items()))
    assert check_terms(terms).charges == terms.charges


@pytest.mark.parametrize(
    ("model", "properties", "adjustments", "path"),
    [
        ("per_mood", {}, {}, "charges[1].charge_model"),
        ("percentage", {"rate": "2.9"}, {}, "charges[1].properties.rate"),
        (
            "percentage",
            {"rate": "0.1"},
            {"usage_discount_units": 1},
            "charges[1].adjustments.usage_discount_units",
        ),
        (
            "graduated_percentage",
            {"tiers": [{"rate": "0.1", "up_to": 5}]},
            {},
            "charges[1].properties.tiers[0].up_to",
        ),
        (
            "stairstep",
            {"tiers": [{"up_to": None, "flat_amount": "0.5"}]},
            {},
            "charges[1].properties.tiers[0].flat_amount",
        ),
        ("dynamic", {}, {"unit_conversion": {"divide": 2}}, "charges[1].adjustments.unit_conversion"),
        ("matrix", {"dimensions": ["a"], "rows": []}, {}, "charges[1].properties.rows"),
    ],
)
def test_a_mistake_is_told_with_its_charge(
    model: str, properties: dict[str, Any], adjustments: dict[str, Any], path: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check_terms(plan(("dynamic", {}, {}), (model, properties, adjustments), currency="JPY"))
    assert set(refused.value.details) == {path}
