"""The write side of invoices: COPY for many, one statement per change of one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from tallystick.invoicing.domain.draft import ZERO, InvoiceDraft, Status
from tallystick.invoicing.queries import INVOICE as INVOICE_VIEW
from tallystick.platform.db import Record, Session

Numbering = tuple[str, str, int, int, date]
"""Number text, series, year, number in the series, issue date."""

INVOICE_COLUMNS = (
    "id", "account_no", "entity_id", "status", "number", "series", "series_year", "series_no", "currency", "period_start",
    "period_end", "issue_date", "due_date", "subtotal", "tax", "total", "amount_paid", "taxes", "bill_to", "notes", "run_id",
    "finalized_at", "paid_at", "discount", "granted", "included_tax", "credit_applied", "wallet_applied",
)  # fmt: skip
LINE_COLUMNS = (
    "invoice_id", "position", "account_no", "kind", "description", "quantity", "unit", "amount", "exact", "exact_cut",
    "period_start", "period_end", "slice_start", "price_key", "rule", "gl_code", "timing", "inputs", "subscription_id",
    "plan_version_id", "charge_id", "meter_id", "from_batch", "to_batch", "event_count", "checksum", "taxes", "discount", "granted",
    "reductions", "corrects_invoice_id", "corrects_position", "revision",
)  # fmt: skip


async def copy_lines(session: Session, ids: Sequence[UUID], drafts: Sequence[InvoiceDraft]) -> None:
    """Adds every line of every draft. A unique violation on uq_invoice_lines_slice says that a slice was billed before."""
    await session.copy("invoice_lines", LINE_COLUMNS, _line_rows(ids, drafts))


async def copy_invoices(session: Session, rows: Iterable[Sequence[Any]]) -> None:
    """Adds invoices as `invoice_row` makes them, after their lines."""
    await session.copy("invoices", INVOICE_COLUMNS, rows)


_NO_EVIDENCE = (None, None, None, None, None)
_NO_REDUCTION = (ZERO, ZERO, None, None, None, 0)


def _line_rows(ids: Sequence[UUID], drafts: Sequence[InvoiceDraft]) -> Iterator[tuple[Any, ...]]:
    # Flat on purpose: it runs once per line of every billing run.
    for invoice_id, draft in zip(ids, drafts, strict=True):
        account_no = draft.account_no
        for position, line in enumerate(draft.lines, 1):
            seen = line.evidence
            evidence = _NO_EVIDENCE if seen is None else (
                seen.meter_id, seen.from_batch, seen.to_batch, seen.count, seen.checksum.to_bytes(16, "big"),
            )  # fmt: skip
            yield (
                invoice_id, position, account_no, line.kind, line.description, line.quantity, line.unit, line.amount, line.exact,
                line.exact_cut, line.period_start, line.period_end, line.slice_start, line.price_key, line.rule, line.gl_code,
                line.timing, line.inputs, line.subscription_id, line.plan_version_id, line.charge_id, *evidence, line.taxes,
                *(_NO_REDUCTION if not line.reductions and line.corrects is None else (
                    line.discount, line.granted, line.reductions or None, *(line.corrects or (None, None)), line.revision,
                )),
            )  # fmt: skip


def invoice_row(
    invoice_id: UUID,
    draft: InvoiceDraft,
    status: Status,
    numbering: Numbering | None,
    due_date: date | None,
    bill_to: Mapping[str, Any] | None,
    run_id: UUID | None,
    now: datetime,
) -> tuple[Any, ...]:
    """An invoice in the order of `INVOICE_COLUMNS`; issued, and paid, at `now` where its status says so."""
    number, series, year, no, issue_date = numbering or (None, None, None, None, None)
    issued, paid = status is not Status.DRAFT, status is Status.PAID
    return (
        invoice_id, draft.account_no, draft.entity_id, status, number, series, year, no, draft.currency, draft.period_start,
        draft.period_end, issue_date, due_date, draft.subtotal, draft.tax, draft.total, draft.amount_due if paid else 0,
        draft.tax_totals, bill_to, draft.notes, run_id, now if issued else None, now if paid else None, draft.discount,
        draft.granted, draft.included_tax, draft.credit_applied, draft.wallet_applied,
    )  # fmt: skip


async def take_numbers(
    session: Session, entity_id: int, series: str, year: int, count: int, day: date
) -> tuple[int, date]:
    """Takes `count` numbers at once: gives the first of them and the date they carry, never before the series' last.

    Everybody who finalizes for this entity waits here until we commit: take this lock last.
    """
    row = await session.fetchrow(
        """
        INSERT INTO number_series AS s (entity_id, series, year, last_no, last_issue_date) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (entity_id, series, year) DO UPDATE
        SET last_no = s.last_no + $4, last_issue_date = greatest(s.last_issue_date, $5)
        RETURNING last_no, last_issue_date
        """,
        entity_id, series, year, count, day,
    )  # fmt: skip
    assert row is not None
    return row["last_no"] - count + 1, row["last_issue_date"]


async def lock_invoice(session: Session, invoice_id: UUID) -> Record | None:
    """The invoice's row, ours until the transaction ends (primary key)."""
    return await session.fetchrow(f"SELECT {INVOICE_VIEW} FROM invoices WHERE id = $1 FOR UPDATE", invoice_id)  # noqa: S608


