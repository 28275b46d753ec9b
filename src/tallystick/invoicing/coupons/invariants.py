"""What must hold of coupons at every moment: each SELECT returns no row."""

INVARIANTS: dict[str, str] = {
    "coupon_uses_are_what_stands_on_lines": """
        SELECT coalesce(u.invoice_id, r.invoice_id), coalesce(u.applied_id, r.applied_id)
        FROM coupon_uses u
        FULL JOIN (SELECT l.invoice_id, (e->>'id')::uuid AS applied_id, sum((e->>'amount')::numeric) AS amount
                   FROM invoice_lines l, jsonb_array_elements(l.reductions) e
                   WHERE l.reductions IS NOT NULL AND l.kind <> 'correction' AND e->>'source' = 'coupon' GROUP BY 1, 2) r
          USING (invoice_id, applied_id)
        WHERE u.amount IS DISTINCT FROM r.amount
    """,
    "coupon_uses_left_are_counted_down": """
        SELECT a.id FROM applied_coupons a JOIN coupons c ON c.id = a.coupon_id
        WHERE a.uses_left IS DISTINCT FROM
              (CASE c.duration WHEN 'once' THEN 1 WHEN 'repeating' THEN c.periods END
               - (SELECT count(*) FROM coupon_uses u WHERE u.applied_id = a.id AND NOT u.voided))
    """,
    "coupon_redemptions_are_counted": """
        SELECT c.id FROM coupons c
        WHERE c.redemptions <> (SELECT count(*) FROM applied_coupons a WHERE a.coupon_id = c.id)
           OR c.per_account < (SELECT max(n) FROM (SELECT count(*) AS n FROM applied_coupons a WHERE a.coupon_id = c.id GROUP BY a.account_no) x)
    """,
    "coupons_stay_in_their_entity_and_currency": """
        SELECT p.id FROM applied_coupons p JOIN coupons c ON c.id = p.coupon_id JOIN accounts a ON a.no = p.account_no
        WHERE c.entity_id <> a.entity_id OR (c.currency IS NOT NULL AND c.currency <> p.currency)
        UNION ALL
        SELECT p.id FROM coupon_uses u JOIN applied_coupons p ON p.id = u.applied_id JOIN invoices i ON i.id = u.invoice_id
        WHERE i.account_no <> p.account_no OR i.currency <> p.currency
    """,
    "coupon_uses_are_void_with_their_invoice": """
        SELECT u.applied_id, u.invoice_id FROM coupon_uses u LEFT JOIN invoices i ON i.id = u.invoice_id
        WHERE i.id IS NULL OR u.voided <> (i.status = 'void')
    """,
}
