"""A line computed again from what was frozen on it, with the steps and sentences that nobody stores.

The same functions as when it was billed, under the rule version it was billed by: so an explanation is the computation, and a line that
no longer comes out as it stands is a finding. Nothing here reads a catalog, a clock or an event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from tallystick.billing.domain.selection import price_of, ratio, share_of
from tallystick.invoicing.domain.assemble import commitment_exact, fee_exact
from tallystick.kernel.money import Rounding
from tallystick.rating.domain import (
    Exact,
    LineAmount,
    Rated,
    as_json,
    describe,
    describe_rounding,
    describe_top_up,
    less,
    rate,
    round_line,
    round_lines,
    thaw,
)

ZERO = Decimal(0)
_BASIS = {"days": "days", "seconds": "seconds", "thirty_360": "days of a 30/360 year", "none": "periods"}
_MICROSECOND = 1_000_000


class Stored(Protocol):
    """What a replay needs of a stored line."""

    @property
    def kind(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def exact(self) -> Decimal: ...
    @property
    def inputs(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the line comes to now, and how: `steps` for programs, `text` for people."""

    amount: Decimal
    exact: Decimal
    exact_cut: bool
    steps: list[dict[str, Any]]
    text: list[str]


def replay(line: Stored, currency: str) -> Replayed:
    """The line again. Pure. Raises `KeyError` or `ValueError` where its frozen inputs are not what its rule needs."""
    kind = str(line.kind)
    if kind == "fee":
        return _fee(line.inputs, currency)
    if kind == "manual":
        amount = decimal(line.inputs["amount"])
        return Replayed(amount, amount, False, [], [f"entered by hand: {_plain(amount)} {currency}"])
    if kind == "correction":
        return _correction(line, currency)
    return _usage(line, currency, kind)


def made_as(line: Stored) -> str:
    """The kind of the line; of a correction, the kind that it corrects."""
    kind = str(line.kind)
    return str(line.inputs["before"]["kind"]) if kind == "correction" else kind


def _usage(line: Stored, currency: str, kind: str) -> Replayed:
    if line.rule.startswith("commitment/"):
        return _commitment(line.inputs, currency)
    return _priced(line, currency, top_up=kind == "minimum")


def _correction(line: Stored, currency: str) -> Replayed:
    """The price made again as if nothing had been billed of it, less what was."""
    before = decimal(line.inputs["before"]["amount"])
    if line.inputs.get("gone"):
        whole = Replayed(ZERO, ZERO, False, [], ["none of its events counts any more"])
    else:
        whole = _usage(line, currency, made_as(line))
    amount = whole.amount - before
    told = f"{_plain(whole.amount)} less {_plain(before)} {currency} billed before = {_plain(amount)}"
    return Replayed(amount, whole.exact - before, whole.exact_cut, whole.steps, [*whole.text, told])


def _fee(inputs: Mapping[str, Any], currency: str) -> Replayed:
    price, quantity = decimal(inputs["price"]), decimal(inputs["quantity"])
    used, whole = int(inputs["used"]), int(inputs["whole"])
    exact = fee_exact(price, quantity, used, whole)
    mode = Rounding(inputs["rounding"])
    line = round_line(exact, currency, mode)
    step = {
        "step": "fee",
        "price": price,
        "quantity": quantity,
        "used": used,
        "whole": whole,
        "basis": inputs["basis"],
    }
    factors = f"{_plain(price)}" + (f" × {_plain(quantity)}" if quantity != 1 else "")
    if used == whole:
        text = [f"{factors} for the whole period = {_plain(line.exact)}"]
    else:
        text = [
            f"{factors} × {_part(inputs['basis'], used, whole)} = {_plain(line.exact)}{'…' if line.cut else ''}"
        ]
    return _done(line, [step], [*text, describe_rounding(exact, line, currency, mode)])


def _commitment(inputs: Mapping[str, Any], currency: str) -> Replayed:
    minimum, reached, share = decimal(inputs["minimum"]), decimal(inputs["reached"]), ratio(inputs["share"])
    mode = Rounding(inputs["rounding"])
    exact = commitment_exact(minimum, share, reached)
    line = round_line(exact, currency, mode)
    due = _plain(minimum) if share == 1 else f"{_plain(minimum)} × {share} of the period"
    step = {
        "step": "commitment",
        "minimum": minimum,
        "share": [share.numerator, share.denominator],
        "reached": reached,
    }
    text = [f"minimum {due}, of which {_plain(reached)} is reached: {_plain(line.exact)} missing"]
    return _done(line, [step], [*text, describe_rounding(exact, line, currency, mode)])


def exact_of(line: Stored) -> Fraction:
    """What a usage line comes to before rounding, with the digits that its stored `exact` may have lost. Raises as `replay`."""
    return _rated(line).exact - Fraction(decimal(line.inputs["billed"]))


def _rated(line: Stored) -> Rated:
    inputs = line.inputs
    metered = inputs.get("metered")
    usage = decimal(inputs["total_quantity"]) if metered is None else thaw(metered)
    return rate(price_of(line.rule, inputs), usage, share_of(inputs))


def _priced(line: Stored, currency: str, *, top_up: bool) -> Replayed:
    inputs = line.inputs
    rated = _rated(line)
    billed = decimal(inputs["billed"])
    mode = Rounding(inputs["rounding"])
    exact = Exact(rated.exact, rated.minimum_top_up)
    whole, missing = round_lines(exact, currency, mode)
    if top_up:
        if missing is None:
            missing = LineAmount(ZERO, ZERO, cut=False)
        steps = [rated.minimum] if rated.minimum is not None else []
        told = describe_top_up(exact.amount + exact.minimum_top_up, whole, missing, currency)
        return _done(
            missing, [as_json(each) for each in steps], [*describe(steps, currency, line.unit), told]
        )
    text = describe(rated.steps, currency, line.unit or "units")
    text.append(describe_rounding(exact.amount, whole, currency, mode))
    amount = less(whole, exact.amount, billed)
    if billed:
        text.append(
            f"{_plain(whole.amount)} less {_plain(billed)} {currency} already billed of this period = {_plain(amount.amount)}"
        )
    return _done(amount, [as_json(each) for each in rated.steps], text)


def _done(line: LineAmount, steps: Sequence[Mapping[str, Any]], text: list[str]) -> Replayed:
    return Replayed(line.amount, line.exact, line.cut, [dict(step) for step in steps], text)


def _part(basis: str, used: int, whole: int) -> str:
    if basis == "seconds":
        return f"{_plain(Decimal(used) / _MICROSECOND)} of {_plain(Decimal(whole) / _MICROSECOND)} seconds"
    return f"{used} of {whole} {_BASIS[basis]}"


def decimal(value: Any) -> Decimal:
    """A number from stored JSON: whole ones come back as integers."""
    return value if isinstance(value, Decimal) else Decimal(value)


def _plain(value: Decimal) -> str:
    text = format(value, ",f")
    return text.rstrip("0").rstrip(".") if "." in text and len(text.split(".")[1]) > 2 else text
