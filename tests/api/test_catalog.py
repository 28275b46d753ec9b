"""Plans, meters, services over HTTP: CONTRACT §6."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

from tallystick.catalog import seed

Headers = dict[str, str]
METER = {"code": "api", "aggregation": "count"}
CHARGE = {
    "code": "calls",
    "meter": "api",
    "charge_model": "graduated",
    "properties": {"tiers": [{"up_to": 1000, "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.0005"}]},
}
PLAN: dict[str, Any] = {
    "code": "pro", "name": "Pro", "price": 29.99, "currency": "USD",
    "features": {"api_calls": {"limit": 1000}, "storage": {"limit": "1GB", "overage": "charge"}},
}  # fmt: skip


async def made(client: httpx.AsyncClient, headers: Headers, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/plans", json={**PLAN, **fields}, headers=headers)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_a_plan_is_shown_to_everyone_exactly(client: httpx.AsyncClient, admin_headers: Headers) -> None:
    plan = await made(client, admin_headers)
    answer = await client.get(f"/v1/plans/{plan['id']}/")
    assert answer.status_code == 200
    assert '"price":29.99,' in answer.text
    assert answer.json()["data"]["features"] == PLAN["features"]
    strings = await client.get(f"/v1/plans/{plan['id']}", headers={"Prefer": "decimals=string"})
    assert strings.json()["data"]["price"] == "29.99"
    assert [each["id"] for each in (await client.get("/v1/plans")).json()["data"]] == [plan["id"]]


async def test_plans_off_the_shelf_are_for_staff(
    client: httpx.AsyncClient, admin_headers: Headers, support_headers: Headers,
    customer: Callable[..., Awaitable[Customer]],
) -> None:  # fmt: skip
    hidden = await made(client, admin_headers, code="hidden", is_public=False)
    retired = await made(client, admin_headers, code="retired", is_active=False)
    someone = await customer()
    for plan in (hidden, retired):
        url = f"/v1/plans/{plan['id']}"
        assert (await client.get(url)).status_code == 404
        assert (await client.get(url, headers=someone.headers)).status_code == 404
        assert (await client.get(url, headers=support_headers)).status_code == 200
    assert (await client.get("/v1/plans", headers=someone.headers)).json()["data"] == []
    assert len((await client.get("/v1/plans", headers=support_headers)).json()["data"]) == 2


async def test_other_terms_are_another_version(client: httpx.AsyncClient, admin_headers: Headers) -> None:
    await client.post("/v1/meters", json=METER, headers=admin_headers)
    plan = await made(client, admin_headers, charges=[CHARGE])
    url = f"/v1/plans/{plan['id']}"
    unchanged = await client.put(url, json=plan, headers=admin_headers)
    assert unchanged.status_code == 200, unchanged.text
    assert (unchanged.json()["data"]["version"], unchanged.headers["etag"]) == (1, '"1"')
    renamed = (await client.put(url, json={"name": "Pro+"}, headers=admin_headers)).json()["data"]
    assert (renamed["version"], renamed["revision"]) == (1, 2)
    dearer = (await client.put(url, json={"price": "39.9"}, headers=admin_headers)).json()["data"]
    assert (dearer["version"], dearer["price"]) == (2, 39.9)
    assert [charge["code"] for charge in dearer["charges"]] == ["calls"]
    assert dearer["charges"][0]["id"] != plan["charges"][0]["id"]
    bare = (await client.put(url, json={"charges": []}, headers=admin_headers)).json()["data"]
    assert (bare["version"], bare["charges"]) == (3, [])
    refused = await client.put(url, json={"version": 9}, headers=admin_headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "read_only")
    stale = await client.put(url, json={"name": "X"}, headers={**admin_headers, "If-Match": '"1"'})
    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"price": "29.999"}, "price"),
        ({"price": -1}, "price"),
        ({"price": True}, "price"),
        ({"currency": "JPY"}, "price"),
        ({"minimum": "0.001"}, "minimum"),
        ({"billing_cycle": "daily"}, "billing_cycle"),
        ({"trial_period_days": 4000}, "trial_period_days"),
        ({"features": {"api_calls": 1000}}, "features.api_calls"),
        ({"features": {"api_calls": {"limit": "many"}}}, "features.api_calls.limit"),
        ({"features": {"api_calls": {"limit": 1, "overage": "maybe"}}}, "features.api_calls.overage"),
        ({"settings": {"billing_day": 15}}, "settings.billing_day"),
        ({"charges": [{**CHARGE, "meter": "other"}]}, "charges[0].meter"),
        ({"charges": [CHARGE, CHARGE]}, "charges[1].code"),
        ({"charges": [{**CHARGE, "charge_model": "magic"}]}, "charges[0].charge_model"),
        ({"charges": [{**CHARGE, "properties": {}}]}, "charges[0].properties.tiers"),
        ({"charges": [{**CHARGE, "filters": {"region": []}}]}, "charges.0.filters.region"),
        ({"charges": [{**CHARGE, "filters": {"a b": ["x"]}}]}, "charges[0].filters"),
        ({"charges": [{**CHARGE, "group_by": ["a b"]}]}, "charges[0].group_by"),
        ({"charges": [{**CHARGE, "group_by": ["a", "a"]}]}, "charges[0].group_by"),
        ({"charges": [{**CHARGE, "group_by": ["a", "b", "c", "d", "e", "f"]}]}, "charges.0.group_by"),
        (
            {"charges": [{**CHARGE, "adjustments": {"minimum_amount": "0.001"}}]},
            "charges[0].adjustments.minimum_amount",
        ),
    ],
)
async def test_what_cannot_be_billed_is_refused_by_name(
    client: httpx.AsyncClient, admin_headers: Headers, fields: dict[str, Any], named: str
) -> None:
    await client.post("/v1/meters", json=METER, headers=admin_headers)
    answer = await client.post("/v1/plans", json={**PLAN, **fields}, headers=admin_headers)
    assert answer.status_code == 422, answer.text
    assert named in answer.json()["details"]
    assert (await client.get("/v1/plans")).json()["data"] == []


async def test_codes_are_taken_once_and_given_where_missing(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    first = await made(client, admin_headers)
    again = await client.post("/v1/plans", json=PLAN, headers=admin_headers)
    assert (again.status_code, again.json()["code"]) == (409, "plan_code_taken")
    other = await made(client, admin_headers, code=None)
    assert other["code"] == f"plan-{other['id']}"
    moved = await client.put(f"/v1/plans/{other['id']}", json={"code": "pro"}, headers=admin_headers)
    assert (moved.status_code, moved.json()["code"]) == (409, "plan_code_taken")
    assert first["code"] == "pro"


async def test_only_the_catalogs_keepers_write(
    client: httpx.AsyncClient, support_headers: Headers, customer: Callable[..., Awaitable[Customer]]
) -> None:
    someone = await customer()
    for path, body in (("/v1/plans", PLAN), ("/v1/meters", METER), ("/v1/services", {"name": "X"})):
        assert (await client.post(path, json=body)).status_code == 401
        for headers, status in ((support_headers, 403), (someone.headers, 404)):
            assert (await client.post(path, json=body, headers=headers)).status_code == status
    assert (await client.get("/v1/plans/0")).status_code == 404
    assert (await client.get("/v1/plans/99999999999999")).status_code == 404
    assert (await client.get("/v1/plans/77")).status_code == 404


async def test_meters(client: httpx.AsyncClient, admin_headers: Headers) -> None:
    body = {
        "code": "gb", "aggregation": "max", "field": "size", "filters": {"region": ["eu", "us"]}, "unit": "GB",
    }  # fmt: skip
    answer = await client.post("/v1/meters", json=body, headers=admin_headers)
    assert answer.status_code == 201, answer.text
    meter = answer.json()["data"]
    assert {name: meter[name] for name in body} == body
    again = await client.post("/v1/meters", json=body, headers=admin_headers)
    assert (again.status_code, again.json()["code"]) == (409, "meter_code_taken")
    listed = (await client.get("/v1/meters", headers=admin_headers)).json()["data"]
    assert [each["code"] for each in listed] == ["gb", "service:Database Hosting"]
    for bad, named in (
        ({"aggregation": "unique"}, "field"),
        ({"aggregation": "mean"}, "aggregation"),
        ({"aggregation": "percentile"}, "percentile"),
        ({"aggregation": "percentile", "percentile": 0}, "percentile"),
        ({"aggregation": "percentile", "percentile": 101}, "percentile"),
        ({"aggregation": "max", "percentile": 95}, "percentile"),
        ({"aggregation": "max", "recurring": True}, "recurring"),
        ({"aggregation": "percentile", "percentile": 95, "recurring": True}, "recurring"),
        ({"aggregation": "count", "field": "x"}, "field"),
        ({"aggregation": "sum", "code": "service:X"}, "code"),
        ({"aggregation": "sum", "filters": {"region": []}}, "filters.region"),
    ):
        refused = await client.post("/v1/meters", json={"code": "m", **bad}, headers=admin_headers)
        assert refused.status_code == 422, refused.text
        assert named in refused.json()["details"]


async def test_a_recurring_meter_and_a_grouped_charge_come_back_as_sent(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    body = {"code": "seats", "aggregation": "unique", "field": "user", "recurring": True}
    meter = (await client.post("/v1/meters", json=body, headers=admin_headers)).json()["data"]
    assert {name: meter[name] for name in body} == body
    assert meter["percentile"] is None
    body = {"code": "p95", "aggregation": "percentile", "percentile": 95}
    meter = (await client.post("/v1/meters", json=body, headers=admin_headers)).json()["data"]
    assert (meter["percentile"], meter["recurring"]) == (95, False)
    charge = {**CHARGE, "meter": "seats", "filters": {"region": ["eu", "us"]}, "group_by": ["tier", "region"]}
    plan = await made(client, admin_headers, charges=[charge])
    assert plan["charges"][0]["filters"] == charge["filters"]
    assert plan["charges"][0]["group_by"] == charge["group_by"]
    same = await client.put(f"/v1/plans/{plan['id']}", json=plan, headers=admin_headers)
    assert same.json()["data"]["version"] == 1


@pytest.mark.parametrize(
    ("meter", "charge"),
    [
        ({"aggregation": "max"}, {"charge_model": "dynamic", "properties": {}}),
        ({"aggregation": "count"}, {"charge_model": "dynamic", "properties": {}}),
        (
            {"aggregation": "average"},
            {"charge_model": "percentage", "properties": {"rate": "1", "fixed_amount": "0.1"}},
        ),
        (
            {"aggregation": "sum", "recurring": True},
            {"charge_model": "percentage", "properties": {"rate": "1", "free_events": 3}},
        ),
    ],
)
async def test_a_model_that_prices_events_needs_a_meter_that_adds_them(
    client: httpx.AsyncClient, admin_headers: Headers, meter: dict[str, Any], charge: dict[str, Any]
) -> None:
    await client.post("/v1/meters", json={"code": "odd", **meter}, headers=admin_headers)
    plan = {**PLAN, "charges": [{**CHARGE, "meter": "odd", **charge}]}
    refused = await client.post("/v1/plans", json=plan, headers=admin_headers)
    assert refused.status_code == 422, refused.text
    assert "charges[0].charge_model" in refused.json()["details"]


async def test_every_database_allows_database_hosting(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    listed = (await client.get("/v1/services", headers=admin_headers)).json()["data"]
    assert [(each["name"], each["meter"]) for each in listed] == [
        ("Database Hosting", "service:Database Hosting")
    ]
    added = await client.post("/v1/services", json={"name": "Object Storage"}, headers=admin_headers)
    assert added.status_code == 201
    assert added.json()["data"]["meter"] == "service:Object Storage"
    again = await client.post("/v1/services", json={"name": "Object Storage"}, headers=admin_headers)
    assert (again.status_code, again.json()["code"]) == (409, "service_exists")


async def test_a_development_database_is_born_with_the_two_plans(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    for expected in (True, False):
        async with database_of(app).write() as session:
            assert await seed.development(session) is expected
    first, second = (await client.get("/v1/plans")).json()["data"]
    assert (first["id"], first["name"], first["trial_period_days"]) == (1, "Basic Trial", 30)
    assert first["features"] == {"api_calls": {"limit": 1000}, "storage": {"limit": "1GB"}}
    assert (second["id"], second["price"], second["currency"], second["billing_cycle"]) == (
        2, 29.99, "USD", "monthly",
    )  # fmt: skip
