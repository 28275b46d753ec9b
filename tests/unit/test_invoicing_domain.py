"""Numbers, states, postings and billing records of invoices as values."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest

from tallystick.invoicing.domain import numbering, posting, records, states
from tallystick.invoicing.domain.draft import LineKind, Status, TaxTotal
from tallystick.invoicing.domain.records import NewRecord, RecordStatus
from tallystick.kernel.errors import Invalid
from tallystick.ledger.domain import check

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HEAD = posting.Head(UUID(int=1), 7, 1, "EUR", Decimal("11.90"))
NEW = NewRecord(7, 1, "EUR", "Europe/Berlin", Decimal("10.00"), "Setup", date(2026, 3, 29), date(2026, 4, 28))
LINE = records.line(NEW, UUID(int=1))


@pytest.mark.parametrize(
    ("entity", "number", "text"),
    [
        ("default", 1, "INV-2026-000001"),
        ("test", 12, "TEST-INV-2026-000012"),
        ("default", 1234567, "INV-2026-1234567"),
    ],
)
def test_number_text(entity: str, number: int, text: str) -> None:
    assert numbering.number_text(entity, numbering.INVOICES, 2026, number) == text


ALLOWED = {
    ("draft", "finalized"), ("draft", "paid"), ("draft", "void"), ("finalized", "paid"), ("finalized", "void"),
}  # fmt: skip


@pytest.mark.parametrize(("current", "wanted"), list(product(Status, Status)))
def test_transitions(current: Status, wanted: Status) -> None:
    if (current.value, wanted.value) in ALLOWED:
        states.require(current, wanted)
    else:
        with pytest.raises(states.IllegalTransition):
            states.require(current, wanted)


def test_finalizing_credits_each_line_where_it_is_earned() -> None:
    lines = [LINE, replace(LINE, timing="advance", gl_code="4100", amount=Decimal("2.00")), replace(LINE, amount=Decimal("-2.00")), replace(LINE, amount=Decimal(0))]  # fmt: skip
    taxes = [TaxTotal("vat", "VAT", Decimal(19), Decimal(10), Decimal("1.90")), TaxTotal("zero", "Zero", Decimal(0), Decimal(0), Decimal(0))]  # fmt: skip
    posted = posting.finalized(HEAD, lines, taxes, NOW)
    assert posted is not None
    check(posted)
    assert [(entry.account, entry.gl_code, entry.amount) for entry in posted.entries] == [
        ("receivable", None, Decimal("11.90")), ("revenue", "manual", Decimal("-10.00")), ("deferred", "4100", Decimal("-2.00")),
        ("revenue", "manual", Decimal("2.00")), ("tax:vat", None, Decimal("-1.90")),
    ]  # fmt: skip
    assert posted.key == "invoice:00000000-0000-0000-0000-000000000001:finalized"
    assert posted.entries[1].period == (LINE.period_start, LINE.period_end)


def test_an_invoice_of_nothing_is_not_posted() -> None:
    assert (
        posting.finalized(replace(HEAD, total=Decimal(0)), [replace(LINE, amount=Decimal(0))], [], NOW)
        is None
    )


def test_lines_that_cancel_are_posted_without_a_receivable() -> None:
    posted = posting.finalized(
        replace(HEAD, total=Decimal(0)), [LINE, replace(LINE, amount=-LINE.amount, period_end=LINE.period_start)], [], NOW
    )  # fmt: skip
    assert posted is not None
    check(posted)
    assert [(entry.account, entry.period is None) for entry in posted.entries] == [
        ("revenue", False),
        ("revenue", True),
    ]


def test_a_payment_by_hand() -> None:
    posted = posting.paid(HEAD, Decimal("11.90"), NOW)
    check(posted)
    assert [(entry.account, entry.account_no, entry.amount) for entry in posted.entries] == [
        ("cash:manual", None, Decimal("11.90")), ("receivable", 7, Decimal("-11.90")),
    ]  # fmt: skip


def test_a_record_is_an_invoice_with_one_line_of_a_local_day() -> None:
    draft = records.draft(NEW, UUID(int=1))
    (line,) = draft.lines
    assert (line.kind, line.amount, line.timing) == (LineKind.MANUAL, Decimal("10.00"), "immediate")
    assert (draft.subtotal, draft.tax, draft.total) == (Decimal("10.00"), 0, Decimal("10.00"))
    assert line.period_start == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert line.period_end == datetime(2026, 3, 29, 22, tzinfo=UTC), "the day clocks go forward has 23 hours"


def test_statuses_of_records() -> None:
    assert records.shown_status(Status.DRAFT, None) == "pending"
    assert records.shown_status(Status.DRAFT, "draft") == "draft"
    assert records.shown_status(Status.FINALIZED, "draft") == "finalized"
    for wanted in RecordStatus:
        assert records.wanted_status(wanted.value) is wanted
        records.require_change(Status.DRAFT, wanted)
        for closed in (Status.PAID, Status.VOID):
            with pytest.raises(states.IllegalTransition):
                records.require_change(closed, wanted)
    for wanted in (RecordStatus.PAID, RecordStatus.VOID):
        records.require_change(Status.FINALIZED, wanted)
    for wanted in records.OPEN:
        with pytest.raises(states.IllegalTransition):
            records.require_change(Status.FINALIZED, wanted)
    with pytest.raises(states.IllegalTransition):
        records.wanted_status("overdue")


def test_a_record_is_not_due_before_it_is_billed() -> None:
    records.check_dates(date(2026, 3, 1), None)
    records.check_dates(date(2026, 3, 1), date(2026, 3, 1))
    with pytest.raises(Invalid):
        records.check_dates(date(2026, 3, 2), date(2026, 3, 1))


def test_what_a_customer_sees() -> None:
    assert records.visible_to_customer(Status.DRAFT, "pending", None)
    assert records.visible_to_customer(Status.VOID, None, "INV-2026-000001")
    assert not records.visible_to_customer(Status.DRAFT, "draft", None)
    assert not records.visible_to_customer(Status.DRAFT, None, None)
    assert not records.visible_to_customer(Status.VOID, "pending", None)
