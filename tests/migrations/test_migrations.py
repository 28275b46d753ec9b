"""The schema's history: up, down, up again; equal to the declared tables; safe beside another migrator; on every PostgreSQL there is."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from tests.conftest import execute, with_database

from tallystick.migrations.models import metadata
from tallystick.migrations.run import configuration, downgrade, upgrade
from tallystick.platform.embedded import embedded_postgres
from tallystick.platform.embedded.binaries import all_postgres

MAJORS = sorted({programs.major for programs in all_postgres()})

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND NOT c.relispartition AND c.relname <> 'alembic_version'
ORDER BY 1, 2
"""
CHECKS = """
SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND k.contype IN ('c', 'u', 'f', 'p', 'x')
  AND c.relname <> 'alembic_version'
ORDER BY 1, 2
"""
INDEXES = """
SELECT c.relname, i.relname, pg_get_indexdef(x.indexrelid)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND c.relname <> 'alembic_version'
ORDER BY 1, 2
"""
REST = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic%'
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%alembic%'
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('public', 'information_schema')
"""


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """A database with nothing in it."""
    name = f"empty_{uuid4().hex[:12]}"
    await execute(server_url, f'CREATE DATABASE "{name}"')
    yield with_database(server_url, name)
    await execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def schema(url: str) -> list[list[tuple[Any, ...]]]:
    return [await rows(url, sql) for sql in (COLUMNS, CHECKS, INDEXES)]


async def synchronously(url: str, work: Callable[[Connection], Any]) -> Any:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            result = await connection.run_sync(work)
            await connection.commit()
            return result
    finally:
        await engine.dispose()


async def up_down_up(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    first = await schema(url)
    assert first[0]
    await asyncio.to_thread(downgrade, url)
    assert await rows(url, REST) == [], "the way down takes everything along"
    await asyncio.to_thread(upgrade, url)
    assert await schema(url) == first
    await asyncio.to_thread(upgrade, url)  # once more changes nothing
    assert await schema(url) == first


async def test_up_down_and_up_again(empty_url: str) -> None:
    await up_down_up(empty_url)


async def test_each_step_can_be_taken_back(empty_url: str) -> None:
    """Not only the whole way: after each step its own way down restores what was before."""
    script = ScriptDirectory.from_config(configuration(empty_url))
    history = [revision.revision for revision in reversed(list(script.walk_revisions()))]
    assert len(history) >= 12
    for before, this in zip(["base", *history], history, strict=False):
        earlier = await schema(empty_url)
        await asyncio.to_thread(upgrade, empty_url, this)
        await asyncio.to_thread(downgrade, empty_url, before)
        assert await schema(empty_url) == earlier, f"{this} leaves something behind"
        await asyncio.to_thread(upgrade, empty_url, this)


def test_one_history() -> None:
    """Two heads would mean that two people wrote the next migration at once."""
    assert len(ScriptDirectory.from_config(configuration("postgresql://nowhere")).get_heads()) == 1


async def test_the_declared_tables_are_the_migrated_ones(database_url: str) -> None:
    """Columns, types, nullability, server defaults, unique constraints, foreign keys, indexes: alembic finds no difference."""

    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True, "include_object": ours}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    def ours(_object: Any, name: str | None, kind: str, reflected: bool, _to: Any) -> bool:
        return not (kind == "table" and reflected and name == "alembic_version")

    assert await synchronously(database_url, differences) == []


async def test_what_alembic_does_not_compare(database_url: str, empty_url: str) -> None:
    """Checks, index definitions, identities, defaults: the declared tables, created as declared, read like the migrated ones.

    Partitions and triggers are the migrations' own; the seal's sequence too.
    """

    def create(connection: Connection) -> None:
        metadata.create_all(connection)

    await synchronously(empty_url, create)
    for sql in (COLUMNS, CHECKS, INDEXES):
        migrated = {plain(row) for row in await rows(database_url, sql)}
        declared = {plain(row) for row in await rows(empty_url, sql)}
        assert sorted(migrated ^ declared, key=str) == []


def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A definition without what partitioning adds to it, and without the quotes of a number's default."""

    def same(part: Any) -> Any:
        if not isinstance(part, str):
            return part
        return re.sub(r"^'(-?[0-9]+)'::\w+$", r"\1", part.replace(" ON ONLY ", " ON "))

    return tuple(same(part) for part in row)


