"""`invoice verify` over a database with a history: everything comes out again, and each difference that is planted is found and named."""

from contextlib import suppress

import pytest

from tallystick.billing.service.explaining import verify
from tallystick.invoicing import queries as invoices
from tallystick.platform.db import ReadSession
from tests.db.test_doctor_plants import Lived, Planted
from tests.db.test_doctor_plants import lived as lived

_USAGE = """(SELECT l.invoice_id, l.position FROM invoice_lines l JOIN meters m ON m.id = l.meter_id WHERE l.kind = 'recorded'
    AND NOT l.voided AND l.event_count > 0 AND l.quantity > 0 ORDER BY 1, 2 LIMIT 1)"""
_EVENT = f"""(SELECT e.key FROM invoice_lines l JOIN usage_events e ON e.account_no = l.account_no AND e.meter_id = l.meter_id
    AND e.occurred_at >= (l.inputs ->> 'counted_from')::timestamptz AND e.occurred_at < l.period_end AND e.batch_id <= l.to_batch
    AND e.unit_price = (l.inputs ->> 'unit_price')::numeric
    LEFT JOIN event_voids v ON v.key = e.key
    WHERE v.key IS NULL AND (l.invoice_id, l.position) = {_USAGE} ORDER BY 1 LIMIT 1)"""