async def finalize(session: Session, invoice_id: UUID, values: Sequence[Any]) -> None:
    """Numbers and freezes a draft; `values`: status, number, series, year, no, issue date, due date, bill_to, business now.

    With status `paid` it is paid at the same instant.
    """
    await session.execute(
        """
        UPDATE invoices SET status = $2::text, number = $3, series = $4, series_year = $5, series_no = $6, issue_date = $7, due_date = $8,
            bill_to = $9, finalized_at = $10::timestamptz, revision = revision + 1, paid_at = CASE WHEN $2::text = 'paid' THEN $10::timestamptz END,
            amount_paid = CASE WHEN $2::text = 'paid' THEN amount_due ELSE 0 END
        WHERE id = $1
        """,
        invoice_id,
        *values,
    )


async def mark_paid(session: Session, invoice_id: UUID, now: datetime) -> None:
    """Nothing is owed on it any more."""
    await session.execute(
        "UPDATE invoices SET status = 'paid', amount_paid = amount_paid + amount_due, paid_at = $2, revision = revision + 1 WHERE id = $1",
        invoice_id,
        now,
    )


async def void(session: Session, invoice_id: UUID, now: datetime) -> None:
    """The invoice charges nothing any more, and its slices may be billed again: one statement for both."""
    await session.execute(
        """
        WITH lines AS (UPDATE invoice_lines SET voided = true WHERE invoice_id = $1)
        UPDATE invoices SET status = 'void', voided_at = $2, revision = revision + 1 WHERE id = $1
        """,
        invoice_id,
        now,
    )


async def insert_record(session: Session, invoice_id: UUID, billing_date: date, shown_as: str) -> None:
    """Makes an invoice a billing record."""
    await session.execute(
        "INSERT INTO billing_records (invoice_id, billing_date, shown_as) VALUES ($1, $2, $3)",
        invoice_id,
        billing_date,
        shown_as,
    )


async def rewrite_record(session: Session, invoice_id: UUID, values: Sequence[Any]) -> None:
    """A record whose invoice is a draft gets other content, its one line with it; the database refuses it on an issued one.

    `values`: amount, description, service period start and end, due date, billing date, shown as, inputs.
    """
    await session.execute(
        """
        WITH line AS (
            UPDATE invoice_lines SET amount = $2, exact = $2, description = $3, period_start = $4, period_end = $5, slice_start = $4,
                inputs = $9
            WHERE invoice_id = $1
        ), record AS (UPDATE billing_records SET billing_date = $7, shown_as = $8 WHERE invoice_id = $1)
        UPDATE invoices SET subtotal = $2, total = $2, tax = 0, period_start = $4, period_end = $5, due_date = $6,
            revision = revision + 1
        WHERE id = $1
        """,
        invoice_id,
        *values,
    )
