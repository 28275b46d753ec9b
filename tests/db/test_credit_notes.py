"""Credit notes as they are stored: numbers, books, offsets, races, and invariants that find what is planted for them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service
from tallystick.invoicing.domain import notes as domain
from tallystick.invoicing.domain.draft import LineKind, Status
from tallystick.invoicing.domain.notes import Asked, NoteLine
from tallystick.invoicing.notes import invariants, queries
from tallystick.invoicing.service import CreditNoteRef, NoteOrder, changing, noting
from tallystick.kernel.errors import NotFound
from tallystick.ledger import queries as books
from tallystick.ledger import service as ledger
from tallystick.platform.db import Database, Session
from tallystick.platform.edge import new_uuid
from tests.db.invoicing_support import ACTOR, END, NOW, START, broken, draft, line, month, open_accounts, put

Work = Callable[[Session], Awaitable[Any]]


async def credited(
    database: Database, invoice_id: UUID, *lines: NoteLine, amount: str | None = None, now: datetime = NOW
) -> CreditNoteRef:
    async with database.write() as session:
        return await service.issue(
            session, ACTOR, invoice_id, lines, reason="goodwill", now=now, note_id=new_uuid(),
            amount=None if amount is None else Decimal(amount),
        )  # fmt: skip


async def do(database: Database, work: Work) -> Any:
    async with database.write() as session:
        return await work(session)


async def invoice(database: Database, invoice_id: UUID) -> invoices.InvoiceView:
    async with database.read() as session:
        found = await invoices.invoice(session, invoice_id)
    assert found is not None
    return found


async def balance(database: Database, account_no: int, code: str = "customer_credit") -> Decimal:
    async with database.read() as session:
        return -(await books.balances(session, account_no, code)).get("EUR", Decimal(0))


async def trial(database: Database) -> dict[str, Decimal]:
    """What stands on each account of the books, debit positive."""
    found: dict[str, Decimal] = {}
    async with database.read() as session:
        for each in await books.trial_balance(session):
            found[each.account] = found.get(each.account, Decimal(0)) + each.debit - each.credit
    return {name: amount for name, amount in found.items() if amount}


async def test_a_full_note_of_an_open_invoice_takes_all_of_it_back(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)])
    note = await credited(database, ref.id)
    assert (note.number, note.total, note.offset, note.credited) == (
        "CN-2026-000001",
        ref.total,
        ref.total,
        Decimal(0),
    )
    shown = await invoice(database, ref.id)
    assert (shown.status, shown.amount_due, shown.amount_noted, shown.amount_offset, shown.amount_paid) == (
        Status.PAID, 0, ref.total, ref.total, 0,
    )  # fmt: skip
    assert shown.paid_at == NOW
    assert await trial(database) == {}
    assert await broken(database) == {}
    async with database.read() as session:
        events = await session.fetch("SELECT event_type FROM outbox ORDER BY id")
        assert [row["event_type"] for row in events] == [
            "invoice.finalized",
            "credit_note.issued",
            "invoice.paid",
        ]
        entries = await books.entries(session, limit=50, source_type="credit_note")
    found = {(each.account, each.gl_code, each.amount, each.period_start) for each in entries.rows}
    assert ("deferred", "4100", Decimal("29.00"), START) in found
    assert ("revenue", "4000", Decimal("10.00"), START) in found


async def test_what_is_no_longer_owed_becomes_customer_credit(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)])
    first = await credited(database, ref.id, NoteLine(3, Decimal("4.00")))
    assert (first.total, first.offset, first.credited) == (Decimal("4.76"), Decimal("4.76"), Decimal(0))
    await do(database, lambda session: service.mark_paid(session, ACTOR, ref.id, NOW))
    second = await credited(database, ref.id, amount="10.00")
    assert (second.offset, second.credited) == (Decimal(0), Decimal("10.00"))
    assert await balance(database, no) == Decimal("10.00")
    last = await credited(database, ref.id)
    assert first.total + second.total + last.total == ref.total
    shown = await invoice(database, ref.id)
    assert (shown.amount_noted, shown.amount_offset) == (ref.total, Decimal("4.76"))
    assert shown.amount_paid == ref.total - Decimal("4.76") == await balance(database, no)
    assert await broken(database) == {}
    with pytest.raises(domain.NothingLeft):
        await credited(database, ref.id)


async def test_a_note_that_covers_what_is_owed_gives_the_rest_as_credit(database: Database) -> None:
    """Credit settled a part of the invoice: only the other part is owed, so only that is offset."""
    (no,) = await open_accounts(database, 1)
    (first,) = await put(database, [month(no)])
    await do(database, lambda session: service.mark_paid(session, ACTOR, first.id, NOW))
    await credited(database, first.id, amount="10.00")
    plain = draft(no, [line("20.00", slice_start=END)])
    (second,) = await put(database, [replace(plain, credit_applied=Decimal("10.00"))])
    assert await balance(database, no) == 0
    note = await credited(database, second.id, amount="20.00")
    assert (note.offset, note.credited) == (Decimal("13.80"), Decimal("6.20"))
    assert (await invoice(database, second.id)).status is Status.PAID
    assert await broken(database) == {}


async def test_numbers_are_gapless_and_dates_never_go_back(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    refs = await put(
        database, [draft(no, [line("10.00", slice_start=START.replace(day=day))]) for day in (1, 2, 3)]
    )
    later = datetime(2026, 3, 20, 12, tzinfo=UTC)
    with pytest.raises(domain.OverInvoice):
        await credited(database, refs[0].id, amount="99.00")
    for ref, now in ((refs[0], later), (refs[1], NOW), (refs[2], datetime(2027, 1, 5, tzinfo=UTC))):
        await credited(database, ref.id, amount="1.00", now=now)
    async with database.read() as session:
        page = await queries.notes(session, limit=10, account_no=no)
    assert [(note.number, note.issue_date) for note in reversed(page.rows)] == [
        ("CN-2026-000001", date(2026, 3, 20)), ("CN-2026-000002", date(2026, 3, 20)), ("CN-2027-000001", date(2027, 1, 5)),
    ]  # fmt: skip
    assert await broken(database) == {}


async def test_many_notes_at_once_take_a_constant_number_of_statements(database: Database) -> None:
    customers = await open_accounts(database, 12)
    refs = await put(database, [month(no) for no in customers])

    async def issue(some: Sequence[service.InvoiceRef]) -> int:
        seen: list[str] = []
        async with database.write() as session:
            session.connection.add_query_logger(lambda record: seen.append(record.query))
            orders = [NoteOrder(new_uuid(), ref.id, Asked((NoteLine(2),)), "late", NOW) for ref in some]
            issued = await service.issue_many(session, ACTOR, orders)
        assert [note.invoice_id for note in issued] == [ref.id for ref in some]
        return len([query for query in seen if not query.startswith(("BEGIN", "COMMIT"))])

    await issue(refs[:1])
    one, ten = await issue(refs[1:2]), await issue(refs[2:])
    assert one == ten
    assert await broken(database) == {}
    with pytest.raises(ValueError, match="one note per invoice"):
        await issue([refs[0], refs[0]])


async def test_what_cannot_be_credited(database: Database) -> None:
    customers = await open_accounts(database, 3)
    (open_,) = await put(database, [month(customers[0])])
    (draft_,) = await put(database, [month(customers[1])], Status.DRAFT)
    (void,) = await put(database, [month(customers[2])])
    await do(database, lambda session: service.void(session, ACTOR, void.id, NOW))
    for ref in (draft_, void):
        with pytest.raises(domain.NotCreditable):
            await credited(database, ref.id)
    with pytest.raises(NotFound):
        await credited(database, new_uuid())
    await credited(database, open_.id, amount="1.00")
    with pytest.raises(changing.Noted):
        await do(database, lambda session: service.void(session, ACTOR, open_.id, NOW))
    async with database.write() as session:
        await session.execute(
            "UPDATE accounts SET status = 'closed', closed_at = $2 WHERE no = $1", customers[0], NOW
        )
    with pytest.raises(noting.ClosedAccount):
        await credited(database, open_.id, amount="1.00")
    assert await broken(database) == {}


async def test_of_two_notes_that_race_for_a_line_one_is_refused(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)])
    outcomes = await asyncio.gather(
        *(credited(database, ref.id, NoteLine(3, Decimal("6.00"))) for _ in range(4)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, Exception)]
    assert [type(each) for each in refused] == [domain.OverLine] * 3
    assert await broken(database) == {}


async def test_a_note_and_a_payment_that_race_both_count(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)])
    note, _ = await asyncio.gather(
        credited(database, ref.id, amount="5.00"),
        do(database, lambda session: service.mark_paid(session, ACTOR, ref.id, NOW)),
    )
    shown = await invoice(database, ref.id)
    assert shown.status is Status.PAID
    assert shown.amount_paid + shown.amount_offset == ref.total
    assert note.credited == await balance(database, no)
    assert await broken(database) == {}


async def test_the_same_credit_is_never_used_twice(database: Database) -> None:
    """Whoever forgets the account's lock is stopped by the books."""
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)])
    await do(database, lambda session: service.mark_paid(session, ACTOR, ref.id, NOW))
    await credited(database, ref.id, amount="10.00")
    wanted = [
        replace(draft(no, [line("20.00", slice_start=END.replace(day=day))]), credit_applied=Decimal("10.00"))
        for day in (1, 2, 3)
    ]
    outcomes = await asyncio.gather(*(put(database, [each]) for each in wanted), return_exceptions=True)
    assert [type(each) for each in outcomes if isinstance(each, Exception)] == [ledger.CreditSpent] * 2
    assert await balance(database, no) == 0
    assert await broken(database) == {}


