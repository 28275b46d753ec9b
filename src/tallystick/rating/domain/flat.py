"""flat {amount}: the amount, whatever was used; prorated with the period."""

from dataclasses import dataclass
from fractions import Fraction

from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import Fields
from tallystick.rating.domain.steps import FlatFee, Step


@dataclass(frozen=True, slots=True)
class Flat:
    """A fixed amount per period."""

    fee: Fraction

    def amount(self, units: Fraction, share: Share) -> Fraction:
        return self.fee * share.fee

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        return (FlatFee(amount=self.fee, prorated=share.fee, subtotal=self.amount(units, share)),)


def read(fields: Fields) -> Flat:
    """Version 1."""
    return Flat(fields.money("amount"))
