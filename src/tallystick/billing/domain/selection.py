"""From what is frozen on a usage line back to the events it counts: the same slice for verifying, showing and correcting it. Pure.

A line's group is one part of its charge's slice: many lines share one slice, which is counted once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tallystick.invoicing.domain.draft import UsageEvidence
from tallystick.kernel.clock import parse_instant
from tallystick.metering.domain.carried import day_bounds
from tallystick.metering.domain.slices import Part, StateRef, UsageSlice, UsageTotal, metered_of
from tallystick.rating.domain import Price, Share, compile_price, freeze


@dataclass(frozen=True, slots=True)
class Selection:
    """A line's slice, its group within it (None: the whole), and the state that a recurring one began from (None: the first event)."""

    slice_: UsageSlice
    group: Part | None
    began: StateRef | None


def select(
    account_no: int, rule: str, inputs: Mapping[str, Any], evidence: UsageEvidence, end: datetime
) -> Selection:
    """What a usage line counts, from its rule, its frozen inputs (of a draft or as stored), its evidence and where it ends.

    The slice has no `base` yet. Raises `KeyError`, `ValueError` or `Invalid` where the inputs are not those of a usage line.
    """
    start = instant(inputs["counted_from"])
    group_by = tuple(inputs.get("group_by", ()))
    group = inputs.get("group")
    price = price_of(rule, inputs)
    days_to = inputs.get("days_to")
    carried = inputs.get("carried")
    slice_ = UsageSlice(
        account_no, evidence.meter_id, str(inputs["aggregation"]), start, end, evidence.to_batch, evidence.from_batch,
        inputs.get("field"), inputs.get("filters") or {}, inputs.get("charge_filters") or {}, inputs.get("percentile"), group_by,
        price.dimensions, price.needs, bool(inputs.get("recurring")), int(inputs.get("whole", 0)),
        () if days_to is None else day_bounds(start, instant(days_to), inputs["zone"]),
    )  # fmt: skip
    began = None
    if carried and carried["at"] is not None:
        began = StateRef(instant(carried["at"]), int(carried["to_batch"]))
    return Selection(slice_, None if group is None else tuple(group[name] for name in group_by), began)


def price_of(rule: str, inputs: Mapping[str, Any]) -> Price:
    """The price a line was rated by, under the rule version it was billed by."""
    model, version = rule.rsplit("/", 1)
    return compile_price(model, inputs["properties"], inputs.get("adjustments"), version=int(version))


def share_of(inputs: Mapping[str, Any]) -> Share:
    """The parts of a period that a line was due."""
    return Share(ratio(inputs.get("fee_share")), ratio(inputs.get("limit_share")))


def ratio(pair: Any) -> Fraction:
    """A frozen fraction; one where none was frozen."""
    return Fraction(1) if pair is None else Fraction(int(pair[0]), int(pair[1]))


def instant(value: Any) -> datetime:
    """An instant as a draft holds it, or as it is stored."""
    return value if isinstance(value, datetime) else parse_instant(value)


def part_of(total: UsageTotal, group: Part | None) -> UsageTotal:
    """The group's own total; nothing where there is no such group."""
    if group is None:
        return total
    return dict(total.parts).get(group, UsageTotal(total.quantity * 0, 0, 0))


def same_quantity(rule: str, inputs: Mapping[str, Any], total: UsageTotal) -> bool:
    """Whether what was counted again comes to what is frozen: the quantity, what was carried in, and all that the price looked at."""
    carried = inputs.get("carried")
    if carried and Fraction(carried["level"]) != (total.carried or 0):
        return False
    metered = inputs.get("metered")
    if metered is None:
        return total.exact is None and total.quantity == Decimal(inputs["total_quantity"])
    price = price_of(rule, inputs)
    return bool(freeze(price, metered_of(total, price.needs), share_of(inputs)) == metered)
