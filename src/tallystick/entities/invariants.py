"""Statements about entities that must return no row."""

INVARIANTS: dict[str, str] = {
    "the default and the test entity exist": """
        SELECT w.id FROM (VALUES (1, false), (2, true)) AS w(id, is_test)
        LEFT JOIN entities e ON e.id = w.id AND e.is_test = w.is_test WHERE e.id IS NULL
    """,
}
