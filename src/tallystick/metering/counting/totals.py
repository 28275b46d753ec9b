"""`aggregate`: each slice to the statement of its kind, and the rows back to exact totals."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import xor
from typing import Any

from tallystick.kernel.money import exact_decimal
from tallystick.metering.counting import queries
from tallystick.metering.domain.carried import DayChange, level_days, scope
from tallystick.metering.domain.digest import whole
from tallystick.metering.domain.slices import Part, UsageSlice, UsageTotal
from tallystick.platform.db import ReadSession, Record
from tallystick.rating.domain.metered import Need

_ZERO, _NONE = Fraction(0), Decimal(0)
_SECOND, _TICK = 1_000_000, timedelta(microseconds=1)
_SIMPLE = frozenset({"count", "sum", "max", "latest"})
_EVEN = frozenset({"min", "average", "weighted_sum"})


@dataclass(slots=True)
class Counted:
    """One part of a slice: an exact quantity and what it was made of."""

    units: Fraction = _ZERO
    count: int = 0
    checksum: int = 0
    priced: Decimal = _NONE
    values: Sequence[Decimal] = ()
    carried: Fraction = _ZERO
    closing: Fraction = _ZERO


Parts = dict[Part, Counted]


def route(slice_: UsageSlice) -> str:
    """Which statement counts the slice: simple, even, unique, parts, days or units."""
    kind = slice_.aggregation
    if slice_.recurring and kind != "weighted_sum":
        return "units" if kind == "unique" else "days"
    if kind == "unique":
        return "unique"
    if slice_.group_by or slice_.dimensions or slice_.need not in (Need.TOTAL, Need.COUNT):
        return "parts"
    if kind in _SIMPLE:
        return "simple"
    plain = slice_.field is None and not slice_.filters and not slice_.also
    return "even" if kind in _EVEN and plain else "parts"


async def aggregate(session: ReadSession, slices: Sequence[UsageSlice]) -> list[UsageTotal]:
    """The totals of any number of slices, in their order; nothing counted is zero. One statement for each of the routes taken, one more where slices are split.

    Recurring slices begin with their `base`: `with_states` looks it up. The same slice gives the same total for ever, whatever comes
    later, and whatever other slices are asked beside it. Raises `Invalid` for filters that are not values or lists of values.
    """
    found: list[UsageTotal | None] = [None] * len(slices)
    taken: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for index, each in enumerate(slices):
        taken[route(each), bool(each.group_by or each.dimensions)].append(index)
    for (name, _), places in taken.items():
        chosen = [slices[place] for place in places]
        if name == "simple":
            totals = _simple(await queries.simple(session, chosen), len(chosen))
        else:
            statement, read = _READERS[name]
            totals = _read(await statement(session, chosen), chosen, read)
        for place, total in zip(places, totals, strict=True):
            found[place] = total
    return [total for total in found if total is not None]


async def with_states(session: ReadSession, slices: Sequence[UsageSlice]) -> list[UsageSlice]:
    """The slices with what recurring ones begin with: the last stored state at or before their start, of their batches. One statement.

    Several periods of one meter (and the same filters and groups) all begin with the state of the earliest: what is late to one of them
    then counts in those after it too. A slice that begins after its state's instant also counts what lies between. Nothing is read
    where none is recurring.
    """
    earliest: dict[tuple[int, int, bytes], UsageSlice] = {}
    for each in slices:
        if each.recurring:
            key = (each.account_no, each.meter_id, scope(each))
            first = earliest.setdefault(key, each)
            if each.start < first.start:
                earliest[key] = each
    if not earliest:
        return list(slices)
    states = dict(zip(earliest, await queries.states(session, list(earliest.values())), strict=True))
    return [
        replace(each, base=states[each.account_no, each.meter_id, scope(each)]) if each.recurring else each
        for each in slices
    ]


def _simple(rows: Iterable[Record], count: int) -> list[UsageTotal]:
    totals: list[UsageTotal | None] = [None] * count
    for ord_, quantity, events, hi, lo in rows:
        amount = Decimal(quantity) if quantity is not None else _NONE
        totals[ord_ - 1] = UsageTotal(amount, events, whole(hi, lo))
    return [total for total in totals if total is not None]


Reader = Callable[[UsageSlice, Sequence[Record]], Parts]


def _read(rows: Iterable[Record], slices: Sequence[UsageSlice], read: Reader) -> list[UsageTotal]:
    own: dict[int, list[Record]] = defaultdict(list)
    for row in rows:
        own[row["ord"]].append(row)
    return [_total(each, read(each, own.get(place, ()))) for place, each in enumerate(slices, 1)]


def _total(slice_: UsageSlice, parts: Parts) -> UsageTotal:
    """The parts of a slice as its total, by group where it is grouped. A total of several parts is their sum."""
    closing = {part: each.closing for part, each in sorted(parts.items(), key=_order) if each.closing}
    width = len(slice_.group_by)
    if not width:
        return replace(_sum(slice_, parts), closing=closing)
    groups: dict[Part, Parts] = defaultdict(dict)
    for part, each in parts.items():
        groups[part[:width]][part[width:]] = each
    found = tuple((group, _sum(slice_, groups[group])) for group in sorted(groups, key=_key))
    return replace(
        _quantity(sum((each.units for _, each in found), _ZERO)),
        count=sum(each.count for _, each in found),
        checksum=reduce(xor, (each.checksum for _, each in found), 0),
        carried=sum((each.carried or _ZERO for _, each in found), _ZERO) if slice_.recurring else None,
        closing=closing,
        parts=found,
    )


def _sum(slice_: UsageSlice, parts: Parts) -> UsageTotal:
    """Parts that one price prices together."""
    ordered = [parts[part] for part in sorted(parts, key=_key)]
    total = replace(
        _quantity(sum((each.units for each in ordered), _ZERO)),
        count=sum(each.count for each in ordered),
        checksum=reduce(xor, (each.checksum for each in ordered), 0),
        priced=sum((each.priced for each in ordered), _NONE),
        values=ordered[0].values if ordered else (),
        carried=sum((each.carried for each in ordered), _ZERO) if slice_.recurring else None,
    )
    if not slice_.dimensions:
        return total
    return replace(total, groups=tuple((part, parts[part].units) for part in sorted(parts, key=_key)))


def _quantity(units: Fraction) -> UsageTotal:
    shown, cut = exact_decimal(units)
    return UsageTotal(shown, 0, 0, units if cut else None)


def _key(part: Part) -> tuple[tuple[bool, str], ...]:
    """Parts in order of their values, those without a value last."""
    return tuple((value is None, value or "") for value in part)


def _order(item: tuple[Part, Any]) -> tuple[tuple[bool, str], ...]:
    return _key(item[0])


def _base(slice_: UsageSlice) -> Mapping[Part, Fraction]:
    return {} if slice_.base is None else slice_.base.levels


def _weighted(slice_: UsageSlice, level: Fraction, row: Record | None) -> Counted:
    """A level summed over elapsed time ÷ the length of the whole period. `integral` is in seconds and leaves the stored level out."""
    ticks = (slice_.end - slice_.start) // _TICK
    integral = level * ticks + (Fraction(row["integral"] or 0) * _SECOND if row else 0)
    before = Fraction(row["before"] or 0) if row else _ZERO
    change = Fraction(row["total"] or 0) if row else _ZERO
    return Counted(
        integral / slice_.whole,
        row["events"] if row else 0,
        whole(row["hi"], row["lo"]) if row else 0,
        carried=level + before,
        closing=level + change,
    )


def _read_even(slice_: UsageSlice, rows: Sequence[Record]) -> Parts:
    (row,) = rows
    if slice_.aggregation == "weighted_sum":
        counted = _weighted(slice_, _base(slice_).get((), _ZERO), row)
        return {(): counted if slice_.recurring else replace(counted, closing=_ZERO)}
    events = row["events"]
    if slice_.aggregation == "min":
        units = Fraction(row["smallest"] or 0)
    else:
        units = Fraction(row["total"]) / events if events else _ZERO
    return {(): Counted(units, events, whole(row["hi"], row["lo"]))}


_COLUMN = {
    "count": "measured", "sum": "total", "max": "largest", "min": "smallest", "latest": "latest", "percentile": "ranked",
}  # fmt: skip


def _read_parts(slice_: UsageSlice, rows: Sequence[Record]) -> Parts:
    found: Parts = {}
    for row in rows:
        part = tuple(row["part"])
        if slice_.aggregation == "weighted_sum":
            found[part] = _weighted(slice_, _base(slice_).get(part, _ZERO), row)
            continue
        if slice_.aggregation == "average":
            units = Fraction(row["total"] or 0) / (row["measured"] or 1)
        else:
            units = Fraction(row[_COLUMN[slice_.aggregation]] or 0)
        found[part] = Counted(
            units, row["events"], whole(row["hi"], row["lo"]), row["priced"] or _NONE, row["values"] or ()
        )
    if slice_.aggregation == "weighted_sum":
        for part in _base(slice_).keys() - found.keys():
            found[part] = _weighted(slice_, _base(slice_)[part], None)
        if not slice_.recurring:
            found = {part: replace(each, closing=_ZERO) for part, each in found.items()}
    return found


def _read_unique(_slice: UsageSlice, rows: Sequence[Record]) -> Parts:
    return {
        tuple(row["part"]): Counted(Fraction(row["total"]), row["events"], whole(row["hi"], row["lo"]))
        for row in rows
    }


@dataclass(slots=True)
class _Level:
    changes: dict[int, DayChange] = field(default_factory=dict)
    count: int = 0
    checksum: int = 0


def _read_days(slice_: UsageSlice, rows: Sequence[Record]) -> Parts:
    levels: dict[Part, _Level] = defaultdict(_Level)
    for row in rows:
        level = levels[tuple(row["part"])]
        level.changes[row["day"]] = DayChange(row["net"], row["peak"], bool(row["at_start"]))
        level.count += row["events"]
        level.checksum ^= whole(row["hi"], row["lo"])
    base = _base(slice_)
    found: Parts = {}
    for part in levels.keys() | base.keys():
        seen = levels.get(part, _Level())
        come = level_days(base.get(part, _ZERO), seen.changes, len(slice_.days) - 1)
        found[part] = Counted(
            come.unit_days / slice_.whole,
            seen.count,
            seen.checksum,
            carried=come.carried,
            closing=come.closing,
        )
    return found


def _read_units(slice_: UsageSlice, rows: Sequence[Record]) -> Parts:
    found: Parts = defaultdict(Counted)
    for row in rows:
        each = found[tuple(row["part"])]
        each.units += Fraction(row["unit_days"], slice_.whole)
        each.carried += row["held"]
        each.count += row["events"]
        each.checksum ^= whole(row["hi"], row["lo"])
    return dict(found)


_READERS: dict[str, tuple[Callable[[ReadSession, Sequence[UsageSlice]], Any], Reader]] = {
    "even": (queries.even, _read_even),
    "parts": (queries.parts, _read_parts),
    "unique": (queries.unique, _read_unique),
    "days": (queries.days, _read_days),
    "units": (queries.units, _read_units),
}
