"""Tables of wallets."""

from tallystick.migrations.statements import execute

revision = "0018_wallets"
down_revision = "0017_credit_notes"

UP = """
CREATE TABLE wallets (
    id uuid NOT NULL,
    account_no bigint NOT NULL,
    entity_id integer NOT NULL,
    currency text NOT NULL,
    name text NOT NULL,
    priority smallint NOT NULL,
    meters text[] NOT NULL DEFAULT '{}',
    plans text[] NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    opened_at timestamptz NOT NULL,
    terminated_at timestamptz,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_wallets PRIMARY KEY (id),
    CONSTRAINT fk_wallets_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT ck_wallets_expires_at CHECK (expires_at > opened_at)
);
CREATE INDEX ix_wallets_account_no ON wallets (account_no, id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON wallets FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE wallet_grants (
    id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    account_no bigint NOT NULL,
    entity_id integer NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    description text NOT NULL DEFAULT '',
    amount numeric NOT NULL,
    price numeric NOT NULL,
    remaining numeric NOT NULL,
    held numeric NOT NULL DEFAULT 0,
    priority smallint,
    meters text[],
    plans text[],
    expires_at timestamptz,
    ends_at timestamptz,
    granted_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_wallet_grants PRIMARY KEY (id),
    CONSTRAINT fk_wallet_grants_wallet_id FOREIGN KEY (wallet_id) REFERENCES wallets (id),
    CONSTRAINT ck_wallet_grants_kind CHECK (kind IN ('paid', 'granted')),
    CONSTRAINT ck_wallet_grants_amount CHECK (amount > 0 AND amount < 1e15 AND price >= 0 AND price <= amount),
    CONSTRAINT ck_wallet_grants_price CHECK ((kind = 'paid') = (price > 0)),
    CONSTRAINT ck_wallet_grants_remaining CHECK (remaining >= held AND held >= 0 AND remaining <= amount)
);
CREATE INDEX ix_wallet_grants_wallet_id ON wallet_grants (wallet_id, id);
CREATE INDEX ix_wallet_grants_left ON wallet_grants (account_no) WHERE remaining > 0;
CREATE INDEX ix_wallet_grants_ending ON wallet_grants (ends_at) WHERE remaining > 0 AND ends_at IS NOT NULL;
CREATE TABLE wallet_holds (
    id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    account_no bigint NOT NULL,
    amount numeric NOT NULL,
    captured numeric NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'active',
    description text NOT NULL DEFAULT '',
    held_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_wallet_holds PRIMARY KEY (id),
    CONSTRAINT fk_wallet_holds_wallet_id FOREIGN KEY (wallet_id) REFERENCES wallets (id),
    CONSTRAINT ck_wallet_holds_status CHECK (status IN ('active', 'captured', 'released', 'expired')),
    CONSTRAINT ck_wallet_holds_amount CHECK (amount > 0 AND amount < 1e15 AND captured >= 0 AND captured <= amount),
    CONSTRAINT ck_wallet_holds_captured CHECK ((status = 'captured') = (captured > 0)),
    CONSTRAINT ck_wallet_holds_ended_at CHECK ((status = 'active') = (ended_at IS NULL))
);
CREATE INDEX ix_wallet_holds_wallet_id ON wallet_holds (wallet_id, id);
CREATE INDEX ix_wallet_holds_active ON wallet_holds (expires_at) WHERE status = 'active';
CREATE TRIGGER set_updated_at BEFORE UPDATE ON wallet_holds FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE wallet_transactions (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    wallet_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    held numeric NOT NULL DEFAULT 0,
    remaining numeric NOT NULL,
    invoice_id uuid,
    position integer,
    hold_id uuid,
    facts jsonb,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_wallet_transactions PRIMARY KEY (id),
    CONSTRAINT ck_wallet_transactions_kind
        CHECK (kind IN ('top_up', 'draw', 'give_back', 'take_back', 'expiry', 'forfeit', 'hold', 'release', 'capture')),
    CONSTRAINT ck_wallet_transactions_amount CHECK (amount > -1e15 AND amount < 1e15 AND held > -1e15 AND held < 1e15
        AND (amount <> 0 OR held <> 0) AND remaining >= 0 AND remaining < 1e15),
    CONSTRAINT ck_wallet_transactions_sign CHECK (CASE WHEN kind IN ('top_up', 'give_back') THEN amount > 0
        WHEN kind IN ('hold', 'release') THEN amount = 0 ELSE amount < 0 END),
    CONSTRAINT ck_wallet_transactions_line CHECK ((kind IN ('draw', 'give_back', 'take_back')) = (invoice_id IS NOT NULL)
        AND (kind IN ('give_back', 'take_back')) = (position IS NOT NULL) AND (kind = 'draw') = (facts IS NOT NULL)),
    CONSTRAINT ck_wallet_transactions_hold CHECK ((kind IN ('hold', 'release', 'capture')) = (hold_id IS NOT NULL))
);
CREATE INDEX ix_wallet_transactions_wallet_id ON wallet_transactions (wallet_id, id);
CREATE INDEX ix_wallet_transactions_invoice_id ON wallet_transactions (invoice_id) WHERE invoice_id IS NOT NULL;
CREATE INDEX ix_wallet_transactions_hold_id ON wallet_transactions (hold_id) WHERE hold_id IS NOT NULL;
CREATE FUNCTION wallet_transactions_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what happened to a wallet is not changed; add what corrects it' USING ERRCODE = '23001';
END $$;
CREATE TRIGGER wallet_transactions_are_final BEFORE UPDATE OR DELETE ON wallet_transactions
    FOR EACH ROW EXECUTE FUNCTION wallet_transactions_are_final();
"""
DOWN = """
DROP TABLE wallet_transactions;
DROP FUNCTION wallet_transactions_are_final();
DROP TABLE wallet_holds;
DROP TABLE wallet_grants;
DROP TABLE wallets;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
