"""`Idempotency-Key` over HTTP (CONTRACT §2): one effect however often a command is sent, and never the answer of another."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
import support
from fastapi import FastAPI

METER = {"code": "gb", "aggregation": "sum", "name": "Gigabytes", "unit": "GB"}


def keyed(headers: Mapping[str, str], key: str = "key-1") -> dict[str, str]:
    return {**headers, "Idempotency-Key": key}


async def count(app: FastAPI, sql: str, *args: object) -> int:
    async with support.database_of(app).read() as session:
        return int(await session.fetchval(sql, *args))


async def meters(app: FastAPI, code: str = "gb") -> int:
    return await count(app, "SELECT count(*) FROM meters WHERE code = $1", code)


async def stored(app: FastAPI) -> int:
    return await count(app, "SELECT count(*) FROM idempotency_keys")


def replayed(answer: httpx.Response) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


@asynccontextmanager
async def holding(database_url: str, code: str) -> AsyncIterator[asyncpg.Connection]:
    """A foreign transaction that has written meter `code` and not committed: whoever writes the same waits for it."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        "INSERT INTO meters (code, name, aggregation, filters, unit) VALUES ($1, 'x', 'sum', '{}', 'x')",
        code,
    )
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def waiting(connection: asyncpg.Connection) -> int:
    """The backend that waits for `connection`, once there is one."""
    for _ in range(200):
        found = await connection.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        if found is not None:
            return int(found)
        await asyncio.sleep(0.02)
    raise AssertionError("nobody waits")


async def test_the_same_again_gives_the_stored_answer(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    first = await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))
    before = await count(app, "SELECT count(*) FROM audit_log") + await count(
        app, "SELECT count(*) FROM outbox"
    )
    again = await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))
    assert first.status_code == again.status_code == 201
    assert not replayed(first)
    assert replayed(again)
    assert again.content == first.content, "to the byte: same time, same message"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"], "each request has its own id"
    assert await meters(app) == 1
    after = await count(app, "SELECT count(*) FROM audit_log") + await count(
        app, "SELECT count(*) FROM outbox"
    )
    assert before == after, "a replay records nothing"


async def test_order_and_white_space_do_not_matter(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    kind = {**keyed(admin_headers), "Content-Type": "application/json"}
    await client.post("/v1/meters", content=json.dumps(METER).encode(), headers=kind)
    turned = json.dumps(dict(reversed(METER.items())), indent=4).encode()
    assert replayed(await client.post("/v1/meters", content=turned, headers=kind))
    escaped = json.dumps(METER).replace("GB", "\\u0047B").encode()
    assert replayed(await client.post("/v1/meters", content=escaped, headers=kind))
    assert replayed(await client.post("/v1/meters/", content=turned, headers=kind)), (
        "a slash is no other path"
    )
    assert await meters(app) == 1


async def test_digits_matter_and_their_spelling_does_not(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    def plan(price: str) -> bytes:
        return b'{"name": "P", "currency": "USD", "price": %s}' % price.encode()

    kind = {**keyed(admin_headers), "Content-Type": "application/json"}
    first = await client.post("/v1/plans", content=plan("29.90"), headers=kind)
    assert first.status_code == 201, first.text
    assert replayed(await client.post("/v1/plans", content=plan("29.9"), headers=kind))
    assert replayed(await client.post("/v1/plans", content=plan("299e-1"), headers=kind))
    near = await client.post("/v1/plans", content=plan("29.90000000000000001"), headers=kind)
    assert near.json()["code"] == "idempotency_key_reused"
    text = await client.post("/v1/plans", content=plan('"29.90"'), headers=kind)
    assert text.status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/meters", {**METER, "unit": "TB"}),
        ("POST", "/v1/meters", {"code": "gb", "aggregation": "sum"}),
        ("POST", "/v1/meters", [METER]),
        ("POST", "/v1/services", METER),
        ("PUT", "/v1/plans/1", METER),
        ("DELETE", "/v1/api-keys/1", None),
    ],
)
async def test_another_request_under_the_key_is_refused(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], method: str, path: str, body: Any
) -> None:
    await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))
    answer = await client.request(method, path, json=body, headers=keyed(admin_headers))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert not replayed(answer)
    assert await count(app, "SELECT count(*) FROM meters WHERE NOT code LIKE 'service:%'") == 1
    assert await stored(app) == 1
    assert replayed(await client.post("/v1/meters", json=METER, headers=keyed(admin_headers)))


async def test_one_that_is_still_running(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], database_url: str
) -> None:
    async with holding(database_url, "gb") as holder:
        first = asyncio.create_task(client.post("/v1/meters", json=METER, headers=keyed(admin_headers)))
        await waiting(holder)
        second = await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
        assert int(second.headers["retry-after"]) >= 1
        other = await client.post(
            "/v1/meters", json={**METER, "code": "tb"}, headers=keyed(admin_headers, "key-2")
        )
        assert other.status_code == 201, "another key does not wait"
    assert (await first).status_code == 201
    assert replayed(await client.post("/v1/meters", json=METER, headers=keyed(admin_headers)))
    assert await meters(app) == 1


