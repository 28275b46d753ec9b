"""Accounts in the database: constraints, races, erasure, and how many statements a command takes."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from tallystick.accounts import queries, repository, service
from tallystick.accounts.domain import ClockBusy, EmailTaken, ExternalIdTaken, NewAccount, UnknownClock
from tallystick.accounts.invariants import INVARIANTS
from tallystick.kernel.actor import system_actor
from tallystick.kernel.errors import NotFound
from tallystick.platform.db import Database, Session

ACTOR = system_actor("tests")
NOW = datetime(2024, 1, 31, 23, 30, tzinfo=UTC)


def new(**fields: object) -> NewAccount:
    return replace(NewAccount(f"acc_{uuid4().hex}", "Ada"), **fields)


async def test_opening_derives_zone_currency_and_the_first_usage_month(database: Database) -> None:
    async with database.write() as session:
        account = await service.open_account(session, ACTOR, new(phone="+4915112345678"), now=NOW)
    assert (account.timezone, account.currency, account.entity_id) == ("Europe/Berlin", "USD", 1)
    assert account.opened_at == NOW
    # in Berlin it is February already
    assert account.usage_from == account.usage_billed_to == datetime(2024, 1, 31, 23, tzinfo=UTC)
    assert account.next_usage_billing_at == account.next_billing_at == datetime(2024, 3, 1, 0, tzinfo=UTC)
    async with database.read() as session:
        assert await queries.by_id(session, account.id) == account
        assert await queries.by_nos(session, [account.no, 77]) == {account.no: account}
        assert await queries.by_ids(session, [account.id, "acc_x"]) == {account.id: account}
        assert await queries.names(session, [account.no]) == {account.no: "Ada"}


async def test_a_backfill_opens_an_earlier_first_month(database: Database) -> None:
    early = new(usage_from=datetime(2023, 2, 14, tzinfo=UTC))
    async with database.write() as session:
        account = await service.open_account(session, ACTOR, early, now=NOW)
    assert account.usage_from == datetime(2023, 2, 1, tzinfo=UTC)
    assert account.next_usage_billing_at == datetime(2023, 3, 1, 1, tzinfo=UTC)


async def test_an_email_and_an_external_id_are_given_once_however_many_race(database: Database) -> None:
    async def open_one(taken: NewAccount) -> str:
        try:
            async with database.write() as session:
                await service.open_account(session, ACTOR, taken, now=NOW)
        except (EmailTaken, ExternalIdTaken) as refused:
            return refused.code
        return "opened"

    emails = await asyncio.gather(*(open_one(new(email=f"A{'a' * (n % 2)}@x.org".upper())) for n in range(1)), *(
        open_one(new(email=email)) for email in ("a@x.org", "A@X.org", "a@X.ORG")
    ))  # fmt: skip
    assert sorted(emails) == ["email_taken"] * 3 + ["opened"]
    ids = await asyncio.gather(*(open_one(new(external_id="crm-1")) for _ in range(4)))
    assert sorted(ids) == ["external_id_taken"] * 3 + ["opened"]
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM accounts") == 2


async def test_an_account_on_a_clock_lives_by_it(database: Database) -> None:
    clock_id, frozen = uuid4(), datetime(2020, 2, 29, 12, tzinfo=UTC)
    async with database.write() as session:
        clock = await service.make_clock(session, ACTOR, clock_id=clock_id, name="leap", frozen_time=frozen)
        account = await service.open_account(session, ACTOR, new(test_clock_id=clock_id), now=NOW)
        live = await service.open_account(session, ACTOR, new(), now=NOW)
        with pytest.raises(UnknownClock):
            await service.open_account(session, ACTOR, new(test_clock_id=UUID(int=1)), now=NOW)
    assert (clock.entity_id, account.entity_id, account.livemode, account.opened_at) == (2, 2, False, frozen)
    async with database.write() as session:
        assert await queries.business_now(session, account, NOW) == frozen
        assert await queries.business_nows(session, [account, live], NOW) == {
            account.no: frozen,
            live.no: NOW,
        }
        assert await queries.accounts_on(session, clock_id) == [account.no]
        assert await queries.advancing_clock(session) is None
        locked = await repository.lock_clock(session, clock_id)
        assert locked == clock
        target = datetime(2020, 3, 1, tzinfo=UTC)
        await repository.set_clock(session, clock_id, frozen_time=frozen, status="advancing", target=target)
        assert await queries.advancing_clock(session) == clock_id
        with pytest.raises(ClockBusy):
            await service.open_account(session, ACTOR, new(test_clock_id=clock_id), now=NOW)
        assert await repository.lock_clock(session, UUID(int=1)) is None


async def test_closing_erases_personal_data_and_frees_what_was_taken(database: Database) -> None:
    person = new(email="ada@x.org", phone="+4915112345678", external_id="crm-1", metadata={"note": "VIP"})
    async with database.write() as session:
        account = await service.open_account(session, ACTOR, person, now=NOW)
        await service.close(session, ACTOR, account, NOW)
        await service.open_account(session, ACTOR, replace(person, id="acc_second"), now=NOW)
    async with database.write() as session:
        closed = await queries.by_id(session, account.id)
        assert (closed.status, closed.closed_at, closed.external_id, closed.next_billing_at) == (
            "closed",
            NOW,
            None,
            None,
        )
        await service.close(session, ACTOR, closed, NOW)
        with pytest.raises(NotFound):
            await queries.visible(session, ACTOR, account.id)
        with pytest.raises(NotFound):
            await service.locked(session, ACTOR, account.id)
        assert await queries.names(session, [account.no]) == {}
        logged = await session.fetch("SELECT * FROM audit_log WHERE object_id = $1", account.id)
        assert [row["action"] for row in logged] == ["account.opened", "account.closed"]
        for row in logged:
            assert "ada@x.org" not in str(dict(row))
            assert "+4915112345678" not in str(dict(row))
        for name, statement in INVARIANTS.items():
            assert await session.fetch(statement) == [], name


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET status = 'closed'",
        "UPDATE accounts SET status = 'gone'",
        "UPDATE accounts SET usage_billed_to = usage_from - interval '1 second'",
        "UPDATE accounts SET next_billing_at = next_usage_billing_at + interval '1 second'",
        "UPDATE account_profiles SET email = 'a@x.org'",
    ],
)
async def test_the_database_refuses_what_no_account_can_be(database: Database, statement: str) -> None:
    async with database.write() as session:
        await service.open_account(session, ACTOR, new(), now=NOW)
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.write() as session:
            await session.execute(statement)


async def test_two_changes_of_one_account_follow_one_another(database: Database) -> None:
    async with database.write() as session:
        account = await service.open_account(session, ACTOR, new(), now=NOW)
    first_holds, release = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with database.write() as session:
            locked = await service.locked(session, ACTOR, account.id)
            first_holds.set()
            await release.wait()
            shown = await queries.view(session, locked.no)
            await service.update(session, ACTOR, locked, shown, {"name": "First"}, now=NOW)

    async def second() -> int:
        await first_holds.wait()
        async with database.write() as session:
            locked = await service.locked(session, ACTOR, account.id)
            return locked.revision

    writer, reader = asyncio.create_task(slow()), asyncio.create_task(second())
    await first_holds.wait()
    await asyncio.sleep(0.1)
    assert not reader.done()
    release.set()
    await writer
    assert await reader == 2


async def test_runs_share_accounts_and_move_them_together(database: Database) -> None:
    async with database.write() as session:
        made = [await service.open_account(session, ACTOR, new(), now=NOW) for _ in range(3)]
    nos = [account.no for account in made]
    async with database.write() as one, database.write() as other:
        assert list(await repository.lock_many(one, nos[:2])) == nos[:2]
        assert list(await repository.lock_many(other, nos, skip_locked=True)) == nos[2:]
        later = datetime(2024, 3, 1, tzinfo=UTC)
        await repository.advance_usage(one, [(no, later, None) for no in nos[:2]])
        await repository.set_next_billing(one, [(no, None) for no in nos[:2]])
        await repository.advance_usage(one, [])
        await repository.set_next_billing(one, [])
    async with database.read() as session:
        moved = await queries.by_nos(session, nos)
    assert [moved[no].usage_billed_to == later for no in nos] == [True, True, False]
    assert [moved[no].next_billing_at for no in nos[:2]] == [None, None]


async def test_what_metering_asks_about_accounts(database: Database) -> None:
    async with database.write() as session:
        account = await service.open_account(session, ACTOR, new(external_id="crm-1"), now=NOW)
    async with database.read() as session:
        row = (account.no, account.id, 1, "crm-1", None)
        assert await queries.for_metering(session, 1, [account.id], []) == [row]
        assert await queries.for_metering(session, 1, [], ["crm-1"]) == [row]
        assert await queries.for_metering(session, 2, [], ["crm-1"]) == []
        assert await queries.by_external_ids(session, 1, ["crm-1"]) == {"crm-1": account}


async def test_opening_takes_few_statements(database: Database) -> None:
    counted: list[str] = []

    async with database.write() as session:
        session.connection.add_query_logger(lambda query: counted.append(query.query))
        await service.open_account(session, ACTOR, new(email="ada@x.org"), now=NOW)
    assert 0 < len(counted) <= 10


async def billing_index(session: Session) -> str:
    rows = await session.fetch(
        "EXPLAIN SELECT no FROM accounts WHERE next_billing_at <= now() AND test_clock_id IS NULL ORDER BY next_billing_at, no LIMIT 9"
    )
    return "\n".join(row[0] for row in rows)


async def test_due_accounts_are_found_by_their_index(database: Database) -> None:
    async with database.write() as session:
        await session.execute(
            """
            INSERT INTO accounts (id, entity_id, currency, timezone, zone_history, livemode, metadata, usage_from, usage_billed_to,
                next_usage_billing_at, next_billing_at, opened_at)
            SELECT 'acc_' || n, 1, 'USD', 'UTC', '[]', true, '{}', $1::timestamptz, $1, d, d, $1
            FROM generate_series(1, 5000) n, LATERAL (SELECT $1::timestamptz + n * interval '1 hour' AS d) due
            """,
            NOW,
        )
        await session.execute("ANALYZE accounts")
        assert "ix_accounts_next_billing_at" in await billing_index(session)
