"""Tables of the catalog. It is one for the installation: plans and meters belong to no entity (DESIGN §2 "Entities").

Meters, plan versions and their charges are append-only, by trigger: what a line was priced with can never change under it.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class MeterRow(Base):
    """How events of one kind become a quantity."""

    __tablename__ = "meters"
    __table_args__ = (
        CheckConstraint(
            "aggregation IN ('count', 'sum', 'max', 'min', 'average', 'unique', 'latest', 'weighted_sum', 'percentile')",
            name="aggregation",
        ),
        CheckConstraint(
            "NOT recurring OR aggregation IN ('count', 'sum', 'unique', 'weighted_sum')", name="recurring"
        ),
        CheckConstraint(
            "(aggregation = 'percentile') = (percentile IS NOT NULL) AND percentile BETWEEN 1 AND 100",
            name="percentile",
        ),
        CheckConstraint("aggregation <> 'unique' OR field IS NOT NULL", name="field"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    code: Mapped[str] = mapped_column(Text(collation="C"), unique=True)
    name: Mapped[str]
    aggregation: Mapped[str]
    field: Mapped[str | None]
    filters: Mapped[dict[str, Any]]
    unit: Mapped[str]
    recurring: Mapped[bool] = mapped_column(server_default="false")
    percentile: Mapped[int | None] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ServiceRow(Base):
    """A service that internal teams may record usage of (CONTRACT §5), with its meter `service:<name>`."""

    __tablename__ = "services"

    name: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    meter_id: Mapped[int] = mapped_column(Integer, ForeignKey("meters.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class PlanRow(Base):
    """What is offered; its terms stand in its versions."""

    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(Text(collation="C"), unique=True)
    name: Mapped[str]
    is_public: Mapped[bool]
    is_active: Mapped[bool]
    current_version: Mapped[int] = mapped_column(Integer)
    revision: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class PlanVersionRow(Base):
    """The terms of a plan, frozen."""

    __tablename__ = "plan_versions"
    __table_args__ = (
        UniqueConstraint("plan_id", "version"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("price >= 0 AND price < 1e15", name="price"),
        CheckConstraint("minimum >= 0 AND minimum < 1e15", name="minimum"),
        CheckConstraint("trial_period_days BETWEEN 0 AND 3660", name="trial_period_days"),
        CheckConstraint(
            "billing_cycle IN ('weekly', 'monthly', 'quarterly', 'semiannual', 'yearly')",
            name="billing_cycle",
        ),
        CheckConstraint("billing_timing IN ('advance', 'arrears')", name="billing_timing"),
        CheckConstraint("alignment IN ('anniversary', 'calendar')", name="alignment"),
        CheckConstraint("proration IN ('days', 'seconds', 'thirty_360', 'none')", name="proration"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    plan_id: Mapped[int] = mapped_column(Integer, ForeignKey("plans.id"))
    version: Mapped[int] = mapped_column(Integer)
    price: Mapped[Decimal]
    currency: Mapped[str]
    billing_cycle: Mapped[str]
    billing_timing: Mapped[str]
    alignment: Mapped[str]
    trial_period_days: Mapped[int] = mapped_column(Integer)
    proration: Mapped[str]
    features: Mapped[dict[str, Any]]
    minimum: Mapped[Decimal | None]
    settings: Mapped[dict[str, Any]]
    tax_category: Mapped[str]
    gl_code: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class PlanChargeRow(Base):
    """One price of a version: meter × charge model × properties, with the rule version it was accepted under."""

    __tablename__ = "plan_charges"
    __table_args__ = (
        UniqueConstraint("plan_version_id", "position"),
        UniqueConstraint("plan_version_id", "code"),
        Index("ix_plan_charges_meter_id", "meter_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_versions.id"))
    position: Mapped[int] = mapped_column(Integer)
    code: Mapped[str] = mapped_column(Text(collation="C"))
    name: Mapped[str]
    meter_id: Mapped[int] = mapped_column(Integer, ForeignKey("meters.id"))
    charge_model: Mapped[str]
    rule_version: Mapped[int] = mapped_column(Integer)
    properties: Mapped[dict[str, Any]]
    adjustments: Mapped[dict[str, Any]]
    gl_code: Mapped[str]
    filters: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    group_by: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
