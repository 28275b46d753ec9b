"""Fixtures: a real PostgreSQL, a migrated template, a fresh clone of it for each test that asks.

`TALLYSTICK_TEST_SERVER` may name a server on which databases may be created; otherwise an embedded one is started for the session.
"""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from tallystick.migrations.run import upgrade
from tallystick.platform.db import Database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders carry the markers, so that no test forgets its own."""
    marks = {
        "db": "integration",
        "api": "integration",
        "migrations": "integration",
        "scenarios": "e2e",
        "faults": "e2e",
    }
    for item in items:
        folder = Path(str(item.path)).parent.name
        if folder in marks:
            item.add_marker(getattr(pytest.mark, marks[folder]))


def with_database(url: str, name: str) -> str:
    """`url` naming another database on the same server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server's maintenance database."""
    given = os.environ.get("TALLYSTICK_TEST_SERVER")
    if given:
        yield given
        return
    from tallystick.platform.embedded import embedded_postgres

    with embedded_postgres(tmp_path_factory.mktemp("server"), durable=False, keep=False) as dsn:
        yield dsn


@pytest.fixture(scope="session")
async def template(server_url: str) -> AsyncIterator[str]:
    """The name of a database that holds the migrated schema and nothing else."""
    import asyncio

    name = f"template_{uuid4().hex[:12]}"
    await execute(server_url, f'CREATE DATABASE "{name}"')
    await asyncio.to_thread(upgrade, with_database(server_url, name))
    yield name
    await execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def execute(url: str, statement: str) -> None:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    """A fresh migrated database, gone after the test."""
    name = f"test_{uuid4().hex[:12]}"
    await execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield with_database(server_url, name)
    await execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh database."""
    pool = await Database.connect(database_url, size=5)
    yield pool
    await pool.close()
