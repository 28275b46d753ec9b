"""Which taxes accounts pay, in one statement."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest

from tallystick.accounts import service as accounts
from tallystick.accounts.domain import Account, NewAccount
from tallystick.kernel.actor import system_actor
from tallystick.platform.db import Database, Session
from tallystick.taxes import queries, service
from tallystick.taxes.domain import UnknownTax
from tallystick.taxes.invariants import INVARIANTS
from tallystick.taxes.service import NewTax

LIVE, TEST = system_actor("tests"), system_actor("tests", entity_id=2)
NOW = datetime(2024, 1, 1, tzinfo=UTC)


async def opened(session: Session, entity: int = 1) -> Account:
    actor = LIVE if entity == 1 else TEST
    return await accounts.open_account(session, actor, NewAccount(f"acc_{uuid4().hex}", "Ada"), now=NOW)


async def test_own_taxes_then_the_entitys_defaults_then_none(database: Database) -> None:
    async with database.write() as session:
        for code, rate, default in (("vat", "19", True), ("city", "1.5", True), ("exempt", "0", False)):
            await service.make_tax(session, LIVE, NewTax(code, code, Decimal(rate), default))
        plain, exempt, other = await opened(session), await opened(session), await opened(session, 2)
        await service.set_account_taxes(session, LIVE, exempt, ["exempt"])
        with pytest.raises(UnknownTax):
            await service.set_account_taxes(session, TEST, other, ["vat"])
        asked = [(each.no, each.entity_id) for each in (plain, exempt, other)]
        found = await queries.for_accounts(session, asked)
        assert {no: [tax.code for tax in profile.taxes] for no, profile in found.items()} == {
            plain.no: ["city", "vat"], exempt.no: ["exempt"], other.no: [],
        }  # fmt: skip
        assert found[plain.no].taxes[1].rate == Decimal(19)
        assert await queries.for_accounts(session, []) == {}
        for name, statement in INVARIANTS.items():
            assert await session.fetch(statement) == [], name


@pytest.mark.parametrize("rate", ["NaN", "-1", "100.01"])
async def test_a_rate_is_a_percentage(database: Database, rate: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.write() as session:
            await service.make_tax(session, LIVE, NewTax("t", "T", Decimal(rate)))
