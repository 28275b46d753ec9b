"""Tables of billing."""

from tallystick.migrations.statements import execute

revision = "0012_billing"
down_revision = "0011_subscriptions"

UP = """
CREATE TABLE billing_runs (
    id uuid NOT NULL,
    account_no bigint,
    as_of timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    phase text NOT NULL DEFAULT 'waiting',
    accounts_due bigint NOT NULL DEFAULT 0,
    accounts_done bigint NOT NULL DEFAULT 0,
    invoices bigint NOT NULL DEFAULT 0,
    parked bigint NOT NULL DEFAULT 0,
    requested_by text NOT NULL,
    request_id text NOT NULL DEFAULT '',
    error text,
    claimed_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_billing_runs PRIMARY KEY (id),
    CONSTRAINT fk_billing_runs_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT ck_billing_runs_status CHECK (status IN ('pending', 'running', 'done', 'failed'))
);
CREATE INDEX ix_billing_runs_open ON billing_runs (created_at) WHERE status IN ('pending', 'running');
CREATE TRIGGER set_updated_at BEFORE UPDATE ON billing_runs FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE billing_parked (
    account_no bigint NOT NULL,
    run_id uuid,
    code text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_billing_parked PRIMARY KEY (account_no),
    CONSTRAINT fk_billing_parked_account_no FOREIGN KEY (account_no) REFERENCES accounts (no)
);
"""
DOWN = """
DROP TABLE billing_parked;
DROP TABLE billing_runs;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
