"""Ingest over HTTP, batches and single events, each beside its floor. `python -m benchmarks.ingest [--quick]`."""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import uvloop

from benchmarks.common import Figure, Load, Place, another, drive, median, place, request, service, show
from tallystick.identity.service import make_api_key
from tallystick.identity.tokens import API_KEY_PREFIX, new_secret
from tallystick.kernel.actor import system_actor
from tallystick.metering.domain.admission import Directory, MeteredAccount, Rules, admit
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.domain.slices import UsageSlice
from tallystick.metering.queries import ALL_BATCHES, aggregate
from tallystick.metering.service import event_columns, prepare_months
from tallystick.platform.db import Database

ACCOUNTS = 500
METERS = 5
BATCH = 1000
BATCH_CONNECTIONS = 4
SINGLE_CONNECTIONS = 32

FLOOR = """
WITH fresh AS (
    INSERT INTO event_keys (key, account_no, occurred_at, meter_id)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $4::timestamptz[], $3::int[]) ON CONFLICT (key) DO NOTHING RETURNING key
),
written AS (
    INSERT INTO usage_events (key, account_no, meter_id, occurred_at, c_hi, c_lo, event_id, quantity, properties, source, position,
                              batch_id)
    SELECT n.key, n.account_no, n.meter_id, n.occurred_at, n.c_hi, n.c_lo, n.event_id, n.quantity, n.properties::jsonb, n.source,
           n.position, 0
    FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[], $8::numeric[],
                $9::text[], $10::text[], $11::int[])
         AS n (key, account_no, meter_id, occurred_at, c_hi, c_lo, event_id, quantity, properties, source, position)
    JOIN fresh USING (key)
)
SELECT key FROM fresh
"""


@dataclass(frozen=True, slots=True)
class World:
    """What events refer to, and who sends them."""

    accounts: list[MeteredAccount]
    meters: dict[str, Any]
    token: str


@dataclass(frozen=True, slots=True)
class PlainMeter:
    id: int
    aggregation: str = "sum"
    field: str | None = None
    recurring: bool = False


async def make_world(url: str) -> World:
    """Accounts, meters and a service key."""
    database = await Database.connect(url, size=2)
    try:
        async with database.write() as session:
            await session.execute(
                """
                INSERT INTO accounts (id, entity_id, currency, timezone, zone_history, livemode, metadata, usage_from,
                                      usage_billed_to, opened_at)
                SELECT 'acc_' || lpad(g::text, 26, '0'), 1, 'USD', 'UTC', '[]', true, '{}', now(), now(), now()
                FROM generate_series(1, $1::int) g
                """,
                ACCOUNTS,
            )
            await session.execute(
                "INSERT INTO meters (code, name, aggregation, filters, unit) "
                "SELECT 'bench_' || g, 'Bench', 'sum', '{}', 'call' FROM generate_series(1, $1::int) g",
                METERS,
            )
            token = new_secret(API_KEY_PREFIX)
            await make_api_key(
                session,
                system_actor("bench"),
                key=token,
                name="bench",
                scopes=["events:write"],
                expires_at=None,
            )
        async with database.read() as session:
            accounts = [
                MeteredAccount(r["no"], r["id"], 1)
                for r in await session.fetch("SELECT no, id FROM accounts")
            ]
            meters = {
                r["code"]: PlainMeter(r["id"])
                for r in await session.fetch("SELECT id, code FROM meters WHERE code LIKE 'bench%'")
            }
        moment = datetime.now(UTC)
        await prepare_months(
            database, {day.date().replace(day=1) for day in (moment, moment - timedelta(days=30))}
        )
        return World(accounts, meters, token)
    finally:
        await database.close()


def make_events(world: World, count: int, days_ago: int = 0) -> list[dict[str, Any]]:
    """Events of many accounts over one day: id, account, meter, quantity, time and two properties each."""
    run, moment = uuid4().hex[:8], datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago)
    codes = sorted(world.meters)
    return [
        {
            "id": f"evt_{run}_{number:09d}",
            "source": "bench",
            "account_id": world.accounts[number * 7919 % len(world.accounts)].id,
            "meter": codes[number % len(codes)],
            "quantity": number % 100 + 1,
            "occurred_at": (moment - timedelta(seconds=number * 37 % 86400))
            .isoformat()
            .replace("+00:00", "Z"),
            "properties": {"region": "eu-west-1", "status": 200},
        }
        for number in range(count)
    ]


