"""Statements about accounts that must return no row."""

INVARIANTS: dict[str, str] = {
    "open accounts have a profile, closed ones have none": """
        SELECT a.id FROM accounts a LEFT JOIN account_profiles p ON p.account_no = a.no
        WHERE (a.status = 'open') <> (p.account_no IS NOT NULL)
    """,
    "a profile stands in its account's entity": """
        SELECT a.id FROM accounts a JOIN account_profiles p ON p.account_no = a.no WHERE p.entity_id <> a.entity_id
    """,
    "an account on a clock belongs to the clock's entity": """
        SELECT a.id FROM accounts a JOIN test_clocks c ON c.id = a.test_clock_id WHERE c.entity_id <> a.entity_id
    """,
    "the time zone is the last one of its history": """
        SELECT id FROM accounts WHERE timezone IS DISTINCT FROM zone_history -> -1 ->> 'timezone'
    """,
    "nothing is due on a closed account": """
        SELECT id FROM accounts
        WHERE status = 'closed' AND (next_billing_at IS NOT NULL OR next_usage_billing_at IS NOT NULL)
    """,
}
