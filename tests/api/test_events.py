"""POST /v1/events, /v1/events/batch and void, from the outside (CONTRACT §8)."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

Key = Callable[[list[str]], Awaitable[dict[str, str]]]


@pytest.fixture
async def events_key(service_key: Key) -> dict[str, str]:
    return await service_key(["events:write", "events:read"])


@pytest.fixture
async def account(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> str:
    """An account's id; a meter `calls` exists."""
    meter = {"code": "calls", "name": "Calls", "aggregation": "sum", "unit": "call"}
    made = await client.post("/v1/meters", json=meter, headers=admin_headers)
    assert made.status_code == 201, made.text
    body = {"name": "Ada", "external_id": "customer-7"}
    answer = await client.post("/v1/accounts", json=body, headers=admin_headers)
    return str(answer.json()["data"]["id"])


def ago(**delta: float) -> str:
    return (datetime.now(UTC) - timedelta(**delta)).isoformat()


async def count(app: FastAPI) -> int:
    async with database_of(app).read() as session:
        return int(await session.fetchval("SELECT count(*) FROM usage_events"))


async def test_one_event_is_accepted_once(
    app: FastAPI, client: httpx.AsyncClient, account: str, events_key: dict[str, str]
) -> None:
    event = {"id": "e1", "account_id": account, "meter": "calls", "quantity": 2, "occurred_at": ago(hours=1)}
    first = await client.post("/v1/events", json=event, headers=events_key)
    assert (first.status_code, first.json()["data"]) == (
        201,
        {"id": "e1", "source": "", "status": "accepted"},
    )
    again = await client.post("/v1/events/", json=event, headers={**events_key, "Idempotency-Key": "ignored"})
    assert (again.status_code, again.json()["data"]["status"]) == (200, "duplicate")
    other = await client.post("/v1/events", json={**event, "quantity": 3}, headers=events_key)
    assert (other.status_code, other.json()["code"]) == (409, "event_conflict")
    assert await count(app) == 1


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"meter": "nothing"}, "unknown_meter", "meter"),
        ({"account_id": "acc_other"}, "unknown_account", "account_id"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "future", "occurred_at"),
        ({"occurred_at": "2001-01-01T00:00:00Z"}, "too_late", "occurred_at"),
        ({"occurred_at": "2024-01-01T00:00:00"}, "validation_failed", "occurred_at"),
        ({"quantity": -1}, "validation_failed", "quantity"),
        ({"quantity": 10**18}, "invalid_event", "quantity"),
        ({"quantity": "many"}, "validation_failed", "quantity"),
        ({"unit_price": "0.0000000000001"}, "invalid_event", "unit_price"),
        ({"properties": {"a": {}}}, "validation_failed", "properties"),
        ({"surprise": 1}, "validation_failed", "event"),
        ({"id": "x" * 256}, "validation_failed", "id"),
    ],
)
async def test_a_bad_event_is_refused_by_field(
    app: FastAPI, client: httpx.AsyncClient, account: str, events_key: dict[str, str], change: dict[str, Any], code: str, field: str
) -> None:  # fmt: skip
    event = {"id": "e1", "account_id": account, "meter": "calls", **change}
    answer = await client.post("/v1/events", json=event, headers=events_key)
    assert (answer.status_code, answer.json()["code"], list(answer.json()["details"])) == (422, code, [field])
    assert await count(app) == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"id":"a","meter":"calls","quantity":NaN}', 400), (b'{"id":"a","meter":"calls","quantity":1e400}', 400),
        (b'{"id":"a","id":"b","meter":"calls"}', 400), (b'{"id":"\\u0000","meter":"calls"}', 400),
        (b'{"id":"\xff","meter":"calls"}', 400), (b"{" * 9000, 400), (b"", 400), (b"[]", 422), (b'"x"', 422),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_a_400(
    client: httpx.AsyncClient, account: str, events_key: dict[str, str], content: bytes, status: int
) -> None:
    headers = {**events_key, "Content-Type": "application/json"}
    answer = await client.post("/v1/events", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert set(answer.json()) == {"success", "error", "code", "details", "request_id", "timestamp"}


async def test_the_hot_routes_keep_the_conventions(
    client: httpx.AsyncClient, account: str, events_key: dict[str, str], service_key: Key
) -> None:
    assert (await client.post("/v1/events", json={})).status_code == 401
    weak = await service_key(["events:read"])
    assert (await client.post("/v1/events", json={}, headers=weak)).status_code == 403
    assert (await client.post("/v1/events/batch", json=[], headers=weak)).status_code == 403
    form = await client.post(
        "/v1/events", content=b"a=1", headers={**events_key, "Content-Type": "text/plain"}
    )
    assert form.status_code == 415
    answer = await client.post("/v1/events", json={"id": "a"}, headers={**events_key, "X-Request-Id": "mine"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine"
    assert answer.headers["ratelimit-limit"]
    assert (await client.put("/v1/events", json={}, headers=events_key)).status_code == 405
    big = b'{"id":"' + b"x" * 2_000_000 + b'"}'
    assert (await client.post("/v1/events", content=big, headers=events_key)).status_code == 413


async def test_a_batch_keeps_the_good_and_names_the_bad(
    app: FastAPI, client: httpx.AsyncClient, account: str, events_key: dict[str, str]
) -> None:
    rows = [
        {"id": "a", "account_id": account, "meter": "calls"},
        {"id": "b", "external_id": "nobody", "meter": "calls"},
        {"id": "c", "meter": "calls", "quantity": -1, "account_id": account},
        {"id": "d", "account_id": account, "meter": "calls"},
        {"id": "a", "account_id": account, "meter": "calls"},
        {"id": "a", "account_id": account, "meter": "calls", "quantity": 7},
    ]
    answer = await client.post("/v1/events/batch", json=rows, headers=events_key)
    data = answer.json()["data"]
    assert answer.status_code == 200
    assert {name: data[name] for name in ("accepted", "duplicate", "conflict", "invalid")} == {
        "accepted": 2, "duplicate": 1, "conflict": 1, "invalid": 2,
    }  # fmt: skip
    assert [row["index"] for row in data["verdicts"]] == list(range(6))
    assert [row.get("reason") for row in data["verdicts"]] == [
        None, "unknown_account", "invalid_event", None, None, "event_conflict",
    ]  # fmt: skip
    assert data["verdicts"][2]["details"] == {
        "quantity": "must not be negative; put what may be negative into a property"
    }
    assert await count(app) == 2


async def test_ndjson_is_judged_line_by_line(
    app: FastAPI, client: httpx.AsyncClient, account: str, events_key: dict[str, str]
) -> None:
    good = json.dumps({"id": "a", "external_id": "customer-7", "meter": "calls"})
    text = f'{good}\n\nnot json\n{{"id":"b","id":"c"}}\n{good.replace("a", "z", 0)}\n'
    headers = {**events_key, "Content-Type": "application/x-ndjson"}
    answer = await client.post("/v1/events/batch", content=text.encode(), headers=headers)
    rows = answer.json()["data"]["verdicts"]
    assert [(row["line"], row["status"], row.get("reason")) for row in rows] == [
        (1, "accepted", None), (3, "invalid", "malformed_json"), (4, "invalid", "duplicate_key"), (5, "duplicate", None),
    ]  # fmt: skip
    assert await count(app) == 1


async def test_a_batch_may_be_larger_than_other_bodies_but_not_without_end(
    client: httpx.AsyncClient, account: str, events_key: dict[str, str]
) -> None:
    rows = [
        {"id": f"e{n}", "account_id": account, "meter": "calls", "properties": {"note": "x" * 100}}
        for n in range(10_000)
    ]
    assert len(json.dumps(rows)) > 1024 * 1024
    answer = await client.post("/v1/events/batch", json=rows, headers=events_key)
    assert (answer.status_code, answer.json()["data"]["accepted"]) == (200, 10_000)
    again = await client.post("/v1/events/batch", json=rows, headers=events_key)
    assert again.json()["data"]["duplicate"] == 10_000
    more = await client.post("/v1/events/batch", json=[*rows, rows[0]], headers=events_key)
    assert (more.status_code, more.json()["code"]) == (413, "batch_too_large")


async def test_a_backfill_needs_its_own_right(
    client: httpx.AsyncClient, account: str, events_key: dict[str, str], service_key: Key
) -> None:
    old = {"id": "old", "account_id": account, "meter": "calls", "occurred_at": "2019-03-01T00:00:00Z"}
    assert (await client.post("/v1/events", json=old, headers=events_key)).json()["code"] == "too_late"
    assert (await client.post("/v1/events?backfill=true", json=old, headers=events_key)).status_code == 403
    entitled = await service_key(["events:write", "events:backfill"])
    assert (await client.post("/v1/events?backfill=maybe", json=old, headers=entitled)).status_code == 422
    assert (await client.post("/v1/events?backfill=true", json=old, headers=entitled)).status_code == 201


async def test_a_void_is_safe_to_repeat(
    client: httpx.AsyncClient,
    account: str,
    events_key: dict[str, str],
    customer: Callable[..., Awaitable[Customer]],
) -> None:
    event = {"id": "a/b c", "source": "crm", "account_id": account, "meter": "calls"}
    assert (await client.post("/v1/events", json=event, headers=events_key)).status_code == 201
    path = "/v1/events/a%2Fb%20c/void?source=crm"
    for _ in range(2):
        answer = await client.post(path, json={"reason": "sent by mistake"}, headers=events_key)
        assert (answer.status_code, answer.json()["data"]["status"]) == (200, "void")
    assert (await client.post("/v1/events/a%2Fb%20c/void", headers=events_key)).status_code == 404
    someone = await customer()
    assert (await client.post(path, headers=someone.headers)).status_code == 404


async def test_what_became_of_an_event_is_told_to_whom_it_concerns(
    client: httpx.AsyncClient,
    account: str,
    events_key: dict[str, str],
    customer: Callable[..., Awaitable[Customer]],
) -> None:
    event = {"id": "a", "account_id": account, "meter": "calls", "quantity": "1.50", "properties": {"n": 1}}
    await client.post("/v1/events", json=event, headers=events_key)
    shown = (await client.get("/v1/events/a", headers=events_key)).json()["data"]
    assert (shown["account_id"], shown["meter"], shown["quantity"], shown["properties"]) == (
        account,
        "calls",
        1.5,
        {"n": 1},
    )
    someone = await customer()
    assert (await client.get("/v1/events/a", headers=someone.headers)).status_code == 404
    assert (await client.get("/v1/events/nothing", headers=events_key)).status_code == 404
