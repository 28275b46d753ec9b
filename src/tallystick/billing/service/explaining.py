"""Why a line costs what it costs, and whether it still comes out the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.billing.corrections import queries as corrections
from tallystick.billing.domain.replay import Replayed, made_as, replay
from tallystick.billing.domain.selection import same_quantity
from tallystick.billing.domain.telling import how_changed, how_counted
from tallystick.billing.service.drawn import draw_problems, draw_sentences
from tallystick.billing.service.noted import note_problems, settled_sentences
from tallystick.billing.service.recounting import recount, selection_of
from tallystick.catalog import queries as catalog
from tallystick.entities import queries as entities
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.coupons import queries as coupons
from tallystick.invoicing.domain.coupons import SOURCE, recomputed
from tallystick.invoicing.domain.draft import CouponUse, Reduction
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.kernel.clock import parse_instant
from tallystick.kernel.errors import Refusal
from tallystick.kernel.money import Rounding
from tallystick.metering import queries as metering
from tallystick.metering.domain.slices import AccountSlice, RecordedUsage, UsageTotal
from tallystick.platform.db import ReadSession
from tallystick.taxes.domain import Taxable, TaxRate, tax_lines

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Which events a line counts: enough to fetch and count them again."""

    meter: str
    counted_from: datetime
    counted_to: datetime
    from_batch: int
    to_batch: int
    events: int
    checksum: str


@dataclass(frozen=True, slots=True)
class LineExplanation:
    """One line, for programs (`steps`, `inputs`) and for people (`text`)."""

    position: int
    kind: str
    description: str
    period_start: datetime
    period_end: datetime
    rule: str
    quantity: Decimal
    unit: str
    exact_amount: Decimal
    amount: Decimal
    taxes: Sequence[Any]
    steps: list[dict[str, Any]]
    inputs: dict[str, Any]
    evidence: Evidence | None
    text: list[str]


@dataclass(frozen=True, slots=True)
class InvoiceExplanation:
    """An invoice, line by line, and how the lines become its total."""

    invoice_id: str
    number: str | None
    currency: str
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    lines: list[LineExplanation]
    text: list[str]


