"""Fixtures of the API tests: the whole subscription service in this process, on a fresh database."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import support
from fastapi import FastAPI
from support import Customer

from tallystick.apps.subscription_service import create_app


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> FastAPI:
    """The application; `client` runs it."""
    return create_app(support.make_settings(database_url, tmp_path))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running application, without credentials."""
    async with support.serving(app) as running:
        yield running


@pytest.fixture
async def admin_headers(app: FastAPI, client: httpx.AsyncClient) -> dict[str, str]:
    """Credentials of an admin."""
    return await support.staff_headers(app, "admin")


@pytest.fixture
async def finance_headers(app: FastAPI, client: httpx.AsyncClient) -> dict[str, str]:
    """Credentials of the finance role."""
    return await support.staff_headers(app, "finance")


@pytest.fixture
async def support_headers(app: FastAPI, client: httpx.AsyncClient) -> dict[str, str]:
    """Credentials of the support role."""
    return await support.staff_headers(app, "support")


@pytest.fixture
def service_key(
    app: FastAPI, client: httpx.AsyncClient
) -> Callable[[Sequence[str]], Awaitable[dict[str, str]]]:
    """`await service_key(["usage:write"])` gives the header of a fresh API key with these scopes."""

    async def make(scopes: Sequence[str]) -> dict[str, str]:
        return await support.service_key(app, scopes)

    return make


@pytest.fixture
def customer(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> Callable[..., Awaitable[Customer]]:
    """`await customer(currency="EUR")` opens an account over HTTP and gives it a signed-in user."""

    async def make(**fields: Any) -> Customer:
        answer = await client.post(
            "/v1/accounts", json={"name": "Ada Lovelace", **fields}, headers=admin_headers
        )
        assert answer.status_code == 201, answer.text
        account_id = answer.json()["data"]["id"]
        async with support.database_of(app).read() as session:
            account_no = await session.fetchval("SELECT no FROM accounts WHERE id = $1", account_id)
        return await support.sign_up_as(app, account_no, account_id)

    return make
