"""Commands on accounts and test clocks. Each works in the caller's transaction and does not commit it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tallystick.accounts import queries, repository
from tallystick.accounts.domain import (
    Account,
    AccountView,
    Clock,
    ClockBusy,
    EmailTaken,
    ExternalIdTaken,
    NewAccount,
    TaxIdRequired,
    UnknownClock,
    ZoneChange,
    default_timezone,
    month_start,
)
from tallystick.audit import service as audit
from tallystick.contracts.events import AccountClosed, AccountOpened
from tallystick.entities import queries as entities
from tallystick.entities.domain import TEST_ID
from tallystick.identity import service as identity
from tallystick.identity.service import Grant, Issuing
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound, Stale
from tallystick.kernel.period import Alignment, Cycle, Schedule, close_instant, next_boundary
from tallystick.kernel.zones import zone
from tallystick.platform import outbox
from tallystick.platform.db import Session
from tallystick.platform.http.fields import ReadOnly

STAFF_FIELDS = frozenset({"external_id", "metadata"})
"""What a customer may not change: both steer how others' systems see the account."""

_PERSONAL = ("name", "email", "phone", "address", "tax_id")


@dataclass(frozen=True, slots=True)
class Registration:
    """A person who signs up. The password is hashed already."""

    account: NewAccount
    email: str
    password_hash: str
    first_name: str
    last_name: str


async def open_account(session: Session, actor: Actor, new: NewAccount, *, now: datetime) -> Account:
    """Opens an account in the actor's entity, or in its test clock's, where the clock's time counts instead of `now`.

    Raises `EmailTaken`, `ExternalIdTaken`, `UnknownClock`, `ClockBusy`, `UnknownTimeZone`; after a refusal the transaction must not
    be kept. A repeat opens another account: the caller's idempotency key or external_id prevents that.
    """
    if actor.is_customer:
        raise NotFound
    entity_id = actor.entity_id
    if new.test_clock_id is not None:
        clock = await _ready_clock(session, new.test_clock_id)
        entity_id, now = clock.entity_id, clock.frozen_time
    entity = await entities.get(session, entity_id)
    timezone = new.timezone or default_timezone(new.phone, new.country)
    zone(timezone)
    usage_from = month_start(min(new.usage_from or now, now), timezone)
    months = Schedule(usage_from, Cycle.MONTHLY, Alignment.CALENDAR, timezone)
    due = close_instant(
        next_boundary(months, usage_from), timedelta(seconds=entity.usage_close_delay_seconds)
    )
    account = await repository.insert_account(
        session, new, entity_id=entity_id, livemode=not entity.is_test, currency=new.currency or entity.currency,
        timezone=timezone, usage_from=usage_from, next_usage_billing_at=due, now=now,
    )  # fmt: skip
    if account is None:
        raise ExternalIdTaken(details={"external_id": ExternalIdTaken.sentence})
    if not await repository.insert_profile(session, account, new):
        raise EmailTaken(details={"email": EmailTaken.sentence})
    await audit.record(session, actor, "account.opened", "account", account.id, None, _opened(account, new))
    event = AccountOpened(account.id, account.currency, now)
    await outbox.emit(session, event, request_id=actor.request_id)
    return account


def _opened(account: Account, new: NewAccount) -> dict[str, Any]:
    personal = {name: getattr(new, name) for name in _PERSONAL if getattr(new, name) is not None}
    return personal | {
        "currency": account.currency,
        "timezone": account.timezone,
        "country": account.country,
        "external_id": account.external_id,
        "test_clock_id": None if account.test_clock_id is None else str(account.test_clock_id),
    }


async def _ready_clock(session: Session, clock_id: UUID) -> Clock:
    clock = await repository.share_clock(session, clock_id)
    if clock is None:
        raise UnknownClock(details={"test_clock_id": UnknownClock.sentence})
    if clock.status == "advancing":
        raise ClockBusy
    return clock


async def locked(
    session: Session, actor: Actor, account_id: str, revisions: Collection[int] | None = None
) -> Account:
    """The open account, the actor's own if he is a customer, locked until the transaction ends.

    Raises `NotFound`; `Stale` where its revision is none of `revisions`.
    """
    if actor.is_customer and account_id != actor.account_id:
        raise NotFound
    account = await repository.lock(session, account_id)
    if account is None or not account.is_open:
        raise NotFound
    if revisions is not None and account.revision not in revisions:
        raise Stale
    return account


