"""How events became a quantity, as sentences: derived from what is frozen on a line, never stored."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from tallystick.billing.domain.selection import instant

_HOW: Final = {
    "sum": "added up",
    "count": "counted",
    "max": "of which the highest",
    "min": "of which the lowest",
    "average": "on average",
    "unique": "of which the distinct values",
    "latest": "of which the latest",
    "weighted_sum": "as a level over time, divided by the length of the whole period",
}
_DAILY: Final = "as units active on each local day, added up and divided by the days of the whole period"
_SHOWN: Final = 40


def how_counted(inputs: Mapping[str, Any], events: int, meter: str, unit: str) -> list[str]:
    """Which events there were, how they became the quantity, and what a recurring meter carried in."""
    kind = str(inputs.get("aggregation", "sum"))
    if kind == "percentile":
        how = f"of which the percentile {inputs['percentile']} by nearest rank"
    elif inputs.get("recurring") and kind != "weighted_sum":
        how = _DAILY
    else:
        how = _HOW[kind]
    total = format(Decimal(inputs["total_quantity"]), ",f")
    cut = "…" if _cut(inputs) else ""
    noun = "event" if events == 1 else "events"
    told = [f"{events:,} {noun} of {meter}{_chosen(inputs)}, {how}: {total}{cut}{f' {unit}' if unit else ''}"]
    carried = inputs.get("carried")
    if carried:
        told.insert(0, _carried(carried))
    return told


def how_changed(inputs: Mapping[str, Any], events: int, unit: str) -> list[str]:
    """Of a correction, what it counts instead of what was counted when the lines before it were made."""
    before = inputs.get("before")
    if before is None or before["events"] is None:
        return []
    told, were = Decimal(inputs["total_quantity"]), Decimal(before["quantity"])
    more = events - before["events"]
    noun = "event" if abs(more) == 1 else "events"
    how = f"{abs(more):,} {noun} {'more' if more > 0 else 'fewer'}" if more else "other events"
    return [
        f"{how} than batch {before['to_batch']} had: {told:,f} instead of {were:,f}{f' {unit}' if unit else ''}"
    ]


def _cut(inputs: Mapping[str, Any]) -> bool:
    metered = inputs.get("metered")
    return metered is not None and Fraction(metered["units"]) != Fraction(Decimal(inputs["total_quantity"]))


def _carried(carried: Mapping[str, Any]) -> str:
    level = Fraction(carried["level"])
    shown = (
        f"{level.numerator:,}"
        if level.denominator == 1
        else format(Decimal(level.numerator) / level.denominator, ",f")
    )
    if carried["at"] is None:
        return f"began with {shown}: nothing was carried in, all events before the period were counted"
    return f"began with {shown}, carried in from the state frozen at {instant(carried['at']):%Y-%m-%d %H:%M} UTC, batch {carried['to_batch']}"


def _chosen(inputs: Mapping[str, Any]) -> str:
    """The filters and the group, in words."""
    words = [
        f"{name} {' or '.join(_short(value) for value in ([values] if isinstance(values, str) else values))}"
        for filters in (inputs.get("filters") or {}, inputs.get("charge_filters") or {})
        for name, values in sorted(filters.items())
    ]
    known = inputs.get("group") or {}
    group = {name: known[name] for name in inputs.get("group_by", ()) if name in known}
    words += [f"{name} {_short(value)}" for name, value in group.items() if value is not None]
    lacking = [name for name, value in group.items() if value is None]
    told = f" with {', '.join(words)}" if words else ""
    return f"{told} without {', '.join(lacking)}" if lacking else told


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
