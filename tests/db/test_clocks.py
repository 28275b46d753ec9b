"""Test clocks: pages in order of due instants, each bill at its own time, taken up again after any page, parked accounts named."""

import asyncio
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tallystick.accounts import repository as account_rows
from tallystick.accounts.domain import Account, Clock, NewAccount
from tallystick.accounts.service import open_account
from tallystick.billing import queries
from tallystick.billing.service import clocks
from tallystick.catalog.domain import PlanView, Terms
from tallystick.catalog.service import make_plan
from tallystick.invoicing import queries as invoices
from tallystick.kernel.errors import Invalid
from tallystick.platform.db import Database
from tallystick.platform.edge import new_id, new_uuid
from tallystick.subscriptions import service as subscriptions
from tests.db.test_billing_recorded import ACTOR, at, healthy

START = at("2026-01-01")


async def offer(database: Database, code: str, price: str, **terms: Any) -> PlanView:
    async with database.write() as session:
        asked = Terms(price=Decimal(price), currency="USD", **terms)
        return await make_plan(
            session, ACTOR, code=code, name=code, is_public=True, is_active=True, terms=asked
        )


async def make_clock(database: Database) -> Clock:
    async with database.write() as session:
        return await account_rows.insert_clock(session, new_uuid(), 2, "clock", START)


async def join(
    database: Database, clock: Clock, plan: PlanView, begins: datetime, quantity: str = "1"
) -> Account:
    """An account on the clock whose subscription begins at `begins`."""
    async with database.write() as session:
        new = NewAccount(id=new_id("acc"), name="Ada", test_clock_id=clock.id)
        who = await open_account(session, ACTOR, new, now=START)
        wanted = subscriptions.Start(new_uuid(), plan.id, begins, Decimal(quantity))
        await subscriptions.start(session, ACTOR, who, wanted, now=START)
        return who


async def send(database: Database, clock: Clock, to: str) -> None:
    async with database.write() as session:
        await clocks.request_advance(session, ACTOR, clock.id, at(to))


async def documents(database: Database) -> list[tuple[int, datetime, datetime, str]]:
    """(account, finalized, due period's start, number) of all invoices, oldest first."""
    async with database.snapshot() as session:
        found = (await invoices.invoices(session, limit=200)).rows
    return [
        (each.account_no, each.finalized_at, each.period_start, each.number or "")
        for each in reversed(found)
        if each.finalized_at is not None
    ]


async def test_every_bill_is_made_when_it_falls_due_whatever_the_page(database: Database) -> None:
    clock, plan = await make_clock(database), await offer(database, "weekly", "7.00", billing_cycle="weekly")
    begins = [START + timedelta(hours=5 * n, microseconds=n) for n in range(9)]
    people = [await join(database, clock, plan, each) for each in begins]
    await send(database, clock, "2026-02-01")
    seen = []
    while (now := await clocks.step(database, clock.id, new_uuid, page=4)).status == "advancing":
        seen.append(now.frozen_time)
    assert (now.status, now.frozen_time) == ("ready", at("2026-02-01"))
    assert seen == sorted(seen)
    made = await documents(database)
    assert len(made) == sum(5 if each <= at("2026-01-04") else 4 for each in begins)
    assert all(finalized == start for _, finalized, start, _ in made)
    for who in people:
        own = [start for no, _, start, _ in made if no == who.no]
        assert own == sorted(own)
    await healthy(database)


async def test_numbers_follow_time_also_where_one_account_owes_several_bills_before_another(
    database: Database,
) -> None:
    clock = await make_clock(database)
    weekly = await offer(database, "weekly", "7.00", billing_cycle="weekly")
    monthly = await offer(database, "monthly", "30.00")
    for n in range(3):
        await join(database, clock, weekly, START + timedelta(days=n))
        await join(database, clock, monthly, START + timedelta(days=19 + n))
    await send(database, clock, "2026-02-24")
    assert (await clocks.walk(database, clock.id, new_uuid)).status == "ready"
    made = await documents(database)
    assert len(made) == 3 * (8 + 2)
    by_number = [finalized for _, finalized, _, number in sorted(made, key=lambda each: each[3])]
    assert by_number == sorted(by_number)
    await healthy(database)


async def test_two_clocks_each_have_their_own_present(database: Database) -> None:
    plan = await offer(database, "monthly", "10.00")
    for to in ("2026-06-15", "2026-03-15"):
        clock = await make_clock(database)
        who = await join(database, clock, plan, START)
        await send(database, clock, to)
        await clocks.walk(database, clock.id, new_uuid)
        own = [finalized for no, finalized, _, _ in await documents(database) if no == who.no]
        assert own[-1] == at(to[:7] + "-01")
    await healthy(database)


async def test_an_advance_that_was_killed_is_taken_up_where_its_last_page_ended(database: Database) -> None:
    clock, plan = await make_clock(database), await offer(database, "monthly", "10.00")
    for n in range(5):
        await join(database, clock, plan, START + timedelta(days=n))
    await send(database, clock, "2026-04-01")
    for _ in range(3):
        await clocks.step(database, clock.id, new_uuid, page=2)
    before = await documents(database)
    async with database.read() as session:
        shown, progress = await clocks.show(session, clock.id)
    assert shown.status == "advancing"
    assert START < shown.frozen_time < at("2026-04-01")
    assert (progress.accounts, progress.accounts_due) == (5, 5)
    assert await clocks.walk_one(database, new_uuid)
    assert not await clocks.walk_one(database, new_uuid)
    after = await documents(database)
    assert after[: len(before)] == before
    assert len(after) == 16  # three each, and the fourth of the first, due at the very target
    assert len({number for *_, number in after}) == 16
    await healthy(database)


