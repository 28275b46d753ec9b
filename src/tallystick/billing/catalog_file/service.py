"""Diff, apply, rollback. Each works in the caller's transaction and does not commit it: what fails half-way leaves nothing."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import asyncpg

from tallystick.audit import service as audit
from tallystick.billing.catalog_file import queries, repository
from tallystick.billing.catalog_file.checking import Checked, check
from tallystick.billing.catalog_file.comparing import Action, Change, compare
from tallystick.billing.catalog_file.queries import Standing
from tallystick.billing.catalog_file.reading import refusal
from tallystick.billing.catalog_file.restoring import restorable
from tallystick.billing.catalog_file.revenue import Held, if_moved, monthly, total
from tallystick.billing.catalog_file.sections import (
    COUPONS,
    METERS,
    PLANS,
    SERVICES,
    TAXES,
    CouponEntry,
    TaxEntry,
)
from tallystick.billing.catalog_file.writing import write
from tallystick.catalog import bulk
from tallystick.catalog import repository as catalog_rows
from tallystick.catalog import service as catalog
from tallystick.catalog.bulk import WantedPlan
from tallystick.catalog.domain import terms_of
from tallystick.catalog.schemas import PlanIn
from tallystick.invoicing.coupons.schemas import CouponPut
from tallystick.invoicing.service import couponing
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict, NotFound
from tallystick.platform import wire
from tallystick.platform.db import ReadSession, Session
from tallystick.taxes import service as tax_commands
from tallystick.taxes.schemas import TaxPut


class CatalogBusy(Conflict):
    code = "catalog_busy"
    sentence = "The catalog is being changed by someone else; try again when that is done"


class CatalogChanged(Conflict):
    code = "catalog_changed"
    sentence = "The catalog changed since the difference was shown; look at it again. Nothing was applied"


class NoSuchApplication(NotFound):
    code = "catalog_version_not_found"
    sentence = "There is no such version of the catalog; `tallystick catalog history` lists them"


@dataclass(frozen=True, slots=True)
class Effect:
    """Whom a change of a plan touches. They stay on their versions, so that revenue changes by nothing now.

    `if_moved`: by currency, what a month would bring more or less if all of `subscriptions` were moved. `fee_a_month`: the fee of one
    new subscription by the month, exactly. `in_tests` are subscriptions of test accounts, which are no revenue.
    """

    subscriptions: int
    accounts: int
    in_tests: int
    if_moved: Mapping[str, Fraction]
    currency: str
    fee_a_month: Fraction
    account_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a file would change. `token` stands for this file against this state of the catalog."""

    changes: Sequence[Change]
    effects: Mapping[str, Effect]
    if_moved: Mapping[str, Fraction]
    versions: Mapping[str, int]
    token: str
    checked: Checked
    standing: Standing

    @property
    def summary(self) -> dict[str, int]:
        """How many things are added, changed, retired, left alone."""
        counted = Counter(change.action for change in self.changes)
        return {action.value: counted[action] for action in Action}

    @property
    def does_something(self) -> bool:
        """Whether applying it writes anything."""
        return any(change.does_something for change in self.changes)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied; `number` is the catalog's version, None where there was nothing to change and so nothing was recorded."""

    number: int | None
    difference: Difference


async def export(session: ReadSession, entity_id: int, *, with_taxes: bool = True) -> str:
    """The catalog as a file, with the taxes of this entity."""
    content = (await queries.standing(session, entity_id)).content
    return write(content if with_taxes else {**content, TAXES.name: {}})


