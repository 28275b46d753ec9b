"""What became of an event that came too late, or was voided too late."""

from dataclasses import dataclass
from datetime import datetime

from tallystick.accounts.domain import Account
from tallystick.billing.corrections import queries, repository
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.notes import queries as notes
from tallystick.metering.domain.events import StoredEvent
from tallystick.platform.db import ReadSession


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event is counted, or its void told: a line of an invoice, or a credit note."""

    invoice_id: str | None = None
    invoice_number: str | None = None
    line: int | None = None
    credit_note: str | None = None
    corrects: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A state with its reason, where it happened, and when it will."""

    state: str
    reason: str
    place: Place = Place()
    due_at: datetime | None = None


async def counted(session: ReadSession, event: StoredEvent, batch: int) -> Place | None:
    """The first document that knows this batch of the event's time and price, None while none does."""
    line = await invoices.line_covering_event(
        session,
        event.account_no,
        event.meter_id,
        event.occurred_at,
        batch,
        event.unit_price,
        event.properties,
    )
    noted = await queries.noted_covering_event(session, event, batch)
    if noted is not None and (
        line is None or line.evidence is None or noted.to_batch < line.evidence.to_batch
    ):
        note = await notes.note(session, noted.note_id)
        assert note is not None, "a noted correction is on notes"
        return Place(str(note.invoice_id), note.invoice_number, None, note.number, corrects=True)
    if line is None:
        return None
    invoice = await invoices.invoice(session, line.invoice_id)
    corrects = line.corrects is not None or bool(line.inputs.get("late"))
    return Place(str(line.invoice_id), invoice.number if invoice else None, line.position, None, corrects)


async def voided(session: ReadSession, event: StoredEvent, account: Account) -> Told:
    """What became of a voided event: never billed, taken back, or to be taken back."""
    assert event.voided_by is not None
    before = await counted(session, event, event.batch_id)
    after = await counted(session, event, event.voided_by)
    if before is None or before == after:
        return Told("void", "voided before it was billed; it costs nothing")
    if after is None:
        return Told(
            "void", f"voided after it was billed; {_awaited(account)}", before, account.next_billing_at
        )
    return Told("void", f"voided after it was billed; {_where(after)} takes it back", after)


async def billed(session: ReadSession, event: StoredEvent) -> Told | None:
    """On which document the event is counted, None while it is on none."""
    place = await counted(session, event, event.batch_id)
    if place is None:
        return None
    if place.corrects:
        return Told("corrected", f"it came after its period was billed; {_where(place)} counts it", place)
    return Told("billed", f"counted on line {place.line}", place)


async def late(session: ReadSession, event: StoredEvent, account: Account) -> Told:
    """An event of a period that is billed, and on no document: it awaits its correction, or was looked at and no price counts it."""
    swept = await repository.swept_to(session) >= event.batch_id
    if swept and not await queries.pending(session, event.account_no, event.meter_id, event.occurred_at):
        return Told("unpriced", "it came after its period was billed, and no price of that period counts it")
    return Told(
        "late", f"it came after its period was billed; {_awaited(account)}", due_at=account.next_billing_at
    )


def _awaited(account: Account) -> str:
    if not account.is_open:
        return "the account is closed, nothing more is billed"
    return "the correction comes with the account's next bill"


def _where(place: Place) -> str:
    if place.credit_note is not None:
        return f"credit note {place.credit_note}"
    return f"line {place.line} of {place.invoice_number}"
