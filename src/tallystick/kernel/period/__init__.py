"""Periods: half-open stretches of time, and the cycles that cut time into them.

    interval.py   Period [start, end)
    schedule.py   boundaries of a subscription's cycle, in closed form
    due.py        when a subscription is billed next, and for what
    trial.py      where a trial ends and what it anchors

Sources: SEMANTICS "Periods"; DESIGN §4 (boundaries are computed in Python only, on local dates); decision 4.
"""

from tallystick.kernel.period.due import Coverage, Due, Part, Terms, next_due
from tallystick.kernel.period.interval import EmptyPeriod, Period
from tallystick.kernel.period.schedule import (
    Aligned,
    Alignment,
    Cycle,
    Rezone,
    Schedule,
    boundary,
    close_instant,
    next_boundary,
    period_at,
    periods_between,
    rezone,
    service_periods,
    zone_of,
)
from tallystick.kernel.period.trial import TrialAnchor, anchor_after_trial, extend_trial, trial_end

__all__ = [
    "Aligned",
    "Alignment",
    "Coverage",
    "Cycle",
    "Due",
    "EmptyPeriod",
    "Part",
    "Period",
    "Rezone",
    "Schedule",
    "Terms",
    "TrialAnchor",
    "anchor_after_trial",
    "boundary",
    "close_instant",
    "extend_trial",
    "next_boundary",
    "next_due",
    "period_at",
    "periods_between",
    "rezone",
    "service_periods",
    "trial_end",
    "zone_of",
]
