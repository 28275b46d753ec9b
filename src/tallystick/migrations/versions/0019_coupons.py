"""Tables of coupons: what there is, who has it, and which invoices it lowered."""

from tallystick.migrations.statements import execute

revision = "0019_coupons"
down_revision = "0018_wallets"

UP = """
CREATE TABLE coupons (
    id integer GENERATED ALWAYS AS IDENTITY,
    entity_id integer NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    value numeric NOT NULL,
    currency text,
    duration text NOT NULL,
    periods integer,
    meters text[] NOT NULL,
    plans text[] NOT NULL,
    redeem_by timestamptz,
    max_redemptions bigint,
    per_account integer NOT NULL,
    is_active boolean NOT NULL,
    redemptions bigint NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_coupons PRIMARY KEY (id),
    CONSTRAINT uq_coupons_entity_id_code UNIQUE (entity_id, code),
    CONSTRAINT fk_coupons_entity_id FOREIGN KEY (entity_id) REFERENCES entities (id),
    CONSTRAINT ck_coupons_kind CHECK (kind IN ('fixed', 'percent')),
    CONSTRAINT ck_coupons_value CHECK (value > 0 AND value < 1e15 AND (kind = 'fixed' OR value <= 100)),
    CONSTRAINT ck_coupons_currency CHECK (length(currency) = 3),
    CONSTRAINT ck_coupons_fixed CHECK (kind = 'percent' OR currency IS NOT NULL),
    CONSTRAINT ck_coupons_duration CHECK (duration IN ('once', 'repeating', 'forever')),
    CONSTRAINT ck_coupons_periods CHECK ((duration = 'repeating') = (periods IS NOT NULL) AND periods BETWEEN 1 AND 1000),
    CONSTRAINT ck_coupons_redemptions CHECK (redemptions >= 0 AND redemptions <= max_redemptions AND per_account BETWEEN 1 AND 1000)
);
CREATE TRIGGER coupons_updated_at BEFORE UPDATE ON coupons FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE applied_coupons (
    id uuid NOT NULL,
    coupon_id integer NOT NULL,
    account_no bigint NOT NULL,
    currency text NOT NULL,
    uses_left integer,
    applied_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_applied_coupons PRIMARY KEY (id),
    CONSTRAINT fk_applied_coupons_coupon_id FOREIGN KEY (coupon_id) REFERENCES coupons (id),
    CONSTRAINT fk_applied_coupons_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT ck_applied_coupons_uses_left CHECK (uses_left >= 0),
    CONSTRAINT ck_applied_coupons_currency CHECK (length(currency) = 3)
);
CREATE INDEX ix_applied_coupons_account_no ON applied_coupons (account_no, id);
CREATE INDEX ix_applied_coupons_coupon_id ON applied_coupons (coupon_id);
CREATE TRIGGER applied_coupons_updated_at BEFORE UPDATE ON applied_coupons FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE coupon_uses (
    applied_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    position integer NOT NULL,
    kind text NOT NULL,
    value numeric NOT NULL,
    lines integer[] NOT NULL,
    amount numeric NOT NULL,
    voided boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_coupon_uses PRIMARY KEY (applied_id, invoice_id),
    CONSTRAINT fk_coupon_uses_applied_id FOREIGN KEY (applied_id) REFERENCES applied_coupons (id),
    CONSTRAINT ck_coupon_uses_value CHECK (value > 0 AND value < 1e15),
    CONSTRAINT ck_coupon_uses_amount CHECK (amount > 0 AND amount < 1e15)
);
CREATE INDEX ix_coupon_uses_invoice_id ON coupon_uses (invoice_id, position);
"""
DOWN = """
DROP TABLE coupon_uses;
DROP TABLE applied_coupons;
DROP TABLE coupons;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
