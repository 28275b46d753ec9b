"""Which issued invoices give back what a bill cannot take. Planned before anything is written, so that a preview is the run.

`place` is pure. A correction is given back on the lines it corrects, the latest first, as far as their invoices still bear it: `notes.credit`,
which makes the notes, decides that here too. An invoice that another correction lowered has less left than its lines: then the earlier ones give.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

from tallystick.invoicing import queries as invoices
from tallystick.invoicing.domain import notes
from tallystick.invoicing.domain.assemble import NegativeInvoice
from tallystick.invoicing.domain.crediting import Taken, treatment, turned
from tallystick.invoicing.domain.draft import GivenBack, Line, Status
from tallystick.invoicing.domain.notes import Asked, NoteDraft, NoteLine
from tallystick.invoicing.notes import queries
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.kernel.errors import Refusal
from tallystick.kernel.money import exponent
from tallystick.platform.db import ReadSession

ZERO = Decimal(0)
Place = tuple[UUID, int]
"""A line of an issued invoice: the invoice and the position."""

Parts = Mapping[Place, Decimal]

_Amounts = dict[UUID, dict[int, Decimal]]


@dataclass(slots=True)
class Stock:
    """Issued invoices, their lines by position and what of these is gone already: by notes and corrections (`taken`), by notes (`noted`)."""

    invoices: dict[UUID, InvoiceView] = field(default_factory=dict)
    lines: dict[UUID, dict[int, LineView]] = field(default_factory=dict)
    taken: dict[UUID, dict[int, Taken]] = field(default_factory=dict)
    noted: dict[UUID, dict[int, Taken]] = field(default_factory=dict)

    def bare(self) -> "Stock":
        """The stock as documents alone have it: netted corrections lower the invoices they are on, not those they correct too.

        By this the sum of all that is left is the sum of all that stands, so that whatever stands can be given back.
        """
        return replace(self, taken=self.noted)

    def note(self, invoice_id: UUID, amounts: Mapping[int, Decimal]) -> NoteDraft:
        """The note that gives back these amounts. Raises as `notes.credit`."""
        invoice = self.invoices[invoice_id]
        asked = Asked(tuple(NoteLine(position, amount) for position, amount in sorted(amounts.items())))
        own = list(self.lines[invoice_id].values())
        return notes.credit(own, invoice.taxes, self.taken.get(invoice_id, {}), asked, invoice.currency)

    def left(self, place: Place) -> Decimal:
        """What is left of a line that charges, in its own terms."""
        line = self.lines.get(place[0], {}).get(place[1])
        if line is None or self.invoices[place[0]].status not in (Status.FINALIZED, Status.PAID):
            return ZERO
        stands = turned(line, self.taken.get(place[0], {}).get(place[1], Taken()))
        return stands.left if stands.sign > 0 else ZERO

    def lowering(self, invoice_id: UUID) -> list[Place]:
        """What the invoice's corrections below zero correct: it has less left by them, what they correct has more than it needs."""
        return [
            line.corrects
            for line in self.lines.get(invoice_id, {}).values()
            if line.corrects is not None and line.amount < 0 and not line.voided
        ]


async def read_stock(session: ReadSession, corrections: Iterable[Line]) -> Stock:
    """What these corrections may be given back on: five statements for any number, five more for each row of invoices behind.

    Who is to write by it holds the accounts' locks, without which nobody credits or corrects.
    """
    stock = Stock()
    wanted = {invoice for line in corrections for invoice, _ in corrected(line)}
    while wanted:
        stock.invoices |= await invoices.by_ids(session, wanted)
        lines = await invoices.lines_of(session, wanted)
        for line in lines:
            stock.lines.setdefault(line.invoice_id, {})[line.position] = line
        stock.taken |= await queries.taken(session, lines)
        stock.noted |= await queries.taken(session, lines, corrections=False)
        behind = {invoice for each in wanted for invoice, _ in stock.lowering(each)}
        wanted = behind - stock.lines.keys()
    return stock


def corrected(line: Line) -> list[Place]:
    """The lines on invoices that a correction takes account of, the earliest first."""
    return [(invoice, position) for invoice, position in line.inputs["before"]["lines"] if position]


