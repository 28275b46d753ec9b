"""Rate limits: token buckets, in Redis where there is one so that all processes share them, in the process otherwise.

A bucket holds `limit` tokens and refills evenly within `seconds`. One Lua script takes tokens under Redis's own clock. Principals
take a handful at a time and spend them here, so that a busy caller does not cost a round trip per request; what they do not spend
within two seconds is lost to them. Redis down: requests go on under buckets of this process, a counter rises and a log line warns;
sign-in, registration and password resets fall to a stricter one (CONTRACT §2).
"""

import ipaddress
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from fastapi import FastAPI, Request
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import RateLimited
from tallystick.platform.settings import Settings

log = structlog.get_logger("rate_limit")
LEASE_SECONDS = 2.0
BREAK_SECONDS = 5.0
_MOST_BUCKETS = 50_000
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, period, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or limit, tonumber(kept[2]) or now
tokens = math.min(limit, tokens + math.max(0, now - at) * limit / period)
local got = math.min(want, math.floor(tokens))
tokens = tokens - got
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], period)
return {got, tostring(tokens)}
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """`limit` requests in `seconds`; `chunk` tokens are fetched at once; `strict` is the limit while Redis is out of reach."""

    name: str
    limit: int
    seconds: int = 60
    chunk: int = 1
    strict: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass; `reset` and `retry_after` in seconds from now."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int

    def headers(self) -> dict[bytes, bytes]:
        """The three headers of every answer."""
        return {
            b"ratelimit-limit": b"%d" % self.limit,
            b"ratelimit-remaining": b"%d" % self.remaining,
            b"ratelimit-reset": b"%d" % self.reset,
        }


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class _Lease:
    left: int
    behind: float
    until: float


@dataclass(slots=True)
class Limiter:
    """The buckets and leases of one process. `failures` counts what Redis did not answer."""

    redis: Any = None
    buckets: dict[str, _Bucket] = field(default_factory=dict)
    leases: dict[str, _Lease] = field(default_factory=dict)
    broken_until: float = 0.0
    failures: int = 0


async def take(limiter: Limiter, policy: Policy, subject: str) -> Verdict:
    """Takes one token of `subject`'s bucket."""
    key, now = f"rl:{policy.name}:{subject}", time.monotonic()
    lease = limiter.leases.get(key)
    if lease is None or lease.left <= 0 or lease.until <= now:
        lease = await _fetch(limiter, policy, key, now)
        if policy.chunk > 1:
            _bound(limiter.leases)
            limiter.leases[key] = lease
    if lease.left <= 0:
        limiter.leases.pop(key, None)
        wait = (1 - lease.behind) * policy.seconds / policy.limit
        return Verdict(False, policy.limit, 0, _reset(policy, lease.behind), max(1, math.ceil(wait)))
    lease.left -= 1
    left = lease.behind + lease.left
    return Verdict(True, policy.limit, int(left), _reset(policy, left), 0)


async def forget(limiter: Limiter, policy: Policy, subject: str) -> None:
    """Fills the bucket again: a right password makes up for wrong ones."""
    key = f"rl:{policy.name}:{subject}"
    limiter.buckets.pop(key, None)
    limiter.leases.pop(key, None)
    if limiter.redis is not None and time.monotonic() >= limiter.broken_until:
        try:
            await limiter.redis.delete(key)
        except (RedisError, OSError, TimeoutError) as error:
            _broken(limiter, error)


def _reset(policy: Policy, left: float) -> int:
    return max(0, math.ceil((policy.limit - left) * policy.seconds / policy.limit))


async def _fetch(limiter: Limiter, policy: Policy, key: str, now: float) -> _Lease:
    if limiter.redis is None:
        return _local(limiter, policy, policy.limit, key, now)
    if now >= limiter.broken_until:
        try:
            got, tokens = await limiter.redis.take(
                keys=[key], args=[policy.limit, policy.seconds * 1000, policy.chunk]
            )
            return _Lease(int(got), float(tokens), now + LEASE_SECONDS)
        except (RedisError, OSError, TimeoutError) as error:
            _broken(limiter, error)
    return _local(limiter, policy, policy.strict or policy.limit, key, now)


