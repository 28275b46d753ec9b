"""Writes apps/examples.json: a request and its answer for every operation of the API, as a walk through a fresh house got them.

    .venv/bin/python scripts/examples.py

A test takes the walk again and compares: each request is still accepted, each answer still has these fields.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from tallystick.apps.subscription_service import create_app
from tallystick.identity import admins, recovery
from tallystick.identity.passwords import Hasher
from tallystick.identity.startup import letter_sender
from tallystick.kernel.actor import system_actor
from tallystick.migrations.run import upgrade
from tallystick.platform.embedded import embedded_postgres
from tallystick.platform.settings import Settings

FILE = Path(__file__).parents[1] / "src" / "tallystick" / "apps" / "examples.json"
PASSWORD = "SecurePassword123!"  # noqa: S105
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SECRETS = {
    "access_token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl",
    "refresh_token": "tsr_9rT1example",
    "key": "tsk_7Qh3example",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


class Walk:
    """Asks, and keeps what was asked and answered under the operation's id."""

    def __init__(
        self, client: httpx.AsyncClient, headers: dict[str, str], description: Mapping[str, Any]
    ) -> None:
        self.client, self.headers = client, headers
        self.names = {
            (method, path): operation["operationId"]
            for path, item in description["paths"].items()
            for method, operation in item.items()
        }  # fmt: skip
        self.ids: dict[str, Any] = {}
        self.kept: dict[str, dict[str, Any]] = {}

    async def __call__(
        self, method: str, path: str, body: Any = None, *, query: str = "", form: bool = False, headers: dict[str, str] | None = None
    ) -> Any:  # fmt: skip
        """`path` as the description has it; its parameters come from `ids`. Raises `AssertionError` where it is refused."""
        name = self.names[method, path]
        place = path.format(**self.ids) + query
        sent: dict[str, Any] = {} if body is None else {"data" if form else "json": body}
        answer = await self.client.request(method, place, headers=headers or self.headers, **sent)
        assert answer.status_code < 300, f"{name}: {answer.status_code} {answer.text}"
        plain = answer.headers.get("content-type", "").startswith("application/json")
        found: dict[str, Any] = {} if body is None else {"request": body}
        found["status"] = answer.status_code
        if answer.content:
            found["answer"] = answer.json() if plain else answer.text
        self.kept.setdefault(name, found)
        whole = answer.json() if plain else {}
        return whole.get("data", whole)


async def record(url: str, folder: Path) -> dict[str, Any]:
    """Every operation once, in the fresh migrated database at `url`: the beginning of one customer's year."""
    settings = Settings(
        database_url=url, data_dir=folder, bcrypt_cost=4, log_level="error", access_log=False, rate_limit_anonymous=100_000
    )  # fmt: skip
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        staff = {"email": "admin@example.com", "password": PASSWORD}
        await admins.ensure(app.state.database, Hasher(4), system_actor("examples"), **staff)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://examples") as client:
            token = (await client.post("/v1/auth/login", json=staff)).json()["data"]["access_token"]
            go = Walk(client, {"Authorization": f"Bearer {token}"}, app.openapi())
            for part in (_begin, _people, _shop, _use, _bill, _credits, _books, _mend, _ends):
                await part(go)
            await _forgotten(go, app)
    return {name: tidy(go.kept[name]) for name in sorted(go.kept)}


async def letter(app: FastAPI) -> str:
    """The token in the only letter."""
    settings = app.state.settings
    assert await recovery.send_one(app.state.database, letter_sender(settings))
    (path,) = (settings.data_dir / "mail").glob("*.eml")
    body = message_from_bytes(path.read_bytes(), policy=policy.default).get_body()
    assert body is not None
    found = re.search(r"#token=([A-Za-z0-9_-]{43})", body.get_content())
    assert found is not None
    return found[1]


async def _begin(go: Walk) -> None:
    await go("get", "/v1/health")
    await go("get", "/.well-known/jwks.json")
    await go("get", "/v1/entities")
    go.ids["entity_id"] = 1
    await go("get", "/v1/entities/{entity_id}")
    await go("put", "/v1/entities/{entity_id}", {"net_terms_days": 14, "tax_rounding": "line"})
    go.ids["clock_id"] = (
        await go("post", "/v1/test-clocks", {"frozen_time": "2026-01-01T00:00:00Z", "name": "January"})
    )["id"]
    await go("get", "/v1/test-clocks")
    await go("get", "/v1/test-clocks/{clock_id}")


