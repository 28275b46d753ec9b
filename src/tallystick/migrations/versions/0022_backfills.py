"""Backfills, the events that wait in open ones, and which event followed which."""

from tallystick.migrations.statements import execute

revision = "0022_backfills"
down_revision = "0021_corrections"

UP = """
CREATE TABLE backfills (
    id uuid NOT NULL,
    entity_id integer NOT NULL,
    state text NOT NULL DEFAULT 'open',
    mode text NOT NULL,
    account_nos bigint[],
    meter_ids integer[] NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    reason text NOT NULL,
    opened_by text NOT NULL,
    opened_at timestamptz NOT NULL,
    staged integer NOT NULL DEFAULT 0,
    added integer NOT NULL DEFAULT 0,
    kept integer NOT NULL DEFAULT 0,
    replaced integer NOT NULL DEFAULT 0,
    withdrawn integer NOT NULL DEFAULT 0,
    reinstated integer NOT NULL DEFAULT 0,
    commit_batch bigint,
    committed_at timestamptz,
    cancelled_at timestamptz,
    revert_batch bigint,
    reverted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_backfills PRIMARY KEY (id),
    CONSTRAINT fk_backfills_entity_id FOREIGN KEY (entity_id) REFERENCES entities (id),
    CONSTRAINT ck_backfills_state CHECK (state IN ('open', 'committed', 'cancelled', 'reverted')),
    CONSTRAINT ck_backfills_mode CHECK (mode IN ('add', 'replace')),
    CONSTRAINT ck_backfills_scope CHECK (period_start < period_end AND cardinality(meter_ids) > 0 AND cardinality(account_nos) > 0),
    CONSTRAINT ck_backfills_counts CHECK (least(staged, added, kept, replaced, withdrawn, reinstated) >= 0),
    CONSTRAINT ck_backfills_course CHECK (
        (state IN ('committed', 'reverted')) = (commit_batch IS NOT NULL) AND (commit_batch IS NULL) = (committed_at IS NULL)
        AND (state = 'reverted') = (revert_batch IS NOT NULL) AND (revert_batch IS NULL) = (reverted_at IS NULL)
        AND (state = 'cancelled') = (cancelled_at IS NOT NULL))
);
CREATE UNIQUE INDEX uq_backfills_commit_batch ON backfills (commit_batch);
CREATE UNIQUE INDEX uq_backfills_revert_batch ON backfills (revert_batch);
CREATE INDEX ix_backfills_scope ON backfills (period_end, period_start) WHERE state IN ('open', 'committed');
CREATE INDEX ix_backfills_entity_id ON backfills (entity_id, id);
CREATE TRIGGER backfills_updated_at BEFORE UPDATE ON backfills FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE backfill_events (
    key uuid NOT NULL,
    backfill_id uuid NOT NULL,
    no bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    account_no bigint NOT NULL,
    meter_id integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    c_hi bigint NOT NULL,
    c_lo bigint NOT NULL,
    quantity numeric NOT NULL,
    unit_price numeric,
    source text NOT NULL,
    event_id text NOT NULL,
    properties jsonb,
    CONSTRAINT pk_backfill_events PRIMARY KEY (key),
    CONSTRAINT fk_backfill_events_backfill_id FOREIGN KEY (backfill_id) REFERENCES backfills (id),
    CONSTRAINT ck_backfill_events_quantity CHECK (quantity > -1e18 AND quantity < 1e18),
    CONSTRAINT ck_backfill_events_unit_price CHECK (unit_price >= 0 AND unit_price < 1e15)
);
CREATE INDEX ix_backfill_events_backfill_id ON backfill_events (backfill_id, no);
CREATE TABLE event_successions (
    key uuid NOT NULL,
    former uuid NOT NULL,
    origin uuid NOT NULL,
    revision integer NOT NULL,
    kind text NOT NULL,
    CONSTRAINT pk_event_successions PRIMARY KEY (key),
    CONSTRAINT uq_event_successions_former UNIQUE (former),
    CONSTRAINT uq_event_successions_origin_revision UNIQUE (origin, revision),
    CONSTRAINT ck_event_successions_revision CHECK (revision >= 2),
    CONSTRAINT ck_event_successions_kind CHECK (kind IN ('amendment', 'reinstatement')),
    CONSTRAINT ck_event_successions_itself CHECK (key <> former AND key <> origin)
);
CREATE TRIGGER event_successions_final BEFORE UPDATE OR DELETE OR TRUNCATE ON event_successions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
DOWN = """
DROP TABLE event_successions;
DROP TABLE backfill_events;
DROP TABLE backfills;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
