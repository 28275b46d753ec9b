"""What stands around a charge model, and the one list that says in which order (SEMANTICS "Charge models", last line).

Every adjustment is a frozen value that changes units or an amount and can say how; `read` answers None where the price has
none. Rounding is not in the list: it happens once, after everything, when the line is built (lines.py).
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import ClassVar, Final, Protocol, Self

from tallystick.kernel.money import Rounding
from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import ONE, ZERO, Fields
from tallystick.rating.domain.steps import Capped, Conversion, PercentOff, Step, ToppedUp, UnitsOff


class Adjustment(Protocol):
    """Changes a value: units before the model, an amount after it."""

    name: ClassVar[str]

    @classmethod
    def read(cls, fields: Fields) -> Self | None:
        """The adjustment a price asks for, if it does."""
        ...

    def apply(self, value: Fraction, share: Share) -> Fraction:
        """The value after the adjustment."""
        ...

    def step(self, value: Fraction, share: Share) -> Step | None:
        """What `apply` does to `value`, if it does anything worth telling."""
        ...


@dataclass(frozen=True, slots=True)
class UnitConversion:
    """unit_conversion {multiply | divide, round_up}: metered units (bytes) to billed units (GB), perhaps whole ones."""

    name: ClassVar[str] = "unit_conversion"
    factor: Fraction
    divides: bool
    round_up: bool

    @classmethod
    def read(cls, fields: Fields) -> Self | None:
        if not fields.has(cls.name):
            return None
        rule = fields.object(cls.name)
        if rule.has("multiply") == rule.has("divide"):
            rule.problem("multiply", "give either multiply or divide")
        divides = rule.has("divide")
        factors = [rule.number(name, positive=True, default=ONE) for name in ("multiply", "divide")]
        found = cls(factors[divides], divides, rule.flag("round_up", default=False))
        rule.close()
        return found

    @property
    def scale(self) -> Fraction:
        """What it multiplies units by, rounding aside."""
        return 1 / self.factor if self.divides else self.factor

    def apply(self, value: Fraction, share: Share) -> Fraction:
        exact = self._exact(value)
        return Fraction(ceil(exact)) if self.round_up else exact

    def step(self, value: Fraction, share: Share) -> Conversion:
        return Conversion(
            units=value,
            factor=self.factor,
            divides=self.divides,
            exact=self._exact(value),
            result=self.apply(value, share),
        )

    def _exact(self, value: Fraction) -> Fraction:
        return value / self.factor if self.divides else value * self.factor


@dataclass(frozen=True, slots=True)
class UsageDiscount:
    """usage_discount_units: units that cost nothing, counted after conversion; prorated as included units."""

    name: ClassVar[str] = "usage_discount_units"
    units: Fraction

    @classmethod
    def read(cls, fields: Fields) -> Self | None:
        units = fields.number(cls.name, default=ZERO)
        return cls(units) if units else None

    def apply(self, value: Fraction, share: Share) -> Fraction:
        return max(value - self.units * share.limits, ZERO)

    def step(self, value: Fraction, share: Share) -> UnitsOff:
        return UnitsOff(
            units=value, included=self.units, prorated=share.limits, result=self.apply(value, share)
        )


@dataclass(frozen=True, slots=True)
class PercentDiscount:
    """discount_percent: 0 to 100 percent off the model's amount."""

    name: ClassVar[str] = "discount_percent"
    percent: Fraction

    @classmethod
    def read(cls, fields: Fields) -> Self | None:
        percent = fields.number(cls.name, default=ZERO, most=100)
        return cls(percent) if percent else None

    def apply(self, value: Fraction, share: Share) -> Fraction:
        return value * (100 - self.percent) / 100

    def step(self, value: Fraction, share: Share) -> PercentOff:
        return PercentOff(percent=self.percent, before=value, subtotal=self.apply(value, share) - value)


@dataclass(frozen=True, slots=True)
class Maximum:
    """maximum_amount: a period never costs more; prorated."""

    name: ClassVar[str] = "maximum_amount"
    amount: Fraction

    @classmethod
    def read(cls, fields: Fields) -> Self | None:
        return cls(fields.money(cls.name)) if fields.has(cls.name) else None

    def apply(self, value: Fraction, share: Share) -> Fraction:
        return min(value, self.amount * share.limits)

    def step(self, value: Fraction, share: Share) -> Capped | None:
        capped = self.apply(value, share)
        if capped == value:
            return None
        return Capped(maximum=self.amount, prorated=share.limits, before=value, subtotal=capped - value)


@dataclass(frozen=True, slots=True)
class Minimum:
    """minimum_amount: what a period costs at least; prorated. What is missing is a line of its own."""

    name: ClassVar[str] = "minimum_amount"
    amount: Fraction

    @classmethod
    def read(cls, fields: Fields) -> Self | None:
        amount = fields.money(cls.name, default=ZERO)
        return cls(amount) if amount else None

    def top_up(self, value: Fraction, share: Share) -> Fraction:
        """What is missing to the minimum; 0 where it is reached."""
        return max(self.amount * share.limits - value, ZERO)

    def step(self, value: Fraction, share: Share) -> ToppedUp | None:
        """How the top-up comes about; None where there is none."""
        missing = self.top_up(value, share)
        if not missing:
            return None
        return ToppedUp(minimum=self.amount, prorated=share.limits, before=value, subtotal=missing)


@dataclass(frozen=True, slots=True)
class Order:
    """Units are adjusted, the model prices them, the amount is adjusted, a minimum tops it up."""

    on_units: tuple[type[Adjustment], ...]
    on_amount: tuple[type[Adjustment], ...]
    top_up: type[Minimum]

    @property
    def names(self) -> tuple[str, ...]:
        """The fields of all adjustments, and `rounding`."""
        around = tuple(each.name for each in (*self.on_units, *self.on_amount))
        return (*around, self.top_up.name, "rounding")


ORDER_1: Final = Order(
    on_units=(UnitConversion, UsageDiscount),
    # here the model prices the units that are left
    on_amount=(PercentDiscount, Maximum),
    top_up=Minimum,
)
"""A changed order is a new `Order` and a new version of every rule that uses it; this one stays."""


def read_rounding(fields: Fields) -> Rounding | None:
    """`rounding` of a price; None leaves it to the currency or entity."""
    raw = fields.raw("rounding")
    if raw is None:
        return None
    if raw not in tuple(Rounding):
        fields.problem("rounding", f"must be one of {', '.join(Rounding)}")
        return None
    return Rounding(raw)
