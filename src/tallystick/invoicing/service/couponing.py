"""Commands on coupons, inside the caller's transaction. Order of locks: account, then coupon: racers for the last one wait for its row."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.catalog import queries as catalog
from tallystick.entities.domain import TEST_ID
from tallystick.invoicing.coupons import queries, repository
from tallystick.invoicing.coupons.queries import CouponView
from tallystick.invoicing.domain.coupons import (
    CouponApplied,
    CouponCurrency,
    CouponExhausted,
    CouponExists,
    CouponExpired,
    CouponInactive,
    CouponNotFound,
    Terms,
    check_terms,
)
from tallystick.invoicing.domain.draft import CouponUse
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, Stale
from tallystick.platform.db import ReadSession, Session
from tallystick.wallets.domain import Scope

CHANGEABLE = ("name", "is_active", "redeem_by", "max_redemptions")


@dataclass(frozen=True, slots=True)
class NewCoupon:
    """A coupon as asked for. `redeem_by` is the first instant at which it is not given out any more."""

    code: str
    name: str
    terms: Terms
    redeem_by: datetime | None = None
    max_redemptions: int | None = None
    per_account: int = 1
    is_active: bool = True


async def make_coupon(session: Session, actor: Actor, new: NewCoupon, *, livemode: bool = True) -> CouponView:
    """Adds a coupon of the actor's entity, or of that of test clocks. Raises `CouponExists` (so a repeat adds nothing), `Invalid`."""
    check_terms(new.terms)
    await _check_scope(session, new.terms.scope)
    terms, entity_id = new.terms, actor.entity_id if livemode else TEST_ID
    coupon_id = await repository.insert_coupon(
        session,
        (
            entity_id, new.code, new.name, terms.kind, terms.value, terms.currency, terms.duration, terms.periods,
            sorted(set(terms.scope.meters)), sorted(set(terms.scope.plans)), new.redeem_by, new.max_redemptions, new.per_account,
            new.is_active,
        ),
    )  # fmt: skip
    if coupon_id is None:
        raise CouponExists(details={"code": CouponExists.sentence})
    after = {"code": new.code, "kind": terms.kind.value, "value": terms.value, "currency": terms.currency}
    await audit.record(session, actor, "coupon.made", "coupon", str(coupon_id), None, after)
    return await queries.coupon(session, coupon_id)


async def _check_scope(session: ReadSession, scope: Scope) -> None:
    unknown: dict[str, str] = {}
    if scope.meters and set(scope.meters) - (await catalog.meters_by_code(session, scope.meters)).keys():
        unknown["meters"] = "some of these meters do not exist"
    for code in scope.plans:
        if not (await catalog.plans(session, limit=1, cursor=None, all_plans=True, code=code)).rows:
            unknown["plans"] = "some of these plans do not exist"
    if unknown:
        raise Invalid(details=unknown)


async def locked(session: Session, coupon_id: int, revisions: Collection[int] | None = None) -> CouponView:
    """The coupon, locked until the transaction ends. Raises `CouponNotFound`, `Stale`."""
    if await repository.lock_coupon(session, coupon_id) is None:
        raise CouponNotFound
    found = await queries.coupon(session, coupon_id)
    if revisions is not None and found.revision not in revisions:
        raise Stale
    return found


async def change(
    session: Session, actor: Actor, coupon: CouponView, changes: Mapping[str, Any]
) -> CouponView:
    """Changes name, limits or whether a locked coupon is given out. Who has it keeps it. A repeat changes nothing."""
    before = {name: getattr(coupon, name) for name in CHANGEABLE}
    after = {**before, **changes}
    if after == before:
        return coupon
    most = after["max_redemptions"]
    if most is not None and most < coupon.redemptions:
        raise Invalid.field(
            "max_redemptions", f"must be at least {coupon.redemptions}: so often it was redeemed"
        )
    await repository.update_coupon(session, coupon.id, **after)
    await audit.record(session, actor, "coupon.changed", "coupon", str(coupon.id), before, after)
    return await queries.coupon(session, coupon.id)


async def redeem(
    session: Session, actor: Actor, account: Account, code: str, *, applied_id: UUID, now: datetime
) -> UUID:
    """Gives the coupon to a locked, open account; it lowers invoices made from now on. `now` is the account's business time.

    Raises `CouponNotFound`, `CouponInactive`, `CouponExpired`, `CouponExhausted`, `CouponApplied`, `CouponCurrency`; of many who race for
    the last one, one has it.
    """
    found = await queries.by_code(session, account.entity_id, code)
    if found is None:
        raise CouponNotFound(details={"code": CouponNotFound.sentence})
    coupon = await locked(session, found.id)
    _check_redeemable(coupon, account, now)
    if await queries.times_applied(session, coupon.id, account.no) >= coupon.per_account:
        raise CouponApplied(details={"code": CouponApplied.sentence})
    uses = {"once": 1, "repeating": coupon.periods, "forever": None}[coupon.duration]
    currency = coupon.currency or account.currency
    await repository.redeem(session, applied_id, coupon.id, account.no, currency, uses, now)
    after = {"account_id": account.id, "coupon": coupon.code}
    await audit.record(session, actor, "coupon.redeemed", "applied_coupon", str(applied_id), None, after)
    return applied_id


def _check_redeemable(coupon: CouponView, account: Account, now: datetime) -> None:
    if not coupon.is_active:
        raise CouponInactive(details={"code": CouponInactive.sentence})
    if coupon.redeem_by is not None and now >= coupon.redeem_by:
        raise CouponExpired(details={"code": CouponExpired.sentence})
    if coupon.max_redemptions is not None and coupon.redemptions >= coupon.max_redemptions:
        raise CouponExhausted(details={"code": CouponExhausted.sentence})
    if coupon.currency is not None and coupon.currency != account.currency:
        raise CouponCurrency(details={"code": CouponCurrency.sentence})


async def withdraw(session: Session, actor: Actor, account: Account, applied_id: UUID, now: datetime) -> None:
    """The coupon of a locked account lowers nothing from now on; a repeat changes nothing. Raises `NotFound`."""
    found = await queries.one_applied(session, account.no, applied_id)
    if found.withdrawn_at is None:
        await repository.withdraw(session, applied_id, now)
        await audit.record(
            session,
            actor,
            "coupon.withdrawn",
            "applied_coupon",
            str(applied_id),
            {"coupon": found.code},
            None,
        )


async def use(session: Session, used: Iterable[tuple[UUID, Sequence[CouponUse]]]) -> None:
    """Writes what coupons took off invoices that are issued now; two statements for any number, none where there is nothing."""
    rows = [
        (use.applied_id, invoice_id, position, str(use.kind), use.value, list(use.lines), use.amount)
        for invoice_id, uses in used
        for position, use in enumerate(uses, 1)
    ]
    if rows:
        await repository.use(session, rows, [row[0] for row in rows])
