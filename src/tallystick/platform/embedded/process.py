"""Child processes that never outlive their parent.

Linux sends a child its parent-death signal when the *thread* that forked it ends, and forgets the wish when the child changes its
user. So children are started by the main thread only, and the wish is made last: after the change of user, right before exec.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tallystick.platform.embedded.errors import ServerNotStarted

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


@dataclass(frozen=True, slots=True)
class Account:
    """An operating system user to run as."""

    name: str
    uid: int
    gid: int


def spawn(
    command: Sequence[str],
    *,
    death_signal: signal.Signals,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    output: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts `command` in a process group of its own. It gets `death_signal` when this process dies, even of SIGKILL.

    `account` needs root. Raises `ServerNotStarted` where the system refuses. Without `output`, what the child writes goes where our own output goes.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "children are tied to the thread that starts them; start them from the main thread"
        )
    try:
        return subprocess.Popen(  # noqa: S603 - commands are ours, never a client's
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            cwd=folder,
            env=dict(environment) if environment is not None else None,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            process_group=0,
            pass_fds=tuple(pass_fds),
            preexec_fn=_tied_to(os.getpid(), death_signal),
        )
    except OSError as error:
        lent = f" as user {account.name}" if account else ""
        raise ServerNotStarted(f"{command[0]} cannot be started{lent}: {error.strerror}") from None


def _tied_to(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    def tie() -> None:
        if _libc is None:
            return
        if _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)  # the parent died between fork and here; nobody will ever tell us to stop

    return tie


def tie_to_parent(death_signal: signal.Signals) -> None:
    """Asks that this process get `death_signal` when the one that started it dies."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


def stop(process: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Sends each signal and waits its seconds, until the process is gone; then kills what is left of its group."""
    for number, seconds in steps:
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def working_in(folder: Path) -> list[int]:
    """Processes whose working folder is `folder`: servers that a parent left behind. Empty where there is no /proc."""
    found = []
    wanted = str(folder.resolve())
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(entry / "cwd") == wanted and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def end_leftovers(folder: Path, seconds: float = 15.0) -> None:
    """Waits for the servers of a killed parent to finish in `folder`, then ends them. They are ours: we hold its lock."""
    patience = time.monotonic() + seconds / 2
    end = time.monotonic() + seconds
    while (left := working_in(folder)) and time.monotonic() < end:
        if time.monotonic() > patience:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, for a person."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
