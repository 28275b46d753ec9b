"""`tallystick doctor` on a database with a history: silent as it is, and loud for each violation that is planted in it.

The table goes by the invariants of the project's reliability plan (I1 to I30), as far as what they speak of is there: payments, refunds,
jobs and webhooks are not. An open claim of an idempotency key (I25) cannot be planted: a claim is a lock, and a row is an answer.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from tallystick.accounts import repository as account_rows
from tallystick.audit import service
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import runs
from tallystick.billing.service.voiding import void_invoice
from tallystick.cli.doctor import examine, invariants
from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service as invoicing
from tallystick.invoicing.domain.records import RecordStatus
from tallystick.invoicing.service import recording
from tallystick.invoicing.service.recording import RecordWish
from tallystick.kernel.errors import Refusal
from tallystick.ledger import service as books
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest
from tallystick.platform.db import Database, Session
from tallystick.platform.edge import new_uuid
from tallystick.platform.keys import load_key
from tests.conftest import execute, with_database
from tests.db.random_life import ACTOR, BEGIN, World
from tests.db.test_identity_cli import Program


@dataclass(frozen=True)
class Lived:
    """A database with a history, the folder of its keys and checkpoints, and where a copy of it is that a test may spoil."""

    database: Database
    folder: Path
    copy: str


@dataclass(frozen=True)
class Plant:
    """What somebody did to the data, and which invariants must say so."""

    found: tuple[str, ...]
    statements: tuple[str, ...]


def plant(found: str, *statements: str) -> Plant:
    return Plant(tuple(found.split("; ")), statements)


_ONE_LINE = "(SELECT invoice_id FROM invoice_lines WHERE NOT voided AND amount > 0 AND kind = 'usage' ORDER BY 1 LIMIT 1)"
_COLUMNS = """account_no, kind, description, quantity, unit, amount, exact, exact_cut, {0}, period_end, {0}, price_key, rule, gl_code,
    timing, inputs, subscription_id, plan_version_id, charge_id, meter_id, from_batch, to_batch, event_count, checksum, taxes"""
_FEE = "FROM invoice_lines WHERE kind = 'fee' AND NOT voided ORDER BY amount DESC LIMIT 1"
_INTO = "INSERT INTO invoice_lines (invoice_id, position, " + _COLUMNS.format("period_start").replace(
    "period_start, price_key", "slice_start, price_key"
)

PLANTS: dict[str, Plant] = {
    "I1 debits and credits differ": plant(
        "ledger.ledger_postings_balance; ledger.ledger_trial_balance_is_zero",
        "UPDATE ledger_entries SET amount = amount + 0.01 WHERE (posting_id, position) = (SELECT max(posting_id), 1 FROM ledger_entries)",
    ),
    "I2 a balance is not the sum of its entries": plant(
        "ledger.ledger_customer_balance_is_sum_of_entries; invoicing.invoice_receivable_is_what_is_owed",
        "UPDATE ledger_accounts SET balance = balance + 0.01 WHERE id = (SELECT min(id) FROM ledger_accounts WHERE code = 'receivable')",
    ),
    "I2 a balance's history was changed": plant(
        "ledger.ledger_customer_chain",
        "UPDATE ledger_entries SET balance = balance + 1 WHERE (account_id, version) = (SELECT min(id), 1 FROM ledger_accounts WHERE code = 'receivable')",
    ),
    "I2 a closing was changed": plant(
        "ledger.ledger_closing_is_sum_of_entries",
        "UPDATE ledger_closings SET balance = balance + 1 WHERE account_id = (SELECT min(account_id) FROM ledger_closings)",
    ),
    "I3 an amount that is no number": plant(
        "ledger.ledger_amounts_finite_and_of_their_accounts_currency",
        "ALTER TABLE ledger_entries DROP CONSTRAINT ck_ledger_entries_amount",
        "UPDATE ledger_entries SET amount = 'NaN' WHERE (posting_id, position) = (SELECT max(posting_id), 1 FROM ledger_entries)",
    ),
    "I3 an amount of zero": plant(
        "ledger.ledger_amounts_finite_and_of_their_accounts_currency",
        "ALTER TABLE ledger_entries DROP CONSTRAINT ck_ledger_entries_amount",
        "UPDATE ledger_entries SET amount = 0 WHERE (posting_id, position) = (SELECT max(posting_id), 1 FROM ledger_entries)",
    ),
    "I3 an entry in another currency": plant(
        "ledger.ledger_amounts_finite_and_of_their_accounts_currency",
        "UPDATE ledger_entries SET currency = 'XXX' WHERE (posting_id, position) = (SELECT max(posting_id), 1 FROM ledger_entries)",
    ),
    "I4 a posting without its credits": plant(
        "ledger.ledger_posting_has_its_debits_and_credits; ledger.ledger_postings_balance",
        "DELETE FROM ledger_entries WHERE amount < 0 AND posting_id = (SELECT max(posting_id) FROM ledger_entries)",
    ),
    "I5 a source is posted twice": plant(
        "ledger.ledger_source_posted_once_per_kind; ledger.ledger_posting_has_its_debits_and_credits",
        "ALTER TABLE ledger_postings DROP CONSTRAINT uq_ledger_postings_key",
        """INSERT INTO ledger_postings (key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint)
           SELECT key, kind, entity_id, currency, occurred_at, source_type, source_id, entries, fingerprint FROM ledger_postings
           WHERE kind = 'invoice.finalized' ORDER BY id LIMIT 1""",
    ),
    "I5 an issued invoice is not in the books": plant(
        "billing.ledger_holds_every_issued_invoice; invoicing.invoice_finalized_is_posted_and_void_is_reversed",
        "DELETE FROM ledger_postings WHERE id = (SELECT min(id) FROM ledger_postings WHERE kind = 'invoice.finalized')",
    ),
    "I6 a line costs more": plant(
        "invoicing.invoice_totals_are_sums_of_lines",
        f"UPDATE invoice_lines SET amount = amount + 0.01 WHERE kind = 'usage' AND invoice_id = {_ONE_LINE}",
    ),
    "I6 a line is gone": plant(
        "invoicing.invoice_totals_are_sums_of_lines",
        f"DELETE FROM invoice_lines WHERE kind = 'usage' AND amount > 0 AND invoice_id = {_ONE_LINE}",
    ),
    "I6 the total is another": plant(
        "invoicing.invoice_totals_are_sums_of_lines; invoicing.invoice_receivable_is_what_is_owed",
        "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_total",
        "UPDATE invoices SET total = total + 1 WHERE id = (SELECT id FROM invoices WHERE status = 'finalized' ORDER BY 1 LIMIT 1)",
    ),
    "I6 a tax is another": plant(
        "invoicing.invoice_tax_is_sum_of_rates_and_of_shares",
        """UPDATE invoice_lines SET taxes = jsonb_set(taxes, '{0,amount}', '77') WHERE (invoice_id, position) =
           (SELECT invoice_id, position FROM invoice_lines WHERE jsonb_array_length(taxes) > 0 AND NOT voided ORDER BY 1, 2 LIMIT 1)""",
    ),
    "I6 a reduction is not told": plant(
        "invoicing.invoice_reductions_are_told_line_by_line",
        """UPDATE invoice_lines SET reductions = NULL WHERE (invoice_id, position) =
           (SELECT invoice_id, position FROM invoice_lines WHERE discount > 0 ORDER BY 1, 2 LIMIT 1)""",
    ),
    "I7 more is paid than the books say": plant(
        "invoicing.invoice_paid_is_what_the_books_say",
        "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_paid_in_full",
        "UPDATE invoices SET amount_paid = amount_paid - 0.01 WHERE id = (SELECT id FROM invoices WHERE amount_paid > 0 ORDER BY 1 LIMIT 1)",
    ),
    "I7 credit is used that the books do not know": plant(
        "invoicing.invoice_settled_is_what_the_books_say; invoicing.customer_credit_is_what_notes_gave_and_invoices_used",
        "UPDATE invoices SET credit_applied = 0.01 WHERE id = (SELECT id FROM invoices WHERE status = 'finalized' AND credit_applied = 0 AND amount_due > 1 ORDER BY 1 LIMIT 1)",
    ),
    "I13 a paid invoice is open again": plant(
        "invoicing.invoice_paid_if_and_only_if_nothing_is_due",
        "UPDATE invoices SET status = 'finalized', paid_at = NULL WHERE id = (SELECT id FROM invoices WHERE status = 'paid' ORDER BY 1 LIMIT 1)",
    ),
    "I13 a void invoice stands again": plant(
        "invoicing.invoice_finalized_is_posted_and_void_is_reversed; invoicing.invoice_lines_have_their_invoice",
        "UPDATE invoices SET status = 'finalized', voided_at = NULL WHERE status = 'void'",
    ),
    "I13 an issued invoice is a draft again": plant(
        "invoicing.invoice_number_if_and_only_if_finalized",
        "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_draft, DROP CONSTRAINT ck_invoices_number",
        "UPDATE invoices SET status = 'draft' WHERE id = (SELECT id FROM invoices WHERE status = 'finalized' ORDER BY 1 LIMIT 1)",
    ),
    "I14 a slice of usage stands on two lines": plant(
        "invoicing.invoice_slice_billed_once; billing.no_slice_billed_twice",
        "DROP INDEX uq_invoice_lines_slice",
        f"{_INTO}) SELECT invoice_id, position + 100, {_COLUMNS.format('period_start')} FROM invoice_lines WHERE kind = 'usage' AND NOT voided LIMIT 1",
    ),
    "I14 a fee's period is billed twice, a day later": plant(
        "billing.no_fee_period_billed_twice; billing.no_slice_billed_twice",
        f"{_INTO}) SELECT invoice_id, position + 100, {_COLUMNS.format('''period_start + interval '1 day' ''')} {_FEE}",
    ),
    "I14 a plan's fee is billed further than said": plant(
        "billing.fees_billed_as_far_as_said",
        f"UPDATE subscriptions SET billed_to = billed_to - interval '1 day' WHERE id = (SELECT subscription_id {_FEE})",
    ),
    "I15 a number is missing": plant(
        "invoicing.invoice_numbers_without_gap",
        "UPDATE invoices SET series_no = series_no + 1000 WHERE series_no = 3",
    ),
    "I15 a number is there twice": plant(
        "invoicing.invoice_numbers_without_gap",
        "ALTER TABLE invoices DROP CONSTRAINT uq_invoices_number",
        "UPDATE invoices SET series_no = 2 WHERE series_no = 3",
    ),
    "I15 a note's number is missing": plant(
        "invoicing.credit_note_numbers_without_gap",
        "UPDATE credit_notes SET series_no = series_no + 1000 WHERE series_no = 1",
    ),
    "I15 the counter was set back": plant(
        "invoicing.invoice_numbers_without_gap", "UPDATE number_series SET last_no = last_no - 1 WHERE series = 'INV'"
    ),
    "I15 an invoice is dated back": plant(
        "invoicing.invoice_numbers_in_order_of_dates",
        "UPDATE invoices SET issue_date = '2020-01-01' WHERE series_no = (SELECT max(series_no) FROM invoices WHERE finalized_at IS NOT NULL)",
    ),
    "I16 an issued invoice without a number": plant(
        "invoicing.invoice_number_if_and_only_if_finalized",
        "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_number, DROP CONSTRAINT ck_invoices_series",
        "UPDATE invoices SET number = NULL WHERE series_no = 1",
    ),
    "I17 usage is counted again": plant(
        "billing.no_slice_billed_twice",
        f"{_INTO}) SELECT invoice_id, position + 100, {_COLUMNS.format('''period_start + interval '1 hour' ''')} "
        "FROM invoice_lines WHERE kind = 'usage' AND NOT voided AND revision = 0 LIMIT 1",
    ),
    "I18 what is billed is said to be unbilled": plant(
        "billing.usage_billed_as_far_as_said",
        """UPDATE subscriptions SET usage_billed_to = anchor WHERE id = (SELECT subscription_id FROM invoice_lines
           WHERE kind = 'usage' AND NOT voided ORDER BY period_end DESC LIMIT 1)""",
    ),
    "I18 recorded usage that is billed is said to be unbilled": plant(
        "billing.usage_billed_as_far_as_said",
        "UPDATE accounts SET usage_billed_to = usage_from WHERE no = (SELECT account_no FROM invoice_lines WHERE kind = 'recorded' AND NOT voided LIMIT 1)",
    ),
    "I18 what came late is not marked": plant(
        "billing.what_came_late_is_corrected_or_marked",
        "DELETE FROM late_usage",
    ),
    "I18 a correction takes off what did not stand": plant(
        "billing.corrections_take_off_what_stands",
        """UPDATE invoice_lines SET inputs = jsonb_set(inputs, '{before,amount}', '12345') WHERE (invoice_id, position) =
           (SELECT invoice_id, position FROM invoice_lines WHERE kind = 'correction' AND NOT voided LIMIT 1)""",
    ),
    "I19 an event is there twice": plant(
        "metering.metering.every_key_has_one_event",
        "INSERT INTO usage_events SELECT * FROM usage_events LIMIT 1",
    ),
    "I19 an event lost its key": plant(
        "metering.metering.every_event_has_its_key", "DELETE FROM event_keys WHERE key = (SELECT key FROM usage_events LIMIT 1)"
    ),
    "I19 an event is gone": plant(
        "metering.metering.every_key_has_one_event", "DELETE FROM usage_events WHERE key = (SELECT key FROM usage_events LIMIT 1)"
    ),
    "I19 a void says another quantity": plant(
        "metering.metering.every_void_is_of_an_event", "UPDATE event_voids SET quantity = quantity + 1"
    ),
    "I22 an invoice was issued and nobody told": plant(
        "invoicing.invoice_finalized_has_its_event",
        "DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox WHERE event_type = 'invoice.finalized')",
    ),
    "I22 a note was issued and nobody told": plant(
        "invoicing.credit_note_has_its_event",
        "DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox WHERE event_type = 'credit_note.issued')",
    ),
    "I23 an audit row is gone": plant(
        "audit.audit blocks hold the rows that are there",
        "DELETE FROM audit_log WHERE id = (SELECT min(id) + 2 FROM audit_log)",
    ),
    "I23 an audit row was slipped in": plant(
        "audit.audit blocks hold the rows that are there",
        """INSERT INTO audit_log (id, xid, actor_kind, actor_id, actor_role, entity_id, action, object_type, object_id, request_id)
           OVERRIDING SYSTEM VALUE VALUES (0, 1, 'user', '1', 'admin', 1, 'plan.changed', 'plan', '6', '')""",
    ),
    "I23 an audit block is gone": plant(
        "audit.audit blocks follow each other without a gap", "DELETE FROM audit_blocks WHERE id = 1"
    ),
    "I23 an audit block has another hash": plant(
        "audit.audit blocks follow each other without a gap",
        "UPDATE audit_blocks SET hash = decode(repeat('ab', 32), 'hex') WHERE id = 1",
    ),
    "I26 a subscription is forgotten": plant(
        "subscriptions.a subscription without end always has a next bill",
        "UPDATE subscriptions SET next_billing_at = NULL WHERE id = (SELECT id FROM subscriptions WHERE ended_at IS NULL ORDER BY 1 LIMIT 1)",
    ),
    "I26 an account is due too late": plant(
        "subscriptions.the account knows when its next bill is due; billing.account_due_is_its_earliest_part",
        """UPDATE accounts SET next_billing_at = next_billing_at - interval '1 second' WHERE no =
           (SELECT no FROM accounts WHERE next_billing_at IS NOT NULL ORDER BY 1 LIMIT 1)""",
    ),
    "I26 a run is forgotten": plant(
        "billing.no_run_forgotten",
        "UPDATE billing_runs SET status = 'running', claimed_at = now() - interval '1 hour'",
    ),
    "I27 an invoice of another entity": plant(
        "invoicing.invoice_stands_in_its_accounts_entity",
        "UPDATE invoices SET entity_id = 1 WHERE id = (SELECT id FROM invoices WHERE number IS NULL LIMIT 1)",
    ),
    "I27 an invoice in another currency": plant(
        "billing.lines_are_of_their_accounts_subscription; invoicing.invoice_receivable_is_what_is_owed",
        f"UPDATE invoices SET currency = 'CHF' WHERE id = {_ONE_LINE}",
    ),
    "I27 a line of another account": plant(
        "invoicing.invoice_lines_have_their_invoice",
        f"UPDATE invoice_lines SET account_no = account_no + 1 WHERE kind = 'usage' AND invoice_id = {_ONE_LINE}",
    ),
    "I27 a balance of another entity": plant(
        "ledger.ledger_customers_stand_in_their_entity",
        "UPDATE ledger_accounts SET entity_id = 1 WHERE id = (SELECT min(id) FROM ledger_accounts WHERE account_no <> 0)",
    ),
    "I27 a subscription of another entity": plant(
        "subscriptions.a subscription stands in its account's entity",
        "UPDATE subscriptions SET entity_id = 1 WHERE id = (SELECT id FROM subscriptions ORDER BY 1 LIMIT 1)",
    ),
    "I27 a note in another currency": plant(
        "invoicing.credit_notes_never_exceed_an_invoice",
        "UPDATE credit_notes SET currency = 'CHF' WHERE series_no = 1",
    ),
    "I27 a coupon of another currency": plant(
        "invoicing.coupons_stay_in_their_entity_and_currency",
        "UPDATE applied_coupons SET currency = 'CHF' WHERE id = (SELECT applied_id FROM coupon_uses LIMIT 1)",
    ),
    "I27 a wallet of another currency": plant(
        "wallets.wallet_grants_are_of_their_wallet",
        "UPDATE wallets SET currency = 'CHF' WHERE id = (SELECT wallet_id FROM wallet_grants ORDER BY 1 LIMIT 1)",
    ),
    "I27 a tax of another entity": plant(
        "taxes.accounts pay taxes of their own entity",
        "UPDATE taxes SET entity_id = 1 WHERE id IN (SELECT tax_id FROM account_taxes)",
    ),
    "I30 a closed account goes on": plant(
        "subscriptions.a closed account has no subscription that goes on",
        """UPDATE accounts SET status = 'closed', closed_at = now() WHERE no =
           (SELECT account_no FROM subscriptions WHERE ended_at IS NULL ORDER BY 1 LIMIT 1)""",
    ),
    "I30 a closed account is billed": plant(
        "accounts.nothing is due on a closed account",
        "UPDATE accounts SET status = 'closed', closed_at = now() WHERE next_billing_at IS NOT NULL",
    ),
    "a coupon gave more than its uses say": plant(
        "invoicing.coupon_uses_are_what_stands_on_lines",
        "UPDATE coupon_uses SET amount = amount + 0.01",
    ),
    "a coupon has more uses left": plant(
        "invoicing.coupon_uses_left_are_counted_down",
        "UPDATE applied_coupons SET uses_left = uses_left + 1 WHERE uses_left IS NOT NULL",
    ),
    "a wallet has more than the books say": plant(
        "wallets.wallet_balance_is_what_the_books_say; wallets.wallet_grant_is_the_sum_of_its_transactions",
        "UPDATE wallet_grants SET remaining = remaining - 0.01 WHERE id = (SELECT id FROM wallet_grants WHERE remaining - held > 0.01 ORDER BY 1 LIMIT 1)",
    ),
    "a draw is gone": plant(
        "invoicing.invoice_wallets_are_what_grants_gave; wallets.wallet_grant_is_the_sum_of_its_transactions",
        "DELETE FROM wallet_transactions WHERE id = (SELECT min(id) FROM wallet_transactions WHERE kind = 'draw')",
    ),
    "a note gives more than its lines": plant(
        "invoicing.credit_note_totals_are_sums_of_lines; invoicing.invoice_noted_is_sum_of_credit_notes",
        "ALTER TABLE credit_notes DROP CONSTRAINT ck_credit_notes_total, DROP CONSTRAINT ck_credit_notes_use",
        "UPDATE credit_notes SET total = total + 1 WHERE series_no = 1",
    ),
    "a note is gone": plant(
        "invoicing.invoice_noted_is_sum_of_credit_notes; invoicing.credit_note_numbers_without_gap",
        "DELETE FROM credit_note_lines WHERE note_id = (SELECT id FROM credit_notes WHERE series_no = 1)",
        "DELETE FROM credit_notes WHERE series_no = 1",
    ),
}  # fmt: skip


class Planted(Exception):
    """Takes a plant out again."""


async def live(database: Database, folder: Path) -> None:
    """Months on a clock; a void invoice, a draft, a note by hand, a run, an event that came late, closed books, a sealed log."""
    world = World(database, 7)
    await world.begin()
    key = load_key(folder / "keys", "audit", make=True)
    await world.live(16, world.advance)
    assert await service.seal(database, key, folder / "audit", BEGIN)
    async with database.write() as session:
        found = (await invoices.invoices(session, limit=100)).rows
        owner = (await account_rows.lock_many(session, [world.accounts[0].no]))[world.accounts[0].no]
        wish = RecordWish(Decimal(5), None, "By hand", None, None, RecordStatus.DRAFT)
        await recording.create_record(session, ACTOR, owner, wish, record_id=new_uuid(), now=world.now)
        whole = next(each for each in found if each.amount_noted == 0 and each.total > 1)
        await invoicing.issue(session, ACTOR, whole.id, reason="all", now=world.now, note_id=new_uuid())
    for each in found:
        with suppress(Refusal):
            async with database.write() as session:
                await void_invoice(session, ACTOR, each, world.now)
            break
    await runs.run_now(
        database, ACTOR, run_id=new_uuid(), as_of=world.now, now=lambda: world.now, new_id=new_uuid
    )
    await late(database, world)
    assert await books.close(database)
    assert await service.seal(database, key, folder / "audit", BEGIN)


async def late(database: Database, world: World) -> None:
    """An event of a closed period, looked at."""
    async with database.read() as session:
        line = await session.fetchrow(
            """
            SELECT a.id, m.code, l.period_start, (l.inputs ->> 'unit_price')::numeric AS price
            FROM invoice_lines l JOIN accounts a ON a.no = l.account_no JOIN meters m ON m.id = l.meter_id
            WHERE l.kind = 'recorded' AND NOT l.voided AND l.period_end <= a.usage_billed_to ORDER BY l.period_end LIMIT 1
            """
        )
    assert line is not None
    event = IncomingEvent(
        id="late", account_id=line["id"], meter=line["code"], quantity=Decimal(1), occurred_at=line["period_start"],
        unit_price=line["price"], properties={"region": "eu", "size": 1, "who": "a"},
    )  # fmt: skip
    (verdict,) = await ingest(database, ACTOR, [event], now=world.now, request_id="t", backfill=True)
    assert verdict.status == "accepted"
    await arrive(database, patience=5)


@pytest.fixture(scope="module")
async def lived(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lived]:
    """One for all plants: each is taken out again."""
    name, folder = f"test_{uuid4().hex[:12]}", tmp_path_factory.mktemp("lived")
    copy, url = f"{name}_copy", with_database(server_url, name)
    await execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    pool = await Database.connect(url, size=3)
    await live(pool, folder)
    await pool.close()
    await execute(server_url, f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
    pool = await Database.connect(url, size=3)
    yield Lived(pool, folder, with_database(server_url, copy))
    await pool.close()
    for each in (name, copy):
        await execute(server_url, f'DROP DATABASE IF EXISTS "{each}" WITH (FORCE)')


async def put(session: Session, name: str) -> None:
    """Does what a superuser can do who switches the triggers off."""
    await session.execute("SET LOCAL session_replication_role = replica")
    done = [await session.execute(statement) for statement in PLANTS[name].statements]
    assert any(done), "nothing was planted"


async def test_doctor_is_silent_where_nothing_is_wrong(lived: Lived) -> None:
    assert [each for each in await examine(lived.database) if each["violations"]] == []


def test_every_name_in_the_table_is_one_of_doctors() -> None:
    assert {name for each in PLANTS.values() for name in each.found} <= invariants().keys()


@pytest.mark.parametrize("name", PLANTS)
async def test_doctor_finds_what_is_planted(lived: Lived, name: str) -> None:
    async with lived.database.write() as session:
        with suppress(Planted):
            async with session.savepoint():
                await put(session, name)
                found = [each for each in PLANTS[name].found if await session.fetch(invariants()[each])]
                raise Planted
    assert found == list(PLANTS[name].found)


async def test_it_says_so_on_the_command_line(lived: Lived) -> None:
    program = Program(lived.copy, lived.folder)
    well = await program("doctor")
    assert (well.status, well.out) == (0, f"{len(invariants())} invariants checked, 0 broken\n")
    names = (
        "I2 a balance is not the sum of its entries",
        "I22 an invoice was issued and nobody told",
        "I23 an audit block is gone",
    )
    pool = await Database.connect(lived.copy, size=1)
    async with pool.write() as session:
        for name in names:
            await put(session, name)
    await pool.close()
    told, read = await program("doctor"), await program("doctor", "--json")
    assert (told.status, read.status) == (1, 1)
    wanted = {found for name in names for found in PLANTS[name].found}
    broken = {each["invariant"] for each in read.json if each["violations"]}
    assert wanted <= broken
    assert wanted <= {each.split(":")[0] for each in told.out.splitlines()}
    assert told.out.splitlines()[-1] == f"{len(invariants())} invariants checked, {len(broken)} broken"
