"""Bodies that hold events, as the doors for many take and answer them."""

from typing import Any

from fastapi import Request

from tallystick.kernel.errors import UnsupportedMedia
from tallystick.metering import reading
from tallystick.metering.domain.events import IncomingEvent, Verdict
from tallystick.metering.schemas import EventIn

JSON = "application/json"
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
EVENT_SCHEMA = EventIn.model_json_schema()
BATCH_CONTENT: dict[str, Any] = {
    JSON: {"schema": {"type": "array", "maxItems": 10_000, "items": EVENT_SCHEMA}},
    NDJSON[0]: {"schema": {"type": "string", "description": "One event a line"}},
}


async def sent_events(request: Request) -> reading.Sent:
    """The events of a body, JSON array or NDJSON."""
    kind = content_kind(request, JSON, *NDJSON)
    body = await request.body()
    return reading.read_lines(body) if kind in NDJSON else reading.read_array(body)


def verdicts_view(sent: reading.Sent, outcome: list[Verdict]) -> dict[str, Any]:
    """The verdict on each event of a body, and how many there are of each."""
    counts = dict.fromkeys(("accepted", "duplicate", "conflict", "invalid"), 0)
    rows: list[dict[str, Any]] = []
    for place, event, verdict in zip(sent.places, sent.events, outcome, strict=True):
        counts[verdict.status] += 1
        row: dict[str, Any] = {
            sent.place: place,
            "id": event.id if isinstance(event, IncomingEvent) else None,
            "status": verdict.status,
        }
        if verdict.reason:
            row["reason"] = verdict.reason
            row["details"] = verdict.details
        rows.append(row)
    return {**counts, "verdicts": rows}


def content_kind(request: Request, *taken: str) -> str:
    """The body's content type. Raises `UnsupportedMedia` for any that is not taken."""
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind not in taken:
        raise UnsupportedMedia(f"Send {' or '.join(taken)} in UTF-8")
    return kind
