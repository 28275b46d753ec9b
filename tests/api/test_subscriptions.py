"""Subscriptions over HTTP: start, read, end, on a clock that stands still."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

from tallystick.accounts import invariants as account_invariants
from tallystick.catalog import invariants as catalog_invariants
from tallystick.subscriptions import invariants as subscription_invariants

Headers = dict[str, str]
PLAN: dict[str, Any] = {"name": "Pro", "price": "29.99", "currency": "USD"}
METER = {"code": "api", "aggregation": "sum"}
CHARGE = {"code": "calls", "meter": "api", "charge_model": "standard", "properties": {"unit_amount": "0.01"}}


class World:
    """One account on a clock frozen at 31 January 2024, 09:00 in Berlin."""

    def __init__(self, client: httpx.AsyncClient, headers: Headers) -> None:
        self.client, self.headers = client, headers

    async def open(self, **fields: Any) -> str:
        body = {"frozen_time": "2024-01-31T08:00:00Z"}
        clock = (await self.post("/v1/test-clocks", body))["id"]
        account = {"name": "A", "timezone": "Europe/Berlin", "test_clock_id": clock, **fields}
        opened = await self.post("/v1/accounts", account)
        self.account_id: str = opened["id"]
        return self.account_id

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post(path, json=body, headers=self.headers)
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def plan(self, **fields: Any) -> int:
        made: int = (await self.post("/v1/plans", {**PLAN, **fields}))["id"]
        return made

    async def start(self, plan_id: int, **fields: Any) -> dict[str, Any]:
        return await self.post(
            "/v1/subscriptions/", {"account_id": self.account_id, "plan_id": plan_id, **fields}
        )

    async def end(self, subscription_id: str, **params: Any) -> httpx.Response:
        return await self.client.delete(
            f"/v1/subscriptions/{subscription_id}", params=params, headers=self.headers
        )


@pytest.fixture
async def world(client: httpx.AsyncClient, admin_headers: Headers) -> World:
    made = World(client, admin_headers)
    await made.open()
    return made


async def sound(app: FastAPI) -> None:
    """No context's invariants are broken."""
    async with database_of(app).read() as session:
        for part in (account_invariants, catalog_invariants, subscription_invariants):
            for name, statement in part.INVARIANTS.items():
                assert await session.fetch(statement) == [], name


async def test_a_subscription_starts_now_and_its_fee_is_due_now(app: FastAPI, world: World) -> None:
    plan_id = await world.plan(features={"api_calls": {"limit": 1000}})
    made = await world.start(plan_id)
    assert set(made) == {
        "id", "account_id", "user_id", "plan_id", "status", "quantity", "currency", "start_date", "trial_end", "end_date",
        "canceled_at", "current_period_start", "current_period_end", "next_billing_at", "plan", "revision", "created_at",
        "updated_at",
    }  # fmt: skip
    assert (made["plan_id"], made["status"], made["end_date"]) == (plan_id, "active", None)
    assert made["start_date"] == made["next_billing_at"] == "2024-01-31T08:00:00Z"
    assert made["current_period_end"] == "2024-02-28T23:00:00Z"
    assert made["plan"]["features"] == {"api_calls": {"limit": 1000}}
    got = await world.client.get(f"/v1/subscriptions/{made['id']}", headers=world.headers)
    assert got.json()["data"] == made
    await sound(app)


@pytest.mark.parametrize(
    ("fields", "period", "due"),
    [
        # fee in arrears: the period's end, no delay
        ({"billing_timing": "arrears"}, "2024-02-28T23:00:00Z", "2024-02-28T23:00:00Z"),
        # charges in arrears close an hour later, but the first fee does not wait
        ({"charges": [CHARGE]}, "2024-02-28T23:00:00Z", "2024-01-31T08:00:00Z"),
        ({"charges": [CHARGE], "billing_timing": "arrears"}, "2024-02-28T23:00:00Z", "2024-02-29T00:00:00Z"),
        ({"alignment": "calendar"}, "2024-01-31T23:00:00Z", "2024-01-31T08:00:00Z"),
        (
            {"alignment": "calendar", "settings": {"billing_day": 15}},
            "2024-02-14T23:00:00Z",
            "2024-01-31T08:00:00Z",
        ),
        ({"billing_cycle": "weekly"}, "2024-02-06T23:00:00Z", "2024-01-31T08:00:00Z"),
        ({"billing_cycle": "yearly"}, "2025-01-30T23:00:00Z", "2024-01-31T08:00:00Z"),
        # a plan's trial is free; paid periods count from its end
        ({"trial_period_days": 30}, "2024-03-01T08:00:00Z", "2024-03-01T08:00:00Z"),
    ],
)
async def test_periods_and_due_instants_follow_the_plan(
    app: FastAPI, world: World, fields: dict[str, Any], period: str, due: str
) -> None:
    await world.post("/v1/meters", METER)
    made = await world.start(await world.plan(**fields))
    assert (made["current_period_end"], made["next_billing_at"]) == (period, due)
    await sound(app)


