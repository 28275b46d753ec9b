"""What people type, sign in with or are called never reaches the log, whatever happens to the request."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import support

from tallystick.apps.subscription_service import create_app

SECRETS = (
    "canary-password-1A!",
    "ada.canary@example.com",
    "4242424242424242",
    "canary-name",
    "canary-token",
    "canary-query",
)


async def use(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """A working day with everything in it that nobody may read in a log."""
    password, email, card, name, token, query = SECRETS
    person = {"email": email, "password": password, "first_name": name, "last_name": name}
    assert (await client.post("/v1/auth/register", json=person)).status_code == 201
    signed_in = await client.post("/v1/auth/login", json={"email": email, "password": password})
    assert signed_in.status_code == 200
    await client.post("/v1/auth/login", json={"email": email, "password": password + "wrong"})
    bearer = {"Authorization": f"Bearer {signed_in.json()['data']['access_token']}"}
    await client.get(f"/v1/accounts?email={email}&name={query}", headers=bearer)
    await client.get(f"/v1/accounts/{email}", headers=bearer)
    await client.get(f"/{name}/{email}?{query}")
    await client.get("/v1/accounts", headers={"Authorization": f"Bearer {token}"})
    await client.get("/v1/accounts", headers={"X-Api-Key": f"tsk_{token}", "Cookie": f"session={token}"})
    odd = {"name": name, "email": email, "metadata": {"card": card}, "phone": card}
    await client.post("/v1/accounts", json=odd, headers=headers)
    await client.post("/v1/accounts", content=json.dumps(odd)[:-1], headers=headers)
    await client.post("/v1/accounts", json={"name": name, "tax_id": card, name: email}, headers=headers)


async def test_nothing_secret_is_logged(
    database_url: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    app = create_app(support.make_settings(database_url, tmp_path, access_log=True, log_level="debug"))
    async with support.serving(app) as client:
        headers = await support.staff_headers(app, "admin")
        await use(client, headers)
        async with support.database_of(app).write() as session:
            await session.execute("ALTER TABLE account_profiles RENAME TO gone")
        failed = await client.post(
            "/v1/accounts", json={"name": SECRETS[3], "email": SECRETS[1]}, headers=headers
        )
        assert failed.status_code == 500
        await asyncio.sleep(0)
    structlog.reset_defaults()
    written = capfdbinary.readouterr().out
    records: list[dict[str, Any]] = [json.loads(line) for line in written.splitlines()]
    requests = [record for record in records if record["event"] == "request"]
    assert len(requests) == 12
    assert {record["status"] for record in requests} >= {200, 201, 401, 404, 422, 500}
    assert all(record["request_id"] and record["timestamp"].endswith("Z") for record in requests)
    assert [record for record in records if record["level"] == "error"], "the failure is told, with its trace"
    for secret in (*SECRETS, headers["Authorization"].removeprefix("Bearer ")):
        assert secret.encode() not in written, f"{secret[:20]} is in the log"