async def test_voiding_gives_used_credit_back(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)])
    await do(database, lambda session: service.mark_paid(session, ACTOR, ref.id, NOW))
    await credited(database, ref.id, amount="10.00")
    plain = draft(no, [line("20.00", slice_start=END)])
    (second,) = await put(database, [replace(plain, credit_applied=Decimal("10.00"))])
    assert (await invoice(database, second.id)).amount_due == Decimal("13.80")
    await do(database, lambda session: service.void(session, ACTOR, second.id, NOW))
    assert await balance(database, no) == Decimal("10.00")
    assert await balance(database, no, "receivable") == 0
    assert await broken(database) == {}


async def test_a_correction_on_a_later_invoice_lowers_what_can_be_credited(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [draft(no, [line("10.00")])])
    back = line(
        "-4.00",
        kind=LineKind.CORRECTION,
        corrects=(ref.id, 1),
        revision=1,
        evidence=None,
        price_key="charge:1",
    )
    (later,) = await put(database, [draft(no, [line("50.00", slice_start=END), back])])
    with pytest.raises(domain.OverLine):
        await credited(database, ref.id, NoteLine(1, Decimal("6.01")))
    assert (await credited(database, ref.id)).total == Decimal("7.14")
    assert (await credited(database, later.id)).total == Decimal("54.74")
    assert await broken(database) == {}


