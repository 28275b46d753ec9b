"""Statements that must return no row. What a line says is proven by `invoice verify`; these hold across contexts."""

# ruff: noqa: S608 — what is put together here are constants of this file

_STOOD = """
    SELECT account_no, subscription_id, price_key, (inputs -> 'aligned' ->> 0)::timestamptz AS period, period_end, meter_id, to_batch,
           revision, amount, inputs, invoice_id AS id, position, corrects_invoice_id, corrects_position
    FROM invoice_lines WHERE NOT voided AND kind NOT IN ('fee', 'manual')
    UNION ALL
    SELECT account_no, subscription_id, price_key, (inputs -> 'aligned' ->> 0)::timestamptz, period_end, meter_id, to_batch,
           revision, amount, inputs, id, 0, corrects_invoice_id, corrects_position
    FROM noted_corrections
"""
"""All that stands of usage: lines of invoices, and corrections on credit notes."""

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
    "no_slice_billed_twice": """
        SELECT invoice_id, position FROM (
            SELECT invoice_id, position, slice_start,
                   max(period_end) OVER (PARTITION BY account_no, subscription_id, price_key ORDER BY slice_start, period_end
                                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS billed_to
            FROM invoice_lines WHERE NOT voided AND kind NOT IN ('manual', 'correction') AND revision = 0
        ) l WHERE slice_start < billed_to
    """,
    "usage_billed_as_far_as_said": """
        SELECT l.invoice_id, l.position FROM invoice_lines l
        LEFT JOIN subscriptions s ON s.id = l.subscription_id LEFT JOIN accounts a ON a.no = l.account_no AND l.subscription_id IS NULL
        WHERE NOT l.voided AND l.kind IN ('usage', 'recorded', 'minimum')
          AND l.period_end = (l.inputs -> 'aligned' ->> 1)::timestamptz
          AND l.period_end > coalesce(s.usage_billed_to, a.usage_billed_to)
    """,
    "lines_are_of_their_accounts_subscription": """
        SELECT l.invoice_id, l.position FROM invoice_lines l LEFT JOIN invoices i ON i.id = l.invoice_id
        LEFT JOIN subscriptions s ON s.id = l.subscription_id
        WHERE l.subscription_id IS NOT NULL
          AND (s.account_no, s.currency) IS DISTINCT FROM (l.account_no, i.currency)
    """,
    "no_run_forgotten": """
        SELECT id FROM billing_runs WHERE status = 'running' AND claimed_at < now() - interval '15 minutes'
    """,
    "ledger_holds_every_issued_invoice": """
        SELECT i.id FROM invoices i
        WHERE i.finalized_at IS NOT NULL AND i.total <> 0
          AND NOT EXISTS (SELECT FROM ledger_postings p WHERE p.key = 'invoice:' || i.id || ':finalized')
    """,
    "no_mark_outlives_its_bill": f"""
        SELECT m.account_no, m.meter_id, m.day FROM late_usage m
        WHERE EXISTS (SELECT FROM ({_STOOD}) l WHERE l.account_no = m.account_no AND l.to_batch >= m.last_batch)
    """,
    "sweep_is_not_ahead_of_the_seal": """
        SELECT w.swept_to FROM late_sweep w, metering_seal s WHERE w.swept_to > s.sealed_to
    """,
    "one_sweep": "SELECT 1 FROM late_sweep HAVING count(*) <> 1",
    "what_came_late_is_corrected_or_marked": f"""
        WITH latest AS (
            SELECT DISTINCT ON (account_no, subscription_id, price_key, period) * FROM ({_STOOD}) l WHERE meter_id IS NOT NULL
            ORDER BY account_no, subscription_id, price_key, period, to_batch DESC, period_end DESC, revision DESC
        ),
        closed AS (
            SELECT l.*, (l.inputs ->> 'counted_from')::timestamptz AS counted_from, (l.inputs ->> 'unit_price')::numeric AS unit_price,
                   w.swept_to
            FROM latest l CROSS JOIN late_sweep w
            LEFT JOIN subscriptions s ON s.id = l.subscription_id LEFT JOIN accounts a ON a.no = l.account_no AND l.subscription_id IS NULL
            WHERE l.period_end <= coalesce(s.usage_billed_to, a.usage_billed_to) AND w.swept_to > l.to_batch
              AND coalesce(l.inputs -> 'filters', '{{}}') = '{{}}' AND NOT l.inputs ?| ARRAY['charge_filters', 'group', 'group_by', 'segments']
        ),
        missed AS (
            SELECT c.id, c.position, e.meter_id, e.occurred_at, c.account_no FROM closed c
            JOIN usage_events e ON e.account_no = c.account_no AND e.meter_id = c.meter_id AND e.occurred_at >= c.counted_from
             AND e.occurred_at < c.period_end AND e.batch_id > c.to_batch AND e.batch_id <= c.swept_to
             AND (c.unit_price IS NULL OR e.unit_price = c.unit_price)
            WHERE NOT EXISTS (SELECT FROM event_voids v WHERE v.key = e.key AND v.batch_id <= c.swept_to)
            UNION ALL
            SELECT c.id, c.position, v.meter_id, v.occurred_at, c.account_no FROM closed c
            JOIN event_voids v ON v.account_no = c.account_no AND v.meter_id = c.meter_id AND v.occurred_at >= c.counted_from
             AND v.occurred_at < c.period_end AND v.event_batch_id <= c.to_batch AND v.batch_id > c.to_batch AND v.batch_id <= c.swept_to
             AND (c.unit_price IS NULL OR v.unit_price = c.unit_price)
        )
        SELECT m.id, m.position, m.occurred_at FROM missed m
        WHERE NOT EXISTS (SELECT FROM late_usage l WHERE l.account_no = m.account_no AND l.meter_id = m.meter_id
                          AND l.first_at <= m.occurred_at AND l.last_at >= m.occurred_at)
    """,
    "corrections_take_off_what_stands": f"""
        WITH stood AS MATERIALIZED ({_STOOD})
        SELECT c.id, c.position FROM stood c
        LEFT JOIN stood b ON b.account_no = c.account_no AND b.subscription_id IS NOT DISTINCT FROM c.subscription_id
         AND b.price_key = c.price_key AND b.period = c.period AND b.revision < c.revision
        WHERE c.corrects_invoice_id IS NOT NULL
        GROUP BY c.id, c.position, c.inputs -> 'before' ->> 'amount'
        HAVING coalesce(sum(b.amount), 0) <> (c.inputs -> 'before' ->> 'amount')::numeric
    """,
    "what_is_corrected_stands": f"""
        SELECT c.id, c.position FROM ({_STOOD}) c
        LEFT JOIN invoice_lines l ON l.invoice_id = c.corrects_invoice_id AND l.position = c.corrects_position AND NOT l.voided
        WHERE c.corrects_invoice_id IS NOT NULL AND l.account_no IS DISTINCT FROM c.account_no
    """,
    "noted_corrections_are_on_notes": """
        SELECT c.id FROM noted_corrections c CROSS JOIN unnest(c.note_ids) AS n(id) LEFT JOIN credit_notes k ON k.id = n.id
        WHERE k.account_no IS DISTINCT FROM c.account_no
    """,
}
