"""Late events and voids for closed periods: correction lines, credit notes, and nothing issued ever changes."""

import asyncio
from decimal import Decimal

import pytest

from tallystick.accounts.domain import Account
from tallystick.billing.corrections import repository as late_rows
from tallystick.billing.corrections.sweep import arrive, hold, sweep
from tallystick.billing.service import explaining, ranges, verdicts, voiding
from tallystick.billing.service.voiding import LaterBilled
from tallystick.cli.doctor import examine
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.notes import queries as notes
from tallystick.metering import queries as metering
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest, void
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid
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
    (first, _), (_second, lines) = await all_invoices(database)
    assert shown(lines) == [("Database Hosting", "0.50"), ("Database Hosting: correction", "-0.10")]
    async with database.snapshot() as session:
        (note,) = (await notes.notes(session, limit=5)).rows
        again = await invoices.invoice(session, first.id)
    assert (note.invoice_id, note.total, note.amount_offset) == (first.id, Decimal("3.00"), Decimal("3.00"))
    async with database.snapshot() as session:
        told = await explaining.explain(session, first)
        report = await explaining.verify(session, first)
    assert "none of its events counts any more; 0 less 3.00 USD billed before = -3.00" in "\n".join(told.text)
    assert (report.agrees, report.lines, report.events) == (True, 2, 3)
    assert again is not None
    assert again.amount_due == Decimal("3.00")
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
    assert found[3][1][0].evidence is not None
    assert found[3][1][0].evidence.count == 5
    await healthy(database)


async def calls_late(
    database: Database, who: Account, event: str, when: str, units: str, now: str = LATE
) -> None:

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


async def fate(database: Database, event: str) -> tuple[str, str | None, int | None, str | None]:
    async with database.snapshot() as session:
        told = await verdicts.fate(session, ACTOR, "", event)
    return told.state, told.invoice_number, told.line, told.credit_note


async def test_an_event_says_what_became_of_it(database: Database) -> None:
    who = await january(database)
    await late(database, who, "late", "2026-01-20T00:00", "12", "0.05")
    assert (await fate(database, "late"))[0] == "late"
    await arrive(database, patience=5)
    assert (await fate(database, "late"))[0] == "late"
    async with database.snapshot() as session:
        assert (await verdicts.fate(session, ACTOR, "", "late")).due_at == at("2026-03-01T01:00")
    await bill(database, "2026-03-01T01:00")
    assert await fate(database, "late") == ("corrected", "INV-2026-000002", 1, None)
    assert await fate(database, "1") == ("billed", "INV-2026-000001", 1, None)
    await void_event(database, "1", "2026-03-02")
    await use(database, who, "never", "2026-03-02", "1", "1")
    await void_event(database, "never", "2026-03-02")
    async with database.snapshot() as session:
        told = await verdicts.fate(session, ACTOR, "", "1")
    assert (told.state, told.reason) == (
        "void",
        "voided after it was billed; the correction comes with the account's next bill",
    )
    await bill(database, "2026-04-01T01:00")
    assert await fate(database, "1") == ("void", "INV-2026-000001", None, "CN-2026-000001")
    assert await fate(database, "never") == ("void", None, None, None)
    await healthy(database)


async def void_invoice(database: Database, number: str, when: str) -> None:
    async with database.write() as session:
        (invoice,) = (await invoices.invoices(session, limit=1, number=number)).rows
        await voiding.void_invoice(session, ACTOR, invoice, at(when))


async def test_what_a_void_invoice_corrected_is_corrected_again(database: Database) -> None:
    who = await january(database)
    await late(database, who, "5", "2026-01-20T00:00", "12", "0.05")
    await late(database, who, "6", "2026-01-20T00:00", "1", "0.99")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    with pytest.raises(LaterBilled):
        await void_invoice(database, "INV-2026-000001", "2026-03-02")
    await void_invoice(database, "INV-2026-000002", "2026-03-02")
    assert (await fate(database, "5"))[0] == "late"
    await healthy(database)
    await late(database, who, "7", "2026-01-21T00:00", "8", "0.05")
    assert (await bill(database, "2026-04-01T01:00")).invoices == 1
    *_, (_, lines) = await all_invoices(database)
    assert shown(lines) == [("Database Hosting: correction", "1.00"), ("Database Hosting", "0.99")]
    await healthy(database)


