"""How much of one invoice line a credit note takes, and of each of its taxes. Pure.

A line is credited in its own terms: what was charged for it after coupons and granted credit, before tax (with it, where the price
holds it). Each tax is split from the line's *stored* tax by largest remainder, cumulated over all that was taken of the line before
(SEMANTICS "Rounding and splitting"): so the last note takes the remainder, and what notes take of a tax never exceeds it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from tallystick.invoicing.domain.draft import ZERO, TaxShare, TaxTotal
from tallystick.kernel.money import split


@dataclass(frozen=True, slots=True)
class Taken:
    """What notes, and corrections on later invoices, took of a line before: in its terms, and of each of its taxes in their order."""

    amount: Decimal = ZERO
    taxes: tuple[Decimal, ...] = ()


class Billed(Protocol):
    """What of an invoice's line a note needs; `LineView` has it."""

    @property
    def position(self) -> int: ...
    @property
    def description(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def discount(self) -> Decimal: ...
    @property
    def granted(self) -> Decimal: ...
    @property
    def taxes(self) -> tuple[TaxShare, ...]: ...
    @property
    def gl_code(self) -> str: ...
    @property
    def timing(self) -> str: ...
    @property
    def period_start(self) -> datetime: ...
    @property
    def period_end(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class CreditedLine:
    """One line of a note: what of the invoice's line it takes back. `taxes` are the line's, in its order, each with this note's share."""

    position: int  # of the invoice's line
    description: str
    amount: Decimal
    taxes: tuple[TaxShare, ...]
    gl_code: str
    timing: str
    period_start: datetime
    period_end: datetime

    @property
    def earned(self) -> Decimal:
        """The revenue that is taken back: the amount less the tax it holds."""
        return self.amount - sum((tax.amount for tax in self.taxes if tax.included), ZERO)

    @property
    def total(self) -> Decimal:
        """What the customer gets back for it, tax included."""
        return self.amount + sum((tax.amount for tax in self.taxes if not tax.included), ZERO)


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line as the arithmetic sees it: turned above zero; `whole` is creditable, `taxes` stored, `taken` gone."""

    billed: Billed
    sign: int
    whole: Decimal
    taxes: tuple[Decimal, ...]
    taken: Taken

    @property
    def added(self) -> list[int]:
        """Which of its taxes come on top of the amount."""
        return [i for i, tax in enumerate(self.billed.taxes) if not tax.included]

    @property
    def left(self) -> Decimal:
        """Of the line, in its terms."""
        return self.whole - self.taken.amount

    @property
    def left_total(self) -> Decimal:
        """Of the line with the taxes on top."""
        return self.left + sum((self.taxes[i] - self.taken.taxes[i] for i in self.added), ZERO)


def turned(line: Billed, taken: Taken) -> OpenLine:
    """The line as it stands: what is creditable of it, and what is gone already."""
    whole = line.amount - line.discount - line.granted
    sign = -1 if whole < 0 else 1
    # What was corrected upwards on a later invoice is no more to be credited here than what this line charged.
    gone = [max(sign * each, ZERO) for each in taken.taxes or (ZERO,) * len(line.taxes)]
    stored = tuple(sign * tax.amount for tax in line.taxes)
    return OpenLine(
        line,
        sign,
        sign * whole,
        stored,
        Taken(
            min(max(sign * taken.amount, ZERO), sign * whole),
            tuple(min(g, max(tax, ZERO)) for g, tax in zip(gone, stored, strict=True)),
        ),
    )


_KEPT = sorted(
    {each.name for each in fields(TaxTotal)} & {each.name for each in fields(TaxShare)} - {"base", "amount"}
)


def treatment(tax: TaxShare | TaxTotal) -> dict[str, Any]:
    """All that a rate of a document is told apart by: code, name, rate and how the law treats it."""
    return {name: getattr(tax, name) for name in _KEPT}


Part = tuple[Decimal, tuple[TaxShare, ...]]
"""An amount in a line's terms with its taxes."""


def gone(line: Billed, noted: Iterable[Part], corrected: Iterable[Part]) -> Taken:
    """What notes and corrections took of a line. `corrected` are the correction lines themselves: below zero where they give back.

    What corrections charge more than they give back is theirs to credit, not this line's.
    """
    sign = -1 if line.amount - line.discount - line.granted < 0 else 1
    amount, taxes = ZERO, [ZERO for _ in line.taxes]
    for taken, shares in noted:
        amount += taken
        taxes = [sofar + share.amount for sofar, share in zip(taxes, shares, strict=True)]
    back, kinds = ZERO, [treatment(tax) for tax in line.taxes]
    held = [ZERO for _ in line.taxes]
    for given, shares in corrected:
        back -= given
        for share in shares:
            if treatment(share) in kinds:
                held[kinds.index(treatment(share))] -= share.amount
    if sign * back <= 0:
        return Taken(amount, tuple(taxes))
    return Taken(amount + back, tuple(each + more for each, more in zip(taxes, held, strict=True)))


def cumulated(parts: Sequence[Decimal], taken: Decimal, scale: int) -> list[Decimal]:
    """How much of each part is gone once `taken` of their sum is: split off one after another by largest remainder.

    Every entry only grows with `taken`, by steps of one unit, and is its part when all is taken: so differences of two calls are
    never below zero, which one split over all parts at once does not give (a unit may wander between them).
    """
    rest, whole = taken, sum(parts, ZERO)
    gone: list[Decimal] = []
    for part in parts[:-1]:
        share = split(rest, [part, whole - part], scale)[0] if whole else ZERO
        gone.append(share)
        rest, whole = rest - share, whole - part
    return [*gone, rest]


def in_terms(line: OpenLine, amount: Decimal, scale: int) -> CreditedLine:
    """Credits `amount` of the line in its own terms (turned above zero); its taxes follow."""
    so_far = line.taken.amount + amount
    return _credited(
        line,
        amount,
        {
            i: _grown(
                line,
                i,
                split(line.taxes[i], [so_far, line.whole - so_far], scale)[0] if line.whole else ZERO,
            )
            for i in line.added
        },
        scale,
    )


def with_tax(line: OpenLine, total: Decimal, scale: int) -> CreditedLine:
    """Credits `total`, taxes on top included, of the line (turned above zero).

    What is left for the line once its taxes have theirs fits into it: where all that is gone is counted, no part of `cumulated` exceeds.
    """
    added = line.added
    before = line.taken.amount + sum((line.taken.taxes[i] for i in added), ZERO)
    goal = cumulated([*(line.taxes[i] for i in added), line.whole], before + total, scale)
    shares: dict[int, Decimal] = {}
    room = total
    for i, reached in zip(added, goal, strict=False):
        shares[i] = min(_grown(line, i, reached), room)
        room -= shares[i]
    return _credited(line, room, shares, scale)


def _grown(line: OpenLine, i: int, reached: Decimal) -> Decimal:
    """What is still to be taken of a tax until `reached` of it is; nothing where more is gone already."""
    return max(reached - line.taken.taxes[i], ZERO)


def _credited(line: OpenLine, amount: Decimal, added: Mapping[int, Decimal], scale: int) -> CreditedLine:
    """The note's line: the taxes on top as given, those that the amount holds split from it."""
    billed = line.billed
    shares = dict(added)
    held = [i for i in range(len(line.taxes)) if i not in shares]
    if held:
        net = line.whole - sum((line.taxes[i] for i in held), ZERO)
        goal = cumulated([*(line.taxes[i] for i in held), net], line.taken.amount + amount, scale)
        shares |= {i: _grown(line, i, reached) for i, reached in zip(held, goal, strict=False)}
    base = amount - sum((shares[i] for i in held), ZERO)
    return CreditedLine(
        billed.position,
        billed.description,
        line.sign * amount,
        tuple(
            replace(tax, base=line.sign * base, amount=line.sign * shares[i])
            for i, tax in enumerate(billed.taxes)
        ),
        billed.gl_code,
        billed.timing,
        billed.period_start,
        billed.period_end,
    )
