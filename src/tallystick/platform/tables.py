"""The declarative base of all mapped classes, and the platform's own tables.

The classes state columns, constraints and indexes; migrations are tested against them. They carry no behaviour and no query.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Mapped classes derive from this; its metadata is the declared schema."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: DateTime(timezone=True),
        int: BigInteger(),
        bool: Boolean(),
        Decimal: Numeric(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
        bytes: LargeBinary(),
    }


Instant: TypeEngine[datetime] = DateTime(timezone=True)
NOW = text("now()")
"""Server default of `created_at` and `updated_at`: system time, never business time."""


class IdempotencyKey(Base):
    """One finished command per principal and key: what to answer when it is asked again."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class OutboxMessage(Base):
    """An integration event, born in the transaction that causes it; a relay publishes it later."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),
        Index("ix_outbox_subject", "subject_type", "subject_id", "sequence", unique=True),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    event_id: Mapped[Any] = mapped_column(UUID, unique=True, server_default=text("gen_random_uuid()"))
    event_type: Mapped[str]
    version: Mapped[int] = mapped_column(SmallInteger)
    subject_type: Mapped[str]
    subject_id: Mapped[str]
    sequence: Mapped[int]
    payload: Mapped[dict[str, Any]]
    request_id: Mapped[str] = mapped_column(server_default="")
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    published_at: Mapped[datetime | None]
