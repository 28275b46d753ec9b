"""Backfills over random lives: what stands is always what the events come to, the diff is the correction, a revert undoes it; and crashes."""

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tallystick.accounts import queries as accounts
from tallystick.billing.comparing.diff import diff
from tallystick.billing.service import explaining
from tallystick.billing.service.book import Shelf, read_book
from tallystick.cli.doctor import examine
from tallystick.invoicing import queries as invoices
from tallystick.ledger import queries as books
from tallystick.metering import queries as metering
from tallystick.metering.backfills import amending, service
from tallystick.metering.backfills.domain import (
    Amendment,
    Backfill,
    BackfillEventTaken,
    BackfillFull,
    EventAmended,
    EventIsVoid,
    Mode,
    NewBackfill,
    State,
)
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import prepare_months, seal
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid
from tests.db.test_billing_random import ACTOR, AGGREGATIONS, BEGIN, SEEDS
from tests.db.test_billing_recorded import METER, account, at, bill, healthy, use
from tests.db.test_billing_subscriptions import all_invoices, shown
from tests.db.test_corrections_random import Disorder, from_scratch, stands

LIMIT = timedelta(days=35)


async def opened(
    database: Database, who: list[str] | None, meters: list[str], window: tuple[datetime, datetime], mode: Mode, now: datetime
) -> UUID:  # fmt: skip
    new = NewBackfill(new_uuid(), mode, None if who is None else tuple(who), tuple(meters), *window, "")
    async with database.write() as session:
        return (await service.open_backfill(session, ACTOR, new, now)).id


async def commit(database: Database, backfill: UUID, now: datetime, **more: Any) -> Backfill:
    async with database.write() as session:
        return await service.commit(session, ACTOR, backfill, now, **more)


async def revert(database: Database, backfill: UUID, now: datetime) -> Backfill:
    async with database.write() as session:
        return await service.revert(session, ACTOR, backfill, now)


class Filled(Disorder):
    """Lives whose past is filled up or replaced, and amended."""

    async def backfill(self, now: datetime, number: int) -> UUID:
        start = BEGIN + timedelta(days=self.chance.randrange(60))
        end = min(start + timedelta(days=self.chance.randrange(1, 80)), now)
        meters = self.chance.sample((*AGGREGATIONS, METER), self.chance.randint(2, 6))
        owners = self.chance.sample(self.accounts, self.chance.randint(2, 6))
        who = [each.id for each in owners] if self.chance.random() < 0.7 else None
        mode = self.chance.choice((Mode.ADD, Mode.REPLACE, Mode.REPLACE))
        found = await opened(self.database, who, meters, (start, end), mode, now)
        events = [
            IncomingEvent(
                id=f"b{number}-{n}", account_id=self.chance.choice(owners).id, meter=self.chance.choice(meters),
                quantity=Decimal(self.chance.randrange(0, 6000)) / 100, occurred_at=start + (end - start) * self.chance.random(),
                unit_price=Decimal(self.chance.choice(("0.07", "0.1"))) if self.chance.random() < 0.4 else None,
                properties={"who": self.chance.choice("abcd")},
            )
            for n in range(self.chance.randint(1, 40))
        ]  # fmt: skip
        verdicts = await service.stage(self.database, ACTOR, found, events, now)
        assert {verdict.status for verdict in verdicts} == {"accepted"}
        return found

    async def amend_some(self, now: datetime) -> int:
        done = 0
        for _ in range(8):
            key = event_key("", str(self.chance.randrange(1, self.events + 1)))
            wanted = Amendment(
                quantity=Decimal(self.chance.randrange(1, 5000)) / 100,
                occurred_at=now - timedelta(days=self.chance.randrange(1, 60))
                if self.chance.random() < 0.3
                else None,
            )
            if wanted.occurred_at is not None:
                await prepare_months(self.database, {wanted.occurred_at.date().replace(day=1)})
            try:
                async with self.database.write() as session:
                    event = (await metering.stored(session, [key]))[key]
                    made = await amending.amend(session, ACTOR, event, wanted, now=now, late_limit=LIMIT)
                assert made.quantity == wanted.quantity
                done += 1
            except (EventIsVoid, EventAmended):
                continue
        return done

    async def stand(self) -> dict[tuple[Any, ...], Decimal]:
        """What documents say, and that it is what the events come to."""
        found: dict[tuple[Any, ...], Decimal] = {}
        async with self.database.snapshot() as session:
            for each in self.accounts:
                own = await stands(session, each.no)
                assert own == await from_scratch(session, each.no)
                found |= {(each.id, *key): amount for key, amount in own.items()}
        return found

    async def covered(self) -> dict[tuple[str, UUID | None], datetime]:
        """Until when usage is billed, by account and subscription."""
        async with self.database.snapshot() as session:
            book = await read_book(session, [each.no for each in self.accounts], Shelf())
        return {(each.id, None): each.usage_billed_to for each in book.accounts.values()} | {
            (book.accounts[no].id, each.id): each.usage_billed_to
            for no, owned in book.all_subscriptions.items()
            for each in owned
        }


