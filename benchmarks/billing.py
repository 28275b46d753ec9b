"""A month-end run beside its floor: counting all usage with checksums in one statement, and COPY of every row the run wrote.

    python -m benchmarks billing            10 000 accounts × (2 plan + 5 metered lines) × 700 events
    BENCH_ACCOUNTS=1000 python -m benchmarks billing

The floor reads the same events by the same index and writes the same rows into copies of the same tables with the same indexes and
constraints, without us. The run is the one of `tallystick bill`: same page, same locks, same single process. Aims: at least 0.3 of the
floor, at least 1 500 invoices a second, memory below 1 GiB; the cost of an invoice does not grow with the history behind it; and with
two taxes, a coupon, granted credit and a paid wallet on every account it keeps 0.7 of its speed without.
"""

import asyncio
import os
import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from benchmarks.common import Figure, Place, place, show
from tallystick.accounts import queries as accounts_of
from tallystick.billing.service import runs
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import ChargeTerms, PlanView, Terms
from tallystick.catalog.service import make_meter, make_plan
from tallystick.invoicing.domain import coupons
from tallystick.invoicing.service import couponing
from tallystick.kernel.actor import system_actor
from tallystick.metering.service import prepare_months
from tallystick.platform.db import Database, Session
from tallystick.platform.edge import new_id, new_uuid
from tallystick.taxes import service as tax_service
from tallystick.wallets import service as wallets
from tallystick.wallets.domain import Kind

ACTOR = system_actor("bench")
ACCOUNTS = int(os.environ.get("BENCH_ACCOUNTS", "10000"))
METERS, EVENTS = 5, 140
START = datetime(2026, 1, 1, tzinfo=UTC)
DUE = datetime(2026, 2, 1, 1, tzinfo=UTC)
WRITTEN = ("invoices", "invoice_lines", "ledger_postings", "ledger_entries", "outbox", "audit_log")


async def plans(session: Session) -> tuple[PlanView, PlanView]:
    """A plan with a fee and five metered charges, and one with a fee alone; both in arrears, by calendar month."""
    for n in range(METERS):
        await make_meter(
            session,
            ACTOR,
            code=f"meter-{n}",
            name=f"Meter {n}",
            aggregation="sum",
            field=None,
            filters={},
            unit="unit",
        )
    tiers = [{"up_to": 1000, "unit_amount": "0.05"}, {"up_to": None, "unit_amount": "0.01"}]
    charges = tuple(
        ChargeTerms(
            f"charge-{n}", f"Meter {n}", f"meter-{n}", "graduated" if n % 2 else "standard",
            {"tiers": tiers} if n % 2 else {"unit_amount": "0.0125"}, {}, "usage",
        )
        for n in range(METERS)
    )  # fmt: skip
    terms = {"currency": "USD", "billing_timing": "arrears", "alignment": "calendar"}
    full = Terms(price=Decimal("29.99"), charges=charges, **terms)  # type: ignore[arg-type]
    bare = Terms(price=Decimal("5.00"), **terms)  # type: ignore[arg-type]
    return (
        await make_plan(session, ACTOR, code="full", name="Full", is_public=True, is_active=True, terms=full),
        await make_plan(session, ACTOR, code="bare", name="Bare", is_public=True, is_active=True, terms=bare),
    )


