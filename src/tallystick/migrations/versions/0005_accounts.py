"""Tables of accounts."""

from tallystick.migrations.statements import execute

revision = "0005_accounts"
down_revision = "0004_entities"

UP = """
CREATE TABLE test_clocks (
    id uuid NOT NULL,
    entity_id integer NOT NULL,
    name text NOT NULL,
    frozen_time timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'ready',
    target timestamptz,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_test_clocks PRIMARY KEY (id),
    CONSTRAINT fk_test_clocks_entity_id FOREIGN KEY (entity_id) REFERENCES entities (id),
    CONSTRAINT ck_test_clocks_status CHECK (status IN ('ready', 'advancing', 'failed')),
    CONSTRAINT ck_test_clocks_target CHECK (status = 'ready' OR target >= frozen_time)
);
CREATE TRIGGER test_clocks_updated_at BEFORE UPDATE ON test_clocks FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE accounts (
    no bigint GENERATED ALWAYS AS IDENTITY,
    id text COLLATE "C" NOT NULL,
    entity_id integer NOT NULL,
    external_id text COLLATE "C",
    currency text NOT NULL,
    timezone text NOT NULL,
    zone_history jsonb NOT NULL,
    locale text,
    country text,
    status text NOT NULL DEFAULT 'open',
    livemode boolean NOT NULL,
    test_clock_id uuid,
    metadata jsonb NOT NULL,
    usage_from timestamptz NOT NULL,
    usage_billed_to timestamptz NOT NULL,
    next_usage_billing_at timestamptz,
    next_billing_at timestamptz,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_accounts PRIMARY KEY (no),
    CONSTRAINT uq_accounts_id UNIQUE (id),
    CONSTRAINT uq_accounts_entity_id_external_id UNIQUE (entity_id, external_id),
    CONSTRAINT fk_accounts_entity_id FOREIGN KEY (entity_id) REFERENCES entities (id),
    CONSTRAINT fk_accounts_test_clock_id FOREIGN KEY (test_clock_id) REFERENCES test_clocks (id),
    CONSTRAINT ck_accounts_status CHECK (status IN ('open', 'closed')),
    CONSTRAINT ck_accounts_closed CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT ck_accounts_clock CHECK (test_clock_id IS NULL OR NOT livemode),
    CONSTRAINT ck_accounts_next_billing CHECK (next_billing_at <= next_usage_billing_at),
    CONSTRAINT ck_accounts_usage_billed CHECK (usage_billed_to >= usage_from)
);
CREATE INDEX ix_accounts_test_clock_id ON accounts (test_clock_id) WHERE test_clock_id IS NOT NULL;
CREATE INDEX ix_accounts_next_billing_at ON accounts (next_billing_at, no) WHERE next_billing_at IS NOT NULL;
CREATE TRIGGER accounts_updated_at BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE account_profiles (
    account_no bigint NOT NULL,
    entity_id integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    email text,
    email_key text COLLATE "C",
    phone text,
    address jsonb,
    tax_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_account_profiles PRIMARY KEY (account_no),
    CONSTRAINT uq_account_profiles_entity_id_email_key UNIQUE (entity_id, email_key),
    CONSTRAINT fk_account_profiles_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT ck_account_profiles_email CHECK ((email IS NULL) = (email_key IS NULL))
);
CREATE INDEX ix_account_profiles_name ON account_profiles (name, account_no);
CREATE TRIGGER account_profiles_updated_at BEFORE UPDATE ON account_profiles
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
"""
DOWN = """
DROP TABLE account_profiles;
DROP TABLE accounts;
DROP TABLE test_clocks;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
