"""What must hold of stored usage: each statement returns no row while it does."""

INVARIANTS: dict[str, str] = {
    "metering.every_event_has_its_key": """
        SELECT e.key FROM usage_events e LEFT JOIN event_keys k ON k.key = e.key
        WHERE k.key IS NULL OR (k.account_no, k.meter_id, k.occurred_at) <> (e.account_no, e.meter_id, e.occurred_at)
    """,
    "metering.every_key_has_one_event": """
        SELECT k.key FROM event_keys k LEFT JOIN usage_events e ON e.key = k.key GROUP BY k.key HAVING count(e.key) <> 1
    """,
    "metering.every_event_has_its_batch": """
        SELECT e.key FROM usage_events e WHERE NOT EXISTS (SELECT FROM ingest_batches b WHERE b.id = e.batch_id)
    """,
    "metering.every_void_is_of_an_event": """
        SELECT v.key FROM event_voids v LEFT JOIN usage_events e ON e.key = v.key
        WHERE e.key IS NULL OR (e.batch_id, e.quantity, e.c_hi, e.c_lo) <> (v.event_batch_id, v.quantity, v.c_hi, v.c_lo)
           OR e.unit_price IS DISTINCT FROM v.unit_price
    """,
    "metering.seal_is_not_ahead": """
        SELECT s.sealed_to FROM metering_seal s, ingest_batch_ids q WHERE s.sealed_to > q.last_value
    """,
    "metering.every_state_holds_its_units": """
        SELECT m.id FROM meter_states m
        WHERE m.units IS NOT NULL AND jsonb_array_length(m.units) <> coalesce(
            (SELECT sum((l ->> 1)::numeric) FROM jsonb_array_elements(m.levels) l), 0)
    """,
    "metering.every_state_is_sealed": """
        SELECT m.id FROM meter_states m, metering_seal s WHERE m.to_batch > s.sealed_to
    """,
    "metering.what_stands_for_an_event_stands_for_a_void_one": """
        SELECT s.key FROM event_successions s LEFT JOIN event_keys k ON k.key = s.key LEFT JOIN event_voids v ON v.key = s.former
        LEFT JOIN event_successions b ON b.key = s.former
        WHERE k.key IS NULL OR v.key IS NULL OR coalesce(b.origin, s.former) <> s.origin OR coalesce(b.revision, 1) >= s.revision
    """,
    "metering.only_open_backfills_hold_events": """
        SELECT b.id FROM backfills b LEFT JOIN backfill_events e ON e.backfill_id = b.id GROUP BY b.id
        HAVING count(e.key) <> CASE WHEN b.state = 'open' THEN b.staged ELSE 0 END
    """,
    "metering.a_backfill_did_what_it_says": """
        SELECT b.id FROM backfills b
        WHERE b.commit_batch IS NOT NULL AND (b.added, b.replaced) <> (
                  (SELECT count(*) FROM usage_events e WHERE e.batch_id = b.commit_batch),
                  (SELECT count(*) FROM event_voids v WHERE v.batch_id = b.commit_batch))
           OR b.revert_batch IS NOT NULL AND (b.reinstated, b.withdrawn) <> (
                  (SELECT count(*) FROM usage_events e WHERE e.batch_id = b.revert_batch),
                  (SELECT count(*) FROM event_voids v WHERE v.batch_id = b.revert_batch))
    """,
    "metering.one_seal": "SELECT 1 FROM metering_seal HAVING count(*) <> 1",
}
