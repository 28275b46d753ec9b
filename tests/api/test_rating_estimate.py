"""POST /v1/rating/estimate through the whole HTTP platform."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import Request

from tallystick.kernel.actor import Actor
from tallystick.platform.db import Database
from tallystick.platform.http.app import build
from tallystick.platform.settings import Settings
from tallystick.rating.api import routers

CALLER = Actor("user", "1", "customer", frozenset({"rating:estimate"}))
ANYONE = Actor("anonymous", "", "anonymous")
PRICE: dict[str, Any] = {"charge_model": "standard", "properties": {"unit_amount": "0.05"}, "currency": "USD"}
PERCENTAGE: dict[str, Any] = {
    "charge_model": "percentage",
    "properties": {"rate": "0.029", "fixed_amount": "0.30", "free_total": "100", "max_per_event": "10"},
}
DYNAMIC: dict[str, Any] = {"charge_model": "dynamic", "properties": {}}
MATRIX: dict[str, Any] = {
    "charge_model": "matrix",
    "properties": {
        "dimensions": ["region"],
        "rows": [{"values": ["eu"], "unit_amount": "0.10"}, {"values": ["4"], "unit_amount": "0.20"}],
    },
}


async def by_header(request: Request) -> Actor:
    roles = {"caller": CALLER, "other": Actor("user", "2", "support")}
    return roles.get(request.headers.get("x-test-role", ""), ANYONE)


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An estimate stores nothing, so a server without any schema will do."""
    app = build(
        title="t", service="t", description="", settings=Settings(database_url=server_url),
        routers=routers, authenticate=by_header,
    )  # fmt: skip
    app.state.database = await Database.connect(server_url, size=1)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test", headers={"x-test-role": "caller"}
    ) as it:
        yield it
    await app.state.database.close()


async def test_an_estimate_shows_amount_steps_and_text(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rating/estimate", json={**PRICE, "units": "1234.5", "unit": "GB"})
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "charge_model": "standard",
        "rule_version": 1,
        "units": 1234.5,
        "currency": "USD",
        "amount": 61.73,
        "exact_amount": 61.725,
        "cut": False,
        "lines": [{"kind": "charge", "amount": 61.73, "exact_amount": 61.725, "cut": False}],
        "steps": [{"kind": "units_at_price", "units": 1234.5, "unit_amount": 0.05, "subtotal": 61.725}],
        "text": [
            "1,234.5 GB at 0.05 = 61.725",
            "rounded half away from zero to 2 decimals: 61.725 → 61.73 USD",
        ],
    }
    assert '"amount":61.73,"exact_amount":61.725' in answer.text


async def test_digits_are_exact_whichever_way_they_are_sent(client: httpx.AsyncClient) -> None:
    body = (
        b'{"charge_model":"standard","properties":{"unit_amount":0.000000000001},"currency":"USD","units":3}'
    )
    answer = await client.post(
        "/v1/rating/estimate", content=body, headers={"content-type": "application/json"}
    )
    exact = json.loads(answer.content, parse_float=Decimal)["data"]["exact_amount"]
    assert exact == Decimal("0.000000000003")


async def test_a_minimum_is_a_line_of_its_own(client: httpx.AsyncClient) -> None:
    body = {**PRICE, "adjustments": {"minimum_amount": "20"}, "units": "246.9"}
    data = (await client.post("/v1/rating/estimate", json=body)).json()["data"]
    assert (data["amount"], [line["amount"] for line in data["lines"]]) == (20, [12.35, 7.65])


@pytest.mark.parametrize(
    ("aggregation", "units"),
    [("count", 4), ("sum", 8.5), ("max", 5), ("min", 1), ("average", 2.125), ("unique", 2), ("latest", 1.5)],
)
async def test_events_are_aggregated(client: httpx.AsyncClient, aggregation: str, units: float) -> None:
    events = [
        {"quantity": "1.5", "value": "a", "occurred_at": "2024-01-02T00:00:00Z"},
        {"quantity": "5", "value": "b", "occurred_at": "2024-01-01T00:00:00Z"},
        {"quantity": "1", "value": "a"},
        {"value": "a"},
    ]
    body = {**PRICE, "events": events, "aggregation": aggregation}
    assert (await client.post("/v1/rating/estimate", json=body)).json()["data"]["units"] == units


async def test_a_percentile_is_a_value_that_was_measured(client: httpx.AsyncClient) -> None:
    body = {
        **PRICE,
        "events": [{"quantity": n} for n in (10, 20, 30, 40)],
        "aggregation": "percentile",
        "percentile": 75,
    }
    assert (await client.post("/v1/rating/estimate", json=body)).json()["data"]["units"] == 30


async def test_a_percentage_uses_up_what_is_free_in_order_of_time(client: httpx.AsyncClient) -> None:
    """40 are free; of the 100 after them 60 are free and 40 pay 1.16 + 0.30; 1,000 would pay 29.30 and pay 10."""
    events = [
        {"quantity": "1000", "occurred_at": "2024-01-03T00:00:00Z"},
        {"quantity": "100", "occurred_at": "2024-01-02T00:00:00Z"},
        {"quantity": "40", "occurred_at": "2024-01-01T00:00:00Z"},
    ]
    answer = await client.post("/v1/rating/estimate", json={**PRICE, **PERCENTAGE, "events": events})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert (data["amount"], data["units"]) == (11.46, 1140)
    assert sum(step["subtotal"] for step in data["steps"]) == pytest.approx(data["exact_amount"])
    assert [step["kind"] for step in data["steps"]] == [
        "free_events",
        "rate",
        "fixed_per_event",
        "events_at_maximum",
    ]
    assert data["text"] == [
        "free: 1 event of 40 in all and 60 of the event that crosses the free total",
        "2.9 % of 40 = 1.16",
        "1 event at 0.30 each = 0.30",
        "1 event of 1,000 in all at the maximum of 10.00 per event",
        "together 1.16 + 0.30 + 10.00 = 11.46",
        "amount: 11.46 USD, exact, nothing rounded",
    ]


