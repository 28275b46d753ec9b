"""Tables of platform."""

from tallystick.migrations.statements import execute

revision = "0001_platform"
down_revision = None

UP = """
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = '23001';
END $$;
CREATE TABLE idempotency_keys (
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (principal, key)
);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    event_type text NOT NULL,
    version smallint NOT NULL,
    subject_type text NOT NULL,
    subject_id text NOT NULL,
    sequence bigint NOT NULL,
    payload jsonb NOT NULL,
    request_id text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT uq_outbox_event_id UNIQUE (event_id)
);
CREATE INDEX ix_outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE UNIQUE INDEX ix_outbox_subject ON outbox (subject_type, subject_id, sequence);
"""
DOWN = """
DROP TABLE outbox;
DROP TABLE idempotency_keys;
DROP FUNCTION refuse_change();
DROP FUNCTION set_updated_at();
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
