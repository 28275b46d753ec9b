"""What an invoice does to the books (DESIGN §6): who owes, what was earned or is still to be earned, which tax is held."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from tallystick.ledger.domain import Entry, Posting

FINALIZED, SETTLED, PAID, VOIDED = "invoice.finalized", "invoice.settled", "invoice.paid", "invoice.voided"
UNSETTLED = "invoice.unsettled"


class Earning(Protocol):
    """What of a line concerns the books: `Line` of a draft and `LineView` of a stored invoice both have it."""

    @property
    def earned(self) -> Decimal: ...
    @property
    def timing(self) -> str: ...
    @property
    def gl_code(self) -> str: ...
    @property
    def period_start(self) -> datetime: ...
    @property
    def period_end(self) -> datetime: ...


class TaxHeld(Protocol):
    """One rate of the document."""

    @property
    def code(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Head:
    """The invoice behind the postings."""

    id: UUID
    account_no: int
    entity_id: int
    currency: str
    total: Decimal
    granted: Decimal = Decimal(0)


def key(invoice_id: UUID, kind: str) -> str:
    """The posting's business identity: each kind happens to an invoice once."""
    return f"invoice:{invoice_id}:{kind.removeprefix('invoice.')}"


def finalized(
    head: Head, lines: Iterable[Earning], taxes: Iterable[TaxHeld], now: datetime
) -> Posting | None:
    """Receivable (total with tax) and granted credit used, against one entry per line, frozen with `gl_code` and service period, and
    one per tax.

    A line billed in advance is deferred revenue, all else revenue. None where every amount is zero.
    """
    entries = [Entry("receivable", head.total, head.account_no)] if head.total else []
    if head.granted:
        entries.append(Entry("wallet_granted", head.granted, head.account_no))
    for line in lines:
        amount = line.earned
        if amount:
            account = "deferred" if line.timing == "advance" else "revenue"
            period = (line.period_start, line.period_end) if line.period_start < line.period_end else None
            entries.append(Entry(account, -amount, None, line.gl_code, period))
    entries.extend(Entry(f"tax:{tax.code}", -tax.amount) for tax in taxes if tax.amount)
    return _posting(head, FINALIZED, tuple(entries), now) if entries else None


def settled(head: Head, credit: Decimal, wallet: Decimal, now: datetime) -> Posting | None:
    """Customer credit and paid wallets used for the invoice; None where neither is."""
    entries = [Entry("customer_credit", credit, head.account_no)] if credit else []
    if wallet:
        entries.append(Entry("wallet_paid", wallet, head.account_no))
    if not entries:
        return None
    return _posting(head, SETTLED, (*entries, Entry("receivable", -credit - wallet, head.account_no)), now)


def paid(head: Head, amount: Decimal, now: datetime) -> Posting:
    """Money taken by hand, outside any gateway."""
    entries = (Entry("cash:manual", amount), Entry("receivable", -amount, head.account_no))
    return _posting(head, PAID, entries, now)


def _posting(head: Head, kind: str, entries: tuple[Entry, ...], now: datetime) -> Posting:
    return Posting(
        key(head.id, kind), kind, head.entity_id, head.currency, now, "invoice", str(head.id), entries
    )
