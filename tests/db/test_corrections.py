"""Late events and voids for closed periods: correction lines, credit notes, and nothing issued ever changes."""

from datetime import timedelta
from decimal import Decimal

from tallystick.accounts.domain import Account
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import explaining, ranges
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.notes import queries as notes
from tallystick.metering import queries as metering
from tallystick.metering.domain.digest import event_key
from tallystick.metering.service import void
from tallystick.platform.db import Database
from tests.db.test_billing_recorded import ACTOR, account, at, bill, healthy, use
from tests.db.test_billing_subscriptions import all_invoices, calls, plan, shown, subscribe

LATE = "2026-02-20"


async def late(database: Database, who: Account, event: str, when: str, units: str, price: str) -> None:
    await use(database, who, event, when, units, price, now=LATE)


async def void_event(database: Database, event: str, when: str = LATE) -> None:
    async with database.write() as session:
        key = event_key("", event)
        stored = (await metering.stored(session, [key]))[key]
        assert await void(session, ACTOR, stored, now=at(when), reason="wrong", request_id="t")


async def january(database: Database) -> Account:
    """An account with 60 units at 0.05 and 3 at 1.00 in January, billed."""
    who = await account(database)
    await use(database, who, "1", "2026-01-11T10:00", "58", "0.05")
    await use(database, who, "2", "2026-01-31T23:59", "2", "0.05")
    await use(database, who, "3", "2026-01-12T00:00", "3", "1.00")
    assert (await bill(database, "2026-02-01T01:00")).invoices == 1
    return who


async def test_a_late_event_becomes_a_correction_line_on_the_next_invoice(database: Database) -> None:
    who = await january(database)
    await use(database, who, "4", "2026-02-02T00:00", "10", "0.05")
    await late(database, who, "5", "2026-01-20T00:00", "12", "0.05")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    (first, before), (second, lines) = await all_invoices(database)
    assert first.total == Decimal("6.00")
    assert shown(lines) == [("Database Hosting", "0.50"), ("Database Hosting: correction", "0.60")]
    correction = lines[1]
    assert (correction.corrects, correction.revision, correction.quantity) == ((first.id, 1), 1, Decimal(12))
    assert (correction.period_start, correction.period_end) == (before[0].period_start, before[0].period_end)
    async with database.snapshot() as session:
        told = await explaining.explain(session, second)
    assert told.lines[1].text == [
        "3 events of service:Database Hosting, added up: 72 unit",
        "1 event more than batch 3 had: 72 instead of 60 unit",
        "72 unit at 0.05 = 3.60",
        "amount: 3.60 USD, exact, nothing rounded",
        "3.60 less 3.00 USD billed before = 0.60",
    ]
    await healthy(database)
    assert (await bill(database, "2026-04-01T01:00")).invoices == 0


async def test_a_void_of_a_billed_event_lowers_the_next_invoice(database: Database) -> None:
    who = await january(database)
    await use(database, who, "4", "2026-02-02T00:00", "100", "0.05")
    await void_event(database, "1")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    (_, _), (second, lines) = await all_invoices(database)
    assert [(each.kind, f"{each.amount:f}", each.quantity) for each in lines] == [
        ("recorded", "5.00", Decimal(100)),
        ("correction", "-2.90", Decimal(-58)),
    ]
    assert second.total == Decimal("2.10")
    await healthy(database)


async def test_what_the_next_invoice_cannot_take_is_a_credit_note(database: Database) -> None:
    who = await january(database)
    await use(database, who, "4", "2026-02-02T00:00", "10", "0.05")
    await void_event(database, "3")
    await void_event(database, "2")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    (first, _), (second, lines) = await all_invoices(database)
    assert shown(lines) == [("Database Hosting", "0.50"), ("Database Hosting: correction", "-0.10")]
    async with database.snapshot() as session:
        (note,) = (await notes.notes(session, limit=5)).rows
        again = await invoices.invoice(session, first.id)
    assert (note.invoice_id, note.total, note.amount_offset) == (first.id, Decimal("3.00"), Decimal("3.00"))
    assert again is not None and again.amount_due == Decimal("3.00")
    await healthy(database)
    await use(database, who, "9", "2026-01-13T00:00", "1", "1.00", now="2026-02-16")
    assert (await bill(database, "2026-04-01T01:00")).invoices == 1
    _, _, (_, lines) = await all_invoices(database)
    assert shown(lines) == [("Database Hosting: correction", "1.00")]
    await healthy(database)


