"""Every period of a schedule, laid open: what a customer will be billed for, before anything is billed.

It runs the very functions billing runs; there is no second implementation to differ by a day (lago-api#5522).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import islice

from tallystick.kernel.errors import Invalid
from tallystick.kernel.period import (
    Aligned,
    EmptyPeriod,
    Period,
    Schedule,
    close_instant,
    service_periods,
)
from tallystick.kernel.proration.basis import Basis, Share, share
from tallystick.kernel.zones import days_between, utc, zone

MAX_PREVIEW = 1000
"""Periods in one preview; a page, not a limit of the arithmetic."""


@dataclass(frozen=True, slots=True)
class PreviewPeriod:
    """One period of service.

    `service` is billed, `whole` is its denominator, `share` the two in the basis' unit; `days_used` of
    `days_whole` are the calendar days in `zone` whatever the basis; `closes_at` is when it can be billed.
    """

    index: int
    zone: str
    service: Period
    whole: Period
    share: Share
    days_used: int
    days_whole: int
    closes_at: datetime

    @property
    def fraction(self) -> Fraction:
        """The exact part of the price this period costs."""
        return self.share.fraction

    @property
    def is_stub(self) -> bool:
        """Whether service covers only part of the whole period."""
        return self.service != self.whole


def schedule_preview(
    schedule: Schedule,
    start: datetime,
    end: datetime | None = None,
    count: int = 12,
    *,
    basis: Basis = Basis.DAYS,
    close_delay: timedelta = timedelta(0),
) -> tuple[PreviewPeriod, ...]:
    """The first `count` periods of service from `start` to `end` (None: open), in order; they touch each
    other.

    Raises `Invalid` for a count outside 1 to 1000, `EmptyPeriod` for an end not after the start,
    `InstantOutOfRange`.
    """
    if not 1 <= count <= MAX_PREVIEW:
        raise Invalid.field("count", f"must be 1 to {MAX_PREVIEW}")
    start, end = utc(start, "start"), None if end is None else utc(end, "end")
    if end is not None and end <= start:
        raise EmptyPeriod.field("end", "must be after start")
    served = islice(service_periods(schedule, start, end), count)
    return tuple(_preview(whole, service, basis, close_delay) for whole, service in served)


def _preview(whole: Aligned, service: Period, basis: Basis, close_delay: timedelta) -> PreviewPeriod:
    tz = zone(whole.zone)
    return PreviewPeriod(
        index=whole.index,
        zone=whole.zone,
        service=service,
        whole=whole.period,
        share=share(basis, service, whole),
        days_used=days_between(service.start, service.end, tz),
        days_whole=days_between(whole.period.start, whole.period.end, tz),
        closes_at=close_instant(service.end, close_delay),
    )
