"""Corrections: how far arrivals were looked at, what arrived too late, and corrections that went to credit notes."""

from tallystick.migrations.statements import execute

revision = "0021_corrections"
down_revision = "0020_tax_rules"

UP = """
ALTER TABLE ingest_batches ADD COLUMN first_at timestamptz;
CREATE INDEX ix_usage_events_batch_id ON usage_events (batch_id);
CREATE INDEX ix_event_voids_batch_id ON event_voids (batch_id);
CREATE TABLE late_sweep (
    id smallint NOT NULL,
    swept_to bigint NOT NULL,
    CONSTRAINT pk_late_sweep PRIMARY KEY (id),
    CONSTRAINT ck_late_sweep_single CHECK (id = 1)
);
INSERT INTO late_sweep (id, swept_to) VALUES (1, 0);
CREATE TABLE late_usage (
    account_no bigint NOT NULL,
    meter_id integer NOT NULL,
    day date NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    last_batch bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_late_usage PRIMARY KEY (account_no, meter_id, day),
    CONSTRAINT ck_late_usage_span CHECK (first_at <= last_at)
);
CREATE TABLE noted_corrections (
    id uuid NOT NULL,
    account_no bigint NOT NULL,
    note_ids uuid[] NOT NULL,
    description text NOT NULL,
    quantity numeric NOT NULL,
    unit text NOT NULL,
    amount numeric NOT NULL,
    exact numeric(38, 18) NOT NULL,
    exact_cut boolean NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    slice_start timestamptz NOT NULL,
    price_key text COLLATE "C" NOT NULL,
    rule text NOT NULL,
    gl_code text NOT NULL,
    inputs jsonb NOT NULL,
    subscription_id uuid,
    plan_version_id bigint,
    charge_id bigint,
    meter_id bigint,
    from_batch bigint,
    to_batch bigint,
    event_count bigint,
    checksum bytea,
    taxes jsonb NOT NULL,
    discount numeric NOT NULL,
    granted numeric NOT NULL,
    reductions jsonb,
    corrects_invoice_id uuid NOT NULL,
    corrects_position integer NOT NULL,
    revision smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_noted_corrections PRIMARY KEY (id),
    CONSTRAINT ck_noted_corrections_amount CHECK (amount > -1e15 AND amount < 0 AND exact > -1e15 AND exact < 1e15),
    CONSTRAINT ck_noted_corrections_quantity CHECK (quantity > -1e24 AND quantity < 1e24),
    CONSTRAINT ck_noted_corrections_reductions CHECK (abs(discount) < 1e15 AND abs(granted) < 1e15),
    CONSTRAINT ck_noted_corrections_evidence CHECK (num_nulls(meter_id, from_batch, to_batch, event_count, checksum) IN (0, 5)),
    CONSTRAINT ck_noted_corrections_notes CHECK (cardinality(note_ids) > 0)
);
CREATE UNIQUE INDEX uq_noted_corrections_slice
    ON noted_corrections (account_no, slice_start, price_key, subscription_id, revision) NULLS NOT DISTINCT;
CREATE INDEX ix_noted_corrections_corrects ON noted_corrections (corrects_invoice_id, corrects_position);
CREATE INDEX ix_noted_corrections_note_ids ON noted_corrections USING gin (note_ids);
CREATE TRIGGER noted_corrections_issued BEFORE UPDATE OR DELETE OR TRUNCATE ON noted_corrections
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE invoices DROP CONSTRAINT ck_invoices_reductions;
ALTER TABLE invoices ADD CONSTRAINT ck_invoices_reductions CHECK (discount > -1e15 AND discount < 1e15 AND granted > -1e15
    AND granted < 1e15 AND included_tax > -1e15 AND included_tax < 1e15);
"""
DOWN = """
ALTER TABLE invoices DROP CONSTRAINT ck_invoices_reductions;
ALTER TABLE invoices ADD CONSTRAINT ck_invoices_reductions CHECK (discount >= 0 AND discount < 1e15 AND granted >= 0
    AND granted < 1e15 AND included_tax > -1e15 AND included_tax < 1e15);
DROP TABLE noted_corrections;
DROP TABLE late_usage;
DROP TABLE late_sweep;
DROP INDEX ix_event_voids_batch_id;
DROP INDEX ix_usage_events_batch_id;
ALTER TABLE ingest_batches DROP COLUMN first_at;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
