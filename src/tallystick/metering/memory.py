"""What one process remembers beside its pool: accounts for five seconds, meters and months for good, and the group of single events.

Meters never change and months are never dropped, so a positive answer stays true; absence is not remembered. An account that closes
may be fed for five seconds more (as long as a revoked key still works); accounts on a test clock are not kept, since their time moves.
"""

import time
from datetime import date
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tallystick.metering.domain.admission import MeteredAccount, MeterLike
from tallystick.platform.db import Database

if TYPE_CHECKING:
    from tallystick.metering.grouping import Group

ACCOUNT_SECONDS = 5.0
MOST_RENEWED = 10_000


class Memory:
    """One per pool; dies with it. `external` is keyed by entity, then external id."""

    def __init__(self) -> None:
        self.accounts: dict[str, MeteredAccount] = {}
        self.external: dict[int, dict[str, MeteredAccount]] = {}
        self.meters: dict[str, MeterLike] = {}
        self.months: set[date] = set()
        self.group: Group | None = None
        self._stale_at = 0.0

    def turn(self) -> list[str]:
        """Once the accounts are five seconds old: forgets them and gives the ids to be read again, in one statement, by whoever asked.

        So many accounts fed one by one cost a statement every five seconds, not one each. Otherwise nothing happens.
        """
        moment = time.monotonic()
        if moment < self._stale_at:
            return []
        known = list(self.accounts)
        self.accounts = {}
        self.external = {}
        self._stale_at = moment + ACCOUNT_SECONDS
        return known if len(known) <= MOST_RENEWED else []


_memories: WeakKeyDictionary[Database, Memory] = WeakKeyDictionary()


def of(database: Database) -> Memory:
    """The memory of a pool."""
    memory = _memories.get(database)
    if memory is None:
        memory = _memories[database] = Memory()
    return memory
