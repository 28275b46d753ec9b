"""Ingest on a real server: verdicts, races, the seal, partitions, the number of statements."""

import asyncio
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tallystick.kernel.actor import system_actor
from tallystick.metering import memory, queries, service
from tallystick.metering.domain.digest import content_digest, event_key, plain, properties_text
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.domain.slices import UsageSlice
from tallystick.metering.invariants import INVARIANTS
from tallystick.platform.db import Database

NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)
ACTOR = system_actor("tests")


async def furnish(database: Database, accounts: int = 3) -> None:
    """Accounts acc_1…, external ids ext_1…, and a meter of each kind."""
    async with database.write() as session:
        await session.execute(
            """
            INSERT INTO accounts (id, external_id, entity_id, currency, timezone, zone_history, livemode, metadata, usage_from,
                                  usage_billed_to, opened_at)
            SELECT 'acc_' || g, 'ext_' || g, 1, 'USD', 'UTC', '[]', true, '{}', $2, $2, $2 FROM generate_series(1, $1::int) g
            """,
            accounts,
            NOW,
        )
        await session.execute(
            """
            INSERT INTO meters (code, name, aggregation, field, filters, unit) VALUES
                ('calls', 'Calls', 'sum', NULL, '{}', 'call'), ('peak', 'Peak', 'max', NULL, '{}', 'seat'),
                ('users', 'Users', 'unique', 'user', '{}', 'user'), ('seats', 'Seats', 'latest', NULL, '{}', 'seat')
            """
        )


def event(number: int = 1, **fields: Any) -> IncomingEvent:
    return IncomingEvent(
        **{"id": f"e{number}", "meter": "calls", "account_id": "acc_1", "occurred_at": NOW, **fields}
    )


async def send(database: Database, *events: IncomingEvent, now: datetime = NOW) -> list[str]:
    verdicts = await service.ingest(database, ACTOR, events, now=now, request_id="r1")
    return [verdict.reason or verdict.status for verdict in verdicts]


async def stored_count(database: Database) -> int:
    async with database.read() as session:
        return int(await session.fetchval("SELECT count(*) FROM usage_events"))


async def check_invariants(database: Database) -> None:
    async with database.read() as session:
        for name, statement in INVARIANTS.items():
            assert await session.fetch(statement) == [], name


async def test_each_event_gets_its_verdict_and_the_good_ones_are_kept(database: Database) -> None:
    await furnish(database)
    verdicts = await send(
        database,
        event(1),
        event(2, quantity=5, unit_price=2, properties={"region": "eu"}),
        event(3, meter="nothing"),
        event(4, account_id="acc_9"),
        event(5, account_id=None, external_id="ext_2"),
        event(6, occurred_at=NOW + timedelta(hours=1)),
        event(1),
        event(2, quantity=6),
    )
    assert verdicts == [
        "accepted", "accepted", "unknown_meter", "unknown_account", "accepted", "future", "duplicate", "event_conflict",
    ]  # fmt: skip
    assert await send(database, event(1), event(2, quantity=6), event(7)) == [
        "duplicate",
        "event_conflict",
        "accepted",
    ]
    assert await stored_count(database) == 4
    await check_invariants(database)


async def test_a_retry_that_leaves_the_time_to_us_is_a_duplicate(database: Database) -> None:
    await furnish(database)
    assert await send(database, event(occurred_at=None)) == ["accepted"]
    assert await send(database, event(occurred_at=None), now=NOW + timedelta(seconds=9)) == ["duplicate"]


async def test_the_same_id_of_another_source_is_another_event(database: Database) -> None:
    await furnish(database)
    assert await send(database, event(), event(source="crm"), event(source="crm")) == [
        "accepted",
        "accepted",
        "duplicate",
    ]


async def test_what_is_stored_is_what_was_sent_and_its_digest_can_be_made_again(database: Database) -> None:
    await furnish(database)
    await send(
        database,
        event(
            quantity=3, unit_price=2, properties={"n": 10, "deep": None, "s": 'ü\n"', "t": True}, source="crm"
        ),
    )
    key = event_key("crm", "e1")
    async with database.read() as session:
        found = (await queries.stored(session, [key]))[key]
    assert (found.source, found.id, found.quantity, found.unit_price, found.occurred_at) == (
        "crm",
        "e1",
        3,
        2,
        NOW,
    )
    assert found.properties == {"n": 10, "deep": None, "s": 'ü\n"', "t": True}
    again = content_digest(
        key, found.account_no, found.meter_id, found.occurred_at, plain(found.quantity),
        plain(found.unit_price) if found.unit_price is not None else "", properties_text(found.properties),
    )  # fmt: skip
    assert int.from_bytes(again, "big") == found.checksum


