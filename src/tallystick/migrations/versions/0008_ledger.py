"""Tables of ledger."""

from tallystick.migrations.statements import execute

revision = "0008_ledger"
down_revision = "0007_taxes"

UP = """
CREATE TABLE ledger_accounts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    account_no bigint NOT NULL DEFAULT 0,
    entity_id integer NOT NULL,
    code text NOT NULL,
    gl_code text NOT NULL DEFAULT '',
    currency text NOT NULL,
    version bigint,
    balance numeric,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_ledger_accounts PRIMARY KEY (id),
    CONSTRAINT uq_ledger_accounts_identity UNIQUE (account_no, entity_id, code, gl_code, currency),
    CONSTRAINT ck_ledger_accounts_balance_of_customers CHECK ((account_no = 0) = (balance IS NULL)),
    CONSTRAINT ck_ledger_accounts_version_of_customers CHECK ((account_no = 0) = (version IS NULL)),
    CONSTRAINT ck_ledger_accounts_balance CHECK (balance > -1e18 AND balance < 1e18),
    CONSTRAINT ck_ledger_accounts_currency CHECK (length(currency) = 3)
) WITH (fillfactor = 70);
CREATE TABLE ledger_postings (
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    kind text NOT NULL,
    entity_id integer NOT NULL,
    currency text NOT NULL,
    occurred_at timestamptz NOT NULL,
    source_type text NOT NULL,
    source_id text NOT NULL,
    entries integer NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_ledger_postings PRIMARY KEY (id),
    CONSTRAINT uq_ledger_postings_key UNIQUE (key),
    CONSTRAINT ck_ledger_postings_entries CHECK (entries >= 2)
);
CREATE INDEX ix_ledger_postings_source ON ledger_postings (source_type, source_id);
CREATE TABLE ledger_entries (
    posting_id bigint NOT NULL,
    position integer NOT NULL,
    account_id bigint NOT NULL,
    currency text NOT NULL,
    amount numeric NOT NULL,
    version bigint,
    balance numeric,
    period_start timestamptz,
    period_end timestamptz,
    CONSTRAINT pk_ledger_entries PRIMARY KEY (posting_id, position),
    CONSTRAINT ck_ledger_entries_amount CHECK (amount <> 0 AND amount > -1e15 AND amount < 1e15),
    CONSTRAINT ck_ledger_entries_chain CHECK ((version IS NULL) = (balance IS NULL)),
    CONSTRAINT ck_ledger_entries_balance CHECK (balance > -1e18 AND balance < 1e18),
    CONSTRAINT ck_ledger_entries_period CHECK (period_start < period_end)
);
CREATE INDEX ix_ledger_entries_account_id ON ledger_entries (account_id, posting_id, position);
CREATE UNIQUE INDEX uq_ledger_entries_version ON ledger_entries (account_id, version) WHERE version IS NOT NULL;
CREATE TABLE ledger_closings (
    account_id bigint NOT NULL,
    through_posting bigint NOT NULL,
    balance numeric NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_ledger_closings PRIMARY KEY (account_id, through_posting),
    CONSTRAINT ck_ledger_closings_balance CHECK (balance > -1e18 AND balance < 1e18)
);
CREATE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT posting_id INTO wrong FROM written
    GROUP BY posting_id, currency HAVING sum(amount) <> 0 OR count(*) < 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger posting % does not balance', wrong USING ERRCODE = 'TS001';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_balance();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_postings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_closings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_closings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_accounts_kept BEFORE DELETE OR TRUNCATE ON ledger_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
DOWN = """
DROP TABLE ledger_closings;
DROP TABLE ledger_entries;
DROP TABLE ledger_postings;
DROP TABLE ledger_accounts;
DROP FUNCTION ledger_check_balance();
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
