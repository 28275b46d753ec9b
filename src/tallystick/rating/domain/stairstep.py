"""stairstep {tiers, first_tier_flat_at_zero}: the flat amount of the total's tier only, whatever the units in it."""

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import ZERO, Fields
from tallystick.rating.domain.steps import StairTier, Step
from tallystick.rating.domain.tiers import Tier, read_tiers


@dataclass(frozen=True, slots=True)
class Stairstep:
    """Tiers and their inclusive upper bounds."""

    tiers: tuple[Tier, ...]
    uppers: tuple[Fraction, ...]
    flat_at_zero: bool

    def amount(self, units: Fraction, share: Share) -> Fraction:
        if units == 0 and not self.flat_at_zero:
            return ZERO
        return self.tiers[bisect_left(self.uppers, units)].flat_amount

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        tier, amount = self.tiers[bisect_left(self.uppers, units)], self.amount(units, share)
        return (
            StairTier(lower=tier.lower, upper=tier.upper, units=units, flat_amount=amount, subtotal=amount),
        )


def read(fields: Fields) -> Stairstep:
    """Version 1. A tier has a `flat_amount`; `unit_amount` may stand there as 0, so that tiers can be moved between models."""
    tiers = read_tiers(fields)
    for index, (row, tier) in enumerate(zip(fields.objects("tiers", most=len(tiers)), tiers, strict=True)):
        if tier.unit_amount:
            fields.problem(
                f"tiers[{index}].unit_amount", "has no meaning for stairstep; use volume or graduated"
            )
        if not row.has("flat_amount"):
            fields.problem(f"tiers[{index}].flat_amount", "is required")
    uppers = tuple(tier.upper for tier in tiers if tier.upper is not None)
    return Stairstep(tiers, uppers, fields.flag("first_tier_flat_at_zero", default=True))
