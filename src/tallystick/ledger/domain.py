"""Double entry as values: a posting balances before anything is written.

Debits are positive, credits negative. Source: DESIGN §6; the shapes follow pgledger and TigerBeetle ("correct by adding, never by editing").
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter

from tallystick.kernel.money import MAX_INTEGER_DIGITS, exponent

CUSTOMER_CODES = frozenset({"receivable", "customer_credit", "wallet_paid", "wallet_granted"})
"""Accounts kept per billing account and currency: they carry a version and a balance, and are locked when posted to."""

ENTITY_CODES = frozenset({"revenue", "deferred", "promotions"})
ENTITY_PREFIXES = ("tax:", "cash:")
"""Accounts kept per entity and currency (`tax:<code>`, `cash:<gateway>`): append-only, never locked."""

AT_CURRENCY_EXPONENT = ("receivable", "customer_credit", "tax:", "cash:")
"""Money that is owed or moved exists in whole minor units only; other accounts may carry six decimals."""

FINEST_SCALE = 6
LIMIT = Decimal(10) ** MAX_INTEGER_DIGITS
_amount = attrgetter("amount")


class Unbalanced(ValueError):
    """A posting that cannot be written: a fault of the program, never of a client."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a posting. `account_no` names the billing account for customer accounts and is None for the entity's own.

    `period` is the service period [start, end) that the money is for, frozen from the invoice line.
    """

    account: str
    amount: Decimal
    account_no: int | None = None
    gl_code: str | None = None
    period: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """Something that happened to money, once: `key` is its business identity (`invoice:<id>:finalized`).

    `occurred_at` is business time. `source_type` and `source_id` name the document or payment behind it.
    """

    key: str
    kind: str
    entity_id: int
    currency: str
    occurred_at: datetime
    source_type: str
    source_id: str
    entries: tuple[Entry, ...]


def check(posting: Posting) -> None:
    """Raises `Unbalanced` unless the posting has two entries or more, each finite and not zero, on known accounts, adding up to zero."""
    entries = posting.entries
    if len(entries) < 2:
        raise Unbalanced(f"{posting.kind}: a posting needs two entries")
    places = exponent(posting.currency)
    for entry in entries:
        _check_account(entry)
        _check_amount(entry, places)
    if sum(map(_amount, entries)) != 0:
        raise Unbalanced(f"{posting.kind}: entries do not add up to zero")


def _check_account(entry: Entry) -> None:
    code = entry.account
    if code in CUSTOMER_CODES:
        if not entry.account_no:
            raise Unbalanced(f"{code}: needs the billing account it belongs to")
    elif code in ENTITY_CODES or (code.startswith(ENTITY_PREFIXES) and not code.endswith(":")):
        if entry.account_no is not None:
            raise Unbalanced(f"{code}: belongs to the entity, not to a billing account")
    else:
        raise Unbalanced(f"{code}: no such ledger account")


def _check_amount(entry: Entry, places: int) -> None:
    amount = entry.amount
    if not amount or not -LIMIT < amount < LIMIT:  # a NaN compares as an error, which is what it is
        raise Unbalanced(f"{entry.account}: an entry must be finite, below 10^15 and not zero")
    allowed = places if entry.account.startswith(AT_CURRENCY_EXPONENT) else FINEST_SCALE
    if -amount.as_tuple().exponent > allowed and decimals(amount) > allowed:  # type: ignore[operator]
        raise Unbalanced(f"{entry.account}: more than {allowed} decimals")


def decimals(amount: Decimal) -> int:
    """How many decimals an amount really has: 1.500 has one."""
    digits = amount.normalize().as_tuple().exponent
    return max(0, -digits) if isinstance(digits, int) else 0


def fingerprint(posting: Posting) -> bytes:
    """16 bytes that two postings share exactly where they mean the same: kind, entity, currency, source and entries in order.

    The time is not part of it: a repeated command comes later, and the first time stands.
    """
    head = (posting.kind, str(posting.entity_id), posting.currency, posting.source_type, posting.source_id)
    text = "\x1f".join((*head, *map(_spelled, posting.entries)))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _spelled(entry: Entry) -> str:
    period = _period_text(entry.period) if entry.period else ""
    amount = format(entry.amount.normalize(), "f")
    return f"{entry.account}\x1e{entry.account_no or 0}\x1e{entry.gl_code or ''}\x1e{amount}\x1e{period}"


@lru_cache(maxsize=4096)
def _period_text(period: tuple[datetime, datetime]) -> str:
    # A batch bills thousands of lines for a handful of periods.
    return f"{period[0].isoformat()}/{period[1].isoformat()}"


def reversal(
    original: Posting, entries: Sequence[Entry], *, key: str, kind: str, occurred_at: datetime
) -> Posting:
    """The posting that undoes `entries` of `original`: the same accounts and periods, opposite signs."""
    return Posting(
        key, kind, original.entity_id, original.currency, occurred_at, original.source_type, original.source_id,
        tuple(
            Entry(entry.account, -entry.amount, entry.account_no, entry.gl_code, entry.period)
            for entry in entries
        ),
    )  # fmt: skip
