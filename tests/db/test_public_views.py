"""`public_v1`: a reader sees the views and nothing else; every column says what it is; nothing internal shows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from tallystick.migrations.readers import ReaderMayMore, RoleName, RoleNotMade, allow_reader
from tallystick.migrations.run import downgrade, upgrade
from tests.conftest import execute

COLUMNS = """
SELECT c.relname AS view, a.attname AS name, format_type(a.atttypid, NULL) AS type, col_description(c.oid, a.attnum) AS sentence
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'public_v1'::regnamespace AND c.relkind = 'v' ORDER BY c.relname, a.attnum
"""
TABLES = """
SELECT n.nspname || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'usage_partitions')
"""
PROMISED = {
    "customers", "users", "plans", "subscriptions", "subscription_events", "user_usage", "billing",
    "plan_versions", "plan_charges", "meters", "usage_events", "invoices", "invoice_lines", "invoice_taxes", "credit_notes",
    "credit_note_lines", "wallets", "wallet_transactions", "coupon_redemptions", "ledger_entries",
}  # fmt: skip
MONEY = {
    "amount", "exact_amount", "price", "minimum", "unit_price", "subtotal", "total", "tax", "amount_due", "paid_balance",
}  # fmt: skip


async def fetch(url: str, sql: str, role: str | None = None) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        if role is not None:
            await connection.execute(f'SET SESSION AUTHORIZATION "{role}"')
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


def as_user(url: str, name: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:secret@{host}"))


@pytest.fixture
async def role(database_url: str) -> AsyncIterator[str]:
    """The name of a role that is not there yet; gone after the test with all it was given."""
    name = f"reader_{uuid4().hex[:12]}"
    yield name
    if await fetch(database_url, f"SELECT FROM pg_roles WHERE rolname = '{name}'"):
        await execute(database_url, f'DROP OWNED BY "{name}"')
        await execute(database_url, f'DROP ROLE "{name}"')


async def test_the_views_there_are(database_url: str) -> None:
    assert {row["view"] for row in await fetch(database_url, COLUMNS)} == PROMISED


async def test_a_reader_sees_the_views_and_nothing_else(database_url: str, role: str) -> None:
    made = await allow_reader(database_url, role)
    assert (made.role, made.made, made.views) == (role, True, len(PROMISED))
    for view in PROMISED:
        await fetch(database_url, f"SELECT * FROM public_v1.{view}", role)
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            await fetch(database_url, f"DELETE FROM public_v1.{view}", role)
    tables = [row[0] for row in await fetch(database_url, TABLES)]
    assert len(tables) > 50
    for table in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fetch(database_url, f"SELECT * FROM {table}", role)
    for beyond in (
        "CREATE TABLE public.mine (id int)",
        "CREATE VIEW public_v1.mine AS SELECT 1",
        "CREATE SCHEMA mine",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fetch(database_url, beyond, role)  # fmt: skip


async def test_a_view_to_come_is_readable_and_a_repeat_changes_nothing(database_url: str, role: str) -> None:
    await allow_reader(database_url, role)
    assert not (await allow_reader(database_url, role)).made
    await execute(database_url, "CREATE VIEW public_v1.later AS SELECT 1 AS one")
    assert [tuple(row) for row in await fetch(database_url, "SELECT one FROM public_v1.later", role)] == [
        (1,)
    ]


async def test_many_ask_for_the_same_role_at_once(database_url: str, role: str) -> None:
    """Roles belong to the server: whoever comes second takes the role as found."""
    found = await asyncio.gather(*(allow_reader(database_url, role) for _ in range(8)))
    assert sum(each.made for each in found) == 1
    await fetch(database_url, "SELECT * FROM public_v1.customers", role)


@pytest.mark.parametrize("name", ["", "Upper", "a b", 'a"; DROP', "pg_reader", "1a", "a" * 64, "é"])
async def test_names_that_are_none(database_url: str, name: str) -> None:
    with pytest.raises(RoleName):
        await allow_reader(database_url, name)


async def test_a_role_that_may_do_more_is_refused(database_url: str, role: str) -> None:
    await execute(database_url, f'CREATE ROLE "{role}"')
    await execute(database_url, f'GRANT SELECT ON accounts TO "{role}"')
    with pytest.raises(ReaderMayMore):
        await allow_reader(database_url, role)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(database_url, "SELECT * FROM public_v1.customers", role)
    await execute(database_url, f'REVOKE SELECT ON accounts FROM "{role}"')
    assert not (await allow_reader(database_url, role)).made


async def test_a_migrating_user_who_may_not_make_roles(database_url: str, role: str) -> None:
    """As on many hosted servers: the operator has the role made, and the grants are ours to give."""
    owner = f"owner_{uuid4().hex[:12]}"
    await execute(database_url, f"CREATE ROLE \"{owner}\" LOGIN PASSWORD 'secret'")
    try:
        await execute(database_url, f'ALTER SCHEMA public_v1 OWNER TO "{owner}"')
        for view in PROMISED:
            await execute(database_url, f'ALTER VIEW public_v1.{view} OWNER TO "{owner}"')
        with pytest.raises(RoleNotMade):
            await allow_reader(as_user(database_url, owner), role)
        await execute(database_url, f'CREATE ROLE "{role}"')
        assert not (await allow_reader(as_user(database_url, owner), role)).made
        assert await fetch(
            database_url, f"SELECT has_table_privilege('{role}', 'public_v1.invoices', 'SELECT')"
        )
    finally:
        await execute(database_url, f'REASSIGN OWNED BY "{owner}" TO CURRENT_USER')
        await execute(database_url, f'DROP OWNED BY "{owner}"')
        await execute(database_url, f'DROP ROLE "{owner}"')


async def test_every_view_and_column_says_what_it_is(database_url: str) -> None:
    for row in await fetch(database_url, COLUMNS):
        assert row["sentence"], f"{row['view']}.{row['name']}"
        assert row["sentence"].endswith("."), f"{row['view']}.{row['name']}"
    views = await fetch(
        database_url,
        "SELECT relname, obj_description(oid) FROM pg_class WHERE relnamespace = 'public_v1'::regnamespace",
    )
    assert [name for name, sentence in views if not sentence] == []


async def test_nothing_internal_shows(database_url: str) -> None:
    """No internal numbers or storage; instants know their zone; money never stands without its currency."""
    rows = await fetch(database_url, COLUMNS)
    for row in rows:
        place = f"{row['view']}.{row['name']}"
        assert not row["name"].endswith(("_no", "_key", "batch", "checksum", "revision")), place
        assert row["type"] != "timestamp without time zone", place
        assert row["type"] not in ("bytea", "double precision", "real", "money"), place
        if row["type"] == "bigint":
            assert row["name"] in {"number", "events", "event_count", "invoices", "position"}, place
    for view in PROMISED:
        names = {row["name"] for row in rows if row["view"] == view}
        assert not names & MONEY or "currency" in names, view
        if "customer_id" in names and view != "users":
            assert "livemode" in names, view


async def test_down_takes_the_schema_along(database_url: str, role: str) -> None:
    before = [tuple(row) for row in await fetch(database_url, COLUMNS)]
    await allow_reader(database_url, role)
    await asyncio.to_thread(downgrade, database_url, "0022_backfills")
    assert await fetch(database_url, "SELECT FROM pg_namespace WHERE nspname = 'public_v1'") == []
    await asyncio.to_thread(upgrade, database_url)
    assert [tuple(row) for row in await fetch(database_url, COLUMNS)] == before
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(database_url, "SELECT * FROM public_v1.customers", role)


async def test_usage_of_a_month_reads_its_month_only(database_url: str) -> None:
    """Integrators ask for a range of time: partitions outside it are not touched."""
    for month in (1, 2, 3):
        await execute(
            database_url,
            f"CREATE TABLE IF NOT EXISTS usage_partitions.test_{month} PARTITION OF usage_events "
            f"FOR VALUES FROM ('1990-0{month}-01Z') TO ('1990-0{month + 1}-01Z')",
        )
    plan = "\n".join(
        row[0]
        for row in await fetch(
            database_url,
            "EXPLAIN SELECT sum(quantity) FROM public_v1.usage_events WHERE occurred_at >= '1990-02-01Z' AND occurred_at < '1990-03-01Z'",
        )
    )
    assert "test_2" in plan
    assert "test_1" not in plan
    assert "test_3" not in plan
