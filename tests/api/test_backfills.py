"""Amendments and backfills over HTTP: a diff is the bill to come, a revert gives everything back, and nothing happens by half."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import database_of, service_key

from tallystick.cli.doctor import examine

Headers = dict[str, str]
METER = "service:Database Hosting"
OPEN = {
    "meters": [METER], "period_start": "2026-01-01T00:00:00Z", "period_end": "2026-02-01T00:00:00Z", "mode": "replace", "reason": "",
}  # fmt: skip


class Life:
    """An account on a clock frozen at 1 January 2026, 00:00 UTC."""

    def __init__(self, client: httpx.AsyncClient, headers: Headers) -> None:
        self.client, self.headers = client, headers
        self.account = self.clock = ""

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        answer = await self.client.request(method, path, json=body, headers={**self.headers, **more})
        assert answer.status_code == status, (answer.status_code, answer.text)
        read = json.loads(answer.text, parse_float=Decimal)
        return read["data"] if status < 300 else read

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.call("GET", path, status=status)

    async def post(self, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        return await self.call("POST", path, body, status, **more)

    async def begin(self) -> "Life":
        clock = await self.post("/v1/test-clocks", {"frozen_time": "2026-01-01T00:00:00Z"}, 201)
        opened = await self.post("/v1/accounts", {"name": "Ada", "test_clock_id": clock["id"]}, 201)
        self.clock, self.account = clock["id"], opened["id"]
        return self

    def event(self, name: str, quantity: Any, **fields: Any) -> dict[str, Any]:
        body = {
            "id": name,
            "account_id": self.account,
            "meter": METER,
            "quantity": quantity,
            "unit_price": "0.05",
        }
        return {key: value for key, value in {**body, **fields}.items() if value is not None}

    async def use(self, name: str, quantity: Any, **fields: Any) -> None:
        await self.post("/v1/events", self.event(name, quantity, **fields), 201)

    async def advance(self, to: str) -> None:
        moved = await self.post(f"/v1/test-clocks/{self.clock}/advance", {"to": to})
        assert (moved["status"], moved["parked"]) == ("ready", 0)

    async def open(self, status: int = 201, **fields: Any) -> Any:
        return await self.post("/v1/backfills", {**OPEN, "account_ids": [self.account], **fields}, status)

    async def send(self, backfill: str, *events: dict[str, Any], status: int = 200) -> Any:
        return await self.post(f"/v1/backfills/{backfill}/events", list(events), status)

    async def do(self, what: str, backfill: str, body: Any = None, status: int = 200) -> Any:
        return await self.post(f"/v1/backfills/{backfill}/{what}", body, status)

    async def invoices(self) -> list[Any]:
        found: list[Any] = await self.get(f"/v1/invoices?account_id={self.account}")
        return found

    async def fate(self, name: str) -> Any:
        return await self.get(f"/v1/events/{name}")


@pytest.fixture
async def life(client: httpx.AsyncClient, admin_headers: Headers) -> Life:
    return await Life(client, admin_headers).begin()


async def sound(app: FastAPI, life: Life) -> None:
    """Every invariant holds, and every invoice comes out again."""
    assert [each for each in await examine(database_of(app)) if each["violations"]] == []
    for invoice in await life.invoices():
        assert (await life.get(f"/v1/invoices/{invoice['id']}/verify"))["agrees"] is True


async def january(life: Life) -> None:
    """60 units at 0.05 and 3 at 1.00, billed."""
    await life.use("1", 58, occurred_at="2026-01-01T00:00:00Z")
    await life.advance("2026-01-20T00:00:00Z")
    await life.use("2", 2)
    await life.use("3", 3, unit_price="1.00")
    await life.advance("2026-02-01T01:00:00Z")
    assert [each["total"] for each in await life.invoices()] == [Decimal("6.0")]


async def test_a_replaced_month_is_corrected_as_the_diff_said_and_a_revert_gives_it_back(
    app: FastAPI, life: Life
) -> None:
    await january(life)
    opened = await life.open()
    assert (opened["state"], opened["account_ids"], opened["meters"]) == ("open", [life.account], [METER])
    backfill = opened["id"]
    told = await life.send(
        backfill,
        life.event("1", 58, occurred_at="2026-01-01T00:00:00Z"),
        life.event("2b", 1, occurred_at="2026-01-20T00:00:00Z"),
        life.event("3b", 1, unit_price="1.00", occurred_at="2026-01-20T00:00:00Z"),
        life.event("4b", 1, occurred_at="2026-02-01T00:00:00Z"),
    )
    assert (told["accepted"], told["invalid"]) == (3, 1)
    assert told["verdicts"][3]["reason"] == "outside_backfill"
    assert (await life.fate("1"))["state"] == "billed"
    await life.use("5", 100)  # February, so that the next invoice can take it
    seen = await life.do("diff", backfill)
    assert (seen["added"], seen["kept"], seen["replaced"], seen["accounts"]) == (2, 1, 2, 1)
    assert seen["totals"] == {"USD": Decimal("-2.05")}
    assert [
        (each["outcome"], each["quantity_before"], each["quantity_after"], each["amount_before"], each["amount_after"])
        for each in seen["lines"]
    ] == [
        ("correction_line", 60, 59, Decimal("3.0"), Decimal("2.95")),
        ("correction_line", 3, 1, Decimal("3.0"), Decimal("1.0")),
    ]  # fmt: skip
    assert await life.do("diff", backfill) == seen, "looking changes nothing"
    done = await life.do("commit", backfill, {"digest": seen["digest"]})
    assert (done["state"], done["added"], done["kept"], done["replaced"]) == ("committed", 2, 1, 2)
    gone, new = await life.fate("2"), await life.fate("2b")
    assert (gone["state"], gone["voided_by_backfill_id"]) == ("void", backfill)
    assert (new["state"], new["backfill_id"]) == ("late", backfill)
    await life.advance("2026-03-01T01:00:00Z")
    newest = (await life.invoices())[0]
    lines = (await life.get(f"/v1/invoices/{newest['id']}"))["lines"]
    corrected = [each["amount"] for each in lines if each["kind"] == "correction"]
    assert corrected == [each["amount_difference"] for each in seen["lines"]]
    assert newest["total"] == Decimal("2.95")
    assert (await life.fate("2b"))["state"] == "corrected"
    await sound(app, life)

    back = await life.do("revert", backfill)
    assert (back["state"], back["withdrawn"], back["reinstated"]) == ("reverted", 2, 2)
    assert (await life.fate("2"))["reinstated_by"] == "2~2"
    again = await life.fate("2~2")
    assert (again["reinstates"], again["quantity"], again["backfill_id"]) == ("2", 2, backfill)
    await life.advance("2026-04-01T01:00:00Z")
    newest = (await life.invoices())[0]
    lines = (await life.get(f"/v1/invoices/{newest['id']}"))["lines"]
    assert sum(each["amount"] for each in lines) == Decimal("2.05")
    await sound(app, life)
    for what in ("commit", "revert", "cancel"):
        refused = await life.do(what, backfill, None, 409)
        assert refused["code"] == ("backfill_not_committed" if what == "revert" else "backfill_not_open")
        assert refused["details"] == {"state": "reverted"}


async def test_what_the_next_invoice_cannot_take_is_told_to_be_a_credit_note(
    app: FastAPI, life: Life
) -> None:
    await january(life)
    backfill = (await life.open())["id"]
    assert (await life.do("commit", backfill, None, 409))["code"] == "backfill_empty"
    seen = await life.do("diff", backfill)
    assert {each["outcome"] for each in seen["lines"]} == {"credit_note"}
    assert seen["totals"] == {"USD": Decimal("-6.0")}
    await life.do("commit", backfill, {"void_all": True})
    await life.advance("2026-03-01T01:00:00Z")
    (note,) = await life.get("/v1/credit-notes")
    assert note["total"] == Decimal("6.0")
    await sound(app, life)


async def test_an_open_period_just_counts_and_pending_corrections_are_no_difference(
    app: FastAPI, life: Life
) -> None:
    await january(life)
    await life.use("late", 10, occurred_at="2026-01-15T00:00:00Z")
    await life.use("now", 10)
    await life.advance("2026-02-10T00:00:00Z")
    backfill = (
        await life.open(mode="add", period_start="2026-01-20T00:00:00Z", period_end="2026-02-10T00:00:00Z")
    )["id"]
    await life.send(
        backfill,
        life.event("a", 10, occurred_at="2026-01-25T00:00:00Z"),
        life.event("b", 20, occurred_at="2026-02-05T00:00:00Z"),
        life.event("c", 7, occurred_at="2026-02-06T00:00:00Z", unit_price=None),
    )
    seen = await life.do("diff", backfill)
    assert [(each["outcome"], each["amount_before"], each["amount_after"]) for each in seen["lines"]] == [
        ("correction_line", Decimal("3.5"), Decimal("4.0")),
        ("open_period", Decimal("0.5"), Decimal("1.5")),
    ]
    await life.do("commit", backfill)
    preview = await life.post("/v1/invoices/preview", {"account_id": life.account})
    assert [each["total"] for each in preview["invoices"]] == [Decimal("2.5")]
    await life.advance("2026-03-01T01:00:00Z")
    assert (await life.invoices())[0]["total"] == Decimal("2.5")
    await sound(app, life)


async def test_a_commit_does_what_the_diff_showed_or_nothing(life: Life) -> None:
    await january(life)
    backfill = (await life.open())["id"]
    await life.send(backfill, life.event("x", 1, occurred_at="2026-01-02T00:00:00Z"))
    seen = await life.do("diff", backfill)
    await life.use("late", 10, occurred_at="2026-01-15T00:00:00Z")
    refused = await life.do("commit", backfill, {"digest": seen["digest"]}, 409)
    assert refused["code"] == "backfill_changed"
    assert (await life.get(f"/v1/backfills/{backfill}"))["state"] == "open"
    seen = await life.do("diff", backfill)
    assert (await life.do("commit", backfill, {"digest": seen["digest"]}))["replaced"] == 4
    assert (await life.fate("late"))["state"] == "void"


async def test_windows_accounts_and_meters_that_cannot_be(life: Life) -> None:
    await life.advance("2026-02-01T01:00:00Z")
    bad: list[tuple[dict[str, Any], str, str]] = [
        ({"period_end": OPEN["period_start"]}, "backfill_window", "period_end"),
        ({"period_end": "2025-12-01T00:00:00Z"}, "backfill_window", "period_end"),
        ({"period_end": "2026-02-02T00:00:00Z"}, "backfill_window", "period_end"),
        ({"period_start": "2024-12-01T00:00:00Z"}, "backfill_window", "period_end"),
        ({"account_ids": ["acc_nobody"]}, "backfill_scope", "account_ids"),
        ({"account_ids": []}, "validation_failed", "account_ids"),
        ({"meters": []}, "validation_failed", "meters"),
        ({"meters": ["nothing"]}, "backfill_scope", "meters"),
        ({"mode": "both"}, "validation_failed", "mode"),
        ({"period_start": "2026-01-01"}, "validation_failed", "period_start"),
    ]
    for fields, code, name in bad:
        refused = await life.open(422, **fields)
        assert (refused["code"], list(refused["details"])) == (code, [name])
    assert await life.get("/v1/backfills") == []
    first = (await life.open())["id"]
    refused = await life.open(409, period_start="2026-01-31T00:00:00Z", mode="add")
    assert (refused["code"], refused["details"]) == ("backfill_overlaps", {"backfill_id": first})
    await life.do("cancel", first)
    second = (await life.open())["id"]
    listed = await life.get("/v1/backfills")
    assert [(each["id"], each["state"]) for each in listed] == [(second, "open"), (first, "cancelled")]
    assert [each["id"] for each in await life.get("/v1/backfills?state=open")] == [second]
    assert (await life.do("diff", second.replace(second[-1], "0" if second[-1] != "0" else "1"), None, 404))[
        "code"
    ] == "backfill_not_found"


async def test_identities_are_those_of_every_door(app: FastAPI, life: Life) -> None:
    await january(life)
    await life.post("/v1/events/3/void", {})
    at = "2026-01-20T00:00:00Z"
    adding = (await life.open(mode="add"))["id"]
    told = await life.send(
        adding, life.event("2", 2, occurred_at=at), life.event("2", 3, occurred_at=at), life.event("3", 3, unit_price="1.00", occurred_at=at),
        life.event("n", 1, occurred_at=at), life.event("n", 1, occurred_at=at), life.event("n", 2, occurred_at=at), life.event("t", 1),
        life.event("m", 1, occurred_at=at, meter="nothing"), {"id": 5},
    )  # fmt: skip
    assert [(each["status"], each.get("reason")) for each in told["verdicts"]] == [
        ("duplicate", None), ("conflict", "event_conflict"), ("conflict", "event_void"), ("accepted", None), ("duplicate", None),
        ("conflict", "event_conflict"), ("invalid", "invalid_event"), ("invalid", "unknown_meter"), ("invalid", "invalid_event"),
    ]  # fmt: skip
    assert [
        each["status"] for each in (await life.send(adding, life.event("n", 1, occurred_at=at)))["verdicts"]
    ] == ["duplicate"]
    await life.post("/v1/meters", {"code": "storage", "name": "Object Storage", "aggregation": "sum"}, 201)
    other = (await life.open(meters=["storage"]))["id"]
    assert [
        each["reason"]
        for each in (await life.send(other, life.event("n", 1, occurred_at=at, meter="storage")))["verdicts"]
    ] == ["event_staged"]
    await life.use("n", 9, occurred_at=at)
    for what in ("diff", "commit"):
        refused = await life.do(what, adding, None, 409)
        assert (refused["code"], refused["details"]) == ("backfill_event_taken", {"ids": ["n"]})
    await life.do("cancel", adding)
    assert (await life.send(adding, life.event("z", 1, occurred_at=at), status=409))[
        "code"
    ] == "backfill_not_open"
    await sound(app, life)


async def test_a_later_backfill_is_reverted_first_and_nothing_counts_twice(app: FastAPI, life: Life) -> None:
    await january(life)
    first, second = (await life.open())["id"], ""
    await life.send(first, life.event("f", 100, occurred_at="2026-01-05T00:00:00Z"))
    await life.do("commit", first)
    await life.post("/v1/events/f/amend", {"quantity": 90}, 201)
    second = (await life.open())["id"]
    await life.send(second, life.event("s", 50, occurred_at="2026-01-05T00:00:00Z"))
    await life.do("commit", second)
    refused = await life.do("revert", first, None, 409)
    assert (refused["code"], refused["details"]) == ("backfill_built_upon", {"backfill_id": second})
    assert (await life.do("revert", second))["reinstated"] == 1
    assert (await life.fate("f~3"))["quantity"] == 90
    back = await life.do("revert", first)
    assert (back["withdrawn"], back["reinstated"]) == (1, 3)
    await life.use("x", 1)
    await life.advance("2026-03-01T01:00:00Z")
    lines = (await life.get(f"/v1/invoices/{(await life.invoices())[0]['id']}"))["lines"]
    assert [each["amount"] for each in lines if each["kind"] == "correction"] == [0, 0]
    await sound(app, life)


async def test_an_amendment_is_a_void_and_an_event_that_points_at_it(app: FastAPI, life: Life) -> None:
    await january(life)
    await life.use("x", 100)
    made = await life.post("/v1/events/1/amend", {"quantity": 48, "reason": "counted twice"}, 201)
    assert (made["id"], made["amends"], made["quantity"], made["unit_price"]) == (
        "1~2",
        "1",
        48,
        Decimal("0.05"),
    )
    assert await life.post("/v1/events/1/amend", {"quantity": 48}, 201) == made, (
        "a repeat finds what the first made"
    )
    refused = await life.post("/v1/events/1/amend", {"quantity": 47}, 409)
    assert (refused["code"], refused["details"]) == ("event_amended", {"id": "1~2"})
    again = await life.post(
        "/v1/events/1~2/amend", {"quantity": 38, "properties": {"who": "a", "n": 1.5}}, 201
    )
    assert (again["id"], again["properties"]) == ("1~3", {"who": "a", "n": Decimal("1.5")})
    fates = [await life.fate(name) for name in ("1", "1~2", "1~3")]
    assert [(each["state"], each["amends"], each["amended_by"]) for each in fates] == [
        ("void", None, "1~2"), ("void", "1", "1~3"), ("late", "1~2", None),
    ]  # fmt: skip
    assert fates[0]["reason"].startswith("amended by 1~2; ")
    await life.advance("2026-03-01T01:00:00Z")
    lines = (await life.get(f"/v1/invoices/{(await life.invoices())[0]['id']}"))["lines"]
    assert [each["amount"] for each in lines if each["kind"] == "correction"] == [Decimal("-1.0")]
    assert (await life.fate("1~3"))["state"] == "corrected"
    await sound(app, life)


async def test_amendments_that_cannot_be(app: FastAPI, life: Life) -> None:
    await january(life)
    other = (await life.post("/v1/accounts", {"name": "Eve", "test_clock_id": life.clock}, 201))["id"]
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        ("nobody", {"quantity": 1}, 404, "event_not_found"),
        ("1", {}, 409, "amendment_empty"),
        ("1", {"quantity": "58.0", "account_id": life.account, "meter": METER}, 409, "amendment_empty"),
        ("1", {"account_id": other, "quantity": 1}, 422, "amendment_elsewhere"),
        ("1", {"meter": "other", "quantity": 1}, 422, "amendment_elsewhere"),
        ("1", {"external_id": "other", "quantity": 1}, 422, "amendment_elsewhere"),
        ("1", {"occurred_at": "2026-02-01T01:06:00Z"}, 422, "future"),
        ("1", {"occurred_at": "2998-02-01T01:06:00Z"}, 422, "future"),
        ("1", {"occurred_at": "1969-02-01T01:06:00Z"}, 422, "validation_failed"),
        ("1", {"quantity": -1}, 422, "validation_failed"),
        ("1", {"quantity": "1e400"}, 422, "validation_failed"),
        ("1", {"properties": {"a": []}}, 422, "invalid_event"),
        ("1", {"id": "2"}, 422, "validation_failed"),
    ]
    for name, body, status, code in cases:
        refused = await life.post(f"/v1/events/{name}/amend", body, status)
        assert refused["code"] == code, body
    await life.post("/v1/events/1/void", {})
    assert (await life.post("/v1/events/1/amend", {"quantity": 1}, 409))["code"] == "event_void"
    await life.use("2~2", 1)  # a stranger's
    assert (await life.post("/v1/events/2/amend", {"occurred_at": "2026-01-03T00:00:00Z"}, 201))[
        "id"
    ] == "2~3"
    key = await service_key(app, ["events:write"])
    moved = await life.client.post(
        "/v1/events/3/amend", json={"occurred_at": "2025-12-01T00:00:00Z"}, headers=key
    )
    assert (moved.status_code, moved.json()["code"]) == (422, "too_late")
    moved = await life.client.post("/v1/backfills", json=OPEN, headers=key)
    assert moved.status_code == 403
    await life.post("/v1/events/3/amend", {"occurred_at": "2025-12-01T00:00:00Z"}, 201)
    await sound(app, life)


async def test_closed_accounts_take_no_backfill(life: Life) -> None:
    await life.advance("2026-02-01T01:00:00Z")
    backfill = (await life.open())["id"]
    await life.send(backfill, life.event("n", 0, occurred_at="2026-01-05T00:00:00Z"))
    gone = await life.client.delete(f"/v1/accounts/{life.account}", headers=life.headers)
    assert gone.status_code == 204
    for what in ("diff", "commit"):
        assert (await life.do(what, backfill, None, 409))["code"] == "backfill_account_closed"
    assert (await life.open(422))["code"] == "backfill_scope"
    assert (await life.do("cancel", backfill))["state"] == "cancelled"


async def test_bodies_may_be_lines_and_must_be_events(life: Life) -> None:
    await life.advance("2026-02-01T01:00:00Z")
    backfill = (await life.open())["id"]
    path = f"/v1/backfills/{backfill}/events"
    lines = (
        "\n".join(json.dumps(life.event(f"n{n}", n, occurred_at="2026-01-05T00:00:00Z")) for n in range(3))
        + "\nnot json\n"
    )
    answer = await life.client.post(
        path, content=lines, headers={**life.headers, "Content-Type": "application/x-ndjson"}
    )
    assert [(each["line"], each["status"]) for each in answer.json()["data"]["verdicts"]] == [
        (1, "accepted"), (2, "accepted"), (3, "accepted"), (4, "invalid"),
    ]  # fmt: skip
    assert (await life.get(f"/v1/backfills/{backfill}"))["staged"] == 3
    assert (
        await life.client.post(
            path, content=b"{}", headers={**life.headers, "Content-Type": "application/json"}
        )
    ).status_code == 422
    assert (
        await life.client.post(path, content=b"x", headers={**life.headers, "Content-Type": "text/csv"})
    ).status_code == 415
    for what in ("commit", "diff", "revert", "cancel"):
        assert (await life.do(what, backfill, {"x": 1}, 422))["code"] == "validation_failed"
    assert (await life.post("/v1/backfills/1/diff", None, 404))["success"] is False
