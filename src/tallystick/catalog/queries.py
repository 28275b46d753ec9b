"""Reading the catalog."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tallystick.catalog.domain import Charge, ChargeView, Meter, NoSuchPlan, PlanVersion, PlanView, Settings
from tallystick.kernel.pagination import Page, decode_cursor, encode_cursor
from tallystick.kernel.period import Alignment, Cycle
from tallystick.kernel.proration import Basis
from tallystick.platform.db import ReadSession, Record
from tallystick.rating.domain import Aggregation

METER = "id, code, name, aggregation, field, filters, unit, created_at, recurring, percentile"
_VERSION = """v.id, v.plan_id, v.version, p.code, p.name, v.price, v.currency, v.billing_cycle, v.billing_timing, v.alignment,
    v.trial_period_days, v.proration, v.features, v.minimum, v.settings, v.tax_category, v.gl_code"""
_CHARGE = """c.id, c.plan_version_id, c.position, c.code, c.name, c.meter_id, c.charge_model, c.rule_version, c.properties,
    c.adjustments, c.gl_code, c.filters, c.group_by"""
_PLAN = """p.id, p.code, p.name, v.price, v.currency, v.billing_cycle, v.billing_timing, v.alignment, v.trial_period_days,
    v.proration, v.features, v.minimum, v.settings, v.tax_category, v.gl_code, p.is_public, p.is_active, v.version, p.revision,
    p.created_at, p.updated_at, v.id AS version_id"""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the allow-list, with its meter."""

    name: str
    meter: str
    created_at: datetime


def meter_of(row: Record) -> Meter:
    """The meter in a row of `METER` columns."""
    values = dict(row)
    values["aggregation"] = Aggregation(values["aggregation"])
    values["filters"] = {name: tuple(allowed) for name, allowed in values["filters"].items()}
    return Meter(**values)


async def meters(session: ReadSession, ids: Iterable[int]) -> dict[int, Meter]:
    """Meters by id, one statement for any number."""
    rows = await session.fetch(f"SELECT {METER} FROM meters WHERE id = ANY($1::integer[])", list(ids))
    return {row["id"]: meter_of(row) for row in rows}


async def meters_by_code(session: ReadSession, codes: Iterable[str] | None = None) -> dict[str, Meter]:
    """Meters by code: those named, or all. Meters never change, so a process may keep what it has read."""
    rows = await session.fetch(
        f"SELECT {METER} FROM meters WHERE $1::text[] IS NULL OR code = ANY($1)",
        None if codes is None else list(codes),
    )
    return {row["code"]: meter_of(row) for row in rows}


async def meter_page(
    session: ReadSession, *, limit: int, cursor: str | None, code: str | None
) -> Page[Meter]:
    """A page of meters in order of code."""
    position = decode_cursor(cursor, str)
    rows = await session.fetch(
        f"""
        SELECT {METER} FROM meters WHERE ($2::text IS NULL OR code > $2) AND ($3::text IS NULL OR code = $3)
        ORDER BY code LIMIT $1
        """,
        limit + 1, None if position is None else position[0], code,
    )  # fmt: skip
    found = [meter_of(row) for row in rows[:limit]]
    return Page(found, encode_cursor(found[-1].code) if len(rows) > limit else None)


async def service_meter(session: ReadSession, name: str) -> Meter | None:
    """The meter of an allowed service, None where it is not allowed."""
    row = await session.fetchrow(
        f"SELECT {METER} FROM meters WHERE id = (SELECT meter_id FROM services WHERE name = $1)", name
    )
    return None if row is None else meter_of(row)


async def services(session: ReadSession, *, limit: int, cursor: str | None) -> Page[Service]:
    """A page of the allow-list in order of name."""
    position = decode_cursor(cursor, str)
    rows = await session.fetch(
        """
        SELECT s.name, m.code AS meter, s.created_at FROM services s JOIN meters m ON m.id = s.meter_id
        WHERE $2::text IS NULL OR s.name > $2 ORDER BY s.name LIMIT $1
        """,
        limit + 1, None if position is None else position[0],
    )  # fmt: skip
    found = [Service(**dict(row)) for row in rows[:limit]]
    return Page(found, encode_cursor(found[-1].name) if len(rows) > limit else None)


async def _charges(session: ReadSession, version_ids: Sequence[int]) -> dict[int, tuple[Charge, ...]]:
    rows = await session.fetch(
        f"SELECT {_CHARGE} FROM plan_charges c WHERE c.plan_version_id = ANY($1::bigint[]) ORDER BY c.plan_version_id, c.position",
        version_ids,
    )
    found: dict[int, list[Charge]] = defaultdict(list)
    for row in rows:
        found[row["plan_version_id"]].append(Charge(**{**row, "group_by": tuple(row["group_by"])}))
    return {version_id: tuple(charges) for version_id, charges in found.items()}


