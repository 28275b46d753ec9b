"""Coupons over HTTP: what they lower, how often, for whom; the last one goes to one of many; bad ones are refused with a code."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import Customer
from test_billing_api import Life, sound

Headers = dict[str, str]


@pytest.fixture
async def life(client: httpx.AsyncClient, admin_headers: Headers) -> Life:
    return await Life(client, admin_headers).open()


async def made(life: Life, status: int = 201, **fields: Any) -> Any:
    body = {"code": "TEN", "name": "Ten", "kind": "percent", "value": 10, "livemode": False, **fields}
    return await life.call("POST", "/v1/coupons", body, status)


async def applied(life: Life, code: str = "TEN", status: int = 201) -> Any:
    return await life.call("POST", "/v1/coupons/apply", {"code": code, "account_id": life.account}, status)


async def subscribed(life: Life, **fields: Any) -> Any:
    plan = await life.post(
        "/v1/plans", {"name": "Pro", "price": "100.00", "currency": "USD", "code": "pro", **fields}, 201
    )
    await life.post("/v1/subscriptions", {"plan_id": plan["id"], "account_id": life.account}, 201)
    return plan


async def bills(app: FastAPI, life: Life) -> list[dict[str, Any]]:
    """All invoices, oldest first; each agrees with itself, and the books with them."""
    found = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"][::-1]
    for each in found:
        assert (await life.get(f"/v1/invoices/{each['id']}/verify"))["data"]["problems"] == []
    await sound(app)
    return found


@pytest.mark.parametrize(
    ("fields", "discounts"),
    [
        ({"duration": "once"}, [10, 0, 0]),
        ({"duration": "repeating", "periods": 2}, [10, 10, 0]),
        ({"duration": "forever"}, [10, 10, 10]),
        (
            {"kind": "fixed", "value": "250.00", "currency": "USD", "duration": "repeating", "periods": 2},
            [100, 100, 0],
        ),
    ],
)
async def test_how_long_it_lasts(
    app: FastAPI, life: Life, fields: dict[str, Any], discounts: list[int]
) -> None:
    await made(life, **fields)
    assert (await applied(life))["data"]["status"] == "active"
    await subscribed(life)
    preview = await life.post("/v1/invoices/preview", {"account_id": life.account})
    await life.advance("2026-03-01T00:00:01Z")
    found = await bills(app, life)
    assert [each["discount"] for each in found] == discounts
    assert [each["total"] for each in found] == [100 - each for each in discounts]
    assert preview["invoices"][0]["total"] == found[0]["total"]
    (shown,) = (await life.get(f"/v1/accounts/{life.account}/coupons"))["data"]
    assert shown["discounted"] == sum(discounts)
    assert shown["status"] == ("active" if fields["duration"] == "forever" else "used_up")


async def test_taxes_are_on_what_is_left(app: FastAPI, life: Life) -> None:
    await life.post(
        "/v1/taxes", {"code": "vat", "name": "VAT", "rate": 19, "is_default": True, "livemode": False}, 201
    )
    await made(life, kind="fixed", value="30.00", currency="USD")
    await applied(life)
    await subscribed(life)
    await life.advance("2026-01-01T00:00:01Z")
    (invoice,) = await bills(app, life)
    assert (invoice["subtotal"], invoice["discount"], invoice["tax"], invoice["total"]) == (
        100,
        30,
        13.3,
        83.3,
    )
    shown = (await life.get(f"/v1/invoices/{invoice['id']}"))["data"]["lines"][0]
    assert [(each["source"], each["code"], each["amount"]) for each in shown["reductions"]] == [
        ("coupon", "TEN", 30)
    ]


async def test_a_meters_coupon_lowers_its_lines_before_the_general_one(app: FastAPI, life: Life) -> None:
    await made(life, code="ALL", duration="forever")
    await made(life, code="USE", value=50, meters=["service:Database Hosting"], duration="forever")
    for code in ("ALL", "USE"):
        await applied(life, code)
    await subscribed(life, billing_timing="arrears")
    await life.use("1", 400)
    await life.advance("2026-02-01T02:00:00Z")
    found = await bills(app, life)
    by_amount = {each["subtotal"]: each["discount"] for each in found}
    # usage 20.00 − 50 % = 10.00, of which 10 % more; the fee 100.00 only 10 %. One invoice holds both where they fall due together.
    assert sum(by_amount.values()) == 21
    assert sum(by_amount) == 120


async def test_a_void_invoice_gives_the_coupon_back(app: FastAPI, life: Life) -> None:
    await made(life)
    await applied(life)
    await subscribed(life)
    await life.advance("2026-01-01T00:00:01Z")
    (invoice,) = await bills(app, life)
    await life.post(f"/v1/invoices/{invoice['id']}/void", {})
    (shown,) = (await life.get(f"/v1/accounts/{life.account}/coupons"))["data"]
    assert (shown["uses_left"], shown["status"], shown["discounted"]) == (1, "active", 0)
    await sound(app)


async def test_a_withdrawn_coupon_lowers_nothing(app: FastAPI, life: Life) -> None:
    await made(life, duration="forever")
    given = (await applied(life))["data"]
    url = f"/v1/accounts/{life.account}/coupons/{given['id']}"
    for _ in range(2):
        assert (await life.client.delete(url, headers=life.headers)).status_code == 204
    await subscribed(life)
    await life.advance("2026-01-01T00:00:01Z")
    assert [each["discount"] for each in await bills(app, life)] == [0]
    unknown = f"/v1/accounts/{life.account}/coupons/0197a000-0000-7000-8000-000000000000"
    assert (await life.client.delete(unknown, headers=life.headers)).status_code == 404


async def test_of_many_who_race_for_the_last_one_has_it(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: Headers, life: Life
) -> None:
    coupon = (await made(life, max_redemptions=3, livemode=True))["data"]
    accounts = [
        (await client.post("/v1/accounts", json={"name": f"A{number}"}, headers=admin_headers)).json()[
            "data"
        ]["id"]
        for number in range(12)
    ]
    answers = await asyncio.gather(
        *(
            client.post("/v1/coupons/apply", json={"code": "TEN", "account_id": each}, headers=admin_headers)
            for each in accounts
        )
    )
    assert sorted(each.status_code for each in answers) == [201] * 3 + [409] * 9
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"coupon_exhausted"}
    assert (await life.get(f"/v1/coupons/{coupon['id']}"))["data"]["redemptions"] == 3
    await sound(app)


async def test_what_cannot_be_redeemed_says_why(life: Life) -> None:
    await made(life, code="OLD", redeem_by="2025-12-31T00:00:00Z")
    await made(life, code="OFF", is_active=False)
    await made(life, code="EUR", kind="fixed", value=5, currency="EUR")
    await made(life, code="TENTH", currency="EUR")
    await made(life, code="ONE", currency="USD")
    await made(life, code="LIVE", livemode=True)
    await applied(life, "ONE")
    for code, status, reason in (
        ("OLD", 409, "coupon_expired"), ("OFF", 409, "coupon_inactive"), ("EUR", 422, "coupon_currency_differs"),
        ("TENTH", 422, "coupon_currency_differs"), ("ONE", 409, "coupon_already_applied"), ("NONE", 404, "coupon_not_found"), ("LIVE", 404, "coupon_not_found"),
    ):  # fmt: skip
        assert (await applied(life, code, status))["code"] == reason
    assert len((await life.get(f"/v1/accounts/{life.account}/coupons"))["data"]) == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"value": 0}, "value"), ({"value": -5}, "value"), ({"value": 101}, "value"), ({"value": "NaN"}, "value"), ({"kind": "gift"}, "kind"),
        ({"kind": "fixed"}, "currency"), ({"kind": "fixed", "value": "0.001", "currency": "USD"}, "value"), ({"currency": "XXQ"}, "currency"),
        ({"duration": "repeating"}, "periods"), ({"periods": 2}, "periods"), ({"duration": "repeating", "periods": 0}, "periods"),
        ({"meters": ["nothing"]}, "meters"), ({"plans": ["nothing"]}, "plans"), ({"redeem_by": "2026-01-01T00:00:00"}, "redeem_by"),
        ({"max_redemptions": 0}, "max_redemptions"), ({"per_account": 0}, "per_account"), ({"code": "two words"}, "code"), ({"moon": 1}, "moon"),
    ],
)  # fmt: skip
async def test_a_bad_coupon_names_its_field(life: Life, fields: dict[str, Any], named: str) -> None:
    assert set((await made(life, 422, **fields))["details"]) == {named}
    assert (await life.get("/v1/coupons?livemode=false"))["data"] == []


async def test_terms_never_change_and_limits_may(life: Life) -> None:
    coupon = (await made(life))["data"]
    url = f"/v1/coupons/{coupon['id']}"
    changed = await life.call("PUT", url, {"name": "Better", "max_redemptions": 5})
    assert (changed["data"]["name"], changed["data"]["max_redemptions"]) == ("Better", 5)
    assert (await life.call("PUT", url, {"value": 20}, 422))["code"] == "read_only"
    assert (await made(life, 409))["code"] == "coupon_exists"
    await applied(life)
    refused = await life.call("PUT", url, {"max_redemptions": 1})
    assert refused["data"]["redemptions"] == 1
    assert (await life.get(url))["data"]["max_redemptions"] == 1


async def test_customers_redeem_for_themselves_only(
    life: Life, customer: Callable[[], Awaitable[Customer]]
) -> None:
    await made(life, livemode=True, duration="forever")
    someone = await customer()
    own = await life.client.post("/v1/coupons/apply", json={"code": "TEN"}, headers=someone.headers)
    assert own.status_code == 201, own.text
    other = await life.client.post(
        "/v1/coupons/apply", json={"code": "TEN", "account_id": life.account}, headers=someone.headers
    )
    assert other.status_code == 404
    assert (await life.client.get("/v1/coupons", headers=someone.headers)).status_code == 404
