"""Billing records (CONTRACT §4) at both mounts: an invoice with one line, written by hand."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

from tallystick.invoicing import invariants
from tallystick.invoicing.schemas import RecordOut
from tallystick.ledger import invariants as ledger_invariants

CustomerMaker = Callable[..., Awaitable[Customer]]
FIELDS = {
    "id", "customer_id", "account_id", "number", "amount", "currency", "description", "billing_date", "due_date", "status",
    "created_at", "updated_at",
}  # fmt: skip


@pytest.fixture(autouse=True)
async def books_hold(app: FastAPI, client: httpx.AsyncClient) -> Any:
    """Whatever a test does, afterwards no invariant is broken."""
    yield
    async with database_of(app).read() as session:
        for name, sql in (invariants.INVARIANTS | ledger_invariants.INVARIANTS).items():
            assert not await session.fetch(sql), name


async def write(
    client: httpx.AsyncClient, headers: dict[str, str], mount: str = "/v1", **body: Any
) -> httpx.Response:
    return await client.post(f"{mount}/billing", json=body, headers=headers)


@pytest.mark.parametrize("mount", ["/v1", ""])
async def test_a_record_begins_pending_and_is_read_back(
    mount: str, client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer(currency="EUR")
    answer = await write(
        client, finance_headers, mount, customer_id=who.account_id, amount="29.99", description="Setup",
        billing_date="2026-03-01", due_date="2026-03-15",
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert set(data) == FIELDS
    RecordOut.model_validate(data)
    assert b'"amount":29.99' in answer.content
    assert (data["customer_id"], data["currency"], data["status"]) == (who.account_id, "EUR", "pending")
    assert (data["billing_date"], data["due_date"], data["description"]) == (
        "2026-03-01",
        "2026-03-15",
        "Setup",
    )
    again = await client.get(f"{mount}/billing/{data['id']}/", headers=finance_headers)
    assert again.json()["data"] == data
    assert again.headers["etag"] == answer.headers["etag"]


async def test_a_draft_changes_and_is_then_paid(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer()
    record = (
        await write(client, finance_headers, account_id=who.account_id, amount=10, status="draft")
    ).json()["data"]
    path = f"/v1/billing/{record['id']}"
    assert (record["status"], record["currency"], record["number"]) == ("draft", "USD", None)
    changed = await client.put(
        path, json={**record, "amount": "12.50", "description": "More", "status": "pending", "due_date": None}, headers=finance_headers
    )  # fmt: skip
    assert changed.status_code == 200, changed.text
    data = changed.json()["data"]
    assert (data["amount"], data["description"], data["status"], data["due_date"]) == (
        12.5,
        "More",
        "pending",
        None,
    )
    paid = await client.put(path, json={"status": "paid"}, headers=finance_headers)
    assert paid.status_code == 200, paid.text
    data = paid.json()["data"]
    assert (data["status"], data["amount"]) == ("paid", 12.5)
    assert data["number"].startswith("INV-")
    invoice = (await client.get(f"/v1/invoices/{record['id']}", headers=finance_headers)).json()["data"]
    assert (invoice["status"], invoice["total"], invoice["amount_due"]) == ("paid", 12.5, 0)
    assert invoice["bill_to"]["name"] == "Ada Lovelace"
    assert [line["kind"] for line in invoice["lines"]] == ["manual"]
    trial = (await client.get("/v1/ledger/trial-balance", headers=finance_headers)).json()["data"]
    assert [(book["currency"], book["difference"]) for book in trial] == [("USD", 0)]
    cash = {line["account"]: line["debit"] for line in trial[0]["accounts"]}
    assert cash["cash:manual"] == 12.5
    for refused in ({"amount": 1}, {"status": "void"}, {"status": "pending"}, {"description": "x"}):
        answer = await client.put(path, json=refused, headers=finance_headers)
        assert answer.status_code == 409, (refused, answer.text)
    same = await client.put(path, json=data, headers=finance_headers)
    assert (same.status_code, same.json()["data"]) == (200, data)


@pytest.mark.parametrize(
    ("status", "number"), [("paid", True), ("void", False), ("draft", False), ("pending", False)]
)
async def test_a_record_may_be_born_in_any_of_its_states(
    status: str,
    number: bool,
    client: httpx.AsyncClient,
    customer: CustomerMaker,
    finance_headers: dict[str, str],
) -> None:
    who = await customer()
    answer = await write(client, finance_headers, customer_id=who.account_id, amount=5, status=status)
    data = answer.json()["data"]
    assert (answer.status_code, data["status"], data["number"] is not None) == (201, status, number)


async def test_any_other_status_is_a_conflict(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer()
    for status in ("overdue", "finalized", ""):
        answer = await write(client, finance_headers, customer_id=who.account_id, amount=5, status=status)
        assert (answer.status_code, answer.json()["code"]) == (409, "billing_record_status")
    record = (await write(client, finance_headers, customer_id=who.account_id, amount=5)).json()["data"]
    answer = await client.put(f"/billing/{record['id']}", json={"status": "overdue"}, headers=finance_headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "billing_record_status")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": "1.999"}, "amount"), ({"amount": -1}, "amount"), ({"amount": "NaN"}, "amount"), ({"amount": True}, "amount"),
        ({"amount": 1, "currency": "XXX"}, "currency"), ({"amount": "1.5", "currency": "JPY"}, "amount"), ({}, "amount"),
        ({"amount": 10**15}, "amount"), ({"amount": 1, "billing_date": "2026-02-30"}, "billing_date"),
        ({"amount": 1, "billing_date": "2026-02-03", "due_date": "2026-02-02"}, "due_date"),
        ({"amount": 1, "surprise": 1}, "surprise"), ({"amount": 1, "description": "a\u0007"}, "description"),
        ({"amount": 1, "status": 7}, "status"),
    ],
)  # fmt: skip
async def test_bad_fields_are_named_and_nothing_is_written(
    body: dict[str, Any],
    field: str,
    client: httpx.AsyncClient,
    customer: CustomerMaker,
    finance_headers: dict[str, str],
) -> None:
    who = await customer()
    answer = await write(client, finance_headers, customer_id=who.account_id, **body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["details"]
    history = await client.get(f"/billing/history/{who.account_id}", headers=finance_headers)
    assert history.json()["data"] == []


async def test_the_account_is_named_once_and_must_be_there(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer()
    assert (await write(client, finance_headers, amount=1)).status_code == 422
    assert (
        await write(client, finance_headers, amount=1, customer_id="acc_x", account_id=who.account_id)
    ).status_code == 422
    assert (await write(client, finance_headers, amount=1, customer_id="acc_nobody")).status_code == 404
    assert (
        await write(client, finance_headers, amount=1, customer_id=who.account_id, account_id=who.account_id)
    ).status_code == 201


async def test_read_only_and_unknown_fields_of_a_put(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer()
    record = (await write(client, finance_headers, customer_id=who.account_id, amount=5)).json()["data"]
    for body, code in (
        ({"currency": "EUR"}, "read_only"),
        ({"customer_id": "acc_x"}, "read_only"),
        ({"what": 1}, "invalid"),
    ):
        answer = await client.put(f"/billing/{record['id']}", json=body, headers=finance_headers)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    answer = await client.put(f"/billing/{record['id']}", json={"amount": "5.001"}, headers=finance_headers)
    assert answer.status_code == 422


async def test_a_stale_if_match_is_refused(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer()
    made = await write(client, finance_headers, customer_id=who.account_id, amount=5)
    path, etag = f"/billing/{made.json()['data']['id']}", made.headers["etag"]
    first = await client.put(path, json={"amount": 6}, headers={**finance_headers, "If-Match": etag})
    second = await client.put(path, json={"amount": 7}, headers={**finance_headers, "If-Match": etag})
    assert (first.status_code, second.status_code) == (200, 412)
    assert first.headers["etag"] != etag


async def test_history_is_paged_newest_first(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who, other = await customer(), await customer()
    await write(client, finance_headers, customer_id=other.account_id, amount=99)
    made = [
        (await write(client, finance_headers, customer_id=who.account_id, amount=n)).json()["data"]["id"]
        for n in range(1, 6)
    ]
    seen: list[str] = []
    cursor = ""
    while True:
        answer = await client.get(
            f"/billing/history/{who.account_id}?limit=2{cursor}", headers=finance_headers
        )
        body = answer.json()
        seen += [row["id"] for row in body["data"]]
        if not body["meta"]["has_more"]:
            break
        cursor = f"&cursor={body['meta']['next_cursor']}"
    assert seen == list(reversed(made))
    assert (await client.get("/billing/history/acc_nobody", headers=finance_headers)).status_code == 404
    bad = await client.get(f"/billing/history/{who.account_id}?cursor=abc", headers=finance_headers)
    assert bad.status_code == 422


async def test_customers_read_their_own_and_write_nothing(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who, other = await customer(), await customer()
    records = {
        status: (
            await write(client, finance_headers, customer_id=who.account_id, amount=5, status=status)
        ).json()["data"]["id"]
        for status in ("pending", "draft", "paid", "void")
    }
    history = await client.get(f"/v1/billing/history/{who.account_id}", headers=who.headers)
    assert [row["status"] for row in history.json()["data"]] == ["paid", "pending"]
    for status, expected in (("pending", 200), ("draft", 404), ("paid", 200), ("void", 404)):
        answer = await client.get(f"/billing/{records[status]}", headers=who.headers)
        assert answer.status_code == expected, status
        assert (await client.get(f"/billing/{records[status]}", headers=other.headers)).status_code == 404
    assert (await client.get(f"/billing/history/{who.account_id}", headers=other.headers)).status_code == 404
    assert (await write(client, who.headers, customer_id=who.account_id, amount=5)).status_code == 404
    assert (await client.get(f"/billing/{uuid4()}", headers=finance_headers)).status_code == 404
    assert (await client.get(f"/billing/{records['paid']}")).status_code == 401


async def test_a_retry_with_the_same_key_writes_one_record(
    client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer()
    headers = {**finance_headers, "Idempotency-Key": "k-1"}
    first = await write(client, headers, customer_id=who.account_id, amount=5, status="paid")
    second = await write(client, headers, status="paid", amount=5, customer_id=who.account_id)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.content == first.content
    history = await client.get(f"/billing/history/{who.account_id}", headers=finance_headers)
    assert len(history.json()["data"]) == 1
