"""Events as they come in, as they are stored, and the verdict on each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from tallystick.kernel.errors import NotFound

MAX_BATCH = 10_000
MAX_TEXT = 255
MAX_METER = 100
MAX_PROPERTIES = 50
MAX_PROPERTY_NAME = 100
MAX_PROPERTIES_TEXT = 8192
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
Scalar = str | int | Decimal | bool | None
SCALARS = frozenset({str, int, Decimal, bool, type(None)})


class NoSuchEvent(NotFound):
    code = "event_not_found"
    sentence = "There is no event with this id and source"


class IncomingEvent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a caller sent. None means "not sent". A struct, not a dataclass: a batch makes ten thousand, four times as fast.

    `quantity` defaults to 1, `occurred_at` to the account's now, `source` to "". Exactly one of `account_id` and `external_id`.
    """

    id: Short
    meter: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_METER)]
    source: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] | None = None
    account_id: Short | None = None
    external_id: Short | None = None
    quantity: int | Decimal | None = None
    occurred_at: datetime | None = None
    properties: (
        Annotated[
            dict[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PROPERTY_NAME)], Any],
            msgspec.Meta(max_length=MAX_PROPERTIES),
        ]
        | None
    ) = None
    unit_price: int | Decimal | None = None


Status = Literal["accepted", "duplicate", "conflict", "invalid"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one event. `reason` is a stable code; `details` names each field that is wrong; both empty when accepted."""

    status: Status
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


ACCEPTED = Verdict("accepted")
DUPLICATE = Verdict("duplicate")
CONFLICT = Verdict(
    "conflict",
    "event_conflict",
    {"id": "an event with this source and id exists and differs; send the same fields, or a new id"},
)


def invalid(reason: str, name: str, sentence: str) -> Verdict:
    """An event that is refused and may be sent again once corrected."""
    return Verdict("invalid", reason, {name: sentence})


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An accepted event as it lies on disk. Arrival is (batch_id, position); `voided_by` is the batch of its void."""

    key: bytes
    source: str
    id: str
    account_no: int
    meter_id: int
    occurred_at: datetime
    quantity: Decimal
    unit_price: Decimal | None
    properties: dict[str, Scalar]
    batch_id: int
    position: int
    checksum: int
    received_at: datetime | None = None
    voided_by: int | None = None
