"""Changing or ending in mid-period something that was billed in advance.

The credit is taken from the line as it was billed, never from today's price list (lago-api#1776), and a line
can give back only what is left of it (lago-api#1778). Every new line is credited on its own terms, so however
often a customer changes in one period, no more comes back than was billed.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from tallystick.kernel.money import Rounding, quantize, round_money
from tallystick.kernel.period import Aligned, Period
from tallystick.kernel.proration.basis import Basis, fraction, prorated_amount, share, used_until
from tallystick.kernel.zones import local_date, zone

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Net and tax, in one currency's minor-unit precision; both at least zero."""

    net: Decimal = _ZERO
    tax: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        """What a customer pays or gets back."""
        return self.net + self.tax

    def plus(self, other: "Amounts") -> "Amounts":
        """Both together."""
        return Amounts(self.net + other.net, self.tax + other.tax)


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line billed in advance, frozen as it was billed.

    `billed.net` is after its share of discounts. `period` is what it paid for, inside `whole`. `credited` is
    what earlier corrections gave back. `changed_on` is the local day of the change that made the line, None
    for a line that a renewal or a first activation made. Raises `ValueError` for a line no invoice can hold:
    negative or over-credited amounts, a period outside its whole; `Invalid` for more decimals than the
    currency has.
    """

    currency: str
    billed: Amounts
    period: Period
    whole: Aligned
    basis: Basis
    credited: Amounts = Amounts()
    changed_on: date | None = None

    def __post_init__(self) -> None:
        if not self.whole.period.covers(self.period):
            raise ValueError("a line's period must lie inside its whole period")
        for billed, credited in (
            (self.billed.net, self.credited.net),
            (self.billed.tax, self.credited.tax),
        ):
            quantize(billed, self.currency)
            quantize(credited, self.currency)
            if not 0 <= credited <= billed:
                raise ValueError("a line's credits must lie between zero and what was billed")

    @property
    def left(self) -> Amounts:
        """What of it has not been credited yet."""
        return Amounts(self.billed.net - self.credited.net, self.billed.tax - self.credited.tax)


@dataclass(frozen=True, slots=True)
class NewPrice:
    """What replaces a line: the price of a whole period of its own cycle, which may differ from the old
    one's.

    `until` is where service is already known to end, inside the whole period.
    """

    price: Decimal
    whole: Aligned
    basis: Basis
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """A line to bill for the rest of a period: `amount` is `exact` rounded once. Discounts and tax come
    after."""

    period: Period
    whole: Aligned
    basis: Basis
    fraction: Fraction
    exact: Fraction
    amount: Decimal
    changed_on: date


@dataclass(frozen=True, slots=True)
class Change:
    """An immediate change: what the old line gives back, the old line with that noted, and the new charge."""

    credit: Amounts
    line: BilledLine
    charge: Charge


def credit(line: BilledLine, used: Fraction, mode: Rounding = Rounding.HALF_AWAY) -> Amounts:
    """What the line gives back now that `used` of it (0 to 1, cumulated over all changes) is all that was
    used.

    billed - round(billed × used) - credited before, for net and tax each, never less than zero nor more than
    what is left (SEMANTICS "Proration"). Kept and credited therefore always add up to billed, and repeating
    it with the same `used` on the credited line gives nothing more.
    """
    if not 0 <= used <= 1:
        raise ValueError("the used share of a line lies between 0 and 1")

    def part(billed: Decimal, credited: Decimal) -> Decimal:
        kept = round_money(Fraction(billed) * used, line.currency, mode)
        return max(billed - kept - credited, quantize(_ZERO, line.currency))

    return Amounts(part(line.billed.net, line.credited.net), part(line.billed.tax, line.credited.tax))


def used_share(line: BilledLine, at: datetime, *, bill_last_day: bool = False) -> Fraction:
    """The part of a line that is used when it ends at `at`: its used length ÷ the length it was billed for.

    Both are measured in the line's whole period, so that a line for a rest of 10 days ended after 4 has used
    4/10. A line whose whole period measures nothing (30E/360 has no 31st) was free, and counts as used.
    """
    used = used_until(line.basis, line.period, at, line.whole.zone, bill_last_day=bill_last_day)
    length = share(line.basis, line.period, line.whole).used
    if length == 0:
        return Fraction(1)
    return Fraction(share(line.basis, used, line.whole).used, length)


def cancel(
    line: BilledLine, at: datetime, *, bill_last_day: bool = False, mode: Rounding = Rounding.HALF_AWAY
) -> Amounts:
    """The credit of a line whose service ends at `at`. The day of cancellation is not billed unless the
    setting says so."""
    return credit(line, used_share(line, at, bill_last_day=bill_last_day), mode)


def change(line: BilledLine, at: datetime, new: NewPrice, mode: Rounding = Rounding.HALF_AWAY) -> Change:
    """An immediate change at `at`: credit the unused rest of `line`, charge `new` for the rest of its period.

    The day of the change belongs to the new plan. Of several changes on one local day only the last is
    charged: a line made by a change earlier that day is credited whole, and its successor takes over from
    where it began, so that no basis leaves hours nobody pays for. Raises `ValueError` outside the line's
    period: a change at its end is a renewal.
    """
    if not line.period.contains(at):
        raise ValueError("an immediate change falls inside the period of the line it replaces")
    today = local_date(at, zone(line.whole.zone))
    given_back = credit(line, Fraction(0) if line.changed_on == today else used_share(line, at), mode)
    begin = max(change_start(line, at), new.whole.period.start)
    return Change(
        credit=given_back,
        line=replace(line, credited=line.credited.plus(given_back)),
        charge=_charge(new, begin, today, line.currency, mode),
    )


def change_start(line: BilledLine, at: datetime) -> datetime:
    """From when the successor of `line` is charged if it changes at `at`; also its anchor where it brings a
    cycle of its own."""
    again = line.changed_on == local_date(at, zone(line.whole.zone))
    return line.period.start if again else at


def _charge(new: NewPrice, begin: datetime, today: date, currency: str, mode: Rounding) -> Charge:
    period = Period(begin, new.until or new.whole.period.end)
    part = fraction(new.basis, period, new.whole)
    return Charge(
        period=period,
        whole=new.whole,
        basis=new.basis,
        fraction=part,
        exact=Fraction(new.price) * part,
        amount=prorated_amount(new.price, part, currency, mode),
        changed_on=today,
    )