async def test_a_start_may_lie_in_the_past_and_dates_are_the_accounts(world: World) -> None:
    made = await world.start(await world.plan(), start_date="2023-11-15", quantity="2.5")
    assert made["start_date"] == "2023-11-14T23:00:00Z"
    assert made["next_billing_at"] == "2023-11-14T23:00:00Z"
    assert made["current_period_start"] == "2024-01-14T23:00:00Z"
    assert made["quantity"] == 2.5
    ahead = await world.start(await world.plan(), start_date="2024-06-01T00:00:00+02:00")
    assert ahead["current_period_start"] == ahead["start_date"] == "2024-05-31T22:00:00Z"


@pytest.mark.parametrize(
    ("fields", "status", "named"),
    [
        ({"plan_id": 0}, 422, "plan_id"),
        ({"plan_id": "1"}, 422, "plan_id"),
        ({"plan_id": True}, 422, "plan_id"),
        ({"quantity": 0}, 422, "quantity"),
        ({"quantity": -1}, 422, "quantity"),
        ({"start_date": "2024-01-31T08:00:00"}, 422, "start_date"),
        ({"start_date": "2024-02-30"}, 422, "start_date"),
        ({"start_date": 1}, 422, "start_date"),
        ({"coupon": "x"}, 422, "coupon"),
        ({"account_id": "acc_unknown"}, 404, None),
        ({"plan_id": 77}, 404, None),
    ],
)
async def test_a_bad_start_is_refused_by_name(
    world: World, fields: dict[str, Any], status: int, named: str | None
) -> None:
    body = {"account_id": world.account_id, "plan_id": await world.plan(), **fields}
    answer = await world.client.post("/v1/subscriptions", json=body, headers=world.headers)
    assert answer.status_code == status, answer.text
    if named:
        assert set(answer.json()["details"]) == {named}
    listed = await world.client.get("/v1/subscriptions", headers=world.headers)
    assert listed.json()["data"] == []


async def test_an_inactive_plan_takes_nobody_and_running_ones_stay_on_their_version(world: World) -> None:
    plan_id = await world.plan()
    first = await world.start(plan_id)
    await world.client.put(f"/v1/plans/{plan_id}", json={"price": 39}, headers=world.headers)
    second = await world.start(plan_id)
    assert (first["plan"]["version"], second["plan"]["version"]) == (1, 2)
    got = await world.client.get(f"/v1/subscriptions/{first['id']}", headers=world.headers)
    assert got.json()["data"]["plan"]["version"] == 1
    await world.client.put(f"/v1/plans/{plan_id}", json={"is_active": False}, headers=world.headers)
    body = {"account_id": world.account_id, "plan_id": plan_id}
    refused = await world.client.post("/v1/subscriptions", json=body, headers=world.headers)
    assert (refused.status_code, refused.json()["code"]) == (404, "plan_not_found")


@pytest.mark.parametrize(
    ("when", "status", "end"),
    [
        (None, "active", "2024-02-28T23:00:00Z"),
        ("period_end", "active", "2024-02-28T23:00:00Z"),
        ("2024-02-10", "active", "2024-02-09T23:00:00Z"),
        ("2024-02-10T12:00:00Z", "active", "2024-02-10T12:00:00Z"),
        ("now", "canceled", "2024-01-31T08:00:00Z"),
    ],
)
async def test_a_subscription_ends_now_at_its_period_or_on_a_date(
    app: FastAPI, world: World, when: str | None, status: str, end: str
) -> None:
    made = await world.start(await world.plan())
    answer = await world.end(made["id"], **({"when": when} if when else {}))
    assert answer.status_code == 200, answer.text
    ended = answer.json()["data"]
    assert (ended["status"], ended["end_date"], ended["canceled_at"]) == (status, end, "2024-01-31T08:00:00Z")
    assert ended["revision"] == 2
    await sound(app)


