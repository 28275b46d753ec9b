"""What every charge model is: a frozen price that turns usage into an exact amount, and into the steps that lead to it."""

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from tallystick.rating.domain.metered import Metered, Need
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


class UnitModel(Protocol):
    """A model that prices a quantity, whatever events it came from. `units` is never negative. The subtotals of `steps` add up to `amount`, always."""

    def amount(self, units: Fraction, share: Share) -> Fraction:
        """The exact amount; the hot path, which builds no steps."""
        ...

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        """How `amount` comes about."""
        ...


class EventModel:
    """A model that looks at events. It deals with quantities below zero itself. The subtotals of `steps` add up to `amount`.

    `scale` is what a unit conversion multiplies units by; a model that allows none is given 1. It is an argument, and not done to the
    events beforehand, because scaling a price once is cheaper than scaling a million values.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def needs(self) -> Need:
        """What it must see of the events."""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The properties whose combinations it needs the totals of."""
        return ()

    def fold(self, metered: Metered, share: Share, scale: Fraction) -> Metered:
        """`metered` in as few numbers as the amount and its steps depend on."""
        return metered

    @abstractmethod
    def amount(self, metered: Metered, share: Share, scale: Fraction) -> Fraction:
        """The exact amount; the hot path, which builds no steps. Never negative."""

    @abstractmethod
    def steps(self, metered: Metered, share: Share, scale: Fraction) -> tuple[Step, ...]:
        """How `amount` comes about, in a number of steps that does not grow with the events."""


ChargeModel = UnitModel | EventModel
