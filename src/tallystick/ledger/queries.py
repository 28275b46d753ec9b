"""The read side of the books."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tallystick.kernel.pagination import Page, decode_cursor, encode_cursor
from tallystick.platform.db import ReadSession

# A customer's balance stands on its row; an entity's is its last closing plus the entries since (ix_ledger_entries_account_id).
# One statement sees one moment, so the columns of a trial balance always cancel.
_BALANCES = """
SELECT a.id, a.entity_id, a.code, a.gl_code, a.account_no, a.currency, a.version,
       coalesce(a.balance, coalesce(c.balance, 0) + coalesce(s.amount, 0)) AS balance
FROM ledger_accounts a
LEFT JOIN LATERAL (SELECT through_posting, balance FROM ledger_closings
                   WHERE account_id = a.id ORDER BY through_posting DESC LIMIT 1) c ON a.account_no = 0
LEFT JOIN LATERAL (SELECT sum(amount) AS amount FROM ledger_entries
                   WHERE account_id = a.id AND posting_id > coalesce(c.through_posting, 0)) s ON a.account_no = 0
"""


@dataclass(frozen=True, slots=True)
class AccountView:
    """A ledger account and its balance now, debit positive. `account_no` is 0 for the entity's own; `version` counts a customer's entries."""

    id: int
    entity_id: int
    code: str
    gl_code: str
    account_no: int
    currency: str
    version: int | None
    balance: Decimal


@dataclass(frozen=True, slots=True)
class EntryView:
    """One side of a posting with what it belongs to; `balance` after it, on customer accounts."""

    posting_id: int
    position: int
    key: str
    kind: str
    entity_id: int
    occurred_at: datetime
    source_type: str
    source_id: str
    ledger_account_id: int
    account: str
    gl_code: str
    account_no: int
    currency: str
    amount: Decimal
    version: int | None
    balance: Decimal | None
    period_start: datetime | None
    period_end: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TrialLine:
    """All accounts of one code in one entity and currency: what stands on the debit and on the credit side."""

    entity_id: int
    currency: str
    account: str
    gl_code: str
    debit: Decimal
    credit: Decimal


async def accounts(
    session: ReadSession,
    *,
    limit: int,
    cursor: str | None = None,
    account_no: int | None = None,
    code: str | None = None,
    currency: str | None = None,
    entity_id: int | None = None,
) -> Page[AccountView]:
    """Ledger accounts by id. `account_no` 0 asks for the entities' own."""
    after = decode_cursor(cursor, int)
    rows = await session.fetch(
        _BALANCES
        + """
        WHERE a.id > $1 AND ($2::bigint IS NULL OR a.account_no = $2) AND ($3::text IS NULL OR a.code = $3)
          AND ($4::text IS NULL OR a.currency = $4) AND ($5::int IS NULL OR a.entity_id = $5)
        ORDER BY a.id LIMIT $6
        """,
        after[0] if after else 0, account_no, code, currency, entity_id, limit + 1,
    )  # fmt: skip
    views = [AccountView(**row) for row in rows[:limit]]
    return Page(views, encode_cursor(views[-1].id) if len(rows) > limit else None)


async def entries(
    session: ReadSession,
    *,
    limit: int,
    cursor: str | None = None,
    ledger_account_id: int | None = None,
    account_no: int | None = None,
    account: str | None = None,
    source_type: str | None = None,
    source_id: str | None = None,
    entity_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[EntryView]:
    """Entries, newest posting first. `since` and `until` bound business time, half-open.

    Keyset on the primary key; an account's entries come from ix_ledger_entries_account_id, a document's from ix_ledger_postings_source.
    """
    before = decode_cursor(cursor, int, int)
    rows = await session.fetch(
        """
        SELECT e.posting_id, e.position, p.key, p.kind, p.entity_id, p.occurred_at, p.source_type, p.source_id,
               e.account_id AS ledger_account_id, a.code AS account, a.gl_code, a.account_no, e.currency, e.amount, e.version,
               e.balance, e.period_start, e.period_end, p.created_at
        FROM ledger_entries e JOIN ledger_postings p ON p.id = e.posting_id JOIN ledger_accounts a ON a.id = e.account_id
        WHERE ($1::bigint IS NULL OR (e.posting_id, -e.position) < ($1, -$2::int))
          AND ($3::bigint IS NULL OR e.account_id = $3)
          AND ($4::bigint IS NULL OR a.account_no = $4) AND ($5::text IS NULL OR a.code = $5)
          AND ($6::text IS NULL OR p.source_type = $6) AND ($7::text IS NULL OR p.source_id = $7)
          AND ($8::int IS NULL OR p.entity_id = $8)
          AND ($9::timestamptz IS NULL OR p.occurred_at >= $9) AND ($10::timestamptz IS NULL OR p.occurred_at < $10)
        ORDER BY e.posting_id DESC, e.position LIMIT $11
        """,
        before[0] if before else None, before[1] if before else None, ledger_account_id, account_no, account, source_type, source_id,
        entity_id, since, until, limit + 1,
    )  # fmt: skip
    views = [EntryView(**row) for row in rows[:limit]]
    return Page(views, encode_cursor(views[-1].posting_id, views[-1].position) if len(rows) > limit else None)


async def trial_balance(
    session: ReadSession, *, entity_id: int | None = None, currency: str | None = None
) -> list[TrialLine]:
    """Every code of the books with its two sides. Per entity and currency debits equal credits at every moment."""
    rows = await session.fetch(
        f"""
        SELECT entity_id, currency, code AS account, gl_code,
               coalesce(sum(balance) FILTER (WHERE balance > 0), 0) AS debit,
               coalesce(-sum(balance) FILTER (WHERE balance < 0), 0) AS credit
        FROM ({_BALANCES}) b
        WHERE ($1::int IS NULL OR entity_id = $1) AND ($2::text IS NULL OR currency = $2)
        GROUP BY entity_id, currency, code, gl_code
        ORDER BY entity_id, currency, code COLLATE "C", gl_code COLLATE "C"
        """,
        entity_id,
        currency,
    )
    return [TrialLine(**row) for row in rows]


async def customer_balances(
    session: ReadSession, account_nos: Sequence[int], code: str
) -> dict[tuple[int, int, str], Decimal]:
    """Balances on customer account `code`, debit positive, by (account_no, entity_id, currency); zeros are left out.

    One statement for any number of accounts (uq_ledger_accounts_identity).
    """
    rows = await session.fetch(
        """
        SELECT account_no, entity_id, currency, balance FROM ledger_accounts
        WHERE account_no = ANY($1::bigint[]) AND code = $2 AND account_no <> 0 AND balance <> 0
        """,
        account_nos,
        code,
    )
    return {(row["account_no"], row["entity_id"], row["currency"]): row["balance"] for row in rows}


async def balances(session: ReadSession, account_no: int, code: str) -> dict[str, Decimal]:
    """A billing account's balance per currency on customer account `code`, debit positive (unique index probe)."""
    rows = await session.fetch(
        """
        SELECT currency, sum(balance) AS balance FROM ledger_accounts
        WHERE account_no = $1 AND code = $2 AND account_no <> 0 GROUP BY currency ORDER BY currency
        """,
        account_no,
        code,
    )
    return {row["currency"]: row["balance"] for row in rows}
