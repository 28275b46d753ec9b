"""What the doors of metering take and answer, for the OpenAPI description. Events themselves are read by `reading.py`."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from tallystick.metering.domain.events import MAX_METER, MAX_PROPERTIES, MAX_TEXT, Scalar
from tallystick.platform.http.fields import (
    Body,
    DecimalOut,
    ExternalId,
    Instant,
    Name,
    Quantity,
    Text,
    UnitPrice,
)

Given = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class EventIn(Body):
    """A usage event. Exactly one of `account_id` and `external_id`; `null` counts as not sent."""

    id: Given = Field(description="Unique for ever within `source`; sending the same event again is safe")
    meter: Annotated[str, Field(min_length=1, max_length=MAX_METER)] = Field(description="A meter's code")
    source: Annotated[str, Field(max_length=MAX_TEXT)] | None = Field(
        None, description="Where the id comes from; the same id under another source is another event"
    )
    account_id: Given | None = None
    external_id: Given | None = Field(None, description="The caller's own id of the account")
    quantity: Quantity | None = Field(None, description="1 where none is sent")
    occurred_at: Instant | None = Field(None, description="Now (of the account's clock) where none is sent")
    properties: Annotated[dict[str, Scalar], Field(max_length=MAX_PROPERTIES)] | None = Field(
        None, description="At most 50 texts, numbers, booleans or nulls, 8 KiB in all"
    )
    unit_price: UnitPrice | None = Field(
        None, description="The price each unit carries, where no plan prices it"
    )


class AcceptedOut(BaseModel):
    """One event that is on disk."""

    id: str
    source: str
    status: Literal["accepted", "duplicate"]


class VerdictOut(BaseModel):
    """One event's verdict: `index` from 0 in an array, `line` from 1 in NDJSON."""

    index: int | None = None
    line: int | None = None
    id: str | None = Field(description="null where it could not be read")
    status: Literal["accepted", "duplicate", "conflict", "invalid"]
    reason: str | None = Field(
        None,
        description="event_conflict, unknown_account, unknown_meter, future, too_late, missing_property, invalid_event, or why "
        "the row cannot be read",
    )
    details: dict[str, str] | None = Field(None, description="Each field that is wrong, and why")


class BatchOut(BaseModel):
    """The verdicts of a batch in its order, and how many there are of each."""

    accepted: int
    duplicate: int
    conflict: int
    invalid: int
    verdicts: list[VerdictOut]


class VoidIn(Body):
    """Why an event is voided, for the record."""

    reason: Text = ""


class VoidedOut(BaseModel):
    """An event that counts no more."""

    id: str
    source: str
    status: Literal["void"]


class CustomerIn(Body):
    customer_name: Name


class CustomerOut(BaseModel):
    id: str
    name: str


class CustomerAnswer(BaseModel):
    """CONTRACT §5, without envelope."""

    customer: CustomerOut


class UsageIn(Body):
    """`request_id` identifies the write where there is no Idempotency-Key."""

    service: Name
    units_consumed: Quantity
    price_per_unit: UnitPrice
    request_id: ExternalId | None = None


class UsageOut(BaseModel):
    id: UUID
    customer_id: str
    service: str
    units_consumed: DecimalOut
    price_per_unit: DecimalOut


class UsageAnswer(BaseModel):
    """CONTRACT §5, without envelope."""

    usage: UsageOut
