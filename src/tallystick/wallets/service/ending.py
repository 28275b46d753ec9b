"""What has come to its end: holds let go, grants are taken back or earned."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.accounts import repository as accounts
from tallystick.audit import service as audit
from tallystick.audit.domain import Change
from tallystick.contracts.events import WalletGrantEnded
from tallystick.kernel.actor import Actor, system_actor
from tallystick.ledger import service as ledger
from tallystick.platform import outbox
from tallystick.platform.db import Database, Record, Session
from tallystick.wallets import posting, repository
from tallystick.wallets.domain import (
    ZERO,
    Kind,
)
from tallystick.wallets.repository import Move
from tallystick.wallets.service.holding import let_go

PAGE = 200
"""Accounts whose ends are dealt with in one transaction."""


async def end_due(session: Session, account_nos: Sequence[int], now: datetime) -> int:
    """Ends what of these locked accounts has expired by `now`: holds let go, grants are taken back (granted) or earned (paid).

    Each is dated at its own end. A grant waits for the bills that fell due before its end. Gives how many ended; a repeat does nothing.
    """
    released = await let_go(session, account_nos, now)
    rows = [(row, row["at"]) for row in await repository.ending(session, account_nos, now)]
    await end_grants(session, system_actor("wallets"), rows, "expiry")
    return released + len(rows)


async def end_grants(
    session: Session, actor: Actor, rows: Sequence[tuple[Record, datetime]], reason: str
) -> None:
    """Empties grants, each at its instant: transaction, posting, event and audit row."""
    if not rows:
        return
    moves = [Move(row["id"], reason, -row["amount"], ZERO, at) for row, at in rows]
    ids = {each["grant_id"]: each["id"] for each in await repository.move(session, moves)}
    await ledger.post(
        session,
        [
            posting.ended(ids[row["id"]], Kind(row["kind"]), row["account_no"], row["entity_id"], row["currency"], row["amount"], at)
            for row, at in rows
        ],
    )  # fmt: skip
    events = [
        WalletGrantEnded(
            str(row["wallet_id"]), row["account_id"], str(row["id"]), row["kind"], reason, row["amount"], row["currency"], at
        )
        for row, at in rows
    ]  # fmt: skip
    await outbox.emit_all(session, events, request_id=actor.request_id)
    changes = [
        Change(
            actor, "wallet.grant_ended", "wallet", str(row["wallet_id"]), None,
            {"grant_id": str(row["id"]), "reason": reason, "amount": row["amount"], "currency": row["currency"]},
        )
        for row, _ in rows
    ]  # fmt: skip
    await audit.record_many(session, changes)


async def end_some(database: Database, system_now: datetime) -> bool:
    """A page of accounts without a test clock whose grants or holds have ended; False where there was nothing to do. Commits.

    Accounts that someone is working on are left for the next time.
    """
    async with database.write() as session:
        nos = await repository.accounts_with_ends(session, system_now, PAGE)
        held = await accounts.lock_many(session, nos, skip_locked=True) if nos else {}
        return bool(held) and await end_due(session, list(held), system_now) > 0


async def end_on_clock(session: Session, clock_id: UUID, at: datetime) -> int:
    """As `end_due`, for all accounts of a test clock that has come to `at` (`queries.next_end` says when to come)."""
    nos = await repository.accounts_of_clock(session, clock_id, at)
    return await end_due(session, list(await accounts.lock_many(session, nos)), at) if nos else 0
