"""Stored invoices as the statements that a bill report prints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.billing.domain.replay import exact_of, replay
from tallystick.billing.importers.dataset import Dataset
from tallystick.billing.service import explaining
from tallystick.catalog import queries as catalog
from tallystick.cli.bill_report import Explanation, LineCheck, Statement, StatementLine, TaxLine
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.domain.draft import LineKind
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.kernel.money import exact_decimal
from tallystick.kernel.zones import local_date, zone
from tallystick.platform.db import ReadSession


@dataclass(frozen=True, slots=True)
class Issued:
    """An invoice as stored, with whom it is for and its lines; `meters` names the meter of each line that counts one."""

    account: Account
    name: str
    invoice: InvoiceView
    lines: list[LineView]
    meters: Mapping[int, str]


async def issued(session: ReadSession, dataset: Dataset, opened: Mapping[str, Account]) -> list[Issued]:
    """The invoices that stand for the data set's subscriptions, in order of its customers, oldest first."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for each in dataset.subscriptions:
        start, end = spans.get(each.customer_external_id, (each.starts_at, each.ends_at))
        spans[each.customer_external_id] = (min(start, each.starts_at), max(end, each.ends_at))
    names = await accounts.names(session, [account.no for account in opened.values()])
    found: list[Issued] = []
    for external_id, (start, end) in spans.items():
        account = opened[external_id]
        for invoice in reversed(await _of_account(session, account.no)):
            if invoice.period_start < end and invoice.period_end > start:
                lines = await invoices.lines(session, invoice.id)
                found.append(Issued(account, names.get(account.no, external_id), invoice, lines, {}))
    ids = {line.evidence.meter_id for each in found for line in each.lines if line.evidence}
    codes = {meter.id: meter.code for meter in (await catalog.meters(session, sorted(ids))).values()}
    return [Issued(each.account, each.name, each.invoice, each.lines, codes) for each in found]


async def _of_account(session: ReadSession, no: int) -> list[InvoiceView]:
    """Newest first, those that count."""
    found: list[InvoiceView] = []
    cursor: str | None = None
    while True:
        page = await invoices.invoices(session, limit=200, cursor=cursor, account_no=no, issued_only=True)
        found += [each for each in page.rows if each.voided_at is None]
        cursor = page.next_cursor
        if cursor is None:
            return found


def statement(each: Issued) -> Statement:
    """The invoice as it is printed."""
    invoice, home = each.invoice, zone(each.account.timezone)
    return Statement(
        customer=each.name,
        reference=each.account.external_id or each.account.id,
        number=invoice.number or str(invoice.id),
        first_day=local_date(invoice.period_start, home),
        last_day=local_date(invoice.period_end - timedelta(microseconds=1), home),
        timezone=each.account.timezone,
        currency=invoice.currency,
        lines=tuple(
            StatementLine(
                line.description,
                None if line.kind is LineKind.FEE else line.quantity,
                line.unit,
                line.exact,
                line.amount,
            )
            for line in each.lines
        ),
        net=invoice.subtotal,
        taxes=tuple(TaxLine(tax.name, tax.amount) for tax in invoice.taxes),
        total=invoice.total,
    )


def check_lines(
    label: str, found: Iterable[Issued], expected: Mapping[tuple[str, str], Fraction]
) -> LineCheck:
    """Each stored line, before its rounding, beside the sum of the rows behind it, by customer and meter."""
    stored: dict[tuple[str, str], Fraction] = {}
    for each in found:
        for line in each.lines:
            if line.evidence is not None:
                key = (each.account.external_id or "", each.meters[line.evidence.meter_id])
                stored[key] = stored.get(key, Fraction(0)) + _unrounded(line)
    agreeing = sum(stored.get(key) == exact for key, exact in expected.items())
    return LineCheck(label, agreeing, len(expected.keys() | stored.keys()))


def _unrounded(line: LineView) -> Fraction:
    """All digits: a line stores eighteen decimals, and says when it had more; those come from its frozen price and quantity."""
    whole = exact_of(line) if line.exact_cut else Fraction(line.exact)
    return whole if exact_decimal(whole)[0] == line.exact else Fraction(line.exact)


def explained(found: Sequence[Issued]) -> Explanation | None:
    """The line with most to tell: that with the most sentences, and of these the largest."""
    best: tuple[int, Fraction, Issued, LineView] | None = None
    for each in found:
        for line in each.lines:
            if line.kind is not LineKind.USAGE:
                continue
            told = len(replay(line, each.invoice.currency).text)
            if best is None or (told, Fraction(line.exact)) > best[:2]:
                best = (told, Fraction(line.exact), each, line)
    if best is None:
        return None
    _, _, each, line = best
    meter = each.meters[line.evidence.meter_id] if line.evidence else ""
    told_line = explaining.explain_line(line, each.invoice.currency, meter)
    number = each.invoice.number or str(each.invoice.id)
    return Explanation(each.name, number, line.description, tuple(told_line.text))
