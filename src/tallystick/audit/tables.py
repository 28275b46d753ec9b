"""The audit log, the blocks that seal it, and the keys of personal digests."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Integer, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class AuditRow(Base):
    """Who did what to which object. Append-only; `xid` is the transaction that wrote it, taken before `id`."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_object", "object_type", "object_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    xid: Mapped[int]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_role: Mapped[str]
    entity_id: Mapped[int] = mapped_column(Integer)
    action: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    request_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AuditBlock(Base):
    """A sealed run of rows: those above the previous block's `last_row`, up to its own. Append-only."""

    __tablename__ = "audit_blocks"
    __table_args__ = (
        UniqueConstraint("last_row"),
        CheckConstraint("id >= 1", name="id"),
        CheckConstraint(
            "octet_length(previous_hash) = 32 AND octet_length(hash) = 32"
            " AND octet_length(row_digests) = 32 * cardinality(row_ids) AND cardinality(row_ids) > 0",
            name="lengths",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    previous_hash: Mapped[bytes]
    hash: Mapped[bytes]
    last_row: Mapped[int]
    row_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    row_digests: Mapped[bytes]
    key_id: Mapped[str]
    signature: Mapped[bytes]
    created_at: Mapped[datetime]


class AuditSubjectKey(Base):
    """The key under which a subject's personal values were digested; deleting it erases them for good."""

    __tablename__ = "audit_subject_keys"

    object_type: Mapped[str] = mapped_column(primary_key=True)
    object_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
