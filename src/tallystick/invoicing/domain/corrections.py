"""Corrections: what a closed period should have been, less what was billed of it. Pure.

A closed period is counted again and priced by the code that closed it, as if nothing had been billed ("anew"); what stands on issued
documents for the same price is taken off. So the lines of a price always add up to what the period comes to now, rounded once; nothing
issued changes. A correction carries treatment and rates of the line it corrects, and that line's share of percentage discounts (SEMANTICS "Invoice
order", last paragraph). What would take a rate's base or the total below zero becomes a credit note.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol
from uuid import UUID

from tallystick.invoicing.domain.draft import Line, LineKind, Reduction, TaxShare, UsageEvidence
from tallystick.kernel.clock import parse_instant
from tallystick.kernel.money import Rounding, exponent, round_fraction
from tallystick.rating.domain.freezing import freeze
from tallystick.rating.domain.metered import Metered
from tallystick.rating.domain.pricing import compile_price
from tallystick.taxes.domain import TaxRate

ZERO = Decimal(0)
GRANT, NOTE = "grant", "note"
Rates = Sequence[TaxRate]


class Standing(Protocol):
    """A line that stands on an issued document, of a price in a closed period. `LineView` is one."""

    @property
    def invoice_id(self) -> UUID: ...
    @property
    def position(self) -> int: ...
    @property
    def kind(self) -> LineKind: ...
    @property
    def description(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def period_end(self) -> datetime: ...
    @property
    def slice_start(self) -> datetime: ...
    @property
    def price_key(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def gl_code(self) -> str: ...
    @property
    def inputs(self) -> dict[str, Any]: ...
    @property
    def subscription_id(self) -> UUID | None: ...
    @property
    def plan_version_id(self) -> int | None: ...
    @property
    def charge_id(self) -> int | None: ...
    @property
    def evidence(self) -> UsageEvidence | None: ...
    @property
    def taxes(self) -> tuple[TaxShare, ...]: ...
    @property
    def discount(self) -> Decimal: ...
    @property
    def granted(self) -> Decimal: ...
    @property
    def reductions(self) -> tuple[Reduction, ...]: ...
    @property
    def corrects(self) -> tuple[UUID, int] | None: ...
    @property
    def revision(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sorted:
    """Corrections of one invoice: those it takes, and those that need a credit note."""

    netted: tuple[Line, ...]
    noted: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Stood:
    """What stands of closed periods: lines, also those that credit notes took back in part, and what notes by hand gave back of them."""

    lines: Sequence[Standing]
    to_batch: int
    given: Mapping[tuple[UUID, int], Decimal] = field(default_factory=dict)
    again: bool = False  # what corrected them is void: top-ups are looked at though their usage is the same

    @property
    def rounding(self) -> dict[tuple[UUID | None, datetime], Rounding]:
        """The selling company's mode of rounding when each period was closed."""
        return {
            key_of(each)[:2]: Rounding(each.inputs["rounding"])
            for each in self.lines
            if not (each.inputs.get("adjustments") or {}).get("rounding")
        }

    def by_hand(self, own: Sequence[Standing]) -> Decimal:
        """What of these lines was given back by hand."""
        return sum((self.given.get((each.invoice_id, each.position), ZERO) for each in own), ZERO)


def corrections(anew: Sequence[Line], stood: Stood, currency: str) -> list[Line]:
    """The lines that make what stands come to `anew`: the closed periods counted by its `to_batch` as if nothing were billed.

    A price whose events are the same is left alone, whatever it would come to today. One whose events changed gets a line, though it be
    of 0.00, because a document must say which events are counted. Top-ups follow the prices beside them.
    """
    before: dict[_Key, list[Standing]] = defaultdict(list)
    for each in stood.lines:
        before[key_of(each)].append(each)
    found: list[Line] = []
    changed: set[_Owner] = set()
    for line in [*anew, *_vanished(anew, before, stood.to_batch)]:
        own = before.get(key_of(line), [])
        if line.evidence is None or _counted(line) == _evidence(own):
            continue
        changed.update(_owners(line))
        found.append(_against(line, own, stood.by_hand(own), currency) if own else _late(line))
    for line in anew:
        own = before.get(key_of(line), [])
        moves = stood.again or _owner(line) in changed
        if line.evidence is None and moves and line.amount != _sum(own):
            found.append(_against(line, own, stood.by_hand(own), currency) if own else _late(line))
    return found


_Key = tuple[UUID | None, datetime, str]
_Owner = tuple[UUID | None, datetime, int | None]


