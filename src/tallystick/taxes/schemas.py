"""Bodies and answers of the tax routes."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from tallystick.platform.http.fields import Body, Code, Day, DecimalOut, Name, PutBody, Text, bounded_decimal
from tallystick.taxes.domain import Profile


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


Kind = Literal["standard", "zero", "exempt", "reverse_charge"]
Treatment = Literal["taxable", "exempt", "reverse_charge"]
Note = Annotated[
    Text, Field(description="The sentence that the law wants to see on the document", max_length=500)
]
Categories = Annotated[
    list[Code],
    Field(
        max_length=50,
        description="Tax categories of plans on which it is due; none: on everything",
        examples=[["standard"]],
    ),
]


class TaxIn(Body):
    """A new tax. Rates that begin later are added to it with their dates; none ever changes."""

    code: Code
    name: Name
    rate: Percent = Field(description="Percent, up to 6 decimals", examples=[19])
    is_default: bool = Field(False, description="Paid by every account that has no taxes of its own")
    kind: Kind = Field(
        "standard", description="What is not `standard` has the rate 0 and is stated with its note"
    )
    categories: Categories = Field(default_factory=list)
    note: Note = ""
    livemode: bool = Field(True, description="False: a tax of the accounts on test clocks")


class TaxPut(PutBody):
    """What may change of a tax."""

    name: Name = ""
    is_default: bool = False
    categories: Categories = Field(default_factory=list)
    note: Note = ""


class RateIn(Body):
    """Another rate, from a date on."""

    valid_from: Day = Field(description="The first day; later than that of every rate there is")
    rate: Percent | None = Field(description="Percent; null: the tax is not charged from then", examples=[16])


class RateOut(BaseModel):
    """A rate that begins on a date; null: not charged from then."""

    valid_from: date
    rate: DecimalOut | None


class TaxOut(BaseModel):
    """A tax. `rate` is from the beginning, `later_rates` from their dates on."""

    id: int
    code: str
    name: str
    rate: DecimalOut
    is_default: bool
    kind: str
    categories: list[str]
    note: str
    later_rates: list[RateOut]
    livemode: bool
    revision: int
    created_at: datetime
    updated_at: datetime


class AccountTaxesIn(Body):
    """The taxes of an account; none means the defaults of its entity."""

    codes: list[Code] = Field(max_length=20)


class AccountTaxOut(BaseModel):
    """A tax that an account pays, with its rates through time."""

    id: int
    code: str
    name: str
    rate: DecimalOut
    kind: str
    categories: list[str]
    note: str
    later_rates: list[RateOut]


class TreatmentIn(Body):
    """How an account is taxed."""

    treatment: Treatment = Field(
        description="`exempt`, or `reverse_charge`: its taxes stand on documents at zero, with the note"
    )
    note: Note = ""


class TreatmentOut(BaseModel):
    """How an account is taxed."""

    treatment: str
    note: str


def account_taxes_out(profile: Profile) -> list[dict[str, Any]]:
    """What an account pays, as `AccountTaxOut` describes it."""
    return [
        {
            "id": tax.id, "code": tax.code, "name": tax.name, "rate": tax.rate, "kind": tax.kind,
            "categories": list(tax.categories), "note": tax.note,
            "later_rates": [{"valid_from": since, "rate": rate} for since, rate in tax.later],
        }
        for tax in profile.taxes
    ]  # fmt: skip