async def diff(
    session: ReadSession,
    actor: Actor,
    text: str,
    *,
    now: datetime,
    prune: bool = False,
    name: str | None = "catalog.yaml",
    named: bool = False,
) -> Difference:
    """What applying `text` would change. `named`: with the accounts that are touched; `name`: the file's, None where it has none. Raises `CatalogFileInvalid` with every mistake."""
    standing = await queries.standing(session, actor.entity_id)
    checked = await asyncio.to_thread(
        check, text, standing.content
    )  # pure, and seconds long for a large file
    if checked.mistakes:
        raise refusal(checked.mistakes, name)
    changes = compare(standing.content, checked.content, prune=prune)
    codes = [change.code for change in changes if change.kind == PLANS.singular and change.does_something]
    held = await queries.held(session, codes, now)
    accounts = await queries.accounts_by_plan(session, codes, now)
    holders = await queries.holders(session, codes, now) if named else {}
    wanted = {
        code: checked.content[PLANS.name].get(code) or standing.content[PLANS.name][code] for code in codes
    }
    effects = {
        code: _effect(
            plan,
            [each for each in held if each.plan_code == code],
            accounts.get(code, 0),
            holders.get(code, ()),
        )
        for code, plan in wanted.items()
    }
    moved = total(
        effects[change.code].if_moved
        for change in changes
        if change.kind == PLANS.singular and change.new_version
    )
    versions = {code: standing.plans[code].version for code in codes if code in standing.plans}
    token = _digest(f"{wire.dumps(standing.content).decode()}\0{text}\0{prune}")
    return Difference(changes, effects, moved, versions, token, checked, standing)


def _effect(
    plan: Mapping[str, Any], held: Sequence[Held], accounts: int, account_ids: Iterable[str]
) -> Effect:
    live = [each for each in held if each.live]
    return Effect(
        subscriptions=sum(each.subscriptions for each in live),
        accounts=accounts,
        in_tests=sum(each.subscriptions for each in held if not each.live),
        if_moved=if_moved(held, plan["price"], plan["currency"], plan["billing_cycle"]),
        currency=plan["currency"],
        fee_a_month=monthly(plan["price"], plan["billing_cycle"]),
        account_ids=tuple(account_ids),
    )


async def apply(
    session: Session,
    actor: Actor,
    text: str,
    *,
    now: datetime,
    prune: bool = False,
    name: str | None = "catalog.yaml",
    expected: str | None = None,
    rolled_back_to: int | None = None,
) -> Applied:
    """Makes the catalog as the file says, and records it. A repeat finds nothing to change and records nothing.

    `expected` is the token of the difference that someone agreed to. Raises `CatalogFileInvalid`, `CatalogBusy`, `CatalogChanged`.
    """
    await _lock(session)
    difference = await diff(session, actor, text, now=now, prune=prune, name=name)
    if expected is not None and difference.token != expected:
        raise CatalogChanged
    if not difference.does_something:
        return Applied(None, difference)
    await _write(session, actor, difference)
    after = await queries.standing(session, actor.entity_id)
    number = await repository.insert_application(
        session, actor, kind="apply" if rolled_back_to is None else "rollback", rolled_back_to=rolled_back_to, name=name or "",
        digest=_digest(text), prune=prune, summary=difference.summary, before=write(difference.standing.content),
        after=write(after.content),
    )  # fmt: skip
    said = {**difference.summary, "digest": _digest(text), "rolled_back_to": rolled_back_to}
    await audit.record(session, actor, "catalog.applied", "catalog", str(number), None, said)
    return Applied(number, difference)


async def version_text(session: ReadSession, entity_id: int, number: int | None) -> tuple[int, str]:
    """The catalog of a version as it can be made again, and its number: what application `number` left, for 0 (the start) what the
    first one found.

    Without a number: the version before the last. What cannot be undone stays in it as it is now (`restorable`). Raises
    `NoSuchApplication`.
    """
    found, text = await _recorded(session, entity_id, number)
    return found, restorable(text, await queries.standing(session, entity_id))


async def _recorded(session: ReadSession, entity_id: int, number: int | None) -> tuple[int, str]:
    last = await queries.application(session, entity_id, None)
    if last is None:
        raise NoSuchApplication
    if number is None:
        return last.number - 1, last.before
    if number == 0:
        first = await queries.application(session, entity_id, await queries.first_number(session, entity_id))
        assert first is not None
        return 0, first.before
    found = await queries.application(session, entity_id, number)
    if found is None:
        raise NoSuchApplication
    return number, found.after


async def _lock(session: Session) -> None:
    """Appliers take turns; plans cannot change by other ways until the end."""
    try:
        await repository.lock(session)
        await catalog_rows.lock_plans(session)
    except asyncpg.LockNotAvailableError:
        raise CatalogBusy from None


