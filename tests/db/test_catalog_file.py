"""The catalog file against a database: the round trip, what applying writes, history, rollback, races, crashes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings

from tallystick.accounts import service as accounts
from tallystick.accounts.domain import NewAccount
from tallystick.billing.catalog_file import queries, service
from tallystick.billing.catalog_file.comparing import Action
from tallystick.billing.catalog_file.reading import CatalogFileInvalid
from tallystick.billing.catalog_file.sections import Content
from tallystick.billing.catalog_file.service import Applied, CatalogBusy, CatalogChanged, NoSuchApplication
from tallystick.billing.catalog_file.views import difference_view, told
from tallystick.billing.catalog_file.writing import write
from tallystick.catalog import invariants as catalog_invariants
from tallystick.catalog import queries as catalog
from tallystick.catalog import service as catalog_service
from tallystick.invoicing.service import couponing
from tallystick.kernel.actor import system_actor
from tallystick.platform.db import Database
from tallystick.subscriptions import service as subscriptions
from tests.catalog_strategies import contents
from tests.conftest import execute, with_database

ACTOR = system_actor("tests")
NOW = datetime(2025, 6, 1, tzinfo=UTC)
FILE = """\
taxes:
  vat: {name: VAT, rate: 19, is_default: true}
meters:
  api: {aggregation: sum, unit: call}
services: [Database Hosting, Object Storage]
plans:
  pro:
    name: Pro
    price: 30
    currency: USD
    charges:
      - {code: calls, meter: api, charge_model: standard, properties: {unit_amount: 0.10}}
      - {code: storage, meter: "service:Object Storage", charge_model: standard, properties: {unit_amount: 0.2}}
  team: {name: Team, price: 1200, currency: EUR, billing_cycle: yearly}
"""
DEARER = FILE.replace("price: 30", "price: 36").replace("price: 1200", "price: 1500")


async def applied(database: Database, text: str, **options: Any) -> Applied:
    async with database.write() as session:
        return await service.apply(session, ACTOR, text, now=NOW, **options)


async def exported(database: Database) -> str:
    async with database.snapshot() as session:
        return await service.export(session, 1)


async def difference(database: Database, text: str, **options: Any) -> service.Difference:
    async with database.snapshot() as session:
        return await service.diff(session, ACTOR, text, now=NOW, **options)


STARTED = datetime(2025, 1, 1, tzinfo=UTC)


async def subscribe(
    database: Database, code: str, quantity: int = 1, *, test: bool = False, ended: bool = False
) -> str:
    """The id of an account that is on the plan's current version since January."""
    actor = system_actor("tests", entity_id=2 if test else 1)
    async with database.write() as session:
        plan = (await catalog.plans(session, limit=1, cursor=None, all_plans=True, code=code)).rows[0]
        account = await accounts.open_account(
            session, actor, NewAccount(f"acc_{uuid4().hex}", "Ada"), now=STARTED
        )
        start = subscriptions.Start(uuid4(), plan.id, STARTED, Decimal(quantity))
        made = await subscriptions.start(session, actor, account, start, now=STARTED)
        if ended:
            version = (await catalog.plan_versions(session, [made.plan_version_id]))[made.plan_version_id]
            await subscriptions.end(session, actor, made, account, version, at=NOW, now=STARTED)
    return account.id


async def test_an_applied_file_is_there_and_a_repeat_changes_nothing(database: Database) -> None:
    first = await applied(database, FILE)
    assert first.number == 1
    assert first.difference.summary == {"add": 5, "change": 0, "retire": 0, "left_alone": 0}
    async with database.read() as session:
        plans = {
            plan.code: plan
            for plan in (await catalog.plans(session, limit=9, cursor=None, all_plans=True)).rows
        }
        assert (plans["pro"].price, plans["pro"].version, len(plans["pro"].charges)) == (
            Decimal("30.00"),
            1,
            2,
        )
        assert plans["pro"].charges[0].properties == {"unit_amount": Decimal("0.10")}
        actions = [row["action"] for row in await session.fetch("SELECT action FROM audit_log ORDER BY id")]
    assert actions == [
        "tax.made", "meter.made", "service.allowed", "plan.made", "plan.made", "catalog.applied",
    ]  # fmt: skip
    again = await applied(database, FILE)
    assert again.number is None
    assert "Nothing to change." in list(told(again.difference))
    async with database.read() as session:
        assert len(await queries.applications(session, 1)) == 1


