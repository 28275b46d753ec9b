"""Meters that are more than a sum, beside the bare SQL that a report would use, and the explanation of a line over a million events.

    python -m benchmarks metering
    BENCH_EVENTS=200000 python -m benchmarks metering

The floor is one statement over the same events by the same index: `count(DISTINCT …)`, `sum(quantity × seconds)`. Ours counts the same for
each account with its evidence (events, checksum), leaves void events out and bounds the batches. Aims: at least 0.5 of the floor; a line over
all events explained in less than a second.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from benchmarks.common import Figure, Place, median, place, show
from tallystick.accounts.domain import NewAccount
from tallystick.accounts.repository import lock_many
from tallystick.accounts.service import open_account
from tallystick.billing.service import explaining, runs
from tallystick.catalog.domain import ChargeTerms, Terms
from tallystick.catalog.service import make_meter, make_plan
from tallystick.invoicing import queries as invoices
from tallystick.kernel.actor import system_actor
from tallystick.metering import queries as metering
from tallystick.metering.domain.slices import UsageSlice
from tallystick.metering.service import prepare_months
from tallystick.platform.db import Database
from tallystick.platform.edge import new_id, new_uuid
from tallystick.subscriptions import service as subscriptions

ACTOR = system_actor("bench")
EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
ACCOUNTS, TRIES = 100, 3
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
KINDS: dict[str, dict[str, Any]] = {
    "users": {"aggregation": "unique", "field": "user"},
    "disk": {"aggregation": "weighted_sum"},
}
EVENTS_SQL = """
INSERT INTO usage_events (account_no, occurred_at, batch_id, c_hi, c_lo, key, meter_id, position, quantity, source, event_id, properties)
SELECT a.no, $3::timestamptz + e * ($4::interval / $2::int), 1, hashint8extended(e, a.no), hashint8extended(e, a.no + 1), gen_random_uuid(),
       meter.id, e, (e % 20) + 0.5, 'bench', e::text,
       CASE WHEN meter.code = 'users' THEN jsonb_build_object('user', 'user-' || (e::bigint * 7919 % 5000)) END
