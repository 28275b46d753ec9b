"""Rate limits over HTTP and on Redis."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from support import make_settings, serving, staff_headers

from tallystick.apps.subscription_service import create_app
from tallystick.platform.embedded import embedded_redis
from tallystick.platform.rate_limit import Limiter, Policy, SharedBuckets, Verdict, forget, take

PATIENT = 5000
"""Milliseconds: a test on a busy machine must not take the way around a slow Redis."""


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Redis: the one named for tests, or an embedded one."""
    given = os.environ.get("TALLYSTICK_TEST_REDIS")
    if given:
        yield given
        return
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
async def shared(redis_url: str) -> AsyncIterator[SharedBuckets]:
    """A connection of this test's loop."""
    connection = SharedBuckets(redis_url, PATIENT)
    yield connection
    await connection.close()


def numbers(answer: httpx.Response) -> tuple[int, int, int]:
    headers = answer.headers
    return (
        int(headers["ratelimit-limit"]),
        int(headers["ratelimit-remaining"]),
        int(headers["ratelimit-reset"]),
    )


@pytest.mark.parametrize("with_redis", [False, True])
async def test_a_hundred_without_credentials(
    database_url: str, tmp_path: Path, redis_url: str, with_redis: bool, shared: SharedBuckets
) -> None:
    await shared.client.delete("rl:anonymous:127.0.0.1")
    app = create_app(
        make_settings(
            database_url,
            tmp_path,
            rate_limit_anonymous=100,
            redis_url=redis_url if with_redis else None,
            redis_timeout_ms=PATIENT,
        )
    )
    async with serving(app) as client:
        first = await client.get("/v1/auth/me")
        assert first.status_code == 401
        assert numbers(first) == (100, 99, 1)
        for _ in range(99):
            answer = await client.get("/v1/auth/me", headers={"Authorization": "Bearer nonsense"})
            assert answer.status_code == 401
        refused = await client.get("/v1/auth/me")
        assert refused.status_code == 429
        assert (refused.json()["error"], refused.json()["code"]) == ("Rate limit exceeded", "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert numbers(refused)[:2] == (100, 0)
        assert 50 <= numbers(refused)[2] <= 60
        assert (await client.get("/v1/auth/me", headers={"Authorization": "Bearer x"})).status_code == 429
        headers = await staff_headers(app, "admin")
        known = await client.get("/v1/auth/me", headers=headers)
        assert known.status_code == 200, "whoever says who he is has a limit of his own"
        assert numbers(known)[0] == 1_000_000
        assert (await client.get("/v1/health")).status_code == 200, "the probe of a balancer is never limited"


async def test_paths_that_nobody_serves_count_too(database_url: str, tmp_path: Path) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_anonymous=5))
    async with serving(app) as client:
        answers = [await client.get(f"/wp-admin/{number}") for number in range(6)]
        assert [answer.status_code for answer in answers] == [404] * 5 + [429]
        assert [numbers(answer)[1] for answer in answers] == [4, 3, 2, 1, 0, 0]
        assert (await client.delete("/v1/auth/login")).status_code == 429


async def test_a_principal_has_a_limit(database_url: str, tmp_path: Path) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_principal=150))
    async with serving(app) as client:
        headers, other = await staff_headers(app, "admin"), await staff_headers(app, "admin")
        statuses = [(await client.get("/v1/auth/me", headers=headers)).status_code for _ in range(160)]
        assert statuses[:150] == [200] * 150
        assert 429 in statuses[150:]
        assert (await client.get("/v1/auth/me", headers=other)).status_code == 200


async def test_processes_share_one_bucket(shared: SharedBuckets) -> None:
    policy, subject = Policy("test", 40), uuid4().hex
    processes = [Limiter(shared) for _ in range(4)]
    verdicts = await asyncio.gather(*(take(processes[n % 4], policy, subject) for n in range(80)))
    assert sum(verdict.allowed for verdict in verdicts) in (40, 41)
    await forget(processes[0], policy, subject)
    assert (await take(processes[1], policy, subject)).allowed


async def test_leases_never_give_more_than_the_limit(shared: SharedBuckets) -> None:
    policy, subject = Policy("test", 100, chunk=30), uuid4().hex
    first, second = Limiter(shared), Limiter(shared)
    allowed = 0
    for number in range(200):
        allowed += (await take(first if number % 3 else second, policy, subject)).allowed
    assert 90 <= allowed <= 102


async def test_buckets_refill_evenly() -> None:
    limiter, policy = Limiter(), Policy("test", 10, seconds=1)
    first = [await take(limiter, policy, "a") for _ in range(11)]
    assert [verdict.allowed for verdict in first] == [True] * 10 + [False]
    assert first[-1] == Verdict(False, 10, 0, 1, 1)
    await asyncio.sleep(0.35)
    again = [(await take(limiter, policy, "a")).allowed for _ in range(5)]
    assert again.count(True) in (3, 4)


async def test_without_redis_requests_go_on_and_sign_ins_are_stricter() -> None:
    limiter = Limiter(SharedBuckets("redis://127.0.0.1:1", 250))
    policy, login = Policy("test", 20), Policy("login", 10, strict=5)
    assert [(await take(limiter, policy, "a")).allowed for _ in range(21)] == [True] * 20 + [False]
    assert [(await take(limiter, login, "a")).allowed for _ in range(6)] == [True] * 5 + [False]
    assert limiter.failures == 1, "asked once, then left alone for a while"
    await forget(limiter, login, "a")
    assert (await take(limiter, login, "a")).allowed


async def test_memory_is_bounded() -> None:
    limiter, policy = Limiter(), Policy("test", 10, chunk=2)
    for number in range(60_000):
        await take(limiter, policy, str(number))
    assert len(limiter.buckets) <= 50_000
    assert len(limiter.leases) <= 50_000
