"""The outbox: events committed with what causes them, numbered per subject from 1 without a gap, whoever writes at once."""

import asyncio
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_type_hints

import asyncpg
import pytest

from tallystick.contracts import events
from tallystick.contracts.events import AccountClosed, AccountOpened
from tallystick.platform import outbox
from tallystick.platform.db import Database, Session

NOW = datetime(2024, 1, 1, tzinfo=UTC)
SQL = "SELECT subject_id, sequence, event_type, version, payload, request_id FROM outbox ORDER BY id"


def opened(account: str) -> AccountOpened:
    return AccountOpened(account, "USD", NOW)


async def kept(database: Database) -> list[Any]:
    async with database.read() as session:
        return list(await session.fetch(SQL))


async def test_numbered_per_subject(database: Database) -> None:
    async with database.write() as session:
        await outbox.emit(session, opened("a"), opened("b"), AccountClosed("a", NOW), request_id="r-1")
    async with database.write() as session:
        await outbox.emit_all(session, [AccountClosed("b", NOW), AccountClosed("a", NOW)])
    found = await kept(database)
    assert [(row["subject_id"], row["sequence"]) for row in found] == [
        ("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3),
    ]  # fmt: skip
    assert [row["request_id"] for row in found] == ["r-1", "r-1", "r-1", "", ""]
    assert found[0]["event_type"] == "account.opened"
    assert found[0]["payload"] == {
        "account_id": "a",
        "currency": "USD",
        "occurred_at": "2024-01-01T00:00:00Z",
    }


async def test_what_is_rolled_back_was_never_said(database: Database) -> None:
    async def fail(session: Session) -> None:
        await outbox.emit(session, opened("a"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.run(fail)
    assert await kept(database) == []
    async with database.write() as session:
        await outbox.emit(session, opened("a"))
    assert [row["sequence"] for row in await kept(database)] == [1], "no gap"


async def test_nothing_is_no_statement(database: Database) -> None:
    async with database.write() as session:
        await outbox.emit(session)
    assert await kept(database) == []


async def test_writers_at_once_under_the_subjects_lock(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.write() as session:
            await session.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"s{number % 3}")
            await outbox.emit(session, opened(f"s{number % 3}"), opened(f"s{number % 3}"))

    await asyncio.gather(*(write(number) for number in range(30)))
    found = await kept(database)
    for subject in ("s0", "s1", "s2"):
        numbers = [row["sequence"] for row in found if row["subject_id"] == subject]
        assert numbers == list(range(1, 21)), "in the order of commits, without a gap"


async def test_without_the_lock_the_index_stops_it(database: Database) -> None:
    """Two that compute the same number cannot both commit."""
    async with database.write() as first:
        await outbox.emit(first, opened("a"))

        async def second() -> None:
            async with database.write() as session:
                await session.execute("SET LOCAL lock_timeout = '300ms'")
                await outbox.emit(session, opened("a"))

        with pytest.raises(asyncpg.LockNotAvailableError):
            await second()
    assert len(await kept(database)) == 1


async def test_many_in_one_statement(database: Database) -> None:
    async with database.write() as session:
        await outbox.emit_all(session, (opened(f"s{number % 100}") for number in range(5000)))
    found = await kept(database)
    assert len(found) == 5000
    assert {row["sequence"] for row in found} == set(range(1, 51))


SAMPLES = {
    "str": "x", "datetime": NOW, "Decimal": Decimal("0.000000000001"), "int": 7, "str | None": None, "bool": True,
    "date": NOW.date(),
}  # fmt: skip
KINDS = [
    kind for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")
]


def sample(kind: Any) -> Any:
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):
        name = getattr(hints[field.name], "__name__", str(hints[field.name]))
        values[field.name] = SAMPLES.get(name)
    return kind(**values)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_event_can_be_kept(database: Database, kind: Any) -> None:
    event = sample(kind)
    async with database.write() as session:
        await outbox.emit(session, event)
    (row,) = await kept(database)
    assert (row["event_type"], row["version"]) == (kind.TYPE, kind.VERSION)
    assert set(row["payload"]) == {field.name for field in fields(kind)}
    assert row["subject_id"] == event.subject_id


def test_each_event_has_a_name_of_its_own() -> None:
    names = [(kind.TYPE, kind.VERSION) for kind in KINDS]
    assert len(KINDS) >= 5
    assert len(set(names)) == len(names)
    for kind in KINDS:
        assert kind.TYPE.startswith(kind.SUBJECT + "."), kind
