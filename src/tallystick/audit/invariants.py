"""Statements about the audit log that must return no row."""

INVARIANTS: dict[str, str] = {
    "audit blocks follow each other without a gap": """
        SELECT b.id FROM audit_blocks b LEFT JOIN audit_blocks p ON p.id = b.id - 1
        WHERE (b.id > 1 AND (p.id IS NULL OR p.hash <> b.previous_hash OR p.last_row >= b.last_row))
           OR (b.id = 1 AND b.previous_hash <> decode(repeat('00', 32), 'hex'))
    """,
    "audit blocks hold the rows that are there": """
        SELECT coalesce(a.id, s.id) AS id FROM audit_log a
        FULL JOIN (SELECT r.id FROM audit_blocks b, unnest(b.row_ids) AS r(id)) s ON s.id = a.id
        WHERE a.id IS NULL OR (s.id IS NULL AND a.id <= (SELECT max(last_row) FROM audit_blocks))
    """,
    "audit rows are sealed within a minute": """
        SELECT a.id FROM audit_log a
        WHERE a.id > coalesce((SELECT max(last_row) FROM audit_blocks), 0) AND a.created_at < now() - interval '60 seconds'
          AND EXISTS (SELECT FROM audit_blocks)
        ORDER BY a.id LIMIT 10
    """,
}
