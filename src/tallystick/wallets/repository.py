"""The write side of wallets. Whoever changes a balance holds the account's lock: grants of one account change one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.platform.db import Record, Session


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a grant, as `wallet_transactions` keeps it: `amount` of what remains, `held` of what is reserved, both signed."""

    grant_id: UUID
    kind: str
    amount: Decimal
    held: Decimal
    occurred_at: datetime
    invoice_id: UUID | None = None
    position: int | None = None
    hold_id: UUID | None = None
    facts: dict[str, Any] | None = None


async def insert_wallet(session: Session, values: Sequence[Any]) -> None:
    """`values`: id, account number, entity, currency, name, priority, meters, plans, expiry, opened at."""
    await session.execute(
        """
        INSERT INTO wallets (id, account_no, entity_id, currency, name, priority, meters, plans, expires_at, opened_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        *values,
    )


async def update_wallet(
    session: Session, wallet_id: UUID, name: str, priority: int, expires_at: datetime | None
) -> None:
    """What may change of a wallet; its grants end with it, so theirs follows in the same statement."""
    await session.execute(
        """
        WITH ends AS (UPDATE wallet_grants SET ends_at = least(expires_at, $4) WHERE wallet_id = $1 AND remaining > 0
                      AND ends_at IS DISTINCT FROM least(expires_at, $4))
        UPDATE wallets SET name = $2, priority = $3, expires_at = $4, revision = revision + 1 WHERE id = $1
        """,
        wallet_id, name, priority, expires_at,
    )  # fmt: skip


async def terminate(session: Session, wallet_ids: Sequence[UUID], at: datetime) -> None:
    """The wallets end at `at`, and with them all their grants: what a void invoice gives back later meets a grant at its end."""
    await session.execute(
        """
        WITH ends AS (UPDATE wallet_grants SET ends_at = least(ends_at, $2) WHERE wallet_id = ANY($1::uuid[]))
        UPDATE wallets SET terminated_at = $2, revision = revision + 1 WHERE id = ANY($1::uuid[])
        """,
        wallet_ids,
        at,
    )


async def open_wallets(session: Session, account_no: int) -> list[UUID]:
    """The account's wallets that were not terminated (ix_wallets_account_no)."""
    rows = await session.fetch(
        "SELECT id FROM wallets WHERE account_no = $1 AND terminated_at IS NULL ORDER BY id", account_no
    )
    return [row["id"] for row in rows]


async def insert_grant(session: Session, values: Sequence[Any]) -> None:
    """A top-up with its transaction. `values`: id, wallet, account number, entity, currency, kind, description, amount, price, priority,
    meters, plans, own expiry, end, granted at."""
    await session.execute(
        """
        WITH made AS (
            INSERT INTO wallet_grants (id, wallet_id, account_no, entity_id, currency, kind, description, amount, price, remaining,
                                       priority, meters, plans, expires_at, ends_at, granted_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8, $10, $11, $12, $13, $14, $15)
            RETURNING id, wallet_id, amount, granted_at
        )
        INSERT INTO wallet_transactions (wallet_id, grant_id, kind, amount, remaining, occurred_at)
        SELECT wallet_id, id, 'top_up', amount, amount, granted_at FROM made
        """,
        *values,
    )


async def move(session: Session, moves: Sequence[Move]) -> list[Record]:
    """Changes grants and writes down each change, in order, in one statement for any number: (id, grant_id) of the transactions.

    A balance below zero, or below what is held, is refused by the database.
    """
    return await session.fetch(
        """
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::numeric[], $4::numeric[], $5::timestamptz[], $6::uuid[], $7::int[],
                                 $8::uuid[], $9::jsonb[]) WITH ORDINALITY
                AS m(grant_id, kind, amount, held, occurred_at, invoice_id, position, hold_id, facts, ord)
        ), total AS (SELECT grant_id, sum(amount) AS amount, sum(held) AS held FROM given GROUP BY grant_id
        ), moved AS (
            UPDATE wallet_grants g SET remaining = g.remaining + t.amount, held = g.held + t.held FROM total t
            WHERE g.id = t.grant_id RETURNING g.id, g.wallet_id, g.remaining - t.amount AS before
        )
        INSERT INTO wallet_transactions (wallet_id, grant_id, kind, amount, held, remaining, invoice_id, position, hold_id, facts,
                                         occurred_at)
        SELECT m.wallet_id, g.grant_id, g.kind, g.amount, g.held,
               m.before + sum(g.amount) OVER (PARTITION BY g.grant_id ORDER BY g.ord),
               g.invoice_id, g.position, g.hold_id, g.facts, g.occurred_at
        FROM given g JOIN moved m ON m.id = g.grant_id ORDER BY g.ord
        RETURNING id, grant_id
        """,
        *zip(*(_columns(each) for each in moves), strict=True),
    )


def _columns(move: Move) -> tuple[Any, ...]:
    return (
        move.grant_id, move.kind, move.amount, move.held, move.occurred_at, move.invoice_id, move.position, move.hold_id, move.facts,
    )  # fmt: skip


async def unsettled(session: Session, invoice_id: UUID) -> list[Record]:
    """What an invoice changed of grants, line by line, in order: grant, line, amount (negative: the grant paid it), and what is free of
    the grant (ix_wallet_transactions_invoice_id). Empty once that was undone."""
    return await session.fetch(
        """
        SELECT t.grant_id, t.position, sum(t.amount) AS amount, g.remaining - g.held AS free
        FROM (
            SELECT id, grant_id, position, amount FROM wallet_transactions WHERE invoice_id = $1 AND kind <> 'draw'
            UNION ALL
            SELECT d.id, d.grant_id, (s->>0)::integer, -(s->>1)::numeric
            FROM wallet_transactions d, jsonb_array_elements(d.facts->'shares') s WHERE d.invoice_id = $1 AND d.kind = 'draw'
        ) t JOIN wallet_grants g ON g.id = t.grant_id
        GROUP BY t.grant_id, t.position, g.remaining, g.held HAVING sum(t.amount) <> 0 ORDER BY min(t.id)
        """,
        invoice_id,
    )


async def insert_hold(session: Session, values: Sequence[Any]) -> None:
    """`values`: id, wallet, account number, amount, description, held at, expires at. Its parts are moves."""
    await session.execute(
        """
        INSERT INTO wallet_holds (id, wallet_id, account_no, amount, description, held_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        *values,
    )


async def hold_parts(session: Session, hold_ids: Sequence[UUID]) -> list[Record]:
    """What active holds reserve: hold, grant, the grant's kind, amount, in the order it was reserved (ix_wallet_transactions_hold_id)."""
    return await session.fetch(
        """
        SELECT t.hold_id, t.grant_id, g.kind, t.held AS amount FROM wallet_transactions t JOIN wallet_grants g ON g.id = t.grant_id
        WHERE t.hold_id = ANY($1::uuid[]) AND t.kind = 'hold' ORDER BY t.id
        """,
        hold_ids,
    )


async def end_holds(
    session: Session, hold_ids: Sequence[UUID], status: str, ended_at: Sequence[datetime], captured: Decimal
) -> None:
    """The holds are over, each at its instant."""
    await session.execute(
        """
        UPDATE wallet_holds h SET status = $2, ended_at = e.at, captured = $4
        FROM unnest($1::uuid[], $3::timestamptz[]) AS e(id, at) WHERE h.id = e.id AND h.status = 'active'
        """,
        hold_ids, status, ended_at, captured,
    )  # fmt: skip


async def expired_holds(session: Session, account_nos: Sequence[int], until: datetime) -> list[Record]:
    """Active holds of these accounts that have expired by `until`: (id, expires_at), in order."""
    return await session.fetch(
        """
        SELECT id, expires_at FROM wallet_holds
        WHERE account_no = ANY($1::bigint[]) AND status = 'active' AND expires_at <= $2 ORDER BY expires_at, id
        """,
        account_nos, until,
    )  # fmt: skip


_ENDING = """
SELECT g.id, g.wallet_id, g.account_no, a.id AS account_id, g.entity_id, g.currency, g.kind, g.remaining - g.held AS amount,
       greatest(g.ends_at, (SELECT max(t.occurred_at) FROM wallet_transactions t WHERE t.grant_id = g.id)) AS at
FROM wallet_grants g JOIN accounts a ON a.no = g.account_no
"""


async def ending(session: Session, account_nos: Sequence[int], until: datetime) -> list[Record]:
    """Grants of these accounts at their end by `until`, of which something is left that no hold reserves, in order of their ends.

    A bill that fell due before a grant's end may still use it, however late it is made: such a grant waits for the bill. Each ends at
    its end, or when something was last given back to it.
    """
    return await session.fetch(
        _ENDING
        + """
        WHERE g.account_no = ANY($1::bigint[]) AND g.ends_at <= $2 AND g.remaining > 0 AND g.remaining > g.held
          AND (a.next_billing_at IS NULL OR a.next_billing_at >= g.ends_at OR a.status = 'closed')
        ORDER BY g.ends_at, g.id
        """,
        account_nos, until,
    )  # fmt: skip


async def left_in(session: Session, wallet_ids: Sequence[UUID]) -> list[Record]:
    """As `ending`, all that is left in these wallets whatever its end."""
    return await session.fetch(
        _ENDING
        + "WHERE g.wallet_id = ANY($1::uuid[]) AND g.remaining > 0 AND g.remaining > g.held ORDER BY g.id",
        wallet_ids,
    )


async def accounts_with_ends(session: Session, until: datetime, limit: int) -> list[int]:
    """Accounts without a test clock of which a grant or a hold has ended by `until` and was not yet dealt with (ix_wallet_grants_ending,
    ix_wallet_holds_active)."""
    rows = await session.fetch(
        """
        SELECT no FROM (
            SELECT g.account_no AS no FROM wallet_grants g JOIN accounts a ON a.no = g.account_no
            WHERE g.ends_at <= $1 AND g.remaining > 0 AND g.remaining > g.held AND a.test_clock_id IS NULL
              AND (a.next_billing_at IS NULL OR a.next_billing_at >= g.ends_at OR a.status = 'closed')
            UNION
            SELECT h.account_no FROM wallet_holds h JOIN accounts a ON a.no = h.account_no
            WHERE h.status = 'active' AND h.expires_at <= $1 AND a.test_clock_id IS NULL) due
        ORDER BY no LIMIT $2
        """,
        until, limit,
    )  # fmt: skip
    return [row["no"] for row in rows]


async def accounts_of_clock(session: Session, clock_id: UUID, until: datetime) -> list[int]:
    """Accounts of a test clock of which a grant or a hold has ended by `until` and something of it is left."""
    rows = await session.fetch(
        """
        SELECT a.no FROM accounts a WHERE a.test_clock_id = $1 AND (
            EXISTS (SELECT FROM wallet_grants g WHERE g.account_no = a.no AND g.remaining > 0 AND g.ends_at <= $2)
            OR EXISTS (SELECT FROM wallets w JOIN wallet_holds h ON h.wallet_id = w.id
                       WHERE w.account_no = a.no AND h.status = 'active' AND h.expires_at <= $2))
        ORDER BY a.no
        """,
        clock_id, until,
    )  # fmt: skip
    return [row["no"] for row in rows]