def key_of(line: Line | Standing) -> _Key:
    """What is priced: whose, in which period, which price."""
    return line.subscription_id, _instant(line.inputs["aligned"][0]), line.price_key


def _instant(value: Any) -> datetime:
    return value if isinstance(value, datetime) else parse_instant(value)


def _owner(line: Line) -> _Owner:
    """Whose usage a top-up makes up for: a charge's, or (None) a plan's."""
    owner, period, _ = key_of(line)
    return owner, period, line.charge_id


def _owners(line: Line) -> list[_Owner]:
    """Whose top-ups may move with the line: its charge's, and its plan's."""
    owner, period, charge_id = _owner(line)
    return [(owner, period, charge_id), (owner, period, None)]


def _last(own: Sequence[Standing]) -> Standing | None:
    """The line that was counted last."""
    seen = [(each.evidence.to_batch, each.period_end, each.revision, each) for each in own if each.evidence]
    return max(seen, key=lambda each: each[:3])[3] if seen else None


def _latest(own: Sequence[Standing]) -> UsageEvidence | None:
    """What was counted last."""
    last = _last(own)
    return None if last is None else last.evidence


_Seen = tuple[int, int, tuple[Fraction, Fraction] | None]


def _evidence(own: Sequence[Standing]) -> _Seen:
    last = _last(own)
    return (0, 0, None) if last is None else _counted(last)


def _counted(line: Line | Standing) -> _Seen:
    """Which events a line counts. A recurring meter may come to something else by what an earlier period left: that, too."""
    seen, inputs = line.evidence, line.inputs
    assert seen is not None, "only usage is counted"
    if "carried" not in inputs:
        return seen.count, seen.checksum, None
    units = inputs["metered"]["units"] if "metered" in inputs else Decimal(inputs["total_quantity"])
    return seen.count, seen.checksum, (Fraction(inputs["carried"]["level"]), Fraction(units))


def _vanished(anew: Sequence[Line], before: Mapping[_Key, list[Standing]], to_batch: int) -> list[Line]:
    """Prices of which every event is void now, so that counting does not find them: they come to nothing."""
    here = {key_of(line) for line in anew}
    return [
        _emptied(original(own), seen.meter_id, to_batch)
        for key, own in before.items()
        if key not in here and (seen := _latest(own)) is not None and (seen.count or _carries(own))
    ]


def _carries(own: Sequence[Standing]) -> bool:
    """Whether something stands for what a recurring meter only carried in."""
    return any("carried" in each.inputs for each in own) and _sum(own) != 0


def _emptied(last: Standing, meter_id: int, to_batch: int) -> Line:
    inputs = {name: value for name, value in last.inputs.items() if name not in ("before", "late")}
    inputs |= {"total_quantity": ZERO, "billed": ZERO, "billed_quantity": ZERO, "gone": True}
    if "metered" in inputs:
        model, version = last.rule.rsplit("/", 1)
        price = compile_price(model, inputs["properties"], inputs.get("adjustments"), version=int(version))
        inputs["metered"] = freeze(price, Metered(Fraction(0)))
    if "carried" in inputs:
        inputs["carried"] = {"at": None, "to_batch": None, "level": "0"}
    return Line(
        kind=LineKind.RECORDED if "unit_price" in inputs else LineKind.USAGE,
        description=last.description,
        quantity=ZERO,
        unit=last.unit,
        amount=ZERO,
        exact=ZERO,
        exact_cut=False,
        period_start=_instant(inputs["counted_from"]),
        period_end=last.period_end,
        slice_start=last.slice_start,
        price_key=last.price_key,
        rule=last.rule,
        gl_code=last.gl_code,
        timing="arrears",
        inputs=inputs,
        subscription_id=last.subscription_id,
        plan_version_id=last.plan_version_id,
        charge_id=last.charge_id,
        evidence=UsageEvidence(meter_id, 0, to_batch, 0, 0),
    )


def _sum(own: Iterable[Standing]) -> Decimal:
    return sum((each.amount for each in own), ZERO)


def original(own: Sequence[Standing]) -> Standing:
    """The line that a correction of these corrects: the one that closed the period, not its parts and not its corrections."""
    return max(own, key=lambda each: (each.corrects is None, each.period_end, -each.revision))


def _late(line: Line) -> Line:
    """A price of which nothing was billed: a line of its own for the old period, there being none to correct."""
    return replace(line, inputs={**line.inputs, "late": True})


