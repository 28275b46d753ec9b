"""Which state of an invoice may follow which. The database holds the same table in a trigger."""

from tallystick.invoicing.domain.draft import Status
from tallystick.kernel.errors import Conflict

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.FINALIZED, Status.PAID, Status.VOID}),
    Status.FINALIZED: frozenset({Status.PAID, Status.VOID}),
    Status.PAID: frozenset(),
    Status.VOID: frozenset(),
}
"""draft → paid is what a zero invoice does, and a billing record that is entered as paid: it is finalized on the way."""


class IllegalTransition(Conflict):
    code = "invoice_state"
    sentence = "The invoice's state does not allow this"


def require(current: Status, wanted: Status) -> None:
    """Raises `IllegalTransition` unless an invoice that is `current` may become `wanted`."""
    if wanted not in TRANSITIONS[current]:
        raise IllegalTransition(
            f"An invoice that is {current} cannot become {wanted}",
            details={"status": f"is {current}", "allowed": sorted(TRANSITIONS[current])},
        )
