"""Statements about taxes that must return no row."""

INVARIANTS: dict[str, str] = {
    "accounts pay taxes of their own entity": """
        SELECT o.account_no, t.code FROM account_taxes o JOIN taxes t ON t.id = o.tax_id JOIN accounts a ON a.no = o.account_no
        WHERE a.entity_id <> t.entity_id
    """,
}
