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


async def by_header(request: Request) -> Actor:
    roles = {"caller": CALLER, "other": Actor("user", "2", "customer")}
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
    ("aggregation", "units"), [("count", 4), ("sum", 8.5), ("max", 5), ("unique", 2), ("latest", 1.5)]
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


@pytest.mark.parametrize(
    ("change", "status", "fields"),
    [
        ({}, 422, {"units"}),
        ({"units": 1, "events": []}, 422, {"units"}),
        ({"units": -1}, 422, {"units"}),
        ({"units": "NaN"}, 422, {"units"}),
        ({"units": True}, 422, {"units"}),
        ({"units": 1, "currency": "XXX"}, 422, {"currency"}),
        ({"units": 1, "charge_model": "matrix"}, 422, {"charge_model"}),
        ({"units": 1, "surprise": 1}, 422, {"surprise"}),
        ({"units": 1, "properties": {"unit_amount": "-1"}}, 422, {"properties.unit_amount"}),
        ({"units": 1, "properties": {"unit_amount": "1", "x": 1}}, 422, {"properties.x"}),
        ({"units": 1, "adjustments": {"rounding": "x"}}, 422, {"adjustments.rounding"}),
        ({"units": "900000000000000", "properties": {"unit_amount": 9000}}, 422, set()),
        ({"events": [{}], "aggregation": "unique"}, 422, {"events[0].value"}),
        ({"events": [{"quantity": "x"}]}, 422, {"events.0.quantity"}),
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
