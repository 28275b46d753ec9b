"""Accounts over HTTP: CONTRACT §4 to the letter, on both mounts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

Headers = dict[str, str]
VIEW = {
    "id", "name", "email", "phone", "address", "currency", "timezone", "locale", "tax_id", "country", "external_id", "metadata",
    "status", "livemode", "test_clock_id", "opened_at", "closed_at", "revision", "created_at", "updated_at",
}  # fmt: skip


async def opened(client: httpx.AsyncClient, headers: Headers, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/accounts", json={"name": "Ada", **fields}, headers=headers)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


@pytest.mark.parametrize("mount", ["/v1/accounts", "/accounts", "/accounts/"])
async def test_an_account_is_created_on_both_mounts(
    client: httpx.AsyncClient, admin_headers: Headers, mount: str
) -> None:
    answer = await client.post(
        mount,
        json={
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "phone": "+49301234567",
            "address": "Dorfstr. 1",
        },
        headers=admin_headers,
    )
    assert answer.status_code == 201
    body = answer.json()
    assert (body["success"], body["message"]) == (True, "Account created")
    assert set(body["data"]) == VIEW
    assert body["data"]["timezone"] == "Europe/Berlin"
    assert body["data"]["currency"] == "USD"
    assert body["data"]["livemode"] is True
    got = await client.get(f"{mount.rstrip('/')}/{body['data']['id']}", headers=admin_headers)
    assert got.json()["data"] == body["data"]
    assert got.headers["etag"] == answer.headers["etag"]
    again = await client.get(
        f"/v1/accounts/{body['data']['id']}", headers={**admin_headers, "If-None-Match": got.headers["etag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("fields", "zone"),
    [
        ({"phone": "+81312345678"}, "Asia/Tokyo"),
        ({"phone": "+12125551234", "country": "FR"}, "Europe/Paris"),
        ({"phone": "030 1234567", "country": "DE"}, "Europe/Berlin"),
        ({"country": "ES"}, "UTC"),
        ({"phone": "+81312345678", "timezone": "America/Lima"}, "America/Lima"),
        ({}, "UTC"),
    ],
)
async def test_the_zone_comes_from_phone_then_country_then_utc(
    client: httpx.AsyncClient, admin_headers: Headers, fields: dict[str, str], zone: str
) -> None:
    assert (await opened(client, admin_headers, **fields))["timezone"] == zone


async def test_an_email_belongs_to_one_open_account_whatever_its_case(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    first = await opened(client, admin_headers, email="ada@example.com")
    answer = await client.post(
        "/v1/accounts", json={"name": "B", "email": "ADA@example.com"}, headers=admin_headers
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    other = await opened(client, admin_headers, email="bob@example.com")
    changed = await client.put(
        f"/v1/accounts/{other['id']}", json={"email": "Ada@Example.com"}, headers=admin_headers
    )
    assert (changed.status_code, changed.json()["code"]) == (409, "email_taken")
    same = await client.put(
        f"/v1/accounts/{first['id']}", json={"email": "Ada@example.com"}, headers=admin_headers
    )
    assert same.status_code == 200
    many = await asyncio.gather(
        *(
            client.post(
                "/v1/accounts", json={"name": "C", "email": "race@example.com"}, headers=admin_headers
            )
            for _ in range(4)
        )
    )
    assert sorted(each.status_code for each in many) == [201, 409, 409, 409]


async def test_an_external_id_is_taken_once(client: httpx.AsyncClient, admin_headers: Headers) -> None:
    await opened(client, admin_headers, external_id="crm-1")
    answer = await client.post(
        "/v1/accounts", json={"name": "B", "external_id": "crm-1"}, headers=admin_headers
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "external_id_taken")


async def test_put_changes_what_it_names(client: httpx.AsyncClient, admin_headers: Headers) -> None:
    account = await opened(client, admin_headers, email="ada@example.com", metadata={"tier": 1.50})
    url = f"/v1/accounts/{account['id']}"
    whole = await client.put(url, json={**account, "name": "Ada King"}, headers=admin_headers)
    assert whole.status_code == 200, whole.text
    assert whole.json()["data"]["name"] == "Ada King"
    assert whole.json()["data"]["email"] == "ada@example.com"
    assert whole.headers["etag"] == '"2"'
    repeated = await client.put(url, json={"name": "Ada King"}, headers=admin_headers)
    assert repeated.headers["etag"] == '"2"'
    cleared = await client.put(url, json={"email": None, "timezone": "Asia/Tokyo"}, headers=admin_headers)
    assert cleared.json()["data"]["email"] is None
    assert cleared.json()["data"]["timezone"] == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"currency": "EUR"}, 422, "read_only", "currency"),
        ({"id": "acc_other"}, 422, "read_only", "id"),
        ({"nonsense": 1}, 422, "invalid", "nonsense"),
        ({"name": None}, 422, "validation_failed", "name"),
        ({"timezone": "Mars/Olympus"}, 422, "validation_failed", "timezone"),
    ],
)
async def test_put_refuses_by_name(
    client: httpx.AsyncClient,
    admin_headers: Headers,
    change: dict[str, Any],
    status: int,
    code: str,
    field: str,
) -> None:
    account = await opened(client, admin_headers)
    answer = await client.put(f"/v1/accounts/{account['id']}", json=change, headers=admin_headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()["details"]) == {field}


async def test_if_match_names_the_revision_that_is_changed(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    account = await opened(client, admin_headers)
    url = f"/v1/accounts/{account['id']}"
    fits = await client.put(url, json={"name": "B"}, headers={**admin_headers, "If-Match": '"1"'})
    assert fits.status_code == 200
    stale = await client.put(url, json={"name": "C"}, headers={**admin_headers, "If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    foreign = await client.put(url, json={"name": "C"}, headers={**admin_headers, "If-Match": '"x"'})
    assert foreign.status_code == 412
    assert (await client.get(url, headers=admin_headers)).json()["data"]["name"] == "B"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "A", "email": "no-address"}, "email"),
        ({"name": "A", "phone": "call me"}, "phone"),
        ({"name": "A", "currency": "XXX"}, "currency"),
        ({"name": "A", "timezone": "../etc/passwd"}, "timezone"),
        ({"name": "A", "country": "XX"}, "country"),
        ({"name": "A", "locale": "x" * 50}, "locale"),
        ({"name": "A", "address": ["a"]}, "address"),
        ({"name": "A", "external_id": ""}, "external_id"),
        ({"name": "A", "metadata": []}, "metadata"),
        ({"name": "A", "test_clock_id": "x"}, "test_clock_id"),
        ({"name": "A", "vip": True}, "vip"),
    ],
)
async def test_a_bad_field_is_named_and_not_repeated(
    client: httpx.AsyncClient, admin_headers: Headers, fields: dict[str, Any], named: str
) -> None:
    answer = await client.post("/v1/accounts", json=fields, headers=admin_headers)
    assert answer.status_code == 422
    assert named in answer.json()["details"]
    assert "call me" not in answer.text
    assert "passwd" not in answer.text


async def test_a_customer_sees_and_changes_his_own_account_only(
    client: httpx.AsyncClient, admin_headers: Headers, customer: Callable[..., Awaitable[Customer]]
) -> None:
    mine, other = await customer(), await customer(name="Bob")
    assert (await client.get(f"/v1/accounts/{mine.account_id}", headers=mine.headers)).status_code == 200
    for method in ("GET", "PUT"):
        answer = await client.request(
            method, f"/v1/accounts/{other.account_id}", headers=mine.headers, json={"name": "X"}
        )
        assert answer.status_code == 404
    listed = (await client.get("/v1/accounts", headers=mine.headers)).json()["data"]
    assert [account["id"] for account in listed] == [mine.account_id]
    renamed = await client.put(f"/accounts/{mine.account_id}", json={"name": "Me"}, headers=mine.headers)
    assert renamed.json()["data"]["name"] == "Me"
    tagged = await client.put(
        f"/accounts/{mine.account_id}", json={"external_id": "crm-7"}, headers=mine.headers
    )
    assert (tagged.status_code, tagged.json()["code"]) == (422, "read_only")
    assert (await client.post("/v1/accounts", json={"name": "X"}, headers=mine.headers)).status_code == 404


async def test_who_may(
    client: httpx.AsyncClient, support_headers: Headers, service_key: Callable[..., Awaitable[Headers]]
) -> None:
    assert (await client.get("/v1/accounts")).status_code == 401
    assert (await client.get("/v1/accounts", headers=support_headers)).status_code == 200
    assert (await client.post("/v1/accounts", json={"name": "A"}, headers=support_headers)).status_code == 403
    key = await service_key(["accounts:write"])
    assert (await client.post("/v1/accounts", json={"name": "A"}, headers=key)).status_code == 201


async def test_lists_page_sort_and_filter(client: httpx.AsyncClient, admin_headers: Headers) -> None:
    for name in ("Cora", "Ada", "Bea", "Ada"):
        await opened(client, admin_headers, name=name, currency="EUR" if name == "Bea" else "USD")

    async def names(**params: Any) -> list[str]:
        seen: list[str] = []
        while True:
            answer = await client.get("/v1/accounts", params={"limit": 2, **params}, headers=admin_headers)
            assert answer.status_code == 200, answer.text
            seen += [account["name"] for account in answer.json()["data"]]
            params["cursor"] = answer.json()["meta"]["next_cursor"]
            if params["cursor"] is None:
                assert answer.json()["meta"]["has_more"] is False
                return seen

    assert await names() == ["Ada", "Bea", "Ada", "Cora"]
    assert await names(sort="created_at") == ["Cora", "Ada", "Bea", "Ada"]
    assert await names(sort="name") == ["Ada", "Ada", "Bea", "Cora"]
    assert await names(sort="-name") == ["Cora", "Bea", "Ada", "Ada"]
    assert await names(currency="EUR") == ["Bea"]
    assert await names(name="Ada") == ["Ada", "Ada"]
    bad = await client.get("/v1/accounts", params={"cursor": "zzz"}, headers=admin_headers)
    assert (bad.status_code, bad.json()["details"].keys()) == (422, {"cursor"})


async def test_a_closed_account_is_there_for_admins_who_ask(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: Headers, support_headers: Headers
) -> None:
    from datetime import UTC, datetime

    from tallystick.accounts import service
    from tallystick.kernel.actor import system_actor

    account = await opened(client, admin_headers, email="ada@example.com", external_id="crm-1")
    async with database_of(app).write() as session:
        locked = await service.locked(session, system_actor("tests"), account["id"])
        await service.close(session, system_actor("tests"), locked, datetime(2024, 5, 1, tzinfo=UTC))
    url = f"/v1/accounts/{account['id']}"
    assert (await client.get(url, headers=admin_headers)).status_code == 404
    assert (
        await client.get(url, params={"include_closed": True}, headers=support_headers)
    ).status_code == 404
    seen = await client.get(url, params={"include_closed": True}, headers=admin_headers)
    assert seen.status_code == 200
    assert seen.json()["data"]["status"] == "closed"
    assert [seen.json()["data"][name] for name in ("name", "email", "external_id")] == [None, None, None]
    assert (await client.put(url, json={"name": "B"}, headers=admin_headers)).status_code == 404
    await opened(client, admin_headers, email="ada@example.com", external_id="crm-1")


async def test_accounts_on_a_test_clock_belong_to_the_test_entity(
    client: httpx.AsyncClient, admin_headers: Headers, finance_headers: Headers
) -> None:
    made = await client.post(
        "/v1/test-clocks", json={"frozen_time": "2024-01-31T10:00:00+01:00"}, headers=admin_headers
    )
    assert made.status_code == 201, made.text
    clock = made.json()["data"]
    assert (clock["frozen_time"], clock["status"]) == ("2024-01-31T09:00:00Z", "ready")
    account = await opened(client, admin_headers, test_clock_id=clock["id"])
    assert account["livemode"] is False
    assert account["opened_at"] == "2024-01-31T09:00:00Z"
    seen = (await client.get(f"/v1/test-clocks/{clock['id']}", headers=admin_headers)).json()["data"]
    walked = {"accounts": 1, "accounts_due": 0, "parked": 0, "parked_accounts": []}
    assert seen == clock | walked
    assert (await client.get("/v1/test-clocks", headers=admin_headers)).json()["data"] == [clock]
    refused = await client.post(
        "/v1/test-clocks", json={"frozen_time": "2024-01-31T10:00:00Z"}, headers=finance_headers
    )
    assert refused.status_code == 403
    unknown = await client.post(
        "/v1/accounts",
        json={"name": "A", "test_clock_id": "018f0000-0000-7000-8000-000000000000"},
        headers=admin_headers,
    )
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_test_clock")
    naive = await client.post(
        "/v1/test-clocks", json={"frozen_time": "2024-01-31T10:00:00"}, headers=admin_headers
    )
    assert naive.status_code == 422


async def test_a_retry_with_the_same_key_opens_one_account(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    headers = {**admin_headers, "Idempotency-Key": "open-1"}
    first = await client.post("/v1/accounts", json={"name": "Ada"}, headers=headers)
    second = await client.post("/v1/accounts", json={"name": "Ada"}, headers=headers)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json()["data"] == first.json()["data"]
    assert len((await client.get("/v1/accounts", headers=admin_headers)).json()["data"]) == 1


PERSON = {
    "email": "user@example.com", "password": "SecurePassword123!", "first_name": "Ada", "last_name": "Lovelace",
}  # fmt: skip


async def test_registration_opens_an_account_and_signs_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/auth/register", json=PERSON)
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert (data["token_type"], data["expires_in"], data["email"]) == ("bearer", 3600, "user@example.com")
    headers = {"Authorization": f"Bearer {data['access_token']}"}
    me = (await client.get("/v1/auth/me", headers=headers)).json()["data"]
    account = (await client.get(f"/v1/accounts/{me['account_id']}", headers=headers)).json()["data"]
    assert (account["name"], account["email"]) == ("Ada Lovelace", "user@example.com")
    login = await client.post(
        "/v1/auth/login", json={"email": PERSON["email"], "password": PERSON["password"]}
    )
    assert login.status_code == 200


async def test_a_second_registration_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    assert (await client.post("/v1/auth/register", json=PERSON)).status_code == 201
    again = await client.post("/v1/auth/register", json={**PERSON, "email": "USER@example.com"})
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    assert len((await client.get("/v1/accounts", headers=admin_headers)).json()["data"]) == 1


async def test_registration_never_takes_over_an_account_that_has_the_email(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    theirs = await opened(client, admin_headers, email="user@example.com")
    data = (await client.post("/v1/auth/register", json=PERSON)).json()["data"]
    headers = {"Authorization": f"Bearer {data['access_token']}"}
    own = (await client.get("/v1/accounts", headers=headers)).json()["data"]
    assert [account["email"] for account in own] == [None]
    assert own[0]["id"] != theirs["id"]
