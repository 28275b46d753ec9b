"""The process that does what nobody waits for: sealing batches and audit rows, billing runs, advancing test clocks.

`python -m tallystick.apps.background`. Every step claims its work in PostgreSQL and commits before it goes on, so any number of these
may run and any of them may die at any moment: the next one continues. Each loop stands alone; one that fails is logged and tried again.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

from tallystick.platform.db import Database
from tallystick.platform.logging import configure
from tallystick.platform.settings import Settings, load_settings

log = structlog.get_logger("background")
Step = Callable[[], Awaitable[bool]]
"""One round of work; True where there was some, so that the next round follows at once."""


async def repeat(name: str, step: Step, pause: float, stopping: asyncio.Event) -> None:
    """Runs `step` until told to stop: at once after work, after `pause` seconds without, after up to 5 s upon failure."""
    failures = 0
    while not stopping.is_set():
        try:
            worked = await step()
            failures = 0
        except Exception as error:
            failures += 1
            worked = False
            log.error("step failed", step=name, failures=failures, exc_info=error)
        if not worked:
            delay = min(pause * 2**failures, 5.0) if failures else pause
            try:
                await asyncio.wait_for(stopping.wait(), delay)
            except TimeoutError:
                continue


def steps(database: Database, settings: Settings) -> list[tuple[str, Step, float]]:
    """What this process does: name, step, pause in seconds."""
    from tallystick.apps import chores

    return chores.all_chores(database, settings)


async def main() -> None:
    """Until SIGTERM or SIGINT; the round at work is finished first."""
    settings = load_settings()
    configure("background", settings.log_level)
    assert settings.database_url is not None, "the supervisor names the database"
    database = await Database.connect(
        settings.database_url, size=6, statement_timeout_ms=120_000, name="background"
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        await asyncio.gather(*(repeat(*step, stopping) for step in steps(database, settings)))
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
