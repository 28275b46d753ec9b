"""The ledger against PostgreSQL: balances chain, repeats do nothing, races lose nothing."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from tallystick.ledger import invariants, queries, repository, service
from tallystick.ledger.domain import Entry, Posting
from tallystick.platform.db import Database

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def sale(key: str, account_no: int, amount: str = "11.90", tax: str = "1.90", **changes: object) -> Posting:
    gross, vat = Decimal(amount), Decimal(tax)
    entries = (
        Entry("receivable", gross, account_no),
        Entry("revenue", vat - gross, gl_code="4000"),
        Entry("tax:vat", -vat),
    )
    fields: dict[str, object] = {
        "key": key, "kind": "sale", "entity_id": 1, "currency": "EUR", "occurred_at": NOW, "source_type": "test",
        "source_id": key, "entries": entries,
    }  # fmt: skip
    return Posting(**{**fields, **changes})  # type: ignore[arg-type]


async def broken(database: Database) -> dict[str, int]:
    async with database.read() as session:
        found = {
            name: len(await session.fetch(sql))
            for name, sql in invariants.INVARIANTS.items()
            if name
            != "ledger_customers_stand_in_their_entity"  # the books alone are under test: nobody has these numbers
        }
    return {name: count for name, count in found.items() if count}


async def test_post_writes_entries_and_balances(database: Database) -> None:
    async with database.write() as session:
        assert await service.post(session, [sale("a", 7), sale("b", 8), sale("c", 7, "5.95", "0.95")]) == 3
    async with database.read() as session:
        assert await queries.balances(session, 7, "receivable") == {"EUR": Decimal("17.85")}
        page = await queries.entries(session, limit=50, account_no=7)
        assert [(e.version, e.balance) for e in page.rows] == [(2, Decimal("17.85")), (1, Decimal("11.90"))]
        lines = await queries.trial_balance(session)
    assert {(line.account, line.debit, line.credit) for line in lines} == {
        ("receivable", Decimal("29.75"), 0), ("revenue", 0, Decimal("25.00")), ("tax:vat", 0, Decimal("4.75")),
    }  # fmt: skip
    assert await broken(database) == {}


async def test_one_batch_chains_many_entries_of_one_account(database: Database) -> None:
    async with database.write() as session:
        await service.post(session, [sale("first", 7)])
    async with database.write() as session:
        await service.post(session, [sale(f"k{n:03}", 7 + n % 2, "1.19", "0.19") for n in range(200)])
    async with database.read() as session:
        page = await queries.entries(session, limit=200, account_no=7)
    assert [e.version for e in page.rows] == list(range(101, 0, -1))
    steps = [e.balance for e in reversed(page.rows)]
    assert steps == [Decimal("11.90") + n * Decimal("1.19") for n in range(101)]
    assert await broken(database) == {}


async def test_a_repeat_is_a_no_op_and_other_content_a_conflict(database: Database) -> None:
    async with database.write() as session:
        await service.post(session, [sale("a", 7)])
    later = sale("a", 7, occurred_at=datetime(2026, 4, 1, tzinfo=UTC))
    async with database.write() as session:
        assert await service.post(session, [later, sale("b", 7), sale("b", 7)]) == 1
    async with database.read() as session:
        assert await queries.balances(session, 7, "receivable") == {"EUR": Decimal("23.80")}
    for other in ([sale("a", 8)], [sale("a", 7, "5.95", "0.95")], [sale("x", 7), sale("x", 8)]):
        with pytest.raises(service.PostedOtherwise):
            async with database.write() as session:
                await service.post(session, other)
    assert await broken(database) == {}


async def test_reverse_returns_every_balance_to_where_it_was(database: Database) -> None:
    async with database.write() as session:
        await service.post(session, [sale("a", 7)])
        assert await service.reverse(session, "a", key="a:void", kind="void", now=NOW)
        assert await service.reverse(session, "a", key="a:void", kind="void", now=NOW)
        assert not await service.reverse(session, "nothing", key="n:void", kind="void", now=NOW)
    async with database.read() as session:
        lines = await queries.trial_balance(session)
    assert {(line.debit, line.credit) for line in lines} == {(0, 0)}
    assert await broken(database) == {}


async def test_racing_writers_of_the_same_accounts_and_keys(database: Database) -> None:
    """Batches name the same customers in opposite orders and share keys: no deadlock, no lost update, each key once."""

    async def batch(worker: int) -> None:
        async with database.write() as session:
            numbers = range(40) if worker % 2 else range(39, -1, -1)
            postings = [sale(f"shared-{n}", 100 + n % 10) for n in numbers]
            await service.post(
                session, [*postings, *(sale(f"own-{worker}-{n}", 100 + n % 10) for n in numbers)]
            )

    await asyncio.gather(*(batch(worker) for worker in range(8)))
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM ledger_postings") == 40 + 8 * 40
        lines = await queries.trial_balance(session)
    assert sum(line.debit for line in lines) == sum(line.credit for line in lines) == Decimal("11.90") * 360
    assert await broken(database) == {}


async def test_the_trial_balance_is_zero_while_money_moves(database: Database) -> None:
    running = True

    async def move(worker: int) -> None:
        n = 0
        while running:
            async with database.write() as session:
                await service.post(session, [sale(f"{worker}-{n}-{k}", k) for k in range(1, 4)])
            n += 1

    movers = [asyncio.create_task(move(worker)) for worker in range(3)]
    seen = set()
    for _ in range(2000):
        async with database.read() as session:
            lines = await queries.trial_balance(session)
        assert sum(line.debit - line.credit for line in lines) == 0
        seen.add(sum(line.debit for line in lines))
        if len(seen) > 30:
            break
        await asyncio.sleep(0.002)
    running = False
    await asyncio.gather(*movers)
    assert len(seen) > 30, "nothing moved while we looked"


async def test_closing_changes_no_balance(database: Database) -> None:
    async with database.write() as session:
        await service.post(session, [sale("a", 7), sale("b", 8)])
        before = await queries.trial_balance(session)
    assert await service.close(database) == 2
    assert await service.close(database) == 0
    async with database.write() as session:
        assert await queries.trial_balance(session) == before
        await service.post(session, [sale("c", 7)])
    async with database.read() as session:
        lines = await queries.trial_balance(session)
    assert sum(line.credit for line in lines) == Decimal("35.70")
    assert await service.close(database) == 2
    async with database.read() as session:
        assert await queries.trial_balance(session) == lines
    assert await broken(database) == {}


async def test_closing_gives_way_to_a_posting_under_way(database: Database) -> None:
    """A posting that has its id but is not committed would be missing from the sum: closing waits for it, but not for long."""
    async with database.write() as session:
        await service.post(session, [sale("a", 7)])
        assert await service.close(database) is None
    assert await service.close(database) == 2


async def test_closing_while_money_moves_loses_nothing(database: Database) -> None:
    async def move(worker: int) -> None:
        for n in range(30):
            async with database.write() as session:
                await service.post(session, [sale(f"{worker}-{n}", worker + 1)])

    movers = [asyncio.create_task(move(worker)) for worker in range(3)]
    closed = []
    while not all(mover.done() for mover in movers):
        closed.append(await service.close(database))
    await asyncio.gather(*movers)
    assert sum(1 for count in closed if count) > 1, "nothing was closed while money moved"
    assert await broken(database) == {}


UNBALANCED = """
WITH p AS (INSERT INTO ledger_postings (key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint)
           VALUES ('x', 'x', 1, 'EUR', now(), 'x', 'x', 2, '') RETURNING id)
