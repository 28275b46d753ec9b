"""What the estimate takes and gives."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from tallystick.kernel.errors import Invalid
from tallystick.platform.http.fields import (
    Body,
    Code,
    Currency,
    DecimalOut,
    Instant,
    Name,
    Quantity,
    SignedQuantity,
    Text,
)
from tallystick.rating.domain import Aggregation, Estimate, Event, LineAmount, aggregate, as_json
from tallystick.rating.domain.steps import plain_decimal

_UNTIMED = datetime.min.replace(tzinfo=UTC)


class EstimateEvent(Body):
    """One event as a meter would see it."""

    quantity: SignedQuantity = Decimal(1)
    value: Text | None = Field(None, description="The property that `unique` counts")
    occurred_at: Instant | None = Field(
        None, description="Decides which event is the `latest`; events without a time come first, as listed"
    )


class EstimateIn(Body):
    """A price and what is used of it: either `units`, or `events` and how to aggregate them."""

    charge_model: Code = Field(examples=["graduated"])
    properties: dict[str, Any] = Field(
        examples=[
            {
                "tiers": [
                    {"up_to": "1000", "unit_amount": "0.05"},
                    {"up_to": None, "unit_amount": "0.04"},
                ]
            }
        ]
    )
    adjustments: dict[str, Any] = Field(
        default_factory=dict,
        description="unit_conversion, usage_discount_units, discount_percent, maximum_amount, minimum_amount, rounding",
    )
    currency: Currency
    units: Quantity | None = None
    events: Annotated[list[EstimateEvent], Field(max_length=10_000)] | None = None
    aggregation: Literal["count", "sum", "max", "unique", "latest"] = "sum"
    unit: Name = Field("units", description="What a unit is called in the text", examples=["GB"])

    def quantity(self) -> Fraction:
        """The units, or what the events aggregate to. Raises `Invalid` unless exactly one of them is given."""
        if (self.units is None) == (self.events is None):
            raise Invalid.field("units", "give either units or events")
        if self.events is None:
            return Fraction(self.units or 0)
        kind = Aggregation(self.aggregation)
        return aggregate(kind, [_event(kind, row, n) for n, row in enumerate(self.events)])


def _event(kind: Aggregation, row: EstimateEvent, position: int) -> Event:
    if kind is Aggregation.UNIQUE and row.value is None:
        raise Invalid.field(f"events[{position}].value", "is required to count unique values")
    value = row.value if kind is Aggregation.UNIQUE and row.value is not None else row.quantity
    return Event(row.occurred_at or _UNTIMED, 0, position, value)


class LineOut(BaseModel):
    """An amount as an invoice line would carry it. `cut` where the exact amount has more than 18 decimals."""

    kind: Literal["charge", "minimum_top_up"]
    amount: DecimalOut
    exact_amount: DecimalOut
    cut: bool

    @classmethod
    def of(cls, kind: Literal["charge", "minimum_top_up"], line: LineAmount) -> Self:
        """From the domain."""
        return cls(
            kind=kind, amount=line.amount, exact_amount=plain_decimal(Fraction(line.exact)), cut=line.cut
        )


class EstimateOut(BaseModel):
    """`amount` is what all lines come to. `steps` are data, `text` is the same for people, rounding included."""

    charge_model: str
    rule_version: int
    units: DecimalOut
    currency: str
    amount: DecimalOut
    exact_amount: DecimalOut
    cut: bool
    lines: list[LineOut]
    steps: list[dict[str, Any]]
    text: list[str]

    @classmethod
    def of(cls, told: Estimate) -> Self:
        """From the domain."""
        lines = [LineOut.of("charge", told.line)]
        if told.top_up is not None:
            lines.append(LineOut.of("minimum_top_up", told.top_up))
        return cls(
            charge_model=told.model,
            rule_version=told.version,
            units=plain_decimal(told.quantity),
            currency=told.currency,
            amount=told.amount,
            exact_amount=plain_decimal(Fraction(told.exact_amount)),
            cut=told.cut,
            lines=lines,
            steps=[as_json(step) for step in told.steps],
            text=list(told.text),
        )
