"""The OAuth 2 token endpoint: RFC 6749's answers and errors, and what Swagger's Authorize sends."""

import base64
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import PASSWORD, database_of, make_settings, make_user, serving

from tallystick.apps.subscription_service import create_app
from tallystick.identity.domain import ROLES

EMAIL = "user@example.com"
PASSWORD_GRANT = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}


async def member(app: FastAPI) -> int:
    hashed = await app.state.identity.hasher.hash(PASSWORD)
    return (await make_user(app, "finance", email=EMAIL, password_hash=hashed)).id


async def ask(client: httpx.AsyncClient, form: Any, **headers: str) -> httpx.Response:
    answer = await client.post("/v1/auth/token", data=form, headers=headers)
    assert answer.headers["cache-control"] == "no-store"
    return answer


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


async def me(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {token}"})


async def api_key(client: httpx.AsyncClient, headers: dict[str, str], **more: Any) -> tuple[str, str]:
    body = {"name": "metering", "scopes": ["catalog:read", "rating:estimate"], **more}
    data = (await client.post("/v1/api-keys", json=body, headers=headers)).json()["data"]
    return str(data["id"]), data["key"]


async def test_by_password(app: FastAPI, client: httpx.AsyncClient) -> None:
    user_id = await member(app)
    answer = await ask(client, PASSWORD_GRANT)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}, "no envelope"
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    assert set(body["scope"].split()) == ROLES["finance"]
    assert (await me(client, body["access_token"])).json()["data"]["user_id"] == user_id


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"scope": "", "client_id": "", "client_secret": ""},
        {"client_id": "swagger"},
        {"scope": " ".join(sorted(ROLES["finance"]))},
    ],
)
@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Basic Og=="}, {"Authorization": "Basic c3dhZ2dlcjo="}]
)
async def test_what_swagger_sends(
    app: FastAPI, client: httpx.AsyncClient, more: dict[str, str], header: dict[str, str]
) -> None:
    """Empty fields are as if left out, and no client needs to be registered."""
    await member(app)
    assert (await ask(client, {**PASSWORD_GRANT, **more}, **header)).status_code == 200


async def test_by_refresh_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    first = (await ask(client, PASSWORD_GRANT)).json()
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = await ask(client, form)
    assert second.status_code == 200
    assert set(second.json()) == set(first)
    again = await ask(client, form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    ended = await client.post("/v1/auth/refresh", json={"refresh_token": second.json()["refresh_token"]})
    assert ended.status_code == 401, "both doors turn the same session"


@pytest.mark.parametrize("by_header", [True, False])
async def test_by_api_key(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], by_header: bool
) -> None:
    number, key = await api_key(client, admin_headers)
    form = {"grant_type": "client_credentials"}
    header = {"Authorization": basic(number, key)} if by_header else {}
    answer = await ask(
        client, form if by_header else {**form, "client_id": number, "client_secret": key}, **header
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}, (
        "no refresh token (RFC 6749 §4.4.3)"
    )
    assert body["scope"] == "catalog:read rating:estimate"
    token = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await client.get("/v1/meters", headers=token)).status_code == 200
    assert (await client.post("/v1/meters", json={}, headers=token)).status_code == 403
    assert (await client.get("/v1/auth/me", headers=token)).status_code == 403


async def test_a_key_token_can_have_less_than_its_key(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    number, key = await api_key(client, admin_headers)
    form = {"grant_type": "client_credentials", "client_id": number, "client_secret": key}
    body = (await ask(client, {**form, "scope": "rating:estimate"})).json()
    assert body["scope"] == "rating:estimate"
    token = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await client.get("/v1/meters", headers=token)).status_code == 403
    more = await ask(client, {**form, "scope": "rating:estimate usage:write"})
    assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")


