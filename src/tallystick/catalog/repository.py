"""The write side of the catalog."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tallystick.catalog.domain import ChargeTerms, Meter, Terms, rule_version
from tallystick.catalog.queries import METER, meter_of
from tallystick.platform.db import Session

_SEED_LOCK = 728_611_002


async def insert_meter(
    session: Session,
    *,
    code: str,
    name: str,
    aggregation: str,
    field: str | None,
    filters: Mapping[str, Sequence[str]],
    unit: str,
    recurring: bool = False,
    percentile: int | None = None,
) -> Meter | None:
    """Adds a meter; None where the code is taken, also by a transaction that commits meanwhile."""
    row = await session.fetchrow(
        f"""
        INSERT INTO meters (code, name, aggregation, field, filters, unit, recurring, percentile)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (code) DO NOTHING RETURNING {METER}
        """,
        code, name, aggregation, field, {key: list(values) for key, values in filters.items()}, unit,
        recurring, percentile,
    )  # fmt: skip
    return None if row is None else meter_of(row)


async def insert_service(session: Session, name: str, meter_id: int) -> bool:
    """Allows a service; False where it is allowed already."""
    return (
        await session.execute(
            "INSERT INTO services (name, meter_id) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            name, meter_id,
        )
        == 1
    )  # fmt: skip


async def next_plan_id(session: Session) -> int:
    """The id of the plan about to be made; drawn first because a plan without a code is named after it."""
    drawn: int = await session.fetchval("SELECT nextval(pg_get_serial_sequence('plans', 'id'))")
    return drawn


async def insert_plan(
    session: Session, plan_id: int, code: str, name: str, *, is_public: bool, is_active: bool
) -> bool:
    """Adds a plan whose first version follows in the same transaction; False where the code is taken."""
    return (
        await session.execute(
            """
            INSERT INTO plans (id, code, name, is_public, is_active, current_version) VALUES ($1, $2, $3, $4, $5, 1)
            ON CONFLICT (code) DO NOTHING
            """,
            plan_id, code, name, is_public, is_active,
        )
        == 1
    )  # fmt: skip


async def insert_plans(session: Session, plans: Sequence[tuple[str, str, bool, bool]]) -> dict[str, int]:
    """Adds plans (code, name, is_public, is_active) whose first versions follow in the same transaction, one statement for any number.

    Gives the ids by code; codes that are taken are left out.
    """
    rows = await session.fetch(
        """
        INSERT INTO plans (code, name, is_public, is_active, current_version)
        SELECT code, name, is_public, is_active, 1
        FROM unnest($1::text[], $2::text[], $3::boolean[], $4::boolean[]) WITH ORDINALITY AS p(code, name, is_public, is_active, n)
        ORDER BY n ON CONFLICT (code) DO NOTHING RETURNING code, id
        """,
        *([plan[column] for plan in plans] for column in range(4)),
    )
    return {row["code"]: row["id"] for row in rows}


async def insert_version(
    session: Session, plan_id: int, version: int, terms: Terms, meter_ids: Mapping[str, int]
) -> None:
    """Adds a version with its charges, two statements whatever their number."""
    await insert_versions(session, [(plan_id, version, terms)], meter_ids)


async def insert_versions(
    session: Session, versions: Sequence[tuple[int, int, Terms]], meter_ids: Mapping[str, int]
) -> None:
    """Adds versions (plan id, number, terms) of different plans with their charges: two statements for any number."""
    terms = [each for _, _, each in versions]
    columns: list[list[Any]] = [
        [plan_id for plan_id, _, _ in versions],
        [version for _, version, _ in versions],
        [each.price for each in terms],
        [each.currency for each in terms],
        [each.billing_cycle for each in terms],
        [each.billing_timing for each in terms],
        [each.alignment for each in terms],
        [each.trial_period_days for each in terms],
        [each.proration for each in terms],
        [each.features for each in terms],
        [each.minimum for each in terms],
        [asdict(each.settings) for each in terms],
        [each.tax_category for each in terms],
        [each.gl_code for each in terms],
    ]
    rows = await session.fetch(
        """
        INSERT INTO plan_versions (plan_id, version, price, currency, billing_cycle, billing_timing, alignment,
            trial_period_days, proration, features, minimum, settings, tax_category, gl_code)
        SELECT * FROM unnest($1::integer[], $2::integer[], $3::numeric[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::integer[], $9::text[], $10::jsonb[], $11::numeric[], $12::jsonb[], $13::text[], $14::text[])
        RETURNING id, plan_id
        """,
        *columns,
    )
    ids = {row["plan_id"]: row["id"] for row in rows}
    charges = [
        (ids[plan_id], position, charge)
        for plan_id, _, each in versions
        for position, charge in enumerate(each.charges)
    ]
    if charges:
        await _insert_charges(session, charges, meter_ids)


async def _insert_charges(
    session: Session, placed: Sequence[tuple[int, int, ChargeTerms]], meter_ids: Mapping[str, int]
) -> None:
    charges = [charge for _, _, charge in placed]
    columns: list[list[Any]] = [
        [version_id for version_id, _, _ in placed],
        [position for _, position, _ in placed],
        [charge.code for charge in charges],
        [charge.name for charge in charges],
        [meter_ids[charge.meter] for charge in charges],
        [charge.charge_model for charge in charges],
        [rule_version(charge.charge_model) for charge in charges],
        [charge.properties for charge in charges],
        [charge.adjustments for charge in charges],
        [charge.gl_code for charge in charges],
        [charge.filters for charge in charges],
        # as the text of an array: a list of lists would be taken for a table; `check_terms` leaves nothing to be escaped
        ["{" + ",".join(f'"{name}"' for name in charge.group_by) + "}" for charge in charges],
    ]
    await session.execute(
        """
        INSERT INTO plan_charges (plan_version_id, position, code, name, meter_id, charge_model, rule_version, properties,
            adjustments, gl_code, filters, group_by)
        SELECT version_id, position, code, name, meter_id, charge_model, rule_version, properties, adjustments, gl_code, filters,
            group_by::text[]
        FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::integer[],
            $8::jsonb[], $9::jsonb[], $10::text[], $11::jsonb[], $12::text[])
            AS n (version_id, position, code, name, meter_id, charge_model, rule_version, properties, adjustments, gl_code, filters,
                  group_by)
        """,
        *columns,
    )


async def lock_plans(session: Session) -> None:
    """Locks all plans until the transaction ends, in order of id, so that two lockers never wait for each other."""
    await session.fetch("SELECT id FROM plans ORDER BY id FOR NO KEY UPDATE")


async def update_plans(session: Session, plans: Sequence[tuple[int, str, bool, bool, int]]) -> None:
    """Writes (id, name, is_public, is_active, current version) of locked plans, one statement for any number."""
    await session.execute(
        """
        UPDATE plans p SET name = n.name, is_public = n.is_public, is_active = n.is_active, current_version = n.version,
            revision = p.revision + 1
        FROM unnest($1::integer[], $2::text[], $3::boolean[], $4::boolean[], $5::integer[])
            AS n(id, name, is_public, is_active, version)
        WHERE p.id = n.id
        """,
        *([plan[column] for plan in plans] for column in range(5)),
    )


async def lock_plan(session: Session, plan_id: int) -> int | None:
    """Locks a plan for a change, so that its versions are numbered one after another; gives its revision, None without one."""
    found: int | None = await session.fetchval(
        "SELECT revision FROM plans WHERE id = $1 FOR NO KEY UPDATE", plan_id
    )
    return found


async def code_holder(session: Session, code: str) -> int | None:
    """Id of the plan that has this code."""
    found: int | None = await session.fetchval("SELECT id FROM plans WHERE code = $1", code)
    return found


async def update_plan(
    session: Session, plan_id: int, *, code: str, name: str, is_public: bool, is_active: bool, version: int
) -> None:
    """Writes what may change of a plan and which version new subscriptions get."""
    await session.execute(
        """
        UPDATE plans SET code = $2, name = $3, is_public = $4, is_active = $5, current_version = $6, revision = revision + 1
        WHERE id = $1
        """,
        plan_id, code, name, is_public, is_active, version,
    )  # fmt: skip


async def begin_seed(session: Session) -> bool:
    """Whether the catalog has no plan yet; one seeder at a time, until its transaction ends."""
    await session.fetchval("SELECT pg_advisory_xact_lock($1)", _SEED_LOCK)
    return not await session.fetchval("SELECT EXISTS (SELECT FROM plans)")


async def restart_plan_ids(session: Session) -> None:
    """Plans are numbered from 1 again; only while there is none."""
    await session.fetchval("SELECT setval(pg_get_serial_sequence('plans', 'id'), 1, false)")
