"""Subscriptions in the database: what runs ask, the cursors, the locks."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from tallystick.accounts import queries as accounts
from tallystick.accounts import service as account_commands
from tallystick.accounts.domain import Account, NewAccount
from tallystick.catalog import queries as catalog
from tallystick.catalog import service as catalog_commands
from tallystick.catalog.domain import ChargeTerms, Terms
from tallystick.kernel.actor import system_actor
from tallystick.kernel.errors import NotFound
from tallystick.platform.db import Database, Session
from tallystick.subscriptions import queries, repository, service
from tallystick.subscriptions.domain import Advance, AlreadyBilled, Subscription, due_at
from tallystick.subscriptions.invariants import INVARIANTS

ACTOR = system_actor("tests")
NOW = datetime(2024, 1, 31, 8, tzinfo=UTC)
USAGE = ChargeTerms("calls", "Calls", "api", "standard", {"unit_amount": "0.01"}, {}, "usage")


async def opened(session: Session) -> Account:
    return await account_commands.open_account(
        session, ACTOR, NewAccount(f"acc_{uuid4().hex}", "Ada"), now=NOW
    )


async def plan_id(session: Session, *, usage: bool = False) -> int:
    if usage:
        await catalog_commands.make_meter(
            session, ACTOR, code="api", name="API", aggregation="sum", field=None, filters={}, unit="call"
        )
    terms = Terms(Decimal("29.99"), "USD", charges=(USAGE,) if usage else ())
    made = await catalog_commands.make_plan(
        session, ACTOR, code=None, name="Pro", is_public=True, is_active=True, terms=terms
    )
    return made.id


async def started(session: Session, account: Account, plan: int, at: datetime = NOW) -> Subscription:
    return await service.start(session, ACTOR, account, service.Start(uuid4(), plan, at), now=NOW)


async def test_starting_brings_the_accounts_next_bill_forward(database: Database) -> None:
    async with database.write() as session:
        account = await opened(session)
        subscription = await started(session, account, await plan_id(session))
        again = (await accounts.by_nos(session, [account.no]))[account.no]
        assert account.next_billing_at != again.next_billing_at == subscription.next_billing_at == NOW
        assert await queries.due(session, NOW - timedelta(seconds=1), 10) == []
        assert await queries.due(session, NOW, 10) == [subscription]
        assert await queries.due(session, NOW, 10, (NOW, subscription.id)) == []
        assert await queries.billable(session, [account.no]) == [subscription]
        assert await queries.earliest_due(session, [account.no]) == NOW
        for name, statement in INVARIANTS.items():
            assert await session.fetch(statement) == [], name


async def test_billing_moves_the_cursors_of_a_batch(database: Database) -> None:
    async with database.write() as session:
        account = await opened(session)
        plan = await plan_id(session)
        made = [await started(session, account, plan) for _ in range(3)]
        later = datetime(2024, 2, 29, tzinfo=UTC)
        moves = [Advance(each.id, later, each.usage_billed_to, None) for each in made[:2]]
        assert await repository.advance(session, moves) == 2
        assert await repository.advance(session, []) == 0
        seen = {each.id: each for each in await queries.by_accounts(session, [account.no])}
        assert [seen[each.id].billed_to for each in made] == [later, later, NOW]
        assert [seen[each.id].revision for each in made] == [2, 2, 1]
        assert await queries.billable(session, [account.no]) == [made[2]]


async def test_an_end_before_billed_usage_is_refused(database: Database) -> None:
    async with database.write() as session:
        account = await opened(session)
        subscription = await started(session, account, await plan_id(session, usage=True))
        billed = datetime(2024, 2, 29, tzinfo=UTC)
        await repository.advance(session, [Advance(subscription.id, billed, billed, billed)])
        locked, owner = await service.locked(session, ACTOR, subscription.id)
        version = await catalog.current_version(session, 1)
        now = datetime(2024, 3, 5, tzinfo=UTC)
        with pytest.raises(AlreadyBilled):
            await service.end(session, ACTOR, locked, owner, version, at=billed - timedelta(days=1), now=now)
        ended = await service.end(session, ACTOR, locked, owner, version, at=billed, now=now)
        assert ended.next_billing_at is None
        assert (await accounts.by_nos(session, [owner.no]))[
            owner.no
        ].next_billing_at == owner.next_usage_billing_at


async def test_a_zone_change_reaches_subscriptions_that_began_before_it(database: Database) -> None:
    async with database.write() as session:
        account = await opened(session)
        plan = await plan_id(session)
        before = await started(session, account, plan)
        shown = await accounts.view(session, account.no)
        await account_commands.update(session, ACTOR, account, shown, {"timezone": "Asia/Tokyo"}, now=NOW)
        moved = await account_commands.locked(session, ACTOR, account.id)
        after = await started(session, moved, plan)
        seen = {each.id: each for each in await queries.by_accounts(session, [account.no])}
        assert [change.timezone for change in seen[before.id].zone_changes] == ["Asia/Tokyo"]
        assert seen[after.id].zone_changes == ()
        assert (seen[before.id].timezone, seen[after.id].timezone) == ("UTC", "Asia/Tokyo")
        version = await catalog.current_version(session, plan)
        from tallystick.entities import queries as entities

        assert due_at(seen[before.id], version, await entities.get(session, 1)) == NOW


async def test_two_commands_on_one_account_follow_one_another(database: Database) -> None:
    async with database.write() as session:
        account = await opened(session)
        plan = await plan_id(session)

    async def start_one() -> UUID:
        async with database.write() as session:
            locked = await account_commands.locked(session, ACTOR, account.id)
            return (await started(session, locked, plan)).id

    made = await asyncio.gather(*(start_one() for _ in range(4)))

    async def end_one(subscription_id: UUID) -> None:
        async with database.write() as session:
            found, owner = await service.locked(session, ACTOR, subscription_id)
            version = await catalog.current_version(session, plan)
            await service.end(session, ACTOR, found, owner, version, at=NOW, now=NOW)

    await asyncio.gather(*(end_one(each) for each in made))
    async with database.read() as session:
        for name, statement in INVARIANTS.items():
            assert await session.fetch(statement) == [], name
        assert await queries.billable(session, [account.no]) == []
        with pytest.raises(NotFound):
            await queries.by_id(session, uuid4())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE subscriptions SET quantity = 'NaN'",
        "UPDATE subscriptions SET quantity = 0",
        "UPDATE subscriptions SET quantity = 1e15",
        "UPDATE subscriptions SET ended_at = started_at - interval '1 second', canceled_at = started_at",
        "UPDATE subscriptions SET ended_at = started_at",
        "UPDATE subscriptions SET billed_to = anchor - interval '1 second'",
    ],
)
async def test_the_database_refuses_what_no_subscription_can_be(database: Database, statement: str) -> None:
    async with database.write() as session:
        await started(session, await opened(session), await plan_id(session))
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.write() as session:
            await session.execute(statement)


async def test_its_history_is_append_only(database: Database) -> None:
    async with database.write() as session:
        await started(session, await opened(session), await plan_id(session))
    for statement in ("UPDATE subscription_events SET event = 'ended'", "DELETE FROM subscription_events"):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with database.write() as session:
                await session.execute(statement)


async def test_starting_takes_few_statements(database: Database) -> None:
    counted: list[str] = []
    async with database.write() as session:
        account, plan = await opened(session), await plan_id(session, usage=True)
        session.connection.add_query_logger(lambda query: counted.append(query.query))
        await started(session, account, plan)
    assert 0 < len(counted) <= 10
