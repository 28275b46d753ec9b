"""dynamic {}: Σ quantity × unit_price of the events; the price comes with each event."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tallystick.rating.domain.metered import Metered, Need
from tallystick.rating.domain.models import EventModel, Share
from tallystick.rating.domain.reading import ZERO, Fields
from tallystick.rating.domain.steps import BelowZero, OwnPrices, Step

REFUSES: Final[Mapping[str, str]] = {
    "unit_conversion": "has no meaning for dynamic: the events' prices are per unit as metered",
    "usage_discount_units": "has no meaning for dynamic: units have different prices; use discount_percent",
}


@dataclass(frozen=True, slots=True)
class Dynamic(EventModel):
    """No price of its own. Events of a negative quantity count against the others; a sum below zero bills zero."""

    @property
    def needs(self) -> Need:
        return Need.PRICED

    def amount(self, metered: Metered, share: Share, scale: Fraction) -> Fraction:
        return max(metered.priced, ZERO)

    def steps(self, metered: Metered, share: Share, scale: Fraction) -> tuple[Step, ...]:
        priced = metered.priced
        own = OwnPrices(events=metered.events, units=metered.units, subtotal=priced)
        return (own,) if priced >= 0 else (own, BelowZero(before=priced, subtotal=-priced))


def read(fields: Fields) -> Dynamic:
    """Version 1."""
    return Dynamic()
