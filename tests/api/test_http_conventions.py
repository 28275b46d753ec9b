"""CONTRACT §2 to the letter: envelope, refusals, slashes, ids of requests, headers, entity tags, exact numbers, lists, limits."""

import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import support
from fastapi import FastAPI
from seeded import Seeded, seed

from tallystick.apps.subscription_service import create_app
from tallystick.kernel.pagination import encode_cursor

INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
DESCRIPTION = json.loads(
    json.dumps(create_app(support.make_settings("postgresql://nowhere", Path("nowhere"))).openapi())
)
LISTS = [
    path
    for path, methods in DESCRIPTION["paths"].items()
    if "cursor" in [each["name"] for each in methods.get("get", {}).get("parameters", [])]
]


@pytest.fixture
async def seeded(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Seeded:
    return await seed(client, admin_headers)


def exact(answer: httpx.Response) -> Any:
    """The body with every digit as it was sent."""
    return json.loads(answer.text, parse_float=Decimal)


def place(path: str, known: Seeded) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(known.ids[match[1]]), path)


def is_refusal(
    answer: httpx.Response, status: int, code: str | None = None, error: str | None = None
) -> None:
    """The literal shape, of every refusal there is."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["success", "error", "code", "details", "request_id", "timestamp"]
    assert body["success"] is False
    assert body["error"]
    assert isinstance(body["details"], dict)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert INSTANT.match(body["timestamp"])
    assert answer.headers["content-type"] == "application/json"
    if code is not None:
        assert body["code"] == code
    if error is not None:
        assert body["error"] == error


async def test_a_success(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    answer = await client.post("/v1/accounts", json={"name": "Ada"}, headers=admin_headers)
    body = answer.json()
    assert answer.status_code == 201
    assert list(body) == ["success", "data", "message", "timestamp"]
    assert (body["success"], body["message"]) == (True, "Account created")
    assert INSTANT.match(body["timestamp"])


async def test_a_list(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    body = (await client.get("/v1/accounts", headers=admin_headers)).json()
    assert list(body) == ["success", "data", "message", "timestamp", "meta"]
    assert body["data"] == []
    assert body["meta"] == {"next_cursor": None, "has_more": False}


async def test_refusals(
    client: httpx.AsyncClient, admin_headers: dict[str, str], support_headers: dict[str, str]
) -> None:
    is_refusal(await client.get("/nowhere"), 404, "not_found")
    is_refusal(await client.get("/v1/accounts/acc_no", headers=admin_headers), 404)
    is_refusal(await client.get("/v1/accounts"), 401, "unauthorized", "Unauthorized")
    wrong = {"Authorization": "Bearer x.y.z"}
    is_refusal(await client.get("/v1/accounts", headers=wrong), 401, "invalid_token", "Invalid token")
    is_refusal(await client.post("/v1/meters", json={}, headers=support_headers), 403, "forbidden")
    odd = await client.patch("/v1/accounts", json={}, headers=admin_headers)
    is_refusal(odd, 405, "method_not_allowed")
    assert set(odd.headers["allow"].replace(" ", "").split(",")) & {"GET", "POST"}
    text = await client.post(
        "/v1/meters", content=b"code=x", headers={**admin_headers, "Content-Type": "text/plain"}
    )
    is_refusal(text, 415, "unsupported_media_type")
    is_refusal(await client.post("/v1/meters", json={}, headers=admin_headers), 422, "validation_failed")
    is_refusal(await client.post("/v1/meters", content=b"{", headers=admin_headers), 400, "malformed_json")
    unauthorized = await client.get("/v1/accounts")
    assert unauthorized.headers["www-authenticate"] == "Bearer"


async def test_a_stale_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    user = await support.make_user(app, "admin")
    old = support.bearer(app, user, now=datetime.now(UTC) - timedelta(days=2), seconds=3600)
    is_refusal(await client.get("/v1/accounts", headers=old), 401, "token_expired", "Token expired")


async def test_our_own_fault(app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    """The database lost a table: 500, the sentence of the contract, nothing of the inside."""
    async with support.database_of(app).write() as session:
        await session.execute("ALTER TABLE meters RENAME TO meters_gone")
    answer = await client.get("/v1/meters", headers=admin_headers)
    is_refusal(answer, 500, "internal_error", "Internal server error")
    assert "meters" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_database_is_gone(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    assert (await client.get("/v1/meters", headers=admin_headers)).status_code == 200
    await support.database_of(app).close()
    answer = await client.get("/v1/meters", headers=admin_headers)
    is_refusal(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    health = await client.get("/v1/health")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")


async def test_too_many(app: FastAPI, client: httpx.AsyncClient, database_url: str, tmp_path: Path) -> None:
    strict = create_app(support.make_settings(database_url, tmp_path, rate_limit_anonymous=2))
    async with support.serving(strict) as stranger:
        left = [await stranger.get("/v1/plans") for _ in range(3)]
    assert [answer.status_code for answer in left] == [200, 200, 429]
    is_refusal(left[2], 429, "rate_limited", "Rate limit exceeded")
    assert int(left[2].headers["retry-after"]) >= 1
    for answer in left:
        assert answer.headers["ratelimit-limit"] == "2"
        assert int(answer.headers["ratelimit-remaining"]) >= 0
        assert 0 <= int(answer.headers["ratelimit-reset"]) <= 60


async def test_limits_are_told_always(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    answers = [
        await client.get("/v1/accounts", headers=admin_headers),
        await client.get("/v1/accounts"),
        await client.get("/nowhere"),
        await client.post("/v1/accounts", json={}, headers=admin_headers),
        await client.patch("/v1/accounts", headers=admin_headers),
    ]
    for answer in answers:
        for name in ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"):
            assert answer.headers.get(name, "").isdigit(), f"{answer.request.url} {answer.status_code} {name}"


async def test_both_forms_of_every_path(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    for path, methods in DESCRIPTION["paths"].items():
        if "get" in methods:
            plain = await client.get(place(path, seeded), headers=admin_headers, follow_redirects=False)
            slashed = await client.get(
                place(path, seeded) + "/", headers=admin_headers, follow_redirects=False
            )
            assert (plain.status_code, slashed.status_code) == (200, 200), f"{path}: {slashed.text[:200]}"
            if plain.headers["content-type"] == "application/json":
                assert plain.json().get("data") == slashed.json().get("data")
    made = await client.post("/v1/accounts/", json={"name": "A"}, headers=admin_headers)
    assert made.status_code == 201
    for mount in ("/accounts/", "/v1/accounts/", "/accounts", "/v1/accounts"):
        assert (await client.get(mount, headers=admin_headers)).status_code == 200


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "01H:/x+y=@._-"])
async def test_a_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/nowhere", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", [b"", b"a" * 129, b"two words", b"\xc3\xa9", b"a\tb", b"<script>"])
async def test_a_strange_request_id_is_replaced(client: httpx.AsyncClient, given: bytes) -> None:
    answer = await client.get("/nowhere", headers=[(b"X-Request-Id", given)])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert len(answer.headers.get_list("x-request-id")) == 1


async def test_a_request_id_goes_where_the_request_leads(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    await client.post(
        "/v1/accounts", json={"name": "A"}, headers={**admin_headers, "X-Request-Id": "trace-me"}
    )
    async with support.database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM outbox WHERE request_id = 'trace-me'") == 1
        assert await session.fetchval("SELECT count(*) FROM audit_log WHERE request_id = 'trace-me'") >= 1


async def test_security_headers_on_every_answer(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    answers = [
        await client.get("/v1/accounts", headers=admin_headers),
        await client.get("/v1/accounts"),
        await client.get("/nowhere"),
        await client.get("/v1/health"),
        await client.post("/v1/meters", content=b"{", headers=admin_headers),
        await client.post("/v1/meters", content=b"x" * 2_000_000, headers=admin_headers),
        await client.delete("/v1/plans", headers=admin_headers),
        await client.get("/v1/accounts?x=%00"),
    ]
    assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 405, 413}
    for answer in answers:
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
        assert "x-powered-by" not in headers


async def test_entity_tags(client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded) -> None:
    path = f"/v1/accounts/{seeded.ids['account_id']}"
    first = await client.get(path, headers=admin_headers)
    tag = first.headers["etag"]
    assert re.fullmatch(r'"\d+"', tag)
    for known in (tag, f"W/{tag}", f'"zzz", {tag}', "*"):
        same = await client.get(path, headers={**admin_headers, "If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert same.headers["x-content-type-options"] == "nosniff"
    changed = await client.put(path, json={"name": "B"}, headers={**admin_headers, "If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    other = await client.get(path, headers={**admin_headers, "If-None-Match": tag})
    assert (other.status_code, other.headers["etag"]) == (200, changed.headers["etag"])
    for stale in (tag, '"999"', '"nonsense"', '"1e5"', f"{tag}, {tag}"):
        refused = await client.put(path, json={"name": "C"}, headers={**admin_headers, "If-Match": stale})
        is_refusal(refused, 412, "stale")
    assert (await client.get(path, headers=admin_headers)).json()["data"]["name"] == "B"
    assert (
        await client.put(path, json={"name": "D"}, headers={**admin_headers, "If-Match": "*"})
    ).status_code == 200
    assert (await client.put(path, json={"name": "E"}, headers=admin_headers)).status_code == 200, (
        "never required"
    )


CHANGES: list[tuple[str, str, Any]] = [
    ("PUT", "/v1/plans/{plan_id}", {"name": "x"}),
    ("PUT", "/v1/taxes/{tax_id}", {"name": "x"}),
    ("PUT", "/v1/billing/{record_id}", {"description": "x"}),
    ("POST", "/v1/invoices/{invoice_id}/pay", None),
    ("POST", "/v1/invoices/{invoice_id}/void", None),
    ("POST", "/v1/invoices/{invoice_id}/finalize", None),
    ("DELETE", "/v1/subscriptions/{subscription_id}", None),
]


async def test_a_stale_tag_stops_every_change(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    for method, path, body in CHANGES:
        stale = {**admin_headers, "If-Match": '"99999"'}
        is_refusal(await client.request(method, place(path, seeded), json=body, headers=stale), 412, "stale")


async def test_single_resources_carry_their_tag(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    """Of what can change. Documents of events, runs and books are read as they stand."""
    for path in ("accounts/{account_id}", "plans/{plan_id}", "taxes/{tax_id}", "subscriptions/{subscription_id}",
                 "invoices/{invoice_id}", "billing/{record_id}"):  # fmt: skip
        answer = await client.get(place(f"/v1/{path}", seeded), headers=admin_headers)
        assert "etag" in answer.headers, path
        again = await client.get(
            place(f"/v1/{path}", seeded), headers={**admin_headers, "If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304, path


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("29.99", "29.99"),
        ('"29.99"', "29.99"),
        ("0.1", "0.1"),
        ("1e2", "100"),
        ("999999999999999", None),
        ("0", "0"),
    ],
)
async def test_amounts_are_exact(
    client: httpx.AsyncClient, admin_headers: dict[str, str], sent: str, shown: str | None
) -> None:
    body = b'{"name": "P", "currency": "USD", "price": %s}' % sent.encode()
    answer = await client.post(
        "/v1/plans", content=body, headers={**admin_headers, "Content-Type": "application/json"}
    )
    assert answer.status_code == 201, answer.text
    told = json.loads(answer.text, parse_float=str, parse_int=str)["data"]["price"]
    assert Decimal(told) == Decimal(shown or sent)
    assert re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?", told), "no exponent, no tail of a binary float"


async def test_small_prices_and_large_quantities(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    path = f"/api/v1/customers/{seeded.ids['customer_id']}/usage"
    body = {
        "service": "Seeded Service",
        "units_consumed": "123456789012345678",
        "price_per_unit": "0.000000000001",
    }
    answer = await client.post(path, json=body, headers=admin_headers)
    assert answer.status_code == 201, answer.text
    assert '"units_consumed":123456789012345678' in answer.text
    assert '"price_per_unit":0.000000000001' in answer.text
    strings = await client.post(path, json=body, headers={**admin_headers, "Prefer": "decimals=string"})
    assert strings.json()["usage"]["units_consumed"] == "123456789012345678"
    assert strings.json()["usage"]["price_per_unit"] == "0.000000000001"


async def test_decimals_as_strings(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    for prefer in ("decimals=string", "respond-async, decimals=string", "Decimals = String"):
        for path in ("/v1/plans", "/v1/plans/{plan_id}", "/v1/invoices/{invoice_id}", "/v1/ledger/entries",
                     "/v1/accounts/{account_id}/usage", "/v1/billing/history/{account_id}",
                     "/v1/invoices/{invoice_id}/explain"):  # fmt: skip
            plain = exact(await client.get(place(path, seeded), headers=admin_headers))
            answer = await client.get(place(path, seeded), headers={**admin_headers, "Prefer": prefer})
            assert strung(plain["data"], answer.json()["data"]), path


def strung(plain: Any, other: Any) -> bool:
    """Whether `other` is `plain` with decimals as strings; integers of answers may be decimals without a fraction."""
    if isinstance(plain, dict):
        return plain.keys() == other.keys() and all(
            strung(value, other[name]) for name, value in plain.items()
        )
    if isinstance(plain, list):
        return len(plain) == len(other) and all(map(strung, plain, other))
    if isinstance(plain, Decimal):
        return isinstance(other, str) and str(other) == f"{plain:f}"
    return bool(other in (plain, str(plain)))


async def test_exact_amounts_are_written_the_same_everywhere(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    """Whether computed now (a preview, current usage) or stored: no zeros at the end."""
    account = {"account_id": seeded.ids["account_id"]}
    answers = [
        await client.post("/v1/invoices/preview", json=account, headers=admin_headers),
        await client.get(f"/v1/accounts/{account['account_id']}/usage", headers=admin_headers),
        *[
            await client.get(f"/v1/invoices/{row['id']}", headers=admin_headers)
            for row in (await client.get("/v1/invoices", params=account, headers=admin_headers)).json()[
                "data"
            ]
        ],
    ]
    told = [
        number for answer in answers for number in re.findall(r'"exact_amount":([-0-9.eE+]+)', answer.text)
    ]
    assert len(told) >= 5
    for number in told:
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]*[1-9])?", number), number


async def test_a_put_changes_what_it_names(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    path = f"/v1/accounts/{seeded.ids['account_id']}"
    shown = (await client.get(path, headers=admin_headers)).json()["data"]
    whole = await client.put(path, json={**shown, "name": "New"}, headers=admin_headers)
    assert whole.status_code == 200, "what GET returns is accepted"
    assert whole.json()["data"]["name"] == "New"
    readonly = await client.put(
        path, json={"name": "X", "currency": "EUR", "id": "acc_x"}, headers=admin_headers
    )
    is_refusal(readonly, 422, "read_only")
    assert readonly.json()["details"].keys() == {"currency", "id"}
    unknown = await client.put(path, json={"name": "X", "nickname": "Y"}, headers=admin_headers)
    is_refusal(unknown, 422)
    assert unknown.json()["details"].keys() == {"nickname"}
    assert (await client.get(path, headers=admin_headers)).json()["data"]["name"] == "New"
    nothing = await client.put(path, json={}, headers=admin_headers)
    assert nothing.status_code == 200


async def test_what_get_shows_put_takes(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    for path in ("plans/{plan_id}", "taxes/{tax_id}", "billing/{record_id}", "accounts/{account_id}"):
        where = place(f"/v1/{path}", seeded)
        first = await client.get(where, headers=admin_headers)
        answer = await client.put(where, json=first.json()["data"], headers=admin_headers)
        assert answer.status_code == 200, answer.text
        unchanged = {**answer.json()["data"], "updated_at": None, "revision": None}
        assert unchanged == {**first.json()["data"], "updated_at": None, "revision": None}
        strings = await client.get(where, headers={**admin_headers, "Prefer": "decimals=string"})
        again = await client.put(where, json=strings.json()["data"], headers=admin_headers)
        assert again.status_code == 200, again.text


ODD_POSITIONS: list[Any] = [
    [], [1], [-1], [0], ["a"], ["not-a-uuid"], [None], [True], [1.5], [2**63], [-(2**63)], [2**64], [2**63 - 1], [10**30],
    ["a", 1], [1, 1], [1, "a"], ["2024-01-01"], [""], ["\x00"], ["\ud800"], ["\U0001f600"], [[1]], [{}], {}, "a", 1, None,
    ["00000000-0000-0000-0000-000000000000"], ["ffffffff-ffff-ffff-ffff-ffffffffffff"], ["a", 2**70],
    ["9" * 500], ["{01890000-0000-7000-8000-000000000000}"], ["urn:uuid:01890000-0000-7000-8000-000000000000"],
]  # fmt: skip


def cursor_of(position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


async def test_cursors(client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded) -> None:
    """What is not a cursor of the list is 422 and says so; whatever it holds, it is never a fault of ours."""
    assert len(LISTS) > 10
    odd = [cursor_of(position) for position in ODD_POSITIONS]
    odd += [
        "",
        "=",
        "====",
        "a",
        "%%%",
        "é",
        "a" * 5000,
        cursor_of([1])[:-1],
        "[1]",
        "W10",
        "bnVsbA",
        "/../",
        "AAAA",
        "-_-_",
    ]
    odd += [base64.urlsafe_b64encode(b"[" * 3000).decode(), base64.urlsafe_b64encode(b"[1e999]").decode()]
    odd += [base64.urlsafe_b64encode(b"[NaN]").decode(), base64.urlsafe_b64encode(b"\xff\xfe[1]").decode()]
    for where in (place(path, seeded) for path in LISTS):
        for cursor in odd:
            answer = await client.get(where, params={"cursor": cursor}, headers=admin_headers)
            assert answer.status_code in (200, 422), f"{where} {cursor}: {answer.status_code} {answer.text}"
            if answer.status_code == 422:
                is_refusal(answer, 422)
                assert answer.json()["details"].keys() == {"cursor"}
        for never in ("nonsense", cursor_of([None]), cursor_of({}), cursor_of([[1]]), cursor_of([2**64])):
            is_refusal(await client.get(where, params={"cursor": never}, headers=admin_headers), 422)


@pytest.mark.parametrize("sort", ["name", "-name", "created_at", "-created_at"])
async def test_pages_leave_nothing_out(
    client: httpx.AsyncClient, admin_headers: dict[str, str], sort: str
) -> None:
    for number in (3, 1, 2, 2, 5):
        await client.post("/v1/accounts", json={"name": f"N{number}"}, headers=admin_headers)
    seen, cursor, pages = [], None, 0
    while True:
        query = {"limit": "2", "sort": sort, **({"cursor": cursor} if cursor else {})}
        body = (await client.get("/v1/accounts", params=query, headers=admin_headers)).json()
        seen += [row["id"] for row in body["data"]]
        pages += 1
        assert body["meta"]["has_more"] == (body["meta"]["next_cursor"] is not None)
        cursor = body["meta"]["next_cursor"]
        if cursor is None:
            break
    assert pages == 3
    assert len(seen) == len(set(seen)) == 5
    other = "name" if "created" in sort else "created_at"
    wrong = await client.get(
        "/v1/accounts", params={"sort": other, "cursor": encode_cursor("N1", 1) if other == "created_at" else encode_cursor(1)},
        headers=admin_headers,
    )  # fmt: skip
    is_refusal(wrong, 422)


async def test_limits_of_lists(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    for where in (place(path, seeded) for path in LISTS):
        for limit in ("1", "200"):
            answer = await client.get(where, params={"limit": limit}, headers=admin_headers)
            assert answer.status_code == 200
            assert len(answer.json()["data"]) <= int(limit)
        for limit in ("0", "201", "-1", "x", "1.5", "99999999999999999999", ""):
            answer = await client.get(where, params={"limit": limit}, headers=admin_headers)
            is_refusal(answer, 422)
            assert answer.json()["details"].keys() == {"limit"}


async def chunks(total: int, size: int = 65536) -> AsyncIterator[bytes]:
    for sent in range(0, total, size):
        yield b" " * min(size, total - sent)


MIB = 1024 * 1024


async def test_bodies_have_a_limit(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    kind = {**admin_headers, "Content-Type": "application/json"}
    for path, limit in (("/v1/accounts", MIB), ("/v1/events", MIB), ("/v1/events/batch", 8 * MIB)):
        fits = await client.post(path, content=b" " * limit, headers=kind)
        assert fits.status_code == 400, "read, and found to be nothing"
        is_refusal(await client.post(path, content=b" " * (limit + 1), headers=kind), 413, "too_large")
        is_refusal(await client.post(path, content=chunks(limit + 1), headers=kind), 413, "too_large")
        slashed = await client.post(path + "/", content=b" " * (limit + 1), headers=kind)
        is_refusal(slashed, 413, "too_large")
    lies = await client.post("/v1/accounts", content=b"{}", headers={**kind, "Content-Length": "9" * 30})
    is_refusal(lies, 413, "too_large")


async def test_a_batch_has_a_limit(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    row = {"id": "x", "meter": "gb", "account_id": seeded.ids["account_id"]}
    is_refusal(
        await client.post("/v1/events/batch", json=[row] * 10_001, headers=admin_headers),
        413,
        "batch_too_large",
    )
    lines = b"\n".join([json.dumps(row).encode()] * 10_001)
    ndjson = {**admin_headers, "Content-Type": "application/x-ndjson"}
    is_refusal(await client.post("/v1/events/batch", content=lines, headers=ndjson), 413, "batch_too_large")
    is_refusal(await client.post("/v1/events/batch", json=[], headers=admin_headers), 422)
    async with support.database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM usage_events WHERE event_id = 'x'") == 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("Application/JSON", 201),
        (None, 201),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/xml", 415),
        ("", 415),
    ],
)
async def test_kinds_of_body(
    client: httpx.AsyncClient, admin_headers: dict[str, str], kind: str | None, status: int
) -> None:
    headers = {**admin_headers, **({"Content-Type": kind} if kind is not None else {})}
    answer = await client.post("/v1/accounts", content=b'{"name": "A"}', headers=headers)
    assert answer.status_code == status, answer.text
    if status == 415:
        is_refusal(answer, 415, "unsupported_media_type")


async def test_staff_get_403_and_customers_404(
    client: httpx.AsyncClient, support_headers: dict[str, str], admin_headers: dict[str, str], customer: Any
) -> None:
    one, two = await customer(), await customer()
    is_refusal(await client.get(f"/v1/accounts/{two.account_id}", headers=one.headers), 404, "not_found")
    is_refusal(await client.get(f"/v1/billing/history/{two.account_id}", headers=one.headers), 404)
    is_refusal(
        await client.put(f"/v1/accounts/{two.account_id}", json={"name": "x"}, headers=support_headers), 403
    )


async def test_times_are_read_with_their_offset(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    body = {"frozen_time": "2024-03-31T02:30:00.123456789+05:30"}
    made = await client.post("/v1/test-clocks", json=body, headers=admin_headers)
    assert made.json()["data"]["frozen_time"] == "2024-03-30T21:00:00.123456Z"


async def test_every_answer_is_json_of_the_described_type(
    client: httpx.AsyncClient, admin_headers: dict[str, str], seeded: Seeded
) -> None:
    """Every GET of the description, on things that are there: 200, and times end in Z."""
    for path, methods in DESCRIPTION["paths"].items():
        if "get" in methods:
            answer = await client.get(place(path, seeded), headers=admin_headers)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            assert not re.search(r'"\d{4}-\d\d-\d\dT[^"]*\+00:00"', answer.text), f"{path}: UTC is written Z"
            assert not re.search(r"[0-9]E[-+][0-9]", answer.text), f"{path}: a number with an exponent"
            assert "NaN" not in answer.text


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_of_the_description_need_nobody_else(client: httpx.AsyncClient, page: str) -> None:
    answer = await client.get(page)
    assert answer.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    own = [each for each in addresses if each.startswith("/")]
    assert [each for each in addresses if each.startswith("http")] == []
    assert "https:" not in answer.headers["content-security-policy"]
    for address in own:
        asset = await client.get(address)
        assert asset.status_code == 200
        assert len(asset.content) > 10_000


LENIENT = {"/v1/health", "/v1/auth/token", "/.well-known/jwks.json"}
"""Their callers follow other standards, or send what they like."""


async def test_a_misspelled_parameter_is_refused_by_every_route(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    operations = [
        (method, path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods.keys() & {"get", "post", "put", "delete", "patch"}
    ]
    assert len(operations) > 100
    for method, path in operations:
        place = re.sub(r"\{[^}]+\}", "1", path)
        answer = await client.request(method, f"{place}?acount_id=1", headers=admin_headers)
        if path in LENIENT:
            assert "acount_id" not in answer.text, (method, path)
            continue
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), (method, path)
        assert answer.json()["details"] == {"acount_id": "is not a parameter of this route"}


async def test_many_unknown_parameters_are_named_and_nothing_else_is(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    answer = await client.get("/v1/accounts?limit=1&x=zqx7&y=&y=2", headers=admin_headers)
    assert answer.json()["details"].keys() == {"x", "y"}
    assert "zqx7" not in answer.text
    assert (await client.get("/v1/accounts?acount_id=1")).status_code == 401, "strangers learn nothing"
