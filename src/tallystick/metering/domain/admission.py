"""Which events are admitted, and as what row. Pure: accounts, meters and the time are given.

Source of the bounds: SEMANTICS "Aggregation" (5 minutes ahead of the account's clock; `late_limit`), CONTRACT §8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import msgspec

from tallystick.metering.domain.digest import content_digest, event_key, plain, properties_text
from tallystick.metering.domain.events import (
    CONFLICT,
    DUPLICATE,
    MAX_PROPERTIES_TEXT,
    IncomingEvent,
    StoredEvent,
    Verdict,
    invalid,
)
from tallystick.metering.domain.slices import OPERATION

AHEAD = timedelta(minutes=5)
LATE_LIMIT = timedelta(days=35)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
MAX_QUANTITY = Decimal(10) ** 18
MAX_UNIT_PRICE = Decimal(10) ** 15
PLACES = 12

UNKNOWN_ACCOUNT = invalid("unknown_account", "account_id", "names no open account; create it first")
UNKNOWN_EXTERNAL = invalid("unknown_account", "external_id", "names no open account; create it first")
UNKNOWN_METER = invalid("unknown_meter", "meter", "is not a meter; create it first")
NO_ACCOUNT = invalid("invalid_event", "account_id", "is required; or send external_id")
TWO_ACCOUNTS = invalid("invalid_event", "external_id", "must not be sent beside account_id")
FUTURE = invalid("future", "occurred_at", "is more than 5 minutes ahead of the account's clock")
TOO_LATE = invalid("too_late", "occurred_at", "is older than the late limit; send it as a backfill")
TOO_EARLY = invalid("invalid_event", "occurred_at", "must not lie before 1970")
NO_OFFSET = invalid("invalid_event", "occurred_at", "needs an offset, as in 2024-01-01T00:00:00Z")
BAD_QUANTITY = invalid("invalid_event", "quantity", "must be below 10^18 with at most 12 decimals")
BAD_PROPERTIES = invalid("invalid_event", "properties", "must be at most 8 KiB of JSON")
BAD_OPERATION = invalid("invalid_event", "properties", f"{OPERATION} must be add or remove")
BAD_PRICE = invalid(
    "invalid_event", "unit_price", "must be at least 0 and below 10^15 with at most 12 decimals"
)


class MeterLike(Protocol):
    """What admission needs of a catalog meter."""

    @property
    def id(self) -> int: ...

    @property
    def aggregation(self) -> str: ...

    @property
    def field(self) -> str | None: ...

    @property
    def recurring(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class MeteredAccount:
    """An open account as admission sees it; `frozen_time` where it is on a test clock."""

    no: int
    id: str
    entity_id: int
    external_id: str | None = None
    frozen_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """The accounts and meters that a batch names."""

    by_id: Mapping[str, MeteredAccount]
    by_external_id: Mapping[str, MeteredAccount]
    meters: Mapping[str, MeterLike]


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A row to be written: numbers in their plain spelling, properties as canonical JSON ("" for none), and what was sent."""

    key: bytes
    account_no: int
    meter_id: int
    occurred_at: datetime
    quantity: str
    unit_price: str
    properties: str
    digest: bytes
    sent: IncomingEvent


@dataclass(frozen=True, slots=True)
class Rules:
    """The moment and the limits of one request. `backfill` lifts the late limit, nothing else."""

    now: datetime
    backfill: bool = False
    late_limit: timedelta = LATE_LIMIT

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """The first and the last instant at which an event may have occurred, seen at `now`."""
        first = EARLIEST if self.backfill else max(EARLIEST, now - self.late_limit)
        return first, now + AHEAD


def admit(events: Sequence[IncomingEvent], directory: Directory, rules: Rules) -> list[Admitted | Verdict]:
    """For each event its row, or the verdict that refuses it, in the order given."""
    window = rules.window(rules.now)
    return [_admit(event, directory, rules, window) for event in events]