async def test_a_killed_connection_frees_the_key(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], database_url: str
) -> None:
    async with holding(database_url, "gb") as holder:
        first = asyncio.create_task(client.post("/v1/meters", json=METER, headers=keyed(admin_headers)))
        backend = await waiting(holder)
        await holder.execute("SELECT pg_terminate_backend($1)", backend)
        answer = await first
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert await stored(app) == 0
    again = await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))
    assert again.status_code == 201
    assert not replayed(again)
    assert await meters(app) == 1


async def test_a_wait_that_runs_out_is_not_remembered(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], database_url: str
) -> None:
    """Five seconds for a lock, then 503: the work may be done later under the same key."""
    async with holding(database_url, "gb"):
        answer = await client.post("/v1/meters", json=METER, headers=keyed(admin_headers), timeout=20)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert (await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))).status_code == 201


async def test_fifty_at_once_have_one_effect(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    answers = await asyncio.gather(
        *(client.post("/v1/meters", json=METER, headers=keyed(admin_headers)) for _ in range(50))
    )
    done = [answer for answer in answers if answer.status_code == 201]
    assert sum(not replayed(answer) for answer in done) == 1
    assert len({answer.content for answer in done}) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {
        "idempotency_in_flight"
    }
    assert await meters(app) == 1
    assert await count(app, "SELECT count(*) FROM audit_log WHERE action = 'meter.made'") == 1


async def test_fifty_keys_at_once_fifty_effects(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    answers = await asyncio.gather(
        *(
            client.post(
                "/v1/meters", json={**METER, "code": f"m{n}"}, headers=keyed(admin_headers, f"key-{n}")
            )
            for n in range(50)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert await stored(app) == 50


async def test_a_conflict_is_replayed_even_when_its_reason_is_gone(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    held = await client.post("/v1/accounts", json={"name": "A", "external_id": "x"}, headers=admin_headers)
    wish = {"name": "B", "external_id": "x"}
    refused = await client.post("/v1/accounts", json=wish, headers=keyed(admin_headers))
    assert refused.status_code == 409
    closed = await client.delete(f"/v1/accounts/{held.json()['data']['id']}", headers=admin_headers)
    assert closed.status_code == 204
    again = await client.post("/v1/accounts", json=wish, headers=keyed(admin_headers))
    assert (again.status_code, again.content) == (409, refused.content)
    assert replayed(again)
    assert (
        await client.post("/v1/accounts", json=wish, headers=keyed(admin_headers, "new"))
    ).status_code == 201


async def test_a_business_422_is_replayed_and_leaves_nothing(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    wish = {"name": "P", "currency": "JPY", "price": "1.50"}
    refused = await client.post("/v1/plans", json=wish, headers=keyed(admin_headers))
    assert refused.status_code == 422, refused.text
    assert refused.json()["code"] != "validation_failed"
    assert replayed(await client.post("/v1/plans", json=wish, headers=keyed(admin_headers)))
    assert await count(app, "SELECT count(*) FROM plans WHERE name = 'P'") == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"code": "gb"}', 422), (b'{"code": "gb"', 400), (b'{"code": "gb", "code": "gb"}', 400)],
)
async def test_what_could_not_be_read_is_not_remembered(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], body: bytes, status: int
) -> None:
    kind = {**keyed(admin_headers), "Content-Type": "application/json"}
    for _ in range(2):
        answer = await client.post("/v1/meters", content=body, headers=kind)
        assert answer.status_code == status
        assert not replayed(answer)
    assert await stored(app) == 0
    assert (await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))).status_code == 201


async def test_refusals_of_the_door_are_not_remembered(
    app: FastAPI, client: httpx.AsyncClient, support_headers: dict[str, str]
) -> None:
    assert (await client.post("/v1/meters", json=METER, headers=keyed({}))).status_code == 401
    wrong = keyed({"Authorization": "Bearer nonsense"})
    assert (await client.post("/v1/meters", json=METER, headers=wrong)).status_code == 401
    assert (await client.post("/v1/meters", json=METER, headers=keyed(support_headers))).status_code == 403
    missing = await client.put("/v1/plans/999", json={"name": "x"}, headers=keyed(support_headers))
    assert missing.status_code == 403
    assert await stored(app) == 0


async def test_keys_are_per_principal(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], finance_headers: dict[str, str]
) -> None:
    one = await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))
    two = await client.post("/v1/meters", json={**METER, "code": "tb"}, headers=keyed(finance_headers))
    assert (one.status_code, two.status_code) == (201, 201)
    service = await support.service_key(app, ["catalog:write"])
    three = await client.post("/v1/meters", json={**METER, "code": "pb"}, headers=keyed(service))
    assert three.status_code == 201
    assert not replayed(three)


async def test_a_replay_asks_for_the_right_too(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    """Who has lost the right does not get the answer either."""
    assert (await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))).status_code == 201
    async with support.database_of(app).write() as session:
        await session.execute("UPDATE users SET role = 'support' WHERE role = 'admin'")
    app.state.identity.known.clear()
    answer = await client.post("/v1/meters", json=METER, headers=keyed(admin_headers))
    assert answer.status_code == 403
    assert not replayed(answer)


