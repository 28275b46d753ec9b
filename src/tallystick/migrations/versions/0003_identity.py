"""Tables of identity."""

from tallystick.migrations.statements import execute

revision = "0003_identity"
down_revision = "0002_audit"

UP = """
CREATE TABLE users (
    id integer GENERATED ALWAYS AS IDENTITY,
    role text NOT NULL,
    entity_id integer NOT NULL DEFAULT 1,
    account_no bigint,
    account_id text,
    status text NOT NULL DEFAULT 'active',
    token_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT ck_users_role CHECK (role IN ('admin', 'finance', 'support', 'customer')),
    CONSTRAINT ck_users_status CHECK (status IN ('active', 'disabled', 'erased')),
    CONSTRAINT ck_users_account CHECK (
        (account_no IS NULL) = (account_id IS NULL) AND (role = 'customer') = (account_no IS NOT NULL)
    )
);
CREATE INDEX ix_users_account_no ON users (account_no) WHERE account_no IS NOT NULL;
CREATE TRIGGER users_updated_at BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE user_profiles (
    user_id integer NOT NULL,
    email text NOT NULL,
    first_name text NOT NULL,
    last_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_user_profiles PRIMARY KEY (user_id),
    CONSTRAINT fk_user_profiles_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE UNIQUE INDEX ix_user_profiles_email ON user_profiles (lower(email));
CREATE TRIGGER user_profiles_updated_at BEFORE UPDATE ON user_profiles FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE credentials (
    user_id integer NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_credentials PRIMARY KEY (user_id),
    CONSTRAINT fk_credentials_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE TRIGGER credentials_updated_at BEFORE UPDATE ON credentials FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE sessions (
    id uuid NOT NULL,
    user_id integer NOT NULL,
    refresh_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT uq_sessions_refresh_hash UNIQUE (refresh_hash),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE TABLE api_keys (
    id integer GENERATED ALWAYS AS IDENTITY,
    entity_id integer NOT NULL,
    name text NOT NULL,
    hint text NOT NULL,
    key_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_by integer,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT uq_api_keys_key_hash UNIQUE (key_hash),
    CONSTRAINT ck_api_keys_scopes CHECK (cardinality(scopes) > 0),
    CONSTRAINT fk_api_keys_created_by FOREIGN KEY (created_by) REFERENCES users (id)
);
CREATE INDEX ix_api_keys_entity_id ON api_keys (entity_id, id);
CREATE TRIGGER api_keys_updated_at BEFORE UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION set_updated_at();
"""
DOWN = """
DROP TABLE api_keys;
DROP TABLE sessions;
DROP TABLE credentials;
DROP TABLE user_profiles;
DROP TABLE users;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
