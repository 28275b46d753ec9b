"""Declared schema of backfills and of events that follow others."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base

_ZERO = text("0")


class Backfill(Base):
    """A window of usage that is filled up or replaced. `account_nos` is None where it is for every account of the entity.

    All that a commit writes and voids is one batch, `commit_batch`; so is all that a revert does, `revert_batch`.
    """

    __tablename__ = "backfills"
    __table_args__ = (
        Index("ix_backfills_entity_id", "entity_id", "id"),
        Index("uq_backfills_commit_batch", "commit_batch", unique=True),
        Index("uq_backfills_revert_batch", "revert_batch", unique=True),
        Index(
            "ix_backfills_scope", "period_end", "period_start",
            postgresql_where=text("state IN ('open', 'committed')"),
        ),
        CheckConstraint("state IN ('open', 'committed', 'cancelled', 'reverted')", name="state"),
        CheckConstraint("mode IN ('add', 'replace')", name="mode"),
        CheckConstraint(
            "period_start < period_end AND cardinality(meter_ids) > 0 AND cardinality(account_nos) > 0", name="scope"
        ),
        CheckConstraint("least(staged, added, kept, replaced, withdrawn, reinstated) >= 0", name="counts"),
        CheckConstraint(
            "(state IN ('committed', 'reverted')) = (commit_batch IS NOT NULL) AND (commit_batch IS NULL) = (committed_at IS NULL)"
            " AND (state = 'reverted') = (revert_batch IS NOT NULL) AND (revert_batch IS NULL) = (reverted_at IS NULL)"
            " AND (state = 'cancelled') = (cancelled_at IS NOT NULL)",
            name="course",
        ),
    )  # fmt: skip

    id: Mapped[Any] = mapped_column(UUID, primary_key=True)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    state: Mapped[str] = mapped_column(server_default="open")
    mode: Mapped[str]
    account_nos: Mapped[list[Any] | None] = mapped_column(ARRAY(BigInteger))
    meter_ids: Mapped[list[Any]] = mapped_column(ARRAY(Integer))
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    reason: Mapped[str]
    opened_by: Mapped[str]
    opened_at: Mapped[datetime]
    staged: Mapped[int] = mapped_column(Integer, server_default=_ZERO)
    added: Mapped[int] = mapped_column(Integer, server_default=_ZERO)
    kept: Mapped[int] = mapped_column(Integer, server_default=_ZERO)
    replaced: Mapped[int] = mapped_column(Integer, server_default=_ZERO)
    withdrawn: Mapped[int] = mapped_column(Integer, server_default=_ZERO)
    reinstated: Mapped[int] = mapped_column(Integer, server_default=_ZERO)
    commit_batch: Mapped[int | None]
    committed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    revert_batch: Mapped[int | None]
    reverted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class BackfillEvent(Base):
    """An event that waits in an open backfill and counts nowhere; gone once it is committed or cancelled. As `usage_events`."""

    __tablename__ = "backfill_events"
    __table_args__ = (
        Index("ix_backfill_events_backfill_id", "backfill_id", "no"),
        CheckConstraint("quantity > -1e18 AND quantity < 1e18", name="quantity"),
        CheckConstraint("unit_price >= 0 AND unit_price < 1e15", name="unit_price"),
    )

    key: Mapped[Any] = mapped_column(UUID, primary_key=True)
    backfill_id: Mapped[Any] = mapped_column(UUID, ForeignKey("backfills.id"))
    no: Mapped[int] = mapped_column(Identity(always=True))
    account_no: Mapped[int]
    meter_id: Mapped[int] = mapped_column(Integer)
    occurred_at: Mapped[datetime]
    c_hi: Mapped[int]
    c_lo: Mapped[int]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal | None]
    source: Mapped[str]
    event_id: Mapped[str]
    properties: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class EventSuccession(Base):
    """The event `key` stands for `former`, which is void: an amendment, or a reinstatement by the revert of a backfill.

    `origin` is where the chain began, `revision` the place in it (the origin's is 1).
    """

    __tablename__ = "event_successions"
    __table_args__ = (
        UniqueConstraint("former"),
        UniqueConstraint("origin", "revision"),
        CheckConstraint("revision >= 2", name="revision"),
        CheckConstraint("kind IN ('amendment', 'reinstatement')", name="kind"),
        CheckConstraint("key <> former AND key <> origin", name="itself"),
    )

    key: Mapped[Any] = mapped_column(UUID, primary_key=True)
    former: Mapped[Any] = mapped_column(UUID)
    origin: Mapped[Any] = mapped_column(UUID)
    revision: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str]
