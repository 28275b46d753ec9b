"""Tables of metering."""

from tallystick.migrations.statements import execute

revision = "0009_metering"
down_revision = "0008_ledger"

KEY_PARTITIONS = 16
_KEY_TABLES = "\n".join(
    f"CREATE TABLE usage_partitions.event_keys_{n:02} PARTITION OF event_keys "
    f"FOR VALUES WITH (MODULUS {KEY_PARTITIONS}, REMAINDER {n});"
    for n in range(KEY_PARTITIONS)
)
_APPEND_ONLY = "\n".join(
    f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();"
    for table in ("ingest_batches", "event_keys", "usage_events", "event_voids")
)

UP = f"""
CREATE SCHEMA usage_partitions;
CREATE SEQUENCE ingest_batch_ids AS bigint;
CREATE TABLE ingest_batches (
    id bigint NOT NULL,
    xid bigint NOT NULL,
    received integer NOT NULL,
    principals text[] NOT NULL,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_ingest_batches PRIMARY KEY (id)
);
CREATE TABLE event_keys (
    key uuid NOT NULL,
    account_no bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    meter_id integer NOT NULL,
    CONSTRAINT pk_event_keys PRIMARY KEY (key)
) PARTITION BY HASH (key);
{_KEY_TABLES}
CREATE TABLE usage_events (
    account_no bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    batch_id bigint NOT NULL,
    c_hi bigint NOT NULL,
    c_lo bigint NOT NULL,
    key uuid NOT NULL,
    meter_id integer NOT NULL,
    position integer NOT NULL,
    quantity numeric NOT NULL,
    unit_price numeric,
    source text NOT NULL,
    event_id text NOT NULL,
    properties jsonb,
    CONSTRAINT ck_usage_events_quantity CHECK (quantity > -1e18 AND quantity < 1e18),
    CONSTRAINT ck_usage_events_unit_price CHECK (unit_price >= 0 AND unit_price < 1e15)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX ix_usage_events_account_no_meter_id_occurred_at ON usage_events (account_no, meter_id, occurred_at)
    INCLUDE (batch_id, c_hi, c_lo, quantity);
CREATE INDEX ix_usage_events_priced ON usage_events (account_no, occurred_at)
    INCLUDE (meter_id, unit_price, quantity, batch_id, c_hi, c_lo) WHERE unit_price IS NOT NULL;
CREATE TABLE event_voids (
    key uuid NOT NULL,
    account_no bigint NOT NULL,
    meter_id integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    event_batch_id bigint NOT NULL,
    batch_id bigint NOT NULL,
    c_hi bigint NOT NULL,
    c_lo bigint NOT NULL,
    quantity numeric NOT NULL,
    unit_price numeric,
    reason text NOT NULL,
    voided_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_event_voids PRIMARY KEY (key),
    CONSTRAINT ck_event_voids_quantity CHECK (quantity > -1e18 AND quantity < 1e18),
    CONSTRAINT ck_event_voids_unit_price CHECK (unit_price >= 0 AND unit_price < 1e15),
    CONSTRAINT ck_event_voids_order CHECK (batch_id > event_batch_id)
);
CREATE INDEX ix_event_voids_account_no_meter_id_occurred_at ON event_voids (account_no, meter_id, occurred_at);
CREATE TABLE metering_seal (
    id smallint NOT NULL,
    sealed_to bigint NOT NULL,
    next_to bigint,
    next_xid bigint,
    CONSTRAINT pk_metering_seal PRIMARY KEY (id),
    CONSTRAINT ck_metering_seal_single CHECK (id = 1),
    CONSTRAINT ck_metering_seal_forward CHECK (next_to >= sealed_to)
);
INSERT INTO metering_seal (id, sealed_to) VALUES (1, 0);
{_APPEND_ONLY}
"""
DOWN = """
DROP TABLE metering_seal;
DROP TABLE event_voids;
DROP TABLE usage_events;
DROP TABLE event_keys;
DROP TABLE ingest_batches;
DROP SEQUENCE ingest_batch_ids;
DROP SCHEMA usage_partitions;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
