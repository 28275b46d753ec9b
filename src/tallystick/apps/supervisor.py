"""The whole house under one process: `tallystick up`.

Opens the ports, starts PostgreSQL and Redis unless the environment names real ones, migrates, starts the services, says when all is
ready, starts again what dies, and stops everything in order. If it is killed itself, the kernel tells every child (process.spawn).
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import tallystick
from tallystick.apps.children import Child, finish_together, patiently
from tallystick.apps.listening import listen_on_all, url
from tallystick.apps.serve import DRAIN_SECONDS
from tallystick.kernel.errors import Refusal, Unavailable
from tallystick.migrations import run as migration_run
from tallystick.platform.embedded import place, postgres, redis
from tallystick.platform.embedded.folder_lock import Instance, hold, remove_note, write_note
from tallystick.platform.embedded.process import spawn, tail, tie_to_parent
from tallystick.platform.reach import check_database, check_redis
from tallystick.platform.settings import Settings, SettingsError, load_settings

HEALTH_SECONDS = 60.0
LOG_LIMIT = 20 * 1024 * 1024
_STOP_SECONDS = DRAIN_SECONDS + 5


class NotHealthy(Unavailable):
    """The service started and never said it is well."""

    code = "service_not_healthy"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Python modules run as `python -m`."""

    service: str = "tallystick.apps.subscription_service:create_app"
    background: Sequence[str] = ("tallystick.apps.background",)
    migrate: Callable[[str], None] = migration_run.upgrade
    then: Sequence[str] = ()
    reload: bool = False


@dataclass(slots=True)
class _House:
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
        return self.data_dir / "logs" / f"{name}.log"


def supervise(settings: Settings, plan: Plan) -> int:
    """Runs until SIGINT or SIGTERM; the exit status: 0 stopped as asked, 1 refused or gave up."""
    try:
        data_dir = place.make_data_dir(settings.data_dir)
        with (
            hold(data_dir, "instance"),
            _signals(_House(settings, plan, data_dir, dict(os.environ))) as house,
        ):
            return _run(house)
    except Refusal as refusal:
        print(f"{refusal.sentence} [{refusal.code}]", file=sys.stderr, flush=True)
        return 1


@contextmanager
def _signals(house: _House) -> Iterator[_House]:
    """A flag and no exception: nothing is torn in the middle. A second Ctrl-C changes nothing, the order is already the fastest safe one."""

    def ask(_number: int, _frame: object) -> None:
        house.stopping = True

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in wanted}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)  # `tallystick up` blocks them while Python loads
    try:
        yield house
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(house: _House) -> int:
    with ExitStack() as undo:
        undo.callback(_stop_all, house)
        settings = house.settings
        house.sockets = listen_on_all(settings.host, settings.subscription_port, settings.extra_ports, _say)
        place.private_folder(house.data_dir / "logs")
        undo.callback(remove_note, house.data_dir)
        for step in (_start_servers, _migrate, _start_services, _wait_healthy, _afterwards):
            if house.stopping:
                break
            step(house)
        if not house.stopping:
            _announce(house)
            _watch(house)
        _say("stopping …")
    _say("stopped")
    return 0


def _say(line: str) -> None:
    with suppress(OSError):  # a terminal that was closed, or `| head`, is no reason to stop untidily
        print(line, flush=True)


def _start_servers(house: _House) -> None:
    """PostgreSQL and Redis, or the ones the environment names."""
    if house.settings.database_url:
        version = check_database(house.settings.database_url)
        _say(f"database   PostgreSQL {version}, the one DATABASE_URL names")
    else:
        _start_postgres(house)
    if house.settings.redis_url:
        _say(f"redis      Redis {check_redis(house.settings.redis_url)}, the one REDIS_URL names")
    else:
        _start_redis(house)


def _start_postgres(house: _House) -> None:
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
    _say(f"database   PostgreSQL {server.version}, data in {server.data}")


def _start_redis(house: _House) -> None:
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
    _say(f"redis      Redis {server.version}")


def _migrate(house: _House) -> None:
    house.plan.migrate(house.environment["DATABASE_URL"])
    write_note(house.data_dir, _instance(house))
    _say("schema     up to date")


