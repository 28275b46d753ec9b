"""Taxes on the bills of accounts on a test clock: categories, dated rates, treatments, prices that hold the tax, both roundings."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from test_billing_api import Life, sound

Headers = dict[str, str]


@pytest.fixture
async def life(client: httpx.AsyncClient, admin_headers: Headers) -> Life:
    return await Life(client, admin_headers).open()


async def vat(life: Life, **fields: Any) -> Any:
    body = {"code": "vat", "name": "VAT", "rate": 19, "is_default": True, "livemode": False, **fields}
    return await life.post("/v1/taxes", body, 201)


async def subscribed(life: Life, **fields: Any) -> None:
    plan = await life.post("/v1/plans", {"name": "Pro", "price": "29.99", "currency": "USD", **fields}, 201)
    await life.post("/v1/subscriptions", {"plan_id": plan["id"], "account_id": life.account}, 201)


async def bills(app: FastAPI, life: Life) -> list[dict[str, Any]]:
    """All invoices, oldest first; each agrees with itself, and the books with them."""
    found = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"][::-1]
    for each in found:
        assert (await life.get(f"/v1/invoices/{each['id']}/verify"))["data"]["problems"] == []
    await sound(app)
    return found


def taxes(invoice: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(each["code"], each["rate"], each["base"], each["amount"]) for each in invoice["taxes"]]


async def test_a_rate_changes_with_the_tax_point(app: FastAPI, life: Life) -> None:
    tax = await vat(life)
    await life.post(f"/v1/taxes/{tax['id']}/rates", {"valid_from": "2026-03-01", "rate": 16}, 201)
    await subscribed(life, billing_timing="arrears")
    await life.advance("2026-04-02T00:00:00Z")
    found = [taxes(each) for each in await bills(app, life)]
    # January and February end before March does; 29.99 × 19 % = 5.6981, × 16 % = 4.7984
    assert found == [[("vat", 19, 29.99, 5.7)], [("vat", 19, 29.99, 5.7)], [("vat", 16, 29.99, 4.8)]]


async def test_the_day_of_issue_decides_where_the_entity_says_so(app: FastAPI, life: Life) -> None:
    await life.call("PUT", "/v1/entities/2", {"tax_point": "issue_date"})
    tax = await vat(life)
    await life.post(f"/v1/taxes/{tax['id']}/rates", {"valid_from": "2026-02-01", "rate": 16}, 201)
    await subscribed(life, billing_timing="arrears")
    await life.advance("2026-02-02T00:00:00Z")
    assert [taxes(each) for each in await bills(app, life)] == [[("vat", 16, 29.99, 4.8)]]


async def test_a_price_that_holds_the_tax_is_what_is_paid(app: FastAPI, life: Life) -> None:
    await vat(life)
    await subscribed(life, price="119.00", settings={"prices_include_tax": True})
    await life.advance("2026-01-01T00:00:01Z")
    (invoice,) = await bills(app, life)
    assert taxes(invoice) == [("vat", 19, 100, 19)]
    assert (invoice["subtotal"], invoice["included_tax"], invoice["tax"], invoice["total"]) == (
        119,
        19,
        19,
        119,
    )


async def test_categories_choose_the_rate(app: FastAPI, life: Life) -> None:
    await vat(life, categories=["standard"])
    await vat(life, code="reduced", name="Reduced", rate=7, categories=["books"])
    await subscribed(life, tax_category="books", price="100.00")
    await life.use("1", 100)
    await life.advance("2026-02-01T01:00:00Z")
    found = [taxes(each) for each in await bills(app, life)]
    assert found[0] == [("reduced", 7, 100, 7)]
    assert [("vat", 19, 5, 0.95)] in [[each for each in own if each[0] == "vat"] for own in found]


@pytest.mark.parametrize("treatment", ["exempt", "reverse_charge"])
async def test_who_is_not_charged_still_sees_the_tax_and_why(
    app: FastAPI, life: Life, treatment: str
) -> None:
    await vat(life)
    await life.call("PUT", f"/v1/accounts/{life.account}", {"tax_id": "DE136695976"})
    note = "Article 196, Directive 2006/112/EC"
    await life.call(
        "PUT", f"/v1/accounts/{life.account}/tax-treatment", {"treatment": treatment, "note": note}
    )
    await subscribed(life)
    await life.advance("2026-01-01T00:00:01Z")
    (invoice,) = await bills(app, life)
    (tax,) = invoice["taxes"]
    assert (tax["rate"], tax["base"], tax["amount"], tax["kind"], tax["note"]) == (
        0,
        29.99,
        0,
        treatment,
        note,
    )
    assert invoice["total"] == 29.99


@pytest.mark.parametrize(("rounding", "tax"), [("rate", 1.88), ("line", 1.89)])
async def test_both_roundings(app: FastAPI, life: Life, rounding: str, tax: float) -> None:
    await life.call("PUT", "/v1/entities/2", {"tax_rounding": rounding})
    await vat(life)
    for _ in range(3):
        await subscribed(life, price="3.30")
    await life.advance("2026-01-01T00:00:01Z")
    (invoice,) = await bills(app, life)
    assert (invoice["subtotal"], invoice["tax"]) == (9.9, tax)
