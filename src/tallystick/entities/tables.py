"""The table of selling companies."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tallystick.platform.tables import NOW, Base


class EntityRow(Base):
    """One selling company."""

    __tablename__ = "entities"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        CheckConstraint("rounding IN ('half_away', 'half_even', 'up', 'down')", name="rounding"),
        CheckConstraint("tax_rounding IN ('rate', 'line')", name="tax_rounding"),
        CheckConstraint(
            "fee_close_delay_seconds BETWEEN 0 AND 2678400 AND usage_close_delay_seconds BETWEEN 0 AND 2678400",
            name="delays",
        ),
        CheckConstraint("tax_point IN ('period_end', 'issue_date')", name="tax_point"),
        CheckConstraint("net_terms_days BETWEEN 0 AND 3650", name="net_terms"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    currency: Mapped[str]
    timezone: Mapped[str]
    country: Mapped[str | None]
    is_test: Mapped[bool] = mapped_column(server_default=text("false"))
    rounding: Mapped[str] = mapped_column(server_default="half_away")
    tax_rounding: Mapped[str] = mapped_column(server_default="rate")
    fee_close_delay_seconds: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    usage_close_delay_seconds: Mapped[int] = mapped_column(Integer, server_default=text("3600"))
    net_terms_days: Mapped[int] = mapped_column(Integer, server_default=text("30"))
    tax_point: Mapped[str] = mapped_column(server_default="period_end")
    prices_include_tax: Mapped[bool] = mapped_column(server_default=text("false"))
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