async def _people(go: Walk) -> None:
    person = {"email": "ada@example.com", "password": PASSWORD}
    await go(
        "post",
        "/v1/auth/register",
        {**person, "first_name": "Ada", "last_name": "Lovelace"},
        headers={"X-None": ""},
    )
    first = await go("post", "/v1/auth/login", person)
    own = {"Authorization": f"Bearer {first['access_token']}"}
    await go("get", "/v1/auth/me", headers=own)
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    await go("post", "/v1/auth/token", form, form=True, headers={"X-None": ""})
    renewed = await go(
        "post", "/v1/auth/refresh", {"refresh_token": first["refresh_token"]}, headers={"X-None": ""}
    )
    own = {"Authorization": f"Bearer {renewed['access_token']}"}
    change = {"current_password": PASSWORD, "new_password": "a longer sentence is better"}
    await go("put", "/v1/auth/password", change, headers=own)
    again = await go(
        "post", "/v1/auth/login", {"email": "ada@example.com", "password": "a longer sentence is better"}
    )
    own = {"Authorization": f"Bearer {again['access_token']}"}
    await go("post", "/v1/auth/logout", {"all": False}, headers=own)
    scopes = {
        "name": "hosting",
        "scopes": ["usage:write", "accounts:write"],
        "expires_at": "2030-01-01T00:00:00Z",
    }
    go.ids["key_id"] = (await go("post", "/v1/api-keys", scopes))["id"]
    await go("get", "/v1/api-keys")
    await go("delete", "/v1/api-keys/{key_id}")


TIERS = {"tiers": [{"up_to": "1000", "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.002"}]}
PLAN = {
    "name": "Pro", "code": "pro", "price": 29.00, "currency": "EUR", "billing_cycle": "monthly", "billing_timing": "arrears",
    "features": {"storage": {"limit": "1GB"}},
    "charges": [
        {
            "code": "calls", "meter": "calls", "charge_model": "graduated",
            "properties": TIERS,
        }
    ],
}  # fmt: skip


async def _shop(go: Walk) -> None:
    await go(
        "post", "/v1/meters", {"code": "calls", "name": "API calls", "aggregation": "sum", "unit": "calls"}
    )
    await go("get", "/v1/meters")
    await go("post", "/v1/services", {"name": "Object Storage"})
    await go("get", "/v1/services")
    go.ids["plan_id"] = (await go("post", "/v1/plans", PLAN))["id"]
    await go("get", "/v1/plans/{plan_id}")
    await go("put", "/v1/plans/{plan_id}", {"name": "Pro, monthly"})
    await go("get", "/v1/plans")
    file = await go("get", "/v1/catalog/file")
    text = file if isinstance(file, str) else file.get("file", "")
    await go("post", "/v1/catalog/diff", {"file": text})
    await go("post", "/v1/catalog/apply", {"file": text})
    await go("get", "/v1/catalog/versions")
    tax = {"code": "vat", "name": "VAT", "rate": "19", "livemode": False, "is_default": True}
    go.ids["tax_id"] = (await go("post", "/v1/taxes", tax))["id"]
    await go("get", "/v1/taxes", query="?livemode=false")
    await go("get", "/v1/taxes/{tax_id}")
    await go("put", "/v1/taxes/{tax_id}", {"name": "Value added tax"})
    await go("post", "/v1/taxes/{tax_id}/rates", {"valid_from": "2027-01-01", "rate": "21"})
    person = {
        "name": "Ada Lovelace", "email": "ada@analytical.example", "currency": "EUR", "country": "DE", "timezone": "Europe/Berlin",
        "external_id": "crm-1815", "metadata": {"team": "engines"}, "test_clock_id": go.ids["clock_id"],
    }  # fmt: skip
    go.ids["account_id"] = (await go("post", "/v1/accounts", person))["id"]
    await go("get", "/v1/accounts/{account_id}")
    await go("get", "/v1/accounts")
    await go("put", "/v1/accounts/{account_id}", {"locale": "de-DE", "tax_id": "DE123456788"})
    await go("get", "/v1/accounts/{account_id}/taxes")
    await go("put", "/v1/accounts/{account_id}/taxes", {"codes": ["vat"]})
    await go("get", "/v1/accounts/{account_id}/tax-treatment")
    await go("put", "/v1/accounts/{account_id}/tax-treatment", {"treatment": "taxable"})
    bought = {"account_id": go.ids["account_id"], "plan_id": go.ids["plan_id"], "quantity": 1}
    go.ids["subscription_id"] = (await go("post", "/v1/subscriptions", bought))["id"]
    await go("get", "/v1/subscriptions")
    await go("get", "/v1/subscriptions/{subscription_id}")


