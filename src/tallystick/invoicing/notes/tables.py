"""Declared schema of credit notes. No row ever changes: triggers see to it, and that a note's lines add up to it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID as Uuid

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, SmallInteger, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class CreditNote(Base):
    """A credit note. `inputs` is what it was computed from beside the invoice: what was asked, and what was taken of the lines before."""

    __tablename__ = "credit_notes"
    __table_args__ = (
        UniqueConstraint("number"),
        Index("ix_credit_notes_invoice_id", "invoice_id", "id"),
        Index("ix_credit_notes_account_no", "account_no", "id"),
        CheckConstraint("total > 0 AND total < 1e15 AND total = subtotal - included_tax + tax", name="total"),
        CheckConstraint(
            "subtotal > -1e15 AND subtotal < 1e15 AND included_tax > -1e15 AND included_tax < 1e15 AND tax > -1e15 AND tax < 1e15",
            name="parts",
        ),
        CheckConstraint(
            "amount_offset >= 0 AND amount_offset < 1e15 AND amount_credited >= 0 AND amount_credited < 1e15"
            " AND amount_offset + amount_credited = total",
            name="use",
        ),
        CheckConstraint("length(currency) = 3", name="currency"),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    number: Mapped[str] = mapped_column(Text(collation="C"))
    series: Mapped[str]
    series_year: Mapped[int] = mapped_column(SmallInteger)
    series_no: Mapped[int]
    account_no: Mapped[int]
    entity_id: Mapped[int] = mapped_column(Integer)
    invoice_id: Mapped[Uuid] = mapped_column(UUID, ForeignKey("invoices.id"))
    invoice_number: Mapped[str]
    currency: Mapped[str]
    issue_date: Mapped[date] = mapped_column(Date)
    reason: Mapped[str]
    subtotal: Mapped[Decimal]
    included_tax: Mapped[Decimal]
    tax: Mapped[Decimal]
    total: Mapped[Decimal]
    amount_offset: Mapped[Decimal]
    amount_credited: Mapped[Decimal]
    taxes: Mapped[list[Any]] = mapped_column(JSONB)
    bill_to: Mapped[dict[str, Any]] = mapped_column(JSONB)
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB)
    issued_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class CreditNoteLine(Base):
    """What a note takes back of one line of its invoice, in that line's terms and sign."""

    __tablename__ = "credit_note_lines"
    __table_args__ = (
        UniqueConstraint("note_id", "invoice_position"),
        Index("ix_credit_note_lines_invoice", "invoice_id", "invoice_position"),
        CheckConstraint("amount > -1e15 AND amount < 1e15", name="amount"),
        CheckConstraint("timing IN ('advance', 'arrears', 'immediate')", name="timing"),
    )

    note_id: Mapped[Uuid] = mapped_column(UUID, ForeignKey("credit_notes.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    invoice_id: Mapped[Uuid] = mapped_column(UUID)
    invoice_position: Mapped[int] = mapped_column(Integer)
    description: Mapped[str]
    amount: Mapped[Decimal]
    taxes: Mapped[list[Any]] = mapped_column(JSONB)
    gl_code: Mapped[str]
    timing: Mapped[str]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
