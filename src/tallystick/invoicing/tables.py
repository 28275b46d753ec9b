"""Declared schema of invoicing. Lines refer to their invoice without a foreign key, because they are written first: the number's
counter is the last lock taken, and the invoice's row carries the number. A trigger and an invariant hold the two together."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID as Uuid

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Computed,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.invoicing.coupons.tables import AppliedCoupon, Coupon, CouponUse
from tallystick.invoicing.notes.tables import CreditNote, CreditNoteLine
from tallystick.platform.tables import NOW, Base

__all__ = [
    "AppliedCoupon", "BillingRecord", "Coupon", "CouponUse", "CreditNote", "CreditNoteLine", "Invoice", "InvoiceLine", "NumberSeries",
]  # fmt: skip


class NumberSeries(Base):
    """The counter of an entity's documents of one series and year: the last lock a finalising transaction takes."""

    __tablename__ = "number_series"
    __table_args__ = (CheckConstraint("last_no > 0", name="last_no"),)

    entity_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    last_no: Mapped[int]
    last_issue_date: Mapped[date] = mapped_column(Date)


class Invoice(Base):
    """An invoice. Once finalized only status, payment and revision move; a trigger refuses all else."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("number"),
        Index("ix_invoices_account_no", "account_no", "id"),
        Index("ix_invoices_open", "account_no", postgresql_where=text("status = 'finalized'")),
        Index("ix_invoices_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
        CheckConstraint("status IN ('draft', 'finalized', 'paid', 'void')", name="status"),
        CheckConstraint("(finalized_at IS NULL) = (number IS NULL)", name="number"),
        CheckConstraint(
            "num_nulls(number, series, series_year, series_no, issue_date) IN (0, 5)", name="series"
        ),
        CheckConstraint("(status = 'draft') <= (finalized_at IS NULL)", name="draft"),
        CheckConstraint("(status IN ('finalized', 'paid')) <= (finalized_at IS NOT NULL)", name="finalized"),
        CheckConstraint("(status = 'paid') = (paid_at IS NOT NULL)", name="paid"),
        CheckConstraint("(status = 'void') = (voided_at IS NOT NULL)", name="void"),
        CheckConstraint("(status = 'paid') <= (amount_due = 0)", name="paid_in_full"),
        CheckConstraint("subtotal > -1e15 AND subtotal < 1e15", name="subtotal"),
        CheckConstraint("tax > -1e15 AND tax < 1e15", name="tax"),
        CheckConstraint(
            "total >= 0 AND total < 1e15 AND total = subtotal - discount - granted - included_tax + tax",
            name="total",
        ),
        CheckConstraint(
            "discount > -1e15 AND discount < 1e15 AND granted > -1e15 AND granted < 1e15 AND included_tax > -1e15 AND included_tax < 1e15",
            name="reductions",
        ),
        CheckConstraint(
            "amount_paid >= 0 AND amount_paid < 1e15 AND credit_applied >= 0 AND credit_applied < 1e15"
            " AND wallet_applied >= 0 AND wallet_applied < 1e15 AND amount_due >= 0 AND amount_due < 1e15",
            name="amount_paid",
        ),
        CheckConstraint(
            "amount_offset >= 0 AND amount_offset <= amount_noted AND amount_noted <= total",
            name="amount_noted",
        ),
        CheckConstraint("period_start <= period_end", name="period"),
        CheckConstraint("length(currency) = 3", name="currency"),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    entity_id: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    number: Mapped[str | None] = mapped_column(Text(collation="C"))
    series: Mapped[str | None]
    series_year: Mapped[int | None] = mapped_column(SmallInteger)
    series_no: Mapped[int | None]
    currency: Mapped[str]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    issue_date: Mapped[date | None] = mapped_column(Date)
    due_date: Mapped[date | None] = mapped_column(Date)
    subtotal: Mapped[Decimal]
    tax: Mapped[Decimal]
    total: Mapped[Decimal]
    amount_paid: Mapped[Decimal] = mapped_column(server_default=text("0"))
    discount: Mapped[Decimal] = mapped_column(server_default=text("0"))
    granted: Mapped[Decimal] = mapped_column(server_default=text("0"))
    included_tax: Mapped[Decimal] = mapped_column(server_default=text("0"))
    credit_applied: Mapped[Decimal] = mapped_column(server_default=text("0"))
    wallet_applied: Mapped[Decimal] = mapped_column(server_default=text("0"))
    amount_noted: Mapped[Decimal] = mapped_column(server_default=text("0"))
    amount_offset: Mapped[Decimal] = mapped_column(server_default=text("0"))
    amount_due: Mapped[Decimal] = mapped_column(
        Computed("total - credit_applied - wallet_applied - amount_offset - amount_paid", persisted=True)
    )
    taxes: Mapped[list[Any]]
    bill_to: Mapped[dict[str, Any] | None]
    notes: Mapped[dict[str, Any]]
    run_id: Mapped[Uuid | None] = mapped_column(UUID)
    finalized_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class InvoiceLine(Base):
    """A line with every input of its computation. `uq_invoice_lines_slice` is what makes billing a slice twice impossible."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        Index(
            "uq_invoice_lines_slice", "account_no", "slice_start", "price_key", "subscription_id", "revision",
            unique=True, postgresql_where=text("NOT voided"), postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("kind IN ('fee', 'usage', 'recorded', 'minimum', 'manual', 'correction')", name="kind"),
        CheckConstraint("timing IN ('advance', 'arrears', 'immediate')", name="timing"),
        CheckConstraint("quantity > -1e24 AND quantity < 1e24", name="quantity"),
        CheckConstraint("amount > -1e15 AND amount < 1e15", name="amount"),
        CheckConstraint("exact > -1e15 AND exact < 1e15", name="exact"),
        CheckConstraint("period_start <= period_end", name="period"),
        CheckConstraint("num_nulls(meter_id, from_batch, to_batch, event_count, checksum) IN (0, 5)", name="evidence"),
        CheckConstraint(
            "num_nulls(corrects_invoice_id, corrects_position) IN (0, 2)"
            " AND (kind = 'correction') = (corrects_invoice_id IS NOT NULL)",
            name="corrects",
        ),
        CheckConstraint("abs(discount) < 1e15 AND abs(granted) < 1e15", name="reductions"),
        Index(
            "ix_invoice_lines_corrects", "corrects_invoice_id", "corrects_position",
            postgresql_where=text("corrects_invoice_id IS NOT NULL"),
        ),
    )  # fmt: skip

    invoice_id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    account_no: Mapped[int]
    kind: Mapped[str]
    description: Mapped[str]
    quantity: Mapped[Decimal]
    unit: Mapped[str]
    amount: Mapped[Decimal]
    exact: Mapped[Decimal] = mapped_column(Numeric(38, 18))
    exact_cut: Mapped[bool] = mapped_column(Boolean)
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    slice_start: Mapped[datetime]
    price_key: Mapped[str] = mapped_column(Text(collation="C"))
    rule: Mapped[str]
    gl_code: Mapped[str]
    timing: Mapped[str]
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB)
    subscription_id: Mapped[Uuid | None] = mapped_column(UUID)
    plan_version_id: Mapped[int | None]
    charge_id: Mapped[int | None]
    meter_id: Mapped[int | None]
    from_batch: Mapped[int | None]
    to_batch: Mapped[int | None]
    event_count: Mapped[int | None]
    checksum: Mapped[bytes | None] = mapped_column(LargeBinary)
    taxes: Mapped[list[Any]] = mapped_column(JSONB)
    revision: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    voided: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    discount: Mapped[Decimal] = mapped_column(server_default=text("0"))
    granted: Mapped[Decimal] = mapped_column(server_default=text("0"))
    reductions: Mapped[list[Any] | None] = mapped_column(JSONB)
    corrects_invoice_id: Mapped[Uuid | None] = mapped_column(UUID)
    corrects_position: Mapped[int | None] = mapped_column(Integer)


class BillingRecord(Base):
    """What a billing record knows beyond its invoice: the date it was given and how its draft wants to be seen."""

    __tablename__ = "billing_records"
    __table_args__ = (CheckConstraint("shown_as IN ('pending', 'draft')", name="shown_as"),)

    invoice_id: Mapped[Uuid] = mapped_column(UUID, ForeignKey("invoices.id"), primary_key=True)
    billing_date: Mapped[date] = mapped_column(Date)
    shown_as: Mapped[str]
