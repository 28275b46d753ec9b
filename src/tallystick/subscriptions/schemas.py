"""Bodies and answers of the subscription routes."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from tallystick.kernel.clock import parse_instant
from tallystick.platform.http.fields import Body, DecimalOut, Quantity


def _moment(value: object) -> object:
    """A local date of the account, or an instant."""
    if not isinstance(value, str):
        raise ValueError("must be a date such as 2024-01-31, or a time with offset")
    if len(value) != 10:
        return parse_instant(value)
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a date that exists") from None
    if not 1970 <= day.year < 9000:
        raise ValueError("must lie between 1970 and 9000")
    return day


def _when(value: object) -> object:
    return value if value in ("now", "period_end") else _moment(value)


def _positive(value: Any) -> Any:
    if value <= 0:
        raise PydanticCustomError("positive", "must be greater than 0")
    return value


_MOMENT = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}],
    "examples": ["2024-01-31"],
}
Moment = Annotated[date | datetime, BeforeValidator(_moment), WithJsonSchema(_MOMENT)]
When = Annotated[
    Literal["now", "period_end"] | date | datetime,
    BeforeValidator(_when),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "enum": ["now", "period_end"]}, {"type": "string", "format": "date"}]}
    ),
]
Positive = Annotated[Quantity, AfterValidator(_positive)]


class SubscriptionIn(Body):
    """A new subscription."""

    account_id: str = Field(max_length=64)
    plan_id: int = Field(ge=1, le=2**31 - 1)
    start_date: Moment | None = Field(
        None, description="A local date of the account (its midnight) or an instant; now unless given"
    )
    quantity: Positive | None = Field(None, description="How many times the plan's price; 1 unless given")


class PlanBriefOut(BaseModel):
    """The plan, in the version subscribed to."""

    id: int
    code: str
    name: str
    features: dict[str, Any]
    version: int


class SubscriptionOut(BaseModel):
    """A subscription at its account's present. `end_date` is null while open and may lie ahead; `canceled_at` is when that was asked."""

    id: UUID
    account_id: str
    user_id: int | None
    plan_id: int
    status: Literal["active", "canceled"]
    quantity: DecimalOut
    currency: str
    start_date: datetime
    trial_end: datetime | None
    end_date: datetime | None
    canceled_at: datetime | None
    current_period_start: datetime
    current_period_end: datetime
    next_billing_at: datetime | None = Field(description="When its next bill is made")
    plan: PlanBriefOut
    revision: int
    created_at: datetime
    updated_at: datetime
