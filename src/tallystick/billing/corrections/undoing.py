"""An invoice that corrected something is void: what it corrected is marked again, so that the next bill corrects it anew."""

from collections.abc import Iterable
from datetime import datetime

from tallystick.billing.corrections import repository
from tallystick.billing.service.book import Book
from tallystick.invoicing.queries import LineView
from tallystick.kernel.clock import parse_instant
from tallystick.platform.db import Session


def corrects(line: LineView) -> bool:
    """Whether the line belongs to a period that was closed before its invoice was made."""
    return line.corrects is not None or bool(line.inputs.get("late"))


async def mark_again(session: Session, book: Book, account_no: int, lines: Iterable[LineView]) -> None:
    """Marks the stretches of lines that corrected; the caller holds the account's lock."""
    rows: set[tuple[int, int, datetime, datetime]] = set()
    for line in lines:
        if corrects(line):
            counted = line.inputs.get("counted_from")
            start = parse_instant(counted) if counted else line.period_start
            rows.update((account_no, meter, start, line.period_end) for meter in _meters(book, line))
    await repository.mark_again(session, sorted(rows))


def _meters(book: Book, line: LineView) -> set[int]:
    """The meters behind a line; a top-up counts none itself, but follows those of its charge or plan."""
    if line.evidence is not None:
        return {line.evidence.meter_id}
    charges = book.shelf.versions[line.plan_version_id].charges if line.plan_version_id is not None else ()
    return {each.meter_id for each in charges if line.charge_id in (None, each.id)}
