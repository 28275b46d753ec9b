"""Amendments and backfills as values. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Any
from uuid import UUID

from tallystick.kernel.errors import Conflict, Invalid, NotFound
from tallystick.metering.domain.admission import Admitted
from tallystick.metering.domain.events import MAX_TEXT, StoredEvent, Verdict, invalid

MAX_WINDOW = timedelta(days=400)
MAX_EVENTS = 100_000
"""Events that one backfill adds at most, and that it replaces at most: so that a commit is over in seconds. Several windows hold more."""
MAX_ACCOUNTS = 1000
MAX_METERS = 100


class State(StrEnum):
    """Where a backfill is. Only an open one takes events; a committed one counts."""

    OPEN = "open"
    COMMITTED = "committed"
    CANCELLED = "cancelled"
    REVERTED = "reverted"


class Mode(StrEnum):
    """Whether events come to those of the window, or stand in their place."""

    ADD = "add"
    REPLACE = "replace"


class BackfillNotFound(NotFound):
    code = "backfill_not_found"
    sentence = "There is no backfill with this id"


class BackfillWindow(Invalid):
    code = "backfill_window"
    sentence = "The window of the backfill cannot be; see details"


class BackfillScope(Invalid):
    code = "backfill_scope"
    sentence = "The accounts and meters of a backfill must be there and open; see details"


class BackfillNotOpen(Conflict):
    code = "backfill_not_open"
    sentence = "The backfill is not open; details says its state. Open another one"


class BackfillNotCommitted(Conflict):
    code = "backfill_not_committed"
    sentence = "Only a backfill that counts can be reverted; details says its state"


class BackfillOverlaps(Conflict):
    code = "backfill_overlaps"
    sentence = "Another open backfill has some of this window, account and meter; commit or cancel it first"


class BackfillEmpty(Conflict):
    code = "backfill_empty"
    sentence = "The backfill holds no event; send some, or commit a replacement by nothing with void_all"


class BackfillFull(Conflict):
    code = "backfill_full"
    sentence = (
        "The backfill would add or replace more events than one may; split its window, accounts or meters"
    )


class BackfillChanged(Conflict):
    code = "backfill_changed"
    sentence = "What the commit would do is not what the digest stands for; look at the diff again"


class BackfillEventTaken(Conflict):
    code = "backfill_event_taken"
    sentence = (
        "An event with the source and id of a staged one came another way and differs, or is void; details names some. "
        "Cancel, and send these under new ids"
    )


class BackfillAccountClosed(Conflict):
    code = "backfill_account_closed"
    sentence = "An account of the backfill is closed, and nothing of it can be billed or credited any more"


class BackfillBuiltUpon(Conflict):
    code = "backfill_built_upon"
    sentence = "A later backfill has some of the same window, account and meter; revert that first"


class EventIsVoid(Conflict):
    code = "event_void"
    sentence = "The event is void; details says which stands for it, if any. Amend that, or record a new one"


class EventAmended(Conflict):
    code = "event_amended"
    sentence = "The event was amended to something else before; amend the one that stands for it, which details names"


class AmendmentEmpty(Conflict):
    code = "amendment_empty"
    sentence = "The event is like this already; nothing to amend"


class AmendmentElsewhere(Invalid):
    code = "amendment_elsewhere"
    sentence = "An amendment stays with the event's account and meter; void the event and record another"


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill as stored. `account_nos` None: all open accounts of the entity. Counts of what it did, and of what its revert did."""

    id: UUID
    entity_id: int
    state: State
    mode: Mode
    account_nos: tuple[int, ...] | None
    meter_ids: tuple[int, ...]
    period_start: datetime
    period_end: datetime
    reason: str
    opened_by: str
    opened_at: datetime
    staged: int = 0
    added: int = 0
    kept: int = 0
    replaced: int = 0
    withdrawn: int = 0
    reinstated: int = 0
    commit_batch: int | None = None
    committed_at: datetime | None = None
    cancelled_at: datetime | None = None
    revert_batch: int | None = None
    reverted_at: datetime | None = None

    def require_open(self) -> None:
        """Raises `BackfillNotOpen`."""
        if self.state is not State.OPEN:
            raise BackfillNotOpen(details={"state": self.state.value})