async def test_an_account_that_cannot_be_billed_is_named_and_stops_nobody(database: Database) -> None:
    clock = await make_clock(database)
    plan = await offer(database, "monthly", "900000000000000.00")
    good = await join(database, clock, plan, START)
    bad = await join(database, clock, plan, START, quantity="2")
    await send(database, clock, "2026-03-15")
    arrived = await clocks.walk(database, clock.id, new_uuid)
    assert arrived.status == "ready"
    async with database.read() as session:
        _, progress = await clocks.show(session, clock.id)
    assert (progress.accounts, progress.accounts_due, progress.parked) == (2, 0, 1)
    ((account_id, code, reason),) = [(p.account_id, p.code, p.reason) for p in progress.parked_accounts]
    assert (account_id, code) == (bad.id, "amount_too_large")
    assert reason
    assert [no for no, *_ in await documents(database)] == [good.no] * 3


async def test_numbers_follow_time_also_where_one_of_the_page_cannot_be_stored(database: Database) -> None:
    clock = await make_clock(database)
    weekly = await offer(database, "weekly", "7.00", billing_cycle="weekly")
    who = [await join(database, clock, weekly, START + timedelta(days=n)) for n in range(5)]
    await join(database, clock, await offer(database, "monthly", "30.00"), START + timedelta(days=18))
    await send(database, clock, "2026-01-20")
    await clocks.walk(database, clock.id, new_uuid)
    before = len(await documents(database))
    async with database.write() as session:  # as if its first bills had not been made
        await session.execute(
            "UPDATE subscriptions SET billed_to = started_at, usage_billed_to = started_at WHERE account_no = $1",
            who[2].no,
        )
    await send(database, clock, "2026-02-24")
    assert (await clocks.walk(database, clock.id, new_uuid)).status == "ready"
    async with database.read() as session:
        _, progress = await clocks.show(session, clock.id)
    assert [(each.account_id, each.code) for each in progress.parked_accounts] == [
        (who[2].id, "already_billed")
    ]
    made = await documents(database)
    assert len(made) == before + 4 * 5 + 1
    by_number = [finalized for _, finalized, _, number in sorted(made, key=lambda each: each[3])]
    assert by_number == sorted(by_number)


async def test_an_account_that_somebody_holds_is_waited_for(database: Database) -> None:
    clock, plan = await make_clock(database), await offer(database, "monthly", "10.00")
    who = await join(database, clock, plan, START)
    await send(database, clock, "2026-01-02")
    async with database.write() as session:
        await account_rows.lock_many(session, [who.no])
        waiting = await clocks.step(database, clock.id, new_uuid)  # gives up after the pool's lock timeout
    assert (waiting.status, waiting.frozen_time, waiting.error) == ("advancing", START, None)
    assert (await clocks.walk(database, clock.id, new_uuid)).status == "ready"
    assert len(await documents(database)) == 1


WALKER = """
import asyncio, sys
from uuid import UUID
from tallystick.billing.service import clocks
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid

async def main():
    database = await Database.connect(sys.argv[1], size=2)
    while (await clocks.step(database, UUID(sys.argv[2]), new_uuid, page=2)).status == "advancing":
        pass

asyncio.run(main())
"""


async def test_a_walker_killed_with_9_leaves_whole_pages_and_another_goes_on(
    database: Database, database_url: str
) -> None:
    clock, plan = await make_clock(database), await offer(database, "weekly", "7.00", billing_cycle="weekly")
    for n in range(12):
        await join(database, clock, plan, START + timedelta(hours=7 * n))
    await send(database, clock, "2026-12-31")
    walker = await asyncio.create_subprocess_exec(sys.executable, "-c", WALKER, database_url, str(clock.id))
    try:
        for _ in range(600):
            await asyncio.sleep(0.05)
            async with database.read() as session:
                shown, _ = await clocks.show(session, clock.id)
            if shown.frozen_time > START + timedelta(days=30):
                break
    finally:
        walker.kill()
        await walker.wait()
    assert shown.status == "advancing"
    while await clocks.walk_one(database, new_uuid):
        pass
    async with database.read() as session:
        shown, progress = await clocks.show(session, clock.id)
        counted = await queries.clock_months(session, clock.id)
    assert (shown.status, shown.frozen_time, progress.accounts_due) == ("ready", at("2026-12-31"), 0)
    weeks = [1 + (364 - 7 * n // 24) // 7 for n in range(12)]  # the first when he begins, then at midnights
    assert sum(each.invoices for each in counted) == sum(weeks)
    assert sum(each.total for each in counted) == 7 * sum(weeks)
    await healthy(database)


@pytest.mark.parametrize("to", ["2026-01-01", "2031-02-01", "9000-01-01"])
async def test_where_a_clock_cannot_go(database: Database, to: str) -> None:
    clock = await make_clock(database)
    with pytest.raises(Invalid) as refused:
        await send(database, clock, to)
    assert "to" in refused.value.details
    async with database.read() as session:
        assert (await clocks.show(session, clock.id))[0].status == "ready"
