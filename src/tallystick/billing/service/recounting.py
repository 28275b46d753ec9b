"""Counting again what stored usage lines count: for verifying them, and for showing their events."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tallystick.billing.domain.selection import Selection, part_of, select
from tallystick.invoicing.queries import LineView
from tallystick.metering import queries as metering
from tallystick.metering.domain.events import StoredEvent
from tallystick.metering.domain.slices import UsageSlice, UsageTotal, conditions
from tallystick.platform import wire
from tallystick.platform.db import ReadSession


def selection_of(line: LineView) -> Selection:
    """What a stored usage line counts. Raises as `select`."""
    assert line.evidence is not None, "only usage lines count events"
    return select(line.account_no, line.rule, line.inputs, line.evidence, line.period_end)


async def recount(session: ReadSession, selections: Sequence[Selection]) -> list[UsageTotal | None]:
    """What each selection comes to now; None where the state it began from is gone. Lines that share a slice have it counted once.

    A constant number of statements for any number of lines.
    """
    slices: list[UsageSlice] = []
    places: dict[bytes, int] = {}
    wanted = []
    for each in selections:
        place = places.setdefault(_same(each), len(slices))
        if place == len(slices):
            slices.append(each.slice_)
        wanted.append(place)
    firsts = {place: each for each, place in reversed(list(zip(selections, wanted, strict=True)))}
    begun = [place for place, each in firsts.items() if each.began is not None]
    refs = [ref for place in begun if (ref := firsts[place].began) is not None]
    found = await metering.states_named(session, [slices[place] for place in begun], refs)
    gone = {place for place, state in zip(begun, found, strict=True) if state is None}
    for place, state in zip(begun, found, strict=True):
        slices[place] = replace(slices[place], base=state)
    totals = await metering.aggregate(session, slices)
    return [
        None if place in gone else part_of(totals[place], each.group)
        for each, place in zip(selections, wanted, strict=True)
    ]


def _same(each: Selection) -> bytes:
    """The same for lines of one slice."""
    own: UsageSlice = each.slice_
    key: list[Any] = [
        own.account_no, own.meter_id, own.aggregation, own.start, own.end, own.from_batch, own.to_batch, own.field, conditions(own),
        own.percentile, own.group_by, own.dimensions, own.need, own.recurring, own.whole, own.days[-1:],
    ]  # fmt: skip
    if each.began is not None:
        key += [each.began.at, each.began.to_batch]
    return wire.dumps(key)


async def events_of_line(
    session: ReadSession, line: LineView, limit: int, after: tuple[datetime, int, int] | None = None
) -> list[StoredEvent]:
    """The events that a usage line counts, by time and arrival, from after `(occurred_at, batch, position)`; of a group only its own."""
    chosen = selection_of(line)
    return await metering.events(session, chosen.slice_, limit, after, chosen.group)