async def test_applying_an_export_changes_nothing_and_elsewhere_gives_the_same_bytes(
    database: Database, fresh: Database
) -> None:
    await applied(database, FILE)
    text = await exported(database)
    assert (await difference(database, text, prune=True)).changes == []
    await applied(fresh, text)
    assert await exported(fresh) == text


@pytest.fixture
async def fresh(server_url: str, template: str) -> AsyncIterator[Database]:
    """A second database, empty but for what migrations put there."""
    name = f"test_{uuid4().hex[:12]}"
    await execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    pool = await Database.connect(with_database(server_url, name), size=3)
    yield pool
    await pool.close()
    await execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class _Undone(Exception):
    pass


@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(content=contents())
async def test_any_catalog_comes_back_as_the_same_bytes(database: Database, content: Content) -> None:
    async def work() -> None:
        async with database.write() as session:
            await service.apply(session, ACTOR, write(content), now=NOW)
            text = await service.export(session, 1)
            assert text == write(content)
            assert (await service.diff(session, ACTOR, text, now=NOW, prune=True)).changes == []
            raise _Undone

    with pytest.raises(_Undone):
        await work()


async def test_whom_a_change_touches_and_what_it_is_worth(database: Database) -> None:
    await applied(database, FILE)
    holders = sorted([await subscribe(database, "pro", 2), await subscribe(database, "pro")])
    await subscribe(database, "pro", 100, test=True)
    await subscribe(database, "pro", 100, ended=True)
    await subscribe(database, "team", 3)
    found = await difference(database, DEARER, named=True)
    pro, team = found.effects["pro"], found.effects["team"]
    assert (pro.subscriptions, pro.accounts, pro.in_tests) == (2, 2, 1)
    assert [each for each in pro.account_ids if each in holders] == holders
    assert (pro.if_moved, team.if_moved) == ({"USD": 18}, {"EUR": 75})
    view = difference_view(found)
    assert view["monthly_revenue"] == {
        "now": {"EUR": Decimal("0.00"), "USD": Decimal("0.00")},
        "if_moved": {"EUR": Decimal("75.00"), "USD": Decimal("18.00")},
    }
    text = "\n".join(told(found))
    assert "~ plan pro (changed, version 1 → 2)" in text
    assert "price: 30.00 → 36.00" in text
    assert (
        "2 subscriptions of 2 accounts stay on the version they have: what they pay changes by 0 now." in text
    )
    assert "a month would bring +18.00 USD" in text
    assert "If all subscriptions were moved to the new versions: +75.00 EUR and +18.00 USD a month." in text


async def test_a_used_version_never_changes(database: Database) -> None:
    await applied(database, FILE)
    await subscribe(database, "pro")
    await applied(database, DEARER)
    async with database.read() as session:
        rows = await session.fetch(
            "SELECT v.version, v.price FROM plan_versions v JOIN plans p ON p.id = v.plan_id WHERE p.code = 'pro' ORDER BY 1"
        )
        assert [tuple(row) for row in rows] == [(1, Decimal("30.00")), (2, Decimal("36.00"))]
        held = await queries.held(session, ["pro"], NOW)
        assert [each.version for each in held] == [1]
    third = await difference(database, DEARER.replace("36", "42"))
    assert third.effects["pro"].if_moved == {"USD": 12}, "counted from the version they are on"


async def test_only_prune_retires_and_it_deletes_nothing(database: Database) -> None:
    await applied(database, FILE)
    await subscribe(database, "team")
    less = FILE.replace("  team: {name: Team, price: 1200, currency: EUR, billing_cycle: yearly}\n", "")
    kept = await applied(database, less)
    assert (kept.number, [each.action for each in kept.difference.changes]) == (None, [Action.LEFT_ALONE])
    retired = await applied(database, less, prune=True)
    assert retired.number == 2
    assert "No longer on offer. 1 subscription of 1 account stay on it" in "\n".join(told(retired.difference))
    async with database.read() as session:
        team = (await catalog.plans(session, limit=1, cursor=None, all_plans=True, code="team")).rows[0]
    assert (team.is_active, team.version) == (False, 1)
    assert (await applied(database, less, prune=True)).number is None


