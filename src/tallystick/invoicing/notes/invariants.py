"""What must hold of credit notes and customer credit at every moment: each SELECT returns no row."""

INVARIANTS: dict[str, str] = {
    "credit_note_totals_are_sums_of_lines": """
        SELECT n.id FROM credit_notes n LEFT JOIN credit_note_lines l ON l.note_id = n.id
        GROUP BY n.id
        HAVING count(l.note_id) = 0 OR n.subtotal IS DISTINCT FROM sum(l.amount) OR bool_or(l.invoice_id <> n.invoice_id)
            OR n.total <> n.subtotal - n.included_tax + n.tax OR n.total <> n.amount_offset + n.amount_credited
    """,
    "credit_note_tax_is_sum_of_rates_and_of_shares": """
        SELECT n.id FROM credit_notes n
        WHERE n.tax <> (SELECT coalesce(sum((t->>'amount')::numeric), 0) FROM jsonb_array_elements(n.taxes) t)
           OR n.tax <> (SELECT coalesce(sum((t->>'amount')::numeric), 0)
                        FROM credit_note_lines l, jsonb_array_elements(l.taxes) t WHERE l.note_id = n.id)
           OR n.included_tax <> (SELECT coalesce(sum((t->>'amount')::numeric), 0)
                        FROM credit_note_lines l, jsonb_array_elements(l.taxes) t WHERE l.note_id = n.id AND (t->>'included')::boolean)
    """,
    "credit_notes_never_exceed_a_line": """
        SELECT n.invoice_id, n.invoice_position
        FROM (SELECT invoice_id, invoice_position, sum(amount) AS amount FROM credit_note_lines GROUP BY 1, 2) n
        LEFT JOIN invoice_lines l ON l.invoice_id = n.invoice_id AND l.position = n.invoice_position
        WHERE l.invoice_id IS NULL
           OR n.amount NOT BETWEEN least(l.amount - l.discount - l.granted, 0) AND greatest(l.amount - l.discount - l.granted, 0)
    """,
    "credit_notes_never_exceed_a_tax": """
        SELECT n.invoice_id, n.invoice_position, n.nth
        FROM (SELECT invoice_id, invoice_position, t.nth, sum((t.tax->>'amount')::numeric) AS amount, min(t.tax->>'code') AS code,
                     min((t.tax->>'rate')::numeric) AS rate
              FROM credit_note_lines, jsonb_array_elements(taxes) WITH ORDINALITY AS t(tax, nth) GROUP BY 1, 2, 3) n
        LEFT JOIN invoice_lines l ON l.invoice_id = n.invoice_id AND l.position = n.invoice_position
        WHERE l.invoice_id IS NULL OR l.taxes->(n.nth::int - 1)->>'code' IS DISTINCT FROM n.code
           OR (l.taxes->(n.nth::int - 1)->>'rate')::numeric IS DISTINCT FROM n.rate
           OR n.amount NOT BETWEEN least((l.taxes->(n.nth::int - 1)->>'amount')::numeric, 0)
                               AND greatest((l.taxes->(n.nth::int - 1)->>'amount')::numeric, 0)
    """,
    "credit_notes_never_exceed_an_invoice": """
        SELECT i.id FROM credit_notes n LEFT JOIN invoices i ON i.id = n.invoice_id
        GROUP BY i.id, i.total, i.status
        HAVING i.id IS NULL OR sum(n.total) > i.total OR i.status NOT IN ('finalized', 'paid')
            OR bool_or(n.currency <> i.currency OR n.account_no <> i.account_no OR n.entity_id <> i.entity_id
                       OR n.invoice_number IS DISTINCT FROM i.number)
    """,
    "invoice_noted_is_sum_of_credit_notes": """
        SELECT i.id FROM invoices i LEFT JOIN credit_notes n ON n.invoice_id = i.id
        GROUP BY i.id
        HAVING i.amount_noted <> coalesce(sum(n.total), 0) OR i.amount_offset <> coalesce(sum(n.amount_offset), 0)
    """,
    "credit_note_numbers_without_gap": """
        SELECT s.entity_id, s.series, s.year FROM (SELECT * FROM number_series WHERE series = 'CN') s
        FULL JOIN (SELECT entity_id, series, series_year AS year, count(*) AS numbers, count(DISTINCT series_no) AS different,
                          min(series_no) AS first, max(series_no) AS last
                   FROM credit_notes GROUP BY 1, 2, 3) n USING (entity_id, series, year)
        WHERE s.last_no IS DISTINCT FROM n.last OR n.numbers <> n.different OR n.numbers <> n.last OR n.first <> 1
    """,
    "credit_note_numbers_in_order_of_dates": """
        SELECT id FROM (SELECT n.id, n.issue_date, lag(n.issue_date) OVER (
                            PARTITION BY n.entity_id, n.series, n.series_year, a.test_clock_id ORDER BY n.series_no) AS before
                        FROM credit_notes n JOIN accounts a ON a.no = n.account_no) d
        WHERE issue_date < before
    """,
    "credit_note_posted_once": """
        SELECT n.id FROM credit_notes n
        LEFT JOIN ledger_postings p ON p.source_type = 'credit_note' AND p.source_id = n.id::text
        LEFT JOIN ledger_entries e ON e.posting_id = p.id
        LEFT JOIN ledger_accounts a ON a.id = e.account_id
        GROUP BY n.id
        HAVING count(DISTINCT p.id) <> 1 OR coalesce(sum(e.amount) FILTER (WHERE a.code = 'receivable'), 0) <> -n.amount_offset
            OR coalesce(sum(e.amount) FILTER (WHERE a.code = 'customer_credit'), 0) <> -n.amount_credited
            OR coalesce(sum(e.amount) FILTER (WHERE a.code LIKE 'tax:%'), 0) <> n.tax
            OR bool_or(a.account_no NOT IN (0, n.account_no))
    """,
    "credit_note_has_its_event": """
        SELECT n.id FROM credit_notes n
        WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.subject_type = 'credit_note' AND o.subject_id = n.id::text
                                                 AND o.event_type = 'credit_note.issued')
    """,
    "customer_credit_is_what_notes_gave_and_invoices_used": """
        SELECT coalesce(k.account_no, a.account_no), coalesce(k.currency, a.currency) FROM
            (SELECT account_no, entity_id, currency, sum(amount) AS amount FROM (
                SELECT account_no, entity_id, currency, amount_credited AS amount FROM credit_notes
                UNION ALL
                SELECT account_no, entity_id, currency, -credit_applied FROM invoices WHERE status IN ('finalized', 'paid')) m
             GROUP BY 1, 2, 3) k
            FULL JOIN (SELECT account_no, entity_id, currency, balance FROM ledger_accounts WHERE code = 'customer_credit') a
            USING (account_no, entity_id, currency)
        WHERE coalesce(k.amount, 0) <> -coalesce(a.balance, 0) OR a.balance > 0
    """,
}
