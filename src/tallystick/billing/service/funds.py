"""The coupons that may lower a bill and the grants of wallets that may pay it, with what they reach. Read with the book, so that a preview finds what the run finds."""

from datetime import datetime

from tallystick.billing.service.book import Book, Shelf
from tallystick.invoicing.domain.coupons import Applied, in_order
from tallystick.invoicing.domain.drawing import Fund, Reach
from tallystick.wallets.domain import Scope


def funds(book: Book, account_no: int, currency: str, due: datetime) -> tuple[Fund, ...]:
    """Grants that may pay what falls due at `due` (business time), whenever the bill is made: those that had not ended then."""
    grants = book.grants.get(account_no)
    if not grants:
        return ()
    return tuple(
        Fund(grant, reach(book.shelf, grant.scope) if grant.scope.limited else None)
        for grant in grants
        if grant.usable(due, currency)
    )


def coupons(book: Book, account_no: int, currency: str) -> tuple[tuple[Applied, Reach | None], ...]:
    """The coupons that may lower the account's invoice in this currency, in order of effect, with what they reach."""
    return tuple(
        (each, reach(book.shelf, each.scope) if each.scope.limited else None)
        for each in in_order(book.coupons.get(account_no, ()))
        if each.currency == currency
    )


def reach(shelf: Shelf, scope: Scope) -> Reach:
    """A scope's codes as ids, of what the shelf holds: all that the batch bills is on it by then."""
    versions, meters = shelf.versions.values(), None
    if scope.meters:
        meters = frozenset(id for id, meter in shelf.meters.items() if meter.code in scope.meters)
    return Reach(
        meters,
        frozenset(
            charge.id for version in versions for charge in version.charges if meters and charge.meter_id in meters
        ),
        frozenset(version.id for version in versions if version.code in scope.plans) if scope.plans else None,
    )  # fmt: skip
