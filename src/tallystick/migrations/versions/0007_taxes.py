"""Tables of taxes."""

from tallystick.migrations.statements import execute

revision = "0007_taxes"
down_revision = "0006_catalog"

UP = """
CREATE TABLE taxes (
    id integer GENERATED ALWAYS AS IDENTITY,
    entity_id integer NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    rate numeric NOT NULL,
    is_default boolean NOT NULL,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_taxes PRIMARY KEY (id),
    CONSTRAINT uq_taxes_entity_id_code UNIQUE (entity_id, code),
    CONSTRAINT fk_taxes_entity_id FOREIGN KEY (entity_id) REFERENCES entities (id),
    CONSTRAINT ck_taxes_rate CHECK (rate >= 0 AND rate <= 100)
);
CREATE TRIGGER taxes_updated_at BEFORE UPDATE ON taxes FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE account_taxes (
    account_no bigint NOT NULL,
    tax_id integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_account_taxes PRIMARY KEY (account_no, tax_id),
    CONSTRAINT fk_account_taxes_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT fk_account_taxes_tax_id FOREIGN KEY (tax_id) REFERENCES taxes (id)
);
"""
DOWN = """
DROP TABLE account_taxes;
DROP TABLE taxes;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
