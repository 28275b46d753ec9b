"""An embedded Redis. Nothing in it is the only copy of anything: it may be lost at any moment and is refilled from PostgreSQL."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tallystick.platform.embedded import binaries, place
from tallystick.platform.embedded.errors import ServerNotStarted
from tallystick.platform.embedded.folder_lock import hold
from tallystick.platform.embedded.process import end_leftovers, spawn, stop, tail

_SOCKET = "redis.sock"


@dataclass(frozen=True, slots=True)
class Redis:
    """A prepared server: all that starting it needs."""

    home: Path
    program: Path
    version: str
    socket: Path
    log: Path

    @property
    def data(self) -> Path:
        """Where its append-only file lies."""
        return self.home / "data"

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"unix://{self.socket}?db=0"


def prepare(data_dir: Path, *, log: Path | None = None) -> Redis:
    """Makes the folders and ends what a killed parent left behind. Hold the folder's lock around it; a repeat is safe."""
    home = place.home_for(data_dir, "redis", None)
    program, version = binaries.find_redis()
    folder = place.socket_folder(home, _SOCKET, None)
    server = Redis(
        home, program, version, folder / _SOCKET, log or place.private_folder(data_dir / "logs") / "redis.log"
    )
    end_leftovers(place.private_folder(server.data))
    server.socket.unlink(missing_ok=True)
    return server


def start(server: Redis) -> subprocess.Popen[bytes]:
    """Starts the server in the foreground."""
    options = {
        "--port": "0",
        "--unixsocket": str(server.socket),
        "--unixsocketperm": "700",
        "--dir": str(server.data),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
    }
    command = [str(server.program), *(part for option in options.items() for part in option)]
    with server.log.open("ab") as output:
        return spawn(command, death_signal=signal.SIGTERM, folder=server.data, output=output)


def is_ready(server: Redis) -> bool:
    """Whether it answers PING; not before its file is loaded."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(str(server.socket))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False


def wait_ready(
    server: Redis,
    process: subprocess.Popen[bytes],
    *,
    seconds: float = 60,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Returns when it answers or `cancelled`. Raises `ServerNotStarted`."""
    end = time.monotonic() + seconds
    while not is_ready(server) and not cancelled():
        if process.poll() is not None or time.monotonic() > end:
            raise ServerNotStarted(f"Redis did not start; the end of {server.log}:\n{tail(server.log)}")
        time.sleep(0.02)


def shut_down(process: subprocess.Popen[bytes], server: Redis) -> None:
    """Stops it; its file is written first. Then what lay outside the data folder is tidied."""
    stop(process, [(signal.SIGTERM, 15)])
    server.socket.unlink(missing_ok=True)
    if server.socket.parent.parent != server.home:
        with suppress(OSError):
            server.socket.parent.rmdir()


@contextmanager
def embedded_redis(data_dir: Path, *, keep: bool = True) -> Iterator[str]:
    """A Redis of its own for as long as the block lasts; yields its URL. Enter from the main thread.

    `keep=False` deletes its data at the end. Raises `DataFolderBusy`, `ServerNotFound`, `ServerNotStarted`.
    """
    data_dir = place.make_data_dir(data_dir)
    with hold(data_dir, "redis"):
        server = prepare(data_dir)
        process = start(server)
        try:
            wait_ready(server, process)
            yield server.url
        finally:
            shut_down(process, server)
            if not keep:
                shutil.rmtree(server.home, ignore_errors=True)