async def test_rollback_makes_it_so_again(database: Database) -> None:
    start = await exported(database)
    await applied(database, FILE)
    first = await exported(database)
    more = DEARER + "  extra: {name: Extra, price: 1, currency: USD}\n"
    await applied(database, more.replace("  vat:", "  gst: {name: GST, rate: 5, is_default: true}\n  vat:"))
    async with database.read() as session:
        number, text = await service.version_text(session, 1, None)
        assert (number, text) == (1, first)
        assert await service.version_text(session, 1, 1) == (1, first)
        assert await service.version_text(session, 1, 0) == (0, start)
        with pytest.raises(NoSuchApplication):
            await service.version_text(session, 1, 9)
    back = await applied(database, text, prune=True, rolled_back_to=number)
    assert back.number == 3
    async with database.read() as session:
        plans = {
            plan.code: plan
            for plan in (await catalog.plans(session, limit=9, cursor=None, all_plans=True)).rows
        }
        assert (plans["pro"].price, plans["pro"].version) == (Decimal("30.00"), 3)
        assert (plans["extra"].is_active, plans["pro"].is_active) == (False, True)
        assert await session.fetchval("SELECT is_default FROM taxes WHERE code = 'gst'") is False
        history = await queries.applications(session, 1)
        for name, statement in catalog_invariants.INVARIANTS.items():
            assert await session.fetch(statement) == [], name
    assert [(each.number, each.kind, each.rolled_back_to) for each in history] == [
        (3, "rollback", 1), (2, "apply", None), (1, "apply", None),
    ]  # fmt: skip
    async with database.read() as session:
        assert (await service.version_text(session, 1, None))[0] == 2, "undoing the undoing"


async def rolled_back(database: Database, number: int) -> Applied:
    async with database.read() as session:
        found, text = await service.version_text(session, 1, number)
    return await applied(database, text, prune=True, rolled_back_to=found)


@pytest.mark.parametrize("rates", ["", "{valid_from: 2031-01-01, rate: 6.50}"])
async def test_rates_that_came_since_stay_when_rolled_back(database: Database, rates: str) -> None:
    taxed = FILE.replace("is_default: true}", f"is_default: true, later_rates: [{rates}]}}")
    await applied(database, taxed)
    later = "later_rates: [{valid_from: 2031-01-01, rate: 6.5}, {valid_from: 2032-01-01, rate: null}]}"
    await applied(
        database, taxed.replace("price: 30", "price: 31").replace(f"later_rates: [{rates}]}}", later)
    )
    back = await rolled_back(database, 1)
    assert (back.number, [each.code for each in back.difference.changes]) == (3, ["pro"])
    async with database.read() as session:
        standing = await queries.standing(session, 1)
    assert [each["valid_from"] for each in standing.content["taxes"]["vat"]["later_rates"]] == [
        "2031-01-01", "2032-01-01",
    ]  # fmt: skip
    assert standing.plans["pro"].price == Decimal("30.00")


async def test_a_coupon_redeemed_since_keeps_its_limit_when_rolled_back(database: Database) -> None:
    coupon = "coupons:\n  TEN: {name: Ten, kind: percent, value: 10, max_redemptions: 1}\n"
    await applied(database, FILE + coupon)
    more = coupon.replace("name: Ten", "name: More").replace("max_redemptions: 1", "max_redemptions: 5")
    await applied(database, FILE + more)
    async with database.write() as session:
        for _ in range(2):
            account = await accounts.open_account(
                session, ACTOR, NewAccount(f"acc_{uuid4().hex}", "Ada"), now=STARTED
            )
            await couponing.redeem(session, ACTOR, account, "TEN", applied_id=uuid4(), now=NOW)
    assert (await rolled_back(database, 1)).number == 3
    async with database.read() as session:
        found = (await queries.standing(session, 1)).coupons["TEN"]
    assert (found.name, found.max_redemptions, found.redemptions) == ("Ten", 5, 2)


async def test_without_history_there_is_nothing_to_roll_back_to(database: Database) -> None:
    async with database.read() as session:
        with pytest.raises(NoSuchApplication):
            await service.version_text(session, 1, None)


