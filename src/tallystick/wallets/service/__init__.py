"""Commands on wallets, inside the caller's transaction. Order of locks: the account, its grants, its ledger accounts.

Every command that changes a balance holds the account's lock, as billing does: no balance is ever read by two who both spend it.
`now` is the account's business time.
"""

from tallystick.wallets.service.ending import end_due, end_on_clock, end_some
from tallystick.wallets.service.holding import NewHold, capture_hold, hold, release
from tallystick.wallets.service.managing import (
    NewWallet,
    TopUp,
    change,
    close_all,
    locked,
    open_wallet,
    top_up,
)
from tallystick.wallets.service.settling import Settlement, settle, undo

__all__ = [
    "NewHold", "NewWallet", "Settlement", "TopUp", "capture_hold", "change", "close_all", "end_due", "end_on_clock", "end_some", "hold",
    "locked", "open_wallet", "release", "settle", "top_up", "undo",
]  # fmt: skip
