"""Invoices over HTTP: reading, finalizing, paying, voiding, and who may."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

from tallystick.invoicing import invariants, service
from tallystick.invoicing.domain.draft import (
    InvoiceDraft,
    Line,
    LineKind,
    Status,
    TaxShare,
    TaxTotal,
    UsageEvidence,
)
from tallystick.invoicing.schemas import InvoiceOut, InvoiceSummaryOut
from tallystick.kernel.actor import system_actor
from tallystick.ledger import invariants as ledger_invariants
from tallystick.ledger.schemas import EntryOut, LedgerAccountOut, TrialBalanceOut
from tallystick.platform.edge import new_uuid

CustomerMaker = Callable[..., Awaitable[Customer]]
START, END = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
LINE = Line(
    kind=LineKind.USAGE, description="Requests", quantity=Decimal("3"), unit="request", amount=Decimal("0.33"),
    exact=Decimal("0.333333333333333333"), exact_cut=True, period_start=START, period_end=END, slice_start=START,
    price_key="charge:1", rule="standard/1", gl_code="4000", timing="arrears", inputs={"unit_amount": "0.111111111111111111"},
    evidence=UsageEvidence(3, 0, 17, 3, 255), taxes=(TaxShare("vat", "VAT", Decimal("19"), Decimal("0.33"), Decimal("0.06")),),
)  # fmt: skip
TAXES = (TaxTotal("vat", "VAT", Decimal("19"), Decimal("0.33"), Decimal("0.06")),)


@pytest.fixture(autouse=True)
async def books_hold(app: FastAPI, client: httpx.AsyncClient) -> Any:
    """Whatever a test does, afterwards no invariant is broken."""
    yield
    async with database_of(app).read() as session:
        for name, sql in (invariants.INVARIANTS | ledger_invariants.INVARIANTS).items():
            assert not await session.fetch(sql), name


async def bill(app: FastAPI, who: Customer, status: Status, months: Sequence[int] = (2,)) -> list[str]:
    drafts = [
        InvoiceDraft(
            who.account_no, 1, "EUR", START, END, (replace(LINE, slice_start=START.replace(month=month)),), TAXES, Decimal("0.33"),
            Decimal("0.06"), Decimal("0.39"),
        )
        for month in months
    ]  # fmt: skip
    async with database_of(app).write() as session:
        refs = await service.store(
            session,
            drafts,
            status=status,
            now=END,
            ids=[new_uuid() for _ in drafts],
            actor=system_actor("test"),
        )
    return [str(ref.id) for ref in refs]


async def test_an_invoice_is_shown_whole_and_exact(
    app: FastAPI, client: httpx.AsyncClient, customer: CustomerMaker, support_headers: dict[str, str]
) -> None:
    who = await customer(currency="EUR", email="ada@example.com")
    (invoice_id,) = await bill(app, who, Status.FINALIZED)
    answer = await client.get(f"/v1/invoices/{invoice_id}", headers=support_headers)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    InvoiceOut.model_validate(data)
    assert set(data) == set(InvoiceOut.model_fields)
    assert b'"exact_amount":0.333333333333333333' in answer.content
    assert (data["number"], data["total"], data["amount_due"]) == ("INV-2026-000001", 0.39, 0.39)
    assert (data["issue_date"], data["account_id"]) == ("2026-03-01", who.account_id)
    assert data["bill_to"] == {"name": "Ada Lovelace", "email": "ada@example.com"}
    line = data["lines"][0]
    assert (line["amount"], line["exact_cut"], line["evidence"]["checksum"]) == (0.33, True, f"{255:032x}")
    assert [{**tax, "note": ""} for tax in line["taxes"]] == data["taxes"]
    text = await client.get(
        f"/v1/invoices/{invoice_id}", headers={**support_headers, "Prefer": "decimals=string"}
    )
    assert text.json()["data"]["total"] == "0.39"
    cached = await client.get(
        f"/v1/invoices/{invoice_id}", headers={**support_headers, "If-None-Match": answer.headers["etag"]}
    )
    assert cached.status_code == 304


async def test_finalize_pay_and_void_follow_the_states(
    app: FastAPI, client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer(currency="EUR")
    first, second = await bill(app, who, Status.DRAFT, months=(2, 3))

    async def post(invoice_id: str, deed: str, **headers: str) -> httpx.Response:
        return await client.post(f"/v1/invoices/{invoice_id}/{deed}", headers={**finance_headers, **headers})

    assert (await post(first, "pay")).status_code == 409
    stale = await post(first, "finalize", **{"If-Match": '"9"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    done = await post(first, "finalize", **{"If-Match": '"1"'})
    assert (done.status_code, done.json()["data"]["status"]) == (200, "finalized")
    assert done.headers["etag"] == '"2"'
    again = await post(first, "finalize")
    assert (again.status_code, again.json()["code"]) == (409, "invoice_state")
    paid = await post(first, "pay")
    assert (paid.json()["data"]["status"], paid.json()["data"]["amount_due"]) == ("paid", 0)
    for deed in ("finalize", "pay", "void"):
        assert (await post(first, deed)).status_code == 409
    assert (await post(second, "finalize")).json()["data"]["total"] == 0.39
    gone = await post(second, "void")
    assert (gone.json()["data"]["status"], gone.json()["data"]["amount_due"]) == ("void", 0)
    assert gone.json()["data"]["number"] is not None
    for deed in ("finalize", "pay", "void"):
        assert (await post(second, deed)).status_code == 409
        assert (await post(str(uuid4()), deed)).status_code == 404
    assert (await post("7", "pay")).status_code == 404  # what is no id is not there


async def test_lists_are_filtered_and_paged(
    app: FastAPI, client: httpx.AsyncClient, customer: CustomerMaker, support_headers: dict[str, str]
) -> None:
    who, other = await customer(currency="EUR"), await customer(currency="EUR")
    ids = await bill(app, who, Status.FINALIZED, months=(1, 2, 3)) + await bill(app, other, Status.DRAFT)

    async def page(query: str) -> dict[str, Any]:
        answer = await client.get(f"/v1/invoices?{query}", headers=support_headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    for query, count in (
        ("", 4), (f"account_id={who.account_id}", 3), ("status=draft", 1), ("number=INV-2026-000002", 1), ("currency=USD", 0),
        (f"run_id={uuid4()}", 0),
    ):  # fmt: skip
        rows = (await page(query))["data"]
        assert len(rows) == count, query
        for row in rows:
            InvoiceSummaryOut.model_validate(row)
    first = await page("limit=3")
    rest = await page(f"limit=3&cursor={first['meta']['next_cursor']}")
    assert [row["id"] for row in first["data"] + rest["data"]] == sorted(ids, reverse=True)
    assert not rest["meta"]["has_more"]
    for query, status in (
        ("account_id=acc_x", 404),
        ("status=odd", 422),
        ("cursor=odd", 422),
        ("limit=0", 422),
    ):
        answer = await client.get(f"/v1/invoices?{query}", headers=support_headers)
        assert answer.status_code == status, query


async def test_customers_see_their_own_issued_invoices_only(
    app: FastAPI, client: httpx.AsyncClient, customer: CustomerMaker
) -> None:
    who, other = await customer(currency="EUR"), await customer(currency="EUR")
    (issued,) = await bill(app, who, Status.FINALIZED)
    (draft,) = await bill(app, who, Status.DRAFT, months=(3,))
    for headers, invoice_id, status in (
        (who.headers, issued, 200), (who.headers, draft, 404), (other.headers, issued, 404), ({}, issued, 401),
    ):  # fmt: skip
        assert (await client.get(f"/v1/invoices/{invoice_id}", headers=headers)).status_code == status
    assert [row["id"] for row in (await client.get("/v1/invoices", headers=who.headers)).json()["data"]] == [
        issued
    ]
    assert (await client.get("/v1/invoices", headers=other.headers)).json()["data"] == []
    assert (
        await client.get(f"/v1/invoices?account_id={who.account_id}", headers=other.headers)
    ).status_code == 404
    assert (await client.post(f"/v1/invoices/{issued}/pay", headers=who.headers)).status_code == 404


async def test_the_ledger_shows_what_an_invoice_did(
    app: FastAPI, client: httpx.AsyncClient, customer: CustomerMaker, support_headers: dict[str, str]
) -> None:
    who = await customer(currency="EUR")
    (invoice_id,) = await bill(app, who, Status.FINALIZED)

    async def get(path: str, headers: dict[str, str] = support_headers) -> httpx.Response:
        return await client.get(f"/v1/ledger/{path}", headers=headers)

    entries = (await get(f"entries?source_type=invoice&source_id={invoice_id}")).json()["data"]
    for entry in entries:
        EntryOut.model_validate(entry)
    assert [(entry["account"], entry["account_id"], entry["amount"], entry["balance"]) for entry in entries] == [
        ("receivable", who.account_id, 0.39, 0.39), ("revenue", None, -0.33, None), ("tax:vat", None, -0.06, None),
    ]  # fmt: skip
    assert entries[1]["period_start"] == "2026-02-01T00:00:00Z"
    accounts = (await get(f"accounts?account_id={who.account_id}")).json()["data"]
    assert [(row["account"], row["balance"], row["version"]) for row in accounts] == [("receivable", 0.39, 1)]
    LedgerAccountOut.model_validate(accounts[0])
    (book,) = (await get("trial-balance?currency=EUR")).json()["data"]
    TrialBalanceOut.model_validate(book)
    assert (book["debit"], book["credit"], book["difference"]) == (0.39, 0.39, 0)
    first = (await get("entries?limit=2")).json()
    rest = (await get(f"entries?limit=2&cursor={first['meta']['next_cursor']}")).json()
    assert first["data"] + rest["data"] == entries
    for query, count in (
        ("account=tax:vat", 1), (f"account_id={who.account_id}", 1), ("since=2026-03-01T00:00:01Z", 0),
        ("until=2026-03-01T00:00:00Z", 0), ("entity_id=2", 0), (f"ledger_account_id={accounts[0]['id']}", 1),
    ):  # fmt: skip
        assert len((await get(f"entries?{query}")).json()["data"]) == count, query
    for query in ("since=2026-03-01", "cursor=x", "entity_id=0", f"ledger_account_id={2**63}", "limit=201"):
        assert (await get(f"entries?{query}")).status_code == 422, query
    assert (await get("entries?account_id=acc_x")).status_code == 404
    for path in ("accounts", "entries", "trial-balance"):
        assert (await get(path, who.headers)).status_code == 404


async def test_an_invoice_from_usage_is_read_and_paid_as_a_record_but_not_rewritten(
    app: FastAPI, client: httpx.AsyncClient, customer: CustomerMaker, finance_headers: dict[str, str]
) -> None:
    who = await customer(currency="EUR")
    (draft,) = await bill(app, who, Status.DRAFT)
    shown = (await client.get(f"/billing/{draft}", headers=finance_headers)).json()["data"]
    assert (shown["amount"], shown["status"]) == (0.39, "pending")
    for body in ({"amount": 1}, {"status": "draft"}):
        refused = await client.put(f"/billing/{draft}", json=body, headers=finance_headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "not_a_billing_record")
    paid = await client.put(f"/billing/{draft}", json={"status": "paid"}, headers=finance_headers)
    assert (paid.status_code, paid.json()["data"]["status"]) == (200, "paid")
    (later,) = await bill(app, who, Status.FINALIZED, months=(3,))
    settled = await client.put(f"/billing/{later}", json={"status": "paid"}, headers=finance_headers)
    assert settled.json()["data"]["status"] == "paid"