async def _use(go: Walk) -> None:
    event = {
        "id": "call-1", "meter": "calls", "account_id": go.ids["account_id"], "quantity": 4500, "occurred_at": "2026-01-01T00:00:00Z",
        "properties": {"region": "eu"},
    }  # fmt: skip
    await go("post", "/v1/events", event)
    await go(
        "post",
        "/v1/events/batch",
        [event, {**event, "id": "call-2", "quantity": 12}, {**event, "id": "call-3", "meter": "cals"}],
    )
    go.ids["event_id"] = "call-2"
    await go("post", "/v1/events/{event_id}/void", {"reason": "a test call"})
    await go("get", "/v1/events/{event_id}")
    await go("get", "/v1/accounts/{account_id}/usage")
    estimate = {
        "charge_model": "graduated",
        "properties": TIERS,
        "currency": "EUR",
        "units": "4500",
    }
    await go("post", "/v1/rating/estimate", estimate)
    await go(
        "post",
        "/v1/periods/preview",
        {"anchor": "2026-01-31T00:00:00Z", "cycle": "monthly", "timezone": "Europe/Berlin", "count": 3},
    )
    go.ids["customer_id"] = (
        await go("post", "/api/v1/customers", {"customer_name": "A test customer name"})
    )["customer"]["id"]
    usage = {"service": "Database Hosting", "units_consumed": 58, "price_per_unit": 0.05}
    await go("post", "/api/v1/customers/{customer_id}/usage", usage)


async def _bill(go: Walk) -> None:
    coupon = {
        "code": "WELCOME10",
        "name": "Ten percent for a start",
        "kind": "percent",
        "value": 10,
        "livemode": False,
    }
    go.ids["coupon_id"] = (await go("post", "/v1/coupons", coupon))["id"]
    await go("get", "/v1/coupons", query="?livemode=false")
    await go("get", "/v1/coupons/{coupon_id}")
    await go("put", "/v1/coupons/{coupon_id}", {"max_redemptions": 100})
    applied = await go("post", "/v1/coupons/apply", {"code": "WELCOME10", "account_id": go.ids["account_id"]})
    go.ids["applied_id"] = applied["id"]
    await go("get", "/v1/accounts/{account_id}/coupons")
    purse = {"account_id": go.ids["account_id"], "name": "Prepaid", "currency": "EUR", "priority": 10}
    go.ids["wallet_id"] = (await go("post", "/v1/wallets", purse))["id"]
    await go(
        "post",
        "/v1/wallets/{wallet_id}/top-ups",
        {"kind": "granted", "amount": "20.00", "expires_at": "2026-12-31T00:00:00Z"},
    )
    await go("get", "/v1/wallets/{wallet_id}/top-ups")
    for _ in range(2):
        go.ids["hold_id"] = (
            await go("post", "/v1/wallets/{wallet_id}/holds", {"amount": "5.00", "description": "a call"})
        )["id"]
        await go("get", "/v1/wallets/{wallet_id}/holds")
        if "capture_wallet_hold" not in go.kept:
            await go("post", "/v1/wallets/{wallet_id}/holds/{hold_id}/capture", {"amount": "3.00"})
        else:
            await go("post", "/v1/wallets/{wallet_id}/holds/{hold_id}/release")
    await go("put", "/v1/wallets/{wallet_id}", {"name": "Prepaid credit"})
    await go("get", "/v1/wallets")
    await go("get", "/v1/wallets/{wallet_id}")
    await go("post", "/v1/invoices/preview", {"account_id": go.ids["account_id"]})
    await go("post", "/v1/test-clocks/{clock_id}/advance", {"to": "2026-02-02T00:00:00Z"})
    found = await go("get", "/v1/invoices", query=f"?account_id={go.ids['account_id']}")
    go.ids["invoice_id"] = found[0]["id"]
    for path in ("", "/explain", "/verify"):
        await go("get", "/v1/invoices/{invoice_id}" + path)
    await go("get", "/v1/wallets/{wallet_id}/transactions")


async def _credits(go: Walk) -> None:
    note = {"reason": "An outage on 12 January", "amount": "5.00"}
    await go("post", "/v1/invoices/{invoice_id}/credit-notes/preview", note)
    go.ids["note_id"] = (await go("post", "/v1/invoices/{invoice_id}/credit-notes", note))["id"]
    await go("get", "/v1/invoices/{invoice_id}/credit-notes")
    await go("get", "/v1/credit-notes")
    await go("get", "/v1/credit-notes/{note_id}")
    await go("post", "/v1/invoices/{invoice_id}/pay")
    await go("get", "/v1/accounts/{account_id}/credit")
    await go("get", "/v1/accounts/{account_id}/credit/history")


