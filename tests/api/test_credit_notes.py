"""Credit notes and customer credit over HTTP: issuing, reading, refusing, and the next bill that uses the credit."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

from tallystick.cli.doctor import examine
from tallystick.invoicing.notes.schemas import (
    CreditMoveOut,
    CreditOut,
    NoteOut,
    NotePreviewOut,
    NoteSummaryOut,
)

CustomerMaker = Callable[..., Awaitable[Customer]]
PLAN = {"name": "Basic", "code": "basic", "price": "30.00", "currency": "EUR"}


@pytest.fixture(autouse=True)
async def everything_holds(app: FastAPI, client: httpx.AsyncClient) -> Any:
    """Whatever a test does, afterwards no invariant is broken."""
    yield
    for finding in await examine(database_of(app)):
        assert not finding["violations"], finding


class Desk:
    """A clerk of finance at work on one account."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.client, self.headers = client, headers

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.client.request(method, path, json=body, headers={**self.headers, **headers})

    async def post(self, path: str, body: Any, status: int = 201) -> Any:
        answer = await self.ask("POST", path, body)
        assert answer.status_code == status, answer.text
        return answer.json()["data"]

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def refused(self, path: str, body: Any) -> tuple[int, str, list[str]]:
        answer = await self.ask("POST", path, body)
        return answer.status_code, answer.json()["code"], sorted(answer.json()["details"])