async def _versions(session: ReadSession, rows: Sequence[Record]) -> list[PlanVersion]:
    charges = await _charges(session, [row["id"] for row in rows])
    versions = []
    for row in rows:
        values: dict[str, Any] = dict(row)
        values["billing_cycle"] = Cycle(values["billing_cycle"])
        values["alignment"] = Alignment(values["alignment"])
        values["proration"] = Basis(values["proration"])
        versions.append(PlanVersion(**values, charges=charges.get(row["id"], ())))
    return versions


async def plan_versions(session: ReadSession, ids: Iterable[int]) -> dict[int, PlanVersion]:
    """Versions with their charges by id: two statements for any number. Versions never change; names are the plan's as of now."""
    rows = await session.fetch(
        f"SELECT {_VERSION} FROM plan_versions v JOIN plans p ON p.id = v.plan_id WHERE v.id = ANY($1::bigint[])",
        list(ids),
    )
    return {version.id: version for version in await _versions(session, rows)}


async def version_ids(session: ReadSession, plan_id: int) -> list[int]:
    """All versions a plan ever had; none where there is no such plan."""
    rows = await session.fetch("SELECT id FROM plan_versions WHERE plan_id = $1", plan_id)
    return [row["id"] for row in rows]


async def current_version(session: ReadSession, plan_id: int) -> PlanVersion:
    """The version that new subscriptions get. Raises `NoSuchPlan`, also where the plan is not active."""
    rows = await session.fetch(
        f"""
        SELECT {_VERSION} FROM plans p JOIN plan_versions v ON v.plan_id = p.id AND v.version = p.current_version
        WHERE p.id = $1 AND p.is_active
        """,
        plan_id,
    )
    if not rows:
        raise NoSuchPlan
    return (await _versions(session, rows))[0]


async def plan(session: ReadSession, plan_id: int, *, all_plans: bool = True) -> PlanView:
    """A plan with its current terms. Without `all_plans` only what is on offer to everyone. Raises `NoSuchPlan`."""
    row = await session.fetchrow(
        f"""
        SELECT {_PLAN} FROM plans p JOIN plan_versions v ON v.plan_id = p.id AND v.version = p.current_version
        WHERE p.id = $1 AND ($2 OR (p.is_public AND p.is_active))
        """,
        plan_id, all_plans,
    )  # fmt: skip
    if row is None:
        raise NoSuchPlan
    return (await _views(session, [row]))[0]


async def plans_by_id(session: ReadSession, ids: Sequence[int]) -> dict[int, PlanView]:
    """Plans with their current terms, in order of id: a constant number of statements."""
    rows = await session.fetch(
        f"""
        SELECT {_PLAN} FROM plans p JOIN plan_versions v ON v.plan_id = p.id AND v.version = p.current_version
        WHERE p.id = ANY($1::integer[]) ORDER BY p.id
        """,
        list(ids),
    )
    return {view.id: view for view in await _views(session, rows)}


async def plans(
    session: ReadSession,
    *,
    limit: int,
    cursor: str | None,
    all_plans: bool,
    code: str | None = None,
    currency: str | None = None,
    is_active: bool | None = None,
) -> Page[PlanView]:
    """A page of plans in order of id, each with its current terms."""
    position = decode_cursor(cursor, int)
    rows = await session.fetch(
        f"""
        SELECT {_PLAN} FROM plans p JOIN plan_versions v ON v.plan_id = p.id AND v.version = p.current_version
        WHERE p.id > $2 AND ($3 OR (p.is_public AND p.is_active)) AND ($4::text IS NULL OR p.code = $4)
          AND ($5::text IS NULL OR v.currency = $5) AND ($6::boolean IS NULL OR p.is_active = $6)
        ORDER BY p.id LIMIT $1
        """,
        limit + 1, min(int(position[0]), 2**31 - 1) if position else 0, all_plans, code, currency, is_active,
    )  # fmt: skip
    views = await _views(session, rows[:limit])
    return Page(views, encode_cursor(views[-1].id) if len(rows) > limit else None)


async def _views(session: ReadSession, rows: Sequence[Record]) -> list[PlanView]:
    charges = await _charges(session, [row["version_id"] for row in rows])
    used = {charge.meter_id for found in charges.values() for charge in found}
    codes = {meter.id: meter.code for meter in (await meters(session, used)).values()} if used else {}
    views = []
    for row in rows:
        values: dict[str, Any] = dict(row)
        shown = tuple(
            ChargeView(
                c.id,
                c.code,
                c.name,
                codes[c.meter_id],
                c.charge_model,
                c.properties,
                c.adjustments,
                c.gl_code,
                c.filters,
                c.group_by,
            )
            for c in charges.get(values.pop("version_id"), ())
        )
        values["settings"] = Settings(**values["settings"])
        views.append(PlanView(**values, charges=shown))
    return views
