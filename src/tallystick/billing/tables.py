"""Runs, what they parked, and what catalog files were applied: what they bill lies in the contexts below."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.dialects.postgresql import UUID
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
