"""Tables of accounts. Personal fields stand in `account_profiles` alone, so that closing an account erases one row."""

from datetime import datetime
from typing import Any
from uuid import UUID as Uuid

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class TestClock(Base):
    """A clock of its own for accounts of the test entity; `target` is where an advance under way is going."""

    __tablename__ = "test_clocks"
    __table_args__ = (
        CheckConstraint("status IN ('ready', 'advancing', 'failed')", name="status"),
        CheckConstraint("status = 'ready' OR target >= frozen_time", name="target"),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    name: Mapped[str]
    frozen_time: Mapped[datetime]
    status: Mapped[str] = mapped_column(server_default="ready")
    target: Mapped[datetime | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AccountRow(Base):
    """A billing account: who is billed, in which currency and by which calendar.

    `usage_from`, `usage_billed_to` and `next_usage_billing_at` are business time and concern usage without a subscription;
    `next_billing_at` is the earliest instant at which anything of the account is due, subscriptions included.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("entity_id", "external_id"),
        CheckConstraint("status IN ('open', 'closed')", name="status"),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed"),
        CheckConstraint("test_clock_id IS NULL OR NOT livemode", name="clock"),
        CheckConstraint("next_billing_at <= next_usage_billing_at", name="next_billing"),
        CheckConstraint("usage_billed_to >= usage_from", name="usage_billed"),
        Index(
            "ix_accounts_test_clock_id", "test_clock_id", postgresql_where=text("test_clock_id IS NOT NULL")
        ),
        Index(
            "ix_accounts_next_billing_at",
            "next_billing_at",
            "no",
            postgresql_where=text("next_billing_at IS NOT NULL"),
        ),
    )

    no: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[str] = mapped_column(Text(collation="C"), unique=True)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    external_id: Mapped[str | None] = mapped_column(Text(collation="C"))
    currency: Mapped[str]
    timezone: Mapped[str]
    zone_history: Mapped[list[Any]]
    locale: Mapped[str | None]
    country: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="open")
    livemode: Mapped[bool]
    test_clock_id: Mapped[Uuid | None] = mapped_column(UUID, ForeignKey("test_clocks.id"))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB)
    usage_from: Mapped[datetime]
    usage_billed_to: Mapped[datetime]
    next_usage_billing_at: Mapped[datetime | None]
    next_billing_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AccountProfile(Base):
    """The personal fields of an open account. `email_key` is the address in lower case, unique in its entity."""

    __tablename__ = "account_profiles"
    __table_args__ = (
        UniqueConstraint("entity_id", "email_key"),
        CheckConstraint("(email IS NULL) = (email_key IS NULL)", name="email"),
        Index("ix_account_profiles_name", "name", "account_no"),
    )

    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"), primary_key=True)
    entity_id: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(Text(collation="C"))
    email: Mapped[str | None]
    email_key: Mapped[str | None] = mapped_column(Text(collation="C"))
    phone: Mapped[str | None]
    address: Mapped[Any] = mapped_column(JSONB, nullable=True)
    tax_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