async def _write(session: Session, actor: Actor, difference: Difference) -> None:
    """Kind by kind, what others name first. A new kind is one more function here. Taxes and coupons need their own right."""
    for section, right in ((TAXES, "taxes:write"), (COUPONS, "coupons:write")):
        if any(change.kind == section.singular and change.does_something for change in difference.changes):
            actor.require(right)
    steps = {
        TAXES.singular: _write_taxes,
        METERS.singular: _write_meters,
        SERVICES.singular: _write_services,
        PLANS.singular: _write_plans,
        COUPONS.singular: _write_coupons,
    }
    for kind, step in steps.items():
        changes = [change for change in difference.changes if change.kind == kind and change.does_something]
        if changes:
            await step(session, actor, difference, changes)


async def _write_taxes(
    session: Session, actor: Actor, difference: Difference, changes: Sequence[Change]
) -> None:
    for change in changes:
        shown = difference.standing.taxes.get(change.code)
        if change.action is Action.RETIRE:
            assert shown is not None
            locked = await tax_commands.locked_tax(session, actor, shown.id)
            await tax_commands.change_tax(session, actor, locked, TAXES.retires or {})
            continue
        body: TaxEntry = difference.checked.bodies[TAXES.name][change.code]
        if shown is None:
            new = tax_commands.NewTax(
                body.code, body.name, body.rate, body.is_default, body.kind, tuple(body.categories), body.note
            )
            shown = await tax_commands.make_tax(session, actor, new)
        else:
            shown = await tax_commands.locked_tax(session, actor, shown.id)
            news = {name: getattr(body, name) for name in TaxPut.model_fields}
            shown = await tax_commands.change_tax(session, actor, shown, news)
        for rate in body.later_rates[len(shown.later_rates) :]:
            shown = await tax_commands.add_rate(session, actor, shown, rate.valid_from, rate.rate)


async def _write_meters(
    session: Session, actor: Actor, difference: Difference, changes: Sequence[Change]
) -> None:
    for change in changes:
        fields = difference.checked.content[METERS.name][change.code]
        await catalog.make_meter(session, actor, code=change.code, **fields)


async def _write_services(
    session: Session, actor: Actor, difference: Difference, changes: Sequence[Change]
) -> None:
    for change in changes:
        await catalog.allow_service(session, actor, change.code)


async def _write_coupons(
    session: Session, actor: Actor, difference: Difference, changes: Sequence[Change]
) -> None:
    for change in changes:
        shown = difference.standing.coupons.get(change.code)
        if shown is None:
            await couponing.make_coupon(
                session, actor, difference.checked.bodies[COUPONS.name][change.code].asked
            )
            continue
        locked = await couponing.locked(session, shown.id)
        if change.action is Action.RETIRE:
            news: dict[str, Any] = dict(COUPONS.retires or {})
        else:
            body: CouponEntry = difference.checked.bodies[COUPONS.name][change.code]
            news = {name: getattr(body, name) for name in CouponPut.model_fields}
        await couponing.change(session, actor, locked, news)


async def _write_plans(
    session: Session, actor: Actor, difference: Difference, changes: Sequence[Change]
) -> None:
    made: list[WantedPlan] = []
    changed: list[WantedPlan] = []
    for change in changes:
        if change.action is Action.RETIRE:
            shown = difference.standing.plans[change.code]
            changed.append(WantedPlan(change.code, shown.name, shown.is_public, False, terms_of(shown)))
            continue
        body: PlanIn = difference.checked.bodies[PLANS.name][change.code]
        new_terms = change.new_version or change.action is Action.ADD
        terms = (
            difference.checked.terms[change.code]
            if new_terms
            else terms_of(difference.standing.plans[change.code])
        )
        plan = WantedPlan(change.code, body.name, body.is_public, body.is_active, terms)
        (made if change.action is Action.ADD else changed).append(plan)
    await bulk.make_plans(session, actor, made)
    await bulk.change_plans(session, actor, difference.standing.plans, changed)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
