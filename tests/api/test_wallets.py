"""Wallets over HTTP: money in, what bills take of it, holds, bad input, whose it is."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

from tallystick.cli.doctor import examine

Headers = dict[str, str]
METER = "service:Database Hosting"


class Purse:
    """An account on a clock frozen at 1 January 2026, 00:00 UTC, and its wallets."""

    def __init__(self, client: httpx.AsyncClient, headers: Headers) -> None:
        self.client, self.headers = client, headers
        self.account = self.clock = ""

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, **more: str) -> Any:
        answer = await self.client.request(method, path, json=body, headers={**self.headers, **more})
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    async def get(self, path: str) -> Any:
        return (await self.call("GET", path))["data"]

    async def post(self, path: str, body: Any, status: int = 201, **more: str) -> Any:
        found = await self.call("POST", path, body, status, **more)
        return found["data"] if status < 300 else found

    async def open(self) -> "Purse":
        self.clock = (await self.post("/v1/test-clocks", {"frozen_time": "2026-01-01T00:00:00Z"}))["id"]
        opened = await self.post(
            "/v1/accounts", {"name": "Ada", "currency": "USD", "test_clock_id": self.clock}
        )
        self.account = opened["id"]
        return self

    async def wallet(self, status: int = 201, **fields: Any) -> Any:
        return await self.post(
            "/v1/wallets", {"account_id": self.account, "name": "Credits", **fields}, status
        )

    async def top_up(
        self, wallet: Any, amount: Any, kind: str = "granted", status: int = 201, **fields: Any
    ) -> Any:
        return await self.post(
            f"/v1/wallets/{wallet['id']}/top-ups", {"kind": kind, "amount": amount, **fields}, status
        )

    async def use(self, quantity: int) -> None:
        body = {
            "id": str(uuid4()), "account_id": self.account, "meter": METER, "quantity": quantity, "unit_price": "0.05",
        }  # fmt: skip
        await self.post("/v1/events", body)

    async def advance(self, to: str) -> None:
        await self.post(f"/v1/test-clocks/{self.clock}/advance", {"to": to}, 200)


@pytest.fixture
async def purse(client: httpx.AsyncClient, finance_headers: Headers, admin_headers: Headers) -> Purse:
    return await Purse(client, admin_headers).open()


async def sound(app: FastAPI) -> None:
    assert [each for each in await examine(database_of(app)) if each["violations"]] == []


async def test_from_the_top_up_to_the_line_it_paid(app: FastAPI, purse: Purse) -> None:
    wallet = await purse.wallet(priority=3)
    assert (wallet["status"], wallet["balance"], wallet["currency"]) == ("active", 0, "USD")
    given = await purse.top_up(wallet, "1.50", description="Welcome")
    paid = await purse.top_up(wallet, 10, "paid", price="9.00", expires_at="2026-12-31T00:00:00Z")
    assert (paid["price"], paid["remaining"], paid["priority"], given["price"]) == (9, 10, 3, 0)
    await purse.use(100)
    preview = await purse.post("/v1/invoices/preview", {"account_id": purse.account}, 200)
    await purse.advance("2026-02-01T01:00:00Z")
    (listed,) = await purse.get(f"/v1/invoices?account_id={purse.account}")
    invoice = await purse.get(f"/v1/invoices/{listed['id']}")
    assert (invoice["granted"], invoice["wallet_applied"], invoice["amount_due"], invoice["status"]) == (
        1.5,
        3.5,
        0,
        "paid",
    )
    assert invoice["wallet_draws"] == preview["invoices"][0]["wallet_draws"]
    assert [(each["grant_id"], each["kind"], each["line"], each["amount"]) for each in invoice["wallet_draws"]] == [
        (given["id"], "granted", 1, 1.5), (paid["id"], "paid", 1, 3.5),
    ]  # fmt: skip
    (line,) = invoice["lines"]
    assert [(each["source"], each["id"], each["amount"]) for each in line["reductions"]] == [
        ("grant", given["id"], 1.5)
    ]
    history = await purse.get(f"/v1/wallets/{wallet['id']}/transactions")
    assert [(each["kind"], each["amount"], each["invoice_id"], each["lines"]) for each in history] == [
        ("draw", -3.5, invoice["id"], [{"position": 1, "amount": 3.5}]), ("draw", -1.5, invoice["id"], [{"position": 1, "amount": 1.5}]),
        ("top_up", 10, None, []), ("top_up", 1.5, None, []),
    ]  # fmt: skip
    drawn = await purse.get(f"/v1/wallets/{wallet['id']}/transactions?kind=draw&limit=1")
    assert [each["amount"] for each in drawn] == [-3.5]
    told = await purse.get(f"/v1/invoices/{invoice['id']}/explain")
    assert any(
        "wallet Credits pays 3.50 USD of line 1 (paid money, after tax" in each for each in told["text"]
    )
    assert (await purse.get(f"/v1/invoices/{invoice['id']}/verify"))["agrees"] is True
    now = await purse.get(f"/v1/wallets/{wallet['id']}")
    assert (now["balance"], now["paid_balance"], now["available"], now["as_of"]) == (
        6.5,
        6.5,
        6.5,
        "2026-02-01T01:00:00Z",
    )
    assert now["revision"] > wallet["revision"]
    kept = await purse.get(f"/v1/wallets/{wallet['id']}/top-ups")
    assert [(each["id"], each["remaining"]) for each in kept] == [(paid["id"], 6.5), (given["id"], 0)]
    await sound(app)


async def test_a_top_up_with_a_key_is_made_once(app: FastAPI, purse: Purse) -> None:
    wallet = await purse.wallet()
    body = {"kind": "paid", "amount": "5"}
    path = f"/v1/wallets/{wallet['id']}/top-ups"
    one = await purse.post(path, body, **{"Idempotency-Key": "k1"})
    two = await purse.post(path, body, **{"Idempotency-Key": "k1"})
    assert one == two
    other = await purse.post(path, {**body, "amount": "6"}, 422, **{"Idempotency-Key": "k1"})
    assert other["code"] == "idempotency_key_reused"
    assert (await purse.get(f"/v1/wallets/{wallet['id']}"))["balance"] == 5
    await sound(app)


async def test_holds_reserve_capture_and_let_go(app: FastAPI, purse: Purse) -> None:
    wallet = await purse.wallet()
    await purse.top_up(wallet, "5", "paid")
    holds = f"/v1/wallets/{wallet['id']}/holds"
    held = await purse.post(holds, {"amount": "3.000001", "description": "call"})
    assert (held["status"], held["expires_at"]) == ("active", "2026-01-02T00:00:00Z")
    shown = await purse.get(f"/v1/wallets/{wallet['id']}")
    assert (shown["held"], shown["available"], shown["balance"]) == (3.000001, 1.999999, 5)
    assert (await purse.post(holds, {"amount": 2}, 409))["code"] == "insufficient_balance"
    over = await purse.post(f"{holds}/{held['id']}/capture", {"amount": "3.000002"}, 409)
    assert over["code"] == "over_capture"
    done = await purse.post(f"{holds}/{held['id']}/capture", {"amount": "1", "gl_code": "calls"}, 200)
    assert (done["status"], done["captured"]) == ("captured", 1)
    for deed in ("capture", "release"):
        again = await purse.post(f"{holds}/{held['id']}/{deed}", None, 409)
        assert again["code"] == "hold_over"
    second = await purse.post(holds, {"amount": 4})
    assert (await purse.post(f"{holds}/{second['id']}/release", {}, 200))["status"] == "released"
    third = await purse.post(holds, {"amount": 4, "expires_at": "2026-01-01T12:00:00Z"})
    await purse.advance("2026-01-01T13:00:00Z")
    assert [(each["id"], each["status"]) for each in await purse.get(holds)] == [
        (third["id"], "expired"), (second["id"], "released"), (held["id"], "captured"),
    ]  # fmt: skip
    assert await purse.get(f"{holds}?status=active") == []
    missing = await purse.post(f"{holds}/{uuid4()}/capture", None, 404)
    assert missing["code"] == "hold_not_found"
    kinds = [each["kind"] for each in await purse.get(f"/v1/wallets/{wallet['id']}/transactions")]
    assert kinds == ["release", "hold", "release", "hold", "release", "capture", "hold", "top_up"]
    await sound(app)


async def test_a_hold_for_something_leaves_other_grants_alone(purse: Purse) -> None:
    await purse.post("/v1/meters", {"code": "calls", "aggregation": "sum", "unit": "call"})
    wallet = await purse.wallet()
    await purse.top_up(wallet, 5, meters=["calls"])
    holds = f"/v1/wallets/{wallet['id']}/holds"
    assert (await purse.post(holds, {"amount": 1}, 409))["code"] == "insufficient_balance"
    assert (await purse.post(holds, {"amount": 1, "meter": "calls"}))["amount"] == 1


async def test_what_may_change_of_a_wallet(app: FastAPI, purse: Purse) -> None:
    wallet = await purse.wallet()
    path = f"/v1/wallets/{wallet['id']}"
    changed = await purse.call(
        "PUT", path, {**wallet, "name": "Promo", "priority": 1, "expires_at": "2026-03-01T00:00:00Z"}
    )
    assert (changed["data"]["name"], changed["data"]["priority"]) == ("Promo", 1)
    grant = await purse.top_up(wallet, 5, expires_at="2026-06-01T00:00:00Z")
    assert grant["expires_at"] == "2026-03-01T00:00:00Z", "it ends with its wallet"
    await purse.call("PUT", path, {"expires_at": None})
    (grant,) = await purse.get(f"{path}/top-ups")
    assert grant["expires_at"] == "2026-06-01T00:00:00Z"
    stale = await purse.call("PUT", path, {"name": "X"}, 412, **{"If-Match": '"1"'})
    assert stale["code"] == "stale"
    readonly = await purse.call("PUT", path, {"currency": "EUR"}, 422)
    assert readonly["code"] == "read_only"
    assert (await purse.call("PUT", path, {"status": "expired"}, 422))["details"].keys() == {"status"}
    ended = await purse.call("PUT", path, {"status": "terminated"})
    assert (ended["data"]["status"], ended["data"]["balance"]) == ("terminated", 0)
    for body in ({"name": "Y"}, {"priority": 3}):
        assert (await purse.call("PUT", path, body, 409))["code"] == "wallet_ended"
    assert (await purse.top_up(wallet, 5, status=409))["code"] == "wallet_ended"
    assert (await purse.post(f"{path}/holds", {"amount": 1}, 409))["code"] == "wallet_ended"
    again = await purse.call("PUT", path, {"status": "terminated"})
    assert again["data"]["status"] == "terminated"
    rich = await purse.wallet()
    await purse.top_up(rich, 5, "paid")
    refused = await purse.call("PUT", f"/v1/wallets/{rich['id']}", {"status": "terminated"}, 409)
    assert refused["code"] == "wallet_holds_money"
    active = await purse.get(f"/v1/wallets?account_id={purse.account}&status=active&currency=USD")
    assert [each["id"] for each in active] == [rich["id"]]
    closing = await purse.call("DELETE", f"/v1/accounts/{purse.account}", None, 409)
    assert closing["details"]["wallets"] == "paid and not used, or held: 5.00 USD"
    await sound(app)


async def test_a_void_gives_back_over_http(app: FastAPI, purse: Purse) -> None:
    wallet = await purse.wallet()
    await purse.top_up(wallet, 1)
    await purse.top_up(wallet, 2, "paid")
    await purse.use(100)
    await purse.advance("2026-02-01T01:00:00Z")
    (invoice,) = await purse.get(f"/v1/invoices?account_id={purse.account}")
    assert invoice["amount_due"] == 2
    await purse.post(f"/v1/invoices/{invoice['id']}/void", {}, 200)
    shown = await purse.get(f"/v1/wallets/{wallet['id']}")
    assert (shown["granted_balance"], shown["paid_balance"]) == (1, 2)
    assert (await purse.get(f"/v1/invoices/{invoice['id']}/verify"))["agrees"] is True
    await sound(app)


FORM = "validation_failed"
BAD_WALLETS: list[tuple[dict[str, Any], str, str]] = [
    ({"currency": "XXX"}, FORM, "currency"),
    ({"priority": -1}, FORM, "priority"),
    ({"priority": 1001}, FORM, "priority"),
    ({"name": " "}, FORM, "name"),
    ({"meters": ["nothing"]}, "unknown_wallet_scope", "meters"),
    ({"plans": ["nothing"]}, "unknown_wallet_scope", "plans"),
    ({"meters": "calls"}, FORM, "meters"),
    ({"expires_at": "2026-01-01T00:00:00Z"}, "invalid", "expires_at"),
    ({"expires_at": "2026-02-01"}, FORM, "expires_at"),
    ({"balance": 5}, FORM, "balance"),
]


async def test_bad_wallets(purse: Purse) -> None:
    for fields, code, field in BAD_WALLETS:
        refused = await purse.wallet(422, **fields)
        assert (refused["code"], {name.split(".")[0] for name in refused["details"]}) == (code, {field}), (
            fields
        )
    assert await purse.get("/v1/wallets") == []
    stranger = await purse.post("/v1/wallets", {"account_id": "acc_x", "name": "X"}, 404)
    assert stranger["code"] == "not_found"


BAD_TOP_UPS: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": 0}, FORM, "amount"),
    ({"amount": -1}, FORM, "amount"),
    ({"amount": "1.001"}, "too_many_decimals", "amount"),
    ({"amount": "0.0000001"}, FORM, "amount"),
    ({"amount": "1e15"}, FORM, "amount"),
    ({"amount": "NaN"}, FORM, "amount"),
    ({"amount": None}, FORM, "amount"),
    ({"kind": "free"}, FORM, "kind"),
    ({"currency": "EUR"}, "wallet_currency_differs", "currency"),
    ({"price": "6"}, "invalid", "price"),
    ({"price": "0"}, FORM, "price"),
    ({"price": "1.001"}, "too_many_decimals", "price"),
    ({"kind": "granted", "price": 1}, "invalid", "price"),
    ({"expires_at": "2025-12-31T23:59:59Z"}, "invalid", "expires_at"),
    ({"meters": ["nothing"]}, "unknown_wallet_scope", "meters"),
    ({"plans": ["nothing"]}, "unknown_wallet_scope", "plans"),
    ({"plans": [""]}, FORM, "plans"),
    ({"remaining": 1}, FORM, "remaining"),
]


async def test_bad_top_ups_put_nothing_in(purse: Purse) -> None:
    wallet = await purse.wallet()
    for fields, code, field in BAD_TOP_UPS:
        body = {"kind": "paid", "amount": 5, **fields}
        refused = await purse.post(f"/v1/wallets/{wallet['id']}/top-ups", body, 422)
        assert (refused["code"], {name.split(".")[0] for name in refused["details"]}) == (code, {field}), (
            fields
        )
    assert (await purse.get(f"/v1/wallets/{wallet['id']}"))["balance"] == 0
    assert await purse.get(f"/v1/wallets/{wallet['id']}/transactions") == []
    missing = await purse.post(f"/v1/wallets/{uuid4()}/top-ups", {"kind": "paid", "amount": 5}, 404)
    assert missing["code"] == "wallet_not_found"


async def test_bad_holds(purse: Purse) -> None:
    wallet = await purse.wallet()
    await purse.top_up(wallet, 5)
    for fields, field in (
        ({"amount": 0}, "amount"),
        ({"amount": "0.0000001"}, "amount"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2026-02-02T00:00:00Z"}, "expires_at"),
        ({"meter": "no meter's code"}, "meter"),
    ):
        refused = await purse.post(f"/v1/wallets/{wallet['id']}/holds", {"amount": 1, **fields}, 422)
        assert list(refused["details"]) == [field]
    held = await purse.post(f"/v1/wallets/{wallet['id']}/holds", {"amount": 1})
    for amount in (0, -1, "NaN", "0.0000001"):
        path = f"/v1/wallets/{wallet['id']}/holds/{held['id']}/capture"
        assert list((await purse.post(path, {"amount": amount}, 422))["details"]) == ["amount"]


async def test_a_customer_sees_his_own_and_writes_none(
    client: httpx.AsyncClient, admin_headers: Headers, customer: Callable[..., Awaitable[Customer]]
) -> None:
    ada, eve = await customer(), await customer()
    purse = Purse(client, admin_headers)
    purse.account = ada.account_id
    wallet = await purse.wallet()
    path = f"/v1/wallets/{wallet['id']}"
    for who, status in ((ada, 200), (eve, 404)):
        for part in ("", "/top-ups", "/transactions", "/holds"):
            assert (await client.get(path + part, headers=who.headers)).status_code == status
    assert [each["id"] for each in (await client.get("/v1/wallets", headers=ada.headers)).json()["data"]] == [
        wallet["id"]
    ]
    assert (await client.get("/v1/wallets", headers=eve.headers)).json()["data"] == []
    other = await client.get(f"/v1/wallets?account_id={ada.account_id}", headers=eve.headers)
    assert other.status_code == 404
    own = await client.post(f"{path}/top-ups", json={"kind": "granted", "amount": 5}, headers=ada.headers)
    assert own.status_code == 404
    unknown = await client.get(f"/v1/wallets/{uuid4()}", headers=admin_headers)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "wallet_not_found")
