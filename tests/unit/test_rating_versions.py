"""A rule that changes becomes a new version beside the old one: lines of the old one keep their amounts."""

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tallystick.rating.domain import MODELS, Share, amount_of, compile_price
from tallystick.rating.domain.adjustments import (
    ORDER_1,
    Maximum,
    Order,
    PercentDiscount,
    UnitConversion,
    UsageDiscount,
)
from tallystick.rating.domain.registry import Model, Rule

CORPUS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "fixtures/rating_corpus.json").read_text())

REORDERED = Order(
    on_units=(UsageDiscount, UnitConversion), on_amount=(Maximum, PercentDiscount), top_up=ORDER_1.top_up
)
"""Another answer to the same questions, as a later version might give it: discounts before conversion, the maximum before the percentage."""


def moved() -> Mapping[str, Model]:
    """The registry a release later: every model has a second version, and new prices are read by it."""
    return {
        name: Model({**model.versions, 2: replace(model.versions[1], order=REORDERED)}, current=2)
        for name, model in MODELS.items()
    }


ADJUSTMENTS = {
    "unit_conversion": {"divide": "10"},
    "usage_discount_units": "10",
    "discount_percent": "50",
    "maximum_amount": "8",
}


def test_a_new_version_answers_otherwise_and_the_old_one_as_before() -> None:
    later = moved()
    asked = ("standard", {"unit_amount": "1"}, ADJUSTMENTS)
    before = compile_price(*asked)
    old, new = compile_price(*asked, version=1, models=later), compile_price(*asked, models=later)
    assert (before.version, old.version, new.version) == (1, 1, 2)
    assert amount_of(before, 200).amount == amount_of(old, 200).amount == Fraction(5)
    assert amount_of(new, 200).amount == Fraction(4)
    assert old == before


@pytest.mark.parametrize("case", [each for each in CORPUS if "units" in each], ids=lambda case: case["why"])
def test_the_corpus_stands_after_every_current_version_has_moved(case: dict[str, Any]) -> None:
    price = compile_price(
        case["model"], case["properties"], case.get("adjustments"), version=1, models=moved()
    )
    part = Share(Fraction(case.get("fee", 1)), Fraction(case.get("limits", 1)))
    exact = (Fraction(case["exact"]), Fraction(case.get("top_up", 0)))
    assert amount_of(price, Fraction(case["units"]), part) == exact


def test_the_current_version_is_the_newest() -> None:
    for model in MODELS.values():
        assert model.current == max(model.versions)
        assert all(isinstance(rule, Rule) for rule in model.versions.values())
