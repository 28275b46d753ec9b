"""When a subscription's next bill is due and what it covers: the one answer that starting, renewing and previewing share.

Fees in advance are due when their period opens, fees in arrears and usage when theirs closes, each plus its close delay. A boundary of a
subscription that has usage closes once, after the usage delay, so that last period's usage and the next period's fee stand on one
invoice; only the first fee, which no usage precedes, does not wait.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tallystick.kernel.period.interval import Period
from tallystick.kernel.period.schedule import Aligned, Schedule, close_instant, period_at


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a subscription has been billed for: fees until `fees`, usage until `usage`; it runs from `start` to `end` (None: open)."""

    start: datetime
    end: datetime | None
    fees: datetime
    usage: datetime


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides when it is due: `advance` fees or arrears, whether usage is metered, and the entity's close delays."""

    advance: bool
    has_usage: bool
    fee_delay: timedelta
    usage_delay: timedelta


@dataclass(frozen=True, slots=True)
class Part:
    """A service period and the whole aligned period it is a part of."""

    service: Period
    whole: Aligned


@dataclass(frozen=True, slots=True)
class Due:
    """What one bill covers, and the instant it may be made. `fee` and `usage` are what falls due then, None where that is not."""

    instant: datetime
    fee: Part | None
    usage: Part | None


def next_due(schedule: Schedule, covered: Coverage, terms: Terms) -> Due | None:
    """The next bill, or None where all until the end is billed. Constant time.

    Billing it moves `covered.fees` to `fee.service.end` and `covered.usage` to `usage.service.end`; asking again gives the one after.
    """
    fee = _part(schedule, covered.fees, covered.end)
    usage = None
    if terms.has_usage:
        usage = fee if covered.usage == covered.fees else _part(schedule, covered.usage, covered.end)
    boundary_delay = terms.usage_delay if terms.has_usage else terms.fee_delay
    fee_at = usage_at = None
    if fee is not None and not terms.advance:
        fee_at = close_instant(fee.service.end, boundary_delay)
    elif fee is not None:
        first = fee.service.start == covered.start
        fee_at = close_instant(fee.service.start, terms.fee_delay if first else boundary_delay)
    if usage is not None:
        usage_at = close_instant(usage.service.end, terms.usage_delay)
    instants = [at for at in (fee_at, usage_at) if at is not None]
    if not instants:
        return None
    instant = min(instants)
    return Due(instant, fee if fee_at == instant else None, usage if usage_at == instant else None)


def _part(schedule: Schedule, covered_to: datetime, end: datetime | None) -> Part | None:
    if end is not None and covered_to >= end:
        return None
    whole = period_at(schedule, covered_to)
    closes = whole.period.end if end is None else min(whole.period.end, end)
    return Part(Period(max(whole.period.start, covered_to), closes), whole)