async def test_a_secret_is_answered_once(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    wish = {"name": "k", "scopes": ["usage:write"]}
    first = await client.post("/v1/api-keys", json=wish, headers=keyed(admin_headers))
    assert first.status_code == 201
    again = await client.post("/v1/api-keys", json=wish, headers=keyed(admin_headers))
    assert (again.status_code, again.json()["code"]) == (409, "already_issued")
    assert await count(app, "SELECT count(*) FROM api_keys WHERE name = 'k'") == 1
    secret = first.json()["data"]["key"]
    kept = await count(
        app,
        "SELECT count(*) FROM idempotency_keys k WHERE k::text LIKE '%' || $1 || '%' OR body IS NOT NULL",
        secret,
    )
    assert kept == 0, "the effect is remembered, the secret is not"
    other = await client.post("/v1/api-keys", json={**wish, "name": "j"}, headers=keyed(admin_headers))
    assert other.json()["code"] == "idempotency_key_reused"


async def test_registering_twice_makes_one_user(app: FastAPI, client: httpx.AsyncClient) -> None:
    person = {
        "email": "ada@example.com", "password": support.PASSWORD, "first_name": "Ada", "last_name": "Lovelace",
    }  # fmt: skip
    first = await client.post("/v1/auth/register", json=person, headers=keyed({}))
    assert first.status_code == 201
    again = await client.post("/v1/auth/register", json=person, headers=keyed({}))
    assert (again.status_code, again.json()["code"]) == (409, "already_issued")
    assert await count(app, "SELECT count(*) FROM user_profiles WHERE email = 'ada@example.com'") == 1


async def test_deleting_twice(app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    made = await client.post("/v1/accounts", json={"name": "A"}, headers=admin_headers)
    path = f"/v1/accounts/{made.json()['data']['id']}"
    first = await client.delete(path, headers=keyed(admin_headers))
    again = await client.delete(path, headers=keyed(admin_headers))
    assert (first.status_code, again.status_code, replayed(again)) == (204, 204, True)
    assert again.content == b""
    assert (await client.delete(path, headers=admin_headers)).status_code == 404


async def test_headers_that_belong_to_the_answer_are_kept(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    first = await client.post("/v1/accounts", json={"name": "A"}, headers=keyed(admin_headers))
    again = await client.post("/v1/accounts", json={"name": "A"}, headers=keyed(admin_headers))
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("key", [b"", b" ", b"two words", b"k" * 256, b"\xc3\xa9", b"tab\there", b"\x7f"])
async def test_a_key_must_be_visible_ascii(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], key: bytes
) -> None:
    headers = [*((name.encode(), value.encode()) for name, value in admin_headers.items())]
    answer = await client.post("/v1/meters", json=METER, headers=[*headers, (b"Idempotency-Key", key)])
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")
    assert answer.json()["details"].keys() == {"Idempotency-Key"}
    assert await meters(app) == 0


async def test_the_longest_key_is_taken(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    assert (
        await client.post("/v1/meters", json=METER, headers=keyed(admin_headers, "~" * 255))
    ).status_code == 201


async def test_two_keys_are_no_key(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    headers = [*admin_headers.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await client.post("/v1/meters", json=METER, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")
    assert await meters(app) == 0


async def test_reads_ignore_the_key(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    for path in ("/v1/meters", "/v1/plans"):
        answer = await client.get(path, headers=keyed(admin_headers))
        assert (answer.status_code, replayed(answer)) == (200, False)
    assert await stored(app) == 0


async def test_events_carry_their_own_identity(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    """CONTRACT §2: routes whose body carries an identity ignore the header."""
    await client.post("/v1/meters", json=METER, headers=admin_headers)
    account = (await client.post("/v1/accounts", json={"name": "A"}, headers=admin_headers)).json()["data"][
        "id"
    ]
    for number in range(2):
        event = {"id": f"e{number}", "meter": "gb", "account_id": account}
        answer = await client.post("/v1/events", json=event, headers=keyed(admin_headers))
        assert answer.status_code == 201
    assert await stored(app) == 0


async def test_a_clock_is_sent_on_its_way_once(
    app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    clock = await client.post(
        "/v1/test-clocks", json={"frozen_time": "2024-01-01T00:00:00Z"}, headers=admin_headers
    )
    path = f"/v1/test-clocks/{clock.json()['data']['id']}/advance"
    first = await client.post(path, json={"to": "2024-02-01T00:00:00Z"}, headers=keyed(admin_headers))
    again = await client.post(path, json={"to": "2024-02-01T00:00:00Z"}, headers=keyed(admin_headers))
    assert (first.status_code, again.status_code) == (200, 200), again.text
    assert replayed(again)
    other = await client.post(path, json={"to": "2024-03-01T00:00:00Z"}, headers=keyed(admin_headers))
    assert other.json()["code"] == "idempotency_key_reused"
