"""What API tests share: one application on a fresh database, real tokens for every role."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI

from tallystick.identity import service, tokens
from tallystick.identity.domain import Role, Standing
from tallystick.kernel.actor import system_actor
from tallystick.platform.db import Database
from tallystick.platform.settings import Settings

PASSWORD = "SecurePassword123!"
# A well-formed hash that no password fits: most tests never sign in with one, and a real hash costs time.
NO_PASSWORD = "$2b$04$" + "abcdefghijklmnopqrstuu" + "A" * 31


def make_settings(database_url: str, data_dir: Path, **changes: Any) -> Settings:
    """Settings for one test application; `changes` override."""
    chosen = {
        "database_url": database_url,
        "data_dir": data_dir,
        "bcrypt_cost": 4,
        "access_log": False,
        "log_level": "error",
        "rate_limit_anonymous": 1_000_000,
        "rate_limit_principal": 1_000_000,
        "rate_limit_login": 1_000,
        "rate_limit_register": 1_000,
        "rate_limit_reset": 1_000,
    }
    return Settings(**{**chosen, **changes})


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The running application behind a client that answers errors instead of raising them."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


@dataclass(frozen=True)
class Customer:
    """A signed-in customer of one account."""

    user_id: int
    account_no: int
    account_id: str
    headers: dict[str, str]


def database_of(app: FastAPI) -> Database:
    """The pool of the running application."""
    database: Database = app.state.database
    return database


def bearer(
    app: FastAPI, user: Standing, *, now: datetime | None = None, seconds: int = 3600
) -> dict[str, str]:
    """The Authorization header of `user`, signed by the application's own key."""
    token = tokens.issue(
        app.state.identity.key, user, None, now=now or datetime.now(UTC), seconds=seconds, jti=uuid4().hex
    )
    return {"Authorization": f"Bearer {token}"}


async def make_user(
    app: FastAPI, role: Role, *, email: str | None = None, account_no: int | None = None, account_id: str | None = None,
    password_hash: str = NO_PASSWORD,
) -> Standing:  # fmt: skip
    """A user of `role`."""
    async with database_of(app).write() as session:
        user = await service.register_user(
            session, system_actor("tests"), email=email or f"{role}-{uuid4().hex[:8]}@example.com",
            password_hash=password_hash, first_name="Ada", last_name="Lovelace", role=role,
            account_no=account_no, account_id=account_id,
        )  # fmt: skip
    return service.standing_of(user)


async def staff_headers(app: FastAPI, role: Role) -> dict[str, str]:
    """A fresh member of staff, signed in."""
    return bearer(app, await make_user(app, role))


async def service_key(app: FastAPI, scopes: Sequence[str]) -> dict[str, str]:
    """The header of a fresh API key."""
    key = tokens.new_secret(tokens.API_KEY_PREFIX)
    async with database_of(app).write() as session:
        await service.make_api_key(
            session, system_actor("tests"), key=key, name="tests", scopes=list(scopes), expires_at=None
        )
    return {"X-Api-Key": key}


async def sign_up_as(app: FastAPI, account_no: int, account_id: str) -> Customer:
    """A customer's user for an account that exists."""
    user = await make_user(app, "customer", account_no=account_no, account_id=account_id)
    return Customer(user.id, account_no, account_id, bearer(app, user))