def _against(line: Line, own: Sequence[Standing], given: Decimal, currency: str) -> Line:
    """`line` less what stands, of which `given` was given back by hand."""
    first, seen = original(own), _latest(own)
    amount, quantity = _sum(own), sum((each.quantity for each in own), ZERO)
    before = {
        "kind": line.kind.value, "lines": [[each.invoice_id, each.position] for each in own], "amount": amount,
        "quantity": quantity, "events": seen.count if seen else None,
        "to_batch": seen.to_batch if seen else None, "checksum": f"{seen.checksum:032x}" if seen else None,
    }  # fmt: skip
    reductions = reductions_of(line.amount, own, given, currency)
    return replace(
        line,
        kind=LineKind.CORRECTION,
        description=f"{first.description}: correction",
        quantity=line.quantity - quantity if line.evidence is not None else Decimal(1),
        amount=line.amount - amount,
        exact=line.exact - amount,
        slice_start=first.slice_start,
        gl_code=first.gl_code,
        inputs={**line.inputs, "before": before},
        tax_rates=tuple(TaxRate(tax.code, tax.name, tax.rate, tax.kind) for tax in first.taxes),
        tax_included=any(tax.included for tax in first.taxes),
        discount=sum((each.amount for each in reductions if each.source != GRANT), ZERO),
        granted=sum((each.amount for each in reductions if each.source == GRANT), ZERO),
        reductions=reductions,
        corrects=(first.invoice_id, first.position),
        revision=1 + max(each.revision for each in own),
    )


def reductions_of(
    amount: Decimal, own: Sequence[Standing], given: Decimal, currency: str
) -> tuple[Reduction, ...]:
    """What of a correction that makes a price come to `amount` was never charged, or is given back the way it came.

    The reductions of the corrected lines are taken again from `amount` in their order: percentages as such, fixed coupons and granted
    credit as much as they took and never more than is left. The difference to what stands is the correction's. What a note `given` by
    hand gave back before is not given back again.
    """
    mode, scale = Rounding.HALF_AWAY, exponent(currency)
    taken: dict[tuple[str, UUID], Reduction] = {}
    for line in own:
        for each in line.reductions:
            sofar = taken[each.source, each.id].amount if (each.source, each.id) in taken else ZERO
            taken[each.source, each.id] = replace(each, amount=sofar + each.amount)
    rest, found = amount, []
    for each in taken.values():
        if each.source == NOTE:
            continue
        due = min(each.amount, max(rest, ZERO))
        if each.percent is not None:
            due = round_fraction(Fraction(rest) * Fraction(each.percent) / 100, scale, mode)
        rest -= due
        if due != each.amount:
            found.append(replace(each, amount=due - each.amount))
    stands = sum((line.amount - line.discount - line.granted for line in own), ZERO)
    back = stands - rest
    if back > 0 and back > stands - given:
        first = original(own)
        found.append(Reduction(NOTE, first.invoice_id, "credited before", max(stands - given, ZERO) - back))
    return tuple(found)


def sort(lines: Sequence[tuple[Decimal, Rates]], found: Sequence[Line]) -> Sorted:
    """Which corrections an invoice with these `lines` (what is taxed, by which rates) takes, and which need a credit note.

    Whatever charges more goes on the invoice. What gives back does while the base of each of its rates and the total stay at zero or
    above, each whole, the oldest first.
    """
    bases: dict[TaxRate, Decimal] = defaultdict(Decimal)
    total = ZERO
    up = [(each.remainder, each.tax_rates or ()) for each in found if each.remainder >= 0]
    for amount, rates in [*lines, *up]:
        total += amount
        for rate in rates:
            bases[replace(rate, note="")] += amount
    noted: list[Line] = []
    for line in sorted(found, key=lambda each: (each.period_start, each.price_key)):
        if line.remainder >= 0:
            continue
        own = [replace(rate, note="") for rate in line.tax_rates or ()]
        if total + line.remainder < 0 or any(bases[rate] + line.remainder < 0 for rate in own):
            noted.append(line)
            continue
        total += line.remainder
        for rate in own:
            bases[rate] += line.remainder
    return Sorted(tuple(line for line in found if all(line is not each for each in noted)), tuple(noted))


def spread(amount: Decimal, left: Sequence[Decimal]) -> list[Decimal]:
    """`amount` to give back over lines of which this much is left, the latest first. Raises `ValueError` where it is more than all."""
    parts = [ZERO for _ in left]
    for index in range(len(left) - 1, -1, -1):
        parts[index] = min(amount, max(left[index], ZERO))
        amount -= parts[index]
    if amount:
        raise ValueError("more is given back than is left")
    return parts
