"""Statements that must return no row. What a line says is proven by `invoice verify`; these hold across contexts."""

INVARIANTS: dict[str, str] = {
    "account_due_is_its_earliest_part": """
        SELECT a.id FROM accounts a
        LEFT JOIN LATERAL (SELECT min(s.next_billing_at) AS at FROM subscriptions s WHERE s.account_no = a.no) s ON true
        WHERE a.next_billing_at IS DISTINCT FROM least(a.next_usage_billing_at, s.at)
    """,
    "no_fee_period_billed_twice": """
        SELECT l.invoice_id, m.invoice_id AS other FROM invoice_lines l
        JOIN invoice_lines m ON m.subscription_id = l.subscription_id AND m.kind = 'fee' AND NOT m.voided
         AND (m.invoice_id, m.position) > (l.invoice_id, l.position)
         AND m.period_start < l.period_end AND l.period_start < m.period_end
        WHERE l.kind = 'fee' AND NOT l.voided
    """,
    "fees_billed_as_far_as_said": """
        SELECT s.id FROM subscriptions s JOIN invoice_lines l ON l.subscription_id = s.id AND l.kind = 'fee' AND NOT l.voided
        GROUP BY s.id, s.billed_to HAVING max(l.period_end) > s.billed_to
    """,
    "no_run_forgotten": """
        SELECT id FROM billing_runs WHERE status = 'running' AND claimed_at < now() - interval '15 minutes'
    """,
    "ledger_holds_every_issued_invoice": """
        SELECT i.id FROM invoices i
        WHERE i.finalized_at IS NOT NULL AND i.total <> 0
          AND NOT EXISTS (SELECT FROM ledger_postings p WHERE p.key = 'invoice:' || i.id || ':finalized')
    """,
}
