"""A child that should be running: started, watched, restarted a bounded number of times, stopped."""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tallystick.kernel.errors import Unavailable
from tallystick.platform.embedded import process as processes

FAILURES = 5
WINDOW_SECONDS = 60.0
FIRST_DELAY = 0.5


class GaveUp(Unavailable):
    """A child died too often; everything else is stopped, for half a system bills nobody right."""

    code = "process_keeps_dying"


@dataclass(slots=True)
class Child:
    """One long-lived process. `start` makes it, `ready` returns when it works, `end` stops it, `why` says where to look."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    end: Callable[[subprocess.Popen[bytes]], None]
    why: Callable[[], str]
    ready: Callable[[subprocess.Popen[bytes]], None] = lambda _process: None
    process: subprocess.Popen[bytes] | None = None
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    start_at: float = 0.0

    def run(self) -> None:
        """Starts it and waits until it works."""
        self.process = self.start()
        self.ready(self.process)

    def ended(self) -> str | None:
        """How it ended, for a person; None while it runs."""
        status = self.process.poll() if self.process is not None else None
        return None if status is None else _described(status)

    def watch(self, say: Callable[[str], None]) -> None:
        """Looks once; plans and makes restarts. Raises `GaveUp` after five deaths within a minute."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.run()
            return
        status = self.ended()
        if status is None:
            return
        self.end(self.process)  # nothing of its group stays behind
        self.process = None
        self.deaths.append(now)
        if len(self.deaths) == FAILURES and now - self.deaths[0] < WINDOW_SECONDS:
            raise GaveUp(
                f"{self.name} died {FAILURES} times within a minute, last with {status}; gave up. {self.why()}"
            )
        recent = sum(now - death < WINDOW_SECONDS for death in self.deaths)
        delay = FIRST_DELAY * 2 ** (recent - 1)
        self.start_at = now + delay
        say(f"{self.name} ended with {status}; starting it again in {delay:g} s. {self.why()}")

    def finish(self) -> None:
        """Stops it. A repeat is safe."""
        if self.process is not None:
            self.end(self.process)
            self.process = None


def finish_together(children: Sequence[Child], seconds: float) -> None:
    """Sends all SIGTERM at the same time, so that the slowest sets the pace; kills what is left after `seconds`."""
    running = [(child, child.process) for child in children if child.process is not None]
    for _child, process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    end = time.monotonic() + seconds
    for child, process in running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, end - time.monotonic()))
        processes.stop(process, [])
        child.process = None


def patiently(seconds: float) -> Callable[[subprocess.Popen[bytes]], None]:
    """An `end` that sends SIGTERM and waits `seconds` before it kills."""
    return lambda process: processes.stop(process, [(signal.SIGTERM, seconds)])


def _described(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
