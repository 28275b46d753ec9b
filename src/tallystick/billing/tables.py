"""Runs, what they parked, what arrived too late for them, and what catalog files were applied: what they bill lies in the contexts below."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class BillingRun(Base):
    """One request to bill what is due at `as_of` (business time); claimed, counted and resumable."""

    __tablename__ = "billing_runs"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'running', 'done', 'failed')", name="status"),
        Index(
            "ix_billing_runs_open", "created_at", postgresql_where=text("status IN ('pending', 'running')")
        ),
    )

    id: Mapped[Any] = mapped_column(UUID, primary_key=True)
    account_no: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("accounts.no"))
    as_of: Mapped[datetime]
    status: Mapped[str] = mapped_column(server_default="pending")
    phase: Mapped[str] = mapped_column(server_default="waiting")
    accounts_due: Mapped[int] = mapped_column(server_default=text("0"))
    accounts_done: Mapped[int] = mapped_column(server_default=text("0"))
    invoices: Mapped[int] = mapped_column(server_default=text("0"))
    parked: Mapped[int] = mapped_column(server_default=text("0"))
    requested_by: Mapped[str]
    request_id: Mapped[str] = mapped_column(server_default="")
    error: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ParkedAccount(Base):
    """An account that could not be billed, and why. It is left out of runs until someone bills it by name."""

    __tablename__ = "billing_parked"

    account_no: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("accounts.no"), primary_key=True, autoincrement=False
    )
    run_id: Mapped[Any | None] = mapped_column(UUID)
    code: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class CatalogFile(Base):
    """An application of a catalog file, or a rollback: append-only. `before` and `after` are the whole catalog as such files."""

    __tablename__ = "catalog_files"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("kind IN ('apply', 'rollback')", name="kind"),
        CheckConstraint(
            "(kind = 'rollback') = (rolled_back_to IS NOT NULL) AND rolled_back_to >= 0 AND rolled_back_to < number",
            name="rolled_back_to",
        ),
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    rolled_back_to: Mapped[int | None] = mapped_column(Integer)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    principal: Mapped[str]
    request_id: Mapped[str] = mapped_column(server_default="")
    name: Mapped[str]
    digest: Mapped[str]
    prune: Mapped[bool]
    summary: Mapped[dict[str, Any]]
    before: Mapped[str]
    after: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class LateSweep(Base):
    """One row: all batches up to `swept_to` were looked at for what came too late. A bill counts exactly these (`corrections.sweep`)."""

    __tablename__ = "late_sweep"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    swept_to: Mapped[int]


class LateUsage(Base):
    """An account, a meter and a day (UTC) for which something arrived after it was billed; gone once the next bill has corrected it.

    `last_batch` is None where an invoice that corrected it was voided.
    """

    __tablename__ = "late_usage"
    __table_args__ = (CheckConstraint("first_at <= last_at", name="span"),)

    account_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    meter_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    last_batch: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class NotedCorrection(Base):
    """A correction that no invoice could take: what it gives back is on credit notes, what it counted is here. As `invoice_lines`."""

    __tablename__ = "noted_corrections"
    __table_args__ = (
        Index(
            "uq_noted_corrections_slice", "account_no", "slice_start", "price_key", "subscription_id", "revision",
            unique=True, postgresql_nulls_not_distinct=True,
        ),
        Index("ix_noted_corrections_corrects", "corrects_invoice_id", "corrects_position"),
        Index("ix_noted_corrections_note_ids", "note_ids", postgresql_using="gin"),
        CheckConstraint("amount > -1e15 AND amount < 0 AND exact > -1e15 AND exact < 1e15", name="amount"),
        CheckConstraint("quantity > -1e24 AND quantity < 1e24", name="quantity"),
        CheckConstraint("abs(discount) < 1e15 AND abs(granted) < 1e15", name="reductions"),
        CheckConstraint("num_nulls(meter_id, from_batch, to_batch, event_count, checksum) IN (0, 5)", name="evidence"),
        CheckConstraint("cardinality(note_ids) > 0", name="notes"),
    )  # fmt: skip

    id: Mapped[Any] = mapped_column(UUID, primary_key=True)
    account_no: Mapped[int]
    note_ids: Mapped[list[Any]] = mapped_column(ARRAY(UUID))
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
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB)
    subscription_id: Mapped[Any | None] = mapped_column(UUID)
    plan_version_id: Mapped[int | None]
    charge_id: Mapped[int | None]
    meter_id: Mapped[int | None]
    from_batch: Mapped[int | None]
    to_batch: Mapped[int | None]
    event_count: Mapped[int | None]
    checksum: Mapped[bytes | None] = mapped_column(LargeBinary)
    taxes: Mapped[list[Any]] = mapped_column(JSONB)
    discount: Mapped[Decimal]
    granted: Mapped[Decimal]
    reductions: Mapped[list[Any] | None] = mapped_column(JSONB)
    corrects_invoice_id: Mapped[Any] = mapped_column(UUID)
    corrects_position: Mapped[int] = mapped_column(Integer)
    revision: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
