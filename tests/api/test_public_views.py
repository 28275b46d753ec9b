"""`public_v1` and the API tell the same: every view row is what the API answers for it, and what is erased is gone from both."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import support
from fastapi import FastAPI
from seeded import seed

from tallystick.platform import wire


async def rows(app: FastAPI, sql: str) -> list[dict[str, Any]]:
    async with support.database_of(app).read() as session:
        return [dict(row) for row in await session.fetch(sql)]


def agrees(shown: dict[str, Any], told: dict[str, Any], *, but: tuple[str, ...] = ()) -> None:
    """Every column that the API knows under the same name has the API's value."""
    common = (shown.keys() & told.keys()) - set(but)
    assert len(common) >= 4, common
    for name in common:
        column, field = shown[name], told[name]
        if isinstance(column, datetime):
            field = datetime.fromisoformat(field)
        elif isinstance(column, Decimal):
            field = Decimal(str(field))
        elif not isinstance(column, bool | int | dict | list | None):
            column = str(column)
        assert column == field, name


async def test_rows_are_what_the_api_answers(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    ids = (await seed(client, admin_headers)).ids

    async def get(path: str) -> Any:
        answer = await client.get(path, headers=admin_headers)
        assert answer.status_code == 200, answer.text
        return wire.loads_own(answer.content)["data"]

    customer = ids["account_id"]
    (shown,) = await rows(app, f"SELECT * FROM public_v1.customers WHERE id = '{customer}'")
    agrees(shown, await get(f"/v1/accounts/{customer}"))
    (shown,) = await rows(app, "SELECT * FROM public_v1.subscriptions")
    told = await get(f"/v1/subscriptions/{ids['subscription_id']}")
    agrees(shown, told)
    assert (shown["customer_id"], shown["plan_version"]) == (told["account_id"], told["plan"]["version"])
    for plan in await rows(app, "SELECT * FROM public_v1.plans"):
        agrees(plan, await get(f"/v1/plans/{plan['id']}"))
    invoices = await rows(app, "SELECT * FROM public_v1.invoices ORDER BY created_at")
    assert len(invoices) >= 3
    for invoice in invoices:
        told = await get(f"/v1/invoices/{invoice['id']}")
        agrees(invoice, told)
        lines = await rows(
            app,
            f"SELECT * FROM public_v1.invoice_lines WHERE invoice_id = '{invoice['id']}' ORDER BY position",
        )
        for shown, line in zip(lines, told["lines"], strict=True):
            agrees(shown, line)
        taxes = await rows(
            app,
            f"SELECT * FROM public_v1.invoice_taxes WHERE invoice_id = '{invoice['id']}' ORDER BY position",
        )
        for shown, tax in zip(taxes, told["taxes"], strict=True):
            agrees(shown, tax)
    for record in await rows(app, "SELECT * FROM public_v1.billing"):
        agrees(record, await get(f"/v1/billing/{record['id']}"), but=("billing_date", "due_date"))
    for note in await rows(app, "SELECT * FROM public_v1.credit_notes"):
        agrees(note, await get(f"/v1/credit-notes/{note['id']}"), but=("issue_date",))


async def test_usage_and_books_add_up(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    ids = (await seed(client, admin_headers)).ids
    voided = await client.post("/v1/events/seed-3/void", json={"reason": "test"}, headers=admin_headers)
    assert voided.status_code == 200, voided.text
    events = await rows(app, "SELECT * FROM public_v1.usage_events ORDER BY id")
    assert [(each["id"], each["voided_at"] is None) for each in events] == [
        ("seed-0", True), ("seed-1", True), ("seed-2", True), ("seed-3", False),
    ]  # fmt: skip
    (total,) = await rows(
        app, "SELECT sum(events) AS events, sum(quantity) AS quantity FROM public_v1.user_usage"
    )
    kept = [each for each in events if each["voided_at"] is None]
    assert (total["events"], total["quantity"]) == (len(kept), sum(each["quantity"] for each in kept))
    assert {each["customer_id"] for each in events} == {ids["account_id"]}
    sums = await rows(
        app, "SELECT posting, sum(amount) AS total FROM public_v1.ledger_entries GROUP BY posting, currency"
    )
    assert sums
    assert {each["total"] for each in sums} == {0}


async def test_test_clocks_are_marked_and_closed_customers_are_nobody(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    await seed(client, admin_headers)
    body = {"name": "Zebedee Quince", "email": "zebedee@example.com", "external_id": "zq-7", "metadata": {"x": "quince"}}  # fmt: skip
    opened = (await client.post("/v1/accounts", json=body, headers=admin_headers)).json()["data"]
    marked = await rows(app, "SELECT id, livemode FROM public_v1.customers")
    assert {each["livemode"] for each in marked if each["id"] == opened["id"]} == {True}
    assert {each["livemode"] for each in marked if each["id"] != opened["id"]} == {False}
    assert {each["livemode"] for each in await rows(app, "SELECT livemode FROM public_v1.invoices")} == {
        False
    }
    assert (await client.delete(f"/v1/accounts/{opened['id']}", headers=admin_headers)).status_code == 204
    names = await rows(
        app,
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public_v1'::regnamespace AND c.relkind = 'v'",
    )
    everything = json.dumps(
        [await rows(app, f"SELECT * FROM public_v1.{each['relname']}") for each in names],
        default=str,
    ).lower()
    assert opened["id"] in everything
    for word in ("zebedee", "quince", "zq-7"):
        assert word not in everything
