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
) -> Meter | None:
    """Adds a meter; None where the code is taken, also by a transaction that commits meanwhile."""
    row = await session.fetchrow(
        f"""
        INSERT INTO meters (code, name, aggregation, field, filters, unit) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (code) DO NOTHING RETURNING {METER}
        """,
        code, name, aggregation, field, {key: list(values) for key, values in filters.items()}, unit,
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


async def insert_version(
    session: Session, plan_id: int, version: int, terms: Terms, meter_ids: Mapping[str, int]
) -> int:
    """Adds a version with its charges, two statements whatever their number; gives its id."""
    version_id: int = await session.fetchval(
        """
        INSERT INTO plan_versions (plan_id, version, price, currency, billing_cycle, billing_timing, alignment,
            trial_period_days, proration, features, minimum, settings, tax_category, gl_code)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id
        """,
        plan_id, version, terms.price, terms.currency, terms.billing_cycle, terms.billing_timing, terms.alignment,
        terms.trial_period_days, terms.proration, terms.features, terms.minimum, asdict(terms.settings), terms.tax_category,
        terms.gl_code,
    )  # fmt: skip
    if terms.charges:
        await _insert_charges(session, version_id, terms.charges, meter_ids)
    return version_id


async def _insert_charges(
    session: Session, version_id: int, charges: Sequence[ChargeTerms], meter_ids: Mapping[str, int]
) -> None:
    columns: list[list[Any]] = [
        list(range(len(charges))),
        [charge.code for charge in charges],
        [charge.name for charge in charges],
        [meter_ids[charge.meter] for charge in charges],
        [charge.charge_model for charge in charges],
        [rule_version(charge.charge_model) for charge in charges],
        [charge.properties for charge in charges],
        [charge.adjustments for charge in charges],
        [charge.gl_code for charge in charges],
    ]
    await session.execute(
        """
        INSERT INTO plan_charges (plan_version_id, position, code, name, meter_id, charge_model, rule_version, properties,
            adjustments, gl_code)
        SELECT $1, * FROM unnest($2::integer[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::integer[], $8::jsonb[],
            $9::jsonb[], $10::text[])
        """,
        version_id, *columns,
    )  # fmt: skip


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
