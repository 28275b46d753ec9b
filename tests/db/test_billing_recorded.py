"""Usage without a subscription, from the event to the verified invoice."""

from datetime import UTC, datetime
from decimal import Decimal

from tallystick.accounts.domain import Account, NewAccount
from tallystick.accounts.service import open_account
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.domain.runs import Run
from tallystick.billing.service import current, explaining, ranges, runs
from tallystick.cli.doctor import examine
from tallystick.invoicing import queries as invoices
from tallystick.kernel.actor import system_actor
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest
from tallystick.platform.db import Database
from tallystick.platform.edge import new_id, new_uuid

ACTOR = system_actor("test")
METER = "service:Database Hosting"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def account(database: Database, timezone: str = "UTC", opened: str = "2026-01-10") -> Account:
    async with database.write() as session:
        return await open_account(
            session, ACTOR, NewAccount(id=new_id("acc"), name="Ada", timezone=timezone), now=at(opened)
        )


async def use(
    database: Database, who: Account, event: str, when: str, units: str, price: str, now: str | None = None
) -> None:
    incoming = IncomingEvent(
        id=event,
        meter=METER,
        account_id=who.id,
        quantity=Decimal(units),
        unit_price=Decimal(price),
        occurred_at=at(when),
    )
    (verdict,) = await ingest(database, ACTOR, [incoming], now=at(now or when), request_id="t")
    assert verdict.status == "accepted", verdict


async def bill(database: Database, as_of: str) -> Run:
    async with database.write() as session:
        run = await runs.request_run(
            session, ACTOR, run_id=new_uuid(), as_of=at(as_of), now=at(as_of), account=None
        )
    return await runs.execute(database, run, now=lambda: at(as_of), new_id=new_uuid)


async def healthy(database: Database) -> None:
    assert [each for each in await examine(database) if each["violations"]] == []


async def test_a_month_is_billed_once_and_explains_itself(database: Database) -> None:
    who = await account(database)
    await use(database, who, "1", "2026-01-11T10:00", "58", "0.05")
    await use(database, who, "2", "2026-01-31T23:59", "2", "0.05")
    await use(database, who, "3", "2026-02-01T00:00", "7", "0.05")
    await use(database, who, "4", "2026-01-12T00:00", "3", "0.125")

    assert (await bill(database, "2026-02-01T00:59")).invoices == 0
    run = await bill(database, "2026-02-01T01:00")
    assert (run.status, run.accounts_due, run.invoices, run.parked) == ("done", 1, 1, 0)
    assert (await bill(database, "2026-02-01T01:00")).invoices == 0

    async with database.snapshot() as session:
        (invoice,) = (await invoices.invoices(session, limit=10)).rows
        lines = await invoices.lines(session, invoice.id)
        told = await explaining.explain(session, invoice)
        report = await explaining.verify(session, invoice)
    assert [(line.quantity, line.amount, line.exact) for line in lines] == [
        (Decimal(60), Decimal("3.00"), Decimal(3)),
        (Decimal(3), Decimal("0.38"), Decimal("0.375")),
    ]
    assert (invoice.total, invoice.status, invoice.number) == (
        Decimal("3.38"),
        "finalized",
        "INV-2026-000001",
    )
    assert told.lines[1].text == [
        "1 event of service:Database Hosting, added up: 3 unit",
        "3 unit at 0.125 = 0.375",
        "rounded half away from zero to 2 decimals: 0.375 → 0.38 USD",
    ]
    assert report.agrees, report.problems
    assert (report.lines, report.events) == (2, 3)
    await healthy(database)


async def test_a_month_is_that_of_the_accounts_zone(database: Database) -> None:
    who = await account(database, "America/New_York")
    await use(database, who, "1", "2026-02-01T04:59", "10", "1")
    await use(database, who, "2", "2026-02-01T05:00", "20", "1")
    assert (await bill(database, "2026-02-01T05:59")).invoices == 0
    assert (await bill(database, "2026-02-01T06:00")).invoices == 1
    async with database.snapshot() as session:
        (invoice,) = (await invoices.invoices(session, limit=10)).rows
        usage = await current.current_usage(session, who)
    assert invoice.total == Decimal("10.00")
    assert invoice.period_end == at("2026-02-01T05:00")
    await healthy(database)
    assert usage.account_id == who.id


async def test_a_range_bills_what_is_new_and_the_close_bills_the_rest(database: Database) -> None:
    who = await account(database)
    await use(database, who, "1", "2026-01-11T10:00", "1", "0.333")
    now = at("2026-01-20T12:00")
    await arrive(database, patience=5)
    async with database.write() as session:
        (first,) = await ranges.bill_range(
            session, ACTOR, who, ranges.Range(at("2026-01-01"), at("2026-02-01")), now=now, new_id=new_uuid
        )
    assert first.total == Decimal("0.33")
    await use(database, who, "late", "2026-01-19T10:00", "1", "0.333", now="2026-01-21T00:00")
    await use(database, who, "2", "2026-01-25T10:00", "1", "0.333")
    async with database.snapshot() as session:
        usage = await current.current_usage(session, who)
    assert usage.subtotal == Decimal("0.67")

    assert (await bill(database, "2026-02-01T01:00")).invoices == 1
    async with database.snapshot() as session:
        second, _ = (await invoices.invoices(session, limit=10)).rows
        (line,) = await invoices.lines(session, second.id)
        reports = [
            await explaining.verify(session, each)
            for each in (await invoices.invoices(session, limit=10)).rows
        ]
    assert (second.total, line.quantity, line.exact) == (Decimal("0.67"), Decimal(2), Decimal("0.669"))
    assert first.total + second.total == Decimal("1.00")
    assert all(report.agrees for report in reports), reports
    await healthy(database)


async def test_a_quiet_account_moves_on_without_an_invoice(database: Database) -> None:
    who = await account(database)
    run = await bill(database, "2026-06-15T00:00")
    assert (run.accounts_done, run.invoices) == (1, 0)
    await use(database, who, "1", "2026-06-15T10:00", "1", "1")
    assert (await bill(database, "2026-07-01T01:00")).invoices == 1
    await healthy(database)
