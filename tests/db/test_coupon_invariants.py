"""Each invariant of coupons finds what is planted for it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tallystick.accounts import queries as accounts
from tallystick.invoicing.coupons.invariants import INVARIANTS
from tallystick.invoicing.domain.coupons import Applied, Duration, Kind, Terms, discount
from tallystick.invoicing.domain.draft import InvoiceDraft
from tallystick.invoicing.service import couponing, void
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid
from tallystick.wallets.domain import EVERYTHING
from tests.db.invoicing_support import ACTOR, NOW, broken, line, open_accounts, put

PLANTS: dict[str, list[str]] = {
    "coupon_uses_are_what_stands_on_lines": ["UPDATE coupon_uses SET amount = amount + 1 WHERE NOT voided"],
    "coupon_uses_left_are_counted_down": ["UPDATE applied_coupons SET uses_left = uses_left + 1"],
    "coupon_redemptions_are_counted": ["UPDATE coupons SET redemptions = redemptions + 1"],
    "coupons_stay_in_their_entity_and_currency": ["UPDATE applied_coupons SET currency = 'USD'"],
    "coupon_uses_are_void_with_their_invoice": ["UPDATE coupon_uses SET voided = true"],
}


@pytest.fixture
async def used(database: Database) -> Database:
    """Two accounts with a coupon for three invoices: one invoice stands, one is void."""
    drafts: list[InvoiceDraft] = []
    for number in await open_accounts(database, 2):
        async with database.write() as session:
            account = (await accounts.by_nos(session, [number]))[number]
            code = f"TEN{number}"
            terms = Terms(Kind.PERCENT, Decimal(10), None, Duration.REPEATING, 3)
            await couponing.make_coupon(session, ACTOR, couponing.NewCoupon(code, "Ten", terms))
            given = await couponing.redeem(session, ACTOR, account, code, applied_id=new_uuid(), now=NOW)
        coupon = Applied(given, code, Kind.PERCENT, Decimal(10), "EUR", EVERYTHING, NOW)
        plain = [line("10.00", taxes=()), line("20.00", price_key="charge:2", taxes=())]
        lines, uses = discount(plain, [(coupon, None)], "EUR")
        drafts.append(
            InvoiceDraft(
                number, 1, "EUR", lines[0].period_start, lines[0].period_end, tuple(lines), (), Decimal("30.00"), Decimal(0),
                Decimal("27.00"), discount=Decimal("3.00"), coupon_uses=uses,
            )
        )  # fmt: skip
    refs = await put(database, [replace(each) for each in drafts])
    async with database.write() as session:
        await void(session, ACTOR, refs[1].id, NOW)
    return database


def test_every_invariant_has_its_plant() -> None:
    assert set(PLANTS) == set(INVARIANTS)


@pytest.mark.parametrize("name", sorted(PLANTS))
async def test_a_planted_violation_is_found(name: str, used: Database) -> None:
    assert await broken(used) == {}
    async with used.write() as session:
        await session.execute("SET LOCAL session_replication_role = replica")
        for statement in PLANTS[name]:
            await session.execute(statement)
    assert name in await broken(used)


async def test_a_void_invoice_gives_its_use_back(used: Database) -> None:
    async with used.read() as session:
        left = await session.fetch("SELECT uses_left FROM applied_coupons ORDER BY id")
    assert [row["uses_left"] for row in left] == [2, 3]