async def fill(database: Database, accounts: int, months_before: int) -> None:
    """Accounts, two subscriptions each, and the events of January, with `months_before` months of the same before it."""
    async with database.write() as session:
        offered = await plans(session)
        versions = [(await catalog.current_version(session, each.id)).id for each in offered]
        names = [new_id("acc") for _ in range(accounts)]
        await session.execute(ACCOUNTS_SQL, names, START, DUE)
        await session.execute(PROFILES_SQL)
        for version in versions:
            await session.execute(
                SUBSCRIPTIONS_SQL, [new_uuid() for _ in range(accounts)], version, START, DUE
            )
        await session.execute("UPDATE entities SET fee_close_delay_seconds = usage_close_delay_seconds")
        await session.execute("SELECT setval('ingest_batch_ids', 1)")
        await session.execute(
            "INSERT INTO ingest_batches (id, xid, received, principals, request_id) VALUES (1, 1, 1, '{bench}', '')"
        )
        await session.execute("UPDATE metering_seal SET sealed_to = 1")
        await session.execute("UPDATE late_sweep SET swept_to = 1")
        await session.execute("UPDATE late_sweep SET swept_to = 1")  # as if the background had looked at them
    months = [(START - timedelta(days=30 * n)).replace(day=1) for n in range(months_before + 1)]
    await prepare_months(database, {month.date() for month in months})
    for month in months:
        async with database.write() as session:
            await session.execute(EVENTS_SQL, METERS, EVENTS, month)
    async with database._acquire() as connection:
        await connection.execute("VACUUM (ANALYZE)")


ACCOUNTS_SQL = """
INSERT INTO accounts (id, entity_id, currency, timezone, zone_history, livemode, metadata, usage_from, usage_billed_to,
                      next_usage_billing_at, next_billing_at, opened_at)
SELECT id, 1, 'USD', 'UTC', '[{"at": "2026-01-01T00:00:00Z", "timezone": "UTC"}]', true, '{}', $2, $2, $3, $3, $2 FROM unnest($1::text[]) id
"""
PROFILES_SQL = (
    "INSERT INTO account_profiles (account_no, entity_id, name) SELECT no, 1, 'Customer ' || no FROM accounts"
)
SUBSCRIPTIONS_SQL = """
INSERT INTO subscriptions (id, account_no, entity_id, plan_version_id, quantity, currency, started_at, anchor, timezone,
                           zone_changes_seen, billed_to, usage_billed_to, next_billing_at)
SELECT s.id, a.no, 1, $2, 1, 'USD', $3, $3, 'UTC', 1, $3, $3, $4
FROM unnest($1::uuid[]) WITH ORDINALITY AS s(id, n) JOIN (SELECT no, row_number() OVER (ORDER BY no) AS n FROM accounts) a USING (n)
"""
EVENTS_SQL = """
INSERT INTO usage_events (account_no, occurred_at, batch_id, c_hi, c_lo, key, meter_id, position, quantity, source, event_id)
SELECT a.no, $3::timestamptz + e * interval '5 hours' + m * interval '1 minute', 1, hashint8extended(a.no * 1000 + e, m),
       hashint8extended(a.no * 1000 + e, m + 100), gen_random_uuid(), meter.id, e, (e % 20) + 0.5, 'bench', e::text
FROM accounts a, generate_series(1, $1::int) m JOIN meters meter ON meter.code = 'meter-' || (m - 1), generate_series(1, $2::int) e
ORDER BY 1, 7, 2
"""
FLOOR_COUNT = """
SELECT u.account_no, u.meter_id, sum(u.quantity), count(*), bit_xor(u.c_hi), bit_xor(u.c_lo) FROM usage_events u
WHERE u.occurred_at >= $1 AND u.occurred_at < $2 AND u.batch_id > 0 AND u.batch_id <= 1 GROUP BY 1, 2
"""


async def ours(database: Database) -> tuple[float, int]:
    """The run; seconds and invoices."""
    async with database.write() as session:
        run = await runs.request_run(session, ACTOR, run_id=new_uuid(), as_of=DUE, now=DUE, account=None)
    started = time.perf_counter()
    done = await runs.execute(database, run, now=lambda: DUE, new_id=new_uuid)
    seconds = time.perf_counter() - started
    assert done.parked == 0 and done.status == "done", done
    return seconds, done.invoices


async def floor(database: Database) -> float:
    """Counting, and COPY of the same rows into copies of the same tables."""
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
    async with database.read() as session:
        await session.fetch(FLOOR_COUNT, START, DUE)
    async with database.write() as session:
        for table, columns, rows in copies:
            await session.copy(f"floor_{table}", columns, rows)
    return time.perf_counter() - started