async def test_racing_batches_with_common_events_in_opposite_order_store_each_once(
    database: Database,
) -> None:
    await furnish(database)
    events = [event(number) for number in range(200)]
    outcomes = await asyncio.gather(*(send(database, *(events if n % 2 else events[::-1])) for n in range(6)))
    counts = Counter(verdict for outcome in outcomes for verdict in outcome)
    assert counts == {"accepted": 200, "duplicate": 1000}
    assert await stored_count(database) == 200
    await check_invariants(database)


async def test_single_events_share_commits_and_each_gets_its_own_verdict(database: Database) -> None:
    await furnish(database)

    async def one(number: int, **fields: Any) -> str:
        verdict, _ = await service.ingest_one(
            database, ACTOR, event(number, **fields), now=NOW, request_id=""
        )
        return verdict.status

    outcomes = await asyncio.gather(*(one(n % 40) for n in range(80)), one(99, meter="nothing"))
    assert Counter(outcomes) == {"accepted": 40, "duplicate": 40, "invalid": 1}
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM ingest_batches") < 40
    await check_invariants(database)


async def test_a_row_the_store_refuses_harms_nobody_else_in_its_group(database: Database) -> None:
    await furnish(database)
    await send(database, event(0))
    bad = event(1, properties={"x": "\x00"})  # jsonb holds no NUL; over HTTP it is refused long before
    outcomes = await asyncio.gather(
        *(
            service.ingest_one(database, ACTOR, sent, now=NOW, request_id="")
            for sent in (event(2), bad, event(3))
        ),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [tuple, asyncpg.UntranslatableCharacterError, tuple]
    assert await stored_count(database) == 3


async def test_arrival_within_a_batch_is_the_order_sent(database: Database) -> None:
    await furnish(database)
    await send(database, *(event(n, meter="seats", quantity=n) for n in (5, 3, 9, 4)))
    async with database.read() as session:
        rows = await session.fetch("SELECT event_id FROM usage_events ORDER BY batch_id, position")
    assert [row["event_id"] for row in rows] == ["e5", "e3", "e9", "e4"]


class Counting:
    """Counts the statements of a pool's connections."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.statements: list[str] = []

    async def __aenter__(self) -> "Counting":
        self.connections = [await self.database.pool.acquire() for _ in range(5)]
        for connection in self.connections:
            connection.add_query_logger(self.count)
            await self.database.pool.release(connection)
        return self

    def count(self, record: Any) -> None:
        text = " ".join(record.query.split())
        if (
            "typeinfo_tree" not in text and "set_config('jit'" not in text
        ):  # the driver learning a type, once per connection
            self.statements.append(text[:70])

    async def __aexit__(self, *_: object) -> None:
        connections = [await self.database.pool.acquire() for _ in range(5)]
        for connection in connections:
            connection.remove_query_logger(self.count)
            await self.database.pool.release(connection)


@pytest.mark.parametrize("size", [1, 10, 3000])
async def test_a_request_takes_at_most_three_statements_whatever_its_size(
    database: Database, size: int
) -> None:
    await furnish(database)
    await service.prepare_months(database, {date(2024, 6, 1)})
    memory.of(database).months.add(date(2024, 6, 1))
    events = [event(number, account_id=f"acc_{number % 3 + 1}") for number in range(size)]
    for expected, wanted in (
        (3, "accepted"),
        (2, "duplicate"),
    ):  # cold: accounts, meters, write; warm: write, compare
        async with Counting(database) as counting:
            assert set(await send(database, *events)) == {wanted}
        assert len(counting.statements) == expected, counting.statements


async def test_accounts_on_a_test_clock_live_in_its_time(database: Database) -> None:
    await furnish(database)
    frozen = datetime(2031, 2, 28, tzinfo=UTC)
    async with database.write() as session:
        await session.execute(
            "INSERT INTO test_clocks (id, entity_id, name, frozen_time) VALUES ('00000000-0000-7000-8000-000000000001', 2, 'c', $1)",
            frozen,
        )
        await session.execute(
            "UPDATE accounts SET test_clock_id = '00000000-0000-7000-8000-000000000001', livemode = false WHERE id = 'acc_2'"
        )
    assert await send(database, event(1, account_id="acc_2", occurred_at=frozen)) == ["accepted"]
    assert await send(database, event(2, account_id="acc_2")) == ["too_late"]
    async with database.write() as session:
        await session.execute("UPDATE test_clocks SET frozen_time = $1", frozen + timedelta(days=300))
    assert await send(database, event(3, account_id="acc_2", occurred_at=frozen + timedelta(days=300))) == [
        "accepted"
    ]


async def test_a_closed_account_is_unknown_once_it_is_read_again(database: Database) -> None:
    await furnish(database)
    async with database.write() as session:
        await session.execute("UPDATE accounts SET status = 'closed', closed_at = now() WHERE id = 'acc_1'")
    assert await send(database, event()) == ["unknown_account"]


async def test_months_are_made_once_by_many_at_once(database: Database) -> None:
    await furnish(database)
    later = [event(n, occurred_at=NOW - timedelta(days=n % 30)) for n in range(60)]
    outcomes = await asyncio.gather(*(send(database, *later[n::4]) for n in range(4)))
    assert {verdict for outcome in outcomes for verdict in outcome} == {"accepted"}
    async with database.read() as session:
        assert await queries.months(session) == {date(2024, 5, 1), date(2024, 6, 1)}
        indexes = await session.fetch(
            "SELECT indrelid FROM pg_index WHERE indrelid::regclass::text LIKE '%usage_events_2024%'"
        )
    assert len(indexes) == 6


async def test_months_meet_at_midnight_utc(database: Database) -> None:
    await furnish(database)
    edge = datetime(2024, 6, 1, tzinfo=UTC)
    await send(database, event(1, occurred_at=edge), event(2, occurred_at=edge - timedelta(microseconds=1)))
    async with database.read() as session:
        rows = await session.fetch(
            "SELECT event_id, tableoid::regclass::text AS part FROM usage_events ORDER BY event_id"
        )
    assert [row["part"][-7:] for row in rows] == ["2024_06", "2024_05"]


async def test_a_month_that_is_remembered_but_gone_is_made_again(database: Database) -> None:
    await furnish(database)
    memory.of(database).months.add(date(2024, 6, 1))
    assert await send(database, event()) == ["accepted"]


async def test_events_cannot_be_changed_or_deleted(database: Database) -> None:
    await furnish(database)
    await send(database, event())
    for table in ("usage_events", "event_keys", "ingest_batches"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.RestrictViolationError):
                async with database.write() as session:
                    await session.execute(statement)


async def test_a_batch_under_way_is_never_sealed_whatever_commits_before_it(database: Database) -> None:
    await furnish(database)
    await send(database, event(1))
    assert await service.seal(database, patience=5) == 1
    async with database.write() as slow:
        # A writer that has taken its batch and not committed: transaction id first, batch id after, as the statement does.
        await slow.fetchval("SELECT pg_current_xact_id()")
        taken = await slow.fetchval("SELECT nextval('ingest_batch_ids')")
        await send(database, event(2))
        assert await service.seal(database) < taken
        assert await service.seal(database, patience=0.05) < taken
    assert await service.seal(database, patience=5) == taken + 1


async def test_seals_run_side_by_side_and_only_forward(database: Database) -> None:
    await furnish(database)
    reached = 0
    for number in range(10):
        await send(database, event(number))
        marks = await asyncio.gather(*(service.seal(database, patience=5) for _ in range(3)))
        assert min(marks) > reached
        reached = max(marks)
    await check_invariants(database)


async def test_writers_and_sealers_at_once_lose_nothing(database: Database) -> None:
    """What is sealed is final: a count up to the seal is the same now and after everything has been written."""
    await furnish(database)
    seen: list[tuple[int, int]] = []
    stop = asyncio.Event()

    async def watch() -> None:
        while not stop.is_set():
            mark = await service.seal(database)
            async with database.read() as session:
                count = await session.fetchval("SELECT count(*) FROM usage_events WHERE batch_id <= $1", mark)
            seen.append((mark, count))

    async def write(writer: int) -> None:
        for number in range(30):
            await send(database, event(writer * 1000 + number))

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(write(writer) for writer in range(3)))
    stop.set()
    await watcher
    assert await service.seal(database, patience=5) == 90
    async with database.read() as session:
        for mark, count in seen:
            assert count == await session.fetchval(
                "SELECT count(*) FROM usage_events WHERE batch_id <= $1", mark
            )


async def test_a_void_is_a_row_of_its_own_and_a_repeat_does_nothing(database: Database) -> None:
    await furnish(database)
    await send(database, event(1), event(2))
    key = event_key("", "e1")
    for expected in (True, False):
        async with database.write() as session:
            found = (await queries.stored(session, [key]))[key]
            assert (
                await service.void(session, ACTOR, found, now=NOW, reason="wrong", request_id="r") is expected
            )
    async with database.read() as session:
        voided = (await queries.stored(session, [key]))[key]
        assert voided.voided_by is not None
        assert voided.voided_by > voided.batch_id
        meter = voided.meter_id
        bounds = (NOW - timedelta(days=1), NOW + timedelta(days=1))
        before = UsageSlice(voided.account_no, meter, "sum", *bounds, to_batch=voided.batch_id)
        after = UsageSlice(voided.account_no, meter, "sum", *bounds, to_batch=voided.voided_by)
        totals = await queries.aggregate(session, [before, after])
        assert [(total.quantity, total.count) for total in totals] == [(2, 2), (1, 1)]
        assert [e.id for e in await queries.events(session, before, 10)] == ["e1", "e2"]
        assert [e.id for e in await queries.events(session, after, 10)] == ["e2"]
    await check_invariants(database)
