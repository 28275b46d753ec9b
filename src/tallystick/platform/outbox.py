"""Events leave the house through a table written in the transaction that causes them: committed together or not at all."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from tallystick.contracts.events import Event
from tallystick.platform import repository
from tallystick.platform.db import Session


async def emit(session: Session, *events: Event, request_id: str = "") -> None:
    """Adds events to the outbox. The caller holds the lock of each subject, so that their order is the order of commits."""
    await emit_all(session, events, request_id=request_id)


async def emit_all(session: Session, events: Iterable[Event], *, request_id: str = "") -> None:
    """As `emit`, for a batch: one statement whatever their number."""
    rows = [
        (
            event.TYPE,
            event.VERSION,
            event.SUBJECT,
            event.subject_id,
            payload(event),
            request_id,
            event.occurred_at,
        )
        for event in events
    ]
    if rows:
        await repository.insert_outbox(session, rows)


def payload(event: Event) -> dict[str, Any]:
    """The event's fields as they go over the wire."""
    return {field.name: getattr(event, field.name) for field in fields(event)}  # type: ignore[arg-type]
