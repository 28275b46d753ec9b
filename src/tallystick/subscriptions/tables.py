"""Tables of subscriptions. All instants but `created_at` and `updated_at` are business time."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID as Uuid

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class SubscriptionRow(Base):
    """An account on a plan's version. `billed_to` is how far fees are billed, `usage_billed_to` how far usage is."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        CheckConstraint("quantity > 0 AND quantity < 1e15", name="quantity"),
        CheckConstraint("(ended_at IS NULL) = (canceled_at IS NULL)", name="canceled"),
        CheckConstraint("ended_at >= started_at", name="end"),
        CheckConstraint(
            "anchor >= started_at AND billed_to >= anchor AND usage_billed_to >= anchor", name="anchor"
        ),
        Index("ix_subscriptions_account_no", "account_no"),
        Index("ix_subscriptions_plan_version_id", "plan_version_id"),
        Index(
            "ix_subscriptions_next_billing_at",
            "next_billing_at",
            "id",
            postgresql_where=text("next_billing_at IS NOT NULL"),
        ),
    )

    id: Mapped[Uuid] = mapped_column(UUID, primary_key=True)
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_versions.id"))
    quantity: Mapped[Decimal] = mapped_column(server_default="1")
    currency: Mapped[str]
    started_at: Mapped[datetime]
    trial_end: Mapped[datetime | None]
    anchor: Mapped[datetime]
    timezone: Mapped[str]
    zone_changes_seen: Mapped[int] = mapped_column(Integer)
    ended_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    billed_to: Mapped[datetime]
    usage_billed_to: Mapped[datetime]
    next_billing_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class SubscriptionEvent(Base):
    """What happened to a subscription, append-only."""

    __tablename__ = "subscription_events"
    __table_args__ = (
        CheckConstraint("event IN ('started', 'end_scheduled', 'ended')", name="event"),
        Index("ix_subscription_events_subscription_id", "subscription_id", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    subscription_id: Mapped[Uuid] = mapped_column(UUID, ForeignKey("subscriptions.id"))
    event: Mapped[str]
    occurred_at: Mapped[datetime]
    principal: Mapped[str]
    details: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
