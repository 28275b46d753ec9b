"""Proration: what part of a price a part of a period costs, and what a change gives back.

    basis.py      the fraction of a whole period, by days, seconds, 30E/360 or not at all
    change.py     credit of a line as it was billed, charge of what replaces it
    preview.py    every period of a schedule with its fraction

Sources: SEMANTICS "Proration"; decision 4.
"""

from tallystick.kernel.proration.basis import (
    Basis,
    Share,
    fraction,
    prorated_amount,
    prorated_quantity,
    share,
    used_until,
)
from tallystick.kernel.proration.change import (
    Amounts,
    BilledLine,
    Change,
    Charge,
    NewPrice,
    cancel,
    change,
    change_start,
    credit,
    used_share,
)
from tallystick.kernel.proration.preview import MAX_PREVIEW, PreviewPeriod, schedule_preview

__all__ = [
    "MAX_PREVIEW",
    "Amounts",
    "Basis",
    "BilledLine",
    "Change",
    "Charge",
    "NewPrice",
    "PreviewPeriod",
    "Share",
    "cancel",
    "change",
    "change_start",
    "credit",
    "fraction",
    "prorated_amount",
    "prorated_quantity",
    "schedule_preview",
    "share",
    "used_share",
    "used_until",
]