def _start_services(house: _House) -> None:
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


def _python_child(house: _House, name: str, arguments: Sequence[str], numbers: Sequence[int]) -> Child:
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

    return Child(name=name, start=start, end=patiently(_STOP_SECONDS), why=_look_at(log))


def _wait_healthy(house: _House) -> None:
    """Asks until the service answers 200. Raises `NotHealthy`."""
    address = f"{url(house.sockets[0])}/v1/health/"
    end = time.monotonic() + HEALTH_SECONDS
    while not house.stopping:
        for child in (*house.servers, *house.services):
            if (status := child.ended()) is not None:  # what never worked is not tried again and again
                raise NotHealthy(f"{child.name} ended with {status} before all was ready. {child.why()}")
        if _answers(address):
            return
        if time.monotonic() > end:
            log = house.log(house.services[0].name)
            raise NotHealthy(
                f"The service did not answer {address} within {HEALTH_SECONDS:g} s.\n{tail(log)}"
            )
        time.sleep(0.05)


def _answers(address: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _afterwards(house: _House) -> None:
    """A command that runs once on the healthy house, in the foreground: the sample month."""
    if not house.plan.then:
        return
    command = [sys.executable, "-m", *house.plan.then]
    process = spawn(command, death_signal=signal.SIGKILL, environment=house.environment)
    while process.poll() is None and not house.stopping:
        time.sleep(0.1)
    patiently(5)(process)
    if process.returncode and not house.stopping:
        _say(f"`{' '.join(house.plan.then)}` ended with exit status {process.returncode}; all else runs on")


def _announce(house: _House) -> None:
    addresses = [url(opened) for opened in house.sockets]
    also = f" (also {', '.join(addresses[1:])})" if addresses[1:] else ""
    _say(f"logs       {house.data_dir / 'logs'}")
    _say(f"ready      {addresses[0]}{also}, API pages at {addresses[0]}/docs; Ctrl-C stops everything")


def _instance(house: _House) -> Instance:
    return Instance(
        pid=os.getpid(),
        serving=True,
        database_url=house.environment["DATABASE_URL"],
        redis_url=house.environment.get("REDIS_URL", ""),
        urls=tuple(url(opened) for opened in house.sockets),
    )


def _watch(house: _House) -> None:
    """Until asked to stop: looks at each child ten times a second."""
    stamp, look_at = _sources(house.plan), time.monotonic() + 1
    while not house.stopping:
        for child in (*house.servers, *house.services):
            child.watch(_say)
        if house.plan.reload and time.monotonic() > look_at:
            fresh, look_at = _sources(house.plan), time.monotonic() + 1
            if fresh != stamp:
                stamp = fresh
                _say("sources changed; starting the services again")
                finish_together(house.services, _STOP_SECONDS)
        time.sleep(0.1)


def _sources(plan: Plan) -> dict[str, int]:
    if not plan.reload:
        return {}
    root = Path(str(tallystick.__file__)).parent
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*.py") if path.exists()}


def _stop_all(house: _House) -> None:
    """No new connections, requests finish, then Redis, then PostgreSQL."""
    for opened in house.sockets:
        opened.close()
    finish_together(house.services, _STOP_SECONDS)
    for child in reversed(house.servers):
        child.finish()


def _look_at(log: Path) -> Callable[[], str]:
    def why() -> str:
        last = tail(log, 5)
        return f"Its log is {log}" + (f":\n{last}" if last else "")

    return why


def _fresh_log(log: Path) -> Path:
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    return log


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m tallystick.apps.supervisor`, which `tallystick up` becomes."""
    parser = argparse.ArgumentParser(prog="tallystick up")
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--with-parent", action="store_true")
    options = parser.parse_args(arguments)
    if options.with_parent:
        tie_to_parent(signal.SIGTERM)
    try:
        settings = load_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    then = ("tallystick.cli.main", "demo", "--if-empty") if options.demo else ()
    return supervise(settings, Plan(then=then, reload=options.reload))


if __name__ == "__main__":
    raise SystemExit(main())
