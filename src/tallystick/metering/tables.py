"""Mapped classes of metering. Partitions live in the schema `usage_partitions`, so that the public one shows ideas, not storage."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger as Big
from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import Numeric as Number
from sqlalchemy import text as where
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.metering.backfills.tables import Backfill, BackfillEvent, EventSuccession
from tallystick.platform.tables import NOW, Base

__all__ = [
    "Backfill", "BackfillEvent", "EventKey", "EventSuccession", "EventVoid", "IngestBatch", "MeterState", "MeteringSeal", "UsageEvent",
]  # fmt: skip


class IngestBatch(Base):
    """One transaction that wrote events or a void. Its id is the arrival order that selectors `(from_batch, to_batch]` speak of.

    None of its events occurred before `first_at`: who looks for late ones passes over most batches without reading an event.
    """

    __tablename__ = "ingest_batches"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    xid: Mapped[int]
    received: Mapped[int] = mapped_column(Integer)
    principals: Mapped[list[Any]] = mapped_column(ARRAY(Text))
    request_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    first_at: Mapped[datetime | None]


class EventKey(Base):
    """The identity (source, id) of every event ever accepted, as its 16-byte key, and where the event lies. Never deleted."""

    __tablename__ = "event_keys"
    __table_args__ = ({"postgresql_partition_by": "HASH (key)"},)

    key: Mapped[Any] = mapped_column(UUID, primary_key=True)
    account_no: Mapped[int]
    occurred_at: Mapped[datetime]
    meter_id: Mapped[int] = mapped_column(Integer)


class UsageEvent(Base):
    """An accepted event. Never updated, never deleted; unique through `event_keys`, which is written in the same statement.

    A partitioned table's key would have to carry `occurred_at`, and prove nothing that `event_keys` does not: so it has none.
    """

    __table__ = Table(
        "usage_events",
        Base.metadata,
        Column("account_no", Big, nullable=False),
        Column("occurred_at", DateTime(timezone=True), nullable=False),
        Column("batch_id", Big, nullable=False),
        Column("c_hi", Big, nullable=False),
        Column("c_lo", Big, nullable=False),
        Column("key", UUID, nullable=False),
        Column("meter_id", Integer, nullable=False),
        Column("position", Integer, nullable=False),
        Column("quantity", Number, nullable=False),
        Column("unit_price", Number, nullable=True),
        Column("source", Text, nullable=False),
        Column("event_id", Text, nullable=False),
        Column("properties", JSONB, nullable=True),
        CheckConstraint("quantity > -1e18 AND quantity < 1e18", name="quantity"),
        CheckConstraint("unit_price >= 0 AND unit_price < 1e15", name="unit_price"),
        Index(
            "ix_usage_events_account_no_meter_id_occurred_at",
            "account_no",
            "meter_id",
            "occurred_at",
            postgresql_include=["batch_id", "c_hi", "c_lo", "quantity"],
        ),
        Index(
            "ix_usage_events_priced",
            "account_no",
            "occurred_at",
            postgresql_include=["meter_id", "unit_price", "quantity", "batch_id", "c_hi", "c_lo"],
            postgresql_where=where("unit_price IS NOT NULL"),
        ),
        Index("ix_usage_events_batch_id", "batch_id"),
        postgresql_partition_by="RANGE (occurred_at)",
    )
    __mapper_args__ = {  # noqa: RUF012 — read by the mapper
        "primary_key": [__table__.c.key]
    }


class EventVoid(Base):
    """An event that counts no more from `batch_id` on. It carries what a total needs, so that totals subtract it without a join."""

    __tablename__ = "event_voids"
    __table_args__ = (
        CheckConstraint("quantity > -1e18 AND quantity < 1e18", name="quantity"),
        CheckConstraint("unit_price >= 0 AND unit_price < 1e15", name="unit_price"),
        CheckConstraint("batch_id > event_batch_id", name="order"),
        Index("ix_event_voids_account_no_meter_id_occurred_at", "account_no", "meter_id", "occurred_at"),
        Index("ix_event_voids_batch_id", "batch_id"),
    )

    key: Mapped[Any] = mapped_column(UUID, primary_key=True)
    account_no: Mapped[int]
    meter_id: Mapped[int] = mapped_column(Integer)
    occurred_at: Mapped[datetime]
    event_batch_id: Mapped[int]
    batch_id: Mapped[int]
    c_hi: Mapped[int]
    c_lo: Mapped[int]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal | None]
    reason: Mapped[str]
    voided_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class MeterState(Base):
    """What a recurring meter had when a period closed: the fold of all events before `at` that had arrived by `to_batch`.

    `scope` is the digest of which of its events count and how they are split (`domain.carried.scope`). `levels` holds
    [group values, level] pairs, `units` the [group values, unit] pairs of a unique meter. Rows are added, never changed: a correction
    adds one with a later `to_batch`, and lines name the row they began from.
    """

    __tablename__ = "meter_states"
    __table_args__ = (UniqueConstraint("account_no", "meter_id", "scope", "at", "to_batch"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    account_no: Mapped[int]
    meter_id: Mapped[int] = mapped_column(Integer)
    scope: Mapped[bytes]
    at: Mapped[datetime]
    to_batch: Mapped[int]
    levels: Mapped[list[Any]] = mapped_column(JSONB)
    units: Mapped[list[Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class MeteringSeal(Base):
    """One row: no batch at or below `sealed_to` can appear any more. `next_to` waits for transactions below `next_xid` to end."""

    __tablename__ = "metering_seal"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("next_to >= sealed_to", name="forward"),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    sealed_to: Mapped[int]
    next_to: Mapped[int | None]
    next_xid: Mapped[int | None]
