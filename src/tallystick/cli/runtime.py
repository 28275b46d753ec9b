"""How a command reaches the database: the one `DATABASE_URL` names, else that of the running instance, else its own for a while."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tallystick.migrations.run import upgrade
from tallystick.platform.db import Database
from tallystick.platform.embedded import embedded_postgres, embedded_redis
from tallystick.platform.embedded.errors import DataFolderBusy
from tallystick.platform.embedded.folder_lock import Instance, hold, remove_note, running, write_note
from tallystick.platform.embedded.place import make_data_dir
from tallystick.platform.reach import check_database
from tallystick.platform.settings import Settings, load_settings

Result = TypeVar("Result")
WAIT_SECONDS = 60.0
STATEMENT_TIMEOUT_MS = 600_000


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are. `redis_url` is empty where none was asked for; `urls` where nothing serves HTTP."""

    database_url: str
    redis_url: str = ""
    urls: tuple[str, ...] = ()


@contextmanager
def servers(settings: Settings, *, with_redis: bool = False, migrate: bool = True) -> Iterator[Servers]:
    """The named servers, or those of this data folder, started for the length of the block where nothing runs.

    A schema that is behind is brought up to date, unless a running instance minds it. Raises `ServerUnreachable`; `DataFolderBusy` where another command
    keeps the folder for longer than a minute.
    """
    if settings.database_url:
        check_database(settings.database_url)
        if migrate:
            upgrade(settings.database_url)
        yield Servers(settings.database_url, settings.redis_url or "")
        return
    data_dir = make_data_dir(settings.data_dir)
    end = time.monotonic() + WAIT_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(hold(data_dir, "instance"))
                break
            except DataFolderBusy:
                note = running(data_dir)
                if note is not None and note.serving and note.database_url:
                    yield Servers(note.database_url, note.redis_url, note.urls)
                    return
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)
        own = Servers(
            stack.enter_context(embedded_postgres(data_dir)),
            settings.redis_url or (stack.enter_context(embedded_redis(data_dir)) if with_redis else ""),
        )
        write_note(data_dir, Instance(os.getpid(), False, own.database_url, own.redis_url))
        stack.callback(remove_note, data_dir)
        if migrate:
            upgrade(own.database_url)
        yield own


def with_database(
    work: Callable[[Database], Awaitable[Result]], *, settings: Settings | None = None, migrate: bool = True
) -> Result:
    """Runs `work` on the database and returns its result. The way in for every command that needs one."""
    chosen = settings or load_settings()
    with servers(chosen, migrate=migrate) as reached:
        return asyncio.run(connected(reached.database_url, work))


async def connected(url: str, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """`work` on a pool of its own, closed afterwards. For commands that hold `servers` themselves."""
    database = await Database.connect(
        url, size=4, statement_timeout_ms=STATEMENT_TIMEOUT_MS, name="tallystick command"
    )
    try:
        return await work(database)
    finally:
        await database.close()
