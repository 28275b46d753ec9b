"""A year of many subscribers on a test clock beside its floor: COPY of every row that it wrote.

    python -m benchmarks clocks                 10 000 subscribers × 12 months, to reach: three minutes
    BENCH_SUBSCRIBERS=1000 python -m benchmarks clocks

No two subscribers begin at the same instant, so no two bills but those of recorded usage fall due together: the hardest order for a clock, which
must make each at its own time. Every second one pays in advance, the others in arrears. The floor writes the same rows into copies of the
same tables with the same indexes and constraints, a page of 400 invoices to a transaction as the clock does, without computing anything.
"""

import asyncio
import os
import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

from benchmarks.billing import ACTOR, COLUMNS_SQL, WRITTEN
from benchmarks.common import Figure, Place, place, show
from tallystick.accounts import repository as accounts
from tallystick.billing.service import clocks
from tallystick.billing.service.runs import PAGE
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import Terms
from tallystick.catalog.service import make_plan
from tallystick.entities.domain import TEST_ID
from tallystick.kernel.clock import rfc3339
from tallystick.platform.db import Database
from tallystick.platform.edge import new_id, new_uuid

SUBSCRIBERS = int(os.environ.get("BENCH_SUBSCRIBERS", "10000"))
MONTHS = 12
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
SECONDS = 180.0


async def fill(database: Database, subscribers: int) -> UUID:
    """A clock at `START` with subscribers who begin one after another through January; its id."""
    clock_id = new_uuid()
    async with database.write() as session:
        await accounts.insert_clock(session, clock_id, TEST_ID, "bench", START)
        names = [new_id("acc") for _ in range(subscribers)]
        await session.execute(
            ACCOUNTS_SQL, names, START, START + timedelta(days=31, hours=1), clock_id, ZONES
        )
        await session.execute(
            "INSERT INTO account_profiles (account_no, entity_id, name) SELECT no, $1, 'Subscriber ' || no FROM accounts",
            TEST_ID,
        )
        for parity, timing in enumerate(("advance", "arrears")):
            terms = Terms(price=Decimal("29.85"), currency="USD", billing_timing=timing)
            plan = await make_plan(
                session, ACTOR, code=timing, name=timing, is_public=True, is_active=True, terms=terms
            )
            version = (await catalog.current_version(session, plan.id)).id
            ids = [new_uuid() for _ in range(subscribers)]
            step = timedelta(days=30) / subscribers
            await session.execute(
                SUBSCRIPTIONS_SQL, ids, version, START, step, parity, timedelta(), timing == "arrears"
            )
        await session.execute(DUE_SQL)
    async with database._acquire() as connection:
        await connection.execute("VACUUM (ANALYZE)")
    return clock_id


ZONES = [{"at": rfc3339(START), "timezone": "UTC"}]
ACCOUNTS_SQL = """
INSERT INTO accounts (id, entity_id, currency, timezone, zone_history, livemode, test_clock_id, metadata, usage_from, usage_billed_to,
                      next_usage_billing_at, next_billing_at, opened_at)
SELECT id, 2, 'USD', 'UTC', $5, false, $4, '{}', $2, $2, $3, $3, $2 FROM unnest($1::text[]) id
"""
SUBSCRIPTIONS_SQL = """
INSERT INTO subscriptions (id, account_no, entity_id, plan_version_id, quantity, currency, started_at, anchor, timezone,
                           zone_changes_seen, billed_to, usage_billed_to, next_billing_at)
SELECT s.id, a.no, 2, $2, 1, 'USD', at, at, 'UTC', 1, at, at, CASE WHEN $7 THEN at + interval '1 month' ELSE at END + $6::interval
FROM unnest($1::uuid[]) WITH ORDINALITY AS s(id, n) JOIN (SELECT no, row_number() OVER (ORDER BY no) AS n FROM accounts) a USING (n),
     LATERAL (SELECT $3::timestamptz + $4::interval * n AS at) begun
WHERE n % 2 = $5
"""
DUE_SQL = """
UPDATE accounts a SET next_billing_at = least(a.next_billing_at, s.next_billing_at) FROM subscriptions s WHERE s.account_no = a.no
"""


async def ours(database: Database, clock_id: UUID) -> float:
    """The advance, as the API starts it and the background carries it out; seconds."""
    started = time.perf_counter()
    async with database.write() as session:
        await clocks.request_advance(session, ACTOR, clock_id, END)
    arrived = await clocks.walk(database, clock_id, new_uuid)
    seconds = time.perf_counter() - started
    assert (arrived.status, arrived.frozen_time) == ("ready", END), arrived
    return seconds


async def floor(database: Database, pages: int) -> float:
    """COPY of the same rows into copies of the same tables, in as many transactions."""
    copies: list[tuple[str, list[str], Sequence[Any]]] = []
    async with database.write() as session:
        for table in WRITTEN:
            columns = [row["column_name"] for row in await session.fetch(COLUMNS_SQL, table)]
            rows = [tuple(row) for row in await session.fetch(f"SELECT {', '.join(columns)} FROM {table}")]
            await session.execute(
                f"CREATE TABLE floor_{table} (LIKE {table} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING INDEXES INCLUDING CONSTRAINTS)"
            )
            copies.append((table, columns, rows))
    started = time.perf_counter()
    cuts = [n / pages for n in range(pages + 1)]
    for begin, end in pairwise(cuts):
        async with database.write() as session:
            for table, columns, rows in copies:
                part = rows[round(len(rows) * begin) : round(len(rows) * end)]
                await session.copy(f"floor_{table}", columns, part)
    return time.perf_counter() - started


async def measure(where: Place, subscribers: int) -> tuple[float, float, int, float]:
    """Seconds ours, seconds floor, invoices, memory of our process in MiB."""
    database = await Database.connect(where.database_url, size=4, statement_timeout_ms=600_000, name="bench")
    try:
        clock_id = await fill(database, subscribers)
        seconds = await ours(database, clock_id)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        async with database.read() as session:
            invoices = int(await session.fetchval("SELECT count(*) FROM invoices"))
        return seconds, await floor(database, max(1, invoices // PAGE)), invoices, memory
    finally:
        await database.close()


def figures() -> list[Figure]:
    """The year at full size; a smaller one has its share of the time."""
    with place() as where:
        seconds, least, invoices, memory = asyncio.run(measure(where, SUBSCRIBERS))
    allowed = SECONDS * SUBSCRIBERS / 10_000
    return [
        Figure(
            f"{SUBSCRIBERS} subscribers × {MONTHS} months, {invoices} invoices",
            f"{least:,.1f} s", f"{seconds:,.1f} s, {invoices / seconds:,.0f}/s, {memory:,.0f} MiB", least / seconds,
            f"< {allowed:,.0f} s", seconds < allowed,
        )
    ]  # fmt: skip


def main() -> bool:
    """Prints the table; True where every target is reached."""
    return show("A year on a test clock", figures())


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
