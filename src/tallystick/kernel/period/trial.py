"""A plan's own trial: free days before the first paid period.

A trial that is a subscription of its own needs nothing from here: it ends when its successor becomes active,
and that instant is the successor's anchor (SEMANTICS "Periods").
"""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from tallystick.kernel.errors import Invalid
from tallystick.kernel.period.schedule import Schedule
from tallystick.kernel.zones import to_instant, utc, zone

MAX_TRIAL_DAYS = 3660


class TrialAnchor(StrEnum):
    """What a plan's own trial does to the cycle; a setting of the plan."""

    TRIAL_END = "trial_end"
    START = "start"


def trial_end(start: datetime, days: int, zone_name: str) -> datetime:
    """When a trial of that many days ends: the same local time of day, `days` calendar days on.

    The customer gets whole days, never a first day cut at midnight; over a spring change the trial is an hour
    shorter in elapsed time, as its days are. 0 days end where they start. Raises `Invalid` below 0 or above
    ten years.
    """
    if not 0 <= days <= MAX_TRIAL_DAYS:
        raise Invalid.field("trial_period_days", f"must be 0 to {MAX_TRIAL_DAYS}")
    if days == 0:
        return utc(start, "start")
    tz = zone(zone_name)
    local = utc(start, "start").astimezone(tz).replace(tzinfo=None, fold=0)
    return to_instant(local + timedelta(days=days), tz)


def anchor_after_trial(
    start: datetime, ended: datetime, setting: TrialAnchor = TrialAnchor.TRIAL_END
) -> datetime:
    """The anchor of the paid cycle. Default: the trial's end, so that the first paid period is a whole one.

    `START` keeps the cycle of the start: the first paid period is then the stub from the trial's end to the
    next boundary.
    """
    return utc(ended if setting is TrialAnchor.TRIAL_END else start, "anchor")


def extend_trial(
    schedule: Schedule, new_end: datetime, *, billed: bool, setting: TrialAnchor = TrialAnchor.TRIAL_END
) -> Schedule:
    """The schedule after a trial is extended (or cut) to `new_end`.

    The anchor moves with the trial's end only while nothing is billed: afterwards the periods on issued
    invoices stand, and only the start of paid service moves (SEMANTICS "Periods"; lago#771). Repeating it is
    harmless.
    """
    if billed or setting is TrialAnchor.START:
        return schedule
    current = schedule.rezones[-1].zone if schedule.rezones else schedule.zone
    return replace(schedule, anchor=utc(new_end, "trial_end"), zone=current, rezones=())