async def test_dynamic_takes_each_event_at_its_own_price(client: httpx.AsyncClient) -> None:
    events = [{"quantity": "3", "unit_price": "0.5"}, {"quantity": "2", "unit_price": "0.000000000001"}]
    data = (await client.post("/v1/rating/estimate", json={**PRICE, **DYNAMIC, "events": events})).json()[
        "data"
    ]
    assert (data["amount"], data["units"]) == (1.5, 5)
    assert data["text"][0] == "5 units in 2 events, each event at its own unit price = 1.500000000002"


async def test_a_matrix_prices_each_combination(client: httpx.AsyncClient) -> None:
    events = [
        {"quantity": "3", "properties": {"region": "eu", "other": True}},
        {"quantity": "2", "properties": {"region": 4}},
        {"quantity": "5", "properties": {"region": "eu"}},
    ]
    data = (await client.post("/v1/rating/estimate", json={**PRICE, **MATRIX, "events": events})).json()[
        "data"
    ]
    assert (data["amount"], data["units"]) == (1.2, 10)
    assert data["text"][:2] == [
        "row 1 (region eu): 8 units at 0.10 = 0.80",
        "row 2 (region 4): 2 units at 0.20 = 0.40",
    ]


async def test_usage_without_a_row_has_a_code(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rating/estimate", json={**PRICE, **MATRIX, "events": [{}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_matrix_row")


@pytest.mark.parametrize(
    ("model", "properties", "units", "amount"),
    [
        ("percentage", {"rate": "0.029"}, "1000", 29),
        (
            "graduated_percentage",
            {"tiers": [{"up_to": "100", "rate": "0.1", "flat_amount": "1"}, {"rate": "0.05", "up_to": None}]},
            "150",
            13.5,
        ),
        (
            "stairstep",
            {"tiers": [{"up_to": 10, "flat_amount": 5}, {"up_to": None, "flat_amount": 9}]},
            "10.000001",
            9,
        ),
    ],
)
async def test_models_of_a_total_take_units(
    client: httpx.AsyncClient, model: str, properties: dict[str, Any], units: str, amount: float
) -> None:
    body = {"charge_model": model, "properties": properties, "currency": "USD", "units": units}
    data = (await client.post("/v1/rating/estimate", json=body)).json()["data"]
    assert (data["amount"], data["rule_version"]) == (amount, 1)


@pytest.mark.parametrize(
    ("change", "status", "fields"),
    [
        ({}, 422, {"units"}),
        ({"units": 1, "events": []}, 422, {"units"}),
        ({"units": -1}, 422, {"units"}),
        ({"units": "NaN"}, 422, {"units"}),
        ({"units": True}, 422, {"units"}),
        ({"units": 1, "currency": "XXX"}, 422, {"currency"}),
        ({"units": 1, "charge_model": "per_mood"}, 422, {"charge_model"}),
        ({"units": 1, "surprise": 1}, 422, {"surprise"}),
        ({"units": 1, "properties": {"unit_amount": "-1"}}, 422, {"properties.unit_amount"}),
        ({"units": 1, "properties": {"unit_amount": "1", "x": 1}}, 422, {"properties.x"}),
        ({"units": 1, "adjustments": {"rounding": "x"}}, 422, {"adjustments.rounding"}),
        ({"units": "900000000000000", "properties": {"unit_amount": 9000}}, 422, set()),
        ({"events": [{}], "aggregation": "unique"}, 422, {"events[0].value"}),
        ({"events": [{"quantity": "x"}]}, 422, {"events.0.quantity"}),
        ({"events": [{"unit_price": "-1"}]}, 422, {"events.0.unit_price"}),
        ({"events": [{"properties": {"a": []}}]}, 422, {"events.0.properties.a"}),
        ({"events": [{"properties": {"a": "\u0001"}}]}, 422, {"events.0.properties.a"}),
        ({"events": [], "aggregation": "percentile"}, 422, {"percentile"}),
        ({"events": [], "percentile": 50}, 422, {"percentile"}),
        ({"events": [], "aggregation": "percentile", "percentile": 0}, 422, {"percentile"}),
        ({**PERCENTAGE, "units": 1}, 422, {"units"}),
        ({**PERCENTAGE, "events": [], "aggregation": "max"}, 422, {"aggregation"}),
        ({**DYNAMIC, "units": 1}, 422, {"units"}),
        ({**DYNAMIC, "events": [{"unit_price": 1}, {"quantity": 2}]}, 422, {"events[1].unit_price"}),
        ({**DYNAMIC, "properties": {"unit_amount": 1}, "events": []}, 422, {"properties.unit_amount"}),
        ({**MATRIX, "units": 1}, 422, {"units"}),
        ({**MATRIX, "events": [{"properties": {"region": "us"}}]}, 422, {"properties.rows"}),
    ],
)
async def test_bad_input_names_its_field(
    client: httpx.AsyncClient, change: dict[str, Any], status: int, fields: set[str]
) -> None:
    answer = await client.post("/v1/rating/estimate", json={**PRICE, **change})
    assert (answer.status_code, set(answer.json()["details"])) == (status, fields)


@pytest.mark.parametrize(("role", "status"), [("", 401), ("other", 403)])
async def test_estimating_is_a_permission(client: httpx.AsyncClient, role: str, status: int) -> None:
    answer = await client.post("/v1/rating/estimate", json=PRICE, headers={"x-test-role": role})
    assert answer.status_code == status
