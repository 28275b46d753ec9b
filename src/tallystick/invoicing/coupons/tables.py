"""Declared schema of coupons."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID as Uuid

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class Coupon(Base):
    """A coupon. Its terms never change; name, limits of redemption and whether it is given out may."""

    __tablename__ = "coupons"
    __table_args__ = (
        UniqueConstraint("entity_id", "code"),
        CheckConstraint("kind IN ('fixed', 'percent')", name="kind"),
        CheckConstraint("value > 0 AND value < 1e15 AND (kind = 'fixed' OR value <= 100)", name="value"),
        CheckConstraint("length(currency) = 3", name="currency"),
        CheckConstraint("kind = 'percent' OR currency IS NOT NULL", name="fixed"),
        CheckConstraint("duration IN ('once', 'repeating', 'forever')", name="duration"),
        CheckConstraint(
            "(duration = 'repeating') = (periods IS NOT NULL) AND periods BETWEEN 1 AND 1000", name="periods"
        ),
        CheckConstraint(
            "redemptions >= 0 AND redemptions <= max_redemptions AND per_account BETWEEN 1 AND 1000",
            name="redemptions",
        ),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    code: Mapped[str] = mapped_column(Text(collation="C"))
    name: Mapped[str]
    kind: Mapped[str]
    value: Mapped[Decimal]
    currency: Mapped[str | None]
    duration: Mapped[str]
    periods: Mapped[int | None] = mapped_column(Integer)
    meters: Mapped[list[str]] = mapped_column(ARRAY(Text))
    plans: Mapped[list[str]] = mapped_column(ARRAY(Text))
    redeem_by: Mapped[datetime | None]
    max_redemptions: Mapped[int | None]
    per_account: Mapped[int] = mapped_column(Integer)
    is_active: Mapped[bool]
    redemptions: Mapped[int] = mapped_column(server_default=text("0"))
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AppliedCoupon(Base):
    """A coupon that an account redeemed. `uses_left` None: it lowers every invoice."""

    __tablename__ = "applied_coupons"
    __table_args__ = (
        Index("ix_applied_coupons_account_no", "account_no", "id"),
        Index("ix_applied_coupons_coupon_id", "coupon_id"),
        CheckConstraint("uses_left >= 0", name="uses_left"),
        CheckConstraint("length(currency) = 3", name="currency"),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    coupon_id: Mapped[int] = mapped_column(Integer, ForeignKey("coupons.id"))
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    currency: Mapped[str]
    uses_left: Mapped[int | None] = mapped_column(Integer)
    applied_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class CouponUse(Base):
    """What an applied coupon took off an invoice, and the lines it reached: enough to compute it again."""

    __tablename__ = "coupon_uses"
    __table_args__ = (
        Index("ix_coupon_uses_invoice_id", "invoice_id", "position"),
        CheckConstraint("value > 0 AND value < 1e15", name="value"),
        CheckConstraint("amount > 0 AND amount < 1e15", name="amount"),
    )

    applied_id: Mapped[Uuid] = mapped_column(UUID, ForeignKey("applied_coupons.id"), primary_key=True)
    invoice_id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str]
    value: Mapped[Decimal]
    lines: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    amount: Mapped[Decimal]
    voided: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