async def update(
    session: Session,
    actor: Actor,
    account: Account,
    shown: AccountView,
    changes: dict[str, Any],
    *,
    now: datetime,
) -> AccountView:
    """Changes what `changes` names of a locked account (`shown` is how it is now) and gives it as it is then.

    A new zone counts from business time `now`: schedules follow at their next boundary. Raises `ReadOnly`, `EmailTaken`,
    `ExternalIdTaken`. A repeat changes nothing.
    """
    changed = {name: value for name, value in changes.items() if getattr(shown, name) != value}
    if not changed:
        return shown
    if actor.is_customer and changed.keys() & STAFF_FIELDS:
        raise ReadOnly(
            details=dict.fromkeys(sorted(changed.keys() & STAFF_FIELDS), "only staff may change this")
        )
    await _check_free(session, account, changed)
    after = replace(shown, **changed)
    zones = account.zones
    if after.timezone != account.timezone:
        zone(after.timezone)
        zones = (*zones, ZoneChange(now, after.timezone))
    await repository.update_account(
        session, account.no, external_id=after.external_id, locale=after.locale, country=after.country,
        metadata=after.metadata, zones=zones,
    )  # fmt: skip
    if changed.keys() & set(_PERSONAL):
        assert after.name is not None, "an open account has a name"
        await repository.update_profile(
            session, account.no, name=after.name, email=after.email, phone=after.phone, address=after.address,
            tax_id=after.tax_id,
        )  # fmt: skip
    before = {name: getattr(shown, name) for name in changed}
    await audit.record(session, actor, "account.changed", "account", account.id, before, changed)
    return await queries.view(session, account.no)


def check_tax_id_of_shifted(actor: Actor, tax_id: str | None) -> None:
    """Whether the tax id of an account that owes its tax itself may become `tax_id`. Raises `TaxIdRequired`; `ReadOnly` for customers:
    staff vouches for the id that shifts the tax."""
    if actor.is_customer:
        raise ReadOnly(details={"tax_id": "only staff may change this while the tax is shifted to you"})
    if tax_id is None:
        raise TaxIdRequired(
            details={"tax_id": "is required while the account's tax treatment is reverse_charge"}
        )


async def _check_free(session: Session, account: Account, changed: dict[str, Any]) -> None:
    """Names the field that is taken; a race between two changes ends at the unique index."""
    email, external_id = changed.get("email"), changed.get("external_id")
    if email is not None:
        holder = await repository.email_holder(session, account.entity_id, email)
        if holder not in (None, account.no):
            raise EmailTaken(details={"email": EmailTaken.sentence})
    if (
        external_id is not None
        and await repository.external_id_holder(session, account.entity_id, external_id) is not None
    ):
        raise ExternalIdTaken(details={"external_id": ExternalIdTaken.sentence})


async def close(session: Session, actor: Actor, account: Account, now: datetime) -> None:
    """Closes a locked account and erases its personal data: profile, users, and the key of their digests in the audit log.

    Whether it may be closed is `billing`'s to say, before. Documents keep what they name. A repeat does nothing.
    """
    if not account.is_open:
        return
    await repository.close(session, account.no, now)
    await identity.erase_users_of(session, actor, account.no)
    before, after = {"status": "open"}, {"status": "closed"}
    await audit.record(session, actor, "account.closed", "account", account.id, before, after)
    await audit.forget(session, "account", account.id)
    await outbox.emit(session, AccountClosed(account.id, now), request_id=actor.request_id)


async def register(
    session: Session, actor: Actor, person: Registration, issuing: Issuing, *, now: datetime
) -> Grant:
    """A user with a billing account of his own, signed in (CONTRACT §3).

    Never linked to an account that exists: where another one has the e-mail, the new account does without. Raises identity's
    `EmailTaken` where a user has it; then nothing may be kept.
    """
    account = await _open_without_clash(session, actor, person.account, now)
    user = await identity.register_user(
        session, actor, email=person.email, password_hash=person.password_hash, first_name=person.first_name,
        last_name=person.last_name, role="customer", account_no=account.no, account_id=account.id,
        entity_id=account.entity_id,
    )  # fmt: skip
    return await identity.sign_in(session, user, issuing)


async def _open_without_clash(session: Session, actor: Actor, account: NewAccount, now: datetime) -> Account:
    try:
        async with session.savepoint():
            return await open_account(session, actor, account, now=now)
    except EmailTaken:
        return await open_account(session, actor, replace(account, email=None), now=now)


async def make_clock(
    session: Session, actor: Actor, *, clock_id: UUID, name: str, frozen_time: datetime
) -> Clock:
    """A clock that stands still at `frozen_time` until it is advanced; its accounts belong to the test entity."""
    clock = await repository.insert_clock(session, clock_id, TEST_ID, name, frozen_time)
    await audit.record(
        session, actor, "test_clock.made", "test_clock", str(clock_id), None, {"frozen_time": frozen_time}
    )
    return clock
