"""Tables of taxes: rates per entity, and who pays others than the entity's default."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Date, ForeignKey, Identity, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class TaxRow(Base):
    """A tax and its first rate in percent. Rates never change: later ones have their dates in `tax_rates`."""

    __tablename__ = "taxes"
    __table_args__ = (
        UniqueConstraint("entity_id", "code"),
        CheckConstraint("rate >= 0 AND rate <= 100", name="rate"),
        CheckConstraint("kind IN ('standard', 'zero', 'exempt', 'reverse_charge')", name="kind"),
        CheckConstraint("kind = 'standard' OR rate = 0", name="rate_of_kind"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    entity_id: Mapped[int] = mapped_column(Integer, ForeignKey("entities.id"))
    code: Mapped[str] = mapped_column(Text(collation="C"))
    name: Mapped[str]
    rate: Mapped[Decimal]
    is_default: Mapped[bool]
    kind: Mapped[str] = mapped_column(server_default="standard")
    categories: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    note: Mapped[str] = mapped_column(server_default="")
    revision: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AccountTax(Base):
    """A tax an account pays instead of the entity's defaults."""

    __tablename__ = "account_taxes"

    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"), primary_key=True)
    tax_id: Mapped[int] = mapped_column(Integer, ForeignKey("taxes.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class TaxRateRow(Base):
    """A rate that a tax has from a date on; none means that it is not charged from then."""

    __tablename__ = "tax_rates"
    __table_args__ = (CheckConstraint("rate >= 0 AND rate <= 100", name="rate"),)

    tax_id: Mapped[int] = mapped_column(Integer, ForeignKey("taxes.id"), primary_key=True)
    valid_from: Mapped[date] = mapped_column(Date, primary_key=True)
    rate: Mapped[Decimal | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AccountTaxTreatment(Base):
    """An account that is exempt, or owes the tax itself; accounts that are not here are taxed."""

    __tablename__ = "account_tax_treatments"
    __table_args__ = (CheckConstraint("treatment IN ('exempt', 'reverse_charge')", name="treatment"),)

    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"), primary_key=True)
    treatment: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