@pytest.fixture
async def desk(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Desk:
    return Desk(client, admin_headers)


@pytest.fixture
async def billed(desk: Desk) -> dict[str, Any]:
    """An account on a test clock with a monthly fee in advance and 19 % tax, and its first invoice."""
    clock = await desk.post("/v1/test-clocks", {"frozen_time": "2026-01-01T00:00:00Z"})
    account = await desk.post(
        "/v1/accounts",
        {
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "currency": "EUR",
            "test_clock_id": clock["id"],
            "timezone": "UTC",
        },
    )
    await desk.post(
        "/v1/taxes", {"code": "vat", "name": "VAT", "rate": "19", "is_default": True, "livemode": False}
    )
    plan = await desk.post("/v1/plans", {**PLAN, "billing_timing": "advance"})
    await desk.post("/v1/subscriptions", {"account_id": account["id"], "plan_id": plan["id"]})
    await advance(desk, clock["id"], "2026-01-02T00:00:00Z")
    (invoice,) = await desk.get(f"/v1/invoices?account_id={account['id']}")
    assert invoice["total"] == 35.7, invoice
    return {
        "account": account["id"],
        "clock": clock["id"],
        "invoice": invoice["id"],
        "number": invoice["number"],
    }


async def advance(desk: Desk, clock: str, to: str) -> None:
    answer = await desk.ask("POST", f"/v1/test-clocks/{clock}/advance", {"to": to})
    assert answer.json()["data"]["status"] == "ready", answer.text


async def test_a_note_is_issued_shown_and_listed(
    desk: Desk, billed: dict[str, Any], support_headers: dict[str, str]
) -> None:
    path = f"/v1/invoices/{billed['invoice']}/credit-notes"
    wish = {"reason": "Outage", "lines": [{"line": 1, "amount": "10.00"}]}
    seen = await desk.post(f"{path}/preview", wish, 200)
    NotePreviewOut.model_validate(seen)
    note = await desk.post(path, wish)
    NoteOut.model_validate(note)
    assert (note["subtotal"], note["tax"], note["total"]) == (10, 1.9, 11.9)
    assert (note["amount_offset"], note["amount_credited"]) == (11.9, 0)
    assert {name: note[name] for name in seen} == seen
    assert note["number"].endswith("CN-2026-000001")
    assert (note["invoice_number"], note["reason"]) == (billed["number"], "Outage")
    assert note["bill_to"]["name"] == "Ada Lovelace"
    assert note["taxes"][0]["rate"] == 19
    invoice = await desk.get(f"/v1/invoices/{billed['invoice']}")
    assert (invoice["amount_due"], invoice["amount_noted"], invoice["status"]) == (23.8, 11.9, "finalized")
    assert await desk.get(f"/v1/credit-notes/{note['id']}") == note
    for where in (
        path, "/v1/credit-notes", f"/v1/credit-notes?account_id={billed['account']}", f"/v1/credit-notes?number={note['number']}",
        f"/v1/credit-notes?invoice_id={billed['invoice']}&currency=EUR",
    ):  # fmt: skip
        (row,) = await desk.get(where)
        NoteSummaryOut.model_validate(row)
        assert row["id"] == note["id"]
    assert await desk.get("/v1/credit-notes?currency=USD") == []
    told = await desk.get(f"/v1/invoices/{billed['invoice']}/explain")
    assert any(
        f"credit note {note['number']}" in each and "credited 11.90 EUR" in each for each in told["text"]
    )
    assert (await desk.get(f"/v1/invoices/{billed['invoice']}/verify"))["agrees"] is True
    nobody = await desk.client.post(path, json=wish, headers=support_headers)
    assert nobody.status_code == 403


async def test_a_changed_note_does_not_verify(app: FastAPI, desk: Desk, billed: dict[str, Any]) -> None:
    path = f"/v1/invoices/{billed['invoice']}/credit-notes"
    await desk.post(path, {"reason": "r", "amount": "1.00"})
    second = await desk.post(path, {"reason": "r", "amount": "2.00"})

    async def tamper(sql: str, *, back: str) -> list[str]:
        async with database_of(app).write() as session:
            await session.execute("SET LOCAL session_replication_role = replica")
            assert await session.execute(sql)
        report = await desk.get(f"/v1/invoices/{billed['invoice']}/verify")
        async with database_of(app).write() as session:
            await session.execute("SET LOCAL session_replication_role = replica")
            await session.execute(back)
        return list(report["problems"])

    where = f"WHERE id = '{second['id']}'"
    found = await tamper(
        f"UPDATE credit_notes SET subtotal = subtotal + 1, tax = tax - 1 {where}",
        back=f"UPDATE credit_notes SET subtotal = subtotal - 1, tax = tax + 1 {where}",
    )
    assert found == [f"credit note {second['number']}: does not come out the same"]
    where = f"WHERE note_id = '{second['id']}'"
    found = await tamper(
        f"UPDATE credit_note_lines SET amount = amount - 0.01 {where}",
        back=f"UPDATE credit_note_lines SET amount = amount + 0.01 {where}",
    )
    assert found == [f"credit note {second['number']}: does not come out the same"]
    assert (await desk.get(f"/v1/invoices/{billed['invoice']}/verify"))["agrees"] is True


async def test_credit_pays_the_next_invoice_and_the_preview_says_so(
    desk: Desk, billed: dict[str, Any]
) -> None:
    await desk.post(f"/v1/invoices/{billed['invoice']}/pay", {}, 200)
    note = await desk.post(
        f"/v1/invoices/{billed['invoice']}/credit-notes", {"reason": "Outage", "amount": "20.00"}
    )
    assert (note["amount_offset"], note["amount_credited"]) == (0, 20)
    credit = await desk.get(f"/v1/accounts/{billed['account']}/credit")
    CreditOut.model_validate(credit)
    assert credit["balances"] == [{"currency": "EUR", "amount": 20}]
    (coming,) = (await desk.post("/v1/invoices/preview", {"account_id": billed["account"]}, 200))["invoices"]
    assert (coming["total"], coming["credit_applied"], coming["amount_due"]) == (35.7, 20, 15.7)
    closed = await desk.ask("DELETE", f"/v1/accounts/{billed['account']}")
    assert (closed.status_code, closed.json()["details"]["credit"]) == (
        409,
        "customer credit not used: 20.00 EUR",
    )
    await advance(desk, billed["clock"], "2026-02-02T00:00:00Z")
    newest = (await desk.get(f"/v1/invoices?account_id={billed['account']}"))[0]
    assert (newest["total"], newest["credit_applied"], newest["amount_due"]) == (35.7, 20, 15.7)
    history = f"/v1/accounts/{billed['account']}/credit/history"
    for each in await desk.get(history):
        CreditMoveOut.model_validate(each)
    assert [(each["kind"], each["amount"], each["balance"]) for each in await desk.get(history)] == [
        ("invoice.settled", -20, 0),
        ("credit_note.issued", 20, 20),
    ]
    told = await desk.get(f"/v1/invoices/{newest['id']}/explain")
    assert "less 20.00 EUR customer credit" in told["text"]
    await desk.post(f"/v1/invoices/{newest['id']}/void", {}, 200)
    assert (await desk.get(f"/v1/accounts/{billed['account']}/credit"))["balances"] == [
        {"currency": "EUR", "amount": 20}
    ]
    first = (await desk.ask("GET", f"{history}?limit=1")).json()
    assert [each["kind"] for each in first["data"]] == ["invoice.unsettled"]
    rest = (await desk.ask("GET", f"{history}?cursor={first['meta']['next_cursor']}")).json()
    assert (len(rest["data"]), rest["meta"]["has_more"]) == (2, False)


async def test_more_credit_than_the_bill_pays_it_whole_and_the_rest_stays(
    desk: Desk, billed: dict[str, Any]
) -> None:
    await desk.post(f"/v1/invoices/{billed['invoice']}/pay", {}, 200)
    record = await desk.post(
        "/v1/billing", {"account_id": billed["account"], "amount": "50.00", "status": "paid"}
    )
    await desk.post(f"/v1/invoices/{record['id']}/credit-notes", {"reason": "Returned"})
    await advance(desk, billed["clock"], "2026-02-02T00:00:00Z")
    newest = (await desk.get(f"/v1/invoices?account_id={billed['account']}"))[0]
    assert (newest["status"], newest["credit_applied"], newest["amount_due"]) == ("paid", 35.7, 0)
    assert (await desk.get(f"/v1/accounts/{billed['account']}/credit"))["balances"][0]["amount"] == 14.3
    back = await desk.post(f"/v1/invoices/{newest['id']}/credit-notes", {"reason": "Outage"})
    assert (back["amount_offset"], back["amount_credited"]) == (0, 35.7)
    assert (await desk.get(f"/v1/accounts/{billed['account']}/credit"))["balances"][0]["amount"] == 50


async def test_what_is_refused_is_named(desk: Desk, billed: dict[str, Any]) -> None:
    path = f"/v1/invoices/{billed['invoice']}/credit-notes"
    cases: list[tuple[Any, int, str, list[str]]] = [
        ({"reason": "r", "amount": "35.71"}, 409, "credit_note_over_invoice", ["amount"]),
        ({"reason": "r", "lines": [{"line": 1, "amount": "30.01"}]}, 409, "credit_note_over_line", ["lines.0.amount"]),
        ({"reason": "r", "amount": 0}, 422, "credit_note_not_positive", ["amount"]),
        ({"reason": "r", "lines": [{"line": 1, "amount": 0}]}, 422, "credit_note_not_positive", ["lines.0.amount"]),
        ({"reason": "r", "lines": [{"line": 1, "amount": -1}]}, 422, "credit_note_not_positive", ["lines.0.amount"]),
        ({"reason": "r", "amount": "1.001"}, 422, "too_many_decimals", ["amount"]),
        ({"reason": "r", "lines": [{"line": 1, "amount": "1.001"}]}, 422, "too_many_decimals", ["lines.0.amount"]),
        ({"reason": "r", "lines": [{"line": 2}]}, 422, "credit_note_unknown_line", ["lines.0.line"]),
        ({"reason": "r", "lines": [{"line": 1}, {"line": 1}]}, 422, "credit_note_unknown_line", ["lines.1.line"]),
        ({"reason": "r", "currency": "USD"}, 422, "credit_note_currency", ["currency"]),
        ({"reason": "r", "currency": "EURO"}, 422, "validation_failed", ["currency"]),
        ({"reason": " "}, 422, "validation_failed", ["reason"]),
        ({}, 422, "validation_failed", ["reason"]),
        ({"reason": "r", "lines": []}, 422, "validation_failed", ["lines"]),
        ({"reason": "r", "amount": 1, "lines": [{"line": 1}]}, 422, "validation_failed", ["body"]),
        ({"reason": "r", "amount": -1}, 422, "validation_failed", ["amount"]),
        ({"reason": "r", "amount": True}, 422, "validation_failed", ["amount"]),
        ({"reason": "r", "total": 1}, 422, "validation_failed", ["total"]),
    ]  # fmt: skip
    for body, status, code, details in cases:
        for where in (path, f"{path}/preview"):
            assert await desk.refused(where, body) == (status, code, details), body
    assert await desk.get(path) == []
    assert (await desk.refused(f"/v1/invoices/{uuid4()}/credit-notes", {"reason": "r"}))[:2] == (
        404,
        "not_found",
    )
    stale = await desk.ask("POST", path, {"reason": "r"}, **{"If-Match": '"99"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    draft = await desk.post("/v1/billing", {"account_id": billed["account"], "amount": "5.00"})
    assert (await desk.refused(f"/v1/invoices/{draft['id']}/credit-notes", {"reason": "r"}))[:2] == (
        409,
        "invoice_not_creditable",
    )
    await desk.post(path, {"reason": "r"})
    assert (await desk.refused(path, {"reason": "r"}))[:2] == (409, "credit_note_nothing_left")
    void = await desk.ask("POST", f"/v1/invoices/{billed['invoice']}/void", {})
    assert (void.status_code, void.json()["code"]) == (409, "invoice_state")


async def test_an_invoice_with_notes_is_not_voided(desk: Desk, billed: dict[str, Any]) -> None:
    await desk.post(f"/v1/invoices/{billed['invoice']}/credit-notes", {"reason": "r", "amount": "1.00"})
    void = await desk.ask("POST", f"/v1/invoices/{billed['invoice']}/void", {})
    assert (void.status_code, void.json()["code"]) == (409, "invoice_noted")


async def test_a_repeat_with_its_key_issues_nothing_more(desk: Desk, billed: dict[str, Any]) -> None:
    path = f"/v1/invoices/{billed['invoice']}/credit-notes"
    wish = {"reason": "r", "amount": "10.00"}
    first = await desk.ask("POST", path, wish, **{"Idempotency-Key": "note-1"})
    again = await desk.ask("POST", path, wish, **{"Idempotency-Key": "note-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["data"] == first.json()["data"]
    assert len(await desk.get(path)) == 1


async def test_of_racing_notes_as_many_succeed_as_there_is_to_credit(
    desk: Desk, billed: dict[str, Any]
) -> None:
    path = f"/v1/invoices/{billed['invoice']}/credit-notes"
    answers = await asyncio.gather(
        *(desk.ask("POST", path, {"reason": "r", "amount": "10.00"}) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 409, 409, 409]
    assert sorted(note["number"][-2:] for note in await desk.get(path)) == ["01", "02", "03"]


async def test_a_customer_sees_his_own_and_nothing_else(
    client: httpx.AsyncClient, customer: CustomerMaker, desk: Desk, billed: dict[str, Any]
) -> None:
    who = await customer(currency="EUR")
    mine = await desk.post("/v1/billing", {"account_id": who.account_id, "amount": "5.00", "status": "paid"})
    note = await desk.post(f"/v1/invoices/{mine['id']}/credit-notes", {"reason": "Returned"})
    other = await desk.post(
        f"/v1/invoices/{billed['invoice']}/credit-notes", {"reason": "r", "amount": "1.00"}
    )

    async def ask(path: str) -> httpx.Response:
        return await client.get(path, headers=who.headers)

    assert [each["id"] for each in (await ask("/v1/credit-notes")).json()["data"]] == [note["id"]]
    assert (await ask(f"/v1/credit-notes/{note['id']}")).status_code == 200
    assert (await ask(f"/v1/invoices/{mine['id']}/credit-notes")).status_code == 200
    assert (await ask(f"/v1/accounts/{who.account_id}/credit")).json()["data"]["balances"][0]["amount"] == 5
    for path in (
        f"/v1/credit-notes/{other['id']}", f"/v1/invoices/{billed['invoice']}/credit-notes", f"/v1/accounts/{billed['account']}/credit",
        f"/v1/credit-notes?account_id={billed['account']}", f"/v1/credit-notes/{uuid4()}", "/v1/credit-notes/7",
    ):  # fmt: skip
        assert (await ask(path)).status_code == 404, path
    assert (await ask(f"/v1/accounts/{billed['account']}/credit/history")).status_code == 404
    refused = await client.post(
        f"/v1/invoices/{mine['id']}/credit-notes", json={"reason": "r"}, headers=who.headers
    )
    assert refused.status_code in (403, 404)
