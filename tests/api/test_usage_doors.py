"""Usage by internal teams, to the letter of CONTRACT §5."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from support import database_of

USAGE = {"service": "Database Hosting", "units_consumed": 58, "price_per_unit": 0.05}


@pytest.fixture
async def key(service_key: Callable[[list[str]], Awaitable[dict[str, str]]]) -> dict[str, str]:
    return await service_key(["usage:write"])


@pytest.fixture
async def customer_id(client: httpx.AsyncClient, key: dict[str, str]) -> str:
    answer = await client.post(
        "/api/v1/customers", json={"customer_name": "A test customer name"}, headers=key
    )
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"customer"}
    assert set(answer.json()["customer"]) >= {"id", "name"}
    assert answer.json()["customer"]["name"] == "A test customer name"
    return str(answer.json()["customer"]["id"])


async def count(app: FastAPI) -> int:
    async with database_of(app).read() as session:
        return int(await session.fetchval("SELECT count(*) FROM usage_events"))


@pytest.mark.parametrize("mount", ["/api/v1", "/api/internal"])
async def test_usage_is_recorded_to_the_letter(
    app: FastAPI, client: httpx.AsyncClient, key: dict[str, str], customer_id: str, mount: str
) -> None:
    answer = await client.post(f"{mount}/customers/{customer_id}/usage", json=USAGE, headers=key)
    assert answer.status_code == 201, answer.text
    usage = answer.json()["usage"]
    assert usage == {"id": usage["id"], "customer_id": customer_id, **USAGE}
    assert UUID(usage["id"])
    assert '"price_per_unit":0.05' in answer.text
    async with database_of(app).read() as session:
        row = await session.fetchrow("SELECT quantity, unit_price FROM usage_events")
    assert row is not None
    assert (row["quantity"], str(row["unit_price"])) == (58, "0.05")


async def test_a_customer_is_an_account_in_the_default_currency(
    client: httpx.AsyncClient, customer_id: str, admin_headers: dict[str, str]
) -> None:
    account = (await client.get(f"/v1/accounts/{customer_id}", headers=admin_headers)).json()["data"]
    assert (account["currency"], account["email"], account["name"]) == ("USD", None, "A test customer name")


@pytest.mark.parametrize(
    ("headers", "extra"),
    [
        ({"Idempotency-Key": "k1"}, {}),
        ({}, {"request_id": "r1"}),
        ({"X-Request-Id": "x1"}, {}),
        ({"Idempotency-Key": "k1", "X-Request-Id": "x1"}, {"request_id": "r1"}),
    ],
)
async def test_a_retry_answers_the_same_record_and_charges_nothing(
    app: FastAPI, client: httpx.AsyncClient, key: dict[str, str], customer_id: str, headers: dict[str, str], extra: dict[str, str]
) -> None:  # fmt: skip
    path = f"/api/v1/customers/{customer_id}/usage"
    first = await client.post(path, json={**USAGE, **extra}, headers=key | headers)
    again = await client.post(
        path.replace("/v1/", "/internal/"), json={**USAGE, **extra}, headers=key | headers
    )
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert await count(app) == 1
    other = await client.post(path, json={**USAGE, **extra, "units_consumed": 59}, headers=key | headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await count(app) == 1


async def test_the_first_identity_present_wins(
    app: FastAPI, client: httpx.AsyncClient, key: dict[str, str], customer_id: str
) -> None:
    path = f"/api/v1/customers/{customer_id}/usage"

    async def post(idempotency: str, request: str) -> int:
        headers = key | {"Idempotency-Key": idempotency}
        return (await client.post(path, json={**USAGE, "request_id": request}, headers=headers)).status_code

    assert [await post("k1", "r1"), await post("k1", "r2"), await post("k2", "r1")] == [201, 200, 201]
    assert await count(app) == 2


async def test_an_id_that_we_made_identifies_nothing(
    app: FastAPI, client: httpx.AsyncClient, key: dict[str, str], customer_id: str
) -> None:
    path = f"/api/v1/customers/{customer_id}/usage"
    ids = {(await client.post(path, json=USAGE, headers=key)).json()["usage"]["id"] for _ in range(2)}
    unfit = {**key, "X-Request-Id": "not fit for a log line"}
    ids |= {(await client.post(path, json=USAGE, headers=unfit)).json()["usage"]["id"] for _ in range(2)}
    assert len(ids) == await count(app) == 4


async def test_identities_are_per_principal_and_customer(
    app: FastAPI,
    client: httpx.AsyncClient,
    key: dict[str, str],
    customer_id: str,
    admin_headers: dict[str, str],
) -> None:
    second = (await client.post("/api/v1/customers", json={"customer_name": "B"}, headers=key)).json()[
        "customer"
    ]["id"]
    one = {"Idempotency-Key": "k1"}
    for headers, customer in ((key, customer_id), (admin_headers, customer_id), (key, second)):
        answer = await client.post(f"/api/v1/customers/{customer}/usage", json=USAGE, headers=headers | one)
        assert answer.status_code == 201
    assert await count(app) == 3


async def test_a_hundred_retries_at_once_record_one(
    app: FastAPI, client: httpx.AsyncClient, key: dict[str, str], customer_id: str
) -> None:
    path, headers = f"/api/v1/customers/{customer_id}/usage", key | {"Idempotency-Key": "race"}
    answers = await asyncio.gather(*(client.post(path, json=USAGE, headers=headers) for _ in range(100)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 99}
    assert len({answer.json()["usage"]["id"] for answer in answers}) == 1
    assert await count(app) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"service": "Mining"}, {"service": 5}, {"service": ""}, {"units_consumed": -1}, {"units_consumed": "many"},
        {"units_consumed": True}, {"units_consumed": None}, {"units_consumed": [1]}, {"price_per_unit": -0.01},
        {"price_per_unit": "free"}, {"price_per_unit": 1e30}, {"price_per_unit": 0.0000000000001}, {"surprise": 1},
        {"request_id": ""},
    ],
)  # fmt: skip
async def test_bad_usage_is_a_422(
    app: FastAPI, client: httpx.AsyncClient, key: dict[str, str], customer_id: str, change: dict[str, Any]
) -> None:
    answer = await client.post(f"/api/v1/customers/{customer_id}/usage", json=USAGE | change, headers=key)
    assert answer.status_code == 422, answer.text
    assert answer.json()["success"] is False
    assert list(answer.json()["details"]) == list(change)
    assert await count(app) == 0


@pytest.mark.parametrize("field", list(USAGE))
async def test_every_field_is_needed(
    client: httpx.AsyncClient, key: dict[str, str], customer_id: str, field: str
) -> None:
    body = {name: value for name, value in USAGE.items() if name != field}
    answer = await client.post(f"/api/v1/customers/{customer_id}/usage", json=body, headers=key)
    assert (answer.status_code, list(answer.json()["details"])) == (422, [field])


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e400"])
async def test_what_is_no_number_is_refused(
    client: httpx.AsyncClient, key: dict[str, str], customer_id: str, number: bytes
) -> None:
    body = b'{"service":"Database Hosting","units_consumed":' + number + b',"price_per_unit":1}'
    headers = {**key, "Content-Type": "application/json"}
    answer = await client.post(f"/api/v1/customers/{customer_id}/usage", content=body, headers=headers)
    assert answer.status_code in (400, 422)


async def test_who_may_and_for_whom(
    client: httpx.AsyncClient, key: dict[str, str], admin_headers: dict[str, str], support_headers: dict[str, str], customer_id: str
) -> None:  # fmt: skip
    path = f"/api/v1/customers/{customer_id}/usage"
    assert (await client.post(path, json=USAGE)).status_code == 401
    assert (await client.post(path, json=USAGE, headers=support_headers)).status_code == 403
    assert (await client.post(path, json=USAGE, headers=admin_headers)).status_code == 201
    assert (
        await client.post("/api/v1/customers/acc_nobody/usage", json=USAGE, headers=key)
    ).status_code == 404
    assert (
        await client.post("/api/v1/customers", json={"customer_name": " "}, headers=key)
    ).status_code == 422
    assert (await client.post("/api/v1/customers", json={}, headers=key)).status_code == 422
    assert (await client.post("/api/v1/customers", json={"customer_name": 5}, headers=key)).status_code == 422


async def test_the_python_clients_text_price_is_a_number_all_the_same(
    client: httpx.AsyncClient, key: dict[str, str], customer_id: str
) -> None:
    body = {**USAGE, "price_per_unit": "0.05"}
    answer = await client.post(f"/api/v1/customers/{customer_id}/usage", json=body, headers=key)
    assert answer.json()["usage"]["price_per_unit"] == 0.05
