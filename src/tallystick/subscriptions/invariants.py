"""Statements about subscriptions that must return no row."""

INVARIANTS: dict[str, str] = {
    "a subscription stands in its account's entity": """
        SELECT s.id FROM subscriptions s JOIN accounts a ON a.no = s.account_no WHERE s.entity_id <> a.entity_id
    """,
    "a subscription is in its plan's currency": """
        SELECT s.id FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id WHERE s.currency <> v.currency
    """,
    "the account knows when its next bill is due": """
        SELECT a.id FROM accounts a
        WHERE a.status = 'open' AND a.next_billing_at IS DISTINCT FROM least(
            a.next_usage_billing_at,
            (SELECT min(s.next_billing_at) FROM subscriptions s WHERE s.account_no = a.no)
        )
    """,
    "a subscription without end always has a next bill": """
        SELECT id FROM subscriptions WHERE ended_at IS NULL AND next_billing_at IS NULL
    """,
    "nothing is due on a subscription that ended before its paid service began": """
        SELECT id FROM subscriptions WHERE next_billing_at IS NOT NULL AND ended_at IS NOT NULL AND ended_at <= anchor
    """,
    "a closed account has no subscription that goes on": """
        SELECT s.id FROM subscriptions s JOIN accounts a ON a.no = s.account_no
        WHERE a.status = 'closed' AND (s.ended_at IS NULL OR s.ended_at > a.closed_at)
    """,
    "every subscription's history begins with its start": """
        SELECT s.id FROM subscriptions s WHERE NOT EXISTS (
            SELECT FROM subscription_events e WHERE e.subscription_id = s.id AND e.event = 'started')
    """,
}
