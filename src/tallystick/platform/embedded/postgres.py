"""An embedded PostgreSQL: found, initialised, started, watched until ready, stopped."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tallystick.platform.embedded import binaries, place
from tallystick.platform.embedded.errors import ServerNotStarted
from tallystick.platform.embedded.folder_lock import hold
from tallystick.platform.embedded.process import Account, end_leftovers, spawn, stop, tail

USER = DATABASE = "postgres"
_SOCKET = ".s.PGSQL.5432"
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Postgres:
    """A prepared server: all that starting it needs."""

    home: Path
    programs: Path
    version: str
    sockets: Path
    log: Path
    account: Account | None
    durable: bool

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        return self.home / "data"

    @property
    def dsn(self) -> str:
        """How drivers reach it."""
        return f"postgresql://{USER}@/{DATABASE}?{urlencode({'host': str(self.sockets), 'port': 5432}, safe='/')}"


def prepare(
    data_dir: Path, *, log: Path | None = None, durable: bool = True, major: int | None = None
) -> Postgres:
    """Makes the cluster where there is none, and clears what a crash left. Hold the folder's lock around it; a repeat is safe.

    `durable=False` is for tests: it trades the promise to survive a power cut for speed.
    """
    account = place.account_for_root()
    home = place.home_for(data_dir, "postgres", account)
    existing = home / "data" / "PG_VERSION"
    if existing.exists():
        major = int(existing.read_text(encoding="ascii").strip())
    found = binaries.find_postgres(major)
    root = place.reachable_copy(found.root, found.parts, home, account)
    server = Postgres(
        home=home,
        programs=root / found.bin,
        version=found.version,
        sockets=place.socket_folder(home, _SOCKET, account),
        log=log or place.private_folder(data_dir / "logs") / "postgres.log",
        account=account,
        durable=durable,
    )
    if not existing.exists():
        _initialise(server)
    _clear_leftovers(server)
    return server


def _initialise(server: Postgres) -> None:
    """`initdb` beside the final place and a rename, so that a cluster is whole or not there."""
    fresh = server.home / "data.new"
    for locale in ("C.UTF-8", "C"):
        shutil.rmtree(fresh, ignore_errors=True)
        place.private_folder(fresh, server.account)
        command = [
            str(server.programs / "initdb"),
            f"--pgdata={fresh}",
            f"--username={USER}",
            "--encoding=UTF8",
        ]
        command += [f"--locale={locale}", "--auth-local=trust", "--auth-host=reject", "--no-instructions"]
        command += [] if server.durable else ["--no-sync"]
        with server.log.open("ab") as output:
            process = spawn(
                command,
                death_signal=signal.SIGKILL,
                account=server.account,
                environment=_environment(),
                folder=fresh,
                output=output,
            )
            if process.wait() == 0:
                fresh.rename(server.data)
                return
    shutil.rmtree(fresh, ignore_errors=True)
    raise ServerNotStarted(f"PostgreSQL could not make its files:\n{tail(server.log)}")


def _clear_leftovers(server: Postgres) -> None:
    """Lock files without a postmaster: the number in them may by now be anyone's, and PostgreSQL would refuse to start."""
    end_leftovers(server.data)
    for leftover in (
        server.data / "postmaster.pid",
        server.sockets / _SOCKET,
        server.sockets / f"{_SOCKET}.lock",
    ):
        leftover.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _settings(server: Postgres) -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB
    shared = max(32, min(512, memory // 8))
    values = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(server.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(128, memory // 2)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": f"{max(64, shared // 4)}MB",
        "fsync": "on" if server.durable else "off",
        "synchronous_commit": "on" if server.durable else "off",
        "full_page_writes": "on" if server.durable else "off",
        "wal_compression": "on",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] %a ",
    }
    if _shared_memory_mb() < 256:
        values["dynamic_shared_memory_type"] = (
            "mmap"  # containers give /dev/shm 64 MB; a parallel plan needs more
        )
    return values


def _shared_memory_mb() -> int:
    try:
        status = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return 0
    return status.f_frsize * status.f_blocks // _MB


def start(server: Postgres, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Starts the server in the foreground; `settings` add to ours. If we die it stops at once, safely: the log is on disk."""
    command = [str(server.programs / "postgres"), "-D", str(server.data)]
    for name, value in {**_settings(server), **(settings or {})}.items():
        command += ["-c", f"{name}={value}"]
    with server.log.open("ab") as output:
        return spawn(
            command,
            death_signal=signal.SIGQUIT,
            account=server.account,
            environment=_environment(),
            folder=server.data,
            output=output,
        )


def is_ready(server: Postgres, process: subprocess.Popen[bytes]) -> bool:
    """Whether connections are taken: the eighth line of postmaster.pid, where pg_ctl reads it too."""
    try:
        lines = (server.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(process.pid) and lines[7].strip() == "ready"


def wait_ready(
    server: Postgres,
    process: subprocess.Popen[bytes],
    *,
    seconds: float = 120,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Returns when connections are taken or `cancelled`. Raises `ServerNotStarted`. Recovery after a crash takes its time."""
    end = time.monotonic() + seconds
    while not is_ready(server, process) and not cancelled():
        if process.poll() is not None or time.monotonic() > end:
            raise ServerNotStarted(f"PostgreSQL did not start; the end of {server.log}:\n{tail(server.log)}")
        time.sleep(0.02)


def shut_down(process: subprocess.Popen[bytes], server: Postgres) -> None:
    """Fast shutdown: open transactions roll back, everything is written. Then what lay outside the data folder is tidied."""
    stop(process, [(signal.SIGINT, 60), (signal.SIGQUIT, 10)])
    if server.sockets.parent != server.home:
        with suppress(OSError):
            server.sockets.rmdir()


def remove(data_dir: Path) -> None:
    """Deletes the cluster of a stopped server: all its data. A repeat is safe."""
    remembered = data_dir / "postgres.location"
    if remembered.exists():
        shutil.rmtree(remembered.read_text(encoding="utf-8").strip(), ignore_errors=True)
        remembered.unlink()
    shutil.rmtree(data_dir / "postgres", ignore_errors=True)


@contextmanager
def embedded_postgres(
    data_dir: Path,
    *,
    durable: bool = True,
    keep: bool = True,
    major: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A PostgreSQL of its own for as long as the block lasts; yields its DSN. Enter from the main thread.

    `keep=False` deletes its data at the end. Raises `DataFolderBusy`, `ServerNotFound`, `ServerNotStarted`.
    """
    data_dir = place.make_data_dir(data_dir)
    with hold(data_dir, "postgres"):
        server = prepare(data_dir, durable=durable, major=major)
        process = start(server, settings)
        try:
            wait_ready(server, process)
            yield server.dsn
        finally:
            shut_down(process, server)
            if not keep:
                remove(data_dir)