async def _books(go: Walk) -> None:
    mine = {"account_id": go.ids["account_id"]}
    record = {**mine, "amount": "120.00", "description": "Workshop", "due_date": "2026-03-01"}
    for end in ("finalize", "void"):
        made = await go("post", "/v1/billing", record)
        go.ids["record_id"] = go.ids["invoice_id"] = made["id"]
        await go("get", "/v1/billing/{record_id}")
        await go("put", "/v1/billing/{record_id}", {"amount": "110.00"})
        await go("post", "/v1/invoices/{invoice_id}/" + end)
        if end == "finalize":
            await go("post", "/v1/invoices/{invoice_id}/pay")
    await go("get", "/v1/billing/history/{account_id}")
    await go(
        "post",
        "/v1/events",
        {**mine, "id": "call-9", "meter": "calls", "quantity": 1700, "occurred_at": "2026-02-01T12:00:00Z"},
    )
    await go(
        "post",
        "/v1/invoices",
        {**mine, "period_start": "2026-02-01T00:00:00Z", "period_end": "2026-02-02T00:00:00Z"},
    )
    go.ids["run_id"] = (await go("post", "/v1/billing-runs", {}))["id"]
    await go("get", "/v1/billing-runs")
    await go("get", "/v1/billing-runs/{run_id}")
    await go("get", "/v1/ledger/accounts", query=f"?account_id={go.ids['account_id']}")
    await go("get", "/v1/ledger/entries", query=f"?account_id={go.ids['account_id']}&limit=3")
    await go("get", "/v1/ledger/trial-balance")


async def _mend(go: Walk) -> None:
    go.ids["event_id"] = "call-9"
    await go("post", "/v1/events/{event_id}/amend", {"quantity": 1750, "reason": "counted anew"})
    window = {
        "account_ids": [go.ids["account_id"]], "meters": ["calls"], "mode": "add", "reason": "a collector was down",
        "period_start": "2026-02-01T00:00:00Z", "period_end": "2026-02-02T00:00:00Z",
    }  # fmt: skip
    lost = {
        "id": "call-10", "meter": "calls", "account_id": go.ids["account_id"], "quantity": 40, "occurred_at": "2026-02-01T15:00:00Z",
    }  # fmt: skip
    go.ids["backfill_id"] = (await go("post", "/v1/backfills", window))["id"]
    await go("post", "/v1/backfills/{backfill_id}/events", [lost])
    await go("post", "/v1/backfills/{backfill_id}/diff")
    await go("post", "/v1/backfills/{backfill_id}/commit", {})
    await go("get", "/v1/backfills")
    await go("get", "/v1/backfills/{backfill_id}")
    await go("post", "/v1/backfills/{backfill_id}/revert")
    go.ids["backfill_id"] = (await go("post", "/v1/backfills", window))["id"]
    await go("post", "/v1/backfills/{backfill_id}/cancel")


async def _ends(go: Walk) -> None:
    await go("delete", "/v1/subscriptions/{subscription_id}", query="?when=now")
    await go("delete", "/v1/accounts/{account_id}/coupons/{applied_id}")
    go.ids["account_id"] = (await go("post", "/v1/accounts", {"name": "Nobody"}))["id"]
    await go("delete", "/v1/accounts/{account_id}")


async def _forgotten(go: Walk, app: FastAPI) -> None:
    await go("post", "/v1/auth/password/forgot", {"email": "ada@example.com"})
    body = {"token": await letter(app), "new_password": "yet another sentence"}
    await go("post", "/v1/auth/password/reset", body, headers={"X-None": ""})


def tidy(found: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from day to day: random ids, secrets, today's times."""
    text = json.dumps(found, ensure_ascii=False)
    for number, each in enumerate(dict.fromkeys(_UUID.findall(text)), 1):
        text = text.replace(each, f"019b7bf3-4a00-7000-8000-{number:012d}")
    today = f"{datetime.now(UTC):%Y-%m-%d}T"
    text = re.sub(today + r"[0-9:.]+Z", "2026-02-02T09:30:00Z", text)
    plain: dict[str, Any] = _plain(json.loads(text))
    return plain


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _plain(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, name) for each in value[:3]]
    if isinstance(value, str) and (name in _SECRETS or (name == "token" and len(value) > 20)):
        return _SECRETS.get(name, "pr_5Kd8example")
    return value


def main() -> None:
    """Writes the file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with embedded_postgres(Path(folder) / "data", durable=False, keep=False) as url:
            upgrade(url)
            found = asyncio.run(record(url, Path(folder) / "house"))
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
