"""The harness: a durable server, a real service process, a load generator, a table of figures beside their floors.

`BENCH_DATABASE_SERVER` and `BENCH_REDIS_URL` may name servers of your own; the embedded ones are started otherwise. Everything shares
the machine: server, service and callers. So read ratios; seconds are those of this machine.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from tallystick.migrations.run import upgrade
from tallystick.platform.embedded import embedded_postgres, embedded_redis

UNLIMITED = "1000000000"


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table. `ratio` is ours ÷ floor; `targets` says what is to be reached, `reached` whether it is."""

    what: str
    floor: str
    ours: str
    ratio: float
    targets: str
    reached: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark works: a migrated, empty database, a Redis and a folder of its own."""

    database_url: str
    redis_url: str
    folder: Path


@contextmanager
def place() -> Iterator[Place]:
    """A fresh database on a durable server (fsync and synchronous_commit on), gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tallystick-bench-")))
        folder.chmod(0o755)
        server = os.environ.get("BENCH_DATABASE_SERVER") or stack.enter_context(
            embedded_postgres(folder / "servers", keep=False)
        )
        redis = os.environ.get("BENCH_REDIS_URL") or stack.enter_context(
            embedded_redis(folder / "servers", keep=False)
        )
        yield stack.enter_context(_database(server, redis, folder))


@contextmanager
def another(beside: Place) -> Iterator[Place]:
    """One more fresh database on the same server, gone afterwards."""
    with _database(beside.database_url, beside.redis_url, beside.folder) as where:
        yield where


@contextmanager
def _database(server: str, redis: str, folder: Path) -> Iterator[Place]:
    name = f"bench_{uuid4().hex[:10]}"
    asyncio.run(_statement(server, f'CREATE DATABASE "{name}"'))
    url = _named(server, name)
    upgrade(url)
    try:
        yield Place(url, redis, folder)
    finally:
        asyncio.run(_statement(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


def _named(url: str, name: str) -> str:
    if "host=" in url:  # a socket: postgresql://user@/name?host=…
        head, _, query = url.partition("?")
        return f"{head.rsplit('/', 1)[0]}/{name}?{query}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def _statement(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def service(
    where: Place, application: str = "tallystick.apps.subscription_service:create_app", **settings: str
) -> Iterator[int]:
    """A service process as the supervisor would start it, limits raised but counted; yields its port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    port: int = listening.getsockname()[1]
    number = listening.fileno()
    log = where.folder / f"service-{port}.log"
    environment = {
        **os.environ,
        "DATABASE_URL": where.database_url,
        "REDIS_URL": where.redis_url,
        "TALLYSTICK_DATA_DIR": str(where.folder / "data"),
        "TALLYSTICK_RATE_LIMIT_PRINCIPAL": UNLIMITED,
        "TALLYSTICK_ACCESS_LOG": "false",
        **settings,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tallystick.apps.serve", application, str(number)],
            pass_fds=[number], env=environment, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            _wait(process, port, log)
            yield port
        finally:
            process.terminate()
            process.wait(20)
            listening.close()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
        if process.poll() is not None:
            break
    raise SystemExit(f"The service did not start:\n{log.read_text()[-3000:]}")


@dataclass(slots=True)
class Load:
    """What came of a load: seconds in all, each call's seconds, how often each status."""

    seconds: float = 0.0
    calls: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    sample: bytes = b""

    def percentile(self, share: float) -> float:
        """The call time in milliseconds that `share` of the calls stay below."""
        ordered = sorted(self.calls)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class _Caller(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last is whole. Cheap, since it shares the cores it measures."""

    def __init__(self, requests: Iterator[bytes], load: Load, done: "asyncio.Future[None]") -> None:
        self.requests, self.load, self.done = requests, load, done
        self.buffer = b""
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._next()

    def _next(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self.started = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        self.load.calls.append(time.perf_counter() - self.started)
        status = int(self.buffer[9:12])
        self.load.statuses[status] = self.load.statuses.get(status, 0) + 1
        self.load.sample = self.buffer
        self.buffer = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the service hung up"))


def drive(port: int, requests: Sequence[bytes], connections: int) -> Load:
    """Sends `requests` over `connections` at once, each connection one after another."""
    return uvloop.run(_drive(port, requests, connections))


async def _drive(port: int, requests: Sequence[bytes], connections: int) -> Load:
    loop = asyncio.get_running_loop()
    load, queue = Load(), iter(requests)
    waits = [loop.create_future() for _ in range(connections)]
    started = time.perf_counter()
    for done in waits:
        await loop.create_connection(lambda done=done: _Caller(queue, load, done), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*waits)
    load.seconds = time.perf_counter() - started
    return load


def request(path: str, token: str, body: bytes, kind: str = "application/json") -> bytes:
    """A POST as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def show(title: str, figures: Sequence[Figure]) -> bool:
    """Prints the table; True where every target is reached."""
    table = Table(title=title)
    for column in ("what", "floor", "ours", "ratio", "target", ""):
        table.add_column(column, justify="left" if column in ("what", "target", "") else "right")
    for figure in figures:
        mark = "[green]reached[/]" if figure.reached else "[red]missed[/]"
        table.add_row(figure.what, figure.floor, figure.ours, f"{figure.ratio:.2f}", figure.targets, mark)
    Console(width=140 if not sys.stdout.isatty() else None).print(table)
    return all(figure.reached for figure in figures)
