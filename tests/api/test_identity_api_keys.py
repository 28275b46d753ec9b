"""API keys over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import database_of

from tallystick.kernel.clock import rfc3339
from tallystick.platform.edge import system_now

BODY = {"name": "metering gateway", "scopes": ["events:write", "usage:write"]}


async def make(client: httpx.AsyncClient, headers: dict[str, str], **fields: Any) -> httpx.Response:
    return await client.post("/v1/api-keys", json={**BODY, **fields}, headers=headers)


async def test_a_key_is_shown_once_and_works(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    answer = await make(client, admin_headers)
    assert answer.status_code == 201
    data = answer.json()["data"]
    assert data["key"].startswith("tsk_")
    assert len(data["key"]) == 47
    assert data["scopes"] == ["events:write", "usage:write"]
    listed = await client.get("/v1/api-keys", headers=admin_headers)
    assert data["key"] not in listed.text
    assert listed.json()["data"][0]["hint"] == data["key"][:8]
    assert listed.json()["meta"] == {"next_cursor": None, "has_more": False}
    for headers in ({"X-Api-Key": data["key"]}, {"Authorization": f"Bearer {data['key']}"}):
        forbidden = await client.get("/v1/auth/me", headers=headers)
        assert (forbidden.status_code, forbidden.json()["code"]) == (403, "forbidden")
    async with database_of(app).read() as session:
        row = await session.fetchrow("SELECT key_hash, created_by FROM api_keys")
        audit = await session.fetch(
            "SELECT action, after::text AS after FROM audit_log WHERE object_type = 'api_key'"
        )
    assert row is not None
    assert row["created_by"] is not None
    assert data["key"].encode() not in row["key_hash"]
    assert [each["action"] for each in audit] == ["api_key.created"]
    assert data["key"] not in audit[0]["after"]


async def test_a_key_may_what_its_scopes_say(
    client: httpx.AsyncClient, service_key: Callable[[Sequence[str]], Awaitable[dict[str, str]]]
) -> None:
    estimate = {
        "charge_model": "standard",
        "properties": {"unit_amount": "0.05"},
        "currency": "USD",
        "units": 58,
    }
    may, may_not = await service_key(["rating:estimate"]), await service_key(["usage:write"])
    assert (await client.post("/v1/rating/estimate", json=estimate, headers=may)).status_code == 200
    assert (await client.post("/v1/rating/estimate", json=estimate, headers=may_not)).status_code == 403
    assert (await client.post("/v1/rating/estimate", json=estimate)).status_code == 401


async def test_a_deleted_key_ends(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    data = (await make(client, admin_headers)).json()["data"]
    gone = await client.delete(f"/v1/api-keys/{data['id']}", headers=admin_headers)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.delete(f"/v1/api-keys/{data['id']}", headers=admin_headers)).status_code == 404
    assert (await client.get("/v1/api-keys", headers=admin_headers)).json()["data"] == []
    answer = await client.get("/v1/auth/me", headers={"X-Api-Key": data["key"]})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_an_expired_key(app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    soon = rfc3339(system_now() + timedelta(seconds=1))
    data = (await make(client, admin_headers, expires_at=soon)).json()["data"]
    assert data["expires_at"] == soon
    await asyncio.sleep(1.2)
    answer = await client.get("/v1/auth/me", headers={"X-Api-Key": data["key"]})
    assert (answer.status_code, answer.json()["error"]) == (401, "Token expired")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"scopes": []}, "scopes"), ({"scopes": ["users:write"]}, "scopes"), ({"scopes": ["apikeys:write"]}, "scopes"),
        ({"scopes": ["canary"]}, "scopes"), ({"scopes": "usage:write"}, "scopes"), ({"scopes": ["usage:write"] * 51}, "scopes"),
        ({"name": ""}, "name"), ({"name": "x" * 201}, "name"), ({"name": 7}, "name"), ({"name": "a\x07b"}, "name"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"), ({"expires_at": 1}, "expires_at"), ({"key": "tsk_mine"}, "key"),
        ({"entity_id": 2}, "entity_id"), ({"id": 1}, "id"),
    ],
)  # fmt: skip
async def test_bad_fields_are_named_and_nothing_is_written(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], fields: dict[str, Any], named: str
) -> None:
    answer = await make(client, admin_headers, **fields)
    assert answer.status_code == 422
    assert any(place.startswith(named) for place in answer.json()["details"])
    assert "canary" not in answer.text
    async with database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM api_keys") == 0


async def test_only_an_admin(
    client: httpx.AsyncClient, finance_headers: dict[str, str], support_headers: dict[str, str]
) -> None:
    for headers in (finance_headers, support_headers):
        assert (await make(client, headers)).status_code == 403
        assert (await client.get("/v1/api-keys", headers=headers)).status_code == 403
        assert (await client.delete("/v1/api-keys/1", headers=headers)).status_code == 403
    assert (await make(client, {})).status_code == 401


async def test_a_replay_is_told_so_and_makes_no_second_key(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    headers = {**admin_headers, "Idempotency-Key": "k"}
    assert (await make(client, headers)).status_code == 201
    again = await make(client, headers)
    assert (again.status_code, again.json()["code"]) == (409, "already_issued")
    async with database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM api_keys") == 1


async def test_pages(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    made = [
        (await make(client, admin_headers, name=f"key {number}")).json()["data"]["id"] for number in range(5)
    ]
    seen: list[int] = []
    cursor = ""
    for _ in range(3):
        page = (await client.get(f"/v1/api-keys?limit=2{cursor}", headers=admin_headers)).json()
        seen += [row["id"] for row in page["data"]]
        cursor = f"&cursor={page['meta']['next_cursor']}"
    assert seen == made[::-1]
    assert page["meta"]["has_more"] is False
    for query in ("limit=0", "limit=201", "limit=x", "cursor=nonsense"):
        assert (await client.get(f"/v1/api-keys?{query}", headers=admin_headers)).status_code == 422


@pytest.mark.parametrize("path", ["0", "-1", "x", "99999999999999999999", "2147483648", "1.5", "٣"])
async def test_ids_that_cannot_be(
    client: httpx.AsyncClient, admin_headers: dict[str, str], path: str
) -> None:
    assert (await client.delete(f"/v1/api-keys/{path}", headers=admin_headers)).status_code in (404, 422)
