"""graduated {tiers, first_tier_flat_at_zero}: each unit is priced in its own tier; every tier entered adds its flat fee.

A tier is entered by the first unit, or part of one, beyond its lower bound; the first also by no usage at all, unless
`first_tier_flat_at_zero` is false.
"""

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import ZERO, Fields
from tallystick.rating.domain.steps import Step, TierSlice
from tallystick.rating.domain.tiers import Tier, read_tiers


@dataclass(frozen=True, slots=True)
class Graduated:
    """Tiers, with what all tiers before each come to (`below`), so that a hundred tiers cost no more than one."""

    tiers: tuple[Tier, ...]
    uppers: tuple[Fraction, ...]
    below: tuple[Fraction, ...]
    at_zero: Fraction

    def amount(self, units: Fraction, share: Share) -> Fraction:
        if units == 0:
            return self.at_zero
        index = bisect_left(self.uppers, units)
        tier = self.tiers[index]
        return self.below[index] + (units - tier.lower) * tier.unit_amount

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        return self.slices(units)

    def slices(self, units: Fraction) -> tuple[TierSlice, ...]:
        """What lies in each tier that is entered; at zero, the first tier and its fee."""
        if units == 0:
            return self._zero_slices()
        return tuple(_slice(tier, units) for tier in self.tiers if tier.lower < units)

    def _zero_slices(self) -> tuple[TierSlice, ...]:
        first = self.tiers[0]
        return (
            TierSlice(
                lower=ZERO,
                upper=first.upper,
                units=ZERO,
                unit_amount=first.unit_amount,
                flat_amount=self.at_zero,
                subtotal=self.at_zero,
            ),
        )


def _slice(tier: Tier, units: Fraction) -> TierSlice:
    inside = (units if tier.upper is None else min(units, tier.upper)) - tier.lower
    return TierSlice(
        lower=tier.lower,
        upper=tier.upper,
        units=inside,
        unit_amount=tier.unit_amount,
        flat_amount=tier.flat_amount,
        subtotal=inside * tier.unit_amount + tier.flat_amount,
    )


def read(fields: Fields) -> Graduated:
    """Version 1."""
    return read_as(fields, "unit_amount")


def read_as(fields: Fields, unit: str, top: int | None = None) -> Graduated:
    """Tiers whose price per unit stands under the name `unit` and is at most `top`."""
    tiers = read_tiers(fields, unit, top)
    below: list[Fraction] = []
    total = ZERO
    for tier in tiers:
        below.append(total + tier.flat_amount)
        if tier.upper is not None:
            total = below[-1] + (tier.upper - tier.lower) * tier.unit_amount
    due = fields.flag("first_tier_flat_at_zero", default=True)
    at_zero = tiers[0].flat_amount if tiers and due else ZERO
    uppers = tuple(tier.upper for tier in tiers if tier.upper is not None)
    return Graduated(tiers, uppers, tuple(below), at_zero)
