"""What the supervisor runs: the plan, the servers and the services, as children that know how to start and stop."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.apps.children import Child, patiently
from tallystick.apps.serve import DRAIN_SECONDS
from tallystick.catalog.seed import development
from tallystick.catalog.service import ensure_services
from tallystick.cli.user import ensure_at_start
from tallystick.kernel.actor import system_actor
from tallystick.migrations import run as migration_run
from tallystick.platform.db import Database
from tallystick.platform.embedded import postgres, redis
from tallystick.platform.embedded.process import spawn, tail
from tallystick.platform.reach import check_database, check_redis
from tallystick.platform.settings import Settings

LOG_LIMIT = 20 * 1024 * 1024
STOP_SECONDS = DRAIN_SECONDS + 5


def prepare_database(url: str, settings: Settings) -> str | None:
    """Migrates, allows the settings' services, in development plants the two example plans, and sees to it that there is an admin.

    Gives the line about the admin for a person, if there is one. A repeat does nothing.
    """
    migration_run.upgrade(url)

    async def ensure() -> str | None:
        database = await Database.connect(url, size=2, name="tallystick start")
        try:
            async with database.write() as session:
                await ensure_services(session, system_actor("start"), settings.allowed_services)
                if settings.environment == "development":
                    await development(session)
            return await ensure_at_start(database, settings)
        finally:
            await database.close()

    return asyncio.run(ensure())


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Python modules run as `python -m`."""

    service: str = "tallystick.apps.subscription_service:create_app"
    background: Sequence[str] = ("tallystick.apps.background",)
    prepare: Callable[[str, Settings], str | None] = prepare_database
    then: Sequence[str] = ()
    reload: bool = False


@dataclass(slots=True)
class House:
    """What is running at the moment."""

    settings: Settings
    plan: Plan
    data_dir: Path
    environment: dict[str, str]
    sockets: list[socket.socket] = field(default_factory=list)
    servers: list[Child] = field(default_factory=list)
    services: list[Child] = field(default_factory=list)
    stopping: bool = False

    def log(self, name: str) -> Path:
        """Where what the child `name` writes goes."""
        return self.data_dir / "logs" / f"{name}.log"


def say(line: str) -> None:
    """A line for the person at the terminal."""
    with suppress(OSError):  # a terminal that was closed, or `| head`, is no reason to stop untidily
        print(line, flush=True)


def start_servers(house: House) -> None:
    """PostgreSQL and Redis, or the ones the environment names."""
    if house.settings.database_url:
        version = check_database(house.settings.database_url)
        say(f"database   PostgreSQL {version}, the one DATABASE_URL names")
    else:
        _start_postgres(house)
    if house.settings.redis_url:
        say(f"redis      Redis {check_redis(house.settings.redis_url)}, the one REDIS_URL names")
    else:
        _start_redis(house)


def _start_postgres(house: House) -> None:
    log = _fresh_log(house.log("postgres"))
    server = postgres.prepare(house.data_dir, log=log)
    child = Child(
        name="PostgreSQL",
        start=lambda: postgres.start(postgres.prepare(house.data_dir, log=log)),
        ready=lambda process: postgres.wait_ready(server, process, cancelled=lambda: house.stopping),
        end=lambda process: postgres.shut_down(process, server),
        why=_look_at(log),
    )
    house.servers.append(child)
    child.run()
    house.environment["DATABASE_URL"] = server.dsn
    say(f"database   PostgreSQL {server.version}, data in {server.data}")


def _start_redis(house: House) -> None:
    log = _fresh_log(house.log("redis"))
    server = redis.prepare(house.data_dir, log=log)
    child = Child(
        name="Redis",
        start=lambda: redis.start(redis.prepare(house.data_dir, log=log)),
        ready=lambda process: redis.wait_ready(server, process, cancelled=lambda: house.stopping),
        end=lambda process: redis.shut_down(process, server),
        why=_look_at(log),
    )
    house.servers.append(child)
    child.run()
    house.environment["REDIS_URL"] = server.url
    say(f"redis      Redis {server.version}")


def start_services(house: House) -> None:
    """The HTTP processes, all on the same sockets, and the background ones."""
    numbers = [opened.fileno() for opened in house.sockets]
    serve = ["tallystick.apps.serve", house.plan.service, ",".join(map(str, numbers))]
    for number in range(1, house.settings.workers + 1):
        name = "service" if house.settings.workers == 1 else f"service-{number}"
        house.services.append(_python_child(house, name, serve, numbers))
    for module in house.plan.background:
        house.services.append(_python_child(house, module.rpartition(".")[2], [module], []))
    for child in house.services:
        child.run()


def _python_child(house: House, name: str, arguments: Sequence[str], numbers: Sequence[int]) -> Child:
    log = _fresh_log(house.log(name))

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return spawn(
                [sys.executable, "-m", *arguments],
                death_signal=signal.SIGKILL,
                environment=house.environment,
                output=output,
                pass_fds=numbers,
            )

    return Child(name=name, start=start, end=patiently(STOP_SECONDS), why=_look_at(log))


def _look_at(log: Path) -> Callable[[], str]:
    def why() -> str:
        last = tail(log, 5)
        return f"Its log is {log}" + (f":\n{last}" if last else "")

    return why


def _fresh_log(log: Path) -> Path:
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    return log
