"""Read side of billing."""

from datetime import datetime
from uuid import UUID

from tallystick.billing.domain.runs import ClockProgress, Invoiced, MonthTotal, Parked, Run
from tallystick.kernel.pagination import Page, decode_uuid_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record


def to_run(row: Record, parked: tuple[Parked, ...] = ()) -> Run:
    """A row of billing_runs as it is shown."""
    return Run(
        id=row["id"],
        status=row["status"],
        phase=row["phase"],
        as_of=row["as_of"],
        account_no=row["account_no"],
        account_id=row["account_id"],
        accounts_due=row["accounts_due"],
        accounts_done=row["accounts_done"],
        invoices=row["invoices"],
        parked=row["parked"],
        request_id=row["request_id"],
        error=row["error"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        parked_accounts=parked,
    )


async def run(session: ReadSession, run_id: UUID) -> Run | None:
    """One run with the accounts it parked (at most 100 of them are named)."""
    row = await session.fetchrow(
        "SELECT r.*, a.id AS account_id FROM billing_runs r LEFT JOIN accounts a ON a.no = r.account_no WHERE r.id = $1",
        run_id,
    )
    if row is None:
        return None
    parked = await session.fetch(
        """
        SELECT a.id, p.code, p.reason FROM billing_parked p JOIN accounts a ON a.no = p.account_no
        WHERE p.run_id = $1 ORDER BY p.account_no LIMIT 100
        """,
        run_id,
    ) if row["parked"] else []  # fmt: skip
    return to_run(row, tuple(Parked(each["id"], each["code"], each["reason"]) for each in parked))


async def runs(session: ReadSession, limit: int, cursor: str | None) -> Page[Run]:
    """Runs, the newest first."""
    before = decode_uuid_cursor(cursor)
    rows = await session.fetch(
        """
        SELECT r.*, a.id AS account_id FROM billing_runs r LEFT JOIN accounts a ON a.no = r.account_no
        WHERE $1::uuid IS NULL OR r.id < $1 ORDER BY r.id DESC LIMIT $2
        """,
        before, limit + 1,
    )  # fmt: skip
    shown = [to_run(row) for row in rows[:limit]]
    return Page(shown, encode_cursor(str(shown[-1].id)) if len(rows) > limit else None)


async def due_count(session: ReadSession, as_of: datetime, account_no: int | None) -> int:
    """How many accounts a run at `as_of` will find."""
    return int(
        await session.fetchval(
            """
            SELECT count(*) FROM accounts a
            WHERE a.next_billing_at <= $1
              AND (a.no = $2 OR ($2::bigint IS NULL AND a.test_clock_id IS NULL
                                 AND NOT EXISTS (SELECT FROM billing_parked p WHERE p.account_no = a.no)))
            """,
            as_of, account_no,
        )
    )  # fmt: skip


async def clock_progress(session: ReadSession, clock_id: UUID, target: datetime | None) -> ClockProgress:
    """How many accounts a test clock has, how many owe a bill before its target, and which are parked (ix_accounts_test_clock_id)."""
    counts = await session.fetchrow(
        """
        SELECT count(*) AS accounts, count(p.account_no) AS parked,
               count(*) FILTER (WHERE a.next_billing_at <= $2 AND p.account_no IS NULL) AS due
        FROM accounts a LEFT JOIN billing_parked p ON p.account_no = a.no WHERE a.test_clock_id = $1 AND a.status = 'open'
        """,
        clock_id, target,
    )  # fmt: skip
    assert counts is not None, "a count is always one row"
    parked = await session.fetch(
        """
        SELECT a.id, p.code, p.reason FROM billing_parked p JOIN accounts a ON a.no = p.account_no
        WHERE a.test_clock_id = $1 AND a.status = 'open' ORDER BY a.no LIMIT 100
        """,
        clock_id,
    ) if counts["parked"] else []  # fmt: skip
    named = tuple(Parked(each["id"], each["code"], each["reason"]) for each in parked)
    return ClockProgress(counts["accounts"], counts["due"], counts["parked"], named)


async def clock_months(session: ReadSession, clock_id: UUID) -> list[MonthTotal]:
    """What the accounts on a test clock were invoiced for, by month of issue and currency."""
    rows = await session.fetch(
        """
        SELECT to_char(i.issue_date, 'YYYY-MM') AS month, i.currency, count(*) AS invoices, sum(i.subtotal) AS net, sum(i.tax) AS tax,
               sum(i.total) AS total
        FROM accounts a JOIN invoices i ON i.account_no = a.no
        WHERE a.test_clock_id = $1 AND i.status IN ('finalized', 'paid') GROUP BY 1, 2 ORDER BY 1, 2
        """,
        clock_id,
    )
    return [MonthTotal(**dict(row)) for row in rows]


async def clock_invoiced(session: ReadSession, clock_id: UUID) -> list[Invoiced]:
    """What each account on a test clock that has an external id was invoiced for, by currency."""
    rows = await session.fetch(
        """
        SELECT a.external_id, i.currency, count(*) AS invoices, sum(i.total) AS total
        FROM accounts a JOIN invoices i ON i.account_no = a.no
        WHERE a.test_clock_id = $1 AND a.external_id IS NOT NULL AND i.status IN ('finalized', 'paid') GROUP BY 1, 2 ORDER BY 1, 2
        """,
        clock_id,
    )
    return [Invoiced(**dict(row)) for row in rows]
