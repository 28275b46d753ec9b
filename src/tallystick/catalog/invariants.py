"""Statements about the catalog that must return no row."""

INVARIANTS: dict[str, str] = {
    "the current version of every plan exists and is its last": """
        SELECT p.id FROM plans p
        WHERE p.current_version IS DISTINCT FROM (SELECT max(v.version) FROM plan_versions v WHERE v.plan_id = p.id)
    """,
    "versions are numbered from 1 without a gap": """
        SELECT plan_id FROM plan_versions GROUP BY plan_id HAVING max(version) <> count(*) OR min(version) <> 1
    """,
    "every service counts on its own meter": """
        SELECT s.name FROM services s JOIN meters m ON m.id = s.meter_id
        WHERE m.code <> 'service:' || s.name OR m.aggregation <> 'sum'
    """,
}
