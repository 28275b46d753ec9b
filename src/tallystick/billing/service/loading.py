"""A data set → meters, taxes, accounts, events, plans, subscriptions and a bill, in this order, each step committed in pieces.

Every step first looks at what is there, so that a repeat changes nothing and one that was interrupted goes on. Subscriptions come last,
when everything they charge has arrived: from then on any billing run may bill them, and none can bill a month that is half loaded.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import TypeVar
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts import repository as account_rows
from tallystick.accounts import service as account_service
from tallystick.accounts.domain import Account, NewAccount
from tallystick.billing.domain.runs import Parked
from tallystick.billing.importers.dataset import Charge, Customer, Dataset, Event, Meter, Plan, Tax
from tallystick.billing.importers.dataset import Subscription as Wanted
from tallystick.billing.service import runs
from tallystick.catalog import queries as catalog
from tallystick.catalog import service as catalog_service
from tallystick.catalog.domain import ChargeTerms, PlanVersion, PlanView, Terms
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict
from tallystick.metering import service as metering
from tallystick.metering.domain.events import IncomingEvent, Verdict
from tallystick.platform.db import Database, Session
from tallystick.subscriptions import queries as subscriptions
from tallystick.subscriptions import service as subscription_service
from tallystick.subscriptions.domain import Subscription
from tallystick.taxes import queries as taxes
from tallystick.taxes import service as tax_service

EVENTS_AT_ONCE = 5_000
ROWS_AT_ONCE = 50
"""What one transaction writes: enough to make its commit worth it, little enough that an interruption loses little."""

Done = Callable[[int], None]
"""Called with how many more are done, to move a progress bar."""

_Item = TypeVar("_Item")


class Differs(Conflict):
    code = "catalog_differs"
    sentence = "Something of this name exists with other terms; details names it. Load into another database"


@dataclass(frozen=True, slots=True)
class Loader:
    """Who loads, and where the edge's time and ids come from. `metadata` is written on the accounts that are opened."""

    actor: Actor
    now: Callable[[], datetime]
    new_uuid: Callable[[], UUID]
    new_account_id: Callable[[], str]
    metadata: Mapping[str, str]


async def ensure_meters(database: Database, loader: Loader, meters: Sequence[Meter], done: Done) -> None:
    """Adds the meters that are missing. Raises `Differs` where one exists that measures something else."""
    for group in _groups(meters, ROWS_AT_ONCE):

        async def work(session: Session, wanted: Sequence[Meter] = group) -> None:
            known = await catalog.meters_by_code(session, [meter.code for meter in wanted])
            for meter in wanted:
                found = known.get(meter.code)
                if found is None:
                    await catalog_service.make_meter(
                        session, loader.actor, code=meter.code, name=meter.name, aggregation=meter.aggregation,
                        field=meter.field, filters={}, unit=meter.unit,
                    )  # fmt: skip
                elif (found.aggregation, found.field) != (meter.aggregation, meter.field) or found.filters:
                    raise Differs(details={"meter": f"{meter.code} exists and counts differently"})

        await database.run(work)
        done(len(group))


async def ensure_taxes(database: Database, loader: Loader, wanted: Sequence[Tax]) -> None:
    """Adds the taxes that are missing. Raises `Differs` where one exists at another rate."""

    async def work(session: Session) -> None:
        for tax in wanted:
            percent = tax.rate * 100
            page = await taxes.taxes(session, loader.actor.entity_id, limit=1, cursor=None, code=tax.code)
            if not page.rows:
                await tax_service.make_tax(
                    session, loader.actor, tax_service.NewTax(tax.code, tax.name, percent)
                )
            elif page.rows[0].rate != percent:
                raise Differs(details={"tax": f"{tax.code} exists at another rate"})

    await database.run(work)


async def ensure_accounts(
    database: Database, loader: Loader, customers: Sequence[Customer], done: Done
) -> dict[str, Account]:
    """The open account of each customer by external id; those that are missing are opened, the others left as they are."""
    found: dict[str, Account] = {}
    for group in _groups(customers, ROWS_AT_ONCE):

        async def work(session: Session, wanted: Sequence[Customer] = group) -> dict[str, Account]:
            known = await accounts.by_external_ids(
                session, loader.actor.entity_id, [customer.external_id for customer in wanted]
            )
            for customer in wanted:
                if customer.external_id not in known:
                    known[customer.external_id] = await _open(session, loader, customer)
            return known

        found |= await database.run(work)
        done(len(group))
    return found