async def test_a_note_keeps_whom_its_invoice_was_for_and_never_changes(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)], bill_to={no: {"name": "As It Was"}})
    note = await credited(database, ref.id, amount="3.00")
    async with database.read() as session:
        stored = await queries.note(session, note.id)
    assert stored is not None
    assert (stored.bill_to["name"], stored.invoice_number) == ("As It Was", ref.number)
    for change in (
        "UPDATE credit_notes SET reason = 'other'",
        "DELETE FROM credit_note_lines",
        "UPDATE credit_note_lines SET amount = 0",
        "TRUNCATE credit_notes CASCADE",
        """INSERT INTO credit_note_lines SELECT note_id, position + 10, invoice_id, 3, description, 1, taxes, gl_code, timing, period_start,
               period_end FROM credit_note_lines LIMIT 1""",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await do(database, lambda session, sql=change: session.execute(sql))  # type: ignore[misc]
    assert await broken(database) == {}


PLANTS: dict[str, list[str]] = {
    "credit_note_totals_are_sums_of_lines": ["UPDATE credit_note_lines SET amount = amount + 1 WHERE position = 1"],
    "credit_note_tax_is_sum_of_rates_and_of_shares": ["UPDATE credit_notes SET taxes = '[]'"],
    "credit_notes_never_exceed_a_line": ["UPDATE credit_note_lines SET amount = 1000"],
    "credit_notes_never_exceed_a_tax": [
        """UPDATE credit_note_lines SET taxes = '[{"code": "vat", "rate": 19, "base": 1, "amount": 100, "included": false}]'"""
    ],
    "credit_notes_never_exceed_an_invoice": ["UPDATE credit_notes SET subtotal = subtotal + 1000, total = total + 1000, amount_credited = amount_credited + 1000"],
    "invoice_noted_is_sum_of_credit_notes": ["UPDATE invoices SET amount_noted = 1 WHERE amount_noted = 0"],
    "credit_note_numbers_without_gap": ["UPDATE number_series SET last_no = last_no + 1 WHERE series = 'CN'"],
    "credit_note_numbers_in_order_of_dates": ["UPDATE credit_notes SET issue_date = '2020-01-01' WHERE series_no = 2"],
    "credit_note_posted_once": ["DELETE FROM ledger_postings WHERE kind = 'credit_note.issued'"],
    "credit_note_has_its_event": ["DELETE FROM outbox WHERE event_type = 'credit_note.issued'"],
    "customer_credit_is_what_notes_gave_and_invoices_used": [
        "UPDATE ledger_accounts SET balance = balance - 1 WHERE code = 'customer_credit'"
    ],
}  # fmt: skip


def test_every_invariant_has_its_plant() -> None:
    assert set(PLANTS) == set(invariants.INVARIANTS)


@pytest.mark.parametrize("name", sorted(PLANTS))
async def test_a_planted_violation_is_found(name: str, database: Database) -> None:
    customers = await open_accounts(database, 2)
    refs = await put(database, [month(no) for no in customers])
    await do(database, lambda session: service.mark_paid(session, ACTOR, refs[0].id, NOW))
    await credited(database, refs[0].id, NoteLine(1, Decimal("9.00")))
    await credited(database, refs[0].id, amount="3.00")
    assert await broken(database) == {}
    async with database.write() as session:
        await session.execute("SET LOCAL session_replication_role = replica")
        for statement in PLANTS[name]:
            assert await session.execute(statement)
    assert name in await broken(database)
