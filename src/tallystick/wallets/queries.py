"""The read side of wallets: balances, grants, holds, history, and what bills may draw on."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.kernel.actor import Actor
from tallystick.kernel.pagination import Page, decode_cursor, decode_uuid_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record
from tallystick.wallets.domain import Drawn, Grant, Kind, Scope, WalletNotFound

# Grants of a wallet come from ix_wallet_grants_wallet_id, its latest transaction from ix_wallet_transactions_wallet_id.
# The revision grows with each change of the wallet and with each transaction.
_WALLET = """
SELECT w.id, w.account_no, a.id AS account_id, w.entity_id, w.currency, w.name, w.priority,
       CASE WHEN w.terminated_at IS NOT NULL THEN 'terminated' WHEN w.expires_at <= n.now THEN 'expired' ELSE 'active' END AS status,
       w.meters, w.plans, w.expires_at, w.opened_at, w.terminated_at, g.balance, g.paid_balance, g.granted_balance, g.held,
       g.available, n.now AS as_of,
       w.revision + coalesce((SELECT max(t.id) FROM wallet_transactions t WHERE t.wallet_id = w.id), 0) AS revision,
       w.created_at, w.updated_at
FROM wallets w
JOIN accounts a ON a.no = w.account_no
LEFT JOIN test_clocks c ON c.id = a.test_clock_id
CROSS JOIN LATERAL (SELECT coalesce(c.frozen_time, $1::timestamptz) AS now) n
CROSS JOIN LATERAL (
    SELECT coalesce(sum(remaining), 0) AS balance, coalesce(sum(remaining) FILTER (WHERE kind = 'paid'), 0) AS paid_balance,
           coalesce(sum(remaining) FILTER (WHERE kind = 'granted'), 0) AS granted_balance, coalesce(sum(held), 0) AS held,
           coalesce(sum(remaining - held) FILTER (WHERE ends_at IS NULL OR ends_at > n.now), 0) AS available
    FROM wallet_grants WHERE wallet_id = w.id AND remaining > 0) g
"""
_GRANT = """
SELECT g.id, g.wallet_id, g.kind, g.description, g.currency, g.amount, g.price, g.remaining, g.held,
       coalesce(g.priority, w.priority) AS priority, coalesce(g.meters, w.meters) AS meters, coalesce(g.plans, w.plans) AS plans,
       g.ends_at AS expires_at, g.granted_at, g.created_at
FROM wallet_grants g JOIN wallets w ON w.id = g.wallet_id
"""
_HOLD = """
SELECT id, wallet_id, amount, captured, status, description, held_at, expires_at, ended_at, created_at, updated_at FROM wallet_holds
"""


@dataclass(frozen=True, slots=True)
class WalletView:
    """A wallet at its account's present, `as_of`. `balance` is all that remains in it, `available` what is neither held nor at its end."""

    id: UUID
    account_no: int
    account_id: str
    entity_id: int
    currency: str
    name: str
    priority: int
    status: str
    meters: list[str]
    plans: list[str]
    expires_at: datetime | None
    opened_at: datetime
    terminated_at: datetime | None
    balance: Decimal
    paid_balance: Decimal
    granted_balance: Decimal
    held: Decimal
    available: Decimal
    as_of: datetime
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class GrantView:
    """A top-up and what is left of it; priority, scope and expiry as they count, the wallet's where it has none of its own."""

    id: UUID
    wallet_id: UUID
    kind: str
    description: str
    currency: str
    amount: Decimal
    price: Decimal
    remaining: Decimal
    held: Decimal
    priority: int
    meters: list[str]
    plans: list[str]
    expires_at: datetime | None
    granted_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class HoldView:
    """A reserved part of a wallet."""

    id: UUID
    wallet_id: UUID
    amount: Decimal
    captured: Decimal
    status: str
    description: str
    held_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PaidLine:
    """A line of an invoice (positions count from 1), and what of it was paid or given back."""

    position: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TransactionView:
    """Something that happened to a grant: `amount` changed what remains of it, to `remaining`; `held` changed what is reserved."""

    id: int
    wallet_id: UUID
    grant_id: UUID
    grant_kind: str
    kind: str
    amount: Decimal
    held: Decimal
    remaining: Decimal
    invoice_id: UUID | None
    lines: list[PaidLine]
    hold_id: UUID | None
    occurred_at: datetime
    created_at: datetime


async def wallet(session: ReadSession, wallet_id: UUID, system_now: datetime) -> WalletView:
    """A wallet at its account's present: its test clock's, else `system_now`. Raises `WalletNotFound`."""
    row = await session.fetchrow(f"{_WALLET} WHERE w.id = $2", system_now, wallet_id)
    if row is None:
        raise WalletNotFound
    return WalletView(**row)