async def test_all_of_it_void_and_nothing_else_is_a_note_alone(database: Database) -> None:
    who = await january(database)
    for event in "123":
        await void_event(database, event)
    run = await bill(database, "2026-03-01T01:00")
    assert (run.invoices, run.parked) == (0, 0)
    async with database.snapshot() as session:
        (note,) = (await notes.notes(session, limit=5)).rows
    assert note.total == Decimal("6.00")
    await healthy(database)
    await use(database, who, "8", "2026-02-20", "1", "1", now="2026-02-20")


async def test_a_price_the_month_did_not_have_gets_a_line_of_its_own(database: Database) -> None:
    who = await january(database)
    await late(database, who, "5", "2026-01-20T00:00", "4", "0.25")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    (first, _), (_, (line,)) = await all_invoices(database)
    assert (line.kind, line.amount, line.corrects, line.inputs["late"]) == (
        "recorded",
        Decimal("1.00"),
        None,
        True,
    )
    assert line.period_end == first.period_end
    await void_event(database, "5", "2026-03-02")
    await bill(database, "2026-04-01T01:00")
    async with database.snapshot() as session:
        (note,) = (await notes.notes(session, limit=5)).rows
    assert (note.total, note.invoice_id) == (Decimal("1.00"), line.invoice_id)
    await healthy(database)


async def test_tiers_are_climbed_again_and_zero_differences_are_told(database: Database) -> None:
    offered = await plan(database, price=Decimal(0), adjustments={"maximum_amount": "11.00"})
    who = await account(database, opened="2026-01-01")
    await subscribe(database, who, offered, "2026-01-01")
    await calls(database, who, "a", "2026-01-10", "90")
    assert (await bill(database, "2026-02-01T01:00")).invoices == 1
    await calls_late(database, who, "b", "2026-01-11", "20")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    await calls_late(database, who, "c", "2026-01-12", "50", now="2026-02-15")
    await calls_late(database, who, "d", "2026-01-12", "50", now="2026-02-15")
    assert (await bill(database, "2026-04-01T01:00")).invoices == 1
    await calls_late(database, who, "e", "2026-01-12", "50", now="2026-02-15")
    assert (await bill(database, "2026-05-01T01:00")).invoices == 1
    found = await all_invoices(database)
    assert [f"{line.amount:f}" for _, lines in found for line in lines] == ["9.00", "1.50", "0.50", "0.00"]
    assert [line.revision for _, lines in found for line in lines] == [0, 1, 2, 3]
    assert found[3][1][0].evidence is not None and found[3][1][0].evidence.count == 5
    await healthy(database)


async def calls_late(
    database: Database, who: Account, event: str, when: str, units: str, now: str = LATE
) -> None:
    from tallystick.metering.domain.events import IncomingEvent
    from tallystick.metering.service import ingest

    incoming = IncomingEvent(
        id=event, meter="calls", account_id=who.id, quantity=Decimal(units), occurred_at=at(when)
    )
    (verdict,) = await ingest(database, ACTOR, [incoming], now=at(now), request_id="t", backfill=True)
    assert verdict.status == "accepted", verdict


async def test_top_ups_follow(database: Database) -> None:
    offered = await plan(
        database, price=Decimal(5), minimum=Decimal(30), adjustments={"minimum_amount": "10"}
    )
    who = await account(database, opened="2026-01-01")
    await subscribe(database, who, offered, "2026-01-01")
    await calls(database, who, "a", "2026-01-10", "40")
    await bill(database, "2026-02-01T01:00")
    await calls_late(database, who, "b", "2026-01-11", "20")
    await arrive(database, patience=5)
    async with database.snapshot() as session:
        preview = await ranges.preview_next(session, who)
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    found = await all_invoices(database)
    assert [f"{line.amount:f}" for line in found[-1][1]] == [
        f"{line.amount:f}" for draft in preview.drafts for line in draft.lines
    ]
    assert [
        (line.price_key.split(":")[0], f"{line.amount:f}")
        for line in found[-1][1]
        if line.kind == "correction"
    ] == [
        ("charge", "2.00"),
        ("minimum", "-2.00"),
    ]
    await calls_late(database, who, "c", "2026-01-12", "400", now="2026-03-02")
    assert (await bill(database, "2026-04-01T01:00")).invoices == 1
    found = await all_invoices(database)
    sums: dict[str, Decimal] = {}
    for _, lines in found:
        for line in lines:
            if line.inputs["aligned"][0] == found[0][1][-1].inputs["aligned"][0] and line.kind != "fee":
                key = line.price_key.split(":")[0] + ("" if line.charge_id else "-plan")
                sums[key] = sums.get(key, Decimal(0)) + line.amount
    assert sums == {"charge": Decimal("28.00"), "minimum": Decimal(0), "minimum-plan": Decimal("0.00")}
    await healthy(database)