def floor_columns(world: World, events: Sequence[dict[str, Any]]) -> list[list[Sequence[Any]]]:
    """The same rows as columns, ready made, in batches."""
    directory = Directory({account.id: account for account in world.accounts}, {}, world.meters)
    sent = [
        IncomingEvent(**{**event, "occurred_at": datetime.fromisoformat(event["occurred_at"])})
        for event in events
    ]
    rows: list[Any] = admit(sent, directory, Rules(datetime.now(UTC), backfill=True))
    batches = []
    for start in range(0, len(rows), BATCH):
        columns, _ = event_columns(sorted(rows[start : start + BATCH], key=lambda row: row.key))
        columns[7] = [Decimal(str(number)) for number in columns[7]]
        columns[8:] = [columns[9], ["bench"] * len(columns[0]), range(len(columns[0]))]
        batches.append(columns)
    return batches


async def floor_batches(url: str, batches: Sequence[Sequence[Sequence[Any]]]) -> float:
    """Events a second of the bare driver on as many connections."""
    connections = [await asyncpg.connect(url) for _ in range(BATCH_CONNECTIONS)]
    queue = iter(batches)

    async def work(connection: Any) -> None:
        for columns in queue:
            await connection.fetch(FLOOR, *columns)

    started = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in connections))
    seconds = time.perf_counter() - started
    for connection in connections:
        await connection.close()
    return len(batches) * BATCH / seconds


def bodies(world: World, count: int, size: int) -> list[bytes]:
    """Requests of `size` events each, as a client's JSON library writes them; one event alone is no array."""
    events = make_events(world, count * size)
    path = "/v1/events/batch" if size > 1 else "/v1/events"
    parts = [events[start : start + size] for start in range(0, len(events), size)]
    return [request(path, world.token, json.dumps(part if size > 1 else part[0]).encode()) for part in parts]


def checked(load: Load, status: int, calls: int) -> Load:
    """The load, where every call was answered with `status`."""
    if load.statuses != {status: calls}:
        raise SystemExit(f"answers were {load.statuses}, not {calls} times {status}: {load.sample[:600]!r}")
    return load


def batch_figure(where: Place, world: World, batches: int, rounds: int) -> Figure:
    """Floor and ours take turns, so that both see the same history and the same weather."""
    floors, ours = [], []
    with service(where) as port:
        drive(port, bodies(world, 4, BATCH), BATCH_CONNECTIONS)
        for _ in range(rounds):
            columns = floor_columns(world, make_events(world, batches * BATCH))
            floors.append(uvloop.run(floor_batches(where.database_url, columns)))
            load = checked(drive(port, bodies(world, batches, BATCH), BATCH_CONNECTIONS), 200, batches)
            ours.append(batches * BATCH / load.seconds)
    floor, own = median(floors), median(ours)
    return Figure(
        f"batches of {BATCH} over HTTP, {BATCH_CONNECTIONS} connections", f"{floor:,.0f} events/s", f"{own:,.0f} events/s",
        own / floor, "≥ 0.6 and ≥ 50 000/s", own / floor >= 0.6 and own >= 50_000,
    )  # fmt: skip


def single_figure(where: Place, world: World, calls: int, rounds: int) -> Figure:
    """One event a call; the floor is the same service with a store that writes nothing."""
    floors, ours, tails = [], [], []
    with service(where, "benchmarks.floor_service:create_app") as bare, service(where) as whole:
        for port in (bare, whole):
            drive(port, bodies(world, 500, 1), SINGLE_CONNECTIONS)
        for _ in range(rounds):
            floors.append(
                calls / checked(drive(bare, bodies(world, calls, 1), SINGLE_CONNECTIONS), 201, calls).seconds
            )
            load = checked(drive(whole, bodies(world, calls, 1), SINGLE_CONNECTIONS), 201, calls)
            ours.append(calls / load.seconds)
            tails.append(load.percentile(0.99))
    floor, own, tail = median(floors), median(ours), median(tails)
    return Figure(
        f"single events over HTTP, {SINGLE_CONNECTIONS} connections", f"{floor:,.0f}/s", f"{own:,.0f}/s, p99 {tail:.1f} ms",
        own / floor, "≥ 0.5, ≥ 4 000/s, p99 < 40 ms", own / floor >= 0.5 and own >= 4000 and tail < 40,
    )  # fmt: skip