async def visible(session: ReadSession, actor: Actor, wallet_id: UUID, system_now: datetime) -> WalletView:
    """As `wallet`; a customer's own only. Raises `WalletNotFound` otherwise."""
    found = await wallet(session, wallet_id, system_now)
    if actor.is_customer and found.account_no != actor.account_no:
        raise WalletNotFound
    return found


async def wallets(
    session: ReadSession,
    system_now: datetime,
    *,
    limit: int,
    cursor: str | None = None,
    account_no: int | None = None,
    currency: str | None = None,
    status: str | None = None,
) -> Page[WalletView]:
    """Wallets, newest first: ids are ordered by time. Of one account by ix_wallets_account_no."""
    rows = await session.fetch(
        f"""
        SELECT * FROM ({_WALLET} WHERE ($2::bigint IS NULL OR w.account_no = $2) AND ($3::text IS NULL OR w.currency = $3)
                       AND ($5::uuid IS NULL OR w.id < $5)) v
        WHERE $4::text IS NULL OR status = $4 ORDER BY id DESC LIMIT $6
        """,
        system_now, account_no, currency, status, decode_uuid_cursor(cursor), limit + 1,
    )  # fmt: skip
    found = [WalletView(**row) for row in rows[:limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


async def grant(session: ReadSession, grant_id: UUID) -> GrantView:
    """One top-up, which is there (primary key)."""
    row = await session.fetchrow(f"{_GRANT} WHERE g.id = $1", grant_id)
    assert row is not None, "grants are never deleted"
    return GrantView(**row)


async def grants(
    session: ReadSession, wallet_id: UUID, *, limit: int, cursor: str | None = None
) -> Page[GrantView]:
    """A wallet's top-ups, newest first (ix_wallet_grants_wallet_id)."""
    rows = await session.fetch(
        f"{_GRANT} WHERE g.wallet_id = $1 AND ($2::uuid IS NULL OR g.id < $2) ORDER BY g.id DESC LIMIT $3",
        wallet_id, decode_uuid_cursor(cursor), limit + 1,
    )  # fmt: skip
    found = [GrantView(**row) for row in rows[:limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


async def transactions(
    session: ReadSession, wallet_id: UUID, *, limit: int, cursor: str | None = None, kind: str | None = None
) -> Page[TransactionView]:
    """What happened to a wallet, newest first (ix_wallet_transactions_wallet_id)."""
    before = decode_cursor(cursor, int)
    rows = await session.fetch(
        """
        SELECT t.id, t.wallet_id, t.grant_id, g.kind AS grant_kind, t.kind, t.amount, t.held, t.remaining, t.invoice_id,
               CASE WHEN t.kind = 'draw' THEN t.facts->'shares' WHEN t.position IS NOT NULL
                    THEN jsonb_build_array(jsonb_build_array(t.position, abs(t.amount))) ELSE '[]' END AS lines,
               t.hold_id, t.occurred_at, t.created_at
        FROM wallet_transactions t JOIN wallet_grants g ON g.id = t.grant_id
        WHERE t.wallet_id = $1 AND ($2::bigint IS NULL OR t.id < $2) AND ($3::text IS NULL OR t.kind = $3)
        ORDER BY t.id DESC LIMIT $4
        """,
        wallet_id, before[0] if before else None, kind, limit + 1,
    )  # fmt: skip
    found = [
        TransactionView(
            **{**row, "lines": [PaidLine(position, Decimal(amount)) for position, amount in row["lines"]]}
        )
        for row in rows[:limit]
    ]
    return Page(found, encode_cursor(found[-1].id) if len(rows) > limit else None)


async def hold(session: ReadSession, wallet_id: UUID, hold_id: UUID) -> HoldView | None:
    """One hold of the wallet (primary key), or None."""
    row = await session.fetchrow(f"{_HOLD} WHERE id = $1 AND wallet_id = $2", hold_id, wallet_id)
    return None if row is None else HoldView(**row)


async def holds(
    session: ReadSession, wallet_id: UUID, *, limit: int, cursor: str | None = None, status: str | None = None
) -> Page[HoldView]:
    """A wallet's holds, newest first (ix_wallet_holds_wallet_id)."""
    rows = await session.fetch(
        f"""{_HOLD} WHERE wallet_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR status = $3)
        ORDER BY id DESC LIMIT $4""",
        wallet_id, decode_uuid_cursor(cursor), status, limit + 1,
    )  # fmt: skip
    found = [HoldView(**row) for row in rows[:limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


_FREE = """
SELECT g.account_no, g.id, g.wallet_id, w.name, g.kind, g.remaining - g.held AS free, coalesce(g.priority, w.priority) AS priority,
       g.ends_at, g.granted_at, g.currency, coalesce(g.meters, w.meters) AS meters, coalesce(g.plans, w.plans) AS plans
FROM wallet_grants g JOIN wallets w ON w.id = g.wallet_id
"""


def _free(row: Record) -> Grant:
    return Grant(
        row["id"], row["wallet_id"], row["name"], Kind(row["kind"]), row["free"], row["priority"], row["ends_at"],
        row["granted_at"], row["currency"], Scope(tuple(row["meters"]), tuple(row["plans"])),
    )  # fmt: skip


async def free(session: ReadSession, account_nos: Iterable[int]) -> dict[int, tuple[Grant, ...]]:
    """What these accounts may draw on, one statement for any number of them (ix_wallet_grants_left: nothing is read of who has none).

    Whether a grant is at its end, whoever uses it asks (`Grant.usable`).
    """
    rows = await session.fetch(
        f"{_FREE} WHERE g.account_no = ANY($1::bigint[]) AND g.remaining > 0 AND g.remaining > g.held",
        list(account_nos),
    )
    found: dict[int, list[Grant]] = defaultdict(list)
    for row in rows:
        found[row["account_no"]].append(_free(row))
    return {no: tuple(grants) for no, grants in found.items()}


async def free_in(session: ReadSession, wallet_id: UUID) -> list[Grant]:
    """As `free`, of one wallet."""
    rows = await session.fetch(
        f"{_FREE} WHERE g.wallet_id = $1 AND g.remaining > 0 AND g.remaining > g.held", wallet_id
    )
    return [_free(row) for row in rows]


async def draws(session: ReadSession, invoice_id: UUID) -> list[Drawn]:
    """Which grant paid which line of an invoice, in the order it was drawn (ix_wallet_transactions_invoice_id); of a void one too."""
    rows = await session.fetch(
        """
        SELECT t.wallet_id, w.name AS wallet, t.grant_id, g.kind, (s.share->>0)::integer AS line, (s.share->>1)::numeric AS amount, t.facts
        FROM wallet_transactions t JOIN wallet_grants g ON g.id = t.grant_id JOIN wallets w ON w.id = t.wallet_id
        CROSS JOIN LATERAL jsonb_array_elements(t.facts->'shares') WITH ORDINALITY AS s(share, ord)
        WHERE t.invoice_id = $1 AND t.kind = 'draw' ORDER BY t.id, s.ord
        """,
        invoice_id,
    )
    return [Drawn(**row) for row in rows]


async def draws_misstated(session: ReadSession, invoice_id: UUID) -> bool:
    """Whether some draw of an invoice took another amount than its shares of the lines add up to (ix_wallet_transactions_invoice_id)."""
    return bool(
        await session.fetchval(
            """
            SELECT EXISTS (SELECT FROM wallet_transactions t WHERE t.invoice_id = $1 AND t.kind = 'draw' AND -t.amount IS DISTINCT FROM
                (SELECT sum((s->>1)::numeric) FROM jsonb_array_elements(t.facts->'shares') s))
            """,
            invoice_id,
        )
    )


async def money_left(session: ReadSession, account_no: int) -> dict[str, Decimal]:
    """Per currency, what is paid for and not used, and what is held of grants, in the account's wallets; empty where there is none."""
    rows = await session.fetch(
        """
        SELECT currency, sum(CASE WHEN kind = 'paid' THEN remaining ELSE held END) AS amount FROM wallet_grants
        WHERE account_no = $1 AND remaining > 0 GROUP BY currency
        HAVING sum(CASE WHEN kind = 'paid' THEN remaining ELSE held END) <> 0 ORDER BY currency
        """,
        account_no,
    )
    return {row["currency"]: row["amount"] for row in rows}


async def next_end(
    session: ReadSession, clock_id: UUID, present: datetime, until: datetime
) -> datetime | None:
    """When, not after `until`, the next grant or hold of a test clock's accounts ends; None where none does.

    A grant of an account that should have been billed by `present` and was not waits for that bill (see `repository.ending`).
    """
    at: datetime | None = await session.fetchval(
        """
        SELECT least(
            (SELECT min(g.ends_at) FROM accounts a JOIN wallet_grants g ON g.account_no = a.no
             WHERE a.test_clock_id = $1 AND g.ends_at <= $3 AND g.remaining > 0 AND g.remaining > g.held
               AND (a.next_billing_at IS NULL OR a.next_billing_at > $2 OR a.next_billing_at >= g.ends_at)),
            (SELECT min(h.expires_at) FROM accounts a JOIN wallets w ON w.account_no = a.no JOIN wallet_holds h ON h.wallet_id = w.id
             WHERE a.test_clock_id = $1 AND h.status = 'active' AND h.expires_at <= $3))
        """,
        clock_id, present, until,
    )  # fmt: skip
    return at
