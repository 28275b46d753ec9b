"""The read side of invoices, their lines and billing records."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.invoicing.domain.draft import (
    LineKind,
    Reduction,
    Status,
    TaxShare,
    TaxTotal,
    UsageEvidence,
    earned,
)
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page, decode_uuid_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record

INVOICE = """id, number, account_no, entity_id, status, currency, period_start, period_end, issue_date, due_date, subtotal, tax, total,
    amount_paid, discount, granted, included_tax, credit_applied, wallet_applied, amount_noted, amount_offset, amount_due, taxes, bill_to, notes, run_id, finalized_at, paid_at, voided_at, revision, created_at, updated_at"""
LINE = """invoice_id, position, account_no, kind, description, quantity, unit, amount, trim_scale(exact) AS exact, exact_cut,
    period_start, period_end, slice_start, price_key, rule, gl_code, timing, inputs, subscription_id, plan_version_id, charge_id,
    meter_id, from_batch, to_batch, event_count, checksum, taxes, discount, granted, reductions, corrects_invoice_id, corrects_position,
    revision, voided"""


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """A stored invoice. Instants named after states are business time; `created_at` and `updated_at` are system time."""

    id: UUID
    number: str | None
    account_no: int
    entity_id: int
    status: Status
    currency: str
    period_start: datetime
    period_end: datetime
    issue_date: date | None
    due_date: date | None
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    amount_paid: Decimal
    discount: Decimal
    granted: Decimal
    included_tax: Decimal
    credit_applied: Decimal
    wallet_applied: Decimal
    amount_noted: Decimal  # by credit notes, of which
    amount_offset: Decimal  # lowered what was still owed
    amount_due: Decimal
    taxes: tuple[TaxTotal, ...]
    bill_to: dict[str, Any] | None
    notes: dict[str, Any]
    run_id: UUID | None
    finalized_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def owed(self) -> Decimal:
        """What is still to be paid; nothing on drafts and voids."""
        return self.amount_due if self.status is Status.FINALIZED else Decimal(0)


@dataclass(frozen=True, slots=True)
class LineView:
    """A stored line with all that went into it: the fields of `draft.Line` and where it stands."""

    invoice_id: UUID
    position: int
    account_no: int
    kind: LineKind
    description: str
    quantity: Decimal
    unit: str
    amount: Decimal
    exact: Decimal
    exact_cut: bool
    period_start: datetime
    period_end: datetime
    slice_start: datetime
    price_key: str
    rule: str
    gl_code: str
    timing: str
    inputs: dict[str, Any]
    subscription_id: UUID | None
    plan_version_id: int | None
    charge_id: int | None
    evidence: UsageEvidence | None
    taxes: tuple[TaxShare, ...]
    discount: Decimal
    granted: Decimal
    reductions: tuple[Reduction, ...]
    corrects: tuple[UUID, int] | None
    revision: int
    voided: bool

    @property
    def earned(self) -> Decimal:
        """As `draft.Line.earned`."""
        return earned(self.amount, self.discount, self.taxes)


@dataclass(frozen=True, slots=True)
class BilledSlice:
    """What one line billed for a price: add the lines of a period to know what was billed for it so far."""

    account_no: int
    subscription_id: UUID | None
    price_key: str
    kind: LineKind
    slice_start: datetime
    period_start: datetime
    period_end: datetime
    quantity: Decimal
    amount: Decimal
    exact: Decimal
    from_batch: int | None
    to_batch: int | None
    invoice_id: UUID
    position: int
    status: Status


PartialBilled = LineView
"""What one line charged of a price in a period that is still open."""


@dataclass(frozen=True, slots=True)
class RecordView:
    """An invoice as a billing record. `shown_as` is None where the invoice was not written as a record."""

    id: UUID
    account_no: int
    entity_id: int
    status: Status
    shown_as: str | None
    number: str | None
    amount: Decimal
    currency: str
    description: str
    billing_date: date | None
    due_date: date | None
    revision: int
    created_at: datetime
    updated_at: datetime


def invoice_of(row: Record) -> InvoiceView:
    """The view in a row of `INVOICE` columns."""
    values = dict(row)
    values["status"] = Status(values["status"])
    values["taxes"] = tuple(TaxTotal(*_tax_of(tax), tax.get("note", "")) for tax in values["taxes"])
    return InvoiceView(**values)


def _tax_of(tax: Mapping[str, Any]) -> tuple[str, str, Decimal, Decimal, Decimal, bool, str]:
    return (
        tax["code"], tax["name"], Decimal(tax["rate"]), Decimal(tax["base"]), Decimal(tax["amount"]),
        tax.get("included", False), tax.get("kind", "standard"),
    )  # fmt: skip


def line_of(row: Record) -> LineView:
    """The view in a row of `LINE` columns."""
    values = dict(row)
    meter_id, start, end, count, checksum = (
        values.pop(name) for name in ("meter_id", "from_batch", "to_batch", "event_count", "checksum")
    )
    values["evidence"] = (
        None
        if meter_id is None
        else UsageEvidence(meter_id, start, end, count, int.from_bytes(checksum, "big"))
    )
    values["kind"] = LineKind(values["kind"])
    values["taxes"] = tuple(TaxShare(*_tax_of(tax)) for tax in values["taxes"])
    values["reductions"] = tuple(
        Reduction(
            each["source"],
            UUID(each["id"]),
            each["code"],
            Decimal(each["amount"]),
            None if each.get("percent") is None else Decimal(each["percent"]),
        )
        for each in values["reductions"] or ()
    )
    corrected, position = values.pop("corrects_invoice_id"), values.pop("corrects_position")
    values["corrects"] = None if corrected is None else (corrected, position)
    return LineView(**values)


async def invoice(session: ReadSession, invoice_id: UUID) -> InvoiceView | None:
    """One invoice (primary key), or None."""
    row = await session.fetchrow(f"SELECT {INVOICE} FROM invoices WHERE id = $1", invoice_id)
    return None if row is None else invoice_of(row)


async def visible(session: ReadSession, actor: Actor, invoice_id: UUID) -> InvoiceView:
    """The invoice where it is there for `actor`: a customer sees his own, once they are issued. Raises `NotFound` otherwise."""
    found = await invoice(session, invoice_id)
    if found is None or (
        actor.is_customer and (found.account_no != actor.account_no or found.number is None)
    ):
        raise NotFound
    return found


async def lines(session: ReadSession, invoice_id: UUID) -> list[LineView]:
    """An invoice's lines in order (primary key)."""
    rows = await session.fetch(
        f"SELECT {LINE} FROM invoice_lines WHERE invoice_id = $1 ORDER BY position", invoice_id
    )
    return [line_of(row) for row in rows]


