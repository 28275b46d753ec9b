"""Bodies of the account routes. Answers are the read models themselves (`AccountView`, `Clock`)."""

import re
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from tallystick.accounts.domain import is_country
from tallystick.identity.schemas import Email, NewPassword
from tallystick.kernel.errors import Invalid
from tallystick.kernel.zones import zone
from tallystick.platform.http.fields import (
    Body,
    Currency,
    ExternalId,
    Instant,
    Metadata,
    Name,
    PutBody,
    clean_text,
)

_PHONE = re.compile(r"\+?[0-9(][0-9 ().\-/]{2,38}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_MAX_LINE = 500
_MAX_LINES = 20


def _matching(pattern: re.Pattern[str], sentence: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(sentence)
        return value

    return check


def _zone(value: object) -> object:
    if isinstance(value, str):
        try:
            zone(value)
        except Invalid:
            raise ValueError("must be an IANA time zone name such as Europe/Berlin") from None
    return value


def _country(value: object) -> object:
    if isinstance(value, str) and not is_country(value):
        raise ValueError("must be an ISO 3166 country code such as DE")
    return value


def _line(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(clean_text(value)) <= _MAX_LINE)


def _address(value: object) -> object:
    if isinstance(value, str) and value and _line(value):
        return value
    if isinstance(value, dict) and len(value) <= _MAX_LINES:
        if all(len(clean_text(name)) <= 50 and _line(line) for name, line in value.items()):
            return value
        raise ValueError(f"each line must be text of at most {_MAX_LINE} characters")
    raise ValueError(f"must be text, or an object of at most {_MAX_LINES} lines of text")


def uuid_value(value: object) -> object:
    """A UUID from its text; raises `ValueError`."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value) if isinstance(value, str) and len(value) <= 45 else _no_uuid()
    except ValueError:
        return _no_uuid()


def _no_uuid() -> UUID:
    raise ValueError("must be a UUID")


Uuid = Annotated[UUID, BeforeValidator(uuid_value), WithJsonSchema({"type": "string", "format": "uuid"})]
Phone = Annotated[
    str,
    BeforeValidator(_matching(_PHONE, "must be a telephone number such as +49 30 1234567")),
    Field(examples=["+49301234567"]),
]
Address = Annotated[
    Any,
    BeforeValidator(_address),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": _MAX_LINE},
                {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
            ],
            "examples": [{"line1": "Hauptstr. 1", "postal_code": "10115", "city": "Berlin", "country": "DE"}],
        }
    ),
]
Timezone = Annotated[str, BeforeValidator(_zone), Field(examples=["Europe/Berlin"])]
Locale = Annotated[
    str,
    BeforeValidator(_matching(_LOCALE, "must be a language tag such as de-DE")),
    Field(examples=["de-DE"]),
]
TaxId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./_-]{0,49}$")]
Country = Annotated[str, BeforeValidator(_country), Field(examples=["DE"])]


class AccountIn(Body):
    """A new account. Without `timezone` it gets that of the phone's country where that has one, else of `country`, else UTC."""

    name: Name
    email: Email | None = Field(None, description="Unique among open accounts, whatever its case")
    phone: Phone | None = None
    address: Address | None = None
    currency: Currency | None = None
    timezone: Timezone | None = None
    locale: Locale | None = None
    tax_id: TaxId | None = None
    country: Country | None = Field(None, description="ISO 3166-1 alpha-2")
    external_id: ExternalId | None = Field(None, description="Your own id for it, unique among open accounts")
    metadata: Metadata = Field(default_factory=dict)
    test_clock_id: Uuid | None = Field(None, description="Puts the account on a test clock, for good")


class AccountPut(PutBody):
    """What may change of an account; fields left out stay as they are. `external_id` and `metadata` are for staff."""

    name: Name = ""
    email: Email | None = None
    phone: Phone | None = None
    address: Address | None = None
    timezone: Timezone = Field("UTC", description="A new zone applies from the next period on")
    locale: Locale | None = None
    tax_id: TaxId | None = None
    country: Country | None = None
    external_id: ExternalId | None = None
    metadata: Metadata = Field(default_factory=dict)


class ClockIn(Body):
    """A new test clock."""

    frozen_time: Instant
    name: Name = "test clock"


class RegisterIn(Body):
    """A person who signs up."""

    email: Email
    password: NewPassword
    first_name: Name
    last_name: Name
