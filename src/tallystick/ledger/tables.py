"""Declared schema of the ledger. Entries refer to postings and accounts without foreign keys: a foreign key would lock the
entity's shared revenue and tax rows for every posting in the house. The statement that writes them is the only one there is, rows
are never deleted, and an invariant proves that every reference resolves."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    CheckConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class LedgerAccount(Base):
    """An account of the books. `account_no` 0 is the entity's own: it keeps no balance and is never updated."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        UniqueConstraint(
            "account_no", "entity_id", "code", "gl_code", "currency", name="uq_ledger_accounts_identity"
        ),
        CheckConstraint("(account_no = 0) = (balance IS NULL)", name="balance_of_customers"),
        CheckConstraint("(account_no = 0) = (version IS NULL)", name="version_of_customers"),
        CheckConstraint("balance > -1e18 AND balance < 1e18", name="balance"),
        CheckConstraint("length(currency) = 3", name="currency"),
        CheckConstraint("code <> 'customer_credit' OR balance <= 0", name="credit_spent"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    account_no: Mapped[int] = mapped_column(server_default=text("0"))
    entity_id: Mapped[int] = mapped_column(Integer)
    code: Mapped[str]
    gl_code: Mapped[str] = mapped_column(server_default="")
    currency: Mapped[str]
    version: Mapped[int | None]
    balance: Mapped[Decimal | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class LedgerPosting(Base):
    """One balanced event of money; immutable. `occurred_at` is business time."""

    __tablename__ = "ledger_postings"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_ledger_postings_source", "source_type", "source_id"),
        CheckConstraint("entries >= 2", name="entries"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    key: Mapped[str]
    kind: Mapped[str]
    entity_id: Mapped[int] = mapped_column(Integer)
    currency: Mapped[str]
    occurred_at: Mapped[datetime]
    source_type: Mapped[str]
    source_id: Mapped[str]
    entries: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class LedgerEntry(Base):
    """One side of a posting; debit positive. Version and balance (after this entry) only on customer accounts."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index("ix_ledger_entries_account_id", "account_id", "posting_id", "position"),
        Index(
            "uq_ledger_entries_version", "account_id", "version",
            unique=True, postgresql_where=text("version IS NOT NULL"),
        ),
        CheckConstraint("amount <> 0 AND amount > -1e15 AND amount < 1e15", name="amount"),
        CheckConstraint("(version IS NULL) = (balance IS NULL)", name="chain"),
        CheckConstraint("balance > -1e18 AND balance < 1e18", name="balance"),
        CheckConstraint("period_start < period_end", name="period"),
    )  # fmt: skip

    posting_id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    account_id: Mapped[int]
    currency: Mapped[str]
    amount: Mapped[Decimal]
    version: Mapped[int | None]
    balance: Mapped[Decimal | None]
    period_start: Mapped[datetime | None]
    period_end: Mapped[datetime | None]


class LedgerClosing(Base):
    """What an entity account summed to through a posting id; later entries are added to it on reading."""

    __tablename__ = "ledger_closings"
    __table_args__ = (CheckConstraint("balance > -1e18 AND balance < 1e18", name="balance"),)

    account_id: Mapped[int] = mapped_column(primary_key=True)
    through_posting: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[Decimal]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
