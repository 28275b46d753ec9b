"""Subscriptions: fee and usage on one invoice, ends, minimums, previews, failures, races."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tallystick.accounts import repository as account_rows
from tallystick.accounts.domain import Account
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import clocks, explaining, ranges, voiding
from tallystick.billing.service.usage import NotDivisible
from tallystick.catalog.domain import ChargeTerms, PlanView, Settings, Terms
from tallystick.catalog.service import make_meter, make_plan
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid
from tallystick.subscriptions import service as subscriptions
from tallystick.subscriptions.domain import Subscription
from tests.db.test_billing_recorded import ACTOR, account, at, bill, healthy, use

GRADUATED = {"tiers": [{"up_to": 100, "unit_amount": "0.10"}, {"up_to": None, "unit_amount": "0.05"}]}


async def plan(database: Database, **terms: Any) -> PlanView:
    """A monthly plan of 29.99 with a meter `calls` on graduated prices, unless `terms` say otherwise."""
    aggregation = terms.pop("aggregation", "sum")
    adjustments = terms.pop("adjustments", {})
    async with database.write() as session:
        await make_meter(
            session,
            ACTOR,
            code="calls",
            name="Calls",
            aggregation=aggregation,
            field=None,
            filters={},
            unit="call",
        )
        charge = ChargeTerms("calls", "Calls", "calls", "graduated", GRADUATED, adjustments, "usage")
        asked = Terms(**{"price": Decimal("29.99"), "currency": "USD", "charges": (charge,), **terms})
        return await make_plan(
            session, ACTOR, code="pro", name="Pro", is_public=True, is_active=True, terms=asked
        )


async def subscribe(database: Database, who: Account, offered: PlanView, when: str) -> Subscription:
    async with database.write() as session:
        locked = (await account_rows.lock_many(session, [who.no]))[who.no]
        wanted = subscriptions.Start(new_uuid(), offered.id, at(when))
        return await subscriptions.start(session, ACTOR, locked, wanted, now=at(when))


async def calls(database: Database, who: Account, event: str, when: str, units: str) -> None:
    incoming = IncomingEvent(
        id=event, meter="calls", account_id=who.id, quantity=Decimal(units), occurred_at=at(when)
    )
    (verdict,) = await ingest(database, ACTOR, [incoming], now=at(when), request_id="t")
    assert verdict.status == "accepted", verdict


async def all_invoices(database: Database) -> list[tuple[InvoiceView, list[LineView]]]:
    """Oldest first; every one is verified on the way."""
    async with database.snapshot() as session:
        found = (await invoices.invoices(session, limit=200)).rows
        for each in found:
            report = await explaining.verify(session, each)
            assert report.agrees, report.problems
        return [(each, await invoices.lines(session, each.id)) for each in reversed(found)]


def shown(lines: list[LineView]) -> list[tuple[str, str]]:
    return [(line.description, f"{line.amount:f}") for line in lines]


async def end(database: Database, subscription: Subscription, when: str) -> None:
    from tallystick.catalog import queries as catalog

    async with database.write() as session:
        mine, who = await subscriptions.locked(session, ACTOR, subscription.id)
        versions = await catalog.plan_versions(session, [mine.plan_version_id])
        await subscriptions.end(
            session, ACTOR, mine, who, versions[mine.plan_version_id], at=at(when), now=at(when)
        )


async def test_last_months_usage_and_the_next_fee_share_an_invoice(database: Database) -> None:
    who = await account(database)
    await subscribe(database, who, await plan(database), "2026-01-31")
    await calls(database, who, "1", "2026-02-10T00:00", "150")
    await calls(database, who, "2", "2026-02-28T00:00", "1")
    run = await bill(database, "2026-03-01T12:00")
    assert run.invoices == 2
    (first, fee), (second, both) = await all_invoices(database)
    assert shown(fee) == [("Pro", "29.99")]
    assert shown(both) == [("Pro", "29.99"), ("Calls", "12.50")]
    assert both[0].period_start == at("2026-02-28T00:00")
    assert both[0].period_end == at("2026-03-31T00:00")
    assert both[1].period_end == at("2026-02-28T00:00")
    assert (first.total, second.total) == (Decimal("29.99"), Decimal("42.49"))
    assert (await bill(database, "2026-03-01T12:00")).invoices == 0
    await healthy(database)


async def test_an_end_in_the_period_bills_fees_in_arrears_by_days_and_usage_to_the_end(
    database: Database,
) -> None:
    who = await account(database)
    mine = await subscribe(database, who, await plan(database, billing_timing="arrears"), "2026-01-15")
    await calls(database, who, "1", "2026-01-20T00:00", "10")
    await end(database, mine, "2026-01-25T18:00")
    await bill(database, "2026-01-25T19:00")
    ((invoice, lines),) = await all_invoices(database)
    assert shown(lines) == [
        ("Pro", "9.67"),
        ("Calls", "1.00"),
    ]  # 10 of 31 days: the day of the end is not billed
    assert lines[0].inputs["used"], lines[0].inputs["whole"] == (10, 31)
    assert invoice.total == Decimal("10.67")
    assert (await bill(database, "2026-06-01T00:00")).invoices == 0
    await healthy(database)


async def test_the_preview_is_what_the_run_then_does(database: Database) -> None:
    who = await account(database)
    await subscribe(database, who, await plan(database, minimum=Decimal(50)), "2026-01-31")
    await bill(database, "2026-02-01T00:00")
    await calls(database, who, "1", "2026-02-10T00:00", "33")
    async with database.snapshot() as session:
        preview = await ranges.preview_next(session, who)
    await bill(database, "2026-03-01T00:00")
    _, (invoice, lines) = await all_invoices(database)
    (draft,) = preview.drafts
    assert preview.due_at == at("2026-02-28T01:00")
    assert [(each.description, each.quantity, each.amount, each.exact) for each in draft.lines] == [
        (each.description, each.quantity, each.amount, each.exact) for each in lines
    ]
    assert (draft.subtotal, draft.tax, draft.total) == (invoice.subtotal, invoice.tax, invoice.total)
    assert shown(lines) == [("Pro", "29.99"), ("Calls", "3.30"), ("Pro: top-up to the minimum", "16.71")]
    await healthy(database)


async def test_a_minimum_of_a_charge_is_a_line_of_its_own(database: Database) -> None:
    who = await account(database)
    await subscribe(
        database,
        who,
        await plan(database, price=Decimal(0), adjustments={"minimum_amount": "20"}),
        "2026-01-01",
    )
    await calls(database, who, "1", "2026-01-10T00:00", "30")
    await bill(database, "2026-02-01T01:00")
    ((_, lines),) = await all_invoices(database)
    assert shown(lines) == [("Calls", "3.00"), ("Calls: top-up to the minimum", "17.00")]
    await healthy(database)


async def test_a_range_in_the_open_period_and_its_close_charge_the_tiers_once(database: Database) -> None:
    who = await account(database)
    await subscribe(database, who, await plan(database, price=Decimal(0)), "2026-01-01")
    await calls(database, who, "1", "2026-01-05T00:00", "80")
    await arrive(database, patience=5)
    wanted = ranges.Range(at("2026-01-01"), at("2026-01-15"))
    async with database.write() as session:
        await ranges.bill_range(session, ACTOR, who, wanted, now=at("2026-01-16"), new_id=new_uuid)
    with pytest.raises(ranges.NothingToBill):
        async with database.write() as session:
            await ranges.bill_range(session, ACTOR, who, wanted, now=at("2026-01-16"), new_id=new_uuid)
    await calls(database, who, "2", "2026-01-20T00:00", "80")
    await bill(database, "2026-02-01T01:00")
    (_, first), (_, second) = await all_invoices(database)
    assert shown(first) == [("Calls", "8.00")]
    assert shown(second) == [("Calls", "5.00")]  # 20 at 0.10 and 60 at 0.05
    await healthy(database)


async def test_a_part_of_a_period_with_a_maximum_is_refused(database: Database) -> None:
    who = await account(database)
    await subscribe(database, who, await plan(database, aggregation="max"), "2026-01-01")
    with pytest.raises(NotDivisible):
        async with database.write() as session:
            await ranges.bill_range(
                session,
                ACTOR,
                who,
                ranges.Range(at("2026-01-01"), at("2026-01-15")),
                now=at("2026-01-16"),
                new_id=new_uuid,
            )


async def test_usage_that_a_subscription_prices_is_not_recorded_usage_too(database: Database) -> None:
    who = await account(database, opened="2026-01-01")
    async with database.write() as session:
        charge = ChargeTerms(
            "db", "Databases", "service:Database Hosting", "standard", {"unit_amount": "2"}, {}, "usage"
        )
        terms = Terms(price=Decimal(0), currency="USD", charges=(charge,))
        offered = await make_plan(
            session, ACTOR, code="db", name="DB", is_public=True, is_active=True, terms=terms
        )
    await use(database, who, "before", "2026-01-05T00:00", "1", "7")
    mine = await subscribe(database, who, offered, "2026-01-10")
    await use(database, who, "in", "2026-01-12T00:00", "1", "7")
    await end(database, mine, "2026-01-20T00:00")
    await use(database, who, "after", "2026-01-25T00:00", "1", "7")
    await bill(database, "2026-02-01T01:00")
    (_, first), (_, second) = await all_invoices(database)
    assert shown(first) == [("Databases", "2.00")]
    assert shown(second) == [("Database Hosting", "14.00")]
    await healthy(database)


async def test_what_cannot_be_billed_is_parked_and_stops_nobody(database: Database) -> None:
    offered = await plan(database, price=Decimal(0), currency="USD")
    bad, good = await account(database), await account(database)
    for who in (bad, good):
        await subscribe(database, who, offered, "2026-01-01")
    for part in range(3):
        await calls(database, bad, f"huge-{part}", "2026-01-05T00:00", "900000000000000000")
    await calls(database, good, "1", "2026-01-05T00:00", "10")
    run = await bill(database, "2026-02-01T01:00")
    assert (run.status, run.invoices, run.parked) == ("done", 1, 1)
    assert [(each.account_id, each.code) for each in run.parked_accounts] == [(bad.id, "amount_too_large")]
    assert (await bill(database, "2026-02-01T01:00")).parked == 0
    await healthy(database)


async def test_two_runs_at_once_bill_each_account_once(database: Database) -> None:
    offered = await plan(database)
    for _ in range(30):
        who = await account(database)
        await subscribe(database, who, offered, "2026-01-01")
    both = await asyncio.gather(bill(database, "2026-01-01T00:00"), bill(database, "2026-01-01T00:00"))
    assert sum(run.invoices for run in both) == 30
    found = await all_invoices(database)
    assert sorted(each.number or "" for each, _ in found) == [f"INV-2026-{n:06}" for n in range(1, 31)]
    await healthy(database)


async def test_a_clock_bills_a_year_in_order(database: Database) -> None:
    from tallystick.accounts.domain import NewAccount
    from tallystick.accounts.service import open_account
    from tallystick.platform.edge import new_id

    async with database.write() as session:
        clock = await account_rows.insert_clock(session, new_uuid(), 2, "year", at("2026-01-31"))
        who = await open_account(
            session,
            ACTOR,
            NewAccount(id=new_id("acc"), name="Ada", test_clock_id=clock.id),
            now=datetime.max.replace(tzinfo=at("2026-01-01").tzinfo),
        )
    await subscribe(database, who, await plan(database), "2026-01-31")
    assert (await bill(database, "2027-06-01T00:00")).invoices == 0  # runs leave accounts on clocks alone
    async with database.write() as session:
        await clocks.request_advance(session, ACTOR, clock.id, at("2027-01-31T02:00"))
    arrived = await clocks.walk(database, clock.id, new_uuid)
    assert (arrived.status, arrived.frozen_time) == ("ready", at("2027-01-31T02:00"))
    found = await all_invoices(database)
    fees = [line for _, lines in found for line in lines if line.kind == "fee"]
    assert [f"{line.period_start:%m-%d}" for line in fees] == [
        "01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30", "12-31", "01-31",
    ]  # fmt: skip
    assert {each.number for each, _ in found} >= {"TEST-INV-2026-000001", "TEST-INV-2027-000001"}
    assert f"{found[1][0].issue_date}" == "2026-02-28"
    await healthy(database)


async def test_what_a_void_invoice_billed_is_billed_by_the_next_run(database: Database) -> None:
    who = await account(database, opened="2026-01-01")
    await subscribe(database, who, await plan(database, billing_timing="arrears"), "2026-01-01")
    await calls(database, who, "1", "2026-01-10T00:00", "10")
    await use(database, who, "2", "2026-01-10T00:00", "4", "0.5")
    await bill(database, "2026-02-01T01:00")
    ((first, lines),) = await all_invoices(database)
    async with database.write() as session:
        await voiding.void_invoice(session, ACTOR, first, at("2026-02-01T02:00"))
    await healthy(database)
    await calls(database, who, "late", "2026-01-11T00:00", "5")
    assert (await bill(database, "2026-02-01T03:00")).invoices == 1
    (void, _), (second, again) = await all_invoices(database)
    assert (void.status, second.total) == ("void", first.total + Decimal("0.50"))
    assert [line.description for line in again] == [line.description for line in lines]
    assert (await bill(database, "2026-02-01T03:00")).invoices == 0
    await healthy(database)


async def test_an_invoice_with_a_later_one_behind_it_is_not_voided(database: Database) -> None:
    who = await account(database)
    await subscribe(database, who, await plan(database), "2026-01-01")
    await bill(database, "2026-02-01T01:00")
    (first, _), (second, _) = await all_invoices(database)
    with pytest.raises(voiding.LaterBilled):
        async with database.write() as session:
            await voiding.void_invoice(session, ACTOR, first, at("2026-02-02"))
    for each in (second, first):
        async with database.write() as session:
            await voiding.void_invoice(session, ACTOR, each, at("2026-02-02"))
    assert (await bill(database, "2026-02-02T00:00")).invoices == 2
    await healthy(database)


async def test_a_fee_paid_beyond_the_end_counts_towards_the_minimum(database: Database) -> None:
    who = await account(database)
    mine = await subscribe(
        database, who, await plan(database, price=Decimal(10), minimum=Decimal(100)), "2026-03-01"
    )
    await bill(database, "2026-03-01T00:00")
    await calls(database, who, "1", "2026-03-05T00:00", "50")
    await end(database, mine, "2026-03-11T00:00")
    await bill(database, "2026-03-11T01:00")
    (_, fee), (_, rest) = await all_invoices(database)
    assert shown(fee) == [("Pro", "10.00")]
    assert shown(rest) == [("Calls", "5.00"), ("Pro: top-up to the minimum", "17.26")]  # 100 × 10/31 - 15
    await healthy(database)


async def test_the_day_of_the_end_is_billed_where_the_plan_says_so(database: Database) -> None:
    who = await account(database)
    offered = await plan(
        database,
        price=Decimal(31),
        billing_timing="arrears",
        settings=Settings(bill_last_day=True),
        charges=(),
    )
    mine = await subscribe(database, who, offered, "2026-03-01")
    await end(database, mine, "2026-03-11T12:00")
    await bill(database, "2026-03-11T12:00")
    ((_, lines),) = await all_invoices(database)
    assert shown(lines) == [("Pro", "11.00")]


async def test_a_part_of_a_period_at_a_volume_price_is_refused(database: Database) -> None:
    who = await account(database)
    charge = ChargeTerms("calls", "Calls", "calls", "volume", GRADUATED, {}, "usage")
    await subscribe(database, who, await plan(database, charges=(charge,)), "2026-01-01")
    with pytest.raises(NotDivisible):
        async with database.write() as session:
            await ranges.bill_range(
                session,
                ACTOR,
                who,
                ranges.Range(at("2026-01-01"), at("2026-01-15")),
                now=at("2026-01-16"),
                new_id=new_uuid,
            )
