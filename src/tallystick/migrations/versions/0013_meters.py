"""Further aggregations, recurring meters and the state they carry from period to period, filters and groups of charges."""

from tallystick.migrations.statements import execute

revision = "0013_meters"
down_revision = "0012_billing"

UP = """
ALTER TABLE meters ADD COLUMN recurring boolean NOT NULL DEFAULT false, ADD COLUMN percentile smallint;
ALTER TABLE meters DROP CONSTRAINT ck_meters_aggregation;
ALTER TABLE meters ADD CONSTRAINT ck_meters_aggregation CHECK (aggregation IN ('count', 'sum', 'max', 'min', 'average', 'unique',
    'latest', 'weighted_sum', 'percentile'));
ALTER TABLE meters ADD CONSTRAINT ck_meters_recurring CHECK (NOT recurring
    OR aggregation IN ('count', 'sum', 'unique', 'weighted_sum'));
ALTER TABLE meters ADD CONSTRAINT ck_meters_percentile CHECK ((aggregation = 'percentile') = (percentile IS NOT NULL)
    AND percentile BETWEEN 1 AND 100);
ALTER TABLE plan_charges ADD COLUMN filters jsonb NOT NULL DEFAULT '{}', ADD COLUMN group_by text[] NOT NULL DEFAULT '{}';
CREATE TABLE meter_states (
    id bigint GENERATED ALWAYS AS IDENTITY,
    account_no bigint NOT NULL,
    meter_id integer NOT NULL,
    scope bytea NOT NULL,
    at timestamptz NOT NULL,
    to_batch bigint NOT NULL,
    levels jsonb NOT NULL,
    units jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_meter_states PRIMARY KEY (id),
    CONSTRAINT uq_meter_states_account_no_meter_id_scope_at_to_batch UNIQUE (account_no, meter_id, scope, at, to_batch)
);
CREATE TRIGGER meter_states_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON meter_states
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
DOWN = """
DROP TABLE meter_states;
ALTER TABLE plan_charges DROP COLUMN filters, DROP COLUMN group_by;
ALTER TABLE meters DROP CONSTRAINT ck_meters_recurring, DROP CONSTRAINT ck_meters_percentile, DROP CONSTRAINT ck_meters_aggregation;
ALTER TABLE meters ADD CONSTRAINT ck_meters_aggregation CHECK (aggregation IN ('count', 'sum', 'max', 'unique', 'latest'));
ALTER TABLE meters DROP COLUMN recurring, DROP COLUMN percentile;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