async def test_what_changes_says_when(database_url: str) -> None:
    """Every table with `updated_at` has the trigger that sets it, and every table knows when a row was made."""
    found = await rows(
        database_url,
        """
        SELECT c.relname, EXISTS (
            SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE t.tgrelid = c.oid AND p.prosrc LIKE '%NEW.updated_at := now();%' AND t.tgenabled = 'O' AND NOT t.tgisinternal
              AND t.tgtype & 1 = 1 AND t.tgtype & 2 = 2 AND t.tgtype & 16 = 16)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE a.attname = 'updated_at' AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        """,
    )
    assert len(found) > 5
    assert [name for name, has in found if not has] == []


async def test_no_number_lets_nan_in(database_url: str) -> None:
    """`CHECK (x >= 0)` is true of NaN, which PostgreSQL sorts above all numbers: a bound above keeps it out."""
    found = await rows(
        database_url,
        """
        SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND a.atttypid = 'numeric'::regtype AND a.attnum > 0 AND NOT a.attisdropped
          AND NOT EXISTS (
            SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)
              AND pg_get_constraintdef(k.oid) ~ (a.attname || '[^<]*<'))
        """,
    )
    assert [f"{table}.{column}" for table, column in found] == []


async def test_foreign_keys_can_be_followed_back(database_url: str) -> None:
    """A foreign key without an index on its columns makes every delete and every look-up from the other side read the whole table."""
    found = await rows(
        database_url,
        """
        SELECT k.conrelid::regclass::text, k.conname FROM pg_constraint k
        WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_index x WHERE x.indrelid = k.conrelid
              AND (x.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey)
        """,
    )
    assert {name for _, name in found} <= SMALL_OR_FIXED


SMALL_OR_FIXED = {
    "fk_api_keys_created_by", "fk_users_entity_id", "fk_test_clocks_entity_id", "fk_subscriptions_entity_id",
    "fk_account_taxes_tax_id", "fk_billing_runs_account_no", "fk_catalog_files_entity_id",
}  # fmt: skip
"""Foreign keys that need no index: what they point to is never deleted, and nobody asks from that side."""


async def test_two_migrators_at_once(empty_url: str) -> None:
    program = "import sys; from tallystick.migrations.run import upgrade; upgrade(sys.argv[1])"
    both = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, empty_url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    told = [(await each.communicate())[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    assert await rows(empty_url, "SELECT count(*) FROM alembic_version") == [(1,)]


async def test_two_threads_at_once(empty_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(upgrade, empty_url) for _ in range(2)))
    assert await rows(empty_url, "SELECT count(*) FROM alembic_version") == [(1,)]


async def test_a_migration_does_not_wait_for_ever(database_url: str) -> None:
    """A long transaction of the application must not make a migration queue, and everyone else behind it."""
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE accounts IN ACCESS SHARE MODE")
            with pytest.raises(Exception, match="lock timeout"):
                await asyncio.wait_for(asyncio.to_thread(downgrade, database_url), 20)
    finally:
        await holder.close()
    steps = await rows(database_url, "SELECT version_num FROM alembic_version")
    assert len(steps) == 1, "what was done before stands, each step by itself"
    await asyncio.to_thread(upgrade, database_url)


@pytest.fixture(params=MAJORS)
def other_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with embedded_postgres(tmp_path / "data", keep=False, major=request.param) as dsn:
        yield dsn


async def test_on_every_postgresql_found(other_server: str) -> None:
    assert MAJORS, "the embedded one at least"
    name = f"empty_{uuid4().hex[:12]}"
    await execute(other_server, f'CREATE DATABASE "{name}"')
    await up_down_up(with_database(other_server, name))


async def test_a_seed_of_every_new_house(database_url: str) -> None:
    """CONTRACT §5: one allowed service; DESIGN: the default and the test entity."""
    assert await rows(database_url, "SELECT id, code, currency FROM entities ORDER BY id") == [
        (1, "default", "USD"),
        (2, "test", "USD"),
    ]
    assert await rows(database_url, "SELECT name FROM services") == [("Database Hosting",)]
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM audit_log"))).scalar() == 0
    await engine.dispose()