PLANTS: dict[str, tuple[str, str]] = {
    "an amount": (f"UPDATE invoice_lines SET amount = amount + 0.01 WHERE (invoice_id, position) = {_USAGE}", "stands at"),
    "a digit that nobody sees": (
        f"UPDATE invoice_lines SET exact = exact + 0.000000000000000001 WHERE (invoice_id, position) = {_USAGE}", "stands at",
    ),
    "a price": (
        f"UPDATE invoice_lines SET inputs = jsonb_set(inputs, '{{properties,unit_amount}}', '\"99\"') WHERE (invoice_id, position) = {_USAGE}",
        "stands at",
    ),
    "an input that is gone": (
        f"UPDATE invoice_lines SET inputs = inputs - 'properties' WHERE (invoice_id, position) = {_USAGE}",
        "its inputs cannot be computed again",
    ),
    "a share of a tax": (
        """UPDATE invoice_lines SET taxes = jsonb_set(taxes, '{0,amount}', '77') WHERE (invoice_id, position) =
           (SELECT invoice_id, position FROM invoice_lines WHERE jsonb_array_length(taxes) > 0 AND NOT voided ORDER BY 1, 2 LIMIT 1)""",
        "the taxes do not come out the same",
    ),
    "a tax of the document": (
        """UPDATE invoices SET taxes = jsonb_set(taxes, '{0,base}', '77') WHERE id =
           (SELECT id FROM invoices WHERE jsonb_array_length(taxes) > 0 AND status <> 'void' ORDER BY 1 LIMIT 1)""",
        "the taxes do not come out the same",
    ),
    "a share of a discount": (
        """UPDATE invoice_lines SET discount = discount + 0.01, reductions = (
               SELECT jsonb_agg(CASE WHEN r->>'source' = 'coupon' THEN jsonb_set(r, '{amount}', to_jsonb((r->>'amount')::numeric + 0.01)) ELSE r END)
               FROM jsonb_array_elements(reductions) r)
           WHERE (invoice_id, position) = (SELECT u.invoice_id, l.position FROM coupon_uses u JOIN invoice_lines l ON l.invoice_id = u.invoice_id
               AND l.discount > 0 AND l.kind <> 'correction' WHERE NOT u.voided ORDER BY 1, 2 LIMIT 1)""",
        "the coupons do not come out the same",
    ),
    "a coupon's value": (
        "UPDATE coupon_uses SET value = value / 2 WHERE (applied_id, invoice_id) = (SELECT applied_id, invoice_id FROM coupon_uses WHERE NOT voided AND amount > 0 ORDER BY 2, 1 LIMIT 1)",
        "the coupons do not come out the same",
    ),
    "a draw": (
        """UPDATE wallet_transactions SET amount = amount - 0.01 WHERE id = (SELECT min(t.id) FROM wallet_transactions t
           JOIN wallet_grants g ON g.id = t.grant_id JOIN invoices i ON i.id = t.invoice_id
           WHERE t.kind = 'draw' AND g.kind = 'granted' AND i.status <> 'void')""",
        "what a grant gave is not the sum of what it paid of the lines",
    ),
    "a draw's share of a line": (
        """UPDATE wallet_transactions SET facts = jsonb_set(facts, '{shares,0,1}', '0.0123') WHERE id = (SELECT min(t.id) FROM wallet_transactions t
           JOIN wallet_grants g ON g.id = t.grant_id JOIN invoices i ON i.id = t.invoice_id
           WHERE t.kind = 'draw' AND g.kind = 'granted' AND i.status <> 'void')""",
        "granted credit: drawn again, the grants do not pay the same lines",
    ),
    "a draw that is gone": (
        """DELETE FROM wallet_transactions WHERE id = (SELECT min(t.id) FROM wallet_transactions t
           JOIN wallet_grants g ON g.id = t.grant_id JOIN invoices i ON i.id = t.invoice_id
           WHERE t.kind = 'draw' AND g.kind = 'granted' AND i.status <> 'void')""",
        "what granted credit took off the lines is not what the wallets gave",
    ),
    "a paid wallet": (
        "UPDATE invoices SET wallet_applied = wallet_applied - 0.01 WHERE id = (SELECT id FROM invoices WHERE wallet_applied > 0.01 AND status <> 'void' ORDER BY 1 LIMIT 1)",
        "what paid wallets gave is not what the invoice says",
    ),
    "a share of a note": (
        "UPDATE credit_note_lines SET amount = amount - 0.01 WHERE (note_id, position) = (SELECT id, 1 FROM credit_notes WHERE series_no = 1)",
        "credit note",
    ),
    "an event that is gone": (f"DELETE FROM usage_events WHERE key = {_EVENT}", "events, finds"),
    "an event that was added to a sealed batch": (
        f"""INSERT INTO usage_events SELECT account_no, occurred_at, batch_id, c_hi # 5, c_lo, gen_random_uuid(), meter_id, position + 10000,
            quantity, unit_price, source, 'added', properties FROM usage_events WHERE key = {_EVENT}""",
        "events, finds",
    ),
    "an event that was moved to another": (
        f"UPDATE usage_events SET c_lo = c_lo # 1 WHERE key = {_EVENT}", "events, finds",
    ),
    "an event's quantity": (
        f"UPDATE usage_events SET quantity = quantity + 1 WHERE key = {_EVENT}", "the same events come to another quantity",
    ),
    "a checksum": (
        f"UPDATE invoice_lines SET checksum = decode(repeat('ab', 16), 'hex') WHERE (invoice_id, position) = {_USAGE}", "events, finds",
    ),
    "the total": (
        "UPDATE invoices SET subtotal = subtotal + 1 WHERE id = (SELECT id FROM invoices WHERE status = 'finalized' ORDER BY 1 LIMIT 1)",
        "the lines do not add up to the invoice",
    ),
}  # fmt: skip
_CONSTRAINTS = """
    ALTER TABLE invoices DROP CONSTRAINT ck_invoices_total, DROP CONSTRAINT ck_invoices_paid_in_full, DROP CONSTRAINT ck_invoices_amount_paid;
    ALTER TABLE wallet_transactions DROP CONSTRAINT ck_wallet_transactions_amount;
    ALTER TABLE credit_note_lines DROP CONSTRAINT ck_credit_note_lines_amount
"""


async def problems(session: ReadSession) -> list[str]:
    """What verify says of all invoices."""
    found = (await invoices.invoices(session, limit=10_000)).rows
    return [problem for each in found for problem in (await verify(session, each)).problems]


async def test_everything_comes_out_again(lived: Lived) -> None:
    async with lived.database.snapshot() as session:
        assert await problems(session) == []


@pytest.mark.parametrize("name", PLANTS)
async def test_a_difference_is_found_and_named(lived: Lived, name: str) -> None:
    statement, wanted = PLANTS[name]
    async with lived.database.write() as session:
        with suppress(Planted):
            async with session.savepoint():
                await session.execute("SET LOCAL session_replication_role = replica")
                for each in _CONSTRAINTS.split(";"):
                    await session.execute(each)
                assert await session.execute(statement), "nothing was planted"
                found = await problems(session)
                raise Planted
    assert any(wanted in problem for problem in found), found
