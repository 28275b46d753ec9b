"""Where a server of ours keeps its files, and whom it runs as.

Started by an ordinary user, everything lies in the data folder. PostgreSQL refuses to run as root; root therefore lends it to an
unprivileged user the machine already has, in folders made here. A folder we did not make keeps its owner and its mode.
"""

import hashlib
import os
import pwd
import re
import shutil
import stat
import tempfile
from pathlib import Path

from tallystick.platform.embedded.errors import ServerNotStarted
from tallystick.platform.embedded.process import Account

LONGEST_SOCKET = 107
_PLAIN = re.compile(r"^[A-Za-z0-9_./-]+$")
_LENT_TO = ("nobody", "daemon", "bin")


def account_for_root() -> Account | None:
    """Whom PostgreSQL runs as: None is "as ourselves". Raises `ServerNotStarted` where root finds nobody to lend it to."""
    if os.geteuid() != 0:
        return None
    for name in _LENT_TO:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerNotStarted(
        "PostgreSQL does not run as root, and this machine has no user nobody, daemon or bin. "
        "Start as an ordinary user, or set DATABASE_URL"
    )


def may_enter(folder: Path, account: Account) -> bool:
    """Whether `account` may pass through `folder` and all above it, by their modes (access lists are not read)."""
    folder = folder.resolve()
    for step in (folder, *folder.parents):
        try:
            status = step.stat()
        except OSError:
            return False
        if status.st_uid == account.uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid == account.gid:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def make_data_dir(data_dir: Path) -> Path:
    """Makes the data folder where it is missing; for root one that others may pass through, never list. A repeat is safe."""
    data_dir = data_dir.absolute()
    if not data_dir.exists():
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        data_dir.mkdir(exist_ok=True)
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    if not data_dir.is_dir() or not os.access(data_dir, os.W_OK | os.X_OK):
        raise ServerNotStarted(
            "The data folder cannot be written; set TALLYSTICK_DATA_DIR to a folder of yours"
        )
    return data_dir


def private_folder(path: Path, account: Account | None = None) -> Path:
    """A folder that only its owner enters, made where it is missing."""
    if not path.exists():
        path.mkdir(mode=0o700)
        path.chmod(0o700)
        if account is not None:
            _give(path, account)
    return path


def _give(path: Path, account: Account) -> None:
    try:
        os.chown(path, account.uid, account.gid)
    except OSError as error:
        path.rmdir()
        raise ServerNotStarted(
            f"PostgreSQL does not run as root, and this root may not lend it to user {account.name} ({error.strerror}). "
            "Start as an ordinary user, or set DATABASE_URL"
        ) from None


def home_for(data_dir: Path, name: str, account: Account | None) -> Path:
    """The folder of server `name`: inside the data folder, or where `account` cannot go there, one of its own.

    The latter is remembered in a file of the data folder, so that the next start finds it.
    """
    inside = data_dir / name
    if account is None:
        return private_folder(inside)
    remembered = data_dir / f"{name}.location"
    if remembered.exists():
        home = Path(remembered.read_text(encoding="utf-8").strip())
        if not home.is_dir():
            raise ServerNotStarted(
                f"The database of this data folder lay in {home}, which is gone. "
                f"Bring it back, or remove {remembered} to begin with an empty one"
            )
        return home
    if not may_enter(data_dir, account):
        inside = _elsewhere(account)
        remembered.write_text(f"{inside}\n", encoding="utf-8")
    inside.mkdir(exist_ok=True)
    inside.chmod(0o711)
    return inside


def _elsewhere(account: Account) -> Path:
    for base in (Path("/var/tmp"), Path(tempfile.gettempdir())):  # noqa: S108
        if base.is_dir() and may_enter(base, account) and os.access(base, os.W_OK):
            return Path(tempfile.mkdtemp(prefix="tallystick-", dir=base))
    raise ServerNotStarted(
        f"User {account.name} can reach neither the data folder nor a temporary one; set TALLYSTICK_DATA_DIR "
        "to a folder it can pass through, or set DATABASE_URL"
    )


def socket_folder(home: Path, socket_name: str, account: Account | None) -> Path:
    """`home`/run, or a short folder under the temporary one where the socket's path would not fit its 107 bytes."""
    inside = home / "run"
    if len(os.fsencode(inside / socket_name)) <= LONGEST_SOCKET and _PLAIN.match(str(inside)):
        return private_folder(inside, account)
    owner = account.uid if account else os.geteuid()
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    runtime = os.environ.get("XDG_RUNTIME_DIR") if account is None else None
    base = Path(runtime or "/tmp")  # noqa: S108 - checked below to be ours alone
    short = private_folder(base / f"tallystick-{owner}-{digest}", account)
    status = short.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or stat.S_IMODE(status.st_mode) != 0o700:
        raise ServerNotStarted(
            f"{short} is there already and is not ours; remove it, or choose another data folder"
        )
    return short


def reachable_copy(source: Path, parts: tuple[str, ...], home: Path, account: Account | None) -> Path:
    """`source` itself, or where `account` cannot go there, a copy of its `parts` inside `home`. Owned by root, never by `account`."""
    if account is None or may_enter(source, account):
        return source
    stamp = source.stat().st_mtime_ns
    target = home / f"programs-{stamp:x}"
    if not target.exists():
        fresh = home / f"programs-{stamp:x}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        fresh.chmod(0o755)
        for part in parts:
            shutil.copytree(source / part, fresh / part, symlinks=True)
        fresh.rename(target)
    return target
