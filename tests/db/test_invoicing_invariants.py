"""Each invariant of the books and of invoices finds the violation that is planted for it, and nothing where nothing is wrong.

Constraints and triggers refuse these violations in the first place; a plant takes them away before it does its damage.
"""

import pytest

from tallystick.invoicing import invariants as invoicing
from tallystick.invoicing import service
from tallystick.invoicing.coupons import invariants as coupons  # planted in test_coupon_invariants
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.notes import invariants as notes  # planted in test_credit_notes
from tallystick.kernel.actor import system_actor
from tallystick.ledger import invariants as ledger
from tallystick.ledger import service as books
from tallystick.platform.db import Database
from tests.db.invoicing_support import NOW, broken, month, open_accounts, put

ACTOR = system_actor("test")
PLANTS: dict[str, list[str]] = {
    "ledger_postings_balance": ["UPDATE ledger_entries SET amount = amount + 1 WHERE position = 2"],
    "ledger_trial_balance_is_zero": ["UPDATE ledger_entries SET amount = amount + 1 WHERE position = 2"],
    "ledger_customer_balance_is_sum_of_entries": ["UPDATE ledger_accounts SET balance = balance + 1 WHERE account_no <> 0"],
    "ledger_customer_chain": ["UPDATE ledger_entries SET balance = balance + 1 WHERE version = 1"],
    "ledger_amounts_finite_and_of_their_accounts_currency": ["UPDATE ledger_entries SET currency = 'USD'"],
    "ledger_customers_stand_in_their_entity": ["UPDATE ledger_accounts SET entity_id = 2"],
    "ledger_posting_has_its_debits_and_credits": ["DELETE FROM ledger_entries WHERE position = 3"],
    "ledger_source_posted_once_per_kind": [
        "ALTER TABLE ledger_postings DROP CONSTRAINT uq_ledger_postings_key",
        """INSERT INTO ledger_postings (key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint)
           SELECT key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint FROM ledger_postings""",
    ],
    "ledger_closing_is_sum_of_entries": ["UPDATE ledger_closings SET balance = balance + 1"],
    "invoice_totals_are_sums_of_lines": ["UPDATE invoice_lines SET amount = amount + 1 WHERE position = 1"],
    "invoice_tax_is_sum_of_rates_and_of_shares": ["UPDATE invoices SET taxes = '[]'"],
    "invoice_paid_is_what_the_books_say": ["UPDATE invoices SET amount_paid = 1 WHERE status = 'finalized'"],
    "invoice_finalized_is_posted_and_void_is_reversed": ["DELETE FROM ledger_postings WHERE kind = 'invoice.voided'"],
    "invoice_receivable_is_what_is_owed": ["UPDATE ledger_accounts SET balance = balance + 1 WHERE code = 'receivable'"],
    "invoice_slice_billed_once": [
        "DROP INDEX uq_invoice_lines_slice",
        """INSERT INTO invoice_lines SELECT invoice_id, position + 10, account_no, kind, description, quantity, unit, amount, exact,
               exact_cut, period_start, period_end, slice_start, price_key, rule, gl_code, timing, inputs, subscription_id,
               plan_version_id, charge_id, meter_id, from_batch, to_batch, event_count, checksum, taxes, revision, false
           FROM invoice_lines WHERE NOT voided""",
    ],
    "invoice_reductions_are_told_line_by_line": ["UPDATE invoice_lines SET discount = 1 WHERE position = 1"],
    "invoice_settled_is_what_the_books_say": ["UPDATE invoices SET credit_applied = 1 WHERE status = 'finalized'"],
    "invoice_wallets_are_what_grants_gave": ["UPDATE invoices SET wallet_applied = 1 WHERE status = 'finalized'"],
    "invoice_numbers_without_gap": ["UPDATE number_series SET last_no = last_no + 1"],
    "invoice_numbers_in_order_of_dates": ["UPDATE invoices SET issue_date = '2020-01-01' WHERE series_no = 2"],
    "invoice_number_if_and_only_if_finalized": [
        "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_number, DROP CONSTRAINT ck_invoices_draft",
        "UPDATE invoices SET finalized_at = now() WHERE number IS NULL",
    ],
    "invoice_paid_if_and_only_if_nothing_is_due": ["UPDATE invoices SET status = 'finalized', paid_at = NULL WHERE status = 'paid'"],
    "invoice_stands_in_its_accounts_entity": ["UPDATE invoices SET entity_id = 2"],
    "invoice_lines_have_their_invoice": ["DELETE FROM billing_records", "DELETE FROM invoices WHERE status = 'draft'"],
    "invoice_finalized_has_its_event": ["DELETE FROM outbox WHERE event_type = 'invoice.finalized'"],
}  # fmt: skip


@pytest.fixture
async def books_with_history(database: Database) -> Database:
    """One invoice finalized, one paid, one void, one draft; the books closed once."""
    customers = await open_accounts(database, 4)
    refs = await put(database, [month(no) for no in customers[:3]])
    await put(database, [month(customers[3])], Status.DRAFT)
    async with database.write() as session:
        await service.mark_paid(session, ACTOR, refs[1].id, NOW)
        await service.void(session, ACTOR, refs[2].id, NOW)
    assert await books.close(database)
    return database


def test_every_invariant_has_its_plant() -> None:
    assert set(PLANTS) == (set(invoicing.INVARIANTS) | set(ledger.INVARIANTS)) - set(notes.INVARIANTS) - set(
        coupons.INVARIANTS
    )


@pytest.mark.parametrize("name", sorted(PLANTS))
async def test_a_planted_violation_is_found(name: str, books_with_history: Database) -> None:
    assert await broken(books_with_history) == {}
    async with books_with_history.write() as session:
        await session.execute("SET LOCAL session_replication_role = replica")
        for statement in PLANTS[name]:
            assert await session.execute(statement) or statement.startswith(
                ("ALTER", "DROP", "DELETE FROM billing")
            )
    assert name in await broken(books_with_history)
