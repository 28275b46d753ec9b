"""Commands on wallets, inside the caller's transaction. Order of locks: the account, its grants, its ledger accounts.

Every command that changes a balance holds the account's lock, as billing does: no balance is ever read by two who both spend it.
`now` is the account's business time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts import repository as accounts
from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.audit.domain import Change
from tallystick.catalog import queries as catalog
from tallystick.contracts.events import WalletGrantEnded, WalletToppedUp
from tallystick.kernel.actor import Actor, system_actor
from tallystick.kernel.errors import Stale
from tallystick.ledger import service as ledger
from tallystick.platform import outbox
from tallystick.platform.db import Database, ReadSession, Record, Session
from tallystick.wallets import posting, queries, repository
from tallystick.wallets.domain import (
    EVERYTHING,
    ZERO,
    Draw,
    GivenBackSpent,
    HoldNotFound,
    HoldOver,
    Kind,
    Scope,
    UnknownScope,
    WalletEnded,
    WalletHoldsMoney,
    WalletNotFound,
    WrongCurrency,
    capture,
    check_ends,
    check_price,
    coins,
    facts,
    hold_end,
    reserve,
)
from tallystick.wallets.queries import GrantView, HoldView, WalletView
from tallystick.wallets.repository import Move

PAGE = 200
"""Accounts whose ends are dealt with in one transaction."""


@dataclass(frozen=True, slots=True)
class NewWallet:
    """A wallet as asked for; currency None is the account's."""

    id: UUID
    name: str
    currency: str | None = None
    priority: int = 50
    scope: Scope = EVERYTHING
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TopUp:
    """A top-up as asked for. What is None is the wallet's; `price` None is the amount of a paid one."""

    id: UUID
    kind: Kind
    amount: Decimal
    price: Decimal | None = None
    currency: str | None = None
    priority: int | None = None
    meters: Sequence[str] | None = None
    plans: Sequence[str] | None = None
    expires_at: datetime | None = None
    description: str = ""


async def open_wallet(
    session: Session, actor: Actor, account: Account, new: NewWallet, now: datetime
) -> None:
    """Opens an empty wallet of an open account. Raises `UnknownScope`, and `Invalid` for an expiry that is not ahead.

    A repeat opens another one: the caller's idempotency key prevents that.
    """
    check_ends(new.expires_at, now)
    await _check_scope(session, new.scope)
    currency = new.currency or account.currency
    scope = [sorted(set(new.scope.meters)), sorted(set(new.scope.plans))]
    await repository.insert_wallet(
        session,
        (
            new.id,
            account.no,
            account.entity_id,
            currency,
            new.name,
            new.priority,
            *scope,
            new.expires_at,
            now,
        ),
    )
    after = {
        "account_id": account.id, "name": new.name, "currency": currency, "priority": new.priority, "meters": scope[0],
        "plans": scope[1], "expires_at": new.expires_at,
    }  # fmt: skip
    await audit.record(session, actor, "wallet.opened", "wallet", str(new.id), None, after)


async def _check_scope(session: ReadSession, scope: Scope) -> None:
    unknown: dict[str, str] = {}
    if scope.meters and set(scope.meters) - (await catalog.meters_by_code(session, scope.meters)).keys():
        unknown["meters"] = "some of these meters do not exist"
    for code in scope.plans:
        if not (await catalog.plans(session, limit=1, cursor=None, all_plans=True, code=code)).rows:
            unknown["plans"] = "some of these plans do not exist"
    if unknown:
        raise UnknownScope(details=unknown)


async def locked(
    session: Session, wallet_id: UUID, system_now: datetime, revisions: Collection[int] | None = None
) -> WalletView:
    """The wallet of an open account, whose lock is ours until the transaction ends. Raises `WalletNotFound`, `Stale`."""
    found = await queries.wallet(session, wallet_id, system_now)
    account = (await accounts.lock_many(session, [found.account_no]))[found.account_no]
    if not account.is_open:
        raise WalletNotFound
    found = await queries.wallet(session, wallet_id, system_now)
    if revisions is not None and found.revision not in revisions:
        raise Stale
    return found


