"""A list of subscribers put on a test clock: plans, accounts and subscriptions, each step committed in pieces and safe to repeat.

An account and its subscription are written together, so that whoever is there is complete; what a killed load has not reached, the next one finds.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import NAMESPACE_OID, UUID, uuid5

from tallystick.accounts import queries as accounts
from tallystick.accounts import service as account_service
from tallystick.accounts.domain import Clock, NewAccount
from tallystick.billing.importers.subscribers import CURRENCY, Subscriber
from tallystick.billing.service.loading import Loader
from tallystick.catalog import queries as catalog
from tallystick.catalog.bulk import WantedPlan, make_plans
from tallystick.catalog.domain import PlanVersion, Terms
from tallystick.entities.domain import TEST_ID
from tallystick.kernel.errors import Conflict, NotFound
from tallystick.kernel.zones import local_midnight, zone
from tallystick.platform.db import Database, ReadSession, Session
from tallystick.subscriptions import service as subscriptions

AT_ONCE = 50
"""Subscribers written in one transaction."""

PLANS_AT_ONCE = 500
LANES = 3
"""Transactions under way at once: while one waits for PostgreSQL, another computes."""

Done = Callable[[int], None]
_Item = TypeVar("_Item")


class OtherClock(Conflict):
    code = "subscribers_elsewhere"
    sentence = "Subscribers of these names are there already, on another test clock or none; load the list into another database"


@dataclass(frozen=True, slots=True)
class Year:
    """A calendar year in one zone. Subscriber n begins on the (n mod 31)-th day of January, so that bills fall on every day of a month."""

    number: int
    timezone: str

    @property
    def start(self) -> datetime:
        """Where the clock starts: the first midnight of the year."""
        return local_midnight(date(self.number, 1, 1), zone(self.timezone))

    @property
    def end(self) -> datetime:
        """Where the clock stops: a second before the next year, whose first bills are not this year's."""
        return local_midnight(date(self.number + 1, 1, 1), zone(self.timezone)) - timedelta(seconds=1)

    def begins(self, position: int) -> datetime:
        """When the subscriber at that position of the list begins."""
        return local_midnight(date(self.number, 1, 1 + position % 31), zone(self.timezone))

    def leaves(self, position: int) -> datetime:
        """When he leaves if he does: after twelve months."""
        return local_midnight(date(self.number + 1, 1, 1 + position % 31), zone(self.timezone))


def clock_id(year: Year, subscribers: Sequence[Subscriber]) -> UUID:
    """The clock of this list in this year: the same list finds the same clock again."""
    told = "\n".join(f"{each.id} {each.plan_code} {each.left}" for each in subscribers)
    return uuid5(NAMESPACE_OID, f"tallystick subscribers {year.number} {year.timezone}\n{told}")


async def ensure_clock(database: Database, loader: Loader, wanted: UUID, year: Year) -> Clock:
    """The clock, made at the year's start where there is none."""

    async def work(session: Session) -> Clock:
        try:
            return await accounts.clock(session, wanted)
        except NotFound:
            name = f"subscribers {year.number}"
            return await account_service.make_clock(
                session, loader.actor, clock_id=wanted, name=name, frozen_time=year.start
            )

    return await database.run(work)


async def ensure_plans(
    database: Database, loader: Loader, subscribers: Sequence[Subscriber], done: Done
) -> dict[str, int]:
    """Ids of the subscribers' plans by code; those that are missing are made: a monthly fee in advance."""
    async with database.read() as session:
        known = await _plans(session)
    wanted = {each.plan_code: each for each in subscribers}
    missing = [each for code, each in wanted.items() if code not in known]
    done(len(wanted) - len(missing))
    for group in _groups(missing, PLANS_AT_ONCE):

        async def work(session: Session, part: Sequence[Subscriber] = group) -> None:
            await make_plans(session, loader.actor, [_plan(each) for each in part])

        await database.run(work)
        done(len(group))
    async with database.read() as session:
        known = await _plans(session)
    return {code: known[code] for code in wanted}


def _plan(subscriber: Subscriber) -> WantedPlan:
    terms = Terms(price=subscriber.monthly, currency=CURRENCY, billing_timing="advance")
    return WantedPlan(subscriber.plan_code, subscriber.plan_name, False, True, terms)


async def _plans(session: ReadSession) -> dict[str, int]:
    found: dict[str, int] = {}
    cursor: str | None = None
    while True:
        page = await catalog.plans(session, limit=1000, cursor=cursor, all_plans=True)
        found |= {each.code: each.id for each in page.rows}
        cursor = page.next_cursor
        if cursor is None:
            return found


async def ensure_subscribers(
    database: Database,
    loader: Loader,
    clock: Clock,
    year: Year,
    subscribers: Sequence[Subscriber],
    plans: Mapping[str, int],
    done: Done,
) -> None:
    """Opens an account on the clock with its subscription for each who is missing. Raises `OtherClock`."""
    work = _Work(loader, clock, year, plans, {})
    groups = iter(list(_groups(list(enumerate(subscribers)), AT_ONCE)))

    async def lane() -> None:
        for group in groups:
            await database.run(lambda session, part=group: _put(session, work, part))  # type: ignore[misc]
            done(len(group))

    await asyncio.gather(*(lane() for _ in range(LANES)))


@dataclass(frozen=True, slots=True)
class _Work:
    """What every group needs. `versions` are the plans' current versions read so far, by plan."""

    loader: Loader
    clock: Clock
    year: Year
    plans: Mapping[str, int]
    versions: dict[int, PlanVersion]


async def _put(session: Session, work: _Work, part: Sequence[tuple[int, Subscriber]]) -> None:
    known = await accounts.by_external_ids(session, TEST_ID, [each.id for _, each in part])
    if any(account.test_clock_id != work.clock.id for account in known.values()):
        raise OtherClock
    for position, subscriber in part:
        if subscriber.id not in known:
            await _join(session, work, position, subscriber)


async def _join(session: Session, work: _Work, position: int, subscriber: Subscriber) -> None:
    loader, now = work.loader, work.clock.frozen_time
    new = NewAccount(
        id=loader.new_account_id(), name=f"Subscriber {subscriber.id}", currency=CURRENCY, timezone=work.year.timezone,
        external_id=subscriber.id, metadata={**loader.metadata, "contract": subscriber.contract}, test_clock_id=work.clock.id,
    )  # fmt: skip
    account = await account_service.open_account(session, loader.actor, new, now=now)
    plan_id = work.plans[subscriber.plan_code]
    wanted = subscriptions.Start(loader.new_uuid(), plan_id, work.year.begins(position))
    begun = await subscriptions.start(session, loader.actor, account, wanted, now=now)
    if subscriber.left:
        version = work.versions.get(plan_id) or await catalog.current_version(session, plan_id)
        work.versions[plan_id] = version
        await subscriptions.end(
            session, loader.actor, begun, account, version, at=work.year.leaves(position), now=now
        )


def _groups(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for position in range(0, len(items), size):
        yield items[position : position + size]
