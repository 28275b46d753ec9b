"""The golden corpus of prices that look at more than a quantity, and of roundings: tests/unit/fixtures/rating_corpus.json.

A case without `version` is of version 1. Cases are only ever added. Each result stands in the file, was worked out there, and is held against
a second way to it (naive_rating.py), so that neither the file nor the code can be wrong alone.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.unit import naive_rating

from tallystick.rating.domain import (
    MODELS,
    Aggregation,
    AmountTooLarge,
    Event,
    Metered,
    Occurrence,
    Price,
    Share,
    amount_of,
    compile_price,
    estimate,
    fold,
    freeze,
    meter,
    rate,
    thaw,
)

CORPUS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "fixtures/rating_corpus.json").read_text())
START = datetime(2024, 1, 1, tzinfo=UTC)

each_case = pytest.mark.parametrize(
    "case", CORPUS, ids=[f"{each['model']}: {each['why']}" for each in CORPUS]
)


def compiled(case: dict[str, Any]) -> Price:
    return compile_price(
        case["model"],
        case["properties"],
        case.get("adjustments"),
        version=case.get("version", 1),
        currency=case.get("currency"),
    )


def occurrence(index: int, event: Any) -> Occurrence:
    at = START + timedelta(seconds=index)
    if isinstance(event, dict):
        return Occurrence(Event(at, 0, 0, Decimal(event["q"])), None, event["p"])
    quantity, price = event if isinstance(event, list) else (event, None)
    return Occurrence(Event(at, 0, 0, Decimal(quantity)), None if price is None else Decimal(price))


def metered(case: dict[str, Any], price: Price) -> Metered:
    if "units" in case:
        return Metered(Fraction(case["units"]), events=1)
    events = [occurrence(index, each) for index, each in enumerate(case["events"])]
    return meter(price, Aggregation.SUM, events[::-1])


def share(case: dict[str, Any]) -> Share:
    return Share(Fraction(case.get("fee", 1)), Fraction(case.get("limits", 1)))


@each_case
def test_each_case_keeps_its_result(case: dict[str, Any]) -> None:
    price = compiled(case)
    usage, part = metered(case, price), share(case)
    rated = rate(price, usage, part)
    assert (rated.exact, rated.minimum_top_up) == (Fraction(case["exact"]), Fraction(case.get("top_up", 0)))
    assert amount_of(price, usage, part) == (rated.exact, rated.minimum_top_up)
    assert sum(step.subtotal for step in rated.steps) == rated.exact
    assert rated.quantity == usage.units


@each_case
def test_each_result_is_what_the_slow_way_comes_to(case: dict[str, Any]) -> None:
    assert naive_rating.price(case) == (Fraction(case["exact"]), Fraction(case.get("top_up", 0)))


@each_case
def test_each_case_is_the_same_without_its_events(case: dict[str, Any]) -> None:
    """What a line freezes survives JSON and comes to the same amount by the same steps."""
    price = compiled(case)
    usage, part = metered(case, price), share(case)
    frozen = json.loads(json.dumps(freeze(price, usage, part)))
    assert thaw(frozen) == fold(price, usage, part)
    assert rate(price, thaw(frozen), part) == rate(price, usage, part)
    assert not thaw(frozen).values


@each_case
def test_each_case_is_told_and_rounded_once(case: dict[str, Any]) -> None:
    price, currency = compiled(case), case.get("currency", "USD")
    usage, part = metered(case, price), share(case)
    if Fraction(case["exact"]) >= 10**15:
        with pytest.raises(AmountTooLarge):
            estimate(price, usage, currency, share=part)
        return
    told = estimate(price, usage, currency, share=part)
    assert told.text
    if "amount" in case:
        assert told.amount == Decimal(case["amount"])


def test_the_corpus_has_every_version_of_every_model() -> None:
    assert {(each["model"], each.get("version", 1)) for each in CORPUS} == {
        (name, version) for name, model in MODELS.items() for version in model.versions
    }
    assert len(CORPUS) >= 60
    assert len({(each["model"], each["why"]) for each in CORPUS}) == len(CORPUS)
