"""Billing over HTTP: the current bill, ranges, previews, explanations, verdicts, runs, clocks, closing an account."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import Customer, database_of

from tallystick.apps.background import repeat
from tallystick.billing.service import runs
from tallystick.cli.doctor import examine
from tallystick.platform.edge import new_uuid, system_now

Headers = dict[str, str]
METER = "service:Database Hosting"


class Life:
    """An account on a clock frozen at 1 January 2026, 00:00 UTC, and what may happen to it."""

    def __init__(self, client: httpx.AsyncClient, headers: Headers) -> None:
        self.client, self.headers = client, headers
        self.account = self.clock = ""

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        answer = await self.client.request(method, path, json=body, headers={**self.headers, **more})
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.call("GET", path, status=status)

    async def post(self, path: str, body: Any, status: int = 200, **more: Any) -> Any:
        return (await self.call("POST", path, body, status, **more)).get("data")

    async def open(self) -> "Life":
        clock = await self.post("/v1/test-clocks", {"frozen_time": "2026-01-01T00:00:00Z"}, 201)
        opened = await self.post("/v1/accounts", {"name": "Ada", "test_clock_id": clock["id"]}, 201)
        self.clock, self.account = clock["id"], opened["id"]
        return self

    async def use(self, event: str, quantity: int, **fields: Any) -> None:
        body = {
            "id": event,
            "account_id": self.account,
            "meter": METER,
            "quantity": quantity,
            "unit_price": "0.05",
            **fields,
        }
        await self.post("/v1/events", body, 201)

    async def advance(self, to: str) -> Any:
        return await self.post(f"/v1/test-clocks/{self.clock}/advance", {"to": to})

    async def range(self, start: str, end: str, status: int = 201) -> Any:
        body = {"account_id": self.account, "period_start": start, "period_end": end}
        return await self.call("POST", "/v1/invoices", body, status)


@pytest.fixture
async def life(client: httpx.AsyncClient, admin_headers: Headers) -> Life:
    return await Life(client, admin_headers).open()


async def sound(app: FastAPI) -> None:
    assert [each for each in await examine(database_of(app)) if each["violations"]] == []


async def test_the_current_bill_is_priced_so_far_by_day(life: Life) -> None:
    await life.use("1", 58)
    await life.advance("2026-01-02T00:00:00Z")
    await life.use("2", 2)
    usage = (await life.get(f"/v1/accounts/{life.account}/usage"))["data"]
    (period,) = usage["periods"]
    (line,) = period["lines"]
    assert (usage["subtotal"], line["quantity"], line["amount"]) == (3.0, 60, 3.0)
    assert [(day["date"], day["quantity"]) for day in line["days"]] == [("2026-01-01", 58), ("2026-01-02", 2)]
    assert (period["period_start"], period["period_end"]) == ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")


async def test_a_clock_bills_the_month_and_the_bill_explains_itself(app: FastAPI, life: Life) -> None:
    await life.use("1", 58)
    assert (await life.get("/v1/events/1"))["data"]["state"] == "pending"
    arrived = await life.advance("2026-02-01T01:00:00Z")
    assert (arrived["status"], arrived["frozen_time"]) == ("ready", "2026-02-01T01:00:00Z")
    (invoice,) = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"]
    assert (invoice["total"], invoice["status"]) == (2.9, "finalized")
    fate = (await life.get("/v1/events/1"))["data"]
    assert (fate["state"], fate["invoice_number"], fate["line"]) == ("billed", invoice["number"], 1)
    told = (await life.get(f"/v1/invoices/{invoice['id']}/explain"))["data"]
    assert told["lines"][0]["evidence"]["events"] == 1
    text = await life.client.get(f"/v1/invoices/{invoice['id']}/explain?format=text", headers=life.headers)
    assert text.headers["content-type"].startswith("text/plain")
    assert "58 unit at 0.05 = 2.90" in text.text
    assert (await life.get(f"/v1/invoices/{invoice['id']}/verify"))["data"]["agrees"] is True
    await sound(app)


async def test_a_month_comes_to_one_rounding_however_often_it_was_billed(app: FastAPI, life: Life) -> None:
    for day, event in (("05", "1"), ("10", "2")):
        await life.advance(f"2026-01-{day}T00:00:00Z")
        await life.use(event, 13, unit_price="1.115")
        await life.advance(f"2026-01-{day}T12:00:00Z")
        await life.range("2026-01-01T00:00:00Z", f"2026-01-{day}T06:00:00Z")
    await life.use("3", 13, unit_price="1.115")
    await life.advance("2026-02-02T00:00:00Z")
    found = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"][::-1]
    # 14.495, 28.99 and 43.485 rounded, each less what was charged before
    assert [each["total"] for each in found] == [14.5, 14.49, 14.5]
    for each in found:
        assert (await life.get(f"/v1/invoices/{each['id']}/verify"))["data"]["problems"] == []
    await sound(app)


async def test_a_close_with_nothing_new_takes_no_cent_back(app: FastAPI, life: Life) -> None:
    await life.use("1", 13, unit_price="1.115")
    await life.advance("2026-01-10T00:00:00Z")
    made = (await life.range("2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z"))["data"]
    assert made["total"] == 14.5
    await life.advance("2026-02-02T00:00:00Z")
    clock = (await life.get(f"/v1/test-clocks/{life.clock}"))["data"]
    assert (clock["status"], clock["parked"]) == ("ready", 0)
    assert len((await life.get(f"/v1/invoices?account_id={life.account}"))["data"]) == 1
    await sound(app)


async def test_a_range_bills_once_and_says_when_nothing_is_left(app: FastAPI, life: Life) -> None:
    await life.use("1", 10)
    await life.advance("2026-01-10T00:00:00Z")
    preview = await life.post(
        "/v1/invoices/preview",
        {
            "account_id": life.account,
            "period_start": "2026-01-01T00:00:00Z",
            "period_end": "2026-02-01T00:00:00Z",
        },
    )
    billed = (await life.range("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"))["data"]
    assert (billed["total"], billed["period_end"]) == (0.5, "2026-01-10T00:00:00Z")
    assert [each["total"] for each in preview["invoices"]] == [0.5]
    again = await life.range("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", 409)
    assert again["code"] == "nothing_to_bill"
    await life.use("2", 10)
    gap = await life.range("2026-01-11T00:00:00Z", "2026-02-01T00:00:00Z", 422)
    assert gap["details"] == {"period_start": "must lie before period_end and not in the future"}
    await life.advance("2026-02-01T01:00:00Z")
    totals = [each["total"] for each in (await life.get(f"/v1/invoices?account_id={life.account}"))["data"]]
    assert totals == [0.5, 0.5]
    await sound(app)


async def test_what_came_late_to_a_range_is_on_the_line_that_closes_the_period(life: Life) -> None:
    await life.use("1", 10)
    await life.advance("2026-01-10T00:00:00Z")
    await life.range("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
    await life.use("2", 10, occurred_at="2026-01-09T00:00:00Z")
    await life.advance("2026-02-01T01:00:00Z")
    newest, first = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"]
    fates = [(await life.get(f"/v1/events/{event}"))["data"] for event in ("1", "2")]
    assert [each["state"] for each in fates] == ["billed", "billed"]
    assert [each["invoice_number"] for each in fates] == [first["number"], newest["number"]]


async def test_what_comes_late_is_corrected_on_the_next_invoice(app: FastAPI, life: Life) -> None:
    await life.use("1", 58)
    await life.use("2", 4, unit_price="1.00")
    await life.advance("2026-02-01T01:00:00Z")
    await life.use("3", 100)
    await life.use("4", 12, occurred_at="2026-01-20T00:00:00Z")
    late = (await life.get("/v1/events/4"))["data"]
    assert (late["state"], late["due_at"], late["line"]) == ("late", "2026-03-01T01:00:00Z", None)
    assert (await life.post("/v1/events/1/void", {"reason": "a test of theirs"}))["status"] == "void"
    preview = await life.post("/v1/invoices/preview", {"account_id": life.account})
    assert [each["total"] for each in preview["invoices"]] == [2.7]
    assert preview["credit_notes"] == []
    await life.advance("2026-03-01T01:00:00Z")
    newest, first = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"]
    assert (newest["total"], first["total"], first["amount_due"]) == (2.7, 6.9, 6.9)
    lines = (await life.get(f"/v1/invoices/{newest['id']}"))["data"]["lines"]
    assert [(line["kind"], line["amount"], line["quantity"]) for line in lines] == [
        ("recorded", 5.0, 100),
        ("correction", -2.3, -46),
    ]
    assert lines[1]["corrects"] == {"invoice_id": first["id"], "position": 1}
    fates = [(await life.get(f"/v1/events/{event}"))["data"] for event in ("1", "4")]
    assert [(each["state"], each["invoice_number"], each["line"]) for each in fates] == [
        ("void", newest["number"], 2),
        ("corrected", newest["number"], 2),
    ]
    assert (await life.get(f"/v1/invoices/{newest['id']}/verify"))["data"]["agrees"] is True
    await sound(app)


async def test_what_the_next_invoice_cannot_bear_is_a_credit_note(app: FastAPI, life: Life) -> None:
    await life.use("1", 58)
    await life.advance("2026-02-01T01:00:00Z")
    await life.post("/v1/events/1/void", {})
    preview = await life.post("/v1/invoices/preview", {"account_id": life.account})
    assert (preview["invoices"], [each["amount"] for each in preview["credit_notes"]]) == ([], [-2.9])
    await life.advance("2026-03-01T01:00:00Z")
    (first,) = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"]
    assert (first["status"], first["amount_due"], first["total"]) == ("paid", 0.0, 2.9)
    (note,) = (await life.get(f"/v1/credit-notes?account_id={life.account}"))["data"]
    assert (note["total"], note["invoice_number"]) == (2.9, first["number"])
    fate = (await life.get("/v1/events/1"))["data"]
    assert (fate["state"], fate["credit_note"], fate["invoice_number"]) == (
        "void",
        note["number"],
        first["number"],
    )
    await sound(app)


async def test_a_top_up_says_how_it_comes_to_its_amount(life: Life) -> None:
    await life.post("/v1/meters", {"code": "gb", "aggregation": "sum"}, 201)
    charge = {
        "code": "gb", "meter": "gb", "charge_model": "standard", "properties": {"unit_amount": "1"},
        "adjustments": {"discount_percent": "12.5", "minimum_amount": "20"},
    }  # fmt: skip
    terms = {"name": "Disk", "price": 0, "currency": "USD", "charges": [charge]}
    plan = await life.post("/v1/plans", terms, 201)
    await life.post("/v1/subscriptions", {"account_id": life.account, "plan_id": plan["id"]}, 201)
    await life.use("1", 1, meter="gb", unit_price=None)
    await life.advance("2026-02-01T01:00:00Z")
    (invoice,) = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"]
    line, top_up = (await life.get(f"/v1/invoices/{invoice['id']}/explain"))["data"]["lines"]
    assert (line["amount"], top_up["amount"]) == (0.88, 19.12)
    assert top_up["text"] == [
        "minimum 20.00, less 0.875: 19.125 missing",
        "top-up line: 19.12 USD; both lines come to 20.00",
    ]


async def test_an_event_stands_on_the_line_of_its_own_price(life: Life) -> None:
    await life.use("1", 1)
    await life.use("2", 1, unit_price="3.00")
    await life.advance("2026-02-01T01:00:00Z")
    fates = [(await life.get(f"/v1/events/{event}"))["data"] for event in ("1", "2")]
    assert [each["line"] for each in fates] == [1, 2]


async def test_a_range_does_not_jump_over_what_is_unbilled(life: Life) -> None:
    await life.use("1", 10)
    await life.advance("2026-01-20T00:00:00Z")
    refused = await life.range("2026-01-15T00:00:00Z", "2026-02-01T00:00:00Z", 409)
    assert refused["code"] == "unbilled_before_start"
    assert refused["details"]["unbilled_from"] == "2026-01-01T00:00:00Z"


async def test_the_next_invoice_can_be_seen_before_it_is_made(life: Life) -> None:
    empty = await life.post("/v1/invoices/preview", {"account_id": life.account})
    assert empty["invoices"] == []
    await life.use("1", 10)
    preview = await life.post("/v1/invoices/preview", {"account_id": life.account})
    assert (preview["due_at"], preview["invoices"][0]["total"]) == ("2026-02-01T01:00:00Z", 0.5)
    assert (await life.get(f"/v1/invoices?account_id={life.account}"))["data"] == []


async def test_a_run_is_accepted_and_carried_out_in_the_background(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    import asyncio

    life = Life(client, admin_headers)
    run = await life.post("/v1/billing-runs", {}, 202)
    assert (run["status"], run["accounts_due"]) == ("pending", 0)
    stopping = asyncio.Event()

    async def step() -> bool:
        worked = await runs.claim_and_execute(database_of(app), now=system_now, new_id=new_uuid)
        stopping.set()
        return worked

    await repeat("runs", step, 0.01, stopping)
    assert (await life.get(f"/v1/billing-runs/{run['id']}"))["data"]["status"] == "done"
    assert [each["id"] for each in (await life.get("/v1/billing-runs"))["data"]] == [run["id"]]
    refused = await life.call("POST", "/v1/billing-runs", {"as_of": "2999-01-01T00:00:00Z"}, 422)
    assert "as_of" in refused["details"]
    assert (await life.get(f"/v1/billing-runs/{new_uuid()}", 404))["code"] == "billing_run_not_found"


async def test_a_clock_never_goes_back(life: Life) -> None:
    refused = await life.call(
        "POST", f"/v1/test-clocks/{life.clock}/advance", {"to": "2025-12-31T00:00:00Z"}, 422
    )
    assert "to" in refused["details"]
    for far in ("2031-02-01T00:00:00Z", "8000-01-01T00:00:00Z"):
        refused = await life.call("POST", f"/v1/test-clocks/{life.clock}/advance", {"to": far}, 422)
        assert "five years" in refused["details"]["to"]
    assert (
        await life.call("POST", f"/v1/test-clocks/{new_uuid()}/advance", {"to": "2027-01-01T00:00:00Z"}, 404)
    )["code"]


async def test_an_account_is_closed_only_when_nothing_is_left(app: FastAPI, life: Life) -> None:
    path = f"/v1/accounts/{life.account}"
    await life.use("1", 10)
    refused = await life.call("DELETE", path, status=409)
    assert (refused["code"], set(refused["details"])) == ("account_in_use", {"usage"})
    await life.advance("2026-01-10T00:00:00Z")
    invoice = (await life.range("2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z"))["data"]
    refused = await life.call("DELETE", path, status=409)
    assert refused["details"] == {"invoices": "unpaid: 0.50 USD"}
    await life.post(f"/v1/invoices/{invoice['id']}/pay", {})
    await life.call("DELETE", path, status=204)
    await life.call("DELETE", path, status=404)
    await life.get(path, 404)
    kept = (await life.get(f"{path}?include_closed=true"))["data"]
    assert (kept["status"], kept["name"]) == ("closed", None)
    assert (await life.get(f"/v1/invoices/{invoice['id']}"))["data"]["bill_to"]["name"] == "Ada"
    await sound(app)


async def test_customers_see_what_is_theirs_and_nothing_else(
    life: Life, customer: Callable[..., Awaitable[Customer]], client: httpx.AsyncClient
) -> None:
    await life.use("1", 10)
    await life.advance("2026-02-01T01:00:00Z")
    (invoice,) = (await life.get(f"/v1/invoices?account_id={life.account}"))["data"]
    stranger = await customer()
    for path in (
        f"/v1/accounts/{life.account}/usage", f"/v1/invoices/{invoice['id']}/explain", f"/v1/invoices/{invoice['id']}/verify",
        "/v1/events/1",
    ):  # fmt: skip
        answer = await client.get(path, headers=stranger.headers)
        assert answer.status_code == 404, path
    preview = await client.post(
        "/v1/invoices/preview", json={"account_id": life.account}, headers=stranger.headers
    )
    assert preview.status_code == 404


async def test_periods_are_shown_as_billing_will_cut_them(life: Life) -> None:
    body = {
        "anchor": "2026-01-31T00:00:00Z",
        "cycle": "monthly",
        "start": "2026-01-31T00:00:00Z",
        "end": "2026-03-10T00:00:00Z",
    }
    first, second = await life.post("/v1/periods/preview", body)
    assert (first["end"], first["fraction"]) == ("2026-02-28T00:00:00Z", "1")
    assert (second["end"], second["used"], second["whole"], second["fraction"]) == (
        "2026-03-10T00:00:00Z",
        10,
        31,
        "10/31",
    )
    refused = await life.call("POST", "/v1/periods/preview", {**body, "timezone": "Mars/Olympus"}, 422)
    assert "timezone" in refused["details"]
