"""What every charge model is: a frozen price that turns units into an exact amount, and into the steps that lead to it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from tallystick.rating.domain.reading import ONE
from tallystick.rating.domain.steps import Step


@dataclass(frozen=True, slots=True)
class Share:
    """The parts of a period that are due: `fee` of flat amounts, `limits` of minimum, maximum and included units.

    Two numbers, because a plan may prorate its fee and keep its limits whole (SEMANTICS "Proration", last line).
    """

    fee: Fraction = ONE
    limits: Fraction = ONE


FULL: Final = Share()


class ChargeModel(Protocol):
    """A compiled price. `units` is never negative. The subtotals of `steps` add up to `amount`, always."""

    def amount(self, units: Fraction, share: Share) -> Fraction:
        """The exact amount; the hot path, which builds no steps."""
        ...

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        """How `amount` comes about."""
        ...
