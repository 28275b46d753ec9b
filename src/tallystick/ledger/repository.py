"""The write side of the books: one statement writes any number of postings."""

from collections.abc import Sequence
from typing import Any

from tallystick.platform.db import Record, Session

# Plans: `account` is one index probe per distinct account (uq_ledger_accounts_identity); `held` and `moved` are one probe per customer
# account by primary key, in id order, so that two batches never wait for each other in a circle; the other joins hash small sets.
# An account that is new is not visible to the statement that creates it, so the first posting of a customer takes two.
# The keys are taken first (`posted`), the accounts after: every writer takes its locks in that order. Entity accounts are read only.
# The arguments pass through `given`, so that their lengths never reach the planner: one generic plan, made once per connection, serves
# one posting and a thousand (planning anew costs twice the execution).
# `moved` returns the balance as the lock holder left it, not as this statement's snapshot saw it, so chains never fork.
POST = """
WITH given AS MATERIALIZED (
    SELECT $1::bigint[] AS account_no, $2::int[] AS account_entity, $3::text[] AS code, $4::text[] AS gl_code,
           $5::text[] AS account_currency, $6::text[] AS key, $7::text[] AS kind, $8::int[] AS entity_id, $9::text[] AS currency,
           $10::timestamptz[] AS occurred_at, $11::text[] AS source_type, $12::text[] AS source_id, $13::int[] AS entries,
           $14::bytea[] AS fingerprint, $15::int[] AS posting_ord, $16::int[] AS position, $17::int[] AS account_ord,
           $18::numeric[] AS amount, $19::timestamptz[] AS period_start, $20::timestamptz[] AS period_end
), account AS MATERIALIZED (
    SELECT w.*, a.id
    FROM given g CROSS JOIN LATERAL unnest(g.account_no, g.account_entity, g.code, g.gl_code, g.account_currency)
         WITH ORDINALITY AS w(account_no, entity_id, code, gl_code, currency, ord)
    LEFT JOIN ledger_accounts a ON a.account_no = w.account_no AND a.entity_id = w.entity_id AND a.code = w.code
                               AND a.gl_code = w.gl_code AND a.currency = w.currency
), created AS (
    INSERT INTO ledger_accounts (account_no, entity_id, code, gl_code, currency, version, balance)
    SELECT account_no, entity_id, code, gl_code, currency,
           CASE WHEN account_no <> 0 THEN 0 END, CASE WHEN account_no <> 0 THEN 0 END
    FROM account WHERE id IS NULL ORDER BY account_no, entity_id, code, gl_code, currency
    ON CONFLICT (account_no, entity_id, code, gl_code, currency) DO NOTHING
), wanted AS MATERIALIZED (
    SELECT w.* FROM given g CROSS JOIN LATERAL unnest(g.key, g.kind, g.entity_id, g.currency, g.occurred_at, g.source_type,
                                                      g.source_id, g.entries, g.fingerprint)
         WITH ORDINALITY AS w(key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint, ord)
    WHERE NOT EXISTS (SELECT FROM account WHERE id IS NULL)
), posted AS (
    INSERT INTO ledger_postings (key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint)
    SELECT key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint FROM wanted ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING id, key
), entry AS MATERIALIZED (
    SELECT p.id AS posting_id, e.position, a.id AS account_id, a.account_no, a.currency, e.amount, e.period_start, e.period_end
    FROM given g CROSS JOIN LATERAL unnest(g.posting_ord, g.position, g.account_ord, g.amount, g.period_start, g.period_end)
         AS e(posting_ord, position, account_ord, amount, period_start, period_end)
    JOIN wanted w ON w.ord = e.posting_ord
    JOIN posted p ON p.key = w.key
    JOIN account a ON a.ord = e.account_ord
), change AS MATERIALIZED (
    SELECT account_id, count(*) AS entries, sum(amount) AS amount FROM entry WHERE account_no <> 0 GROUP BY account_id
), held AS MATERIALIZED (
    SELECT a.id, c.entries, c.amount FROM change c JOIN ledger_accounts a ON a.id = c.account_id ORDER BY a.id FOR NO KEY UPDATE OF a
), moved AS (
    UPDATE ledger_accounts a SET version = a.version + h.entries, balance = a.balance + h.amount
    FROM held h WHERE a.id = h.id
    RETURNING a.id, a.version - h.entries AS version, a.balance - h.amount AS balance
), written AS (
    INSERT INTO ledger_entries (posting_id, position, account_id, currency, amount, version, balance, period_start, period_end)
    SELECT e.posting_id, e.position, e.account_id, e.currency, e.amount,
           m.version + row_number() OVER chain, m.balance + sum(e.amount) OVER chain, e.period_start, e.period_end
    FROM entry e JOIN moved m ON m.id = e.account_id
    WINDOW chain AS (PARTITION BY e.account_id ORDER BY e.posting_id, e.position)
    UNION ALL
    SELECT posting_id, position, account_id, currency, amount, NULL, NULL, period_start, period_end
    FROM entry WHERE account_no = 0
)
SELECT (SELECT count(*) FROM account WHERE id IS NULL) AS missing, (SELECT count(*) FROM posted) AS posted
"""