@dataclass(frozen=True, slots=True)
class NewBackfill:
    """What is asked of a backfill; accounts by id, None for all of the entity, meters by code."""

    id: UUID
    mode: Mode
    account_ids: tuple[str, ...] | None
    meters: tuple[str, ...]
    period_start: datetime
    period_end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What a commit did, in batch `batch`: so many events of which accounts. `digest` stands for exactly these events."""

    batch: int
    added: int
    kept: int
    replaced: int
    accounts: tuple[int, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Link:
    """A neighbour of an event in its chain: which, and how the later one came about (`amendment` or `reinstatement`)."""

    key: bytes
    source: str
    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Chain:
    """What stood before an event, what stands for it, where the chain began, and which backfills wrote it and took it away."""

    former: Link | None = None
    successor: Link | None = None
    origin: Link | None = None
    revision: int = 1
    written_by: UUID | None = None
    voided_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to be different. None: as it was. `account_id`, `external_id` and `meter` may only repeat what the event has."""

    quantity: Any = None
    occurred_at: datetime | None = None
    properties: Mapping[str, Any] | None = None
    unit_price: Any = None
    account_id: str | None = None
    external_id: str | None = None
    meter: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Staged:
    """Identities that are taken already: events on disk by key, staged ones with the backfill they wait in."""

    stored: Mapping[bytes, StoredEvent] = field(default_factory=dict)
    waiting: Mapping[bytes, tuple[UUID, StoredEvent]] = field(default_factory=dict)


VOID = Verdict(
    "conflict", "event_void", {"id": "an event with this source and id is void; send it under a new id"}
)
ELSEWHERE = Verdict(
    "conflict", "event_staged", {"id": "an event with this source and id waits in another backfill"}
)
NO_TIME = invalid("invalid_event", "occurred_at", "is required in a backfill")


def check_window(start: datetime, end: datetime, now: datetime) -> None:
    """Raises `BackfillWindow` for one that is empty, inverted, not over yet at `now`, or longer than 400 days."""
    problem = None
    if start >= end:
        problem = "must lie after period_start"
    elif end > now:
        problem = "must not lie in the future: a window is over when it is filled"
    elif end - start > MAX_WINDOW:
        problem = f"must lie at most {MAX_WINDOW.days} days after period_start; open several backfills"
    if problem is not None:
        raise BackfillWindow(f"period_end: {problem}", details={"period_end": problem})


def outside(row: Admitted, backfill: Backfill, accounts: Collection[int]) -> Verdict | None:
    """The verdict on an event that does not belong into the backfill; `accounts` are those of the entity, of the ones sent."""
    if row.sent.occurred_at is None:
        return NO_TIME
    name = "account_id" if row.sent.account_id is not None else "external_id"
    allowed = accounts if backfill.account_nos is None else backfill.account_nos
    if row.account_no not in allowed:
        return invalid("outside_backfill", name, "is not an account of this backfill")
    if row.meter_id not in backfill.meter_ids:
        return invalid("outside_backfill", "meter", "is not a meter of this backfill")
    if not backfill.period_start <= row.occurred_at < backfill.period_end:
        return invalid("outside_backfill", "occurred_at", "lies outside the window of this backfill")
    return None


def derived_id(origin: str, revision: int) -> str:
    """The id of an event that follows another: `e1~2`, then `e1~3`. One that would grow too long is cut, and told apart by a digest."""
    suffix = f"~{revision}"
    if len(origin) + len(suffix) > MAX_TEXT:
        digest = blake2b(origin.encode(), digest_size=8).hexdigest()
        origin = f"{origin[: MAX_TEXT - len(suffix) - len(digest) - 1]}~{digest}"
    return origin + suffix
