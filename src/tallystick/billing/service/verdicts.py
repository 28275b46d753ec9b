"""What became of an event: pending, billed on which line, or why not."""

from dataclasses import dataclass
from typing import Any

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.billing.corrections import telling
from tallystick.billing.corrections.telling import Told
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import Charge
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound
from tallystick.metering import queries as metering
from tallystick.metering.backfills import queries as backfills
from tallystick.metering.backfills.domain import Chain, Link
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import StoredEvent
from tallystick.platform.db import ReadSession
from tallystick.subscriptions import queries as subscriptions


class EventNotFound(NotFound):
    code = "event_not_found"
    sentence = "There is no event with this source and id"


@dataclass(frozen=True, slots=True)
class EventFate:
    """An event and where it went. `state` is pending, billed, void, free, unpriced, late or corrected; `reason` is for people.

    `late` came after its period was billed, and `due_at` is when the bill with its correction is due; `corrected` is on that document.
    `amends` and `reinstates` are the id that it stands for, `amended_by` and `reinstated_by` the one that stands for it, in the same source.
    """

    id: str
    source: str
    account_id: str
    meter: str
    occurred_at: Any
    quantity: Any
    unit_price: Any
    properties: Any
    received_at: Any
    state: str
    reason: str
    invoice_id: str | None
    invoice_number: str | None
    line: int | None
    credit_note: str | None
    due_at: Any
    amends: str | None
    amended_by: str | None
    reinstates: str | None
    reinstated_by: str | None
    backfill_id: Any
    voided_by_backfill_id: Any


async def fate(session: ReadSession, actor: Actor, source: str, event_id: str) -> EventFate:
    """The event's state now. Raises `EventNotFound`; to a customer, events of others are not there."""
    key = event_key(source, event_id)
    event = (await metering.stored(session, [key])).get(key)
    if event is None or (actor.is_customer and event.account_no != actor.account_no):
        raise EventNotFound
    account = (await accounts.by_nos(session, [event.account_no]))[event.account_no]
    meter = (await catalog.meters(session, [event.meter_id]))[event.meter_id]
    told = await _state(session, event, account)
    chain = await backfills.chain(session, event)
    return EventFate(
        event.id, event.source, account.id, meter.code, event.occurred_at, event.quantity, event.unit_price, event.properties,
        event.received_at, told.state, _following(chain) + told.reason, told.place.invoice_id, told.place.invoice_number, told.place.line,
        told.place.credit_note, told.due_at, _id(chain.former, "amendment"), _id(chain.successor, "amendment"),
        _id(chain.former, "reinstatement"), _id(chain.successor, "reinstatement"), chain.written_by, chain.voided_by,
    )  # fmt: skip


def _id(link: Link | None, kind: str) -> str | None:
    return link.id if link is not None and link.kind == kind else None


def _following(chain: Chain) -> str:
    """What stands for the event now, and why, for the beginning of the reason."""
    if chain.successor is not None and chain.successor.kind == "amendment":
        return f"amended by {chain.successor.id}; "
    if chain.successor is not None:
        return f"replaced by a backfill that was reverted, reinstated by {chain.successor.id}; "
    return "" if chain.voided_by is None else "taken away by a backfill or its revert; "


def _taken(event: StoredEvent, charge: Charge) -> bool:
    return all(event.properties.get(name) in wanted for name, wanted in charge.filters.items())


async def _state(session: ReadSession, event: StoredEvent, account: Account) -> Told:
    if event.voided_by is not None:
        return await telling.voided(session, event, account)
    meter = (await catalog.meters(session, [event.meter_id]))[event.meter_id]
    if any(event.properties.get(name) not in wanted for name, wanted in meter.filters.items()):
        return Told("unpriced", "the meter's filters leave it out")
    found = await telling.billed(session, event)
    if found is not None:
        return found
    owned = await subscriptions.by_accounts(session, [event.account_no])
    versions = await catalog.plan_versions(session, sorted({each.plan_version_id for each in owned}))
    for each in owned:
        runs = each.started_at <= event.occurred_at and (
            each.ended_at is None or event.occurred_at < each.ended_at
        )
        charges = [
            charge for charge in versions[each.plan_version_id].charges if charge.meter_id == event.meter_id
        ]
        if runs and charges:
            if not any(_taken(event, charge) for charge in charges):
                return Told("unpriced", "the filters of the plan's charges leave it out")
            if event.occurred_at < each.anchor:
                return Told("free", "used in the plan's trial, which costs nothing")
            if event.occurred_at < each.usage_billed_to:
                return await telling.late(session, event, account)
            return Told("pending", "priced by the subscription when its period closes")
    if event.unit_price is None:
        return Told(
            "unpriced", "no subscription of the account prices this meter, and the event carries no price"
        )
    if event.occurred_at < account.usage_billed_to:
        return await telling.late(session, event, account)
    return Told("pending", "billed at its own price when the calendar month closes")