async def test_a_note_by_hand_is_not_given_back_twice(database: Database) -> None:
    from tallystick.invoicing import service as invoicing

    await january(database)
    async with database.write() as session:
        (invoice,) = (await invoices.invoices(session, limit=1)).rows
        await invoicing.issue(
            session,
            ACTOR,
            invoice.id,
            reason="goodwill",
            now=at("2026-02-03"),
            note_id=new_uuid(),
            amount=Decimal("5"),
        )
    for event in "123":
        await void_event(database, event)
    run = await bill(database, "2026-03-01T01:00")
    assert run.parked == 0
    async with database.snapshot() as session:
        found = (await notes.notes(session, limit=5)).rows
        again = await invoices.invoice(session, invoice.id)
    assert sum(each.total for each in found) == Decimal("6.00")
    assert again is not None
    assert (again.amount_due, again.amount_noted) == (Decimal(0), Decimal("6.00"))
    await healthy(database)


async def test_a_bill_under_way_keeps_the_sweep_away_and_misses_nothing(database: Database) -> None:
    """A bill has read up to where it counts; an event arrives, is sealed, and must be seen by the sweep after the bill, not before."""
    who = await account(database)
    await use(database, who, "1", "2026-01-11T10:00", "58", "0.05")
    await arrive(database, patience=5)
    async with database.write() as session:
        counted = await hold(session)
        await use(database, who, "2", "2026-01-12T10:00", "1", "0.05")
        assert await sweep(database) is False  # a bill is under way
        waiting = asyncio.create_task(arrive(database, patience=1))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert await late_rows.swept_to(session) == counted
    assert await waiting > counted
    await bill(database, "2026-02-01T01:00")
    await healthy(database)


async def test_the_same_whoever_comes_first(database: Database) -> None:
    """Events arrive while runs are made on other connections: at the end every event is on exactly one document."""
    people = [await account(database) for _ in range(4)]
    stop = asyncio.Event()

    async def arrivals() -> None:
        for number in range(60):
            who = people[number % 4]
            await use(
                database,
                who,
                str(number),
                f"2026-01-{number % 28 + 1:02}T10:00",
                "1",
                "1.00",
                now="2026-02-01T01:00",
            )
        stop.set()

    async def sweeping() -> None:
        while not stop.is_set():
            await sweep(database)
            await arrive(database)

    async def billing() -> None:
        while not stop.is_set():
            await bill(database, "2026-02-01T01:00")
            await asyncio.sleep(0.01)

    await asyncio.gather(arrivals(), sweeping(), billing())
    await bill(database, "2026-03-01T01:00")
    await bill(database, "2026-04-01T01:00")
    found = await all_invoices(database)
    assert sum(each.total for each, _ in found) == Decimal("60.00")
    states = {(await fate(database, str(number)))[0] for number in range(60)}
    assert states <= {"billed", "corrected"}
    await healthy(database)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        ("DELETE FROM late_usage", "what_came_late_is_corrected_or_marked"),
        ("UPDATE late_usage SET last_batch = 1", "no_mark_outlives_its_bill"),
        ("UPDATE late_sweep SET swept_to = 10000", "sweep_is_not_ahead_of_the_seal"),
        ("DELETE FROM late_sweep", "one_sweep"),
    ],
)
async def test_the_doctor_sees(database: Database, plant: str, found: str) -> None:
    who = await january(database)
    await late(database, who, "5", "2026-01-20T00:00", "12", "0.05")
    await arrive(database, patience=5)
    await healthy(database)
    async with database.write() as session:
        await session.execute(plant)
    assert f"billing.{found}" in {each["invariant"] for each in await examine(database) if each["violations"]}


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        ("UPDATE invoice_lines SET inputs = jsonb_set(inputs, '{before,amount}', '\"1.00\"') WHERE kind = 'correction'", "corrections_take_off_what_stands"),
        ("UPDATE invoice_lines SET corrects_position = 77 WHERE kind = 'correction'", "what_is_corrected_stands"),
        ("UPDATE noted_corrections SET note_ids = ARRAY[gen_random_uuid()]", "noted_corrections_are_on_notes"),
    ],
)  # fmt: skip
async def test_the_doctor_sees_a_broken_chain(database: Database, plant: str, found: str) -> None:
    who = await january(database)
    await late(database, who, "5", "2026-01-20T00:00", "12", "0.05")
    await void_event(database, "3")
    await bill(database, "2026-03-01T01:00")
    await healthy(database)
    async with database.write() as session:
        for table in ("invoice_lines", "noted_corrections"):
            await session.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await session.execute(plant)
    assert f"billing.{found}" in {each["invariant"] for each in await examine(database) if each["violations"]}