def place(corrections: Sequence[Line], stock: Stock) -> list[GivenBack]:
    """What of which lines is given back for each of an account's corrections, all on one note per invoice.

    Who has the fewest lines chooses first where they get in each other's way. Where corrections that were netted leave too little, the documents
    alone are the bound (`Stock.bare`); what no line of a price can give then, because its invoice was netted with a correction of another price,
    that other's line gives. Raises `NegativeInvoice` where nothing can. Pure.
    """
    if not corrections:
        return []
    bare = stock.bare()
    given = [*enumerate(corrections)]
    fewest = sorted(given, key=lambda each: len(corrected(each[1])))
    quick = _in_turn(given, stock, _latest, ask=False)
    if quick is not None and _borne(quick.values(), stock):
        return [GivenBack(quick[index]) for index, _ in given]
    for own in (stock, bare):
        for order, way in ((given, _latest), (fewest, _latest), (fewest, corrected)):
            found = _in_turn(order, own, way)
            if found is not None:
                return [GivenBack(found[index], own is bare) for index, _ in given]
    found = _in_turn(fewest, bare, lambda line: [*_latest(line), *_behind(line, stock)])
    if found is None:
        raise NegativeInvoice
    return [GivenBack(found[index], bare=True) for index, _ in given]


def _latest(line: Line) -> list[Place]:
    return corrected(line)[::-1]


def _behind(line: Line, stock: Stock) -> list[Place]:
    """Lines of other prices, taxed alike, that corrections on the price's own invoices lowered; then those behind these."""
    own = corrected(line)
    kinds = _kinds(stock, own[-1])
    found: list[Place] = []
    seen = [invoice for invoice, _ in own]
    for invoice in seen:
        for each in stock.lowering(invoice):
            if each not in found and each not in own and _kinds(stock, each) == kinds:
                found.append(each)
            if each[0] not in seen:
                seen.append(each[0])
    return found


def _kinds(stock: Stock, where: Place) -> list[str]:
    line = stock.lines.get(where[0], {}).get(where[1])
    return [] if line is None else sorted(str(sorted(treatment(tax).items())) for tax in line.taxes)


def _in_turn(
    corrections: Iterable[tuple[int, Line]],
    stock: Stock,
    way: Callable[[Line], list[Place]],
    *,
    ask: bool = True,
) -> dict[int, Parts] | None:
    """What each gives back, one after the other; None where one cannot. Unless the notes are asked, only the lines are looked at."""
    plan: _Amounts = defaultdict(dict)
    found: dict[int, Parts] = {}
    for index, line in corrections:
        amount, parts = -line.remainder, dict[Place, Decimal]()
        for where in way(line):
            part = _room(stock, plan, where, amount, ask=ask)
            if part:
                invoice, position = where
                plan[invoice][position] = plan[invoice].get(position, ZERO) + part
                parts[where] = parts.get(where, ZERO) + part
                amount -= part
        if amount:
            return None
        found[index] = {
            where: parts[where] for where in dict.fromkeys([*corrected(line), *parts]) if where in parts
        }
    return found


def _room(stock: Stock, plan: _Amounts, where: Place, amount: Decimal, *, ask: bool) -> Decimal:
    """How much of `amount` the line can give, on the note that is planned for its invoice: all, or as many units as the note bears."""
    invoice, position = where
    sofar = plan[invoice].get(position, ZERO) if invoice in plan else ZERO
    most = min(amount, stock.left(where) - sofar)
    if most <= 0 or not amount:
        return ZERO

    def bears(part: Decimal) -> bool:
        try:
            stock.note(invoice, {**plan.get(invoice, {}), position: sofar + part})
        except Refusal:
            return False
        return True

    if not ask or bears(most):
        return most
    unit = Decimal(1).scaleb(-exponent(stock.invoices[invoice].currency))
    low, high = 0, int(most / unit)  # `low` units are borne, `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bears(unit * middle) else (low, middle)
    return unit * low


def _together(given: Iterable[Parts]) -> _Amounts:
    plan: _Amounts = defaultdict(dict)
    for parts in given:
        for (invoice, position), amount in parts.items():
            plan[invoice][position] = plan[invoice].get(position, ZERO) + amount
    return plan


def _borne(given: Iterable[Parts], stock: Stock) -> bool:
    """Whether the notes can be made."""
    try:
        for invoice, amounts in _together(given).items():
            stock.note(invoice, amounts)
    except Refusal:
        return False
    return True


def becomes(given: Sequence[GivenBack], stock: Stock) -> dict[tuple[int, str], Decimal]:
    """What of it becomes customer credit, by entity and currency: what is not owed any more on the invoices is no credit."""
    own = stock.bare() if any(each.bare for each in given) else stock
    found: dict[tuple[int, str], Decimal] = defaultdict(lambda: ZERO)
    for invoice_id, amounts in _together(each.parts for each in given).items():
        invoice = stock.invoices[invoice_id]
        total = own.note(invoice_id, amounts).total
        found[invoice.entity_id, invoice.currency] += total - min(invoice.owed, total)
    return found
