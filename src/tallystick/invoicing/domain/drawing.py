"""Which grant pays which line of an invoice: granted credit before tax, paid wallets after it (SEMANTICS "Invoice order").

The choice itself is `wallets.domain.draw`; here lines become amounts that are open, and draws become reductions. `check` runs the same
functions again over a stored invoice.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from tallystick.invoicing.domain.draft import ZERO, Line, Reduction, TaxShare
from tallystick.kernel.money import exponent
from tallystick.taxes.domain import TaxRate
from tallystick.wallets.domain import Draw, Drawn, Grant, Kind, coverable, draw, frozen


@dataclass(frozen=True, slots=True)
class Reach:
    """What a limited scope comes to in ids. None does not limit. A charge's top-up belongs to the charge's meter."""

    meters: frozenset[int] | None = None
    charges: frozenset[int] = frozenset()
    plan_versions: frozenset[int] | None = None

    def covers(self, line: Line) -> bool:
        """Whether the line lies in it."""
        if self.plan_versions is not None and line.plan_version_id not in self.plan_versions:
            return False
        if self.meters is None or line.charge_id in self.charges:
            return True
        return line.evidence is not None and line.evidence.meter_id in self.meters


@dataclass(frozen=True, slots=True)
class Fund:
    """A grant that may pay the invoice, and what it reaches (None: every line)."""

    grant: Grant
    reach: Reach | None = None


def _reached(fund: Fund, lines: Sequence[Line]) -> tuple[int, ...] | None:
    if fund.reach is None:
        return None
    return tuple(index for index, line in enumerate(lines) if fund.reach.covers(line))


def _of(
    kind: Kind, funds: Iterable[Fund], lines: Sequence[Line]
) -> list[tuple[Grant, tuple[int, ...] | None]]:
    return [(fund.grant, _reached(fund, lines)) for fund in funds if fund.grant.kind is kind]


def grant_lines(
    lines: list[Line],
    funds: Sequence[Fund],
    currency: str,
    rates: Callable[[], Sequence[Sequence[TaxRate]]],
) -> tuple[list[Line], tuple[Draw, ...]]:
    """The lines less what granted credit pays of them, and its draws. `rates` gives each line's; it is asked only where one is below zero."""
    granted = _of(Kind.GRANTED, funds, lines)
    if not granted:
        return lines, ()
    opens = [line.remainder for line in lines]
    if any(remainder < 0 for remainder in opens):
        groups = [
            tuple((rate.code, rate.rate, line.tax_included) for rate in own)
            for line, own in zip(lines, rates(), strict=True)
        ]
        opens = before_tax(opens, groups, currency)
    drawn = draw(granted, opens, currency)
    reduced = list(lines)
    for each in drawn:
        for index, amount in each.shares:
            line = reduced[index]
            told = Reduction("grant", each.grant.id, each.grant.code, amount)
            reduced[index] = line.but(granted=line.granted + amount, reductions=(*line.reductions, told))
    return reduced, tuple(drawn)


def pay_lines(lines: Sequence[Line], funds: Sequence[Fund], due: Decimal, currency: str) -> tuple[Draw, ...]:
    """What paid wallets pay of lines with their tax, where `due` of the total is left once customer credit is taken."""
    paid = _of(Kind.PAID, funds, lines) if due > 0 else []
    if not paid:
        return ()
    gross = [line.remainder + _on_top(line.taxes) for line in lines]
    return tuple(draw(paid, coverable(gross, due, exponent(currency)), currency))


def returned(lines: Sequence[Line]) -> list[tuple[int, UUID, Decimal]]:
    """What corrections give back to the grants that paid what they correct: (index of the line, grant, amount above zero)."""
    return [
        (index, each.id, -each.amount)
        for index, line in enumerate(lines)
        if line.corrects is not None
        for each in line.reductions
        if each.source == "grant" and each.amount < 0
    ]


def before_tax(remainders: Sequence[Decimal], groups: Sequence[Hashable], currency: str) -> list[Decimal]:
    """What granted credit may cover of each line: no group of lines that are taxed alike comes to less than zero by it, nor does the sum.

    Lines below zero (corrections) lower the others of their group.
    """
    if all(remainder >= 0 for remainder in remainders):
        return list(remainders)
    scale = exponent(currency)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    opens = [ZERO] * len(remainders)
    for own in members.values():
        parts = [remainders[index] for index in own]
        for index, part in zip(own, coverable(parts, sum(parts, ZERO), scale), strict=True):
            opens[index] = part
    return coverable(opens, sum(remainders, ZERO), scale)


def _on_top(taxes: Iterable[TaxShare]) -> Decimal:
    return sum((tax.amount for tax in taxes if not tax.included), ZERO)


class Stored(Protocol):
    """What of a stored line the check needs; `LineView` has it."""

    @property
    def position(self) -> int: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def discount(self) -> Decimal: ...
    @property
    def granted(self) -> Decimal: ...
    @property
    def reductions(self) -> tuple[Reduction, ...]: ...
    @property
    def taxes(self) -> tuple[TaxShare, ...]: ...


def check(
    lines: Sequence[Stored], draws: Sequence[Drawn], currency: str, due: Decimal, wallet_applied: Decimal
) -> list[str]:
    """What does not come out the same where the grants that paid a stored invoice are drawn on again, as they stood then.

    `due` is the total less customer credit. Which other grants there were is not frozen; that those which paid did so in order, for the
    lines they reach and no more than was open, is.
    """
    problems: list[str] = []
    told = {(each.grant_id, each.line): each.amount for each in draws if each.kind == Kind.GRANTED}
    on_lines = {
        (each.id, line.position): each.amount
        for line in lines
        for each in line.reductions
        if each.source == "grant" and each.amount > 0
    }  # fmt: skip
    if told != on_lines:
        problems.append("what granted credit took off the lines is not what the wallets gave")
    paid = [each for each in draws if each.kind == Kind.PAID]
    if sum((each.amount for each in paid), ZERO) != wallet_applied:
        problems.append("what paid wallets gave is not what the invoice says")
    remainders = [line.amount - line.discount - _given_back(line) for line in lines]
    groups = [tuple((tax.code, tax.rate, tax.included) for tax in line.taxes) for line in lines]
    opens = before_tax(remainders, groups, currency)
    gross = [line.amount - line.discount - line.granted + _on_top(line.taxes) for line in lines]
    stages = (
        ("granted credit", [each for each in draws if each.kind == Kind.GRANTED], opens),
        ("paid wallets", paid, coverable(gross, due, exponent(currency))),
    )
    for name, own, amounts in stages:
        if not _again(own, amounts, currency):
            problems.append(f"{name}: drawn again, the grants do not pay the same lines")
    return problems


def _given_back(line: Stored) -> Decimal:
    """What a correction gives back to grants, below zero."""
    return sum((each.amount for each in line.reductions if each.source == "grant" and each.amount < 0), ZERO)


def _again(draws: Sequence[Drawn], opens: Sequence[Decimal], currency: str) -> bool:
    """Whether the same grants, as they stood, pay the same."""
    grants: dict[UUID, tuple[Grant, tuple[int, ...] | None]] = {}
    for each in draws:
        try:
            grant = frozen(each.grant_id, each.wallet_id, each.wallet, Kind(each.kind), currency, each.facts)
        except (KeyError, ValueError, TypeError):
            return False
        if grants.setdefault(each.grant_id, grant) != grant:
            return False
    again = {
        (drawn.grant.id, index + 1): amount
        for drawn in draw(grants.values(), opens, currency)
        for index, amount in drawn.shares
    }
    return again == {(each.grant_id, each.line): each.amount for each in draws}
