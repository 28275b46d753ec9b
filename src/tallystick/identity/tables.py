"""Users, their personal fields, credentials and sessions; API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class UserRow(Base):
    """A person who signs in. `token_version` rises whenever all of his tokens must die."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'finance', 'support', 'customer')", name="role"),
        CheckConstraint("status IN ('active', 'disabled', 'erased')", name="status"),
        CheckConstraint(
            "(account_no IS NULL) = (account_id IS NULL) AND (role = 'customer') = (account_no IS NOT NULL)",
            name="account",
        ),
        Index("ix_users_account_no", "account_no", postgresql_where=text("account_no IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    role: Mapped[str]
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"), server_default=text("1"))
    account_no: Mapped[int | None]
    account_id: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="active")
    token_version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class UserProfile(Base):
    """All that is personal about a user; erasing a user deletes this row."""

    __tablename__ = "user_profiles"
    __table_args__ = (Index("ix_user_profiles_email", text("lower(email)"), unique=True),)

    user_id: Mapped[int] = mapped_column(Integer, ForeignKey("users.id"), primary_key=True)
    email: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Credential(Base):
    """A password, hashed."""

    __tablename__ = "credentials"

    user_id: Mapped[int] = mapped_column(Integer, ForeignKey("users.id"), primary_key=True)
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class SessionRow(Base):
    """A sign-in: the one refresh token that renews it, hashed. `used_at`: when it was last renewed; `revoked_for`: why it ended early."""

    __tablename__ = "sessions"
    __table_args__ = (
        UniqueConstraint("refresh_hash"),
        Index("ix_sessions_user_id", "user_id"),
        Index("ix_sessions_expires_at", "expires_at"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_for IS NULL)", name="revoked"),
    )

    id: Mapped[UUID] = mapped_column(postgresql.UUID, primary_key=True)
    user_id: Mapped[int] = mapped_column(Integer, ForeignKey("users.id"))
    refresh_hash: Mapped[bytes]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    used_at: Mapped[datetime] = mapped_column(server_default=NOW)
    revoked_at: Mapped[datetime | None]
    revoked_for: Mapped[str | None]


class SpentRefreshToken(Base):
    """A refresh token that was used, hashed. Who shows it again is not the one it was given to, or shares it."""

    __tablename__ = "spent_refresh_tokens"
    __table_args__ = (Index("ix_spent_refresh_tokens_session_id", "session_id"),)

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(postgresql.UUID, ForeignKey("sessions.id", ondelete="CASCADE"))
    spent_at: Mapped[datetime] = mapped_column(server_default=NOW)


class PasswordReset(Base):
    """Someone asked for a new password. Waiting: the address as typed and nothing else; sent: its user, the token's hash, no address."""

    __tablename__ = "password_resets"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint(
            "(sent_at IS NULL) = (email IS NOT NULL) AND (sent_at IS NULL) = (user_id IS NULL) "
            "AND (sent_at IS NULL) = (token_hash IS NULL) AND (sent_at IS NULL) = (expires_at IS NULL)",
            name="waiting",
        ),
        Index("ix_password_resets_waiting", "next_try_at", postgresql_where=text("sent_at IS NULL")),
        Index("ix_password_resets_user_id", "user_id", "sent_at"),
        Index("ix_password_resets_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(postgresql.UUID, primary_key=True)
    email: Mapped[str | None]
    user_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("users.id"))
    token_hash: Mapped[bytes | None]
    request_id: Mapped[str] = mapped_column(server_default="")
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_try_at: Mapped[datetime] = mapped_column(server_default=NOW)
    sent_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ApiKeyRow(Base):
    """A key for a service of the house, hashed. `hint` is its beginning, to tell keys apart."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("key_hash"),
        CheckConstraint("cardinality(scopes) > 0", name="scopes"),
        Index("ix_api_keys_entity_id", "entity_id", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    name: Mapped[str]
    hint: Mapped[str]
    key_hash: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(postgresql.ARRAY(Text))
    created_by: Mapped[int | None] = mapped_column(Integer, ForeignKey("users.id"))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