@dataclass(slots=True)
class Verification:
    """What recomputing an invoice found; `problems` is empty where every byte came out the same."""

    invoice_id: str
    number: str | None
    lines: int = 0
    events: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Nothing differs."""
        return not self.problems


async def explain(session: ReadSession, invoice: InvoiceView) -> InvoiceExplanation:
    """The invoice explained from what is frozen on it; steps and sentences are derived now, not stored."""
    lines = await invoices.lines(session, invoice.id)
    noted = await corrections.noted_of(session, invoice.id)
    meters = await catalog.meters(
        session, sorted({line.evidence.meter_id for line in (*lines, *noted) if line.evidence})
    )
    explained = [
        explain_line(line, invoice.currency, meters[line.evidence.meter_id].code if line.evidence else "")
        for line in lines
    ]
    return InvoiceExplanation(
        str(invoice.id), invoice.number, invoice.currency, invoice.subtotal, invoice.tax, invoice.total, explained,
        [
            *_sum_text(invoice, lines), *_noted_sentences(noted, invoice.currency, {no: each.code for no, each in meters.items()}),
            *await settled_sentences(session, invoice), *await draw_sentences(session, invoice),
        ],
    )  # fmt: skip


def explain_line(line: LineView, currency: str, meter: str) -> LineExplanation:
    """One line, recomputed."""
    again = replay(line, currency)
    return LineExplanation(
        position=line.position,
        kind=line.kind.value,
        description=line.description,
        period_start=line.period_start,
        period_end=line.period_end,
        rule=line.rule,
        quantity=line.quantity,
        unit=line.unit,
        exact_amount=line.exact,
        amount=line.amount,
        taxes=line.taxes,
        steps=again.steps,
        inputs=line.inputs,
        evidence=_evidence(line, meter),
        text=[*_evidence_text(line, meter), *again.text],
    )


def _evidence(line: LineView, meter: str) -> Evidence | None:
    seen = line.evidence
    if seen is None:
        return None
    return Evidence(
        meter,
        _counted_from(line),
        line.period_end,
        seen.from_batch,
        seen.to_batch,
        seen.count,
        f"{seen.checksum:032x}",
    )


def _counted_from(line: LineView) -> datetime:
    return parse_instant(line.inputs["counted_from"])


def _evidence_text(line: LineView, meter: str) -> list[str]:
    if line.evidence is None:
        return []
    told = how_counted(line.inputs, line.evidence.count, meter, line.unit)
    return [*told, *how_changed(line.inputs, line.evidence.count, line.unit)]


def _sum_text(invoice: InvoiceView, lines: list[LineView]) -> list[str]:
    parts = " + ".join(f"{line.amount:,f}" for line in lines[:20]) + (" + …" if len(lines) > 20 else "")
    noun = "line" if len(lines) == 1 else "lines"
    text = [f"{len(lines)} {noun}: {parts} = {invoice.subtotal:,f} {invoice.currency}"]
    text += _coupon_text(invoice.currency, lines)
    if invoice.granted:
        text.append(f"less {invoice.granted:,f} {invoice.currency} by granted credit")
    text += [
        f"{tax.name}: {tax.rate:f} % of {tax.base:,f} = {tax.amount:,f} {invoice.currency}"
        + (" (in the prices)" if tax.included else "")
        for tax in invoice.taxes
    ]
    return [*text, f"total {invoice.total:,f} {invoice.currency}"]


def _coupon_text(currency: str, lines: list[LineView]) -> list[str]:
    """Coupon by coupon in the order they took effect: what each takes, off which lines."""
    found: dict[UUID, list[tuple[int, Reduction]]] = {}
    for line in lines:
        for each in line.reductions:
            if each.source == SOURCE:
                found.setdefault(each.id, []).append((line.position, each))
    text = []
    for own in found.values():
        each, amount = own[0][1], sum((part.amount for _, part in own), ZERO)
        share = "" if each.percent is None else f" ({format(each.percent.normalize(), 'f')} %)"
        places = ", ".join(str(position) for position, _ in own)
        noun = "line" if len(own) == 1 else "lines"
        text.append(f"coupon {each.code}{share}: less {amount:,f} {currency} off {noun} {places}")
    return text


def as_text(told: InvoiceExplanation) -> str:
    """The explanation to read: one paragraph a line, then the sums."""
    blocks = [f"Invoice {told.number or told.invoice_id}"]
    for line in told.lines:
        span = f"{line.period_start:%Y-%m-%d %H:%M} to {line.period_end:%Y-%m-%d %H:%M} UTC"
        head = (
            f"{line.position}. {line.description} ({span}): {line.amount:,f} {told.currency}   [{line.rule}]"
        )
        blocks.append("\n".join([head, *(f"   {sentence}" for sentence in line.text)]))
    blocks.append("\n".join(told.text))
    return "\n\n".join(blocks) + "\n"


def verification_view(report: Verification) -> dict[str, Any]:
    """A verification as the API and `--json` show it."""
    return {
        "invoice_id": report.invoice_id, "number": report.number, "agrees": report.agrees, "lines": report.lines,
        "events": report.events, "problems": report.problems,
    }  # fmt: skip


async def verify(session: ReadSession, invoice: InvoiceView) -> Verification:
    """Computes the invoice again: each line from its frozen inputs, each count from the events, sums and taxes from the lines."""
    report = Verification(str(invoice.id), invoice.number)
    lines = await invoices.lines(session, invoice.id)
    report.lines = len(lines)
    for line in lines:
        _verify_amount(report, line, invoice.currency)
    await _verify_events(session, report, [line for line in lines if line.evidence is not None])
    await _verify_sums(session, report, invoice, lines)
    await _verify_noted(session, report, invoice)
    report.problems += await note_problems(session, invoice, lines)
    report.problems += await draw_problems(session, invoice, lines)
    return report


async def _verify_noted(session: ReadSession, report: Verification, invoice: InvoiceView) -> None:
    """What credit notes correct of the invoice's usage, counted and computed again like any correction."""
    noted = await corrections.noted_of(session, invoice.id)
    for line in noted:
        _verify_amount(report, line, invoice.currency)
    await _verify_events(session, report, [line for line in noted if line.evidence is not None])


def _noted_sentences(noted: Sequence[LineView], currency: str, meters: Mapping[int, str]) -> list[str]:
    """How corrections that went to credit notes came about."""
    told = []
    for line in noted:
        meter = meters[line.evidence.meter_id] if line.evidence else ""
        sentences = [*_evidence_text(line, meter), *replay(line, currency).text]
        told.append(f"{line.description}, by credit note: {'; '.join(sentences)}")
    return told


def _verify_amount(report: Verification, line: LineView, currency: str) -> None:
    try:
        again: Replayed = replay(line, currency)
    except (KeyError, ValueError, AssertionError) as error:
        report.problems.append(
            f"line {line.position}: its inputs cannot be computed again ({type(error).__name__})"
        )
        return
    if (again.amount, again.exact, again.exact_cut) != (line.amount, line.exact, line.exact_cut):
        report.problems.append(f"line {line.position}: stands at {line.exact:f}, comes to {again.exact:f}")


async def _verify_events(session: ReadSession, report: Verification, lines: list[LineView]) -> None:
    metered = [line for line in lines if made_as(line) == "usage"]
    recorded = [line for line in lines if made_as(line) == "recorded"]
    await _verify_usage(session, report, metered)
    slices = [(index, each) for index, line in enumerate(recorded) for each in _account_slices(line)]
    groups = await metering.recorded(session, [each for _, each in slices])
    for index, line in enumerate(recorded):
        total = UsageTotal(ZERO, 0, 0)
        for group in groups:
            if slices[group.slice_index][0] == index and _is_of(line, group):
                total = UsageTotal(
                    total.quantity + group.quantity,
                    total.count + group.count,
                    total.checksum ^ group.checksum,
                )
        _compare(report, line, total)


