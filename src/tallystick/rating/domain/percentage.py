"""percentage {rate, fixed_amount, free_events, free_total, min_per_event, max_per_event}: a part of an amount, and of each event.

The quantity is an amount of money; `rate` is a fraction of it (0.029 is 2.9 %). Source: SEMANTICS "Charge models". What it leaves open:

- An event is free, of rate and fixed amount alike, while both allowances last; one that fills `free_total` exactly is free, the
  one that crosses it pays the rate on what is beyond and its whole fixed amount. 0 is the same as no such allowance.
- Minimum and maximum bound rate and fixed amount together, of every event that is not wholly free.
- An event below zero (a refund) uses up no free total and lowers the sum by its rate; free, it changes nothing. A sum below zero bills
  zero. So bounds and allowances that never apply change nothing.
- Allowances are included units and prorated so, free events to whole ones (rounded down). What is per event never is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Final

from tallystick.rating.domain.exactness import over_one_denominator
from tallystick.rating.domain.metered import Folded, Metered, Need
from tallystick.rating.domain.models import EventModel, Share
from tallystick.rating.domain.reading import ZERO, Fields
from tallystick.rating.domain.steps import (
    BelowZero,
    EventsAtMaximum,
    EventsAtMinimum,
    FixedParts,
    FreeEvents,
    RateOf,
    Step,
)

REFUSES: Final[Mapping[str, str]] = {
    "usage_discount_units": "has no meaning for percentage; use free_total",
    "unit_conversion.round_up": "has no meaning for percentage: amounts are not rounded up to whole units",
}


@dataclass(frozen=True, slots=True)
class Percentage(EventModel):
    """Allowances and bounds are None where there are none."""

    rate: Fraction
    fixed_amount: Fraction
    free_events: Fraction | None
    free_total: Fraction | None
    least: Fraction | None
    most: Fraction | None

    @property
    def needs(self) -> Need:
        by_event = (self.free_events, self.free_total, self.least, self.most)
        if any(each is not None for each in by_event):
            return Need.VALUES
        return Need.COUNT if self.fixed_amount else Need.TOTAL

    def fold(self, metered: Metered, share: Share, scale: Fraction) -> Metered:
        if self.needs is not Need.VALUES or metered.folded is not None:
            return metered
        folded = self._fold(metered.values, share, scale)
        return Metered(metered.units, len(metered.values), folded=folded)

    def amount(self, metered: Metered, share: Share, scale: Fraction) -> Fraction:
        return max(self._sum(self._folded(metered, share, scale), scale), ZERO)

    def steps(self, metered: Metered, share: Share, scale: Fraction) -> tuple[Step, ...]:
        it = self._folded(metered, share, scale)
        steps = [
            *self._free_steps(it, share, scale),
            *self._plain_steps(it, scale),
            *self._bound_steps(it, scale),
        ]
        whole = self._sum(it, scale)
        if whole < 0:
            steps.append(BelowZero(before=whole, subtotal=-whole))
        return tuple(steps)

    def _folded(self, metered: Metered, share: Share, scale: Fraction) -> Folded:
        if self.needs is not Need.VALUES:
            return Folded(plain_events=metered.events, plain_units=metered.units)
        return self.fold(metered, share, scale).folded or Folded()

    def _sum(self, it: Folded, scale: Fraction) -> Fraction:
        plain = self.rate * scale * it.plain_units + self.fixed_amount * it.plain_events
        return plain + (self.least or ZERO) * it.low_events + (self.most or ZERO) * it.high_events

    def _fold(self, values: Sequence[Fraction | Decimal], share: Share, scale: Fraction) -> Folded:
        """One pass for the free events, one for each bound, all in integers: fractions would take seconds for a million events."""
        whole, unit = over_one_denominator(values)
        free, split, crossing = self._free(whole, share, unit / scale)
        charged = whole[free + (split > 0) :]
        low, high = self._bounds(charged, unit, scale)
        under = [] if low is None else [value for value in charged if value < low]
        over = [] if high is None else [value for value in charged if value > high]
        folded = Folded(
            free_events=free,
            free_units=Fraction(sum(whole[:free]), unit),
            split_units=split / unit,
            plain_events=len(charged) - len(under) - len(over),
            plain_units=Fraction(sum(charged) - sum(under) - sum(over), unit),
            low_events=len(under),
            low_units=Fraction(sum(under), unit),
            high_events=len(over),
            high_units=Fraction(sum(over), unit),
        )
        return self._with(folded, crossing / unit, scale) if split else folded

    def _free(self, whole: Sequence[int], share: Share, per_unit: Fraction) -> tuple[int, Fraction, Fraction]:
        """How many events are free, and the free and the charged part of the one that crosses (0 and 0 where none does)."""
        if self.free_events is None and self.free_total is None:
            return 0, ZERO, ZERO
        most = len(whole) if self.free_events is None else floor(self.free_events * share.limits)
        total = None if self.free_total is None else self.free_total * share.limits * per_unit
        if total is None:
            return min(most, len(whole)), ZERO, ZERO
        used, reached, full = 0, floor(total), ceil(total)
        for index, value in enumerate(whole[:most]):
            if used >= full:
                return index, ZERO, ZERO
            after = used + value if value > 0 else used
            if after > reached:
                return index, total - used, after - total
            used = after
        return min(most, len(whole)), ZERO, ZERO

    def _bounds(self, charged: Sequence[int], unit: int, scale: Fraction) -> tuple[int | None, int | None]:
        """Values below the first pay the minimum, values above the second the maximum; None: none do. In parts of `unit`."""
        low = None if self.least is None else self.least - self.fixed_amount
        high = None if self.most is None else self.most - self.fixed_amount
        if not charged:
            return None, None
        if not self.rate:  # every event costs its fixed amount, so all of them are at a bound or none is
            under, over = low is not None and low > 0, high is not None and high < 0
            return (max(charged) + 1 if under else None), (min(charged) - 1 if over else None)
        slope = self.rate * scale / unit
        return (None if low is None else ceil(low / slope)), (None if high is None else floor(high / slope))

    def _with(self, folded: Folded, units: Fraction, scale: Fraction) -> Folded:
        """One more charged event."""
        cost = self.rate * scale * units + self.fixed_amount
        if self.least is not None and cost < self.least:
            return replace(folded, low_events=folded.low_events + 1, low_units=folded.low_units + units)
        if self.most is not None and cost > self.most:
            return replace(folded, high_events=folded.high_events + 1, high_units=folded.high_units + units)
        return replace(folded, plain_events=folded.plain_events + 1, plain_units=folded.plain_units + units)

    def _free_steps(self, it: Folded, share: Share, scale: Fraction) -> list[Step]:
        if not it.free_events and not it.split_units:
            return []
        return [
            FreeEvents(
                events=it.free_events,
                units=it.free_units * scale,
                split_units=it.split_units * scale,
                prorated=share.limits,
            )
        ]

    def _plain_steps(self, it: Folded, scale: Fraction) -> list[Step]:
        units, steps = it.plain_units * scale, list[Step]()
        others = it.free_events or it.low_events or it.high_events
        if units or it.plain_events or not others:
            steps.append(RateOf(rate=self.rate, units=units, subtotal=self.rate * units))
        if it.plain_events and self.fixed_amount:
            fixed = self.fixed_amount
            steps.append(
                FixedParts(events=it.plain_events, fixed_amount=fixed, subtotal=it.plain_events * fixed)
            )
        return steps

    def _bound_steps(self, it: Folded, scale: Fraction) -> list[Step]:
        steps: list[Step] = []
        if it.low_events and self.least is not None:
            units, paid = it.low_units * scale, it.low_events * self.least
            steps.append(
                EventsAtMinimum(events=it.low_events, units=units, min_per_event=self.least, subtotal=paid)
            )
        if it.high_events and self.most is not None:
            units, paid = it.high_units * scale, it.high_events * self.most
            steps.append(
                EventsAtMaximum(events=it.high_events, units=units, max_per_event=self.most, subtotal=paid)
            )
        return steps


def read(fields: Fields) -> Percentage:
    """Version 1. A minimum of 0 is kept: it says that no event costs less than nothing."""
    least = fields.number("min_per_event") if fields.has("min_per_event") else None
    most = fields.number("max_per_event") if fields.has("max_per_event") else None
    if least is not None and most is not None and least > most:
        fields.problem("min_per_event", "must not be greater than max_per_event")
    free_events = fields.number("free_events", default=ZERO)
    if free_events.denominator != 1:
        fields.problem("free_events", "must be a whole number")
    return Percentage(
        rate=fields.number("rate", most=1),
        fixed_amount=fields.number("fixed_amount", default=ZERO),
        free_events=free_events or None,
        free_total=fields.number("free_total", default=ZERO) or None,
        least=least,
        most=most,
    )
