"""Tables of audit."""

from tallystick.migrations.statements import execute

revision = "0002_audit"
down_revision = "0001_platform"

UP = """
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid bigint NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_role text NOT NULL,
    entity_id integer NOT NULL,
    action text NOT NULL,
    object_type text NOT NULL,
    object_id text NOT NULL,
    before jsonb,
    after jsonb,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_audit_log PRIMARY KEY (id)
);
CREATE INDEX ix_audit_log_object ON audit_log (object_type, object_id, id);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TABLE audit_blocks (
    id bigint NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    last_row bigint NOT NULL,
    row_ids bigint[] NOT NULL,
    row_digests bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_audit_blocks PRIMARY KEY (id),
    CONSTRAINT uq_audit_blocks_last_row UNIQUE (last_row),
    CONSTRAINT ck_audit_blocks_id CHECK (id >= 1),
    CONSTRAINT ck_audit_blocks_lengths CHECK (
        octet_length(previous_hash) = 32 AND octet_length(hash) = 32
        AND octet_length(row_digests) = 32 * cardinality(row_ids) AND cardinality(row_ids) > 0
    )
);
CREATE TRIGGER audit_blocks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TABLE audit_subject_keys (
    object_type text NOT NULL,
    object_id text NOT NULL,
    key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_audit_subject_keys PRIMARY KEY (object_type, object_id)
);
"""
DOWN = """
DROP TABLE audit_subject_keys;
DROP TABLE audit_blocks;
DROP TABLE audit_log;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
