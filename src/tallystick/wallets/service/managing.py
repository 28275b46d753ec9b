"""Wallets are opened, changed, topped up, terminated."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts import repository as accounts
from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.catalog import queries as catalog
from tallystick.contracts.events import WalletToppedUp
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Stale
from tallystick.ledger import service as ledger
from tallystick.platform import outbox
from tallystick.platform.db import ReadSession, Session
from tallystick.wallets import posting, queries, repository
from tallystick.wallets.domain import (
    EVERYTHING,
    Kind,
    Scope,
    UnknownScope,
    WalletEnded,
    WalletHoldsMoney,
    WalletNotFound,
    WrongCurrency,
    check_ends,
    check_price,
    coins,
)
from tallystick.wallets.queries import GrantView, WalletView
from tallystick.wallets.service.ending import end_grants


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
    await end_grants(session, actor, rows, "forfeit")


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
