"""The whole house under one process: `tallystick up`.

Opens the ports, starts PostgreSQL and Redis unless the environment names real ones, migrates, starts the services, says when all is
ready, starts again what dies, and stops everything in order. If it is killed itself, the kernel tells every child (process.spawn).
"""

import argparse
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tallystick
from tallystick.apps.children import finish_together, patiently
from tallystick.apps.house import STOP_SECONDS, House, Plan, say, start_servers, start_services
from tallystick.apps.listening import listen_on_all, url
from tallystick.kernel.errors import Refusal, Unavailable
from tallystick.platform.embedded import place
from tallystick.platform.embedded.folder_lock import Instance, hold, remove_note, write_note
from tallystick.platform.embedded.process import spawn, tail, tie_to_parent
from tallystick.platform.settings import Settings, SettingsError, load_settings

HEALTH_SECONDS = 60.0


class NotHealthy(Unavailable):
    """The service started and never said it is well."""

    code = "service_not_healthy"


def supervise(settings: Settings, plan: Plan) -> int:
    """Runs until SIGINT or SIGTERM; the exit status: 0 stopped as asked, 1 refused or gave up."""
    try:
        data_dir = place.make_data_dir(settings.data_dir)
        environment = {**os.environ, "TALLYSTICK_DATA_DIR": str(data_dir)}
        house = House(settings, plan, data_dir, environment)
        with hold(data_dir, "instance"), _signals(house):
            return _run(house)
    except Refusal as refusal:
        print(f"{refusal.sentence} [{refusal.code}]", file=sys.stderr, flush=True)
        return 1


@contextmanager
def _signals(house: House) -> Iterator[None]:
    """A flag and no exception: nothing is torn in the middle. A second Ctrl-C changes nothing, the order is already the fastest safe one."""

    def ask(_number: int, _frame: object) -> None:
        house.stopping = True

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in wanted}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)  # `tallystick up` blocks them while Python loads
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(house: House) -> int:
    with ExitStack() as undo:
        undo.callback(_stop_all, house)
        settings = house.settings
        house.sockets = listen_on_all(settings.host, settings.subscription_port, settings.extra_ports, say)
        place.private_folder(house.data_dir / "logs")
        undo.callback(remove_note, house.data_dir)
        for step in (start_servers, _prepare, start_services, _wait_healthy, _afterwards):
            if house.stopping:
                break
            step(house)
        if not house.stopping:
            _announce(house)
            _watch(house)
        say("stopping …")
    say("stopped")
    return 0


def _prepare(house: House) -> None:
    about_admin = house.plan.prepare(house.environment["DATABASE_URL"], house.settings)
    write_note(house.data_dir, _instance(house))
    say("schema     up to date")
    if about_admin:
        say(about_admin)


def _wait_healthy(house: House) -> None:
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


def _afterwards(house: House) -> None:
    """A command that runs once on the healthy house, in the foreground: the sample month."""
    if not house.plan.then:
        return
    command = [sys.executable, "-m", *house.plan.then]
    process = spawn(command, death_signal=signal.SIGKILL, environment=house.environment)
    while process.poll() is None and not house.stopping:
        time.sleep(0.1)
    patiently(5)(process)
    if process.returncode and not house.stopping:
        say(f"`{' '.join(house.plan.then)}` ended with exit status {process.returncode}; all else runs on")


def _announce(house: House) -> None:
    addresses = [url(opened) for opened in house.sockets]
    also = f" (also {', '.join(addresses[1:])})" if addresses[1:] else ""
    say(f"logs       {house.data_dir / 'logs'}")
    say(f"ready      {addresses[0]}{also}, API pages at {addresses[0]}/docs; Ctrl-C stops everything")


def _instance(house: House) -> Instance:
    return Instance(
        pid=os.getpid(),
        serving=True,
        database_url=house.environment["DATABASE_URL"],
        redis_url=house.environment.get("REDIS_URL", ""),
        urls=tuple(url(opened) for opened in house.sockets),
    )


def _watch(house: House) -> None:
    """Until asked to stop: looks at each child ten times a second."""
    stamp, look_at = _sources(house.plan), time.monotonic() + 1
    while not house.stopping:
        for child in (*house.servers, *house.services):
            child.watch(say)
        if house.plan.reload and time.monotonic() > look_at:
            fresh, look_at = _sources(house.plan), time.monotonic() + 1
            if fresh != stamp:
                stamp = fresh
                say("sources changed; starting the services again")
                finish_together(house.services, STOP_SECONDS)
        time.sleep(0.1)


def _sources(plan: Plan) -> dict[str, int]:
    if not plan.reload:
        return {}
    root = Path(str(tallystick.__file__)).parent
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*.py") if path.exists()}


def _stop_all(house: House) -> None:
    """No new connections, requests finish, then Redis, then PostgreSQL."""
    for opened in house.sockets:
        opened.close()
    finish_together(house.services, STOP_SECONDS)
    for child in reversed(house.servers):
        child.finish()


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
