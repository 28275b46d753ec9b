"""Events that follow others, as rows: the same content under an id of their own, each pointing at what it stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tallystick.kernel.errors import Conflict
from tallystick.metering.backfills import queries
from tallystick.metering.backfills.domain import derived_id
from tallystick.metering.domain.admission import Admitted
from tallystick.metering.domain.digest import content_digest, event_key, plain, properties_text
from tallystick.metering.domain.events import IncomingEvent, StoredEvent
from tallystick.metering.service import event_columns
from tallystick.platform.db import ReadSession

_TRIES = 20


class IdsTaken(Conflict):
    code = "event_ids_taken"
    sentence = "The ids that would follow this event's are all taken by other events"


@dataclass(frozen=True, slots=True)
class Follower:
    """The identity of an event that stands for another: where the chain began, and its place in it."""

    source: str
    origin: bytes
    origin_id: str
    revision: int

    @property
    def id(self) -> str:
        """Derived from the first id of the chain."""
        return derived_id(self.origin_id, self.revision)

    @property
    def key(self) -> bytes:
        """As of any event."""
        return event_key(self.source, self.id)


async def identities(session: ReadSession, wanted: Sequence[Follower]) -> list[Follower]:
    """The same with ids that nobody has: where one is taken by a stranger's event, the next. Raises `IdsTaken`."""
    found = list(wanted)
    places = list(range(len(found)))
    for _ in range(_TRIES):
        taken = await queries.known(session, [found[place].key for place in places])
        places = [place for place in places if found[place].key in taken]
        if not places:
            return found
        for place in places:
            each = found[place]
            found[place] = Follower(each.source, each.origin, each.origin_id, each.revision + 1)
    raise IdsTaken


def copied(event: StoredEvent, event_id: str) -> Admitted:
    """The event's content under another id, or as it is under its own."""
    quantity = plain(event.quantity)
    price = "" if event.unit_price is None else plain(event.unit_price)
    properties = properties_text(event.properties)
    key = event_key(event.source, event_id)
    digest = content_digest(
        key, event.account_no, event.meter_id, event.occurred_at, quantity, price, properties
    )
    sent = IncomingEvent(id=event_id, meter="", source=event.source)
    return Admitted(
        key, event.account_no, event.meter_id, event.occurred_at, quantity, price, properties, digest, sent
    )


def columns_of(rows: Sequence[Admitted]) -> list[Sequence[Any]]:
    """The rows as this folder's statements take them: every column whole."""
    columns, _ = event_columns(rows)
    return [
        *columns[:7],
        [row.quantity for row in rows],
        [row.unit_price for row in rows],
        [row.properties for row in rows],
        [row.sent.source or "" for row in rows],
    ]


def succession(
    row: Admitted, former: bytes, follower: Follower, kind: str
) -> tuple[UUID, UUID, UUID, int, str]:
    """The row that says so."""
    return (
        UUID(bytes=row.key), UUID(bytes=former), UUID(bytes=follower.origin), follower.revision, kind,
    )  # fmt: skip
