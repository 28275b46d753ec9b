"""graduated_percentage {tiers: [{up_to, rate, flat_amount}], first_tier_flat_at_zero}: each slice of the amount at its rate.

The same arithmetic as graduated with rates for prices: every slice entered adds its flat fee, the first one at zero too unless the
setting says otherwise. A rate is a fraction: 0.029 is 2.9 %.
"""

from dataclasses import dataclass
from fractions import Fraction

from tallystick.rating.domain import graduated
from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import Fields
from tallystick.rating.domain.steps import RateSlice, Step


@dataclass(frozen=True, slots=True)
class GraduatedPercentage:
    """Slices whose price per unit is a rate."""

    slices: graduated.Graduated

    def amount(self, units: Fraction, share: Share) -> Fraction:
        return self.slices.amount(units, share)

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        return tuple(
            RateSlice(
                lower=each.lower,
                upper=each.upper,
                units=each.units,
                rate=each.unit_amount,
                flat_amount=each.flat_amount,
                subtotal=each.subtotal,
            )
            for each in self.slices.slices(units)
        )


def read(fields: Fields) -> GraduatedPercentage:
    """Version 1."""
    return GraduatedPercentage(graduated.read_as(fields, "rate", top=1))
