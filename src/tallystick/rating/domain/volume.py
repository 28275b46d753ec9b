"""volume {tiers, first_tier_flat_at_zero}: all units at the tier of the total, plus that tier's flat fee."""

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import ZERO, Fields
from tallystick.rating.domain.steps import Step, WholeTier
from tallystick.rating.domain.tiers import Tier, read_tiers


@dataclass(frozen=True, slots=True)
class Volume:
    """Tiers and their inclusive upper bounds."""

    tiers: tuple[Tier, ...]
    uppers: tuple[Fraction, ...]
    flat_at_zero: bool

    def amount(self, units: Fraction, share: Share) -> Fraction:
        tier = self.tiers[bisect_left(self.uppers, units)]
        return units * tier.unit_amount + self._flat(tier, units)

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        tier = self.tiers[bisect_left(self.uppers, units)]
        return (
            WholeTier(
                lower=tier.lower,
                upper=tier.upper,
                units=units,
                unit_amount=tier.unit_amount,
                flat_amount=self._flat(tier, units),
                subtotal=self.amount(units, share),
            ),
        )

    def _flat(self, tier: Tier, units: Fraction) -> Fraction:
        return tier.flat_amount if units > 0 or self.flat_at_zero else ZERO


def read(fields: Fields) -> Volume:
    """Version 1."""
    tiers = read_tiers(fields)
    uppers = tuple(tier.upper for tier in tiers if tier.upper is not None)
    return Volume(tiers, uppers, fields.flag("first_tier_flat_at_zero", default=True))
