"""Write side of billing: runs, claims and parking."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.billing.domain.runs import Run
from tallystick.billing.queries import to_run
from tallystick.platform.db import Session


async def insert_run(
    session: Session,
    run_id: UUID,
    account_no: int | None,
    as_of: datetime,
    requested_by: str,
    request_id: str,
) -> None:
    """A run that waits to be claimed."""
    await session.execute(
        "INSERT INTO billing_runs (id, account_no, as_of, requested_by, request_id) VALUES ($1, $2, $3, $4, $5)",
        run_id, account_no, as_of, requested_by, request_id,
    )  # fmt: skip


async def claim_run(session: Session, lease_seconds: int) -> Run | None:
    """The oldest run that waits, or whose claimer has been silent for its lease (ix_billing_runs_open)."""
    row = await session.fetchrow(
        """
        UPDATE billing_runs SET status = 'running', claimed_at = now(), phase = 'starting'
        WHERE id = (SELECT id FROM billing_runs
                    WHERE status = 'pending'
                       OR (status = 'running' AND claimed_at < now() - make_interval(secs => $1))
                    ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING *, NULL::text AS account_id
        """,
        lease_seconds,
    )
    return to_run(row) if row else None


async def begin_run(session: Session, run_id: UUID, due: int) -> None:
    """Notes the start and how many accounts are due."""
    await session.execute(
        """
        UPDATE billing_runs SET status = 'running', phase = 'billing', started_at = coalesce(started_at, now()), claimed_at = now(),
               accounts_due = accounts_done + $2
        WHERE id = $1
        """,
        run_id, due,
    )  # fmt: skip


async def count(session: Session, run_id: UUID, accounts: int, invoices: int, parked: int) -> None:
    """Moves the counters with the page they count, and renews the lease."""
    await session.execute(
        """
        UPDATE billing_runs SET accounts_done = accounts_done + $2, invoices = invoices + $3, parked = parked + $4,
               claimed_at = now()
        WHERE id = $1
        """,
        run_id, accounts, invoices, parked,
    )  # fmt: skip


async def finish_run(session: Session, run_id: UUID, error: str | None) -> None:
    """The end, good or bad."""
    await session.execute(
        """
        UPDATE billing_runs SET status = CASE WHEN $2::text IS NULL THEN 'done' ELSE 'failed' END, phase = 'finished', error = $2,
               finished_at = now()
        WHERE id = $1
        """,
        run_id, error,
    )  # fmt: skip


async def claim_due(session: Session, as_of: datetime, limit: int) -> list[int]:
    """Locks a page of accounts that are due, leaving those that others hold, that are parked or live on a test clock.

    Walks ix_accounts_next_billing_at from its earliest entry; billed accounts leave the front of that index.
    """
    rows = await session.fetch(
        """
        SELECT a.no FROM accounts a
        WHERE a.next_billing_at <= $1 AND a.test_clock_id IS NULL
          AND NOT EXISTS (SELECT FROM billing_parked p WHERE p.account_no = a.no)
        ORDER BY a.next_billing_at, a.no LIMIT $2
        FOR UPDATE OF a SKIP LOCKED
        """,
        as_of, limit,
    )  # fmt: skip
    return [row["no"] for row in rows]


async def lock_due_account(session: Session, account_no: int, as_of: datetime) -> list[int]:
    """Locks one account, waiting for whoever holds it; empty where nothing of it is due."""
    rows = await session.fetch(
        "SELECT no, next_billing_at FROM accounts WHERE no = $1 FOR UPDATE", account_no
    )
    return [
        row["no"] for row in rows if row["next_billing_at"] is not None and row["next_billing_at"] <= as_of
    ]


async def lock_account(session: Session, account_no: int) -> None:
    """The account's lock, under which all its bills are made."""
    await session.fetchval("SELECT no FROM accounts WHERE no = $1 FOR UPDATE", account_no)


async def park(session: Session, rows: Sequence[tuple[int, UUID | None, str, str]]) -> None:
    """Sets accounts aside with the reason; the latest reason counts."""
    await session.executemany(
        """
        INSERT INTO billing_parked (account_no, run_id, code, reason) VALUES ($1, $2, $3, $4)
        ON CONFLICT (account_no) DO UPDATE SET run_id = excluded.run_id, code = excluded.code, reason = excluded.reason
        """,
        rows,
    )


async def unpark(session: Session, account_no: int) -> None:
    """Lets the account into runs again."""
    await session.execute("DELETE FROM billing_parked WHERE account_no = $1", account_no)


async def claim_on_clock(
    session: Session, clock_id: UUID, until: datetime, limit: int
) -> list[tuple[int, datetime]]:
    """Locks the next accounts of a test clock that are due, with their due instants, the earliest first; parked ones wait for someone.

    Waits for whoever holds one of them: what is due first happens first.
    """
    rows = await session.fetch(
        """
        SELECT a.no, a.next_billing_at FROM accounts a
        WHERE a.test_clock_id = $1 AND a.status = 'open' AND a.next_billing_at <= $2
          AND NOT EXISTS (SELECT FROM billing_parked p WHERE p.account_no = a.no)
        ORDER BY a.next_billing_at, a.no LIMIT $3 FOR UPDATE OF a
        """,
        clock_id, until, limit,
    )  # fmt: skip
    return [(row["no"], row["next_billing_at"]) for row in rows]
