"""Many plans in one go: the commands of `service`, in a constant number of statements for any number of plans.

Each works in the caller's transaction and does not commit it. Who calls has checked the terms (`domain.check_terms`, `meter_problems`):
reading twenty thousand prices again would take longer than writing them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.audit import service as audit
from tallystick.audit.domain import Change
from tallystick.catalog import queries, repository
from tallystick.catalog.domain import PlanCodeTaken, PlanView, Terms, terms_of
from tallystick.catalog.service import recorded
from tallystick.kernel.actor import Actor
from tallystick.platform.db import Session


@dataclass(frozen=True, slots=True)
class WantedPlan:
    """A plan as it shall be; `code` tells which. `terms` are as `check_terms` returned them."""

    code: str
    name: str
    is_public: bool
    is_active: bool
    terms: Terms


async def make_plans(session: Session, actor: Actor, plans: Sequence[WantedPlan]) -> None:
    """Adds plans, each with its first version. Raises `PlanCodeTaken` where one is there: so a repeat adds nothing."""
    if not plans:
        return
    known = await _meter_ids(session, [plan.terms for plan in plans])
    ids = await repository.insert_plans(
        session, [(plan.code, plan.name, plan.is_public, plan.is_active) for plan in plans]
    )
    if len(ids) != len(plans):
        raise PlanCodeTaken
    versions = [(ids[plan.code], 1, plan.terms) for plan in plans]
    await repository.insert_versions(session, versions, known)
    made = await queries.plans_by_id(session, sorted(ids.values()))
    await audit.record_many(
        session,
        [
            Change(actor, "plan.made", "plan", str(plan_id), None, recorded(plan))
            for plan_id, plan in made.items()
        ],
    )


async def change_plans(
    session: Session, actor: Actor, shown: Mapping[str, PlanView], plans: Sequence[WantedPlan]
) -> None:
    """Makes locked plans (`shown`, by code) as wanted; other terms make a new version. A repeat changes nothing."""
    versions: list[tuple[int, int, Terms]] = []
    rows: list[tuple[int, str, bool, bool, int]] = []
    for plan in plans:
        before = shown[plan.code]
        version = before.version
        if plan.terms != terms_of(before):
            version += 1
            versions.append((before.id, version, plan.terms))
        row = (before.id, plan.name, plan.is_public, plan.is_active, version)
        if row != (before.id, before.name, before.is_public, before.is_active, before.version):
            rows.append(row)
    if not rows:
        return
    if versions:
        await repository.insert_versions(
            session, versions, await _meter_ids(session, [each[2] for each in versions])
        )
    await repository.update_plans(session, rows)
    changed = await queries.plans_by_id(session, [row[0] for row in rows])
    old = {plan.id: plan for plan in shown.values()}
    await audit.record_many(
        session,
        [
            Change(actor, "plan.changed", "plan", str(plan_id), recorded(old[plan_id]), recorded(plan))
            for plan_id, plan in changed.items()
        ],
    )


async def _meter_ids(session: Session, terms: Sequence[Terms]) -> dict[str, int]:
    known = await queries.meters_by_code(session, {charge.meter for each in terms for charge in each.charges})
    return {code: meter.id for code, meter in known.items()}