async def _older_months(url: str, world: World, count: int, months: int) -> None:
    """`count` events in each of `months` earlier months."""
    database = await Database.connect(url, size=2)
    try:
        day = datetime.now(UTC)
        for month in range(1, months + 1):
            edges = (day - timedelta(days=31 * month + edge) for edge in (0, 1))
            await prepare_months(database, {edge.date().replace(day=1) for edge in edges})
            await floor_batches(url, floor_columns(world, make_events(world, count, 31 * month)))
    finally:
        await database.close()


async def _add_up(url: str, world: World, times: int) -> float:
    """Events added up a second: the totals of every account and meter over the open days, the median of `times` calls."""
    now = datetime.now(UTC)
    slices = [
        UsageSlice(
            account.no, meter.id, "sum", now - timedelta(days=2), now + timedelta(hours=1), ALL_BATCHES, -1
        )
        for account in world.accounts
        for meter in world.meters.values()
    ]
    database = await Database.connect(url, size=1, statement_timeout_ms=600_000)
    try:
        async with database.pool.acquire() as connection:
            await connection.execute("VACUUM ANALYZE")  # as autovacuum has by the time a period is billed
        async with database.read() as session:
            seconds = []
            for _ in range(times):
                started = time.perf_counter()
                totals = await aggregate(session, slices)
                seconds.append(time.perf_counter() - started)
        return sum(total.count for total in totals) / median(seconds)
    finally:
        await database.close()


def history_figures(where: Place, count: int, rounds: int) -> list[Figure]:
    """The same open days behind one month of history and behind ten, in two databases that take turns: flat within a fifth."""
    written: dict[int, list[float]] = {1: [], 10: []}
    added: dict[int, list[float]] = {1: [], 10: []}
    with ExitStack() as stack:
        sides = []
        for months in (1, 10):
            side = stack.enter_context(another(where))
            world = asyncio.run(make_world(side.database_url))
            uvloop.run(_older_months(side.database_url, world, count, months))
            port = stack.enter_context(service(side))
            drive(port, bodies(world, 4, BATCH), BATCH_CONNECTIONS)
            sides.append((months, side, world, port))
        for turn in range(rounds):
            for months, side, world, port in sides if turn % 2 else reversed(sides):
                calls = count // BATCH
                load = checked(drive(port, bodies(world, calls, BATCH), BATCH_CONNECTIONS), 200, calls)
                written[months].append(count / load.seconds)
                added[months].append(uvloop.run(_add_up(side.database_url, world, 9)))
    return [
        _flat("writing the open days", median(written[1]), median(written[10])),
        _flat("adding them up", median(added[1]), median(added[10])),
    ]


def _flat(what: str, one: float, ten: float) -> Figure:
    ratio = ten / one
    return Figure(
        f"{what}, 10 × the history",
        f"{one:,.0f} events/s",
        f"{ten:,.0f} events/s",
        ratio,
        "≥ 0.8 of 1 ×",
        ratio >= 0.8,
    )


def run(where: Place, *, quick: bool = False) -> list[Figure]:
    """All figures."""
    world = asyncio.run(make_world(where.database_url))
    return [
        batch_figure(where, world, 40 if quick else 150, 2 if quick else 3),
        single_figure(where, world, 4000 if quick else 20_000, 2 if quick else 3),
        *history_figures(where, 20_000 if quick else 100_000, 3 if quick else 5),
    ]


def main() -> int:
    """Exit status 0 where every target is reached, 1 otherwise."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    with place() as where:
        figures = run(where, quick=arguments.parse_args().quick)
    return 0 if show("Ingest", figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