async def test_history_cannot_be_rewritten(database: Database) -> None:
    await applied(database, FILE)
    for statement in (
        "UPDATE catalog_files SET after = ''",
        "DELETE FROM catalog_files",
        "TRUNCATE catalog_files",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with database.write() as session:
                await session.execute(statement)


async def test_two_at_once_take_turns(database: Database) -> None:
    results = await asyncio.gather(*(applied(database, FILE.replace("30", str(30 + n))) for n in range(4)))
    assert sorted(each.number or 0 for each in results) == [1, 2, 3, 4]
    async with database.read() as session:
        assert await session.fetchval("SELECT current_version FROM plans WHERE code = 'pro'") == 4
        for name, statement in catalog_invariants.INVARIANTS.items():
            assert await session.fetch(statement) == [], name


async def test_one_that_waits_too_long_is_refused(database: Database) -> None:
    async with database.write() as session:
        await service.apply(session, ACTOR, FILE, now=NOW)
        async with database.write() as other:
            await other.execute("SET LOCAL lock_timeout = '100ms'")
            with pytest.raises(CatalogBusy):
                await service.apply(other, ACTOR, FILE, now=NOW)


async def test_what_was_agreed_to_is_what_is_applied(database: Database) -> None:
    await applied(database, FILE)
    seen = await difference(database, DEARER)
    async with database.write() as session:
        pro = (await catalog.plans(session, limit=1, cursor=None, all_plans=True, code="pro")).rows[0]
        locked = await catalog_service.locked_plan(session, pro.id)
        await catalog_service.change_plan(session, ACTOR, locked, {}, {"price": Decimal(33)})
    with pytest.raises(CatalogChanged):
        await applied(database, DEARER, expected=seen.token)
    fresh = await difference(database, DEARER)
    assert (await applied(database, DEARER, expected=fresh.token)).number == 2


async def test_a_crash_in_the_middle_leaves_nothing(database: Database) -> None:
    before = await exported(database)

    async def crash() -> None:
        async with database.write() as session:
            await service.apply(session, ACTOR, FILE, now=NOW)
            pid = await session.fetchval("SELECT pg_backend_pid()")
            async with database.write() as other:
                await other.fetchval("SELECT pg_terminate_backend($1)", pid)
            await session.fetchval("SELECT 1")

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await crash()
    assert await exported(database) == before
    assert (await applied(database, FILE)).number == 1


async def test_a_file_with_one_mistake_writes_nothing(database: Database) -> None:
    with pytest.raises(CatalogFileInvalid) as refused:
        await applied(database, FILE.replace("price: 1200", "price: 1200.001"))
    assert refused.value.details == {
        "catalog.yaml:14:22: plans.team.price": "has more than the 2 decimals of EUR"
    }
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM plans") == 0


async def test_what_never_changes_is_refused(database: Database) -> None:
    await applied(database, FILE)
    with pytest.raises(CatalogFileInvalid) as refused:
        await applied(database, FILE.replace("rate: 19", "rate: 20").replace("unit: call", "unit: calls"))
    assert list(refused.value.details) == [
        "catalog.yaml:2:20: taxes.vat.rate", "catalog.yaml:4:27: meters.api.unit",
    ]  # fmt: skip
    renamed = await applied(
        database, FILE.replace("name: VAT", "name: VAT 19").replace("name: Pro", "name: Professional")
    )
    assert [(each.code, each.new_version) for each in renamed.difference.changes] == [
        ("vat", False),
        ("pro", False),
    ]


async def test_a_thousand_plans_take_a_constant_number_of_statements(database: Database) -> None:
    def text(plans: int, price: int) -> str:
        charges = "".join(
            f"      - {{code: c{n}, meter: api, charge_model: standard, properties: {{unit_amount: '0.{n + 1}'}}}}\n"
            for n in range(2)
        )
        return "meters:\n  api: {aggregation: sum}\nplans:\n" + "".join(
            f"  p{n}:\n    name: P\n    price: {price}\n    currency: USD\n    charges:\n{charges}"
            for n in range(plans)
        )

    async def statements(file: str) -> int:
        counted: list[str] = []
        async with database.write() as session:
            session.connection.add_query_logger(lambda query: counted.append(query.query))
            await service.apply(session, ACTOR, file, now=NOW)
            return len(counted)

    await applied(database, text(1, 1))
    few, many = await statements(text(3, 2)), await statements(text(300, 3))
    assert many <= few + 2, (few, many)
