"""Declared schema of wallets. Balances stand on grants; every change of one is a transaction, which is never changed itself."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID as Uuid

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base

NO_CODES = text("'{}'")


class Wallet(Base):
    """A purse of an account in one currency: its scope, its place in the order of use, its end."""

    __tablename__ = "wallets"
    __table_args__ = (
        Index("ix_wallets_account_no", "account_no", "id"),
        CheckConstraint("expires_at > opened_at", name="expires_at"),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    entity_id: Mapped[int] = mapped_column(Integer)
    currency: Mapped[str]
    name: Mapped[str]
    priority: Mapped[int] = mapped_column(SmallInteger)
    meters: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NO_CODES)
    plans: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NO_CODES)
    expires_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    terminated_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class WalletGrant(Base):
    """A top-up: what was put in, what remains of it, what of that is reserved. NULL priority and scope are the wallet's.

    `expires_at` is what was asked for; `ends_at` is when it ends, the wallet's expiry and termination considered.
    """

    __tablename__ = "wallet_grants"
    __table_args__ = (
        Index("ix_wallet_grants_wallet_id", "wallet_id", "id"),
        Index("ix_wallet_grants_left", "account_no", postgresql_where=text("remaining > 0")),
        Index(
            "ix_wallet_grants_ending",
            "ends_at",
            postgresql_where=text("remaining > 0 AND ends_at IS NOT NULL"),
        ),
        CheckConstraint("kind IN ('paid', 'granted')", name="kind"),
        CheckConstraint(
            "amount > 0 AND amount < 1e15 AND price >= 0 AND price <= amount",
            name="amount",
        ),
        CheckConstraint("(kind = 'paid') = (price > 0)", name="price"),
        CheckConstraint("remaining >= held AND held >= 0 AND remaining <= amount", name="remaining"),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    wallet_id: Mapped[Uuid] = mapped_column(UUID, ForeignKey("wallets.id"))
    account_no: Mapped[int]
    entity_id: Mapped[int] = mapped_column(Integer)
    currency: Mapped[str]
    kind: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    amount: Mapped[Decimal]
    price: Mapped[Decimal]
    remaining: Mapped[Decimal]
    held: Mapped[Decimal] = mapped_column(server_default=text("0"))
    priority: Mapped[int | None] = mapped_column(SmallInteger)
    meters: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    plans: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    granted_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class WalletHold(Base):
    """A part of a wallet's balance that is reserved until it is captured or let go. Its parts of grants are its `hold` transactions."""

    __tablename__ = "wallet_holds"
    __table_args__ = (
        Index("ix_wallet_holds_wallet_id", "wallet_id", "id"),
        Index("ix_wallet_holds_active", "expires_at", postgresql_where=text("status = 'active'")),
        CheckConstraint("status IN ('active', 'captured', 'released', 'expired')", name="status"),
        CheckConstraint(
            "amount > 0 AND amount < 1e15 AND captured >= 0 AND captured <= amount", name="amount"
        ),
        CheckConstraint("(status = 'captured') = (captured > 0)", name="captured"),
        CheckConstraint("(status = 'active') = (ended_at IS NULL)", name="ended_at"),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    wallet_id: Mapped[Uuid] = mapped_column(UUID, ForeignKey("wallets.id"))
    account_no: Mapped[int]
    amount: Mapped[Decimal]
    captured: Mapped[Decimal] = mapped_column(server_default=text("0"))
    status: Mapped[str] = mapped_column(server_default=text("'active'"))
    description: Mapped[str] = mapped_column(server_default=text("''"))
    held_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class WalletTransaction(Base):
    """What happened to a grant: `amount` changed what remains (to `remaining`), `held` changed what is reserved. Append-only.

    Draws and what a void invoice gives back name the invoice's line, holds their hold. No foreign key: the statement that adds rows
    joins their grants, and an invariant proves it.
    """

    __tablename__ = "wallet_transactions"
    __table_args__ = (
        Index("ix_wallet_transactions_wallet_id", "wallet_id", "id"),
        Index(
            "ix_wallet_transactions_invoice_id", "invoice_id", postgresql_where=text("invoice_id IS NOT NULL")
        ),
        Index("ix_wallet_transactions_hold_id", "hold_id", postgresql_where=text("hold_id IS NOT NULL")),
        CheckConstraint(
            "kind IN ('top_up', 'draw', 'give_back', 'take_back', 'expiry', 'forfeit', 'hold', 'release', 'capture')",
            name="kind",
        ),
        CheckConstraint(
            "amount > -1e15 AND amount < 1e15 AND held > -1e15 AND held < 1e15"
            " AND (amount <> 0 OR held <> 0) AND remaining >= 0 AND remaining < 1e15",
            name="amount",
        ),
        CheckConstraint(
            "CASE WHEN kind IN ('top_up', 'give_back') THEN amount > 0"
            " WHEN kind IN ('hold', 'release') THEN amount = 0 ELSE amount < 0 END",
            name="sign",
        ),
        CheckConstraint(
            "(kind IN ('draw', 'give_back', 'take_back')) = (invoice_id IS NOT NULL)"
            " AND (kind IN ('give_back', 'take_back')) = (position IS NOT NULL) AND (kind = 'draw') = (facts IS NOT NULL)",
            name="line",
        ),
        CheckConstraint(
            "(kind IN ('hold', 'release', 'capture')) = (hold_id IS NOT NULL)",
            name="hold",
        ),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    wallet_id: Mapped[Uuid] = mapped_column(UUID)
    grant_id: Mapped[Uuid] = mapped_column(UUID)
    kind: Mapped[str]
    amount: Mapped[Decimal]
    held: Mapped[Decimal] = mapped_column(server_default=text("0"))
    remaining: Mapped[Decimal]
    invoice_id: Mapped[Uuid | None] = mapped_column(UUID)
    position: Mapped[int | None] = mapped_column(Integer)
    hold_id: Mapped[Uuid | None] = mapped_column(UUID)
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
