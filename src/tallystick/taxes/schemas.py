"""Bodies and answers of the tax routes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from tallystick.platform.http.fields import Body, Code, DecimalOut, Name, PutBody, bounded_decimal


def _percent(value: Decimal) -> Decimal:
    if value > 100:
        raise ValueError("must be at most 100 percent")
    return value


Percent = Annotated[
    Decimal, bounded_decimal(6, 3), AfterValidator(_percent),
    WithJsonSchema({"anyOf": [
        {"type": "number", "minimum": 0, "maximum": 100},
        {"type": "string", "pattern": r"^(100|[0-9]{1,2}(\.[0-9]{1,6})?)$"},
    ]}),
]  # fmt: skip


class TaxIn(Body):
    """A new tax. Its rate never changes: another rate is another code."""

    code: Code
    name: Name
    rate: Percent = Field(description="Percent, up to 6 decimals", examples=[19])
    is_default: bool = Field(False, description="Paid by every account that has no taxes of its own")


class TaxPut(PutBody):
    """What may change of a tax."""

    name: Name = ""
    is_default: bool = False


class TaxOut(BaseModel):
    """A tax."""

    id: int
    code: str
    name: str
    rate: DecimalOut
    is_default: bool
    revision: int
    created_at: datetime
    updated_at: datetime


class AccountTaxesIn(Body):
    """The taxes of an account; none means the defaults of its entity."""

    codes: list[Code] = Field(max_length=20)


class TaxRateOut(BaseModel):
    """A tax that an account pays."""

    id: int
    code: str
    name: str
    rate: DecimalOut