async def test_a_sweep_passes_over_what_cannot_be_late(database: Database) -> None:
    who = await january(database)
    for number in range(3):
        await use(database, who, f"x{number}", "2026-02-03", "1", "1", now="2026-02-03")
    await late(database, who, "old", "2026-01-20", "1", "0.05")
    await arrive(database, patience=5)
    async with database.write() as session:
        swept = await late_rows.swept_to(session)
        seen = await late_rows.next_sweep(session, 0, swept, 2)
        assert seen is not None
        assert (seen.upto, len(seen.batches)) == (2, 2)
        rest = await late_rows.next_sweep(session, 3, swept, 100)
        assert rest is not None
        assert (rest.upto, rest.batches) == (swept, [swept])
        (mark,) = await session.fetch("SELECT * FROM late_usage")
    assert (mark["first_at"], mark["last_at"]) == (at("2026-01-20"), at("2026-01-20"))


async def bill_range(database: Database, who: Account, start: str, end: str) -> None:
    await arrive(database, patience=5)
    async with database.write() as session:
        await ranges.bill_range(
            session, ACTOR, who, ranges.Range(at(start), at(end)), now=at(end), new_id=new_uuid
        )


async def test_a_void_after_a_part_was_billed_is_given_back_at_the_close(database: Database) -> None:
    who = await account(database, opened="2026-01-01")
    await use(database, who, "1", "2026-01-02", "50", "1.00")
    await use(database, who, "2", "2026-01-03", "7", "0.10")
    await bill_range(database, who, "2026-01-01", "2026-01-10")
    await void_event(database, "1", "2026-01-11")
    await void_event(database, "2", "2026-01-11")
    await use(database, who, "3", "2026-01-12", "20", "1.00")
    run = await bill(database, "2026-02-01T01:00")
    assert (run.invoices, run.parked) == (0, 0)
    async with database.snapshot() as session:
        (note,) = (await notes.notes(session, limit=5)).rows
        (first,) = (await invoices.invoices(session, limit=5)).rows
    assert (first.total, note.total) == (Decimal("50.70"), Decimal("30.70"))
    assert (await fate(database, "3"))[0] == "corrected"
    await healthy(database)
    await use(database, who, "4", "2026-02-12", "100", "1.00")
    await use(database, who, "5", "2026-01-20", "3", "1.00", now="2026-02-12")
    await void_event(database, "3", "2026-02-13")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    *_, (_, lines) = await all_invoices(database)
    assert [f"{line.amount:f}" for line in lines] == ["100.00", "-17.00"]
    await healthy(database)


async def test_a_close_that_gives_back_is_netted_where_it_can_be(database: Database) -> None:
    offered = await plan(database, price=Decimal(50))
    who = await account(database, opened="2026-01-01")
    await subscribe(database, who, offered, "2026-01-01")
    await calls(database, who, "a", "2026-01-02", "90")
    await bill_range(database, who, "2026-01-01", "2026-01-10")
    await void_event(database, "a", "2026-01-11")
    await calls(database, who, "b", "2026-01-12", "20")
    run = await bill(database, "2026-02-01T01:00")
    assert run.parked == 0
    *_, (_, lines) = await all_invoices(database)
    assert [(line.kind, f"{line.amount:f}") for line in lines] == [("fee", "50.00"), ("correction", "-7.00")]
    await healthy(database)