async def test_a_key_token_ends_with_its_key(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    number, key = await api_key(client, admin_headers)
    form = {"grant_type": "client_credentials", "client_id": number, "client_secret": key}
    token = {"Authorization": f"Bearer {(await ask(client, form)).json()['access_token']}"}
    assert (await client.get("/v1/meters", headers=token)).status_code == 200
    await client.delete(f"/v1/api-keys/{number}", headers=admin_headers)
    assert (await client.get("/v1/meters", headers=token)).status_code == 401, "at once, where it was ended"
    refused = await ask(client, form)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


async def test_a_key_token_lives_no_longer_than_its_key(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    number, key = await api_key(client, admin_headers)
    async with database_of(app).write() as session:
        await session.execute("UPDATE api_keys SET expires_at = now() + interval '100 seconds'")
    form = {"grant_type": "client_credentials", "client_id": number, "client_secret": key}
    assert 90 <= (await ask(client, form)).json()["expires_in"] <= 100
    async with database_of(app).write() as session:
        await session.execute("UPDATE api_keys SET expires_at = now() - interval '1 second'")
    assert (await ask(client, form)).json()["error"] == "invalid_client"


async def test_a_wrong_client(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    number, key = await api_key(client, admin_headers)
    other, _ = await api_key(client, admin_headers)
    pairs = [
        ("", ""),
        (number, ""),
        (number, key + "x"),
        (other, key),
        ("x", key),
        ("", key),
        (number + "0", key),
        (number, "é"),
    ]
    for pair in pairs:
        answer = await ask(client, {"grant_type": "client_credentials"}, Authorization=basic(*pair))
        assert answer.json()["error"] in ("invalid_client", "invalid_request"), pair
        assert answer.status_code == (401 if answer.json()["error"] == "invalid_client" else 400)
        assert answer.status_code == 400 or answer.headers["www-authenticate"].startswith("Basic")
        assert key not in answer.text


REFUSED: list[tuple[Any, int, str]] = [
    ({}, 400, "invalid_request"),
    ({"grant_type": ""}, 400, "invalid_request"),
    ({"grant_type": "authorization_code", "code": "x"}, 400, "unsupported_grant_type"),
    ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
    ({"grant_type": "password"}, 400, "invalid_request"),
    ({"grant_type": "password", "username": EMAIL}, 400, "invalid_request"),
    ({**PASSWORD_GRANT, "password": ""}, 400, "invalid_request"),
    ({**PASSWORD_GRANT, "password": "wrong password"}, 400, "invalid_grant"),
    ({**PASSWORD_GRANT, "password": "x" * 5000}, 400, "invalid_grant"),
    ({**PASSWORD_GRANT, "username": "nobody@example.com"}, 400, "invalid_grant"),
    ({**PASSWORD_GRANT, "username": "a\x00b"}, 400, "invalid_grant"),
    ({**PASSWORD_GRANT, "scope": "users:write"}, 400, "invalid_scope"),
    ({**PASSWORD_GRANT, "scope": "everything"}, 400, "invalid_scope"),
    ({**PASSWORD_GRANT, "scope": "usage:read"}, 400, "invalid_scope"),
    ({"grant_type": "refresh_token"}, 400, "invalid_request"),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "x", "scope": "usage:read"}, 400, "invalid_scope"),
    ({"grant_type": "client_credentials"}, 401, "invalid_client"),
    ({f"f{n}": "x" for n in range(30)}, 400, "invalid_request"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "status", "error"), REFUSED)
async def test_errors_by_the_standards_names(
    app: FastAPI, client: httpx.AsyncClient, form: Any, status: int, error: str
) -> None:
    await member(app)
    answer = await ask(client, form)
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"grant_type=password&grant_type=password", "application/x-www-form-urlencoded"),
        (b"grant_type=password&username=a&username=b&password=x", "application/x-www-form-urlencoded"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b'{"grant_type": "password"}', "application/json"),
        (b"grant_type=password", "text/plain"),
        (b"", ""),
    ],
)
async def test_forms_that_cannot_be_read(client: httpx.AsyncClient, raw: bytes, kind: str) -> None:
    answer = await client.post("/v1/auth/token", content=raw, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("header", ["Basic", "Basic ???", "Basic w6k=", "Basic " + "A" * 5])
async def test_a_basic_header_that_cannot_be_read(client: httpx.AsyncClient, header: str) -> None:
    answer = await ask(client, PASSWORD_GRANT, Authorization=header)
    assert answer.status_code == 400


async def test_the_limit_of_logins_holds_here_too(database_url: str, tmp_path: Any) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_login=3))
    async with serving(app) as client:
        await member(app)
        wrong = {**PASSWORD_GRANT, "password": "wrong password"}
        assert [(await ask(client, wrong)).status_code for _ in range(4)] == [400, 400, 400, 429]
        other_door = await client.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
        assert other_door.status_code == 429, "one bucket for both doors"
        keys = [(await ask(client, {"grant_type": "client_credentials"})).status_code for _ in range(4)]
        assert keys == [401, 401, 401, 429]
        refused_in_the_standards_shape(await ask(client, wrong))


def refused_in_the_standards_shape(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
    assert set(answer.json()) == {"error", "error_description"}
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_limit_before_the_grant_has_the_standards_shape_too(database_url: str, tmp_path: Any) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_anonymous=2))
    async with serving(app) as client:
        answers = [await ask(client, {"grant_type": "implicit"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 429]
        refused_in_the_standards_shape(answers[-1])
        with_a_key = await ask(client, {"grant_type": "implicit"}, **{"X-Api-Key": "tsk_wrong"})
        refused_in_the_standards_shape(with_a_key)


async def test_who_is_signed_in_may_not_guess_faster(database_url: str, tmp_path: Any) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_anonymous=5))
    async with serving(app) as client:
        await member(app)
        header = {"Authorization": f"Bearer {(await ask(client, PASSWORD_GRANT)).json()['access_token']}"}
        statuses = [
            (
                await client.post(
                    "/v1/auth/login", json={"email": f"u{n}@example.com", "password": "x"}, headers=header
                )
            ).status_code
            for n in range(6)
        ]
        assert statuses[:4] == [401] * 4
        assert statuses[-1] == 429
