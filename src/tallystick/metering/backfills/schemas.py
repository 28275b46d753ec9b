"""What amendments and backfills take and show over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from tallystick.metering.backfills.domain import MAX_ACCOUNTS, MAX_METERS, Amendment, Mode, NewBackfill
from tallystick.metering.domain.events import MAX_METER, MAX_PROPERTIES, MAX_TEXT
from tallystick.platform.http.fields import Body, DecimalOut, Instant, Quantity, Text, UnitPrice

_Id = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
_Code = Annotated[str, Field(min_length=1, max_length=MAX_METER)]


class AmendIn(Body):
    """What is to be different of an event; what is not sent stays. Account and meter cannot change: void it and record another."""

    quantity: Quantity | None = None
    occurred_at: Instant | None = Field(
        None, description="Older than the late limit only with the right events:backfill"
    )
    properties: Annotated[dict[str, Any], Field(max_length=MAX_PROPERTIES)] | None = Field(
        None, description="All of them: they replace the former ones"
    )
    unit_price: UnitPrice | None = None
    account_id: _Id | None = Field(None, description="The event's own, if sent")
    external_id: _Id | None = Field(None, description="The event's own, if sent")
    meter: _Code | None = Field(None, description="The event's own, if sent")
    reason: Text = ""

    def asked(self, properties: dict[str, Any] | None) -> Amendment:
        """The amendment, with its properties as the reader of events reads them."""
        return Amendment(
            self.quantity, self.occurred_at, properties, self.unit_price, self.account_id, self.external_id, self.meter, self.reason,
        )  # fmt: skip


class AmendedOut(BaseModel):
    """The event that stands for the amended one from now on, under an id of its own."""

    id: str
    source: str
    amends: str = Field(description="The id that was amended, which is void now")
    occurred_at: datetime
    quantity: DecimalOut
    unit_price: DecimalOut | None
    properties: dict[str, Any]
    status: Literal["accepted"]


class BackfillIn(Body):
    """A window of usage to fill up (`add`) or to replace whole (`replace`)."""

    account_ids: Annotated[list[_Id], Field(min_length=1, max_length=MAX_ACCOUNTS)] | None = Field(
        None, description="Which accounts; null for every open account of your company"
    )
    meters: Annotated[list[_Code], Field(min_length=1, max_length=MAX_METERS)] = Field(
        description="Codes of the meters"
    )
    period_start: Instant
    period_end: Instant = Field(description="Not included, not in the future, at most 400 days later")
    mode: Literal["add", "replace"] = Field(
        description="replace: all that counts in the window at the commit is void then, late arrivals too"
    )
    reason: Text = ""

    def asked(self, backfill_id: UUID) -> NewBackfill:
        """The backfill to be opened."""
        ids = None if self.account_ids is None else tuple(self.account_ids)
        return NewBackfill(
            backfill_id,
            Mode(self.mode),
            ids,
            tuple(self.meters),
            self.period_start,
            self.period_end,
            self.reason,
        )


class CommitIn(Body):
    """How sure you are. Both may be left out."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = Field(
        None, description="That of a diff: commit exactly what it showed, or nothing"
    )
    void_all: bool = Field(False, description="Needed where a replacement holds no event")


class BackfillOut(BaseModel):
    """A backfill. `added`, `kept` (staged, and on disk already) and `replaced` count what its commit did, the others what its revert did."""

    id: UUID
    state: Literal["open", "committed", "cancelled", "reverted"]
    mode: Literal["add", "replace"]
    account_ids: list[str] | None
    meters: list[str]
    period_start: datetime
    period_end: datetime
    reason: str
    staged: int
    added: int
    kept: int
    replaced: int
    withdrawn: int
    reinstated: int
    opened_by: str
    opened_at: datetime
    committed_at: datetime | None
    cancelled_at: datetime | None
    reverted_at: datetime | None