def periods(stand: dict[tuple[Any, ...], Decimal]) -> dict[tuple[Any, ...], Decimal]:
    """By account, subscription and period."""
    found: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for key, amount in stand.items():
        found[key[:3]] += amount
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_pasts_are_replaced_and_given_back(database: Database, seed: int) -> None:
    """`TALLYSTICK_SEED` runs one seed of your own."""
    lives = Filled(database, seed)
    await lives.begin()
    now = BEGIN
    for days in (10, 31, 25, 40):
        now, before = now + timedelta(days=days, hours=1), now
        await lives.use(before, now)
        assert await lives.amend_some(now)
        await lives.bill(now)
    now += timedelta(days=40)
    await lives.bill(now)
    committed: list[tuple[UUID, dict[tuple[Any, ...], Decimal], dict[Any, datetime]]] = []
    for number in range(3):
        was, covered = await lives.stand(), await lives.covered()
        backfill = await lives.backfill(now, number)
        seen = await diff(database, ACTOR, backfill, now)
        assert seen == await diff(database, ACTOR, backfill, now)
        assert seen.problems == []
        await commit(database, backfill, now, digest=seen.digest)
        now += timedelta(days=35)  # every account has a bill a month
        await lives.bill(now)
        will = await lives.stand()
        moved: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
        for line in seen.lines:
            if line.outcome != "open_period":
                moved[line.account_id, line.subscription_id, line.period_start] += line.amount_difference
        closed, after = periods(was), periods(will)
        assert {key: after[key] - closed[key] for key in {*closed, *moved} if after[key] != closed[key]} == {
            key: amount for key, amount in moved.items() if amount
        }
        committed.append((backfill, was, covered))
    for backfill, was, covered in reversed(committed):
        assert (await revert(database, backfill, now)).state is State.REVERTED
        now += timedelta(days=35)  # every account has a bill a month
        await lives.bill(now)
        given = await lives.stand()
        assert {key: amount for key, amount in given.items() if key[2] < covered[key[:2]]} == was
    async with database.snapshot() as session:
        found = (await invoices.invoices(session, limit=200)).rows
        reports = [await explaining.verify(session, each) for each in found]
        balances = await books.trial_balance(session)
    assert [report.problems for report in reports if not report.agrees] == []
    assert [each for each in await examine(database) if each["violations"]] == []
    assert sum(each.debit for each in balances) == sum(each.credit for each in balances)


JANUARY = at("2026-01-01"), at("2026-02-01")
NOW = at("2026-02-10")


def event(who: str, name: str, units: int, when: str = "2026-01-15") -> IncomingEvent:
    return IncomingEvent(
        id=name,
        account_id=who,
        meter=METER,
        quantity=Decimal(units),
        unit_price=Decimal(1),
        occurred_at=at(when),
    )


async def billed(database: Database) -> str:
    who = await account(database)
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    assert (await bill(database, "2026-02-01T01:00")).invoices == 1
    return who.id


async def test_a_crash_in_the_middle_of_a_commit_leaves_nothing_of_it(
    database: Database, database_url: str
) -> None:
    """The backend is killed while it waits half-way: behind a batch, behind the voids, before the last event."""
    who = await billed(database)
    backfill = await opened(database, [who], [METER], JANUARY, Mode.REPLACE, NOW)
    await service.stage(database, ACTOR, backfill, [event(who, "a", 3), event(who, "b", 4)], NOW)
    other = await asyncpg.connect(database_url)
    held = other.transaction()
    await held.start()
    await other.execute(
        "INSERT INTO event_keys (key, account_no, occurred_at, meter_id) VALUES ($1, 1, now(), 1)", UUID(bytes=event_key("", "b"))
    )  # fmt: skip
    running = asyncio.create_task(commit(database, backfill, NOW))
    watcher = await asyncpg.connect(database_url)
    victim = None
    while victim is None:
        await asyncio.sleep(0.02)
        victim = await watcher.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    await watcher.execute("SELECT pg_terminate_backend($1)", victim)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await running
    await held.rollback()
    left = await watcher.fetchrow(
        """
        SELECT (SELECT count(*) FROM event_voids) AS voids, (SELECT count(*) FROM usage_events) AS events,
               (SELECT state FROM backfills) AS state, (SELECT count(*) FROM backfill_events) AS staged
        """
    )
    assert tuple(left) == (0, 1, "open", 2)
    await other.close()
    await watcher.close()
    done = await commit(database, backfill, NOW)
    assert (done.added, done.replaced) == (2, 1)
    await healthy(database)


