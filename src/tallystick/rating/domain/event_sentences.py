"""The sentences of the models that look at events: how many of them are in each class, never one sentence per event."""

from tallystick.rating.domain.steps import (
    BelowZero,
    EventsAtMaximum,
    EventsAtMinimum,
    FixedParts,
    FreeEvents,
    MatrixUnits,
    OwnPrices,
    RateOf,
    Step,
)
from tallystick.rating.domain.writing import Writer


def event_sentence(step: Step, w: Writer) -> str:
    """The sentence of a step that only these models take."""
    match step:
        case RateOf(rate=rate, units=units):
            return f"{w.percent(rate)} of {w.volume(units)} = {w.money(step.subtotal)}"
        case FixedParts(events=count, fixed_amount=fixed):
            return f"{events(count)} at {w.money(fixed)} each = {w.money(step.subtotal)}"
        case FreeEvents():
            return _free(step, w)
        case EventsAtMinimum(events=count, units=units, min_per_event=least):
            return f"{events(count)} of {w.volume(units)} in all at the minimum of {_each(count, w.money(least), w, step)}"
        case EventsAtMaximum(events=count, units=units, max_per_event=most):
            return f"{events(count)} of {w.volume(units)} in all at the maximum of {_each(count, w.money(most), w, step)}"
        case OwnPrices():
            counted = f" in {events(step.events)}" if step.events else ""
            return (
                f"{w.units(step.units)}{counted}, each event at its own unit price = {w.money(step.subtotal)}"
            )
        case BelowZero(before=before):
            return f"{w.money(before)} is below zero and billed as {w.money(before * 0)}"
    assert isinstance(step, MatrixUnits)
    return _matrix(step, w)


def events(count: int) -> str:
    """`1 event`, `2,000 events`."""
    return f"{count:,} {'event' if count == 1 else 'events'}"


def _each(count: int, amount: str, w: Writer, step: Step) -> str:
    return f"{amount} per event" if count == 1 else f"{amount} per event = {w.money(step.subtotal)}"


def _free(step: FreeEvents, w: Writer) -> str:
    parts = []
    if step.events:
        parts.append(f"{events(step.events)} of {w.volume(step.units)} in all")
    if step.split_units:
        parts.append(f"{w.volume(step.split_units)} of the event that crosses the free total")
    allowance = "" if step.prorated == 1 else f" within {step.prorated} of the period's allowance"
    return f"free{allowance}: {' and '.join(parts)}"


def _matrix(step: MatrixUnits, w: Writer) -> str:
    which = f"row {step.row}" if step.row is not None else "no row, default"
    matches = f" ({step.matches})" if step.matches else (" (everything)" if step.row is not None else "")
    several = f" in {step.combinations:,} combinations" if step.combinations > 1 else ""
    return f"{which}{matches}: {w.units(step.units)}{several} at {w.money(step.unit_amount)} = {w.money(step.subtotal)}"
