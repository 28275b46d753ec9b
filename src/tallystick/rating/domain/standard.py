"""standard {unit_amount}: quantity × unit price."""

from dataclasses import dataclass
from fractions import Fraction

from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import Fields
from tallystick.rating.domain.steps import Step, UnitsAtPrice


@dataclass(frozen=True, slots=True)
class Standard:
    """One price for every unit."""

    unit_amount: Fraction

    def amount(self, units: Fraction, share: Share) -> Fraction:
        return units * self.unit_amount

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        return (UnitsAtPrice(units=units, unit_amount=self.unit_amount, subtotal=units * self.unit_amount),)


def read(fields: Fields) -> Standard:
    """Version 1."""
    return Standard(fields.number("unit_amount"))
