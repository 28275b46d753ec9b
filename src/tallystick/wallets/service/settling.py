"""What an invoice does to wallets, and its undoing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.platform.db import Session
from tallystick.wallets import repository
from tallystick.wallets.domain import (
    ZERO,
    Draw,
    GivenBackSpent,
    facts,
)
from tallystick.wallets.repository import Move


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an invoice does to wallets: draws, and what its corrections give back (index of the line, grant, amount above zero)."""

    invoice_id: UUID
    moment: datetime
    draws: Sequence[Draw] = ()
    returned: Sequence[tuple[int, UUID, Decimal]] = ()


async def settle(session: Session, settlements: Sequence[Settlement]) -> None:
    """Takes from grants what they pay of invoices and gives them what corrections return, hundreds of invoices in one statement.

    The caller holds the accounts' locks and posts the invoices. An invoice that is stored twice fails before it comes here.
    """
    moves = [
        Move(grant_id, "give_back", amount, ZERO, each.moment, each.invoice_id, index + 1)
        for each in settlements
        for index, grant_id, amount in each.returned
    ]
    for each in settlements:
        for drawn in each.draws:
            moves.append(
                Move(
                    drawn.grant.id, "draw", -drawn.amount, ZERO, each.moment, each.invoice_id, None, None, facts(drawn)
                )
            )  # fmt: skip
    if moves:
        done = await repository.move(session, moves)
        assert len(done) == len(moves), "grants are never deleted"


async def undo(session: Session, invoice_id: UUID, now: datetime) -> None:
    """Gives back to the same grants what they paid of an invoice that is void, and takes back what its corrections gave them; the books
    are reversed with the invoice. A repeat does nothing. The caller holds the account's lock. Raises `GivenBackSpent`.

    A grant at its end gets it too: the bill that is made again for the same due instant may use it; what it leaves ends with the
    next `end_due`.
    """
    moves: list[Move] = []
    short: dict[UUID, Decimal] = {}
    for row in await repository.unsettled(session, invoice_id):
        kind = "give_back" if row["amount"] < 0 else "take_back"
        short[row["grant_id"]] = short.get(row["grant_id"], row["free"]) - row["amount"]
        moves.append(Move(row["grant_id"], kind, -row["amount"], ZERO, now, invoice_id, row["position"]))
    if any(left < 0 for left in short.values()):
        raise GivenBackSpent
    if moves:
        await repository.move(session, moves)
