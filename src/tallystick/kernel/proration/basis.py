"""The fraction of a whole aligned period that a part of it is.

Every basis but `none` measures a part as the difference of two positions in the whole, so the parts of a
period always add up to it: nobody pays for a day twice, and no day is given away (lago-api#6194: the
denominator is never clamped).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from tallystick.kernel.money import Rounding, round_money
from tallystick.kernel.period import Aligned, Cycle, Period
from tallystick.kernel.zones import days_between, local_date, local_midnight, zone

_TICK = timedelta(microseconds=1)
_DAYS_PER_MONTH = 30


class Basis(StrEnum):
    """How parts of a period are measured; a setting per plan, frozen on each line.

    - `days` (default): calendar days in the account's zone; the day something starts counts, the day it ends
      does not.
    - `seconds`: elapsed time, exact to the microsecond.
    - `thirty_360`: 30E/360, every month 30 days long; a part never exceeds the whole. A week has no month to
      fix, so
      weekly plans are measured in days.
    - `none`: the full price for any use, however short; nothing for none.
    """

    DAYS = "days"
    SECONDS = "seconds"
    THIRTY_360 = "thirty_360"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Share:
    """`used` of `whole`, in the basis' unit: calendar days, microseconds, 30-day-month days, or (none) all or
    nothing."""

    used: int
    whole: int

    @property
    def fraction(self) -> Fraction:
        """The exact fraction; multiply the price by it first and round once."""
        return Fraction(self.used, self.whole)


def share(basis: Basis, used: Period | None, whole: Aligned) -> Share:
    """How much of `whole` the part `used` is (None: nothing), as the two integers an explanation shows.

    `used` must lie inside `whole`, else `ValueError`: a longer one is several periods, each with its own
    fraction. The whole is the aligned period, also for a first or last stub (SEMANTICS "Proration").
    """
    if used is not None and not whole.period.covers(used):
        raise ValueError("a part must lie inside its whole period")
    if basis is Basis.NONE:
        return Share(0 if used is None else 1, 1)
    length = _position(basis, whole.period.end, whole)
    if used is None:
        return Share(0, length)
    if used == whole.period:
        return Share(length, length)
    return Share(_position(basis, used.end, whole) - _position(basis, used.start, whole), length)


def fraction(basis: Basis, used: Period | None, whole: Aligned) -> Fraction:
    """`share` as one exact fraction between 0 and 1."""
    return share(basis, used, whole).fraction


def used_until(
    basis: Basis, period: Period, at: datetime, zone_name: str, *, bill_last_day: bool = False
) -> Period | None:
    """The part of `period` that counts as used when it is cut at `at`; None where nothing does.

    `bill_last_day` is the setting "the day of cancellation is billed": service then counts to the end of the
    local day in which `at` falls. A cut at the very midnight has used nothing of the day that begins. It
    concerns the bases that count days; elapsed seconds are what they are.
    """
    end = at
    if at > period.start and bill_last_day and basis in (Basis.DAYS, Basis.THIRTY_360):
        tz = zone(zone_name)
        today = local_date(at, tz)
        if at > local_midnight(today, tz):
            end = local_midnight(today + timedelta(days=1), tz)
    return Period.between(period.start, max(period.start, min(end, period.end)))


def prorated_amount(
    price: Decimal | Fraction, part: Fraction, currency: str, mode: Rounding = Rounding.HALF_AWAY
) -> Decimal:
    """`price` × `part`, rounded once to the currency's minor unit."""
    return round_money(Fraction(price) * part, currency, mode)


def prorated_quantity(quantity: Decimal | Fraction, part: Fraction) -> Fraction:
    """A minimum, allowance or number of included units for a part of a period: like a fee, but exact, because
    it goes on into a price (SEMANTICS "Proration": prorated like fees unless the plan says otherwise)."""
    return Fraction(quantity) * part


def _position(basis: Basis, instant: datetime, whole: Aligned) -> int:
    """How far into its whole period an instant is, in the basis' unit; from 0 at the start, never
    decreasing."""
    if basis is Basis.SECONDS:
        return (instant - whole.period.start) // _TICK
    if basis is Basis.THIRTY_360 and whole.cycle is not Cycle.WEEKLY:
        return _position_30e_360(instant, whole)
    return days_between(whole.period.start, instant, zone(whole.zone))


def _position_30e_360(instant: datetime, whole: Aligned) -> int:
    """30E/360 days since the start, at most the months' 30 days each, and exactly those at the end.

    The clamp matters only for cycles of the 29th to 31st: 31 January to 28 February has 28 such days, 28
    February to 31 March 32, and both are one month (SEMANTICS: "at most one month").
    """
    length = _DAYS_PER_MONTH * whole.cycle.months
    if instant >= whole.period.end:
        return length
    tz = zone(whole.zone)
    return min(length, _days_30e(local_date(instant, tz)) - _days_30e(local_date(whole.period.start, tz)))


def _days_30e(day: date) -> int:
    """A date's number on the 30E/360 line, where the 31st is the 30th (ISDA 2006, 4.16(g), "Eurobond
    basis")."""
    return 360 * day.year + _DAYS_PER_MONTH * day.month + min(day.day, _DAYS_PER_MONTH)