async def _verify_usage(session: ReadSession, report: Verification, lines: list[LineView]) -> None:
    """Counts usage lines again; one whose inputs name no events that can be counted is a finding, and stops no other."""
    chosen = []
    for line in lines:
        try:
            chosen.append((line, selection_of(line)))
        except (KeyError, ValueError, TypeError, Refusal) as error:
            report.problems.append(
                f"line {line.position}: its events cannot be found again ({type(error).__name__})"
            )
    totals = await recount(session, [selection for _, selection in chosen])
    for (line, _), total in zip(chosen, totals, strict=True):
        if total is None:
            report.problems.append(f"line {line.position}: the state it began from is not there")
        else:
            _compare(report, line, total)


def _is_of(line: LineView, group: RecordedUsage) -> bool:
    price = Decimal(line.inputs["unit_price"])
    return (
        line.evidence is not None and group.meter_id == line.evidence.meter_id and group.unit_price == price
    )


def _account_slices(line: LineView) -> list[AccountSlice]:
    seen = line.evidence
    assert seen is not None
    parts = [(parse_instant(start), parse_instant(end)) for start, end in line.inputs.get("segments", ())]
    return [
        AccountSlice(line.account_no, start, end, seen.to_batch, seen.from_batch)
        for start, end in parts or [(_counted_from(line), line.period_end)]
    ]


def _compare(report: Verification, line: LineView, found: UsageTotal) -> None:
    seen = line.evidence
    assert seen is not None
    report.events += found.count
    if (found.count, found.checksum) != (seen.count, seen.checksum):
        report.problems.append(
            f"line {line.position}: counted {seen.count} events, finds {found.count} or others"
        )
    elif not same_quantity(line.rule, line.inputs, found):
        report.problems.append(f"line {line.position}: the same events come to another quantity")


async def _verify_sums(
    session: ReadSession, report: Verification, invoice: InvoiceView, lines: list[LineView]
) -> None:
    subtotal = sum((line.amount for line in lines), ZERO)
    reduced = sum((line.discount + line.granted for line in lines), ZERO)
    if (
        subtotal != invoice.subtotal
        or invoice.total != subtotal - reduced - invoice.included_tax + invoice.tax
    ):
        report.problems.append("the lines do not add up to the invoice")
    rounding, tax_rounding = await _roundings(session, invoice)
    uses = await coupons.uses(session, invoice.id)
    if not _agrees(lambda: coupons_agree(uses, invoice, lines, rounding)):
        report.problems.append("the coupons do not come out the same")
    if not _agrees(lambda: taxes_agree(invoice, lines, tax_rounding)):
        report.problems.append("the taxes do not come out the same")


def _agrees(compute: Callable[[], bool]) -> bool:
    """What cannot be computed at all, such as a split of an amount with too many digits, does not agree."""
    try:
        return compute()
    except (KeyError, ValueError, ArithmeticError):
        return False


async def _roundings(session: ReadSession, invoice: InvoiceView) -> tuple[Rounding, str]:
    """As the entity had them when the invoice was assembled; what was written by hand carries no tax and follows the entity's."""
    if "tax_rounding" in invoice.notes:
        return Rounding(invoice.notes["rounding"]), invoice.notes["tax_rounding"]
    entity = await entities.get(session, invoice.entity_id)
    return Rounding(entity.rounding), entity.tax_rounding


def taxes_agree(invoice: InvoiceView, lines: Sequence[LineView], rounding: str) -> bool:
    """Whether the rates that stand on the lines give the taxes that stand on them, and on the document."""
    taxable = [
        Taxable(
            line.amount - line.discount - line.granted,
            tuple(TaxRate(tax.code, tax.name, tax.rate, tax.kind) for tax in line.taxes),
            any(tax.included for tax in line.taxes),
        )
        for line in lines
    ]
    result = tax_lines(taxable, invoice.currency, rounding)
    told = [[(tax.base, tax.amount) for tax in line.taxes] for line in lines]
    if told != [[(tax.base, tax.amount) for tax in own] for own in result.per_line]:
        return False
    return [(t.code, t.rate, t.base, t.amount) for t in invoice.taxes] == [
        (t.rate.code, t.rate.rate, t.base, t.amount) for t in result.totals
    ]


def coupons_agree(
    uses: Sequence[CouponUse], invoice: InvoiceView, lines: Sequence[LineView], rounding: Rounding
) -> bool:
    """Whether the coupons used on the document take off its lines what stands on them. Corrections carry theirs."""
    told = [
        {each.id: each.amount for each in line.reductions if each.source == SOURCE and line.corrects is None}
        for line in lines
    ]
    return told == recomputed([line.amount for line in lines], uses, invoice.currency, rounding)
