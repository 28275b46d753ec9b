"""A batch of accounts costs a constant number of statements; a run that dies goes on; a failure is rolled back whole."""

import asyncio
from decimal import Decimal

import pytest

from tallystick.billing import repository
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import runs
from tallystick.billing.service.book import Shelf
from tallystick.billing.service.renewal import Order, bill_accounts
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid
from tests.db.test_billing_recorded import ACTOR, account, at, bill, healthy, use
from tests.db.test_billing_subscriptions import all_invoices, calls, plan, subscribe


async def some(database: Database, count: int) -> list[int]:
    """Accounts with a subscription, metered usage and recorded usage, all due on 1 February."""
    offered = await plan(database, billing_timing="arrears")
    nos = []
    for number in range(count):
        who = await account(database, opened="2026-01-01")
        await subscribe(database, who, offered, "2026-01-01")
        await calls(database, who, f"call-{number}", "2026-01-05T00:00", "10")
        await use(database, who, f"use-{number}", "2026-01-05T00:00", "10", "0.5")
        nos.append(who.no)
    return nos


async def test_a_batch_takes_as_many_statements_as_one_account(database: Database) -> None:
    nos = await some(database, 12)
    to_batch = await arrive(database, patience=5)
    counts = []
    for group in (nos[:1], nos[1:]):
        seen: list[str] = []
        async with database.write() as session:
            session.connection.add_query_logger(lambda record, seen=seen: seen.append(record.query))
            order = Order(at("2026-02-01T01:00"), at("2026-02-01T01:00"), to_batch, ACTOR, new_uuid)
            outcome = await bill_accounts(session, group, order, Shelf())
        assert len(outcome.invoices) == len(group)
        counts.append(len(seen))
    assert counts[1] <= counts[0] <= 30, counts  # the first also opens the entity's ledger accounts
    await healthy(database)


async def test_a_run_that_dies_is_taken_up_again_and_bills_nobody_twice(database: Database) -> None:
    nos = await some(database, 6)
    async with database.write() as session:
        run = await runs.request_run(
            session,
            ACTOR,
            run_id=new_uuid(),
            as_of=at("2026-02-01T01:00"),
            now=at("2026-02-01T01:00"),
            account=None,
        )
    async with database.write() as session:
        claimed = await repository.claim_run(session, 120)
    assert claimed is not None
    dying = asyncio.create_task(
        runs.execute(
            database,
            run,
            now=lambda: at("2026-02-01T01:00"),
            new_id=new_uuid,
            progress=lambda _run: dying.cancel(),
            page=2,
        )
    )
    with pytest.raises(asyncio.CancelledError):
        await dying
    half = len(await all_invoices(database))
    assert 0 < half < len(nos)
    assert not await runs.claim_and_execute(database, now=lambda: at("2026-02-01T01:00"), new_id=new_uuid)
    assert await runs.claim_and_execute(
        database, now=lambda: at("2026-02-01T01:00"), new_id=new_uuid, lease_seconds=0
    )
    async with database.read() as session:
        done = await runs.find_run(session, run.id)
    assert (done.status, done.accounts_done, done.invoices) == ("done", len(nos), len(nos))
    assert len(await all_invoices(database)) == len(nos)
    await healthy(database)


async def test_a_slice_is_billed_once_whatever_the_cursors_say(database: Database) -> None:
    nos = await some(database, 3)
    assert (await bill(database, "2026-02-01T01:00")).invoices == 3
    async with database.write() as session:
        await session.execute(
            "UPDATE subscriptions SET billed_to = started_at, usage_billed_to = started_at, next_billing_at = $1 WHERE account_no = $2",
            at("2026-02-01T01:00"),
            nos[1],
        )
        await session.execute("UPDATE accounts SET next_billing_at = $1", at("2026-02-01T01:00"))
    run = await bill(database, "2026-02-01T01:00")
    assert (run.status, run.invoices, run.parked) == ("done", 0, 1)
    assert [each.code for each in run.parked_accounts] == ["already_billed"]
    assert [invoice.total for invoice, _ in await all_invoices(database)] == [Decimal("35.99")] * 3