async def _open(session: Session, loader: Loader, customer: Customer) -> Account:
    new = NewAccount(
        id=loader.new_account_id(), name=customer.name, currency=customer.currency, timezone=customer.timezone,
        country=customer.country, external_id=customer.external_id, metadata=dict(loader.metadata),
    )  # fmt: skip
    account = await account_service.open_account(session, loader.actor, new, now=loader.now())
    if customer.tax_code is not None:
        await tax_service.set_account_taxes(session, loader.actor, account, [customer.tax_code])
    return account


async def ensure_events(
    database: Database, loader: Loader, events: Sequence[Event], done: Done
) -> list[Verdict]:
    """Ingests the events as a backfill; a verdict for each, in order. A repeat finds duplicates."""
    verdicts: list[Verdict] = []
    for group in _groups(events, EVENTS_AT_ONCE):
        incoming = [
            IncomingEvent(
                id=event.id, meter=event.meter_code, source=event.source, external_id=event.customer_external_id,
                quantity=event.quantity, occurred_at=event.occurred_at, properties=dict(event.properties),
            )
            for event in group
        ]  # fmt: skip
        verdicts += await metering.ingest(
            database, loader.actor, incoming, now=loader.now(), request_id=loader.actor.request_id, backfill=True
        )  # fmt: skip
        done(len(group))
    return verdicts


async def ensure_plans(
    database: Database, loader: Loader, plans: Sequence[Plan], done: Done
) -> dict[str, list[PlanView]]:
    """By code, the plans that hold its prices: the plan itself, then supplements (`code-2`, …) with prices that came later.

    A plan that is running cannot grow, and a price may stand in one plan only, or its usage would be charged twice; so the prices
    that a later report of the same month adds make a plan of their own. Raises `Differs` where a meter has another price.
    """
    found: dict[str, list[PlanView]] = {}
    for plan in plans:

        async def work(session: Session, wanted: Plan = plan) -> list[PlanView]:
            family = await _family(session, wanted)
            missing = [each for each in wanted.charges if not _priced(family, each)]
            if missing or not family:
                family.append(await _make_plan(session, loader, wanted, missing, len(family) + 1))
            return family

        found[plan.code] = await database.run(work)
        done(len(plan.charges))
    return found


async def _family(session: Session, wanted: Plan) -> list[PlanView]:
    family: list[PlanView] = []
    for number in count(1):
        page = await catalog.plans(
            session, limit=1, cursor=None, all_plans=True, code=_plan_code(wanted, number)
        )
        if not page.rows:
            break
        family.append(page.rows[0])
    if family and (family[0].price, family[0].currency) != (wanted.fee, wanted.currency):
        raise Differs(details={"plan": f"{wanted.code} exists with another fee"})
    return family


def _plan_code(wanted: Plan, number: int) -> str:
    return wanted.code if number == 1 else f"{wanted.code}-{number}"


def _priced(family: Iterable[PlanView], charge: Charge) -> bool:
    for plan in family:
        for each in plan.charges:
            if each.meter == charge.meter_code:
                stands = (each.charge_model, dict(each.properties), dict(each.adjustments))
                if stands != (charge.model, dict(charge.properties), dict(charge.adjustments)):
                    raise Differs(details={"plan": f"{plan.code} has another price for {each.meter}"})
                return True
    return False


async def _make_plan(
    session: Session, loader: Loader, wanted: Plan, charges: Sequence[Charge], number: int
) -> PlanView:
    terms = Terms(
        price=wanted.fee if number == 1 else Decimal(0),
        currency=wanted.currency,
        billing_cycle=wanted.billing_cycle,
        billing_timing=wanted.billing_timing,
        alignment=wanted.alignment,
        charges=tuple(
            ChargeTerms(
                each.meter_code,
                each.name,
                each.meter_code,
                each.model,
                each.properties,
                each.adjustments,
                "usage",
            )
            for each in charges
        ),
    )
    name = wanted.name if number == 1 else f"{wanted.name} ({number})"
    return await catalog_service.make_plan(
        session, loader.actor, code=_plan_code(wanted, number), name=name, is_public=False, is_active=True, terms=terms
    )  # fmt: skip


