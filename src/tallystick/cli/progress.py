"""Steps that are timed, and show a bar once they have taken two seconds on a terminal."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tallystick.cli.bill_report import Step

PATIENCE_SECONDS = 2.0


@dataclass(slots=True)
class Steps:
    """The steps done so far. `clock` gives seconds that only go forward; it is the machine's, for telling, not billing."""

    console: Console
    clock: Callable[[], float]
    done: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Time a step that handles `total` of `unit`; call what it yields with how many are done since the last call.

        A `total` of 0 is not known before: what was done is then counted.
        A step that fails is not counted as done; its bar is taken away either way.
        """
        started = self.clock()
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        task = progress.add_task(name, total=total or None)
        later = threading.Timer(PATIENCE_SECONDS, progress.start)
        later.daemon = True
        if self.console.is_terminal:
            later.start()
        handled = 0

        def advance(count: int) -> None:
            nonlocal handled
            handled += count
            progress.advance(task, count)

        try:
            yield advance
        finally:
            later.cancel()
            if later.ident is not None:
                later.join()
            if progress.live.is_started:
                progress.stop()
        self.done.append(Step(name, self.clock() - started, total or handled, unit))
