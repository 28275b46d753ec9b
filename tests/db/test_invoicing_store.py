"""Storing, finalizing, paying and voiding invoices against PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tallystick.invoicing import queries, service
from tallystick.invoicing.domain.draft import (
    LineKind,
    Status,
)
from tallystick.invoicing.domain.states import IllegalTransition
from tallystick.kernel.errors import NotFound, Stale
from tallystick.ledger import queries as ledger
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid
from tests.db.invoicing_support import ACTOR, END, NOW, START, broken, draft, line, month, open_accounts, put


async def test_a_batch_is_numbered_posted_and_read_back_whole(database: Database) -> None:
    customers = await open_accounts(database, 5)
    drafts = [month(no) for no in customers]
    refs = await put(database, drafts, bill_to={customers[0]: {"name": "Ada"}})
    assert [ref.number for ref in refs] == [f"INV-2026-00000{n}" for n in range(1, 6)]
    async with database.read() as session:
        invoice = await queries.invoice(session, refs[0].id)
        lines = await queries.lines(session, refs[0].id)
        trial = await ledger.trial_balance(session)
        events = await session.fetch(
            "SELECT event_type, payload, request_id FROM outbox ORDER BY payload->>'number'"
        )
    assert invoice is not None
    assert (invoice.status, invoice.total, invoice.tax) == (
        Status.FINALIZED,
        Decimal("49.86"),
        Decimal("7.96"),
    )
    assert (invoice.issue_date, invoice.due_date) == (date(2026, 3, 1), date(2026, 3, 31))
    assert invoice.bill_to == {"name": "Ada"}
    assert invoice.taxes == drafts[0].tax_totals
    for stored, given in zip(lines, drafts[0].lines, strict=True):
        for name in (
            "kind",
            "description",
            "quantity",
            "amount",
            "exact",
            "exact_cut",
            "inputs",
            "evidence",
            "taxes",
            "timing",
        ):
            assert getattr(stored, name) == getattr(given, name), name
    assert {(row.account, row.gl_code, row.debit - row.credit) for row in trial} == {
        ("receivable", "", Decimal("249.30")), ("deferred", "4100", Decimal("-145.00")),
        ("revenue", "4000", Decimal("-64.50")), ("tax:vat", "", Decimal("-39.80")),
    }  # fmt: skip
    assert [event["event_type"] for event in events] == ["invoice.finalized"] * 5
    assert events[0]["payload"]["number"] == "INV-2026-000001"
    assert events[0]["request_id"] == "req-1"
    assert await broken(database) == {}


async def test_the_number_of_statements_does_not_grow_with_the_batch(database: Database) -> None:
    customers = await open_accounts(database, 60)
    counts = []
    for group in (customers[:2], customers[2:]):
        await put(database, [month(customers[0])][:0])
        async with database.write() as session:
            statements: list[str] = []
            session.connection.add_query_logger(lambda record, seen=statements: seen.append(record.query))
            drafts = [month(no) for no in group]
            await service.store(
                session, drafts, status=Status.FINALIZED, now=NOW, ids=[uuid4() for _ in drafts], actor=ACTOR
            )
        counts.append(len([each for each in statements if not each.startswith(("BEGIN", "COMMIT"))]))
    assert counts[1] <= counts[0]
    assert counts[1] <= 10


async def test_invoices_without_lines_are_not_stored_and_zero_ones_are_paid(database: Database) -> None:
    customers = await open_accounts(database, 2)
    nothing = draft(customers[0], [])
    free = draft(customers[1], [line("0.00", taxes=())])
    (ref,) = await put(database, [nothing, free])
    assert (ref.status, ref.number, ref.total) == (Status.PAID, "INV-2026-000001", 0)
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM ledger_postings") == 0
        assert await session.fetchval("SELECT count(*) FROM invoices") == 1
    assert await broken(database) == {}


async def test_a_slice_is_billed_once_until_its_invoice_is_void(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)])
    with pytest.raises(service.AlreadyBilled):
        await put(database, [draft(no, [line("1.00")])])
    async with database.write() as session:
        await service.void(session, ACTOR, ref.id, NOW)
    (again,) = await put(database, [month(no)])
    assert again.number == "INV-2026-000002"
    async with database.read() as session:
        voided = await queries.invoice(session, ref.id)
        assert voided is not None
        assert (voided.status, voided.number) == (Status.VOID, "INV-2026-000001")
        assert await queries.open_balance(session, no) == {"EUR": Decimal("49.86")}
        assert await ledger.balances(session, no, "receivable") == {"EUR": Decimal("49.86")}
    assert await broken(database) == {}


async def test_draft_to_finalized_to_paid(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)], Status.DRAFT)
    assert ref.number is None
    async with database.write() as session:
        with pytest.raises(IllegalTransition):
            await service.mark_paid(session, ACTOR, ref.id, NOW)
        with pytest.raises(Stale):
            await service.finalize(session, ACTOR, ref.id, NOW, revisions={7})
        with pytest.raises(NotFound):
            await service.finalize(session, ACTOR, uuid4(), NOW)
        await service.finalize(session, ACTOR, ref.id, NOW, bill_to={"name": "Ada"}, revisions={1})
    async with database.write() as session:
        await service.mark_paid(session, ACTOR, ref.id, NOW + timedelta(days=3))
        for command in (service.finalize, service.mark_paid, service.void):
            with pytest.raises(IllegalTransition):
                await command(session, ACTOR, ref.id, NOW)
    async with database.read() as session:
        invoice = await queries.invoice(session, ref.id)
        assert invoice is not None
        assert (invoice.status, invoice.amount_paid, invoice.owed) == (Status.PAID, Decimal("49.86"), 0)
        assert (invoice.number, invoice.revision, invoice.bill_to) == ("INV-2026-000001", 3, {"name": "Ada"})
        assert await queries.open_balance(session, no) == {}
        trial = {row.account: row.debit - row.credit for row in await ledger.trial_balance(session)}
        events = await session.fetch("SELECT event_type FROM outbox ORDER BY id")
    assert (trial["cash:manual"], trial["receivable"]) == (Decimal("49.86"), 0)
    assert [event[0] for event in events] == ["invoice.finalized", "invoice.paid"]
    assert await broken(database) == {}


async def test_a_draft_that_is_voided_has_no_number_and_no_posting(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)], Status.DRAFT)
    async with database.write() as session:
        await service.void(session, ACTOR, ref.id, NOW)
    (again,) = await put(database, [month(no)])
    assert again.number == "INV-2026-000001"
    assert await broken(database) == {}


async def test_numbers_have_no_gap_when_workers_race_and_fail(database: Database) -> None:
    customers = await open_accounts(database, 24)
    drafts = [month(no) for no in customers]

    async def work(n: int) -> None:
        async with database.write() as session:
            batch = drafts[n * 4 : n * 4 + 4]
            await service.store(
                session, batch, status=Status.FINALIZED, now=NOW, ids=[new_uuid() for _ in batch], actor=ACTOR
            )
            if n % 3 == 0:
                raise RuntimeError("the power went out before the commit")

    outcomes = await asyncio.gather(*(work(n) for n in range(6)), return_exceptions=True)
    assert sum(isinstance(outcome, RuntimeError) for outcome in outcomes) == 2
    async with database.read() as session:
        numbers = [row[0] for row in await session.fetch("SELECT series_no FROM invoices ORDER BY series_no")]
    assert numbers == list(range(1, 17))
    assert await broken(database) == {}


async def test_an_issue_date_is_never_before_the_last_of_its_series(database: Database) -> None:
    customers = await open_accounts(database, 3)
    (late,) = await put(database, [month(customers[0])], now=datetime(2026, 5, 5, tzinfo=UTC))
    (early,) = await put(database, [month(customers[1])], now=datetime(2026, 4, 1, tzinfo=UTC))
    (other_year,) = await put(database, [month(customers[2])], now=datetime(2025, 12, 31, 23, tzinfo=UTC))
    async with database.read() as session:
        dates = [(await queries.invoice(session, ref.id)).issue_date for ref in (late, early, other_year)]  # type: ignore[union-attr]
    assert dates == [date(2026, 5, 5), date(2026, 5, 5), date(2025, 12, 31)]
    assert (early.number, other_year.number) == ("INV-2026-000002", "INV-2025-000001")
    assert await broken(database) == {}


async def test_each_entity_counts_for_itself(database: Database) -> None:
    (ours,) = await open_accounts(database, 1)
    (tests,) = await open_accounts(database, 1, entity_id=2)
    refs = await put(database, [replace(month(tests), entity_id=2), month(ours)])
    assert [ref.number for ref in refs] == ["TEST-INV-2026-000001", "INV-2026-000001"]
    assert await broken(database) == {}


@pytest.mark.parametrize(
    "statement",
    ["UPDATE invoices SET total = total + 1, subtotal = subtotal + 1", "UPDATE invoices SET due_date = due_date + 1",
     "UPDATE invoices SET bill_to = NULL", "UPDATE invoices SET status = 'draft'", "UPDATE invoices SET account_no = account_no + 1",
     "DELETE FROM invoices", "TRUNCATE invoices CASCADE", "DELETE FROM invoice_lines", "UPDATE invoice_lines SET amount = amount + 1",
     "UPDATE invoice_lines SET description = 'x', voided = true", "TRUNCATE invoice_lines",
     """INSERT INTO invoice_lines (invoice_id, position, account_no, kind, description, quantity, unit, amount, exact, exact_cut,
            period_start, period_end, slice_start, price_key, rule, gl_code, timing, inputs, taxes)
        SELECT id, 99, account_no, 'manual', '', 1, '', 1, 1, false, now(), now(), now(), 'x', '', '', 'arrears', '{}', '[]'
        FROM invoices"""],
)  # fmt: skip
async def test_the_database_refuses_to_change_what_was_issued(database: Database, statement: str) -> None:
    (no,) = await open_accounts(database, 1)
    await put(database, [month(no)])
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with database.write() as session:
            await session.execute(statement)
    assert refused.value.sqlstate == "23001"


async def test_what_was_billed_and_which_line_covers_an_event(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    subscription = UUID(int=7)
    fee = line("5.00", price_key="fee", kind=LineKind.FEE, evidence=None, subscription_id=subscription)
    (ref,) = await put(database, [draft(no, [fee, line("2.90")])])
    async with database.read() as session:
        slices = await queries.billed_slices(session, [no], START)
        assert [(each.price_key, each.subscription_id, each.amount) for each in slices] == [
            ("charge:1", None, Decimal("2.90")), ("fee", subscription, Decimal("5.00")),
        ]  # fmt: skip
        assert await queries.billed_slices(session, [no], END) == []
        covering = await queries.line_covering_event(session, no, 3, START, 17)
        assert covering is not None
        assert (covering.invoice_id, covering.position) == (ref.id, 2)
        for meter, at, batch in ((3, END, 17), (3, START, 18), (4, START, 17), (3, START, 0)):
            assert await queries.line_covering_event(session, no, meter, at, batch) is None


async def test_two_who_finalize_one_draft_give_it_one_number(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    (ref,) = await put(database, [month(no)], Status.DRAFT)

    async def finalize() -> None:
        async with database.write() as session:
            await service.finalize(session, ACTOR, ref.id, NOW)

    outcomes = await asyncio.gather(*(finalize() for _ in range(4)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IllegalTransition"] * 3 + ["NoneType"]
    assert await broken(database) == {}


async def test_paying_and_voiding_at_once_does_one_of_them(database: Database) -> None:
    customers = await open_accounts(database, 6)
    refs = await put(database, [month(no) for no in customers])

    async def change(command: Any, invoice_id: UUID) -> None:
        async with database.write() as session:
            await command(session, ACTOR, invoice_id, NOW)

    outcomes = await asyncio.gather(
        *(change(command, ref.id) for ref in refs for command in (service.mark_paid, service.void)),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes].count("IllegalTransition") == 6
    async with database.read() as session:
        states = [row[0] for row in await session.fetch("SELECT status FROM invoices")]
    assert set(states) <= {"paid", "void"}
    assert await broken(database) == {}


async def test_two_runs_that_bill_one_slice_store_it_once(database: Database) -> None:
    customers = await open_accounts(database, 5)
    drafts = [month(no) for no in customers]
    outcomes = await asyncio.gather(put(database, drafts), put(database, drafts), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyBilled", "list"]
    async with database.read() as session:
        assert await session.fetchval("SELECT max(series_no) FROM invoices") == 5
    assert await broken(database) == {}


async def test_each_command_takes_ten_statements_at_most(database: Database) -> None:
    """Counted on the second invoice of a connection: on the first, the driver asks for the kinds of arguments, once."""
    customers = await open_accounts(database, 4)
    refs = await put(database, [month(no) for no in customers], Status.DRAFT)
    for commands in ((service.finalize, service.void), (service.finalize, service.mark_paid)):
        async with database.write() as session:
            statements: list[str] = []
            session.connection.add_query_logger(lambda record, seen=statements: seen.append(record.query))
            for ref in (refs.pop(), refs.pop()):
                counts = []
                for command in commands:
                    statements.clear()
                    await command(session, ACTOR, ref.id, NOW)
                    counts.append(len(statements))
            assert max(counts) <= 10, counts


async def test_a_document_keeps_its_addressee_when_the_account_forgets(database: Database) -> None:
    (no,) = await open_accounts(database, 1)
    async with database.write() as session:
        await session.execute(
            "INSERT INTO account_profiles (account_no, entity_id, name, tax_id) VALUES ($1, 1, 'Ada', 'DE1')",
            no,
        )
    (ref,) = await put(database, [month(no)])
    async with database.write() as session:
        await session.execute("DELETE FROM account_profiles")
        invoice = await queries.invoice(session, ref.id)
    assert invoice is not None
    assert invoice.bill_to == {"name": "Ada", "tax_id": "DE1"}
