"""Every bad input against every field of every write route: a 4xx that names the field, nothing written, nothing repeated.

The routes and their fields come from the OpenAPI description, so that a new route or field is tried without being listed here.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import support
from fastapi import FastAPI
from seeded import Seeded, seed

from tallystick.apps.subscription_service import create_app

CANARY = "zqx7canary"
"""Part of most bad values: it must not come back in any answer."""

DESCRIPTION = json.loads(
    json.dumps(create_app(support.make_settings("postgresql://nowhere", Path("nowhere"))).openapi())
)


@dataclass(frozen=True)
class Operation:
    """A write route with the schema of its body."""

    method: str
    path: str
    schema: dict[str, Any]
    optional: bool = False
    """Whether the body may be left out."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` without references at its top."""
    while "$ref" in schema:
        schema = DESCRIPTION["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def body_schema(operation: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return None
    schema = resolved(schema)
    for part in schema.get("anyOf", ()):
        if part.get("type") != "null":
            return resolved(part)
    return schema


def writes() -> Iterator[Operation]:
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            schema = body_schema(operation)
            if schema is not None:
                yield Operation(
                    method.upper(), path, schema, not operation["requestBody"].get("required", False)
                )


WRITES = list(writes())
OBJECTS = [each for each in WRITES if each.schema.get("type") == "object"]

GOOD: dict[str, dict[str, Any]] = {
    "POST /v1/events": {"id": "e", "meter": "gb", "account_id": "{account_id}", "quantity": 1},
    "POST /v1/events/{event_id}/void": {"reason": "wrong"},
    "POST /api/v1/customers": {"customer_name": "C"},
    "POST /api/v1/customers/{customer_id}/usage": {
        "service": "Seeded Service", "units_consumed": 1, "price_per_unit": 1,
    },
    "POST /v1/auth/login": {"email": "x@example.com", "password": "SecurePassword123!"},
    "POST /v1/auth/register": {
        "email": "x@example.com", "password": "SecurePassword123!", "first_name": "A", "last_name": "B",
    },
    "POST /v1/api-keys": {"name": "k", "scopes": ["usage:write"]},
    "POST /v1/accounts": {"name": "A"},
    "PUT /v1/accounts/{account_id}": {"name": "B"},
    "POST /v1/test-clocks": {"frozen_time": "2024-01-01T00:00:00Z"},
    "POST /v1/plans": {"name": "P", "price": 1, "currency": "USD"},
    "PUT /v1/plans/{plan_id}": {"name": "Q"},
    "POST /v1/meters": {"code": "m", "aggregation": "sum"},
    "POST /v1/services": {"name": "S"},
    "POST /v1/catalog/diff": {"file": "plans: {}"},
    "POST /v1/catalog/apply": {"file": "plans: {}"},
    "POST /v1/taxes": {"code": "t", "name": "T", "rate": 1},
    "PUT /v1/taxes/{tax_id}": {"name": "U"},
    "PUT /v1/accounts/{account_id}/taxes": {"codes": []},
    "POST /v1/subscriptions": {"account_id": "{account_id}", "plan_id": "{plan_id}"},
    "POST /v1/rating/estimate": {
        "charge_model": "standard", "properties": {"unit_amount": "1"}, "currency": "USD", "units": 1,
    },
    "POST /v1/invoices": {
        "account_id": "{account_id}", "period_start": "2024-02-01T00:00:00Z", "period_end": "2024-02-02T00:00:00Z",
    },
    "POST /v1/billing": {"account_id": "{account_id}", "amount": 1},
    "PUT /v1/billing/{record_id}": {"description": "d"},
    "POST /v1/invoices/preview": {"account_id": "{account_id}"},
    "POST /v1/billing-runs": {},
    "POST /v1/wallets": {"account_id": "{account_id}", "name": "W"},
    "PUT /v1/wallets/{wallet_id}": {"name": "V"},
    "POST /v1/wallets/{wallet_id}/top-ups": {"kind": "granted", "amount": 1},
    "POST /v1/wallets/{wallet_id}/holds": {"amount": 1},
    "POST /v1/wallets/{wallet_id}/holds/{hold_id}/capture": {"amount": 1},
    "POST /v1/wallets/{wallet_id}/holds/{hold_id}/release": {},
    "POST /v1/invoices/{invoice_id}/finalize": {},
    "POST /v1/invoices/{invoice_id}/void": {},
    "POST /v1/invoices/{invoice_id}/pay": {},
    "POST /v1/invoices/{invoice_id}/credit-notes": {"reason": "r", "lines": [{"line": 1, "amount": 1}]},
    "POST /v1/invoices/{invoice_id}/credit-notes/preview": {"reason": "r", "amount": 1},
    "POST /v1/test-clocks/{clock_id}/advance": {"to": "2024-02-03T00:00:00Z"},
    "POST /v1/auth/logout": {},
    "POST /v1/auth/refresh": {"refresh_token": "tsr_nobody"},
    "POST /v1/auth/password/forgot": {"email": "nobody@example.com"},
    "POST /v1/auth/password/reset": {"token": "pr_nobody", "new_password": "yet another sentence"},
    "PUT /v1/auth/password": {"current_password": "SecurePassword123!", "new_password": "a longer sentence is better"},
    "POST /v1/taxes/{tax_id}/rates": {"valid_from": "2099-01-01", "rate": 2},
    "PUT /v1/accounts/{account_id}/tax-treatment": {"treatment": "taxable"},
    "PUT /v1/entities/{entity_id}": {"net_terms_days": 14},
    "POST /v1/coupons": {"code": "c", "name": "C", "kind": "percent", "value": 1},
    "PUT /v1/coupons/{coupon_id}": {"name": "D"},
    "POST /v1/coupons/apply": {"code": "SEEDED", "account_id": "{account_id}"},
    "POST /v1/events/{event_id}/amend": {"quantity": 2},
    "POST /v1/backfills": {
        "meters": ["gb"], "period_start": "2024-01-05T00:00:00Z", "period_end": "2024-01-06T00:00:00Z",
        "mode": "add",
    },
    "POST /v1/backfills/{backfill_id}/diff": {},
    "POST /v1/backfills/{backfill_id}/commit": {},
    "POST /v1/backfills/{backfill_id}/cancel": {},
    "POST /v1/backfills/{backfill_id}/revert": {},
    "POST /v1/periods/preview": {"anchor": "2024-01-01T00:00:00Z", "cycle": "monthly"},
}  # fmt: skip
"""A body per route that is right but for what a test puts wrong."""

TEXTS: dict[str, bytes] = {
    "a number for text": b"7",
    "true for text": b"true",
    "a list for text": b'["%s"]' % CANARY.encode(),
    "an object for text": b'{"%s": 1}' % CANARY.encode(),
    "far too long": json.dumps(CANARY * 1000).encode(),
    "a control character": json.dumps(f"{CANARY}\x01\x1b[31m").encode(),
}
NUMBERS: dict[str, bytes] = {
    "true for a number": b"true",
    "text for a number": json.dumps(CANARY).encode(),
    "NaN as text": b'"NaN"',
    "Infinity as text": b'"Infinity"',
    "digits of another script": json.dumps("١٢").encode(),
    "an underscore": b'"1_000"',
    "an exponent in text": b'"1e400"',
    "negative": b"-1",
    "absurd": b"1" + b"0" * 30,
    "too many decimals": b"0.1234567890123456789",
    "white space": b'" 1 "',
    "a list for a number": b"[1]",
}
TIMES: dict[str, bytes] = {
    "naive": b'"2024-01-01T00:00:00"',
    "no time": json.dumps(CANARY).encode(),
    "a number": b"1704067200",
    "before 1970": b'"1969-12-31T23:59:59Z"',
    "after 9000": b'"9999-12-31T23:59:59Z"',
    "year 0": b'"0000-01-01T00:00:00Z"',
    "30 February": b'"2024-02-30T00:00:00Z"',
    "other digits": json.dumps("٢٠٢٤-01-01T00:00:00Z").encode(),
}
WHOLE: dict[str, tuple[bytes, int]] = {
    "NaN": (b'{"%(field)s": NaN}', 400),
    "Infinity": (b'{"%(field)s": -Infinity}', 400),
    "1e400": (b'{"%(field)s": 1e400}', 400),
    "a long number": (b'{"%(field)s": ' + b"9" * 100 + b"}", 400),
    "NUL": (b'{"%(field)s": "' + CANARY.encode() + b'\\u0000"}', 400),
    "NUL in a name": (b'{"%(field)s\\u0000": 1}', 400),
    "a raw NUL": (b'{"%(field)s": "' + CANARY.encode() + b'\x00"}', 400),
    "a lone surrogate": (b'{"%(field)s": "' + CANARY.encode() + b'\\ud800"}', 400),
    "surrogates turned round": (b'{"%(field)s": "\\udc00\\ud800"}', 400),
    "invalid UTF-8": (b'{"%(field)s": "' + CANARY.encode() + b'\xff"}', 400),
    "an overlong form": (b'{"%(field)s": "' + CANARY.encode() + b'\xc0\xaf"}', 400),
    "a surrogate in UTF-8": (b'{"%(field)s": "' + CANARY.encode() + b'\xed\xa0\x80"}', 400),
    "UTF-16": (json.dumps({"zqx7canary": 1}).encode("utf-16"), 400),
    "UTF-32": (json.dumps({"zqx7canary": 1}).encode("utf-32"), 400),
    "a BOM": (b"\xef\xbb\xbf{}", 400),
    "a key twice": (b'{"%(field)s": "' + CANARY.encode() + b'", "%(field)s": "' + CANARY.encode() + b'"}', 400),
    "a key twice, once escaped": (b'{"z": "zqx7canary", "\\u007a": "zqx7canary"}', 400),
    "a key twice behind a backslash": (b'{"z": "zqx7canary", "z": "zqx7canary", "y\\\\": 1}', 400),
    "deep nesting": (b'{"%(field)s": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "deep nesting of objects": (b'{"%(field)s": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, 400),
    "not closed": (b'{"%(field)s": "' + CANARY.encode() + b'"', 400),
    "two values": (b'{} {"zqx7canary": 1}', 400),
    "nothing": (b"", 400),
    "white space": (b"  ", 400),
    "a text": (b'"zqx7canary"', 422),
    "a number": (b"7", 422),
    "a list": (b'["zqx7canary"]', 422),
    "null": (b"null", 422),
    "an unknown field": (b'{"surprise": "zqx7canary"}', 422),
    "an unknown field of strange name": (b'{"zqx7canary <b>": "zqx7canary"}', 422),
    "an unknown field of endless name": (b'{"' + CANARY.encode() * 50 + b'": 1}', 422),
}  # fmt: skip


@pytest.fixture
async def seeded(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Seeded:
    return await seed(client, admin_headers)


async def row_counts(app: FastAPI) -> dict[str, int]:
    """How many rows each table has; partitions count for their parents. Logins tried are no business fact."""
    async with support.database_of(app).read() as session:
        names = await session.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
            "AND relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        counts = {}
        for (name,) in names:
            counts[name] = await session.fetchval(f'SELECT count(*) FROM "{name}"')
        return counts


async def changed(app: FastAPI) -> str:
    """A digest of what can change in place."""
    async with support.database_of(app).read() as session:
        return str(
            await session.fetchval(
                """
                SELECT md5(concat(
                    (SELECT string_agg(a::text, '' ORDER BY no) FROM accounts a),
                    (SELECT string_agg(p::text, '' ORDER BY account_no) FROM account_profiles p),
                    (SELECT string_agg(p::text, '' ORDER BY id) FROM plans p),
                    (SELECT string_agg(t::text, '' ORDER BY id) FROM taxes t),
                    (SELECT string_agg(i::text, '' ORDER BY id) FROM invoices i),
                    (SELECT string_agg(c::text, '' ORDER BY id) FROM test_clocks c),
                    (SELECT string_agg(s::text, '' ORDER BY id) FROM subscriptions s)))
                """
            )
        )


def at(operation: Operation, known: Seeded) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(known.ids[match[1]]), operation.path)


def good(operation: Operation, known: Seeded) -> dict[str, Any]:
    def value(item: Any) -> Any:
        if isinstance(item, str) and item.startswith("{"):
            return known.ids[item.strip("{}")]
        return item

    return {name: value(item) for name, item in GOOD[str(operation)].items()}


def kinds(schema: dict[str, Any]) -> set[str]:
    """What JSON types a field takes, with `time`, `date` and `uuid` for text of that format."""
    schema = resolved(schema)
    found: set[str] = set()
    for part in schema.get("anyOf", ()):
        found |= kinds(part)
    named = schema.get("type")
    for kind in named if isinstance(named, list) else [named]:
        if kind == "string":
            text = {"date-time": "time", "date": "date", "uuid": "uuid"}.get(
                schema.get("format", ""), "string"
            )
            found.add("choice" if "enum" in schema or "const" in schema else text)
        elif kind is not None:
            found.add(kind)
    return found


def attempts(operation: Operation) -> Iterator[tuple[str, str, bytes]]:
    """Field, what is wrong, and the JSON of the bad value."""
    for name, schema in operation.schema.get("properties", {}).items():
        takes = kinds(schema) - {"null"}
        if not takes:
            continue  # anything goes: its own tests say what must not
        if takes & {"number", "integer"}:
            yield from ((name, what, bad) for what, bad in NUMBERS.items())
        elif takes & {"time", "date"}:
            yield from ((name, what, bad) for what, bad in TIMES.items())
        elif takes == {"string"}:
            yield from ((name, what, bad) for what, bad in TEXTS.items())
        elif takes & {"choice", "uuid", "boolean"}:
            yield from (
                (name, what, bad)
                for what, bad in {**TEXTS, "an unknown word": json.dumps(CANARY).encode()}.items()
                if "boolean" not in takes or what != "true for text"
            )
        if takes & {"array", "object"}:
            yield name, "text for a list or an object", json.dumps(CANARY * 300).encode()
            yield name, "a number for a list or an object", b"7"


HARMLESS = {
    # Where any text is an answer in itself: a wrong password is wrong however long it is, and is told so.
    "POST /v1/auth/login": 401,
    "POST /v1/auth/refresh": 401,
    "POST /v1/auth/password/reset": 422,
    "PUT /v1/auth/password": 422,
    "POST /v1/auth/logout": 409,
}


FREE = {
    ("POST /v1/auth/register", "password", "a control character"),
    ("POST /v1/auth/logout", "refresh_token", "a control character"),
    ("PUT /v1/auth/password", "new_password", "a control character"),
    ("POST /v1/auth/password/reset", "new_password", "a control character"),
}
"""A password is what its owner types; a token that nobody has is no secret either, and signs nobody out."""


def check_refusal(answer: httpx.Response, where: str, field: str | None = None) -> None:
    assert answer.status_code in (400, 401, 404, 409, 422), (
        f"{where}: {answer.status_code} {answer.text[:300]}"
    )
    told = answer.json()
    assert set(told) == {"success", "error", "code", "details", "request_id", "timestamp"}, where
    assert told["success"] is False
    assert CANARY not in answer.text, f"{where}: the input is repeated: {answer.text[:300]}"
    if field is not None and answer.status_code == 422:
        named = any(re.split(r"[.\[]", name)[0] == field for name in told["details"])
        assert named or field in told["details"].get("body", ""), (
            f"{where}: {field} is not named: {answer.text[:300]}"
        )


def test_every_write_route_has_a_good_body() -> None:
    assert {str(each) for each in OBJECTS} == set(GOOD)
    assert len(WRITES) == len(OBJECTS) + 2, "and the batches"


async def test_the_good_bodies_are_good(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    """Else what follows would prove nothing."""
    for operation in OBJECTS:
        if str(operation) in HARMLESS:
            continue
        answer = await client.request(
            operation.method, at(operation, seeded), json=good(operation, seeded), headers=admin_headers
        )
        conflict = answer.status_code == 409 and operation.path.startswith(
            (
                "/v1/events/{event_id}",
                "/v1/invoices",
                "/v1/wallets/{wallet_id}/holds/{hold_id}",
                "/v1/backfills/{backfill_id}",
            )
        )
        assert answer.status_code < 300 or conflict, f"{operation}: {answer.text}"


async def test_bad_bodies(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    before, state = await row_counts(app), await changed(app)
    for operation in WRITES:
        fields = list(operation.schema.get("properties") or {"id": {}})
        for what, (template, status) in WHOLE.items():
            if operation.optional and what in ("nothing", "null"):
                continue
            body = template.replace(b"%(field)s", fields[0].encode())
            answer = await client.request(
                operation.method, at(operation, seeded), content=body,
                headers={**admin_headers, "Content-Type": "application/json"},
            )  # fmt: skip
            where = f"{operation} with {what}"
            if operation.path.endswith(("/batch", "{backfill_id}/events")) and (
                what == "a list" or "unknown" in what
            ):
                continue  # see test_in_a_batch_only_the_bad_rows_are_refused
            check_refusal(answer, where)
            assert answer.status_code == status or (answer.status_code, status) == (422, 400), (
                f"{where}: {answer.text}"
            )
    assert await row_counts(app) == before
    assert await changed(app) == state


async def test_bad_fields(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    json_headers = {**admin_headers, "Content-Type": "application/json"}
    before, state = await row_counts(app), await changed(app)
    for operation in OBJECTS:
        tried = 0
        for field, what, bad in attempts(operation):
            if (str(operation), field, what) in FREE:
                continue
            rest = {name: value for name, value in good(operation, seeded).items() if name != field}
            joint = b", " if rest else b""
            body = json.dumps(rest).encode()[:-1] + joint + b'"%s": %s}' % (field.encode(), bad)
            place = at(operation, seeded)
            answer = await client.request(operation.method, place, content=body, headers=json_headers)
            check_refusal(answer, f"{operation}: {field} = {what}", field)
            tried += 1
        assert tried or not operation.schema["properties"], operation
        assert await row_counts(app) == before, operation
        assert await changed(app) == state, operation


ODD_QUERIES = [
    "99999999999999999999999999", "-1", "0", "1e400", "NaN", "true", CANARY, "%FF%FE", "%ED%A0%80", "%01", "%0d%0aX: y", "a" * 400,
    "9223372036854775808", "2147483648", "", "%F0%9F%98%80", "null", "[]", "2024-01-01", "2024-01-01T00:00:00",
    "99999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "%27%3B--", "%5C", "1970-01-01T00:00:00%2B99:99",
]  # fmt: skip


def routes() -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Method, path, its path parameters, its query parameters."""
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            named = operation.get("parameters", [])
            places = [each["name"] for each in named if each["in"] == "path"]
            yield method.upper(), path, places, [each["name"] for each in named if each["in"] == "query"]


def calm(answer: httpx.Response, where: str, *, silent: bool = True) -> None:
    assert answer.status_code < 500, f"{where}: {answer.status_code} {answer.text[:300]}"
    if silent and answer.status_code >= 400:
        assert CANARY not in answer.text, f"{where}: the input is repeated"


async def test_odd_queries(client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded) -> None:
    for method, path, _, queries in routes():
        if method != "GET":
            continue
        place = re.sub(r"\{(\w+)\}", lambda match: str(seeded.ids[match[1]]), path)
        for name in queries:
            for value in ODD_QUERIES:
                answer = await client.get(f"{place}?{name}={value}", headers=admin_headers)
                calm(answer, f"{method} {path}?{name}={value}")
                if answer.status_code == 422:
                    assert name in answer.json()["details"], f"{path}?{name}={value}: {answer.text}"


async def test_odd_paths(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded, app: FastAPI
) -> None:
    before = await row_counts(app)
    for method, path, places, _ in routes():
        for _name in places:
            for value in ODD_QUERIES:
                place = re.sub(r"\{\w+\}", value or "%20", path)
                body = good(Operation(method, path, {}), seeded) if f"{method} {path}" in GOOD else None
                answer = await client.request(method, place, json=body, headers=admin_headers)
                calm(answer, f"{method} {place}")
                assert answer.status_code in (400, 404, 405, 409, 422), (
                    f"{method} {place}: {answer.text[:200]}"
                )
    assert await row_counts(app) == before


async def test_nul_in_an_address(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    for place in ("/v1/accounts/a%00b", "/v1/accounts?name=%00", "/v1/events/%00", "/%00"):
        answer = await client.get(place, headers=admin_headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "nul_character")


EVENT = {"id": "bad", "meter": "gb", "quantity": 1}
BAD_EVENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"account_id": None}, "invalid_event", "account_id"),
    ({"external_id": "seeded"}, "invalid_event", "external_id"),
    ({"account_id": f"acc_{CANARY}"}, "unknown_account", "account_id"),
    ({"meter": CANARY}, "unknown_meter", "meter"),
    ({"occurred_at": "2124-01-01T00:00:00Z"}, "future", "occurred_at"),
    ({"occurred_at": "2001-01-01T00:00:00Z"}, "too_late", "occurred_at"),
    ({"occurred_at": "2024-02-01T00:00:00"}, "invalid_event", "occurred_at"),
    ({"occurred_at": CANARY}, "invalid_event", "occurred_at"),
    ({"quantity": -1}, "invalid_event", "quantity"),
    ({"quantity": 10**18}, "invalid_event", "quantity"),
    ({"quantity": True}, "invalid_event", "quantity"),
    ({"quantity": "NaN"}, "invalid_event", "quantity"),
    ({"quantity": "0.1234567890123"}, "invalid_event", "quantity"),
    ({"unit_price": -1}, "invalid_event", "unit_price"),
    ({"unit_price": 10**15}, "invalid_event", "unit_price"),
    ({"id": ""}, "invalid_event", "id"),
    ({"id": 7}, "invalid_event", "id"),
    ({"id": CANARY * 26}, "invalid_event", "id"),
    ({"id": f"{CANARY}\x1b"}, "invalid_event", "id"),
    ({"source": CANARY * 26}, "invalid_event", "source"),
    ({"properties": CANARY}, "invalid_event", "properties"),
    ({"properties": {"a": [CANARY]}}, "invalid_event", "properties"),
    ({"properties": {f"{n}": n for n in range(51)}}, "invalid_event", "properties"),
    ({"properties": {CANARY * 50: 1}}, "invalid_event", "properties"),
    ({"properties": {"a": CANARY * 1000}}, "invalid_event", "properties"),
    ({"surprise": CANARY}, "invalid_event", "event"),
]  # fmt: skip


def event(seeded: Seeded, change: dict[str, Any]) -> dict[str, Any]:
    return {**EVENT, "account_id": seeded.ids["account_id"], "occurred_at": "2024-02-01T12:00:00Z", **change}


async def test_single_events(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    before = await row_counts(app)
    for change, reason, field in BAD_EVENTS:
        answer = await client.post("/v1/events", json=event(seeded, change), headers=admin_headers)
        check_refusal(answer, str(change)[:80])
        assert answer.status_code == 422, f"{str(change)[:80]}: {answer.text}"
        assert field in answer.json()["details"], f"{str(change)[:80]}: {answer.text}"
        assert answer.json()["code"] in (reason, "validation_failed"), answer.text
    after = await row_counts(app)
    assert {name: count for name, count in after.items() if before[name] != count} == {}


@pytest.mark.parametrize("ndjson", [False, True])
async def test_in_a_batch_only_the_bad_rows_are_refused(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded, ndjson: bool
) -> None:
    bad = [(change, reason) for change, reason, _ in BAD_EVENTS]
    rows = [event(seeded, change) for change, _ in bad]
    right = [event(seeded, {"id": f"right-{n}"}) for n in range(len(rows))]
    mixed = [row for pair in zip(rows, right, strict=True) for row in pair]
    if ndjson:
        lines = [json.dumps(row).encode() for row in mixed]
        lines += [
            b'{"id": "zqx7canary\xff"}',
            b"{",
            b'{"id": NaN}',
            b'{"id": "a", "id": "a"}',
            b"7",
            b'"\\ud800"',
        ]
        content, kind, place = b"\n".join(lines), "application/x-ndjson", "line"
    else:
        content, kind, place = json.dumps(mixed).encode(), "application/json", "index"
    answer = await client.post(
        "/v1/events/batch", content=content, headers={**admin_headers, "Content-Type": kind}
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    first = 1 if ndjson else 0
    assert [row[place] for row in told["verdicts"]] == list(range(first, len(told["verdicts"]) + first))
    for number, (change, reason) in enumerate(bad):
        verdict = told["verdicts"][2 * number]
        assert (verdict["status"], verdict["reason"]) == ("invalid", reason), f"{str(change)[:80]}: {verdict}"
        assert verdict["details"]
        assert told["verdicts"][2 * number + 1]["status"] == "accepted"
    assert told["accepted"] == len(right)
    assert told["invalid"] == len(bad) + (6 if ndjson else 0)
    texts = json.dumps([{**row, "id": None} for row in told["verdicts"]])
    assert CANARY not in texts
    async with support.database_of(app).read() as session:
        kept = await session.fetchval("SELECT count(*) FROM usage_events WHERE event_id LIKE 'right-%'")
    assert kept == len(right)


WRONG_IN_THE_MATTER: list[tuple[str, dict[str, Any], str | None]] = [
    ("/v1/subscriptions", {"account_id": f"acc_{CANARY}"}, None),
    ("/v1/subscriptions", {"plan_id": 999_999}, None),
    ("/v1/subscriptions", {"quantity": 0}, "quantity"),
    ("/v1/subscriptions", {"start_date": "1969-01-01"}, "start_date"),
    ("/v1/subscriptions", {"start_date": "8999-12-31"}, "start_date"),
    ("/v1/invoices", {"account_id": f"acc_{CANARY}"}, None),
    ("/v1/invoices", {"period_end": "2024-02-01T00:00:00Z"}, "period_start"),
    ("/v1/invoices", {"period_end": "2023-02-01T00:00:00Z"}, "period_start"),
    ("/v1/invoices", {"period_end": "8999-01-01T00:00:00Z"}, "period_end"),
    ("/v1/billing", {"account_id": f"acc_{CANARY}"}, None),
    ("/v1/billing", {"amount": "12.345"}, "amount"),
    ("/v1/billing", {"amount": "1000000000000000"}, "amount"),
    ("/v1/billing", {"currency": "XXX"}, "currency"),
    ("/v1/billing", {"currency": "usd"}, "currency"),
    ("/v1/billing", {"status": CANARY}, "status"),
    ("/v1/billing", {"billing_date": "2024-02-30"}, "billing_date"),
    ("/v1/billing", {"billing_date": "2024-02-10", "due_date": "2024-02-09"}, "due_date"),
    ("/v1/accounts", {"currency": "ZZZ"}, "currency"),
    ("/v1/accounts", {"timezone": f"Mars/{CANARY}"}, "timezone"),
    ("/v1/accounts", {"country": "ZZ"}, "country"),
    ("/v1/accounts", {"email": CANARY}, "email"),
    ("/v1/accounts", {"phone": CANARY}, "phone"),
    ("/v1/accounts", {"address": {"line1": CANARY * 100}}, "address"),
    ("/v1/accounts", {"metadata": {f"k{n}": n for n in range(51)}}, "metadata"),
    ("/v1/accounts", {"test_clock_id": "01890000-0000-7000-8000-000000000000"}, None),
    ("/v1/plans", {"currency": "JPY", "price": "1.5"}, "price"),
    ("/v1/plans", {"features": {"x": {"limit": CANARY}}}, "features"),
    ("/v1/plans", {"charges": [{"code": "c", "meter": CANARY, "charge_model": "standard", "properties": {}}]}, "charges"),
    ("/v1/plans", {"charges": [{"code": "c", "meter": "gb", "charge_model": CANARY, "properties": {}}]}, "charges"),
    ("/v1/plans", {"charges": [{"code": "c", "meter": "gb", "charge_model": "standard", "properties": {}}]}, "charges"),
    ("/v1/plans", {"charges": [{"code": "c", "meter": "gb", "charge_model": "standard", "properties": {"unit_amount": "-1"}}]},
     "charges"),
    ("/v1/plans", {"charges": [{"code": "c", "meter": "gb", "charge_model": "standard", "properties": {"unit_amount": True}}]},
     "charges"),
    ("/v1/plans", {"charges": [{"code": "c", "meter": "gb", "charge_model": "standard",
                                "properties": {"unit_amount": "1", f"{CANARY} <b>": 1}}]}, "charges"),
    ("/v1/plans", {"charges": [{"code": "c", "meter": "gb", "charge_model": "graduated", "properties": {"tiers": []}}]},
     "charges"),
    ("/v1/meters", {"aggregation": "unique"}, "field"),
    ("/v1/api-keys", {"scopes": [CANARY]}, "scopes"),
    ("/v1/api-keys", {"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ("/v1/taxes", {"rate": "100.1"}, "rate"),
    ("/v1/rating/estimate", {"charge_model": CANARY}, "charge_model"),
    ("/v1/rating/estimate", {"properties": {f"{CANARY} <b>": 1}}, "properties"),
    ("/v1/rating/estimate", {"units": None}, "units"),
    ("/v1/rating/estimate", {"currency": "ABC"}, "currency"),
    ("/v1/periods/preview", {"timezone": CANARY}, "timezone"),
    ("/v1/periods/preview", {"end": "2023-01-01T00:00:00Z"}, "end"),
    ("/v1/periods/preview", {"count": 201}, "count"),
    ("/v1/periods/preview", {"anchor": "8999-06-01T00:00:00Z", "cycle": "yearly", "count": 200}, None),
    ("/v1/billing-runs", {"account_id": f"acc_{CANARY}"}, None),
    ("/v1/auth/register", {"password": "short"}, "password"),
    ("/v1/auth/register", {"email": f"{CANARY}@"}, "email"),
    ("/api/v1/customers", {"customer_name": "  "}, "customer_name"),
]  # fmt: skip


async def test_wrong_in_the_matter(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    before, state = await row_counts(app), await changed(app)
    for path, change, field in WRONG_IN_THE_MATTER:
        operation = next(each for each in OBJECTS if (each.method, each.path) == ("POST", path))
        answer = await client.post(path, json={**good(operation, seeded), **change}, headers=admin_headers)
        where = f"{path} {str(change)[:100]}"
        check_refusal(answer, where, field)
        assert await row_counts(app) == before, where
    assert await changed(app) == state


async def test_internal_usage(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    before = await row_counts(app)
    right = GOOD["POST /api/v1/customers/{customer_id}/usage"]
    for mount in ("/api/v1", "/api/internal"):
        nobody = await client.post(f"{mount}/customers/acc_{CANARY}/usage", json=right, headers=admin_headers)
        assert nobody.status_code == 404
        check_refusal(nobody, mount)
        place = f"{mount}/customers/{seeded.ids['account_id']}/usage"
        odd = await client.post(place, json={**right, "service": CANARY}, headers=admin_headers)
        assert (odd.status_code, odd.json()["details"].keys()) == (422, {"service"})
        check_refusal(odd, mount)
    assert await row_counts(app) == before


async def test_numbers_keep_every_digit_or_are_refused(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    """Read through a binary float, the first would become 1.1 and be taken."""
    body = b'{"name": "P", "currency": "USD", "price": 1.10000000000000008882}'
    answer = await client.post(
        "/v1/plans", content=body, headers={**admin_headers, "Content-Type": "application/json"}
    )
    assert (answer.status_code, "price" in answer.json()["details"]) == (422, True)
    usage = {"service": "Seeded Service", "units_consumed": 123456789012345678, "price_per_unit": 0.5}
    answer = await client.post(
        f"/api/v1/customers/{seeded.ids['customer_id']}/usage", json=usage, headers=admin_headers
    )
    assert answer.status_code == 201, answer.text
    assert json.loads(answer.text, parse_float=Decimal)["usage"]["units_consumed"] == 123456789012345678
