"""What must hold of invoices at every moment: each SELECT returns no row. A row is evidence, never repaired by a program."""

from tallystick.invoicing.coupons import invariants as coupons
from tallystick.invoicing.notes import invariants as notes

INVARIANTS: dict[str, str] = {
    "invoice_totals_are_sums_of_lines": """
        SELECT i.id FROM invoices i LEFT JOIN invoice_lines l ON l.invoice_id = i.id
        GROUP BY i.id
        HAVING count(l.invoice_id) = 0 OR i.subtotal IS DISTINCT FROM sum(l.amount) OR i.discount <> sum(l.discount)
            OR i.granted <> sum(l.granted) OR i.total <> i.subtotal - i.discount - i.granted - i.included_tax + i.tax
    """,
    "invoice_tax_is_sum_of_rates_and_of_shares": """
        SELECT i.id FROM invoices i
        WHERE i.tax <> (SELECT coalesce(sum((t->>'amount')::numeric), 0) FROM jsonb_array_elements(i.taxes) t)
           OR i.tax <> (SELECT coalesce(sum((t->>'amount')::numeric), 0)
                        FROM invoice_lines l, jsonb_array_elements(l.taxes) t WHERE l.invoice_id = i.id)
    """,
    "invoice_paid_is_what_the_books_say": """
        SELECT i.id FROM invoices i
        LEFT JOIN ledger_postings p ON p.key = 'invoice:' || i.id || ':paid'
        LEFT JOIN ledger_entries e ON e.posting_id = p.id AND e.amount > 0
        GROUP BY i.id HAVING i.amount_paid IS DISTINCT FROM coalesce(sum(e.amount), 0) OR i.amount_due < 0 OR i.amount_paid < 0
    """,
    "invoice_reductions_are_told_line_by_line": """
        SELECT l.invoice_id, l.position FROM invoice_lines l
        WHERE l.discount + l.granted <> (SELECT coalesce(sum((r->>'amount')::numeric), 0)
                                         FROM jsonb_array_elements(coalesce(l.reductions, '[]')) r)
    """,
    "invoice_settled_is_what_the_books_say": """
        SELECT i.id FROM invoices i
        LEFT JOIN ledger_postings p ON p.key = 'invoice:' || i.id || ':settled'
        LEFT JOIN ledger_entries e ON e.posting_id = p.id AND e.amount > 0
        GROUP BY i.id HAVING i.credit_applied + i.wallet_applied <> coalesce(sum(e.amount), 0)
    """,
    "invoice_wallets_are_what_grants_gave": """
        SELECT coalesce(i.id, d.invoice_id) AS id FROM invoices i
        FULL JOIN (SELECT t.invoice_id, coalesce(-sum(t.amount) FILTER (WHERE t.kind = 'draw' AND g.kind = 'paid'), 0) AS paid,
                          coalesce(-sum(t.amount) FILTER (WHERE t.kind = 'draw' AND g.kind = 'granted'), 0) AS granted,
                          sum(t.amount) AS net
                   FROM wallet_transactions t JOIN wallet_grants g ON g.id = t.grant_id WHERE t.invoice_id IS NOT NULL GROUP BY 1) d
        ON d.invoice_id = i.id
        LEFT JOIN LATERAL (
            SELECT coalesce(sum((r->>'amount')::numeric), 0) AS amount
            FROM invoice_lines l, jsonb_array_elements(l.reductions) r
            WHERE l.invoice_id = i.id AND r->>'source' = 'grant' AND (r->>'amount')::numeric > 0) told ON true
        WHERE i.id IS NULL OR i.wallet_applied <> coalesce(d.paid, 0) OR told.amount <> coalesce(d.granted, 0)
           OR (i.status = 'void' AND d.net <> 0)
    """,
    "invoice_finalized_is_posted_and_void_is_reversed": """
        SELECT i.id FROM invoices i
        LEFT JOIN ledger_postings f ON f.key = 'invoice:' || i.id || ':finalized'
        LEFT JOIN ledger_postings v ON v.key = 'invoice:' || i.id || ':voided'
        WHERE (f.id IS NOT NULL AND i.finalized_at IS NULL) OR (f.id IS NULL AND i.finalized_at IS NOT NULL AND i.total + i.granted <> 0)
           OR (v.id IS NOT NULL) <> (i.status = 'void' AND f.id IS NOT NULL)
    """,
    "invoice_receivable_is_what_is_owed": """
        SELECT coalesce(o.account_no, a.account_no) FROM
            (SELECT account_no, entity_id, currency, sum(amount_due) AS owed
             FROM invoices WHERE status IN ('finalized', 'paid') GROUP BY 1, 2, 3) o
            FULL JOIN (SELECT account_no, entity_id, currency, balance FROM ledger_accounts WHERE code = 'receivable') a
            USING (account_no, entity_id, currency)
        WHERE coalesce(o.owed, 0) <> coalesce(a.balance, 0)
    """,
    "invoice_slice_billed_once": """
        SELECT account_no, slice_start, price_key, subscription_id, revision FROM invoice_lines WHERE NOT voided
        GROUP BY account_no, slice_start, price_key, subscription_id, revision HAVING count(*) > 1
    """,
    "invoice_numbers_without_gap": """
        SELECT s.entity_id, s.series, s.year FROM (SELECT * FROM number_series WHERE series = 'INV') s
        FULL JOIN (SELECT entity_id, series, series_year AS year, count(*) AS numbers, count(DISTINCT series_no) AS different,
                          min(series_no) AS first, max(series_no) AS last
                   FROM invoices WHERE number IS NOT NULL GROUP BY 1, 2, 3) i USING (entity_id, series, year)
        WHERE s.last_no IS DISTINCT FROM i.last OR i.numbers <> i.different OR i.numbers <> i.last OR i.first <> 1
    """,
    "invoice_numbers_in_order_of_dates": """
        SELECT id FROM (SELECT i.id, i.issue_date, lag(i.issue_date) OVER (
                            PARTITION BY i.entity_id, i.series, i.series_year, a.test_clock_id ORDER BY i.series_no) AS before
                        FROM invoices i JOIN accounts a ON a.no = i.account_no WHERE i.number IS NOT NULL) d
        WHERE issue_date < before
    """,
    "invoice_number_if_and_only_if_finalized": """
        SELECT id FROM invoices
        WHERE (finalized_at IS NULL) <> (number IS NULL) OR (status = 'draft' AND number IS NOT NULL)
           OR (status IN ('finalized', 'paid') AND number IS NULL)
    """,
    "invoice_paid_if_and_only_if_nothing_is_due": """
        SELECT id FROM invoices
        WHERE (status IN ('finalized', 'paid') AND (status = 'paid') <> (amount_due = 0))
           OR (status = 'paid') <> (paid_at IS NOT NULL) OR (status = 'void') <> (voided_at IS NOT NULL)
    """,
    "invoice_stands_in_its_accounts_entity": """
        SELECT i.id FROM invoices i LEFT JOIN accounts a ON a.no = i.account_no WHERE i.entity_id IS DISTINCT FROM a.entity_id
    """,
    "invoice_lines_have_their_invoice": """
        SELECT l.invoice_id, l.position FROM invoice_lines l LEFT JOIN invoices i ON i.id = l.invoice_id
        WHERE i.id IS NULL OR i.account_no <> l.account_no OR (i.status = 'void') <> l.voided
    """,
    "invoice_finalized_has_its_event": """
        SELECT i.id FROM invoices i
        WHERE i.finalized_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM outbox o
            WHERE o.subject_type = 'invoice' AND o.subject_id = i.id::text AND o.event_type = 'invoice.finalized')
    """,
}
INVARIANTS.update(notes.INVARIANTS)
INVARIANTS.update(coupons.INVARIANTS)
