"""Where what a bill cannot take is given back, what that pays of the same bill, and who fails alone."""

from decimal import Decimal

from tallystick.accounts.domain import Account
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import ranges
from tallystick.catalog.domain import ChargeTerms, Terms
from tallystick.catalog.service import make_meter, make_plan
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.notes import queries as notes
from tallystick.invoicing.service import changing
from tallystick.ledger import queries as books
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest
from tallystick.platform.db import Database
from tests.db.test_billing_recorded import ACTOR, account, at, bill, healthy
from tests.db.test_billing_subscriptions import all_invoices, shown, subscribe
from tests.db.test_corrections import void_event


async def two_meters(database: Database, price: str = "0") -> Account:
    """A subscriber from January of a plan with the meters a and b at 1.00."""
    async with database.write() as session:
        for code in "ab":
            await make_meter(
                session, ACTOR, code=code, name=code, aggregation="sum", field=None, filters={}, unit="unit"
            )
        charges = tuple(
            ChargeTerms(code, code, code, "standard", {"unit_amount": "1"}, {}, "usage") for code in "ab"
        )
        offered = await make_plan(
            session, ACTOR, code="two", name="Two", is_public=True, is_active=True,
            terms=Terms(price=Decimal(price), currency="USD", charges=charges),
        )  # fmt: skip
    who = await account(database, opened="2026-01-01")
    await subscribe(database, who, offered, "2026-01-01")
    return who


async def count(
    database: Database, who: Account, event: str, meter: str, units: str, now: str | None = None
) -> None:
    incoming = IncomingEvent(
        id=event, meter=meter, account_id=who.id, quantity=Decimal(units), occurred_at=at("2026-01-11")
    )
    (verdict,) = await ingest(database, ACTOR, [incoming], now=at(now or "2026-01-11"), request_id="t")
    assert verdict.status == "accepted", verdict


async def previewed(database: Database, who: Account) -> list[tuple[Decimal, Decimal, Decimal]]:
    await arrive(database, patience=5)
    async with database.read() as session:
        found = await ranges.preview_next(session, who)
    return [
        (sum((line.remainder for line in each.noted), Decimal(0)), each.credit_applied, each.amount_due)
        for each in found.drafts
    ]


async def given_back(database: Database) -> list[tuple[str, Decimal, Decimal]]:
    async with database.read() as session:
        found = (await notes.notes(session, limit=20)).rows
    return [(each.invoice_number, each.total, each.amount_offset) for each in reversed(found)]


async def test_an_invoice_netted_to_nothing_leaves_it_to_the_one_before(database: Database) -> None:
    """+10 of a and −10 of b made an invoice of 0.00; a's 10 is void again: January's invoice still has it."""
    who = await two_meters(database)
    await count(database, who, "a", "a", "20")
    await count(database, who, "b", "b", "10")
    await count(database, who, "b-wrong", "b", "10")
    await bill(database, "2026-02-01T01:00")
    await count(database, who, "a-late", "a", "10", now="2026-02-10")
    await void_event(database, "b-wrong")
    await bill(database, "2026-03-01T01:00")
    (first, _), (second, lines) = await all_invoices(database)
    assert (first.total, second.total) == (Decimal("40.00"), Decimal("0.00"))
    assert sorted(shown(lines)) == [("a: correction", "10.00"), ("b: correction", "-10.00")]
    await void_event(database, "a-late", "2026-03-02")
    assert await previewed(database, who) == [(Decimal("-10.00"), Decimal(0), Decimal(0))]
    run = await bill(database, "2026-04-01T01:00")
    assert run.parked == 0
    assert await given_back(database) == [("INV-2026-000001", Decimal("10.00"), Decimal("10.00"))]
    await void_event(database, "a", "2026-04-02")
    await void_event(database, "b", "2026-04-02")
    assert (await bill(database, "2026-05-01T01:00")).parked == 0
    assert sum(total for _, total, _ in await given_back(database)) == Decimal("40.00")
    await healthy(database)


async def test_a_price_that_was_only_ever_netted_is_given_back_by_what_it_was_netted_with(
    database: Database,
) -> None:
    """a was billed late only, on an invoice that b brought to 0.00: b's line on January's invoice gives a's 10 back."""
    who = await two_meters(database)
    await count(database, who, "b", "b", "10")
    await count(database, who, "b-wrong", "b", "10")
    await bill(database, "2026-02-01T01:00")
    await count(database, who, "a-late", "a", "10", now="2026-02-10")
    await void_event(database, "b-wrong")
    await bill(database, "2026-03-01T01:00")
    await void_event(database, "a-late", "2026-03-02")
    assert (await bill(database, "2026-04-01T01:00")).parked == 0
    assert await given_back(database) == [("INV-2026-000001", Decimal("10.00"), Decimal("10.00"))]
    await void_event(database, "b", "2026-04-02")
    run = await bill(database, "2026-05-01T01:00")
    assert (run.parked, run.parked_accounts) == (0, run.parked_accounts)
    assert sum(total for _, total, _ in await given_back(database)) == Decimal("20.00")
    async with database.read() as session:
        assert await invoices.open_balance(session, who.no) == {}
    await healthy(database)


async def test_what_a_note_leaves_as_credit_pays_the_same_bill(database: Database) -> None:
    who = await two_meters(database, "7")
    await count(database, who, "a", "a", "40")
    await bill(database, "2026-02-01T01:00")
    for invoice, _ in await all_invoices(database):
        async with database.write() as session:
            await changing.mark_paid(session, ACTOR, invoice.id, now=at("2026-02-02"))
    await void_event(database, "a")
    assert await previewed(database, who) == [(Decimal("-40.00"), Decimal("7.00"), Decimal("0.00"))]
    await bill(database, "2026-03-01T01:00")
    *_, (last, _) = await all_invoices(database)
    assert (last.total, last.credit_applied, last.amount_due, last.status) == (
        Decimal("7.00"),
        Decimal("7.00"),
        Decimal(0),
        "paid",
    )
    async with database.read() as session:
        assert await books.balances(session, who.no, "customer_credit") == {"USD": Decimal("-33.00")}
    await healthy(database)
