"""Login and me over HTTP."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import PASSWORD, bearer, database_of, make_settings, make_user, serving

from tallystick.apps.subscription_service import create_app
from tallystick.identity import service
from tallystick.kernel.actor import system_actor
from tallystick.platform import wire

REFUSED = {"success", "error", "code", "details", "request_id", "timestamp"}


async def member(app: FastAPI, email: str = "user@example.com") -> int:
    hashed = await app.state.identity.hasher.hash(PASSWORD)
    return (await make_user(app, "finance", email=email, password_hash=hashed)).id


async def log_in(
    client: httpx.AsyncClient, email: Any = "user@example.com", password: Any = PASSWORD, **headers: str
) -> httpx.Response:
    return await client.post("/v1/auth/login", json={"email": email, "password": password}, headers=headers)


async def test_login_answers_the_contracts_body(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    answer = await log_in(client, "USER@example.com")
    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True
    data = body["data"]
    assert set(data) == {
        "access_token", "token_type", "expires_in", "user_id", "email", "refresh_token",
    }  # fmt: skip
    assert (data["token_type"], data["expires_in"], data["email"]) == ("bearer", 3600, "user@example.com")
    assert isinstance(data["user_id"], int)
    me = await client.get("/v1/auth/me/", headers={"Authorization": f"Bearer {data['access_token']}"})
    assert me.status_code == 200
    assert me.json()["data"] == {
        "user_id": data["user_id"], "email": "user@example.com", "first_name": "Ada", "last_name": "Lovelace",
        "role": "finance", "account_id": None,
    }  # fmt: skip


async def test_a_sign_in_is_stored_hashed(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    token = (await log_in(client)).json()["data"]["refresh_token"]
    async with database_of(app).read() as session:
        row = await session.fetchrow("SELECT refresh_hash, expires_at - now() AS life FROM sessions")
    assert row is not None
    assert token.encode() not in row["refresh_hash"]
    assert row["life"] > timedelta(days=29)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("user@example.com", "SecurePassword123"), ("user@example.com", ""), ("user@example.com", "x" * 5000),
        ("nobody@example.com", PASSWORD), ("", PASSWORD), ("not an address", PASSWORD), ("x" * 5000, PASSWORD),
        ("user@example.com ", PASSWORD), ("' OR 1=1 --", PASSWORD),
    ],
)  # fmt: skip
async def test_whatever_is_wrong_the_answer_is_the_same(
    app: FastAPI, client: httpx.AsyncClient, email: str, password: str
) -> None:
    await member(app)
    answer = await log_in(client, email, password)
    assert answer.status_code == 401
    body = answer.json()
    assert set(body) == REFUSED
    assert (body["success"], body["error"], body["code"], body["details"]) == (
        False,
        "Unauthorized",
        "unauthorized",
        {},
    )
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "user@example.com"}, "password"), ({"password": PASSWORD}, "email"), ({"email": 7, "password": PASSWORD}, "email"),
        ({"email": "user@example.com", "password": None}, "password"), ({"email": "a@b.com", "password": PASSWORD, "role": "admin"}, "role"),
        ([], "body"),
    ],
)  # fmt: skip
async def test_a_body_of_another_form_names_its_field(
    client: httpx.AsyncClient, body: Any, field: str
) -> None:
    answer = await client.post("/v1/auth/login", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["details"]
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"email": "\\ud800", "password": "x"}', b"\xff", b'{"email":"a","email":"b"}']
)
async def test_a_body_that_cannot_be_read(client: httpx.AsyncClient, raw: bytes) -> None:
    answer = await client.post("/v1/auth/login", content=raw, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == REFUSED


async def test_a_closed_user_cannot_sign_in_and_his_token_dies(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    hashed = await app.state.identity.hasher.hash(PASSWORD)
    user = await make_user(
        app, "customer", email="user@example.com", account_no=5, account_id="acc_5", password_hash=hashed
    )
    async with database_of(app).write() as session:
        await service.erase_users_of(session, system_actor("tests"), 5)
        await service.erase_users_of(session, system_actor("tests"), 5)
    assert (await log_in(client)).status_code == 401
    answer = await client.get("/v1/auth/me", headers=bearer(app, user))
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid token")
    async with database_of(app).read() as session:
        left = await session.fetchval(
            "SELECT (SELECT count(*) FROM user_profiles) + (SELECT count(*) FROM credentials)"
        )
    assert left == 0


async def test_an_idempotency_key_gives_no_second_grant(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    first = await log_in(client, **{"Idempotency-Key": "k1"})
    second = await log_in(client, **{"Idempotency-Key": "k1"})
    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json()["code"] == "already_issued"
    async with database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM sessions") == 1
        stored = await session.fetchval("SELECT fingerprint FROM idempotency_keys")
    body = wire.canonical({"email": "user@example.com", "password": PASSWORD})
    assert stored != hashlib.sha256(b"POST /v1/auth/login?\n" + body).digest(), (
        "a stored hash could be guessed at"
    )


async def test_the_eleventh_wrong_password_within_a_minute_waits(database_url: str, tmp_path: Any) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_login=10))
    async with serving(app) as client:
        await member(app)
        await member(app, "other@example.com")
        for _ in range(10):
            assert (await log_in(client, password="wrong password")).status_code == 401
        refused = await log_in(client)
        assert refused.status_code == 429
        assert (refused.json()["error"], refused.json()["code"]) == ("Rate limit exceeded", "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await log_in(client, "USER@EXAMPLE.COM")).status_code == 429, (
            "another spelling is the same address"
        )
        assert (await log_in(client, "other@example.com")).status_code == 200
        for _ in range(25):
            assert (await log_in(client, "other@example.com")).status_code == 200, (
                "right passwords use nothing up"
            )


@pytest.mark.parametrize(
    ("headers", "sentence", "code"),
    [
        ({}, "Unauthorized", "unauthorized"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "Unauthorized", "unauthorized"),
        ({"Authorization": "Bearer "}, "Unauthorized", "unauthorized"),
        ({"Authorization": "Bearer"}, "Unauthorized", "unauthorized"),
        ({"Authorization": "Bearer nonsense"}, "Invalid token", "invalid_token"),
        ({"Authorization": "Bearer tsk_" + "A" * 43}, "Invalid token", "invalid_token"),
        ({"X-Api-Key": "tsk_" + "A" * 43}, "Invalid token", "invalid_token"),
        ({"X-Api-Key": "nonsense"}, "Invalid token", "invalid_token"),
        ({"X-Api-Key": ""}, "Invalid token", "invalid_token"),
    ],
)
async def test_the_three_sentences(
    client: httpx.AsyncClient, headers: dict[str, str], sentence: str, code: str
) -> None:
    answer = await client.get("/v1/auth/me", headers=headers)
    assert answer.status_code == 401
    assert (answer.json()["error"], answer.json()["code"]) == (sentence, code)


async def test_an_expired_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    user = await make_user(app, "admin")
    answer = await client.get(
        "/v1/auth/me", headers=bearer(app, user, now=datetime.now(UTC) - timedelta(hours=2))
    )
    assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (
        401,
        "Token expired",
        "token_expired",
    )


async def test_a_new_password_ends_old_tokens(app: FastAPI, client: httpx.AsyncClient) -> None:
    user = await make_user(app, "admin", email="root@example.com")
    async with database_of(app).write() as session:
        await service.ensure_admin(
            session, system_actor("tests"), email="ROOT@example.com", password_hash="$2b$04$x"
        )
    answer = await client.get("/v1/auth/me", headers=bearer(app, user))
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_two_different_credentials_are_refused(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    answer = await client.get("/v1/auth/me", headers={**admin_headers, "X-Api-Key": "tsk_" + "A" * 43})
    assert answer.json()["code"] == "invalid_token"


async def test_known_credentials_cost_no_statement(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    assert (await client.get("/v1/auth/me", headers=admin_headers)).status_code == 200
    assert len(app.state.identity.known) == 1
    async with database_of(app).write() as session:
        await session.execute("UPDATE users SET status = 'disabled'")
    assert (await client.get("/v1/auth/me", headers=admin_headers)).status_code == 200, "for five seconds"
    app.state.identity.known.clear()
    assert (await client.get("/v1/auth/me", headers=admin_headers)).status_code == 401


@pytest.mark.parametrize(
    ("password", "code"),
    [("password1234", "weak_password"), ("user@example.com", "weak_password"), ("short", "validation_failed"), ("x" * 1025, "validation_failed")],
)  # fmt: skip
async def test_a_weak_password_opens_no_account(
    app: FastAPI, client: httpx.AsyncClient, password: str, code: str
) -> None:
    person = {"email": "user@example.com", "first_name": "Grace", "last_name": "Hopper"}
    answer = await client.post("/v1/auth/register", json={**person, "password": password})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "password" in answer.json()["details"]
    async with database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM users") == 0
        assert await session.fetchval("SELECT count(*) FROM accounts") == 0


async def test_registrations_are_limited_by_address(database_url: str, tmp_path: Any) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_register=3))
    async with serving(app) as client:
        statuses = [
            (await client.post("/v1/auth/register", json={"email": "x"})).status_code for _ in range(4)
        ]
        assert statuses == [422, 422, 422, 429]


async def test_a_password_that_was_registered_signs_in(app: FastAPI, client: httpx.AsyncClient) -> None:
    person = {"email": "user@example.com", "password": PASSWORD, "first_name": "Grace", "last_name": "Hopper"}
    made = await client.post("/v1/auth/register", json=person)
    assert made.status_code == 201
    answer = await log_in(client)
    assert answer.json()["data"]["user_id"] == made.json()["data"]["user_id"]


@pytest.mark.parametrize(
    "password", ["a" * 71 + "-long one", "пароль " * 8 + "конец", "SecurePassword123!", "x1-y" * 255]
)
async def test_a_long_password_counts_whole(app: FastAPI, client: httpx.AsyncClient, password: str) -> None:
    """Over 72 bytes nothing is cut off, neither when it is set nor at a login (CONTRACT §3)."""
    person = {"email": "user@example.com", "password": password, "first_name": "Grace", "last_name": "Hopper"}
    assert (await client.post("/v1/auth/register", json=person)).status_code == 201
    assert (await log_in(client, password=password)).status_code == 200
    for wrong in (password[:-1], password + "x", password.encode()[:72].decode(errors="ignore")):
        answer = await log_in(client, password=wrong)
        assert answer.status_code == (200 if wrong == password else 401)


async def test_an_address_signs_up_once_whatever_its_case(client: httpx.AsyncClient) -> None:
    person = {"email": "user@example.com", "password": PASSWORD, "first_name": "Grace", "last_name": "Hopper"}
    made = await client.post("/v1/auth/register", json=person)
    assert set(made.json()["data"]) == {
        "access_token", "token_type", "expires_in", "user_id", "email", "refresh_token",
    }  # fmt: skip
    renewed = await client.post(
        "/v1/auth/refresh", json={"refresh_token": made.json()["data"]["refresh_token"]}
    )
    assert renewed.status_code == 200
    for email in ("user@example.com", "USER@Example.com"):
        again = await client.post("/v1/auth/register", json={**person, "email": email})
        assert (again.status_code, again.json()["code"]) == (409, "email_taken")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("eleven char", "validation_failed"),
        ("qwerty123456", "weak_password"),
        ("USER@EXAMPLE.COM", "weak_password"),
    ],
)
async def test_what_is_refused_is_refused_before_anything_is_written(
    app: FastAPI, client: httpx.AsyncClient, password: str, code: str
) -> None:
    person = {"email": "user@example.com", "password": password, "first_name": "Grace", "last_name": "Hopper"}
    answer = await client.post("/v1/auth/register", json=person)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    async with database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM users") == 0
