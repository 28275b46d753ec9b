"""Bodies and answers of the entity routes."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from tallystick.kernel.errors import Refusal
from tallystick.kernel.zones import zone
from tallystick.platform.http.fields import Currency, Name, PutBody


def _zone(name: str) -> str:
    try:
        zone(name)
    except Refusal:
        raise ValueError("is not an IANA time zone such as Europe/Berlin") from None
    return name


Delay = Annotated[int, Field(ge=0, le=31 * 86400)]


class EntityPut(PutBody):
    """What may change of an entity. Documents made from now on follow it; issued ones keep what they say."""

    name: Name = ""
    currency: Currency = "USD"
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = "UTC"
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    rounding: Literal["half_away", "half_even", "up", "down"] = Field(
        "half_away",
        description="How lines are rounded at their currency's exponent; up and down are away from and towards zero",
    )
    tax_rounding: Literal["rate", "line"] = Field(
        "rate",
        description="Taxes are rounded once per rate of a document and shared to its lines, or on each line",
    )
    tax_point: Literal["period_end", "issue_date"] = Field(
        "period_end",
        description="The day whose rate a line pays: the last of its service period, or that of issue",
    )
    prices_include_tax: bool = Field(
        False, description="Taxes are taken out of prices, where a plan says nothing else"
    )
    fee_close_delay_seconds: Delay = Field(0, description="How long after a boundary fees are billed")
    usage_close_delay_seconds: Delay = Field(
        3600, description="How long after its period's end usage is billed"
    )
    net_terms_days: int = Field(30, ge=0, le=3650, description="Days from issue to due date")


class EntityOut(BaseModel):
    """A selling company and its settings."""

    id: int
    code: str
    name: str
    currency: str
    timezone: str
    country: str | None
    is_test: bool
    rounding: str
    tax_rounding: str
    tax_point: str
    prices_include_tax: bool
    fee_close_delay_seconds: int
    usage_close_delay_seconds: int
    net_terms_days: int
    revision: int