async def post(session: Session, columns: Sequence[Sequence[Any]]) -> tuple[int, int]:
    """Writes postings, entries and customer balances. Where an account is missing it creates it at zero, in order of identity so that
    two creators cannot deadlock, and writes nothing else: ask again.

    `columns`: five of the distinct accounts, nine of the postings, six of the entries (1-based positions into the former two).
    Gives (accounts missing, postings written); a posting whose key exists is not written and counts for nothing.
    """
    row = await session.fetchrow(POST, *columns)
    assert row is not None
    return row["missing"], row["posted"]


async def fingerprints(session: Session, keys: Sequence[str]) -> dict[str, bytes]:
    """What was posted under these keys (unique index probes)."""
    rows = await session.fetch("SELECT key, fingerprint FROM ledger_postings WHERE key = ANY($1)", keys)
    return {row["key"]: row["fingerprint"] for row in rows}


async def horizon(session: Session) -> int:
    """The greatest posting id, once no posting below it can still be on its way: the table lock waits for writers under way.

    New writers queue behind that lock, so it waits 300 ms and no longer; then the driver's LockNotAvailableError.
    """
    await session.execute("SET LOCAL lock_timeout = '300ms'")
    await session.execute("LOCK TABLE ledger_postings IN SHARE MODE")
    return int(await session.fetchval("SELECT coalesce(max(id), 0) FROM ledger_postings"))


async def close_through(session: Session, through: int) -> int:
    """Closes every entity account that moved since its last closing, reading only what came after that. A repeat does nothing."""
    return await session.execute(
        """
        INSERT INTO ledger_closings (account_id, through_posting, balance)
        SELECT a.id, $1, coalesce(c.balance, 0) + s.amount
        FROM ledger_accounts a
        LEFT JOIN LATERAL (SELECT through_posting, balance FROM ledger_closings
                           WHERE account_id = a.id ORDER BY through_posting DESC LIMIT 1) c ON true
        CROSS JOIN LATERAL (SELECT sum(amount) AS amount, max(posting_id) AS latest FROM ledger_entries
                            WHERE account_id = a.id AND posting_id > coalesce(c.through_posting, 0) AND posting_id <= $1) s
        WHERE a.account_no = 0 AND s.latest IS NOT NULL
        ON CONFLICT DO NOTHING
        """,
        through,
    )


async def posting_entries(session: Session, key: str) -> list[Record]:
    """A posting with its entries and their accounts, in order; empty where there is none."""
    return await session.fetch(
        """
        SELECT p.kind, p.entity_id, p.currency, p.occurred_at, p.source_type, p.source_id, a.code, a.account_no, a.gl_code,
               e.amount, e.period_start, e.period_end
        FROM ledger_postings p JOIN ledger_entries e ON e.posting_id = p.id JOIN ledger_accounts a ON a.id = e.account_id
        WHERE p.key = $1 ORDER BY e.position
        """,
        key,
    )
