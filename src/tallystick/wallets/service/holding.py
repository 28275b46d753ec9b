"""A part of a balance is reserved, used, let go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.audit import service as audit
from tallystick.kernel.actor import Actor
from tallystick.ledger import service as ledger
from tallystick.platform.db import ReadSession, Session
from tallystick.wallets import posting, queries, repository
from tallystick.wallets.domain import (
    ZERO,
    HoldNotFound,
    HoldOver,
    Kind,
    WalletEnded,
    capture,
    hold_end,
    reserve,
)
from tallystick.wallets.queries import HoldView, WalletView
from tallystick.wallets.repository import Move


@dataclass(frozen=True, slots=True)
class NewHold:
    """A hold as asked for. `meter` and `plan` say what it is for: grants that do not reach that are left alone."""

    id: UUID
    amount: Decimal
    expires_at: datetime | None = None
    meter: str | None = None
    plan: str | None = None
    description: str = ""


async def hold(session: Session, actor: Actor, wallet: WalletView, new: NewHold) -> HoldView:
    """Reserves a part of a locked wallet's free balance, in the order of use; holds that have expired let go first.

    Raises `WalletEnded`, `InsufficientBalance`, `Invalid`. A repeat reserves again: the caller's idempotency key prevents that.
    """
    if wallet.status != "active":
        raise WalletEnded
    now = wallet.as_of
    expires_at = hold_end(new.expires_at, now)
    await let_go(session, [wallet.account_no], now)
    grants = [
        each
        for each in await queries.free_in(session, wallet.id)
        if each.usable(now, wallet.currency) and each.scope.reaches(new.meter, new.plan)
    ]
    parts = reserve(grants, new.amount)
    values = (new.id, wallet.id, wallet.account_no, new.amount, new.description, now, expires_at)
    await repository.insert_hold(session, values)
    await repository.move(
        session, [Move(each.id, "hold", ZERO, part, now, hold_id=new.id) for each, part in parts]
    )
    after = {"hold_id": str(new.id), "amount": new.amount, "expires_at": expires_at}
    await audit.record(session, actor, "wallet.held", "wallet", str(wallet.id), None, after)
    return await _hold(session, wallet.id, new.id)


async def release(session: Session, actor: Actor, wallet: WalletView, hold_id: UUID) -> HoldView:
    """Lets go of a hold of a locked wallet. Raises `HoldNotFound`, `HoldOver` (a repeat too)."""
    found = await _active(session, wallet, hold_id)
    await _release(session, {found.id: wallet.as_of}, "released")
    await audit.record(
        session, actor, "wallet.hold_released", "wallet", str(wallet.id), None, {"hold_id": str(hold_id)}
    )
    return await _hold(session, wallet.id, hold_id)


async def capture_hold(
    session: Session,
    actor: Actor,
    wallet: WalletView,
    hold_id: UUID,
    amount: Decimal | None,
    gl_code: str | None = None,
) -> HoldView:
    """Uses a hold of a locked wallet, all of it or `amount`; the rest is let go. What is used is earned under `gl_code`.

    Raises `HoldNotFound`, `HoldOver` (a repeat too), `OverCapture`.
    """
    found = await _active(session, wallet, hold_id)
    now, used = wallet.as_of, found.amount if amount is None else amount
    parts = await repository.hold_parts(session, [hold_id])
    kinds = {row["grant_id"]: Kind(row["kind"]) for row in parts}
    taken = dict.fromkeys(Kind, ZERO)
    moves: list[Move] = []
    for grant_id, part, rest in capture([(row["grant_id"], row["amount"]) for row in parts], used):
        taken[kinds[grant_id]] += part
        if part:
            moves.append(Move(grant_id, "capture", -part, -part, now, hold_id=hold_id))
        if rest:
            moves.append(Move(grant_id, "release", ZERO, -rest, now, hold_id=hold_id))
    await repository.move(session, moves)
    await repository.end_holds(session, [hold_id], "captured", [now], used)
    code = gl_code or posting.PREPAID
    booked = posting.captured(hold_id, taken, wallet.account_no, wallet.entity_id, wallet.currency, code, now)
    await ledger.post(session, [booked])
    after = {"hold_id": str(hold_id), "amount": used, "gl_code": code}
    await audit.record(session, actor, "wallet.hold_captured", "wallet", str(wallet.id), None, after)
    return await _hold(session, wallet.id, hold_id)


async def _active(session: Session, wallet: WalletView, hold_id: UUID) -> HoldView:
    found = await _hold(session, wallet.id, hold_id)
    if found.status != "active" or found.expires_at <= wallet.as_of:
        raise HoldOver
    return found


async def _hold(session: ReadSession, wallet_id: UUID, hold_id: UUID) -> HoldView:
    found = await queries.hold(session, wallet_id, hold_id)
    if found is None:
        raise HoldNotFound
    return found


async def _release(session: Session, ends: Mapping[UUID, datetime], status: str) -> None:
    parts = await repository.hold_parts(session, list(ends))
    moves = [
        Move(row["grant_id"], "release", ZERO, -row["amount"], ends[row["hold_id"]], hold_id=row["hold_id"])
        for row in parts
    ]
    await repository.move(session, moves)
    await repository.end_holds(session, list(ends), status, list(ends.values()), ZERO)


async def let_go(session: Session, account_nos: Sequence[int], now: datetime) -> int:
    """Ends the holds of locked accounts that have expired, each at its expiry."""
    over = {row["id"]: row["expires_at"] for row in await repository.expired_holds(session, account_nos, now)}
    if over:
        await _release(session, over, "expired")
    return len(over)
