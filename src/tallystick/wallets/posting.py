"""What wallets do to the books (DESIGN §6). An invoice's draws are posted with the invoice."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.ledger.domain import Entry, Posting
from tallystick.wallets.domain import ZERO, Kind

ACCOUNT = {Kind.PAID: "wallet_paid", Kind.GRANTED: "wallet_granted"}
TOPPED_UP, ENDED, CAPTURED = "wallet.topped_up", "wallet.ended", "wallet.captured"
RETURNED = "wallet.returned"
BREAKAGE = "breakage"
"""Revenue account of paid money that expired unused: the service is not owed any more, so it is earned (IFRS 15.B44)."""

PREPAID = "prepaid"
"""Revenue account of captured holds that name no other."""


def topped_up(
    grant_id: UUID, kind: Kind, account_no: int, entity_id: int, currency: str, amount: Decimal, price: Decimal, now: datetime
) -> Posting:  # fmt: skip
    """Money taken by hand and credit given against what the customer may use: a price below the amount is a promotion for the rest."""
    entries = [Entry("cash:manual", price)] if price else []
    if amount - price:
        entries.append(Entry("promotions", amount - price))
    entries.append(Entry(ACCOUNT[kind], -amount, account_no))
    key, source = f"wallet_grant:{grant_id}:topped_up", str(grant_id)
    return Posting(key, TOPPED_UP, entity_id, currency, now, "wallet_grant", source, tuple(entries))


def ended(
    transaction_id: int, kind: Kind, account_no: int, entity_id: int, currency: str, amount: Decimal, at: datetime
) -> Posting:  # fmt: skip
    """What was left of a grant at its end: credit that was given is taken back, money that was paid is earned as breakage."""
    gone = Entry("promotions", -amount) if kind is Kind.GRANTED else Entry("revenue", -amount, None, BREAKAGE)
    entries = (Entry(ACCOUNT[kind], amount, account_no), gone)
    key, source = f"wallet_transaction:{transaction_id}:ended", str(transaction_id)
    return Posting(key, ENDED, entity_id, currency, at, "wallet_transaction", source, entries)


def returned(
    source: str, account_no: int, entity_id: int, currency: str, amount: Decimal, revenue: Entry, now: datetime
) -> Posting:  # fmt: skip
    """Granted credit that a correction gives back without an invoice to carry it: `revenue` says which account earned it, and for when."""
    entries = (
        Entry(revenue.account, amount, None, revenue.gl_code, revenue.period),
        Entry(ACCOUNT[Kind.GRANTED], -amount, account_no),
    )
    key = f"wallet_return:{source}"
    return Posting(key, RETURNED, entity_id, currency, now, "wallet_return", source, entries)


def captured(
    hold_id: UUID, taken: Mapping[Kind, Decimal], account_no: int, entity_id: int, currency: str, gl_code: str, now: datetime
) -> Posting:  # fmt: skip
    """What was used of a hold is earned."""
    entries = [Entry(ACCOUNT[kind], amount, account_no) for kind, amount in sorted(taken.items()) if amount]
    entries.append(Entry("revenue", -total(taken.values()), None, gl_code))
    key = f"wallet_hold:{hold_id}:captured"
    return Posting(key, CAPTURED, entity_id, currency, now, "wallet_hold", str(hold_id), tuple(entries))


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their sum."""
    return sum(amounts, ZERO)