async def ensure_subscriptions(
    database: Database,
    loader: Loader,
    dataset: Dataset,
    opened: Mapping[str, Account],
    plans: Mapping[str, list[PlanView]],
    done: Done,
) -> int:
    """Starts and ends, back-dated, what of the data set's subscriptions is not there yet; how many were started."""
    used: dict[str, set[str]] = defaultdict(set)
    for event in dataset.events:
        used[event.customer_external_id].add(event.meter_code)
    held = {plan.id: {each.meter for each in plan.charges} for own in plans.values() for plan in own}
    versions: dict[int, PlanVersion] = {}
    started = 0
    ordered = sorted(dataset.subscriptions, key=lambda each: opened[each.customer_external_id].no)
    for group in _groups(ordered, ROWS_AT_ONCE):

        async def work(session: Session, wanted: Sequence[Wanted] = group) -> int:
            nos = {opened[each.customer_external_id].no for each in wanted}
            locked = await account_rows.lock_many(session, nos)
            running = await subscriptions.by_accounts(session, nos)
            made = 0
            for each in wanted:
                account = locked[opened[each.customer_external_id].no]
                for plan in plans[each.plan_code]:
                    if plan.price or used[each.customer_external_id] & held[plan.id]:
                        made += await _subscribe(session, loader, account, plan, each, running, versions)
            return made

        started += await database.run(work)
        done(len(group))
    return started


async def _subscribe(
    session: Session,
    loader: Loader,
    account: Account,
    plan: PlanView,
    wanted: Wanted,
    running: Sequence[Subscription],
    versions: dict[int, PlanVersion],
) -> int:
    """Under the account's lock, so that two who load at once do not subscribe it twice."""
    known = set(await catalog.version_ids(session, plan.id)) if running else set()
    own = [each for each in running if each.account_no == account.no and each.plan_version_id in known]
    missing = list(uncovered((wanted.starts_at, wanted.ends_at), [(s.started_at, s.ended_at) for s in own]))
    for start, end in missing:
        begun = await subscription_service.start(
            session, loader.actor, account, subscription_service.Start(loader.new_uuid(), plan.id, start), now=loader.now()
        )  # fmt: skip
        if begun.plan_version_id not in versions:
            versions |= await catalog.plan_versions(session, [begun.plan_version_id])
        await subscription_service.end(
            session, loader.actor, begun, account, versions[begun.plan_version_id], at=end, now=loader.now()
        )
    return len(missing)


async def bill(
    database: Database,
    loader: Loader,
    nos: Iterable[int],
    as_of: datetime,
    *,
    everyone: bool,
    progress: runs.Progress | None = None,
) -> list[Parked]:
    """Bills what these accounts owe at `as_of`; those that could not be billed, each with its reason. A repeat bills nothing.

    `everyone`: no other accounts are there, so one run does. Otherwise, and for what another run holds at that moment, each by name.
    """
    parked: list[Parked] = []
    due = await _due(database, nos, as_of)
    if everyone and due:
        run = await runs.run_now(
            database, loader.actor, run_id=loader.new_uuid(), as_of=as_of, now=loader.now, new_id=loader.new_uuid,
            progress=progress,
        )  # fmt: skip
        parked += run.parked_accounts
        failed = {each.account_id for each in parked}
        due = [account for account in await _due(database, nos, as_of) if account.id not in failed]
    for account in due:
        run = await runs.run_now(
            database, loader.actor, run_id=loader.new_uuid(), as_of=as_of, now=loader.now, new_id=loader.new_uuid,
            account=account,
        )  # fmt: skip
        parked += run.parked_accounts
    return parked


async def _due(database: Database, nos: Iterable[int], as_of: datetime) -> list[Account]:
    async with database.read() as session:
        known = await accounts.by_nos(session, nos)
    return [
        each for each in known.values() if each.next_billing_at is not None and each.next_billing_at <= as_of
    ]


def uncovered(
    wanted: tuple[datetime, datetime], existing: Iterable[tuple[datetime, datetime | None]]
) -> Iterator[tuple[datetime, datetime]]:
    """The parts of `wanted` in which none of `existing` runs; an end of None is open."""
    at, end = wanted
    for start, until in sorted(existing, key=lambda each: each[0]):
        if at < min(start, end):
            yield at, min(start, end)
        at = max(at, end if until is None else until)
    if at < end:
        yield at, end


def _groups(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for position in range(0, len(items), size):
        yield items[position : position + size]
