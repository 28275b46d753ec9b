"""The sample month: the same everywhere, complete, and small enough to check by hand."""

import hashlib
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tallystick.billing.importers.dataset import Charge, Event
from tallystick.kernel.currencies import EXPONENTS
from tallystick.kernel.money import round_money
from tallystick.kernel.zones import local_date, zone
from tallystick.rating.domain import amount_of, compile_price
from tallystick.sample import sample_month

SAMPLE = sample_month()


def test_it_is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for event in SAMPLE.events:
        digest.update(
            f"{event.id} {event.quantity:f} {event.occurred_at.isoformat()} {dict(event.properties)}\n".encode()
        )
    assert digest.hexdigest() == "66b3e550a8471df6185facfb3df116cc69c8aa4388affc180f684755fb578809"
    assert sample_month() == SAMPLE


def test_six_customers_three_currencies_five_meters_and_every_model() -> None:
    assert len(SAMPLE.customers) == 6
    assert {each.currency for each in SAMPLE.customers} == {"USD", "EUR", "JPY"}
    assert len({each.timezone for each in SAMPLE.customers}) == 6
    assert len(SAMPLE.meters) == 5
    assert {charge.model for plan in SAMPLE.plans for charge in plan.charges} == {
        "graduated",
        "volume",
        "package",
        "standard",
    }
    assert {each.currency for each in SAMPLE.plans} <= set(EXPONENTS)
    assert len(SAMPLE.events) == 2093


def test_everything_named_exists() -> None:
    customers = {each.external_id: each for each in SAMPLE.customers}
    plans = {each.code: each for each in SAMPLE.plans}
    assert {each.customer_external_id for each in SAMPLE.subscriptions} == set(customers)
    for subscription in SAMPLE.subscriptions:
        assert plans[subscription.plan_code].currency == customers[subscription.customer_external_id].currency
    assert {each.tax_code for each in SAMPLE.customers if each.tax_code} == {
        each.code for each in SAMPLE.taxes
    }
    assert len({(each.source, each.id) for each in SAMPLE.events}) == len(SAMPLE.events)


def test_events_fall_in_their_subscription_and_the_last_call_in_its_last_second() -> None:
    for subscription in SAMPLE.subscriptions:
        times = [
            e.occurred_at
            for e in SAMPLE.events
            if e.customer_external_id == subscription.customer_external_id
        ]
        assert subscription.starts_at <= min(times)
        assert max(times) == subscription.ends_at - timedelta(seconds=1)


def test_two_customers_start_within_the_month() -> None:
    zones = {each.external_id: zone(each.timezone) for each in SAMPLE.customers}
    starts = {
        each.customer_external_id: local_date(each.starts_at, zones[each.customer_external_id]).day
        for each in SAMPLE.subscriptions
    }
    assert sorted(starts.values()) == [1, 1, 1, 1, 10, 17]


def _by_hand(charge: Charge, events: list[Event]) -> Fraction:
    """The charge models again, in the plainest arithmetic, to hold the engine against."""
    quantities = [Fraction(event.quantity) for event in events]
    units = sum(quantities, Fraction(0))
    properties: Any = charge.properties
    if charge.model == "package":
        beyond = max(Fraction(0), units - int(properties["free_units"]))
        packages = -((-beyond) // int(properties["package_size"]))
        return packages * Fraction(properties["package_amount"])
    if charge.model == "standard":
        users = {event.properties["user_id"] for event in events if event.properties}
        return (len(users) if users else max(quantities)) * Fraction(properties["unit_amount"])
    tiers = [
        (Fraction(t["up_to"]) if t["up_to"] else None, Fraction(t["unit_amount"]))
        for t in properties["tiers"]
    ]
    if charge.model == "volume":
        return units * next(amount for upper, amount in tiers if upper is None or units <= upper)
    total, lower = Fraction(0), Fraction(0)
    for upper, amount in tiers:
        inside = max(Fraction(0), (units if upper is None else min(units, upper)) - lower)
        total, lower = total + inside * amount, upper or lower
    return total


def _quantity(aggregation: str, events: list[Event]) -> Decimal:
    if aggregation == "unique":
        return Decimal(len({event.properties["user_id"] for event in events}))
    values = [event.quantity for event in events]
    return max(values) if aggregation == "max" else sum(values, Decimal(0))


@pytest.mark.parametrize("subscription", SAMPLE.subscriptions, ids=lambda each: each.customer_external_id)
def test_the_engine_and_plain_arithmetic_agree_on_every_line(subscription: Any) -> None:
    plan = next(each for each in SAMPLE.plans if each.code == subscription.plan_code)
    meters = {each.code: each for each in SAMPLE.meters}
    events: dict[str, list[Event]] = defaultdict(list)
    for event in SAMPLE.events:
        if event.customer_external_id == subscription.customer_external_id:
            events[event.meter_code].append(event)
    for charge in plan.charges:
        price = compile_price(charge.model, charge.properties, currency=plan.currency)
        quantity = _quantity(meters[charge.meter_code].aggregation, events[charge.meter_code])
        assert amount_of(price, quantity).amount == _by_hand(charge, events[charge.meter_code])


@pytest.mark.parametrize(
    ("customer", "usage"),
    [("sample-bergmann", "97.71"), ("sample-harbor", "180.85"), ("sample-asahi", "19490")],
)
def test_usage_of_a_whole_month(customer: str, usage: str) -> None:
    subscription = next(each for each in SAMPLE.subscriptions if each.customer_external_id == customer)
    plan = next(each for each in SAMPLE.plans if each.code == subscription.plan_code)
    lines = [
        round_money(
            _by_hand(
                charge,
                [
                    e
                    for e in SAMPLE.events
                    if (e.customer_external_id, e.meter_code) == (customer, charge.meter_code)
                ],
            ),
            plan.currency,
        )
        for charge in plan.charges
    ]
    assert sum(lines, Decimal(0)) == Decimal(usage)
