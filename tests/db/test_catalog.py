"""The catalog in the database: what is accepted never changes; races; constant statements."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest

from tallystick.catalog import queries, seed, service
from tallystick.catalog.domain import ChargeTerms, NoSuchPlan, Settings, Terms
from tallystick.catalog.invariants import INVARIANTS
from tallystick.kernel.actor import system_actor
from tallystick.kernel.period import Cycle
from tallystick.platform.db import Database
from tallystick.rating.domain import compile_price

ACTOR = system_actor("tests")
CHARGE = ChargeTerms(
    "calls", "API calls", "api", "package", {"package_size": 100, "package_amount": "0.50", "free_units": 10},
    {"discount_percent": "10"}, "usage",
)  # fmt: skip
TERMS = Terms(
    Decimal("29.99"), "USD", alignment="calendar", minimum=Decimal(5), settings=Settings(billing_day=15), charges=(CHARGE,)
)  # fmt: skip


async def prepared(database: Database) -> int:
    async with database.write() as session:
        await service.make_meter(
            session, ACTOR, code="api", name="API", aggregation="sum", field=None, filters={"region": ["eu"]}, unit="call"
        )  # fmt: skip
        plan = await service.make_plan(
            session, ACTOR, code="pro", name="Pro", is_public=True, is_active=True, terms=TERMS
        )
    return plan.id


async def test_a_version_comes_back_as_it_was_accepted(database: Database) -> None:
    plan_id = await prepared(database)
    async with database.read() as session:
        version = await queries.current_version(session, plan_id)
        assert (version.plan_id, version.version, version.price) == (plan_id, 1, Decimal("29.99"))
        assert (version.billing_cycle, version.settings["billing_day"]) == (Cycle.MONTHLY, 15)
        assert (version.in_advance, version.bills_usage) == (True, True)
        charge = version.charges[0]
        price = compile_price(
            charge.charge_model,
            charge.properties,
            charge.adjustments,
            version=charge.rule_version,
            currency="USD",
        )
        assert price.model == "package"
        meter = (await queries.meters(session, [charge.meter_id]))[charge.meter_id]
        assert (meter.code, meter.filters) == ("api", {"region": ("eu",)})
        assert await queries.plan_versions(session, [version.id, 77]) == {version.id: version}
        assert await queries.version_ids(session, plan_id) == [version.id]
        with pytest.raises(NoSuchPlan):
            await queries.current_version(session, 77)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE plan_versions SET price = 0",
        "DELETE FROM plan_versions",
        "UPDATE plan_charges SET properties = '{}'",
        "DELETE FROM plan_charges",
        "UPDATE meters SET aggregation = 'count'",
        "TRUNCATE meters CASCADE",
    ],
)
async def test_what_was_priced_with_never_changes(database: Database, statement: str) -> None:
    await prepared(database)
    with pytest.raises(asyncpg.RestrictViolationError):
        async with database.write() as session:
            await session.execute(statement)


@pytest.mark.parametrize("price", ["NaN", "-0.01", "1e15", "Infinity"])
async def test_no_price_is_absurd(database: Database, price: str) -> None:
    await prepared(database)
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.write() as session:
            await session.execute(
                """
                INSERT INTO plan_versions (plan_id, version, price, currency, billing_cycle, billing_timing, alignment,
                    trial_period_days, proration, features, settings, tax_category, gl_code)
                SELECT plan_id, 2, $1::text::numeric, currency, billing_cycle, billing_timing, alignment, trial_period_days,
                    proration, features, settings, tax_category, gl_code FROM plan_versions
                """,
                price,
            )


async def test_changes_of_one_plan_are_numbered_one_after_another(database: Database) -> None:
    plan_id = await prepared(database)

    async def dearer(price: int) -> int:
        async with database.write() as session:
            shown = await service.locked_plan(session, plan_id)
            return (await service.change_plan(session, ACTOR, shown, {}, {"price": Decimal(price)})).version

    assert sorted(await asyncio.gather(*(dearer(price) for price in range(40, 44)))) == [2, 3, 4, 5]
    async with database.read() as session:
        for name, statement in INVARIANTS.items():
            assert await session.fetch(statement) == [], name


async def test_seeding_happens_once_however_many_start(database: Database) -> None:
    async def start() -> bool:
        async with database.write() as session:
            return await seed.development(session)

    assert sorted(await asyncio.gather(*(start() for _ in range(3)))) == [False, False, True]
    async with database.read() as session:
        assert await session.fetch("SELECT id, code FROM plans ORDER BY id") == [
            (1, "basic-trial"), (2, "standard-monthly"),
        ]  # fmt: skip


async def test_services_of_the_settings_are_allowed(database: Database) -> None:
    names = ("Database Hosting", "Object Storage")
    async with database.write() as session:
        assert await service.ensure_services(session, ACTOR, names) == ["Object Storage"]
        assert await service.ensure_services(session, ACTOR, names) == []
        meter = await queries.service_meter(session, "Object Storage")
        assert meter is not None
        assert (meter.code, meter.aggregation) == ("service:Object Storage", "sum")
        assert await queries.service_meter(session, "Unknown") is None


async def test_a_thousand_charges_take_as_many_statements_as_one(database: Database) -> None:
    await prepared(database)
    charges = tuple(
        ChargeTerms(f"c{n}", f"C{n}", "api", "standard", {"unit_amount": "0.01"}, {}, "usage")
        for n in range(1000)
    )
    counted: list[str] = []
    async with database.write() as session:
        session.connection.add_query_logger(lambda query: counted.append(query.query))
        plan = await service.make_plan(
            session, ACTOR, code="big", name="Big", is_public=False, is_active=True,
            terms=Terms(Decimal(0), "USD", charges=charges),
        )  # fmt: skip
    assert [charge.code for charge in plan.charges] == [charge.code for charge in charges]
    assert 0 < len(counted) <= 10