COLUMNS_SQL = """
SELECT column_name FROM information_schema.columns
WHERE table_name = $1 AND table_schema = 'public' AND is_generated = 'NEVER' ORDER BY ordinal_position
"""


async def decorate(database: Database) -> None:
    """Two taxes, a coupon on everything, granted credit that is used up and a paid wallet that is not, for every account."""
    async with database.write() as session:
        for code, rate in (("vat", "19"), ("city", "1.5")):
            await tax_service.make_tax(session, ACTOR, tax_service.NewTax(code, code, Decimal(rate), True))
        terms = coupons.Terms(coupons.Kind.PERCENT, Decimal(10), "USD", coupons.Duration.FOREVER, None)
        await couponing.make_coupon(session, ACTOR, couponing.NewCoupon("TEN", "Ten percent", terms))
        numbers = [row["no"] for row in await session.fetch("SELECT no FROM accounts ORDER BY no")]
        for account in (await accounts_of.by_nos(session, numbers)).values():
            await couponing.redeem(session, ACTOR, account, "TEN", applied_id=new_uuid(), now=START)
            wallet_id = new_uuid()
            await wallets.open_wallet(session, ACTOR, account, wallets.NewWallet(wallet_id, "Purse"), START)
            purse = await wallets.locked(session, wallet_id, START)
            for kind, amount in ((Kind.GRANTED, "3.00"), (Kind.PAID, "500.00")):
                await wallets.top_up(session, ACTOR, purse, wallets.TopUp(new_uuid(), kind, Decimal(amount)))
    async with database._acquire() as connection:
        await connection.execute("VACUUM (ANALYZE)")


async def measure(
    where: Place, accounts: int, months_before: int, *, decorated: bool = False
) -> tuple[float, float, int]:
    """Seconds ours, seconds floor, invoices."""
    database = await Database.connect(where.database_url, size=4, statement_timeout_ms=600_000, name="bench")
    try:
        await fill(database, accounts, months_before)
        if decorated:
            await decorate(database)
        seconds, count = await ours(database)
        return seconds, await floor(database), count
    finally:
        await database.close()


def figures() -> list[Figure]:
    """The run at full size, and at a tenth of it with ten times the history."""
    with place() as where:
        seconds, least, count = asyncio.run(measure(where, ACCOUNTS, 0))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate, ratio = count / seconds, least / seconds
    found = [
        Figure(
            f"billing run, {count} invoices of 7 lines", f"{count / least:,.0f}/s", f"{rate:,.0f}/s, {memory:,.0f} MiB", ratio,
            "≥ 0.3, ≥ 1 500/s, < 1 GiB", ratio >= 0.3 and rate >= 1500 and memory < 1024,
        )
    ]  # fmt: skip
    small = max(200, ACCOUNTS // 10)
    with place() as where:
        short, _, count = asyncio.run(measure(where, small, 0))
    with place() as where:
        long, _, _ = asyncio.run(measure(where, small, 9))
    found.append(
        Figure(
            f"the same, {small} accounts, 10× the events behind them", f"{short / count * 1e6:,.0f} µs each",
            f"{long / count * 1e6:,.0f} µs each", long / short, "within ± 20 %", 0.8 <= long / short <= 1.2,
        )
    )  # fmt: skip
    sides = []
    for decorated in (False, True):
        with place() as where:
            seconds, _, count = asyncio.run(measure(where, 2 * small, 0, decorated=decorated))
            sides.append(count / seconds)
    ratio = sides[1] / sides[0]
    found.append(
        Figure(
            f"{2 * small} accounts with two taxes, a coupon, granted credit and a paid wallet", f"{sides[0]:,.0f}/s without",
            f"{sides[1]:,.0f}/s", ratio, "≥ 0.7 of the run without", ratio >= 0.7,
        )
    )  # fmt: skip
    return found


def main() -> bool:
    """Prints the table; True where every target is reached."""
    return show("Billing run", figures())


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