async def test_a_scheduled_end_can_be_moved_an_end_that_has_come_stands(app: FastAPI, world: World) -> None:
    made = await world.start(await world.plan())
    await world.end(made["id"])
    moved = (await world.end(made["id"], when="2024-02-10")).json()["data"]
    assert moved["end_date"] == "2024-02-09T23:00:00Z"
    assert (await world.end(made["id"], when="now")).json()["data"]["status"] == "canceled"
    again = await world.end(made["id"], when="now")
    assert (again.status_code, again.json()["code"]) == (409, "subscription_ended")
    early = await world.start(await world.plan())
    before = await world.end(early["id"], when="2024-01-01")
    assert (before.status_code, before.json()["code"]) == (422, "before_start")
    for bad in ("yesterday", "2024-02-30", "2024-02-10T12:00:00", ""):
        assert (await world.end(early["id"], when=bad)).status_code == 422
    async with database_of(app).read() as session:
        history = await session.fetch(
            "SELECT event FROM subscription_events WHERE subscription_id = $1 ORDER BY id", made["id"]
        )
    assert [row["event"] for row in history] == ["started", "end_scheduled", "end_scheduled", "ended"]
    await sound(app)


async def test_an_end_in_the_trial_costs_nothing(app: FastAPI, world: World) -> None:
    made = await world.start(await world.plan(trial_period_days=30))
    assert made["trial_end"] == "2024-03-01T08:00:00Z"
    ended = (await world.end(made["id"], when="now")).json()["data"]
    assert ended["next_billing_at"] is None
    await sound(app)


async def test_a_new_zone_applies_from_the_next_boundary(world: World) -> None:
    made = await world.start(await world.plan(), start_date="2024-01-15")
    assert made["current_period_end"] == "2024-02-14T23:00:00Z"
    moved = await world.client.put(
        f"/v1/accounts/{world.account_id}", json={"timezone": "America/New_York"}, headers=world.headers
    )
    assert moved.status_code == 200
    url = f"/v1/subscriptions/{made['id']}"
    got = (await world.client.get(url, headers=world.headers)).json()["data"]
    assert got["current_period_end"] == "2024-02-14T23:00:00Z"
    ahead = await world.start(await world.plan(), start_date="2024-01-15")
    assert ahead["start_date"] == "2024-01-15T05:00:00Z"
    ended = await world.end(made["id"], when="2024-02-10")
    assert ended.json()["data"]["end_date"] == "2024-02-10T05:00:00Z"


async def test_customers_see_their_own_and_change_nothing(
    client: httpx.AsyncClient, world: World, customer: Callable[..., Awaitable[Customer]]
) -> None:
    mine, other = await customer(), await customer()
    plan_id = await world.plan()
    made = await world.start(plan_id, account_id=mine.account_id)
    assert made["user_id"] == mine.user_id
    theirs = await world.start(plan_id, account_id=other.account_id)
    listed = (await client.get("/v1/subscriptions", headers=mine.headers)).json()["data"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert (await client.get(f"/v1/subscriptions/{theirs['id']}", headers=mine.headers)).status_code == 404
    params = {"account_id": other.account_id}
    assert (await client.get("/v1/subscriptions", params=params, headers=mine.headers)).status_code == 404
    body = {"account_id": mine.account_id, "plan_id": plan_id}
    assert (await client.post("/v1/subscriptions", json=body, headers=mine.headers)).status_code == 404
    assert (await client.delete(f"/v1/subscriptions/{made['id']}", headers=mine.headers)).status_code == 404
    assert (await client.get("/v1/subscriptions")).status_code == 401
    narrowed = await client.get(
        "/v1/subscriptions", params={"account_id": mine.account_id, "plan_id": plan_id}, headers=world.headers
    )
    assert [each["id"] for each in narrowed.json()["data"]] == [made["id"]]
    unknown = "/v1/subscriptions/018f0000-0000-7000-8000-000000000000"
    assert (await client.get(unknown, headers=world.headers)).status_code == 404
    assert (await client.get("/v1/subscriptions/x", headers=world.headers)).status_code == 404


async def test_lists_page_through(world: World) -> None:
    plan_id = await world.plan()
    made = [(await world.start(plan_id))["id"] for _ in range(3)]
    first = await world.client.get("/v1/subscriptions", params={"limit": 2}, headers=world.headers)
    cursor = first.json()["meta"]["next_cursor"]
    rest = await world.client.get("/v1/subscriptions", params={"cursor": cursor}, headers=world.headers)
    seen = [each["id"] for each in first.json()["data"] + rest.json()["data"]]
    assert seen == sorted(made, reverse=True)


async def test_what_cannot_be_credited_is_refused_and_nothing_ends(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    answer = await client.delete(
        "/v1/subscriptions/0197a000-0000-7000-8000-000000000000",
        params={"credit": "refund"},
        headers=admin_headers,
    )
    assert (answer.status_code, set(answer.json()["details"])) == (422, {"credit"})
