"""Tables of identity."""

from tallystick.migrations.statements import execute

revision = "0014_sessions"
down_revision = "0013_meters"

UP = """
ALTER TABLE sessions
    ADD COLUMN used_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN revoked_at timestamptz,
    ADD COLUMN revoked_for text,
    ADD CONSTRAINT ck_sessions_revoked CHECK ((revoked_at IS NULL) = (revoked_for IS NULL));
CREATE TABLE spent_refresh_tokens (
    token_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    spent_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_spent_refresh_tokens PRIMARY KEY (token_hash),
    CONSTRAINT fk_spent_refresh_tokens_session_id FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
);
CREATE INDEX ix_spent_refresh_tokens_session_id ON spent_refresh_tokens (session_id);
CREATE TABLE password_resets (
    id uuid NOT NULL,
    email text,
    user_id integer,
    token_hash bytea,
    request_id text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    expires_at timestamptz,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_password_resets PRIMARY KEY (id),
    CONSTRAINT uq_password_resets_token_hash UNIQUE (token_hash),
    CONSTRAINT ck_password_resets_waiting CHECK (
        (sent_at IS NULL) = (email IS NOT NULL) AND (sent_at IS NULL) = (user_id IS NULL)
        AND (sent_at IS NULL) = (token_hash IS NULL) AND (sent_at IS NULL) = (expires_at IS NULL)
    ),
    CONSTRAINT fk_password_resets_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX ix_password_resets_waiting ON password_resets (next_try_at) WHERE sent_at IS NULL;
CREATE INDEX ix_password_resets_user_id ON password_resets (user_id, sent_at);
CREATE INDEX ix_password_resets_expires_at ON password_resets (expires_at);
"""
DOWN = """
DROP TABLE password_resets;
DROP TABLE spent_refresh_tokens;
ALTER TABLE sessions DROP COLUMN revoked_for, DROP COLUMN revoked_at, DROP COLUMN used_at;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
