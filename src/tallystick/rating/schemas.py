"""What the estimate takes and gives."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

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
    UnitPrice,
    clean_text,
)
from tallystick.rating.domain import (
    Aggregation,
    Estimate,
    Event,
    LineAmount,
    Metered,
    Need,
    Occurrence,
    Price,
    as_json,
    as_text,
    meter,
)
from tallystick.rating.domain.steps import plain_decimal

_PROPERTIES = """By charge model; amounts as decimal strings, `up_to` inclusive, null in the last tier:

- `flat {amount}`, `standard {unit_amount}`, `package {package_size, package_amount, free_units}`
- `graduated`, `volume {tiers: [{up_to, unit_amount, flat_amount}], first_tier_flat_at_zero}`
- `stairstep {tiers: [{up_to, flat_amount}], first_tier_flat_at_zero}`
- `percentage {rate, fixed_amount, free_events, free_total, min_per_event, max_per_event}`; a rate of 0.029 is 2.9 %
- `graduated_percentage {tiers: [{up_to, rate, flat_amount}], first_tier_flat_at_zero}`
- `dynamic {}`: each event brings its `unit_price`
- `matrix {dimensions: ["region"], rows: [{values: ["eu"], unit_amount}], default: {unit_amount}}`; the first row that matches, null matches
  everything; without a default, usage that no row matches is refused"""
_UNTIMED = datetime.min.replace(tzinfo=UTC)


def _scalar(value: object) -> object:
    if value is not None and as_text(value) is None:
        raise ValueError("must be a text, a number, true, false or null")
    return clean_text(value) if isinstance(value, str) else value


_Scalar = Annotated[
    Any,
    BeforeValidator(_scalar),
    WithJsonSchema({"anyOf": [{"type": each} for each in ("string", "number", "boolean", "null")]}),
]


class EstimateEvent(Body):
    """One event as a meter would see it. What a price does not look at may stand there all the same."""

    quantity: SignedQuantity = Decimal(1)
    value: Text | None = Field(None, description="The property that `unique` counts")
    unit_price: UnitPrice | None = Field(
        None, description="The event's own price per unit; `dynamic` needs it"
    )
    properties: Annotated[dict[Text, _Scalar], Field(max_length=50)] = Field(
        default_factory=dict,
        description="What a `matrix` looks at",
        examples=[{"region": "eu", "size": "large"}],
    )
    occurred_at: Instant | None = Field(
        None,
        description="Decides which event is the `latest`, and in which order events use up what is free; events without a time come "
        "first, as listed",
    )


class EstimateIn(Body):
    """A price and what is used of it: either `units`, or `events` and how to aggregate them.

    Prices that look at single events (`percentage` with anything but a rate, `dynamic`, `matrix`) need the events.
    """

    charge_model: Code = Field(
        examples=["graduated"],
        description="flat, standard, graduated, volume, package, percentage, graduated_percentage, stairstep, dynamic or matrix",
    )
    properties: dict[str, Any] = Field(
        description=_PROPERTIES,
        examples=[
            {
                "tiers": [
                    {"up_to": "1000", "unit_amount": "0.05"},
                    {"up_to": None, "unit_amount": "0.04"},
                ]
            }
        ],
    )
    adjustments: dict[str, Any] = Field(
        default_factory=dict,
        description="unit_conversion, usage_discount_units, discount_percent, maximum_amount, minimum_amount, rounding",
    )
    currency: Currency
    units: Quantity | None = None
    events: Annotated[list[EstimateEvent], Field(max_length=10_000)] | None = None
    aggregation: Literal["count", "sum", "max", "min", "average", "unique", "latest", "percentile"] = "sum"
    percentile: Annotated[int, Field(ge=1, le=100, strict=True)] | None = Field(
        None, description="Which one, where `aggregation` is `percentile`: 1 to 100"
    )
    unit: Name = Field("units", description="What a unit is called in the text", examples=["GB"])

    def metered(self, price: Price) -> Metered:
        """The units, or what `price` needs of the events. Raises `Invalid` unless exactly one of them is given, and enough."""
        if (self.units is None) == (self.events is None):
            raise Invalid.field("units", "give either units or events")
        kind = Aggregation(self.aggregation)
        if (kind is Aggregation.PERCENTILE) != (self.percentile is not None):
            raise Invalid.field("percentile", "is required for the aggregation percentile, and only there")
        if self.events is None:
            if price.needs is not Need.TOTAL:
                raise Invalid.field(
                    "units", "do not tell this price enough: it looks at single events; give events"
                )
            return Metered(Fraction(self.units or 0))
        if not price.needs.fed_by(kind):
            raise Invalid.field(
                "aggregation", "must be sum (or count): this price adds up what single events cost"
            )
        rows = [_occurrence(kind, price.needs, row, n) for n, row in enumerate(self.events)]
        return meter(price, kind, rows, percentile=self.percentile)


def _occurrence(kind: Aggregation, need: Need, row: EstimateEvent, position: int) -> Occurrence:
    if kind is Aggregation.UNIQUE and row.value is None:
        raise Invalid.field(f"events[{position}].value", "is required to count unique values")
    if need is Need.PRICED and row.unit_price is None:
        raise Invalid.field(f"events[{position}].unit_price", "is required: the price is the events' own")
    value = row.value if kind is Aggregation.UNIQUE and row.value is not None else row.quantity
    return Occurrence(Event(row.occurred_at or _UNTIMED, 0, position, value), row.unit_price, row.properties)


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
