"""Which events a quantity is made of, and what it came to."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tallystick.kernel.errors import Invalid

FIRST_BATCH = 0
"""`from_batch` of a selector that begins with the first batch ever."""


@dataclass(frozen=True, slots=True)
class UsageSlice:
    """Events of one account and meter with `start <= occurred_at < end` that arrived in `from_batch < batch <= to_batch`.

    `aggregation` is count, sum, max, unique or latest; `field` the property it reads, None for the event's quantity. `filters` keep
    an event when each property named equals the value, or one of the list: {"region": "eu", "tier": ["a", "b"]}.
    """

    account_no: int
    meter_id: int
    aggregation: str
    start: datetime
    end: datetime
    to_batch: int
    from_batch: int = FIRST_BATCH
    field: str | None = None
    filters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """The exact quantity of a slice, how many events made it, and the XOR of their 128-bit content digests."""

    quantity: Decimal
    count: int
    checksum: int


@dataclass(frozen=True, slots=True)
class AccountSlice:
    """All events of one account that carry a unit price, but those of `except_meters`, in the same bounds as `UsageSlice`."""

    account_no: int
    start: datetime
    end: datetime
    to_batch: int
    from_batch: int = FIRST_BATCH
    except_meters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """Events of one slice that share a meter and a unit price: sum, count, checksum.

    `slice_index` is the slice's place in the sequence that was asked for.
    """

    account_no: int
    meter_id: int
    unit_price: Decimal
    quantity: Decimal
    count: int
    checksum: int
    slice_index: int


def parse_filters(filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Filters as a tree of plain values to be bound, never pasted: [{"property": name, "in": [values]}], sorted by name.

    Raises `Invalid` for anything but scalars and non-empty lists of scalars.
    """
    parsed = []
    for name, wanted in sorted(filters.items()):
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not values or not all(_scalar(value) for value in values):
            raise Invalid.field(
                "filters", "each property needs a text, a number, a boolean, or a list of these"
            )
        parsed.append({"property": name, "in": list(values)})
    return parsed


def _scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | Decimal)
