"""Each invariant finds the violation it is for: one planted, one row returned."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from tallystick.accounts import invariants as accounts
from tallystick.accounts import service as account_commands
from tallystick.accounts.domain import NewAccount
from tallystick.catalog import invariants as catalog
from tallystick.catalog import service as catalog_commands
from tallystick.catalog.domain import Terms
from tallystick.kernel.actor import system_actor
from tallystick.platform.db import Database, Session
from tallystick.subscriptions import invariants as subscriptions
from tallystick.subscriptions import service as subscription_commands
from tallystick.taxes import invariants as taxes
from tallystick.taxes import service as tax_commands

ACTOR = system_actor("tests")
NOW = datetime(2024, 1, 31, 8, tzinfo=UTC)
UNGUARDED = "SET LOCAL session_replication_role = replica"
"""Planting needs a hand that triggers and foreign keys do not hold back."""

PLANTED: dict[str, tuple[Mapping[str, str], str]] = {
    "open accounts have a profile, closed ones have none": (accounts.INVARIANTS, "DELETE FROM account_profiles"),
    "a profile stands in its account's entity": (accounts.INVARIANTS, "UPDATE account_profiles SET entity_id = 2"),
    "an account on a clock belongs to the clock's entity": (
        accounts.INVARIANTS,
        """
        WITH c AS (INSERT INTO test_clocks (id, entity_id, name, frozen_time) VALUES (gen_random_uuid(), 2, 'c', now())
                   RETURNING id)
        UPDATE accounts SET livemode = false, test_clock_id = c.id FROM c
        """,
    ),
    "the time zone is the last one of its history": (accounts.INVARIANTS, "UPDATE accounts SET timezone = 'Asia/Tokyo'"),
    "nothing is due on a closed account": (
        accounts.INVARIANTS, "UPDATE accounts SET status = 'closed', closed_at = opened_at",
    ),
    "the current version of every plan exists and is its last": (
        catalog.INVARIANTS, "UPDATE plans SET current_version = 7",
    ),
    "versions are numbered from 1 without a gap": (catalog.INVARIANTS, "UPDATE plan_versions SET version = 2"),
    "every service counts on its own meter": (
        catalog.INVARIANTS, "UPDATE meters SET aggregation = 'max' WHERE code LIKE 'service:%'",
    ),
    "accounts pay taxes of their own entity": (taxes.INVARIANTS, "UPDATE taxes SET entity_id = 2"),
    "a subscription stands in its account's entity": (
        subscriptions.INVARIANTS, "UPDATE subscriptions SET entity_id = 2",
    ),
    "a subscription is in its plan's currency": (
        subscriptions.INVARIANTS, "UPDATE subscriptions SET currency = 'EUR'",
    ),
    "the account knows when its next bill is due": (
        subscriptions.INVARIANTS, "UPDATE accounts SET next_billing_at = NULL",
    ),
    "a subscription without end always has a next bill": (
        subscriptions.INVARIANTS, "UPDATE subscriptions SET next_billing_at = NULL",
    ),
    "nothing is due on a subscription that ended before its paid service began": (
        subscriptions.INVARIANTS, "UPDATE subscriptions SET ended_at = started_at, canceled_at = started_at",
    ),
    "a closed account has no subscription that goes on": (
        subscriptions.INVARIANTS, "UPDATE accounts SET status = 'closed', closed_at = opened_at",
    ),
    "every subscription's history begins with its start": (
        subscriptions.INVARIANTS, "DELETE FROM subscription_events",
    ),
}  # fmt: skip


async def world(session: Session) -> None:
    """One account with a tax of its own and a subscription."""
    account = await account_commands.open_account(
        session, ACTOR, NewAccount(f"acc_{uuid4().hex}", "Ada"), now=NOW
    )
    await tax_commands.make_tax(session, ACTOR, tax_commands.NewTax("vat", "VAT", Decimal(19)))
    await tax_commands.set_account_taxes(session, ACTOR, account, ["vat"])
    plan = await catalog_commands.make_plan(
        session, ACTOR, code="p", name="P", is_public=True, is_active=True, terms=Terms(Decimal(1), "USD")
    )
    start = subscription_commands.Start(uuid4(), plan.id, NOW)
    await subscription_commands.start(session, ACTOR, account, start, now=NOW)


def test_every_invariant_has_a_violation_here() -> None:
    stated = {name for part in (accounts, catalog, taxes, subscriptions) for name in part.INVARIANTS}
    assert stated == PLANTED.keys()


@pytest.mark.parametrize("name", PLANTED)
async def test_a_planted_violation_is_found(database: Database, name: str) -> None:
    statements, planted = PLANTED[name]
    async with database.write() as session:
        await world(session)
        assert await session.fetch(statements[name]) == []
        await session.execute(UNGUARDED)
        assert await session.execute(planted) == 1
        assert len(await session.fetch(statements[name])) == 1