FROM accounts a, meters meter, generate_series(1, $2::int) e WHERE meter.code = ANY($1::text[]) AND a.no = ANY($5::bigint[])
ORDER BY 1, 7, 2
"""
BARE = {
    "users": """
        SELECT u.account_no, count(DISTINCT u.properties ->> 'user') FROM usage_events u
        WHERE u.account_no = ANY($1::bigint[]) AND u.meter_id = $2 AND u.occurred_at >= $3 AND u.occurred_at < $4 GROUP BY 1
    """,
    "disk": """
        SELECT u.account_no, sum(u.quantity * extract(epoch FROM $4::timestamptz - u.occurred_at)) FROM usage_events u
        WHERE u.account_no = ANY($1::bigint[]) AND u.meter_id = $2 AND u.occurred_at >= $3 AND u.occurred_at < $4 GROUP BY 1
    """,
}


async def fill(database: Database) -> tuple[list[int], dict[str, int]]:
    """Accounts, the last of which has as many events as all others together; their numbers and the meters' ids."""
    async with database.write() as session:
        for code, kind in KINDS.items():
            await make_meter(
                session,
                ACTOR,
                **{"code": code, "name": code, "field": None, "filters": {}, "unit": "unit", **kind},
            )
        charges = tuple(
            ChargeTerms(code, code, code, "standard", {"unit_amount": "0.01"}, {}, "usage") for code in KINDS
        )
        terms = Terms(Decimal(0), "USD", alignment="calendar", charges=charges)
        plan = await make_plan(
            session, ACTOR, code="bench", name="Bench", is_public=True, is_active=True, terms=terms
        )
        nos = [
            (await open_account(session, ACTOR, NewAccount(id=new_id("acc"), name=f"C{n}"), now=START)).no
            for n in range(ACCOUNTS + 1)
        ]
        locked = await lock_many(session, nos[-1:])
        wanted = subscriptions.Start(new_uuid(), plan.id, START)
        await subscriptions.start(session, ACTOR, locked[nos[-1]], wanted, now=START)
        await session.execute("SELECT setval('ingest_batch_ids', 1)")
        await session.execute(
            "INSERT INTO ingest_batches (id, xid, received, principals, request_id) VALUES (1, 1, 1, '{bench}', '')"
        )
        await session.execute("UPDATE metering_seal SET sealed_to = 1")
        await session.execute("UPDATE late_sweep SET swept_to = 1")  # as if the background had looked at them
        rows = await session.fetch("SELECT code, id FROM meters WHERE code = ANY($1::text[])", list(KINDS))
    await prepare_months(database, {START.date()})
    for chosen, count in ((nos[:-1], EVENTS // ACCOUNTS), (nos[-1:], EVENTS)):
        async with database.write() as session:
            await session.execute(EVENTS_SQL, list(KINDS), count, START, timedelta(days=30), chosen)
    async with database._acquire() as connection:
        await connection.execute("VACUUM (ANALYZE) usage_events")
    return nos, {row["code"]: row["id"] for row in rows}


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """The median of a few tries, and what came of the last."""
    seconds, found = [], None
    for _ in range(TRIES):
        started = time.perf_counter()
        found = await work()
        seconds.append(time.perf_counter() - started)
    return median(seconds), found


async def measure(where: Place) -> list[Figure]:
    """All figures, in one database."""
    database = await Database.connect(where.database_url, size=4, statement_timeout_ms=600_000, name="bench")
    try:
        nos, meters = await fill(database)
        found = []
        for code, kind in KINDS.items():
            for name, chosen in ((f"{ACCOUNTS} accounts", nos[:-1]), ("one account", nos[-1:])):
                found.append(await compare(database, code, kind, meters[code], name, chosen))
        found.append(await explained(database))
        return found
    finally:
        await database.close()


async def compare(
    database: Database, code: str, kind: dict[str, Any], meter: int, name: str, chosen: list[int]
) -> Figure:
    """One kind of meter over some accounts, ours beside the bare statement."""
    whole = (END - START) // timedelta(microseconds=1) if code == "disk" else 0
    slices = [UsageSlice(no, meter, start=START, end=END, to_batch=1, whole=whole, **kind) for no in chosen]
    async with database.read() as session:
        least, bare = await timed(lambda: session.fetch(BARE[code], chosen, meter, START, END))
        seconds, totals = await timed(lambda: metering.aggregate(session, slices))
    expected = {row[0]: row[1] for row in bare}
    for no, total in zip(chosen, totals, strict=True):
        seen = total.units * (whole // 1_000_000) if whole else total.units
        assert seen == expected[no], (code, no)
    ratio = least / seconds
    return Figure(
        f"{kind['aggregation']} of {EVENTS:,} events, {name}", f"{EVENTS / least:,.0f}/s", f"{EVENTS / seconds:,.0f}/s", ratio, "≥ 0.5",
        ratio >= 0.5,
    )  # fmt: skip


async def explained(database: Database) -> Figure:
    """The bill of the account with the most events, explained."""
    due = END + timedelta(hours=2)
    async with database.write() as session:
        run = await runs.request_run(session, ACTOR, run_id=new_uuid(), as_of=due, now=due, account=None)
    await runs.execute(database, run, now=lambda: due, new_id=new_uuid)
    async with database.snapshot() as session:
        (invoice,) = (await invoices.invoices(session, limit=2)).rows
        seconds, told = await timed(lambda: explaining.explain(session, invoice))
        checked, report = await timed(lambda: explaining.verify(session, invoice))
    assert report.agrees, report.problems
    assert {line.evidence.events for line in told.lines} == {EVENTS}
    return Figure(
        f"explain two lines of {EVENTS:,} events", f"verified in {checked:.2f} s", f"{seconds * 1000:,.1f} ms", checked / seconds,
        "< 1 s", seconds < 1,
    )  # fmt: skip


def figures() -> list[Figure]:
    """Unique and weighted meters, and an explanation."""
    with place() as where:
        return asyncio.run(measure(where))


def main() -> bool:
    """Prints the table; True where every target is reached."""
    return show("Meters", figures())


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
