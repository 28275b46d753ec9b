"""Types of request fields: strict about kind, exact about digits, clear about what is wrong, silent about what was sent.

Amounts and quantities are JSON numbers or strings of plain ASCII digits; a boolean is never a number. Problems are raised as
`ValueError`, which the framework collects, so that one answer names every bad field.
"""

import re
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from tallystick.kernel.clock import parse_instant
from tallystick.kernel.currencies import EXPONENTS
from tallystick.kernel.errors import Invalid, Refusal

_DECIMAL = re.compile(r"^-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WIDE = Context(prec=90)
"""Wider than any number let in, so that checking one never rounds it."""


def decimal_value(value: object) -> Decimal:
    """A number or a string of digits as Decimal, every digit kept. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("must be a number, or a string of digits")
    if isinstance(value, str):
        if not _DECIMAL.match(value):
            raise ValueError("must be a plain decimal number such as 12.50")
        value = Decimal(value)
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError("must be a finite number")
    return number


def bounded_decimal(
    places: int, integer_digits: int, *, negative: bool = False, zero: bool = True
) -> BeforeValidator:
    """A validator for decimals with at most `places` decimals and `integer_digits` digits before the point."""

    def check(value: object) -> Decimal:
        number = decimal_value(value)
        if number < 0 and not negative:
            raise ValueError("must not be negative")
        if number == 0 and not zero:
            raise ValueError("must not be zero")
        if abs(number) >= Decimal(10) ** integer_digits:
            raise ValueError(f"must be below 10^{integer_digits}")
        if number != number.quantize(Decimal(1).scaleb(-places), context=_WIDE):
            raise ValueError(f"has more than {places} decimals")
        return number if number else Decimal(0)

    return BeforeValidator(check)


_NUMBER = WithJsonSchema({"type": "number"})
_NUMBER_IN = WithJsonSchema(
    {
        "anyOf": [
            {"type": "number"},
            {"type": "string", "pattern": r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$"},
        ]
    }
)

DecimalOut = Annotated[Decimal, _NUMBER]
"""A decimal in an answer: a JSON number with exact digits."""

Amount = Annotated[Decimal, bounded_decimal(4, 15), _NUMBER_IN]
"""An amount of money, not negative; the command checks it against its currency's decimals."""

SignedAmount = Annotated[Decimal, bounded_decimal(4, 15, negative=True), _NUMBER_IN]
UnitPrice = Annotated[Decimal, bounded_decimal(12, 15), _NUMBER_IN]
"""A price per unit: up to 12 decimals, not negative."""

Quantity = Annotated[Decimal, bounded_decimal(12, 18), _NUMBER_IN]
"""Units consumed: not negative, up to 12 decimals, below 10^18."""

SignedQuantity = Annotated[Decimal, bounded_decimal(12, 18, negative=True), _NUMBER_IN]


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 time with offset, as in 2024-01-01T00:00:00Z")
    return parse_instant(value)


def _date(value: object) -> date:
    if not isinstance(value, str) or not re.match(r"^\d{4}-\d\d-\d\d\Z", value, re.ASCII):
        raise ValueError("must be a date such as 2024-01-31")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a date that exists") from None
    if not 1970 <= day.year < 9000:
        raise ValueError("must lie between 1970 and 9000")
    return day


Instant = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Day = Annotated[date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]


def clean_text(value: str) -> str:
    """Refuses control characters; raises `ValueError`."""
    if _CONTROL.search(value):
        raise ValueError("must not hold control characters")
    return value


def _text(value: object) -> object:
    return clean_text(value) if isinstance(value, str) else value


def _currency(value: object) -> str:
    if not isinstance(value, str) or value not in EXPONENTS:
        raise ValueError("must be an ISO 4217 currency code such as USD")
    return value


Currency = Annotated[
    str,
    BeforeValidator(_currency),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["USD"]}),
]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), BeforeValidator(_text)
]
Text = Annotated[str, BeforeValidator(_text), StringConstraints(max_length=2000)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
"""A caller's own short name for something: letters, digits, `_.:-`, at most 100."""

ExternalId = Annotated[str, BeforeValidator(_text), StringConstraints(min_length=1, max_length=255)]
Metadata = Annotated[dict[str, Any], Field(max_length=50)]
Limit = Annotated[int, Field(ge=1, le=200)]


class Body(BaseModel):
    """Base of request bodies: kinds are strict, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Nothing(Body):
    """The body of a command that takes none: absent or `{}`; a field that would be ignored is refused instead."""


class PutBody(BaseModel):
    """Base of PUT bodies: the fields declared may change; fields that GET returns may be sent back unchanged."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, hide_input_in_errors=True)


class ReadOnly(Invalid):
    code = "read_only"
    sentence = "Some fields cannot be changed; see details"


def put_changes(body: PutBody, current: Any) -> dict[str, Any]:
    """The changes that a PUT names, as {field: value}. `current` is what GET returns (a dataclass or dict).

    Raises `ReadOnly` for a field of `current` sent with another value, `Invalid` for a field nobody knows.
    """
    from tallystick.platform import wire

    shown = wire.loads_own(wire.dumps(current))
    strings = wire.loads_own(wire.dumps_decimal_strings(current))  # as `Prefer: decimals=string` shows it
    readonly: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for name, value in (body.model_extra or {}).items():
        if name not in shown:
            unknown[name] = "is not a field of this resource"
        elif wire.canonical(value) not in (wire.canonical(shown[name]), wire.canonical(strings[name])):
            readonly[name] = "cannot be changed here"
    refused: Refusal | None = (
        Invalid(details=unknown) if unknown else ReadOnly(details=readonly) if readonly else None
    )
    if refused is not None:
        raise refused
    declared = body.model_fields_set - set(body.model_extra or {})
    return {name: getattr(body, name) for name in sorted(declared)}
