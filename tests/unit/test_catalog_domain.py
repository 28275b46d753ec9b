"""What makes a plan acceptable."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tallystick.catalog.domain import (
    MAX_CHARGES,
    ChargeTerms,
    Settings,
    Terms,
    check_meter,
    check_terms,
    feature_problems,
    is_limit,
    rule_version,
)
from tallystick.kernel.errors import Invalid

PLAN = Terms(Decimal("29.9"), "USD")
CHARGE = ChargeTerms("calls", "Calls", "api", "standard", {"unit_amount": "0.000000000001"}, {}, "usage")


def refused(terms: Terms) -> dict[str, Any]:
    with pytest.raises(Invalid) as caught:
        check_terms(terms)
    return caught.value.details


def test_amounts_take_their_currencys_decimals() -> None:
    assert str(check_terms(PLAN).price) == "29.90"
    assert str(check_terms(replace(PLAN, currency="KWD", minimum=Decimal(1))).minimum) == "1.000"
    assert refused(replace(PLAN, currency="JPY")).keys() == {"price"}


def test_terms_that_are_equal_in_value_are_equal() -> None:
    assert check_terms(PLAN) == check_terms(replace(PLAN, price=Decimal("29.900")))


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({"alignment": "calendar", "settings": Settings(billing_day=31)}, True),
        ({"alignment": "anniversary", "settings": Settings(billing_day=31)}, False),
        ({"alignment": "calendar", "billing_cycle": "weekly", "settings": Settings(billing_day=1)}, False),
        ({"alignment": "calendar", "billing_cycle": "weekly"}, True),
    ],
)
def test_a_billing_day_is_for_calendar_months(change: dict[str, Any], accepted: bool) -> None:
    terms = replace(PLAN, **change)
    if accepted:
        assert check_terms(terms).settings == terms.settings
    else:
        assert refused(terms).keys() == {"settings.billing_day"}


def test_all_problems_are_named_at_once() -> None:
    charges = (
        CHARGE,
        replace(CHARGE, properties={"unit_amount": "-1"}),
        replace(CHARGE, code="b", charge_model="magic"),
    )
    details = refused(replace(PLAN, price=Decimal("0.001"), features={"x": {"limit": -1}}, charges=charges))
    assert details.keys() == {
        "price", "features.x.limit", "charges[1].code", "charges[1].properties.unit_amount", "charges[2].charge_model",
    }  # fmt: skip
    assert refused(replace(PLAN, charges=(CHARGE,) * (MAX_CHARGES + 1))).keys() == {"charges"}


def test_a_charge_keeps_the_rule_it_was_accepted_under() -> None:
    assert rule_version("graduated") >= 1


@pytest.mark.parametrize("limit", [None, 0, 1000, "1GB", "1.5 GiB", "10B", "250kB"])
def test_limits(limit: object) -> None:
    assert is_limit(limit)
    assert feature_problems({"storage": {"limit": limit, "overage": "charge"}}) == {}


@pytest.mark.parametrize("limit", [-1, 10**15, True, 1.5, Decimal("1.5"), "1", "GB", "1 XB", "-1GB", [], {}])
def test_what_is_no_limit(limit: object) -> None:
    assert not is_limit(limit)


@pytest.mark.parametrize(
    ("features", "named"),
    [
        ({"api calls": {"limit": 1}}, "features"),
        ({"": {"limit": 1}}, "features"),
        ({"x": 5}, "features.x"),
        ({"x": {}}, "features.x"),
        ({"x": {"limit": 1, "colour": "red"}}, "features.x"),
        ({"x": {"limit": 1, "overage": None}}, "features.x.overage"),
    ],
)
def test_features_are_refused_by_name(features: dict[str, Any], named: str) -> None:
    assert feature_problems(features).keys() == {named}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("service:X", "sum", None, {}), "code"),
        (("m", "unique", None, {}), "field"),
        (("m", "count", "size", {}), "field"),
        (("m", "sum", "no spaces", {}), "field"),
        (("m", "sum", None, {"no spaces": ["a"]}), "filters"),
    ],
)
def test_meters_are_refused_by_name(arguments: tuple[Any, ...], named: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_meter(*arguments)
    assert caught.value.details.keys() == {named}


def test_meters_that_are_fine() -> None:
    check_meter("gb", "max", "size", {"region": ["eu"]})
    check_meter("users", "unique", "user_id", {})