async def by_ids(session: ReadSession, ids: Collection[UUID]) -> dict[UUID, InvoiceView]:
    """These invoices (primary key); unknown ones are left out."""
    rows = await session.fetch(f"SELECT {INVOICE} FROM invoices WHERE id = ANY($1::uuid[])", list(ids))
    return {row["id"]: invoice_of(row) for row in rows}


async def lines_of(session: ReadSession, ids: Collection[UUID]) -> list[LineView]:
    """The lines of these invoices in order (primary key)."""
    rows = await session.fetch(
        f"SELECT {LINE} FROM invoice_lines WHERE invoice_id = ANY($1::uuid[]) ORDER BY invoice_id, position",
        list(ids),
    )
    return [line_of(row) for row in rows]


async def invoices(
    session: ReadSession,
    *,
    limit: int,
    cursor: str | None = None,
    account_no: int | None = None,
    status: Status | None = None,
    number: str | None = None,
    currency: str | None = None,
    run_id: UUID | None = None,
    issued_only: bool = False,
) -> Page[InvoiceView]:
    """Invoices, newest first: ids are ordered by time. `issued_only` leaves out what never got a number.

    Keyset on the primary key, or on ix_invoices_account_no for one account; a number is one probe of uq_invoices_number.
    """
    wanted: dict[str, Any] = {
        "account_no =": account_no, "status =": status, "number =": number, "currency =": currency, "run_id =": run_id,
        "id <": decode_uuid_cursor(cursor),
    }  # fmt: skip
    args: list[Any] = [limit + 1]
    where = ["number IS NOT NULL"] if issued_only else ["true"]
    for test, value in wanted.items():
        if value is not None:
            args.append(value)
            where.append(f"{test} ${len(args)}")
    rows = await session.fetch(
        f"SELECT {INVOICE} FROM invoices WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT $1", *args
    )
    found = [invoice_of(row) for row in rows[:limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


async def billed_slices(
    session: ReadSession, account_nos: Iterable[int], start: datetime
) -> list[BilledSlice]:
    """Lines of these accounts, drafts included and voids left out, whose slice begins at `start` or later.

    By account and slice start (uq_invoice_lines_slice): what came before is not read.
    """
    rows = await session.fetch(
        """
        SELECT l.account_no, l.subscription_id, l.price_key, l.kind, l.slice_start, l.period_start, l.period_end, l.quantity,
               l.amount, trim_scale(l.exact) AS exact, l.from_batch, l.to_batch, l.invoice_id, l.position, i.status
        FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        WHERE l.account_no = ANY($1::bigint[]) AND l.slice_start >= $2 AND NOT l.voided
        ORDER BY l.account_no, l.slice_start, l.price_key, l.invoice_id, l.position
        """,
        list(account_nos),
        start,
    )
    return [
        BilledSlice(**{**row, "kind": LineKind(row["kind"]), "status": Status(row["status"])}) for row in rows
    ]


async def partial_billed(
    session: ReadSession, accounts: Sequence[tuple[int, datetime]]
) -> list[PartialBilled]:
    """Usage lines of each account whose slice begins at its instant or later: what bills of periods still open have charged.

    One range of uq_invoice_lines_slice per account, which holds nothing older than the open period: cost does not grow with history.
    """
    rows = await session.fetch(
        f"""
        SELECT {LINE} FROM unnest($1::bigint[], $2::timestamptz[]) AS a (no, since)
        JOIN invoice_lines l ON l.account_no = a.no AND l.slice_start >= a.since AND NOT l.voided
        WHERE l.kind IN ('usage', 'recorded')
        """,
        [no for no, _ in accounts],
        [since for _, since in accounts],
    )
    return [line_of(row) for row in rows]


COUNTS = """account_no = $1 AND meter_id = $2 AND period_end > $3 AND from_batch < $4 AND to_batch >= $4
    AND COALESCE((inputs ->> 'counted_from')::timestamptz, slice_start) <= $3
    AND (price_key NOT LIKE 'recorded:%' OR (inputs ->> 'unit_price')::numeric = $5)
    AND NOT EXISTS (SELECT FROM jsonb_each_text(inputs -> 'group') g WHERE ($6::jsonb ->> g.key) IS DISTINCT FROM g.value)
    AND NOT EXISTS (SELECT FROM jsonb_each(inputs -> 'charge_filters') f
                    WHERE NOT coalesce(f.value @> ($6::jsonb -> f.key), false))"""
"""Whether a line counts an event: its account, meter, time, batch, own price and properties are the parameters."""


async def line_covering_event(
    session: ReadSession,
    account_no: int,
    meter_id: int,
    occurred_at: datetime,
    batch_id: int,
    unit_price: Decimal | None = None,
    properties: Mapping[str, Any] | None = None,
) -> LineView | None:
    """The first line that counts an event of that meter, time, batch, own price and properties, or None while nothing does.

    The line that closes a period after partial bills counts from the period's start again, so that it also holds what came late to
    those bills; where counting begins is among its inputs, not its slice. A recorded line counts the events of its own price only.
    Two charges on one meter may both count it; the earlier line is given. A charge's filters and a line's group decide by `properties`.
    By account (uq_invoice_lines_slice).
    """
    row = await session.fetchrow(
        f"""
        SELECT {LINE} FROM invoice_lines
        WHERE {COUNTS} AND NOT voided
        ORDER BY to_batch, slice_start, invoice_id, position LIMIT 1
        """,
        account_no, meter_id, occurred_at, batch_id, unit_price, dict(properties or {}),
    )  # fmt: skip
    return None if row is None else line_of(row)


async def open_balance(session: ReadSession, account_no: int) -> dict[str, Decimal]:
    """What the account owes on finalized invoices, per currency; empty where nothing is owed (ix_invoices_open)."""
    rows = await session.fetch(
        """
        SELECT currency, sum(amount_due) AS owed FROM invoices
        WHERE account_no = $1 AND status = 'finalized' GROUP BY currency HAVING sum(amount_due) <> 0 ORDER BY currency
        """,
        account_no,
    )
    return {row["currency"]: row["owed"] for row in rows}


async def later_slices(session: ReadSession, invoice_id: UUID) -> bool:
    """Whether another invoice that is not void bills later slices of the fees, usage or recorded usage that this one bills.

    What it corrects of earlier ones does not count.

    By account and slice start (uq_invoice_lines_slice).
    """
    return bool(
        await session.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM invoice_lines v
                JOIN invoice_lines l ON l.account_no = v.account_no AND l.slice_start > v.slice_start AND NOT l.voided
                 AND l.subscription_id IS NOT DISTINCT FROM v.subscription_id AND l.invoice_id <> v.invoice_id
                 AND replace(l.kind, 'minimum', 'usage') = replace(v.kind, 'minimum', 'usage')
                WHERE v.invoice_id = $1 AND v.kind NOT IN ('manual', 'correction') AND NOT v.inputs ? 'late')
            """,
            invoice_id,
        )
    )


async def has_drafts(session: ReadSession, account_no: int) -> bool:
    """Whether something is still to be finalized or voided for the account."""
    return bool(
        await session.fetchval(
            "SELECT EXISTS (SELECT FROM invoices WHERE account_no = $1 AND status = 'draft')", account_no
        )
    )


_RECORD = """
SELECT i.id, i.account_no, i.entity_id, i.status, r.shown_as, i.number, i.total AS amount, i.currency,
       coalesce(l.description, i.number, '') AS description, coalesce(r.billing_date, i.issue_date) AS billing_date, i.due_date,
       i.revision, i.created_at, i.updated_at
FROM invoices i
LEFT JOIN billing_records r ON r.invoice_id = i.id
LEFT JOIN invoice_lines l ON l.invoice_id = i.id AND l.position = 1 AND r.invoice_id IS NOT NULL
"""


async def record(session: ReadSession, invoice_id: UUID) -> RecordView | None:
    """An invoice as a billing record (primary keys), or None."""
    row = await session.fetchrow(f"{_RECORD} WHERE i.id = $1", invoice_id)
    return None if row is None else _record_of(row)


async def history(
    session: ReadSession, account_no: int, *, limit: int, cursor: str | None = None, hide_drafts: bool = False
) -> Page[RecordView]:
    """All of an account's invoices as billing records, newest first (ix_invoices_account_no).

    `hide_drafts` leaves out what only staff should see: drafts that are not shown as pending, and voids that were never issued.
    """
    rows = await session.fetch(
        f"""{_RECORD}
        WHERE i.account_no = $1 AND ($2::uuid IS NULL OR i.id < $2)
          AND (NOT $3::boolean OR i.number IS NOT NULL OR (i.status = 'draft' AND r.shown_as = 'pending'))
        ORDER BY i.id DESC LIMIT $4
        """,
        account_no, decode_uuid_cursor(cursor), hide_drafts, limit + 1,
    )  # fmt: skip
    found: Sequence[RecordView] = [_record_of(row) for row in rows[:limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


def _record_of(row: Record) -> RecordView:
    return RecordView(**{**row, "status": Status(row["status"])})
