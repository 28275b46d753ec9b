"""Single events that arrive together share one commit; each caller still waits for his own to be on disk.

While one group is being written the next one gathers, so that the group grows with the load and a lone event never waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tallystick.metering.domain.admission import Admitted
from tallystick.metering.domain.events import Verdict

Write = Callable[[Sequence[Admitted], Sequence[str]], Awaitable[list[Verdict]]]
"""Writes rows for principals in one transaction and gives the verdict on each."""

MAX_GROUP = 500


class Group:
    """The events of one process that wait for a commit."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: list[tuple[Admitted, str, asyncio.Future[Verdict]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, row: Admitted, principal: str) -> Verdict:
        """The verdict on `row`, once it is on disk. Raises what writing it alone raises."""
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, principal, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                await self._flush(group)
        finally:
            self._task = None

    async def _flush(self, group: list[tuple[Admitted, str, asyncio.Future[Verdict]]]) -> None:
        try:
            principals = sorted({principal for _, principal, _ in group})
            verdicts = await self._write([row for row, _, _ in group], principals)
        except Exception as error:
            if len(group) > 1:
                # One row may be what the store refuses: nobody else shall suffer for it.
                for single in group:
                    await self._flush([single])
            elif not group[0][2].done():
                group[0][2].set_exception(error)
            return
        for (_, _, future), verdict in zip(group, verdicts, strict=True):
            if not future.done():
                future.set_result(verdict)