def _broken(limiter: Limiter, error: Exception) -> None:
    """Asks Redis nothing for a while: a request must not wait for what is down."""
    limiter.failures += 1
    limiter.broken_until = time.monotonic() + BREAK_SECONDS
    log.warning("rate limits go on without redis", error_type=type(error).__name__, failures=limiter.failures)


def _local(limiter: Limiter, policy: Policy, limit: int, key: str, now: float) -> _Lease:
    bucket = limiter.buckets.get(key)
    if bucket is None:
        _bound(limiter.buckets)
        bucket = limiter.buckets[key] = _Bucket(limit, now)
    bucket.tokens = min(limit, bucket.tokens + (now - bucket.at) * limit / policy.seconds)
    bucket.at = now
    got = min(policy.chunk, int(bucket.tokens))
    bucket.tokens -= got
    return _Lease(got, bucket.tokens, now + LEASE_SECONDS)


def _bound(kept: dict[str, Any]) -> None:
    if len(kept) >= _MOST_BUCKETS:
        for key in list(kept)[: _MOST_BUCKETS // 2]:
            del kept[key]


class SharedBuckets:
    """The buckets on one Redis: the script that takes from them, and the connection to close."""

    def __init__(self, url: str, timeout_ms: int) -> None:
        seconds = timeout_ms / 1000
        self.client: Any = Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds)
        self.take = self.client.register_script(_SCRIPT)
        self.delete = self.client.delete
        self.close = self.client.aclose


def policies(settings: Settings) -> dict[str, Policy]:
    """The limits of this installation, by name."""
    principal = settings.rate_limit_principal
    return {
        "anonymous": Policy("anonymous", settings.rate_limit_anonymous),
        "principal": Policy("principal", principal, chunk=max(1, min(1000, principal // 60))),
        "login": _strict("login", settings.rate_limit_login),
        "register": _strict("register", settings.rate_limit_register),
        "reset": _strict("reset", settings.rate_limit_reset),
    }


def _strict(name: str, limit: int) -> Policy:
    """Half of it where processes cannot count together: such a limit stands between a guesser and an account."""
    return Policy(name, limit, strict=max(1, limit // 2))


async def limit(request: Request, actor: Actor | None) -> None:
    """The hook of every route: by address where nobody is known, by principal otherwise. Raises `RateLimited`."""
    if request.scope["path"].startswith("/v1/health"):
        return
    if actor is None or actor.kind == "anonymous":
        await check(request, "anonymous", address(request))
    else:
        await check(request, "principal", actor.principal)


async def check(request: Request, policy: str, subject: str) -> None:
    """Takes a token for this request and notes the headers of its answer. Raises `RateLimited` with `Retry-After`."""
    state = request.app.state
    verdict = await take(state.limiter, state.limits[policy], subject)
    request.scope["state"]["rate_limit_headers"] = verdict.headers()
    if not verdict.allowed:
        raise RateLimited(retry_after=verdict.retry_after)


def address(request: Request) -> str:
    """The caller's address; of IPv6 the /64, which is what one caller has."""
    host = request.client.host if request.client else ""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host.split("%")[0], 64), strict=False))
    except ValueError:
        return host


@asynccontextmanager
async def rate_limits(app: FastAPI) -> AsyncIterator[None]:
    """A start-up step: sets `app.state.limit`, which every route calls."""
    settings: Settings = app.state.settings
    shared = SharedBuckets(settings.redis_url, settings.redis_timeout_ms) if settings.redis_url else None
    app.state.limiter = Limiter(shared)
    app.state.limits = policies(settings)
    app.state.limit = limit
    try:
        yield
    finally:
        if shared is not None:
            await shared.close()
