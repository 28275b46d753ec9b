"""PostgreSQL: one pool, two kinds of session, plain SQL with `$1` parameters through the driver (decision 0003).

`Session` writes inside a transaction that its opener commits; `ReadSession` only reads. A function that takes a `ReadSession` can be
given a `Session`, never the other way round. SQL itself stands in repository, queries, invariants and migrations.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from tallystick.kernel.errors import Unavailable
from tallystick.platform import wire

Record = asyncpg.Record
Result = TypeVar("Result")
RETRIED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_TRIES = 5


class ReadSession:
    """Statements that change nothing."""

    __slots__ = ("connection",)

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """All rows."""
        return await self.connection.fetch(sql, *args)  # type: ignore[no-any-return]

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        """The first row, or None."""
        return await self.connection.fetchrow(sql, *args)  # type: ignore[no-any-return]

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(sql, *args)

    def cursor(self, sql: str, *args: Any, prefetch: int = 1000) -> Any:
        """Rows one by one, for results too large to hold; needs an open transaction."""
        return self.connection.cursor(sql, *args, prefetch=prefetch)


class Session(ReadSession):
    """Statements inside one transaction. The one who opened it commits; functions that receive it never do."""

    __slots__ = ("after_commit",)

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.after_commit: list[Callable[[], None]] = []

    async def execute(self, sql: str, *args: Any) -> int:
        """Runs a statement; returns how many rows it touched."""
        status = await self.connection.execute(sql, *args)
        tail = status.rsplit(" ", 1)[-1]
        return int(tail) if tail.isdigit() else 0

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement once per row, pipelined."""
        await self.connection.executemany(sql, rows)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Adds rows by binary COPY, the fastest way in; constraints and triggers hold as ever."""
        await self.connection.copy_records_to_table(table, columns=columns, records=rows)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undoes only what happened inside it when an exception leaves it."""
        async with self.connection.transaction():
            yield


class Database:
    """The pool of one process. Make it inside a running loop, close it before the loop ends."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    @classmethod
    async def connect(
        cls, url: str, *, size: int = 10, statement_timeout_ms: int = 10_000, name: str = "tallystick"
    ) -> "Database":
        """Opens a pool. `statement_timeout_ms` bounds each statement; runs and command lines choose a longer one."""
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            init=_prepare,
            reset=_nothing_to_reset,
            timeout=5,
            max_inactive_connection_lifetime=0,
            server_settings={
                "application_name": name,
                "TimeZone": "UTC",
                "lock_timeout": "5s",
                "statement_timeout": f"{statement_timeout_ms}ms",
                "idle_in_transaction_session_timeout": "60s",
            },
        )
        return cls(pool)

    async def close(self) -> None:
        """Waits for sessions in use, then closes all connections."""
        await self.pool.close()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Session]:
        """A transaction at READ COMMITTED: committed when the block ends, rolled back when an exception leaves it."""
        async with self._acquire() as connection:
            session = Session(connection)
            async with connection.transaction():
                yield session
        for callback in session.after_commit:
            callback()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Each statement sees what is committed when it starts."""
        async with self._acquire() as connection:
            yield ReadSession(connection)

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Session]:
        """For a command that is one statement: each is committed when it returns, without BEGIN and COMMIT, two of three round trips."""
        async with self._acquire() as connection:
            yield Session(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[ReadSession]:
        """All statements see one moment (REPEATABLE READ, READ ONLY): previews, reports, verification."""
        async with (
            self._acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield ReadSession(connection)

    async def run(self, work: Callable[[Session], Awaitable[Result]], *, single: bool = False) -> Result:
        """`work` in a write transaction, repeated where PostgreSQL asks for it (40001, 40P01). `work` must bear a repeat.

        `single`: its one writing statement is a transaction of its own.
        """
        for attempt in range(_TRIES):
            try:
                async with self.single() if single else self.write() as session:
                    return await work(session)
            except RETRIED:
                if attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(random.uniform(0.005, 0.05) * 2**attempt)  # noqa: S311
        raise AssertionError("unreachable")

    async def rehearse(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        """`work` in a transaction that is always undone: what would be, seen from within, by the code that would do it.

        REPEATABLE READ, so that what it compares before and after is one moment; repeated where PostgreSQL asks for it. Meanwhile the locks
        it takes are held, as by any writer.
        """
        for attempt in range(_TRIES):
            async with self._acquire() as connection:
                transaction = connection.transaction(isolation="repeatable_read")
                await transaction.start()
                try:
                    return await work(Session(connection))
                except RETRIED:
                    if attempt == _TRIES - 1:
                        raise
                finally:
                    await transaction.rollback()
            await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _acquire(self) -> AsyncIterator[Any]:
        try:
            connection = await self.pool.acquire(timeout=3)
        except (
            TimeoutError,
            OSError,
            asyncpg.PostgresConnectionError,
            asyncpg.CannotConnectNowError,
        ) as error:
            raise Unavailable("The database cannot be reached; try again shortly", retry_after=2) from error
        try:
            yield connection
        finally:
            await self.pool.release(connection)


async def _prepare(connection: Any) -> None:
    # Binary, so that COPY can carry the columns too; jsonb's wire form is a version byte and the text.
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + wire.dumps(value),
        decoder=lambda data: wire.loads_own(bytes(data[1:])),
    )


async def _nothing_to_reset(_connection: Any) -> None:
    """Sessions leave no state behind: no SET, no LISTEN, no session lock. Saves a round trip per request."""
