"""An amendment: one event is void, and another that points at it stands in its place. One transaction, one batch."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import Meter
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid
from tallystick.metering import queries as metering
from tallystick.metering.backfills import queries, repository
from tallystick.metering.backfills.domain import (
    Amendment,
    AmendmentElsewhere,
    AmendmentEmpty,
    BackfillAccountClosed,
    Chain,
    EventAmended,
    EventIsVoid,
)
from tallystick.metering.backfills.writing import Follower, IdsTaken, columns_of, identities, succession
from tallystick.metering.domain.admission import (
    AHEAD,
    EARLIEST,
    TOO_LATE,
    Admitted,
    Directory,
    MeteredAccount,
    Rules,
    admit,
)
from tallystick.metering.domain.digest import plain, properties_text
from tallystick.metering.domain.events import IncomingEvent, StoredEvent, Verdict
from tallystick.platform.db import ReadSession, Session


async def months(session: ReadSession, event: StoredEvent, wanted: Amendment, now: datetime) -> set[date]:
    """The month whose partition the amended event needs beside the event's own, none where its time will be refused."""
    at = wanted.occurred_at
    if at is None:
        return set()
    account = (await accounts.by_nos(session, [event.account_no]))[event.account_no]
    latest = await accounts.business_now(session, account, now) + AHEAD
    return {at.date().replace(day=1)} if EARLIEST <= at <= latest else set()


async def amend(
    session: Session, actor: Actor, event: StoredEvent, wanted: Amendment, *, now: datetime, late_limit: timedelta
) -> StoredEvent:  # fmt: skip
    """The event that now stands for `event`. A repeat with the same changes finds what the first made.

    The month of its time must have its partition. An event that is moved to before the late limit needs the right `events:backfill`; one
    that keeps its time does not, as a void needs none. What is billed of either is corrected with the account's next bill. Raises
    `EventAmended`, `EventIsVoid`, `AmendmentEmpty`, `AmendmentElsewhere`, `BackfillAccountClosed`, or `Invalid` naming the field.
    """
    await repository.lock_event(session, UUID(bytes=event.key))
    event = (await metering.stored(session, [event.key]))[event.key]
    account = (await accounts.by_nos(session, [event.account_no]))[event.account_no]
    meter = (await catalog.meters(session, [event.meter_id]))[event.meter_id]
    _same_place(wanted, account, meter)
    chain = await queries.chain(session, event)
    if event.voided_by is not None:
        return await _again(session, event, chain, wanted)
    if not account.is_open:
        raise BackfillAccountClosed
    origin = chain.origin
    first = Follower(
        event.source, origin.key if origin else event.key, origin.id if origin else event.id, chain.revision + 1
    )  # fmt: skip
    (follower,) = await identities(session, [first])
    moment = await accounts.business_now(session, account, now)
    row = _admitted(event, wanted, follower, account, meter, moment)
    if _content(row) == _content(event):
        raise AmendmentEmpty
    if _too_late(row, event, moment - late_limit) and not actor.may("events:backfill"):
        raise Invalid(code=TOO_LATE.reason, details=TOO_LATE.details)
    return await _replace(session, actor, event, row, follower, wanted.reason, now)


def _same_place(wanted: Amendment, account: Account, meter: Meter) -> None:
    places = {
        "account_id": (wanted.account_id, account.id),
        "external_id": (wanted.external_id, account.external_id),
        "meter": (wanted.meter, meter.code),
    }
    wrong = {
        name: "is not the event's own" for name, (sent, own) in places.items() if sent not in (None, own)
    }
    if wrong:
        raise AmendmentElsewhere(details=wrong)


async def _again(session: ReadSession, event: StoredEvent, chain: Chain, wanted: Amendment) -> StoredEvent:
    """What the same amendment made before. Raises `EventIsVoid` or `EventAmended`."""
    if chain.successor is None:
        raise EventIsVoid
    details = {"id": chain.successor.id}
    if chain.successor.kind != "amendment":
        raise EventIsVoid(details=details)
    made = (await metering.stored(session, [chain.successor.key]))[chain.successor.key]
    asked = replace(
        event,
        quantity=event.quantity if wanted.quantity is None else wanted.quantity,
        occurred_at=wanted.occurred_at or event.occurred_at,
        unit_price=event.unit_price if wanted.unit_price is None else wanted.unit_price,
        properties=event.properties if wanted.properties is None else dict(wanted.properties),
    )
    if _content(asked) != _content(made):
        raise EventAmended(details=details)
    return made


def _admitted(
    event: StoredEvent, wanted: Amendment, follower: Follower, account: Account, meter: Meter, moment: datetime
) -> Admitted:  # fmt: skip
    incoming = IncomingEvent(
        id=follower.id,
        meter=meter.code,
        source=event.source,
        account_id=account.id,
        quantity=event.quantity if wanted.quantity is None else wanted.quantity,
        occurred_at=wanted.occurred_at or event.occurred_at,
        properties=dict(event.properties if wanted.properties is None else wanted.properties),
        unit_price=event.unit_price if wanted.unit_price is None else wanted.unit_price,
    )
    owner = MeteredAccount(account.no, account.id, account.entity_id)
    directory = Directory({account.id: owner}, {}, {meter.code: meter})
    (row,) = admit([incoming], directory, Rules(moment, backfill=True))
    if isinstance(row, Verdict):
        raise Invalid(code=row.reason, details=row.details)
    return row


def _content(event: StoredEvent | Admitted) -> tuple[datetime, str, str, str]:
    if isinstance(event, Admitted):
        return event.occurred_at, event.quantity, event.unit_price, event.properties
    price = "" if event.unit_price is None else plain(event.unit_price)
    return event.occurred_at, plain(event.quantity), price, properties_text(event.properties)


def _too_late(row: Admitted, event: StoredEvent, limit: datetime) -> bool:
    return row.occurred_at != event.occurred_at and row.occurred_at < limit


async def _replace(
    session: Session, actor: Actor, event: StoredEvent, row: Admitted, follower: Follower, reason: str, now: datetime
) -> StoredEvent:  # fmt: skip
    batch = await repository.open_batch(session, 1, row.occurred_at, actor.principal, actor.request_id)
    if not await repository.void_one(session, UUID(bytes=event.key), batch, now, reason or "amended"):
        raise EventIsVoid
    if not await repository.add_events(session, batch, 0, columns_of([row])):
        raise IdsTaken
    await repository.insert_successions(session, [succession(row, event.key, follower, "amendment")])
    made = (await metering.stored(session, [row.key]))[row.key]
    await audit.record(
        session,
        actor,
        "event.amended",
        "event",
        f"{event.source}/{event.id}",
        before={"quantity": event.quantity, "occurred_at": event.occurred_at, "unit_price": event.unit_price},
        after={
            "event": made.id, "batch": batch, "quantity": made.quantity, "occurred_at": made.occurred_at,
            "unit_price": made.unit_price, "reason": reason,
        },
    )  # fmt: skip
    return made
