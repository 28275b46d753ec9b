"""Tax rules: rates that change on a date, kinds and categories, accounts that are exempt or shift the tax, where tax is included."""

from tallystick.migrations.statements import execute

revision = "0020_tax_rules"
down_revision = "0019_coupons"

UP = """
ALTER TABLE entities
    ADD COLUMN tax_point text NOT NULL DEFAULT 'period_end',
    ADD COLUMN prices_include_tax boolean NOT NULL DEFAULT false;
ALTER TABLE entities
    ADD CONSTRAINT ck_entities_tax_point CHECK (tax_point IN ('period_end', 'issue_date'));
ALTER TABLE taxes
    ADD COLUMN kind text NOT NULL DEFAULT 'standard',
    ADD COLUMN categories text[] NOT NULL DEFAULT '{}',
    ADD COLUMN note text NOT NULL DEFAULT '';
ALTER TABLE taxes
    ADD CONSTRAINT ck_taxes_kind CHECK (kind IN ('standard', 'zero', 'exempt', 'reverse_charge')),
    ADD CONSTRAINT ck_taxes_rate_of_kind CHECK (kind = 'standard' OR rate = 0);
CREATE TABLE tax_rates (
    tax_id integer NOT NULL,
    valid_from date NOT NULL,
    rate numeric,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_tax_rates PRIMARY KEY (tax_id, valid_from),
    CONSTRAINT fk_tax_rates_tax_id FOREIGN KEY (tax_id) REFERENCES taxes (id),
    CONSTRAINT ck_tax_rates_rate CHECK (rate >= 0 AND rate <= 100)
);
CREATE TRIGGER tax_rates_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON tax_rates
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TABLE account_tax_treatments (
    account_no bigint NOT NULL,
    treatment text NOT NULL,
    note text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_account_tax_treatments PRIMARY KEY (account_no),
    CONSTRAINT fk_account_tax_treatments_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT ck_account_tax_treatments_treatment CHECK (treatment IN ('exempt', 'reverse_charge'))
);
CREATE TRIGGER account_tax_treatments_updated_at BEFORE UPDATE ON account_tax_treatments
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
"""
DOWN = """
DROP TABLE account_tax_treatments;
DROP TABLE tax_rates;
ALTER TABLE taxes DROP CONSTRAINT ck_taxes_rate_of_kind, DROP CONSTRAINT ck_taxes_kind;
ALTER TABLE taxes DROP COLUMN kind, DROP COLUMN categories, DROP COLUMN note;
ALTER TABLE entities DROP CONSTRAINT ck_entities_tax_point;
ALTER TABLE entities DROP COLUMN tax_point, DROP COLUMN prices_include_tax;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
