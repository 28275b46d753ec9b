"""Tables of taxes: rates per entity, and who pays others than the entity's default."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Integer, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class TaxRow(Base):
    """A rate in percent. It never changes: another rate is another tax. What may change is its name and who pays it by default."""

    __tablename__ = "taxes"
    __table_args__ = (
        UniqueConstraint("entity_id", "code"),
        CheckConstraint("rate >= 0 AND rate <= 100", name="rate"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    code: Mapped[str] = mapped_column(Text(collation="C"))
    name: Mapped[str]
    rate: Mapped[Decimal]
    is_default: Mapped[bool]
    revision: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AccountTax(Base):
    """A tax an account pays instead of the entity's defaults."""

    __tablename__ = "account_taxes"

    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"), primary_key=True)
    tax_id: Mapped[int] = mapped_column(Integer, ForeignKey("taxes.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
