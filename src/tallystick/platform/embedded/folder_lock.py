"""One user at a time for a data folder, and a note of where its servers listen.

The lock is the operating system's: it goes with the process that holds it, however that ends. The note is worth reading only while
the lock is held.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tallystick.platform.embedded.errors import DataFolderBusy

_NOTE = "instance.json"


@dataclass(frozen=True, slots=True)
class Instance:
    """A running Tallystick: what holds the data folder, and how to reach its servers. `serving` is False for a single command."""

    pid: int
    serving: bool
    database_url: str = ""
    redis_url: str = ""
    urls: tuple[str, ...] = ()


@contextmanager
def hold(data_dir: Path, name: str) -> Iterator[None]:
    """Holds the lock `name` of the data folder. Raises `DataFolderBusy` at once where another process holds it."""
    descriptor = os.open(data_dir / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise DataFolderBusy(
                f"The data folder {data_dir} is in use by process {holder or 'unknown'}. "
                "Stop it, or set TALLYSTICK_DATA_DIR to another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def write_note(data_dir: Path, instance: Instance) -> None:
    """Says where the servers listen. Readable by its owner only: addresses may hold a password."""
    fresh = data_dir / f"{_NOTE}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(instance), file)
    fresh.rename(data_dir / _NOTE)


def running(data_dir: Path, name: str = "instance") -> Instance | None:
    """The note of the process that holds lock `name`; None where it has not written one yet. Ask only while the lock is held."""
    try:
        holder = int((data_dir / f"{name}.lock").read_text(encoding="ascii"))
        fields = json.loads((data_dir / _NOTE).read_text(encoding="utf-8"))
        instance = Instance(**{**fields, "urls": tuple(fields["urls"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return instance if instance.pid == holder else None


def remove_note(data_dir: Path) -> None:
    """Forgets the note. A repeat is safe."""
    (data_dir / _NOTE).unlink(missing_ok=True)