async def change(session: Session, actor: Actor, wallet: WalletView, changes: Mapping[str, Any]) -> None:
    """Applies what a PUT names to a locked wallet: name, priority, expiry of all its grants; status `terminated` ends it.

    A repeat changes nothing. Raises `WalletEnded`, `WalletHoldsMoney`, and `Invalid` for an expiry that is not ahead.
    """
    wanted = {name: value for name, value in changes.items() if getattr(wallet, name) != value}
    if not wanted:
        return
    if wallet.status != "active":
        raise WalletEnded
    own = {name: wanted.get(name, getattr(wallet, name)) for name in ("name", "priority", "expires_at")}
    if "expires_at" in wanted:
        check_ends(own["expires_at"], wallet.as_of)
    if wanted.keys() - {"status"}:
        await repository.update_wallet(session, wallet.id, **own)
    if "status" in wanted:
        if wallet.paid_balance or wallet.held:
            raise WalletHoldsMoney
        await _terminate(session, actor, [wallet.id], wallet.as_of)
    before = {name: getattr(wallet, name) for name in wanted}
    await audit.record(session, actor, "wallet.changed", "wallet", str(wallet.id), before, wanted)


async def _terminate(session: Session, actor: Actor, wallet_ids: Sequence[UUID], at: datetime) -> None:
    await repository.terminate(session, wallet_ids, at)
    rows = [(row, at) for row in await repository.left_in(session, wallet_ids)]
    await _end(session, actor, rows, "forfeit")


async def close_all(session: Session, actor: Actor, account_no: int, now: datetime) -> None:
    """Ends every wallet of a locked account that closes: what was granted is gone. That nothing paid is left, the caller has asked
    (`queries.money_left`). A repeat does nothing."""
    found = await repository.open_wallets(session, account_no)
    if found:
        await _terminate(session, actor, found, now)


async def top_up(session: Session, actor: Actor, wallet: WalletView, new: TopUp) -> GrantView:
    """Puts money or credit into a locked wallet, posted at once. Money was taken by hand, outside any gateway.

    Raises `WalletEnded`, `WrongCurrency`, `UnknownScope`; `Invalid` where amount or price have more decimals than the currency, or the
    expiry is not ahead. A repeat tops up again: the caller's idempotency key prevents that.
    """
    if wallet.status != "active":
        raise WalletEnded
    if new.currency not in (None, wallet.currency):
        raise WrongCurrency(details={"currency": "is not the wallet's"})
    now = wallet.as_of
    check_ends(new.expires_at, now)
    amount = coins("amount", new.amount, wallet.currency)
    price = coins("price", check_price(new.kind, amount, new.price), wallet.currency)
    await _check_scope(session, Scope(tuple(new.meters or ()), tuple(new.plans or ())))
    scope = [None if codes is None else sorted(set(codes)) for codes in (new.meters, new.plans)]
    ends = min((at for at in (new.expires_at, wallet.expires_at) if at is not None), default=None)
    await repository.insert_grant(
        session,
        (
            new.id, wallet.id, wallet.account_no, wallet.entity_id, wallet.currency, new.kind.value, new.description, amount, price,
            new.priority, *scope, new.expires_at, ends, now,
        ),
    )  # fmt: skip
    booked = posting.topped_up(
        new.id, new.kind, wallet.account_no, wallet.entity_id, wallet.currency, amount, price, now
    )
    await ledger.post(session, [booked])
    after = {
        "grant_id": str(new.id),
        "kind": new.kind.value,
        "amount": amount,
        "price": price,
        "currency": wallet.currency,
    }
    await audit.record(session, actor, "wallet.topped_up", "wallet", str(wallet.id), None, after)
    event = WalletToppedUp(
        str(wallet.id), wallet.account_id, str(new.id), new.kind.value, amount, wallet.currency, now
    )
    await outbox.emit(session, event, request_id=actor.request_id)
    return await queries.grant(session, new.id)


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
    await _let_go(session, [wallet.account_no], now)
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


async def _let_go(session: Session, account_nos: Sequence[int], now: datetime) -> int:
    """Ends the holds of locked accounts that have expired, each at its expiry."""
    over = {row["id"]: row["expires_at"] for row in await repository.expired_holds(session, account_nos, now)}
    if over:
        await _release(session, over, "expired")
    return len(over)


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
    moves += [
        Move(drawn.grant.id, "draw", -amount, ZERO, each.moment, each.invoice_id, index + 1, None, facts(drawn))
        for each in settlements
        for drawn in each.draws
        for index, amount in drawn.shares
    ]  # fmt: skip
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


async def end_due(session: Session, account_nos: Sequence[int], now: datetime) -> int:
    """Ends what of these locked accounts has expired by `now`: holds let go, grants are taken back (granted) or earned (paid).

    Each is dated at its own end. A grant waits for the bills that fell due before its end. Gives how many ended; a repeat does nothing.
    """
    released = await _let_go(session, account_nos, now)
    rows = [(row, row["at"]) for row in await repository.ending(session, account_nos, now)]
    await _end(session, system_actor("wallets"), rows, "expiry")
    return released + len(rows)


async def _end(session: Session, actor: Actor, rows: Sequence[tuple[Record, datetime]], reason: str) -> None:
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
