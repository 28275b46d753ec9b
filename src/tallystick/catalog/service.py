"""Commands on the catalog. Each works in the caller's transaction and does not commit it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tallystick.audit import service as audit
from tallystick.catalog import queries, repository
from tallystick.catalog.domain import (
    SERVICE_METER,
    Meter,
    MeterCodeTaken,
    NoSuchPlan,
    PlanCodeTaken,
    PlanView,
    ServiceExists,
    Terms,
    check_meter,
    check_terms,
    meter_problems,
    terms_of,
)
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, Stale
from tallystick.platform.db import Session


async def make_meter(
    session: Session,
    actor: Actor,
    *,
    code: str,
    name: str,
    aggregation: str,
    field: str | None,
    filters: Mapping[str, Sequence[str]],
    unit: str,
    recurring: bool = False,
    percentile: int | None = None,
) -> Meter:
    """Adds a meter; it never changes afterwards. Raises `Invalid`, `MeterCodeTaken` (so a repeat adds nothing)."""
    check_meter(code, aggregation, field, filters, recurring=recurring, percentile=percentile)
    meter = await repository.insert_meter(
        session, code=code, name=name, aggregation=aggregation, field=field, filters=filters, unit=unit,
        recurring=recurring, percentile=percentile,
    )  # fmt: skip
    if meter is None:
        raise MeterCodeTaken(details={"code": MeterCodeTaken.sentence})
    after = {
        "code": code, "aggregation": aggregation, "field": field, "unit": unit, "recurring": recurring, "percentile": percentile,
    }  # fmt: skip
    await audit.record(session, actor, "meter.made", "meter", str(meter.id), None, after)
    return meter


async def allow_service(session: Session, actor: Actor, name: str) -> Meter:
    """Lets internal teams record usage of a service, under its own meter. Raises `ServiceExists` (so a repeat adds nothing)."""
    meter = await repository.insert_meter(
        session, code=SERVICE_METER + name, name=name, aggregation="sum", field=None, filters={}, unit="unit"
    )
    if meter is None or not await repository.insert_service(session, name, meter.id):
        raise ServiceExists(details={"name": ServiceExists.sentence})
    await audit.record(session, actor, "service.allowed", "service", name, None, {"meter": meter.code})
    return meter


async def ensure_services(session: Session, actor: Actor, names: Iterable[str]) -> list[str]:
    """Allows those of the setting's services that are not yet; gives the ones added. A repeat adds nothing."""
    added = []
    for name in names:
        if await queries.service_meter(session, name) is None:
            await allow_service(session, actor, name)
            added.append(name)
    return added


async def make_plan(
    session: Session,
    actor: Actor,
    *,
    code: str | None,
    name: str,
    is_public: bool,
    is_active: bool,
    terms: Terms,
) -> PlanView:
    """Adds a plan with its first version. Without a code it is called `plan-<id>`.

    Raises `Invalid` naming every field that is wrong, `PlanCodeTaken`. A repeat with a code adds nothing.
    """
    checked = check_terms(terms)
    known = await meter_ids(session, [checked])
    plan_id = await repository.next_plan_id(session)
    if not await repository.insert_plan(
        session, plan_id, code or f"plan-{plan_id}", name, is_public=is_public, is_active=is_active
    ):
        raise PlanCodeTaken(details={"code": PlanCodeTaken.sentence})
    await repository.insert_version(session, plan_id, 1, checked, known)
    made = await queries.plan(session, plan_id)
    await audit.record(session, actor, "plan.made", "plan", str(plan_id), None, recorded(made))
    return made


async def locked_plan(session: Session, plan_id: int, revisions: Collection[int] | None = None) -> PlanView:
    """The plan, locked until the transaction ends. Raises `NoSuchPlan`; `Stale` where its revision is none of `revisions`."""
    revision = await repository.lock_plan(session, plan_id)
    if revision is None:
        raise NoSuchPlan
    if revisions is not None and revision not in revisions:
        raise Stale
    return await queries.plan(session, plan_id)


async def change_plan(
    session: Session, actor: Actor, shown: PlanView, changes: Mapping[str, Any], terms: Mapping[str, Any]
) -> PlanView:
    """Changes a locked plan: `changes` of the plan itself, `terms` of what subscriptions agree to.

    Other terms make a new version for new subscriptions; those that run stay on theirs. A repeat changes nothing.
    """
    before = terms_of(shown)
    asked = check_terms(Terms(**{**_shallow(before), **terms}))
    version = shown.version
    if asked != before:
        version += 1
        await repository.insert_version(session, shown.id, version, asked, await meter_ids(session, [asked]))
    plain = {
        name: changes.get(name, getattr(shown, name)) for name in ("code", "name", "is_public", "is_active")
    }
    if version == shown.version and all(getattr(shown, name) == value for name, value in plain.items()):
        return shown
    if plain["code"] != shown.code and await repository.code_holder(session, plain["code"]) is not None:
        raise PlanCodeTaken(details={"code": PlanCodeTaken.sentence})
    await repository.update_plan(session, shown.id, version=version, **plain)
    changed = await queries.plan(session, shown.id)
    await audit.record(
        session, actor, "plan.changed", "plan", str(shown.id), recorded(shown), recorded(changed)
    )
    return changed


def _shallow(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in Terms.__dataclass_fields__}


def recorded(plan: PlanView) -> dict[str, Any]:
    """The plan as the audit log keeps it."""
    kept = asdict(plan)
    for name in ("id", "revision", "created_at", "updated_at"):
        del kept[name]
    return kept


async def meter_ids(session: Session, terms: Sequence[Terms]) -> dict[str, int]:
    """Ids of the meters that terms charge, by code, one statement for any number. Raises `Invalid` naming the charges of unknown ones."""
    codes = {charge.meter for each in terms for charge in each.charges}
    if not codes:
        return {}
    known = await queries.meters_by_code(session, codes)
    unknown = {
        f"charges[{index}].meter": "is not a meter; create it first"
        for each in terms
        for index, charge in enumerate(each.charges)
        if charge.meter not in known
    }
    if unknown:
        raise Invalid(code="unknown_meter", details=unknown)
    unfit = {path: said for each in terms for path, said in meter_problems(each, known).items()}
    if unfit:
        raise Invalid(details=unfit)
    return {code: meter.id for code, meter in known.items()}
