"""What must hold of the books at every moment: each SELECT returns no row. A row is evidence, never repaired by a program."""

INVARIANTS: dict[str, str] = {
    "ledger_postings_balance": """
        SELECT posting_id, currency FROM ledger_entries GROUP BY posting_id, currency HAVING sum(amount) <> 0
    """,
    "ledger_customer_balance_is_sum_of_entries": """
        SELECT a.id FROM ledger_accounts a LEFT JOIN ledger_entries e ON e.account_id = a.id
        WHERE a.account_no <> 0
        GROUP BY a.id
        HAVING a.balance IS DISTINCT FROM coalesce(sum(e.amount), 0) OR a.version IS DISTINCT FROM count(e.account_id)
    """,
    "ledger_customer_chain": """
        SELECT account_id, version FROM (
            SELECT e.account_id, e.version, e.balance - e.amount AS before,
                   lag(e.version, 1, 0::bigint) OVER chain AS previous_version, lag(e.balance, 1, 0::numeric) OVER chain AS previous
            FROM ledger_entries e WHERE e.version IS NOT NULL
            WINDOW chain AS (PARTITION BY e.account_id ORDER BY e.version)
        ) c WHERE version <> previous_version + 1 OR before <> previous
    """,
    "ledger_amounts_finite_and_of_their_accounts_currency": """
        SELECT e.posting_id, e.position FROM ledger_entries e
        LEFT JOIN ledger_accounts a ON a.id = e.account_id LEFT JOIN ledger_postings p ON p.id = e.posting_id
        WHERE a.id IS NULL OR p.id IS NULL OR e.amount = 0 OR NOT (e.amount > -1e15 AND e.amount < 1e15)
           OR e.currency <> a.currency OR p.currency <> e.currency OR p.entity_id <> a.entity_id
           OR (a.account_no <> 0) <> (e.version IS NOT NULL)
    """,
    "ledger_posting_has_its_debits_and_credits": """
        SELECT p.id FROM ledger_postings p LEFT JOIN ledger_entries e ON e.posting_id = p.id
        GROUP BY p.id
        HAVING count(e.posting_id) <> p.entries OR count(*) FILTER (WHERE e.amount > 0) = 0
            OR count(*) FILTER (WHERE e.amount < 0) = 0
    """,
    "ledger_source_posted_once_per_kind": """
        SELECT source_type, source_id, kind FROM ledger_postings
        WHERE source_type <> '' GROUP BY source_type, source_id, kind HAVING count(*) > 1
    """,
    "ledger_closing_is_sum_of_entries": """
        SELECT c.account_id, c.through_posting FROM ledger_closings c
        LEFT JOIN ledger_entries e ON e.account_id = c.account_id AND e.posting_id <= c.through_posting
        GROUP BY c.account_id, c.through_posting, c.balance HAVING c.balance IS DISTINCT FROM coalesce(sum(e.amount), 0)
    """,
    "ledger_customers_stand_in_their_entity": """
        SELECT l.id FROM ledger_accounts l LEFT JOIN accounts a ON a.no = l.account_no
        WHERE l.account_no <> 0 AND l.entity_id IS DISTINCT FROM a.entity_id
    """,
    "ledger_trial_balance_is_zero": """
        SELECT a.entity_id, e.currency FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
        GROUP BY a.entity_id, e.currency HAVING sum(e.amount) <> 0
    """,
}