def _admit(
    event: IncomingEvent, directory: Directory, rules: Rules, window: tuple[datetime, datetime]
) -> Admitted | Verdict:
    account = _account(event, directory)
    if isinstance(account, Verdict):
        return account
    meter = directory.meters.get(event.meter)
    if meter is None:
        return UNKNOWN_METER
    now = rules.now
    if account.frozen_time is not None:
        now = account.frozen_time
        window = rules.window(now)
    occurred_at = event.occurred_at
    if occurred_at is None:
        occurred_at = now
    elif occurred_at.tzinfo is not UTC or not window[0] <= occurred_at <= window[1]:
        settled = _settle(occurred_at, window)
        if isinstance(settled, Verdict):
            return settled
        occurred_at = settled
    quantity = _spelled(event.quantity, "1", MAX_QUANTITY)
    if quantity is None:
        return BAD_QUANTITY
    price = _spelled(event.unit_price, "", MAX_UNIT_PRICE)
    if price is None or price[:1] == "-":
        return BAD_PRICE
    if meter.field is not None:
        problem = _missing_field(event, meter)
        if problem is not None:
            return problem
    if (
        meter.recurring
        and event.properties
        and event.properties.get(OPERATION, "add") not in ("add", "remove")
    ):
        return BAD_OPERATION
    properties = properties_text(event.properties) if event.properties else ""
    if len(properties) > MAX_PROPERTIES_TEXT:
        return BAD_PROPERTIES
    key = event_key(event.source or "", event.id)
    digest = content_digest(key, account.no, meter.id, occurred_at, quantity, price, properties)
    return Admitted(key, account.no, meter.id, occurred_at, quantity, price, properties, digest, event)


def _settle(occurred_at: datetime, window: tuple[datetime, datetime]) -> datetime | Verdict:
    """The instant in UTC, or the verdict on one that has no offset or lies outside the window."""
    if occurred_at.tzinfo is None:
        return NO_OFFSET
    try:
        utc = occurred_at.astimezone(UTC)
    except OverflowError:
        return TOO_EARLY if occurred_at.year == 1 else FUTURE
    if utc < EARLIEST:
        return TOO_EARLY
    if utc < window[0]:
        return TOO_LATE
    return FUTURE if utc > window[1] else utc


def _account(event: IncomingEvent, directory: Directory) -> MeteredAccount | Verdict:
    if event.account_id is not None:
        if event.external_id is not None:
            return TWO_ACCOUNTS
        return directory.by_id.get(event.account_id) or UNKNOWN_ACCOUNT
    if event.external_id is None:
        return NO_ACCOUNT
    return directory.by_external_id.get(event.external_id) or UNKNOWN_EXTERNAL


def _spelled(number: int | Decimal | None, default: str, limit: Decimal) -> str | None:
    """The plain spelling of a sent number, `default` where none was sent, None where it is out of bounds."""
    if number is None:
        return default
    if type(number) is int:
        return str(number) if -limit < number < limit else None
    assert isinstance(number, Decimal)
    if not number.is_finite() or not -limit < number < limit:
        return None
    if number and number.adjusted() < -PLACES:
        return None
    text = plain(number)
    if len(text) > PLACES + 1 and "." in text and len(text) - text.index(".") - 1 > PLACES:
        return None
    return text


def _missing_field(event: IncomingEvent, meter: MeterLike) -> Verdict | None:
    """A meter over a property needs that property, or the event would silently count for nothing."""
    value = (event.properties or {}).get(meter.field or "")
    kind = type(value)
    if meter.aggregation == "count" or (value is not None and meter.aggregation == "unique"):
        return None
    if kind is int or kind is Decimal:
        return None
    words = "a value" if meter.aggregation == "unique" else "a number"
    return invalid("missing_property", "properties", f"must hold {words} under the property this meter reads")


def compare(row: Admitted, stored: StoredEvent | Admitted) -> Verdict:
    """DUPLICATE or CONFLICT for an event whose identity is taken: only what the caller sent is compared.

    A retry without `occurred_at` is a duplicate although the first try was given another time by us.
    """
    sent = row.sent
    same = row.account_no == stored.account_no and row.meter_id == stored.meter_id
    if sent.occurred_at is not None:
        same = same and row.occurred_at == stored.occurred_at
    if sent.quantity is not None:
        same = same and row.quantity == _text(stored.quantity)
    if sent.unit_price is not None:
        same = same and row.unit_price == _text(stored.unit_price)
    if sent.properties is not None:
        held = stored.properties if isinstance(stored.properties, str) else properties_text(stored.properties)
        same = same and row.properties == held
    return DUPLICATE if same else CONFLICT


def _text(number: str | Decimal | None) -> str:
    return plain(number) if isinstance(number, Decimal) else number or ""