INSERT INTO ledger_entries (posting_id, position, account_id, currency, amount)
SELECT p.id, v.position, a.id, v.currency, v.amount FROM p, ledger_accounts a, (VALUES {values}) AS v(position, currency, amount)
WHERE a.code = 'revenue'
"""


@pytest.mark.parametrize(
    "values",
    ["(1, 'EUR', 5), (2, 'EUR', -4)", "(1, 'EUR', 5), (2, 'USD', -5)", "(1, 'EUR', 'NaN'), (2, 'EUR', -5)",
     "(1, 'EUR', 0), (2, 'EUR', 0)", "(1, 'EUR', 'Infinity'), (2, 'EUR', '-Infinity')"],
)  # fmt: skip
async def test_the_database_refuses_what_does_not_balance(database: Database, values: str) -> None:
    async with database.write() as session:
        await service.post(session, [sale("a", 7)])
    with pytest.raises(asyncpg.PostgresError):
        async with database.write() as session:
            await session.execute(UNBALANCED.format(values=values))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger_entries SET amount = amount * 2", "DELETE FROM ledger_entries", "TRUNCATE ledger_entries",
     "UPDATE ledger_postings SET kind = ''", "DELETE FROM ledger_postings", "DELETE FROM ledger_accounts"],
)  # fmt: skip
async def test_the_books_are_append_only(database: Database, statement: str) -> None:
    async with database.write() as session:
        await service.post(session, [sale("a", 7)])
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with database.write() as session:
            await session.execute(statement)
    assert refused.value.sqlstate == "23001"


async def test_one_plan_serves_every_batch_and_probes_indexes_only(database: Database) -> None:
    """The planner must never see the arrays: planning anew costs twice the execution, and a plan for one must do for a thousand."""
    async with database.write() as session:
        await service.post(session, [sale(f"warm{n}", n + 1) for n in range(5000)])
        await session.execute("ANALYZE ledger_accounts")
        for n in range(8):
            await service.post(session, [sale(f"again{n}", n + 1)])
        plans = await session.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1",
            repository.POST,
        )
        assert plans is not None
        assert plans["generic_plans"] >= 2
        arrays = service.columns([sale("explained", 1)], [b"0" * 16])
        rows = await session.fetch("EXPLAIN " + repository.POST, *arrays)
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan on ledger_" not in plan
    assert "uq_ledger_accounts_identity" in plan
    assert "pk_ledger_accounts" in plan


async def test_entries_carry_the_service_period(database: Database) -> None:
    period = (datetime(2026, 2, 1, tzinfo=UTC), NOW)
    entries = (
        Entry("receivable", Decimal(1), 7),
        Entry("deferred", Decimal(-1), gl_code="4100", period=period),
    )
    async with database.write() as session:
        await service.post(session, [sale("p", 7, entries=entries)])
        page = await queries.entries(session, limit=5)
    assert [(entry.period_start, entry.period_end) for entry in page.rows] == [(None, None), period]


async def test_accounts_are_listed_with_their_balances(database: Database) -> None:
    async with database.write() as session:
        await service.post(session, [sale("a", 7), sale("b", 8)])
        first = await queries.accounts(session, limit=3)
        rest = await queries.accounts(session, limit=3, cursor=first.next_cursor)
        own = await queries.accounts(session, limit=3, account_no=0, code="revenue")
        none = await queries.accounts(session, limit=3, currency="USD")
    assert (len(first.rows), len(rest.rows), rest.next_cursor) == (3, 1, None)
    assert [(view.balance, view.version) for view in own.rows] == [(Decimal("-20.00"), None)]
    assert not none.rows
