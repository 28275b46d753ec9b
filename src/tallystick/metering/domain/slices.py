"""Which events a quantity is made of, and what it came to."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tallystick.kernel.errors import Invalid
from tallystick.rating.domain.metered import Metered, Need

Part = tuple[str | None, ...]
"""Values of the properties that events are split by, as texts; None where an event lacks the property."""

FIRST_BATCH = 0
"""`from_batch` of a selector that begins with the first batch ever."""


OPERATION = "operation_type"
"""Property of an event of a recurring count or unique meter: `add` (as when it is missing) or `remove`."""


@dataclass(frozen=True, slots=True)
class StateRef:
    """Which stored state of a recurring meter a slice began from: all before `at` that had arrived by `to_batch`."""

    at: datetime
    to_batch: int


@dataclass(frozen=True, slots=True)
class State:
    """A stored state and the level of each part; of a unique meter the number of units, which themselves stay in the store."""

    ref: StateRef
    levels: Mapping[Part, Fraction]


@dataclass(frozen=True, slots=True)
class UsageSlice:
    """Events of one account and meter with `start <= occurred_at < end` that arrived in `from_batch < batch <= to_batch`.

    `field` is the property that `aggregation` reads, None for the event's quantity. `filters` (the meter's) and `also` (the charge's)
    keep an event when each property named equals the value, or one of the list: {"region": "eu", "tier": ["a", "b"]}. Events are split
    by the values of `group_by` (lines of their own) and `dimensions` (prices of their own). `need` is what the price must see of them.
    `whole` is the length of the whole aligned period: days for a recurring count, sum or unique, microseconds for a weighted sum.
    `days` bounds the local days that count, one more instant than days. A recurring slice begins with `base`, None: with the first event.
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
    also: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    percentile: int | None = None
    group_by: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    need: Need = Need.TOTAL
    recurring: bool = False
    whole: int = 0
    days: tuple[datetime, ...] = ()
    base: State | None = None

    @property
    def since(self) -> datetime | None:
        """From where events matter; None where a recurring slice begins with the first event ever."""
        if not self.recurring:
            return self.start
        return None if self.base is None else self.base.ref.at

    @property
    def split_by(self) -> tuple[str, ...]:
        """The properties that events are split by, groups first."""
        return self.group_by + self.dimensions


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """What a slice came to: how many events made it, and the XOR of their 128-bit content digests.

    `quantity` is exact unless `exact` says so: a quotient that does not end is cut to 18 decimals in `quantity` and whole in `exact`.
    `priced`, `values` (by time, then arrival) and `groups` are there as far as the slice needs them. A slice with `group_by` has its
    groups as `parts`, in order of their values. `carried` is what a recurring slice began with, `closing` each part's level at its end.
    """

    quantity: Decimal
    count: int
    checksum: int
    exact: Fraction | None = None
    priced: Decimal = Decimal(0)
    values: Sequence[Decimal] = ()
    groups: tuple[tuple[Part, Fraction], ...] = ()
    carried: Fraction | None = None
    closing: Mapping[Part, Fraction] = dataclasses.field(default_factory=dict)
    parts: "tuple[tuple[Part, UsageTotal], ...]" = ()

    @property
    def units(self) -> Fraction:
        """The quantity, exactly."""
        return Fraction(self.quantity) if self.exact is None else self.exact


def metered_of(total: UsageTotal, need: Need) -> Metered:
    """The total as a price takes it, with all that a price of this `need` must see."""
    if need is Need.VALUES:
        return Metered(total.units, len(total.values), values=tuple(total.values))
    return Metered(total.units, total.count, Fraction(total.priced), (), total.groups)


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


def conditions(slice_: UsageSlice) -> list[dict[str, Any]]:
    """All that an event of the slice must match: the meter's filters and the charge's."""
    return parse_filters(slice_.filters) + parse_filters(slice_.also)


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
