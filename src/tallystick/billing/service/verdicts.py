"""What became of an event: pending, billed on which line, or why not."""

from dataclasses import dataclass
from typing import Any

from tallystick.accounts import queries as accounts
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import Charge
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.queries import LineView
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound
from tallystick.metering import queries as metering
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import StoredEvent
from tallystick.platform.db import ReadSession
from tallystick.subscriptions import queries as subscriptions


class EventNotFound(NotFound):
    code = "event_not_found"
    sentence = "There is no event with this source and id"


@dataclass(frozen=True, slots=True)
class EventFate:
    """An event and where it went. `state` is pending, billed, void, free, unpriced or late; `reason` is for people."""

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


async def fate(session: ReadSession, actor: Actor, source: str, event_id: str) -> EventFate:
    """The event's state now. Raises `EventNotFound`; to a customer, events of others are not there."""
    key = event_key(source, event_id)
    event = (await metering.stored(session, [key])).get(key)
    if event is None or (actor.is_customer and event.account_no != actor.account_no):
        raise EventNotFound
    account = (await accounts.by_nos(session, [event.account_no]))[event.account_no]
    meter = (await catalog.meters(session, [event.meter_id]))[event.meter_id]
    state, reason, where = await _state(session, event)
    return EventFate(
        event.id, event.source, account.id, meter.code, event.occurred_at, event.quantity, event.unit_price, event.properties,
        event.received_at, state, reason, *where,
    )  # fmt: skip


Where = tuple[str | None, str | None, int | None]
NOWHERE: Where = (None, None, None)


async def billed(session: ReadSession, event: StoredEvent) -> bool:
    """Whether an invoice line counts the event: then it cannot be voided before that invoice is."""
    return await _line(session, event) is not None


async def _line(session: ReadSession, event: StoredEvent) -> LineView | None:
    return await invoices.line_covering_event(
        session, event.account_no, event.meter_id, event.occurred_at, event.batch_id, event.unit_price, event.properties
    )  # fmt: skip


def _taken(event: StoredEvent, charge: Charge) -> bool:
    return all(event.properties.get(name) in wanted for name, wanted in charge.filters.items())


async def _state(session: ReadSession, event: StoredEvent) -> tuple[str, str, Where]:
    if event.voided_by is not None:
        return "void", "voided; it counts for nothing that was not billed before", NOWHERE
    meter = (await catalog.meters(session, [event.meter_id]))[event.meter_id]
    if any(event.properties.get(name) not in wanted for name, wanted in meter.filters.items()):
        return "unpriced", "the meter's filters leave it out", NOWHERE
    line = await _line(session, event)
    if line is not None:
        invoice = await invoices.invoice(session, line.invoice_id)
        number = invoice.number if invoice else None
        return "billed", f"counted on line {line.position}", (str(line.invoice_id), number, line.position)
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
                return "unpriced", "the filters of the plan's charges leave it out", NOWHERE
            if event.occurred_at < each.anchor:
                return "free", "used in the plan's trial, which costs nothing", NOWHERE
            if event.occurred_at < each.usage_billed_to:
                return "late", "it came after its period was billed; it awaits a correction", NOWHERE
            return "pending", "priced by the subscription when its period closes", NOWHERE
    if event.unit_price is None:
        return (
            "unpriced",
            "no subscription of the account prices this meter, and the event carries no price",
            NOWHERE,
        )
    account = (await accounts.by_nos(session, [event.account_no]))[event.account_no]
    if event.occurred_at < account.usage_billed_to:
        return "late", "it came after its month was billed; it awaits a correction", NOWHERE
    return "pending", "billed at its own price when the calendar month closes", NOWHERE
