"""What must hold of wallets at every moment: each SELECT returns no row. A row is evidence, never repaired by a program."""

INVARIANTS: dict[str, str] = {
    "wallet_balance_is_what_the_books_say": """
        SELECT coalesce(g.account_no, l.account_no) AS account_no, coalesce(g.currency, l.currency) AS currency FROM
            (SELECT account_no, entity_id, currency, 'wallet_' || kind AS code, sum(remaining) AS remaining
             FROM wallet_grants GROUP BY 1, 2, 3, 4) g
            FULL JOIN (SELECT account_no, entity_id, currency, code, balance FROM ledger_accounts
                       WHERE code IN ('wallet_paid', 'wallet_granted') AND account_no <> 0) l
            USING (account_no, entity_id, currency, code)
        WHERE coalesce(g.remaining, 0) <> -coalesce(l.balance, 0)
    """,
    "wallet_draws_are_the_sum_of_their_lines": """
        SELECT t.id FROM wallet_transactions t
        WHERE t.kind = 'draw' AND -t.amount IS DISTINCT FROM (SELECT sum((s->>1)::numeric) FROM jsonb_array_elements(t.facts->'shares') s)
    """,
    "wallet_grant_is_the_sum_of_its_transactions": """
        SELECT g.id FROM wallet_grants g LEFT JOIN wallet_transactions t ON t.grant_id = g.id
        GROUP BY g.id HAVING g.remaining IS DISTINCT FROM coalesce(sum(t.amount), 0) OR g.held IS DISTINCT FROM coalesce(sum(t.held), 0)
            OR g.amount IS DISTINCT FROM sum(t.amount) FILTER (WHERE t.kind = 'top_up')
    """,
    "wallet_transactions_follow_one_another": """
        SELECT id FROM (
            SELECT id, grant_id, wallet_id, remaining - amount AS before, lag(remaining, 1, 0::numeric) OVER chain AS previous
            FROM wallet_transactions WINDOW chain AS (PARTITION BY grant_id ORDER BY id)
        ) c WHERE before <> previous OR wallet_id IS DISTINCT FROM (SELECT g.wallet_id FROM wallet_grants g WHERE g.id = c.grant_id)
    """,
    "wallet_balances_are_not_negative_and_cover_what_is_held": """
        SELECT id FROM wallet_grants WHERE remaining < held OR held < 0 OR remaining > amount
    """,
    "wallet_grants_are_of_their_wallet": """
        SELECT g.id FROM wallet_grants g LEFT JOIN wallets w ON w.id = g.wallet_id LEFT JOIN accounts a ON a.no = w.account_no
        WHERE (g.account_no, g.entity_id, g.currency) IS DISTINCT FROM (w.account_no, w.entity_id, w.currency)
           OR w.entity_id IS DISTINCT FROM a.entity_id
    """,
    "wallet_held_is_what_active_holds_reserve": """
        SELECT h.id FROM wallet_holds h LEFT JOIN wallet_transactions t ON t.hold_id = h.id
        GROUP BY h.id HAVING coalesce(sum(t.held), 0) <> CASE WHEN h.status = 'active' THEN h.amount ELSE 0 END
            OR coalesce(-sum(t.amount), 0) <> h.captured
    """,
    "wallet_held_belongs_to_a_hold": """
        SELECT t.id FROM wallet_transactions t LEFT JOIN wallet_holds h ON h.id = t.hold_id
        WHERE t.hold_id IS NOT NULL AND (h.id IS NULL OR h.wallet_id <> t.wallet_id)
    """,
    "wallet_top_up_is_posted": """
        SELECT g.id FROM wallet_grants g LEFT JOIN ledger_postings p ON p.key = 'wallet_grant:' || g.id || ':topped_up'
        LEFT JOIN ledger_entries e ON e.posting_id = p.id LEFT JOIN ledger_accounts a ON a.id = e.account_id
         AND a.code = 'wallet_' || g.kind AND a.account_no = g.account_no
        GROUP BY g.id HAVING g.amount IS DISTINCT FROM -sum(e.amount) FILTER (WHERE a.id IS NOT NULL)
    """,
    "wallet_end_is_posted": """
        SELECT t.id FROM wallet_transactions t LEFT JOIN ledger_postings p ON p.key = 'wallet_transaction:' || t.id || ':ended'
        WHERE t.kind IN ('expiry', 'forfeit') AND p.id IS NULL
    """,
    "wallet_terminated_is_empty_but_for_what_came_back": """
        SELECT w.id FROM wallets w JOIN wallet_grants g ON g.wallet_id = w.id
        WHERE w.terminated_at IS NOT NULL AND (g.held <> 0 OR g.ends_at IS NULL OR g.ends_at > w.terminated_at
           OR (g.remaining > 0 AND NOT EXISTS (SELECT FROM wallet_transactions t WHERE t.grant_id = g.id AND t.kind = 'give_back')))
    """,
}
