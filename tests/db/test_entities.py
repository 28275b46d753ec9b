"""Entities on a fresh database."""

import asyncpg
import pytest

from tallystick.entities import queries
from tallystick.entities.domain import DEFAULT_ID, TEST_ID
from tallystick.entities.invariants import INVARIANTS
from tallystick.kernel.errors import NotFound
from tallystick.platform.db import Database


async def test_an_installation_is_born_with_two(database: Database) -> None:
    async with database.read() as session:
        found = await queries.all(session)
        default = await queries.get(session, DEFAULT_ID)
    assert list(found) == [DEFAULT_ID, TEST_ID]
    assert found[DEFAULT_ID] == default
    assert (default.code, default.currency, default.timezone, default.is_test) == (
        "default",
        "USD",
        "UTC",
        False,
    )
    assert (default.rounding, default.tax_rounding, default.net_terms_days) == ("half_away", "rate", 30)
    assert (default.fee_close_delay_seconds, default.usage_close_delay_seconds) == (0, 3600)
    assert (found[TEST_ID].code, found[TEST_ID].is_test) == ("test", True)


async def test_an_unknown_one_is_not_found(database: Database) -> None:
    async with database.read() as session:
        with pytest.raises(NotFound):
            await queries.get(session, 99)


@pytest.mark.parametrize(
    "change",
    [
        "currency = 'usd'", "currency = 'US'", "country = 'de'", "rounding = 'ceiling'", "tax_rounding = 'document'", "code = 'test'",
        "usage_close_delay_seconds = -1", "net_terms_days = 5000", "name = NULL",
    ],
)  # fmt: skip
async def test_the_table_refuses_nonsense(database: Database, change: str) -> None:
    async with database.write() as session:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            async with session.savepoint():
                await session.execute(f"UPDATE entities SET {change} WHERE id = 1")


async def test_new_ones_count_from_three_and_updates_are_dated(database: Database) -> None:
    async with database.write() as session:
        made = await session.fetchval(
            "INSERT INTO entities (code, name, currency, timezone) VALUES ('eu', 'EU', 'EUR', 'Europe/Berlin') RETURNING id"
        )
        await session.execute("UPDATE entities SET name = 'Europe', updated_at = '2000-01-01' WHERE id = 3")
        fresh = await session.fetchval("SELECT updated_at > '2020-01-01' FROM entities WHERE id = 3")
    assert (made, fresh) == (3, True)


async def test_invariants(database: Database) -> None:
    (statement,) = INVARIANTS.values()
    async with database.write() as session:
        assert await session.fetch(statement) == []
        await session.execute("DELETE FROM entities WHERE id = 2")
        assert [row["id"] for row in await session.fetch(statement)] == [2]