async def test_a_bill_made_meanwhile_counts_nothing_of_an_open_commit(database: Database) -> None:
    """The commit's one batch is sealed only when its transaction has ended: bills count all of it or nothing."""
    who = await account(database)
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    backfill = await opened(
        database, [who.id], [METER], (at("2026-01-01"), at("2026-01-20")), Mode.REPLACE, at("2026-01-20")
    )
    await service.stage(database, ACTOR, backfill, [event(who.id, "a", 3)], at("2026-01-20"))
    await seal(database, patience=5)
    async with database.write() as session:
        await service.commit(session, ACTOR, backfill, at("2026-01-20"))
        # What a sealer could see at worst: it is asked again and again while the commit is open.
        for _ in range(3):
            sealed = await seal(database)
            done = await session.fetchval("SELECT commit_batch FROM backfills")
            assert sealed < done
    await seal(database, patience=5)
    assert (await bill(database, "2026-02-01T01:00")).invoices == 1
    ((_, lines),) = await all_invoices(database)
    assert shown(lines) == [("Database Hosting", "3.00")]
    await healthy(database)


async def test_an_id_that_comes_by_another_door_meanwhile_stops_the_commit_whole(database: Database) -> None:
    who = await billed(database)
    backfill = await opened(database, [who], [METER], JANUARY, Mode.REPLACE, NOW)
    await service.stage(database, ACTOR, backfill, [event(who, "a", 3), event(who, "b", 4)], NOW)
    async with database.read() as session:
        owner = await accounts.by_id(session, who)
    await use(database, owner, "b", "2026-01-15", "5", "1", now="2026-02-10")
    with pytest.raises(BackfillEventTaken):
        await commit(database, backfill, NOW)
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM event_voids") == 0
        assert (
            await session.fetchval(
                "SELECT count(*) FROM event_keys WHERE key = $1", UUID(bytes=event_key("", "a"))
            )
            == 0
        )
    await healthy(database)


async def test_two_amendments_at_once_make_one(database: Database) -> None:
    who = await billed(database)
    del who
    key = event_key("", "1")

    async def amend(units: int) -> str:
        async with database.write() as session:
            stored = (await metering.stored(session, [key]))[key]
            wanted = Amendment(quantity=Decimal(units))
            return (await amending.amend(session, ACTOR, stored, wanted, now=NOW, late_limit=LIMIT)).id

    same = await asyncio.gather(*(amend(5) for _ in range(4)))
    assert set(same) == {"1~2"}
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM event_successions") == 1
    await healthy(database)


async def test_a_backfill_holds_so_many_events_and_no_more(database: Database) -> None:
    who = await billed(database)
    backfill = await opened(database, [who], [METER], JANUARY, Mode.ADD, NOW)
    async with database.write() as session:
        await session.execute("UPDATE backfills SET staged = 99_999")
    with pytest.raises(BackfillFull):
        await service.stage(database, ACTOR, backfill, [event(who, "a", 3), event(who, "b", 4)], NOW)
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM backfill_events") == 0


async def test_a_diff_costs_the_same_number_of_statements_for_any_number_of_accounts(
    database: Database,
) -> None:
    """Set-based: ten accounts are compared by no more statements than two."""
    counts = []
    for many in (2, 10):
        ids = [(await account(database)).id for _ in range(many)]
        backfill = await opened(
            database, ids, [METER], (at("2026-01-11"), at("2026-01-20")), Mode.ADD, at("2026-01-20")
        )
        await service.stage(
            database, ACTOR, backfill, [event(who, f"{who}", 3) for who in ids], at("2026-01-20")
        )
        counts.append(await _statements(database, backfill))
    assert counts[0] == counts[1]


async def _statements(database: Database, backfill: UUID) -> int:
    await diff(database, ACTOR, backfill, at("2026-01-20"))  # seals and sweeps what came before
    seen = 0

    def count(_record: Any) -> None:
        nonlocal seen
        seen += 1

    connections = [holder._con for holder in database.pool._holders if holder._con is not None]
    for connection in connections:
        connection.add_query_logger(count)
    await diff(database, ACTOR, backfill, at("2026-01-20"))
    for connection in connections:
        connection.remove_query_logger(count)
    return seen


PLANTED = {
    "metering.what_stands_for_an_event_stands_for_a_void_one": "DELETE FROM event_voids WHERE key = (SELECT former FROM event_successions LIMIT 1)",
    "metering.only_open_backfills_hold_events": "UPDATE backfills SET staged = staged + 1 WHERE state = 'open'",
    "metering.a_backfill_did_what_it_says": "UPDATE backfills SET added = added + 1 WHERE state = 'reverted'",
}


@pytest.mark.parametrize("name", PLANTED)
async def test_doctor_finds_what_does_not_fit(database: Database, name: str) -> None:
    who = await billed(database)
    backfill = await opened(database, [who], [METER], JANUARY, Mode.REPLACE, NOW)
    await service.stage(database, ACTOR, backfill, [event(who, "a", 3)], NOW)
    await commit(database, backfill, NOW)
    await revert(database, backfill, NOW)
    await opened(database, [who], [METER], JANUARY, Mode.REPLACE, NOW)
    await healthy(database)
    async with database.write() as session:
        await session.execute(
            "SET LOCAL session_replication_role = replica"
        )  # as someone with the database's own rights
        assert await session.execute(PLANTED[name]) == 1
    assert name.removeprefix("metering.") in "".join(
        each["invariant"] for each in await examine(database) if each["violations"]
    )
