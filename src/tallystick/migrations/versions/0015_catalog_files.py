"""What catalog files were applied, with the catalog before and after."""

from tallystick.migrations.statements import execute

revision = "0015_catalog_files"
down_revision = "0014_sessions"

UP = """
CREATE TABLE catalog_files (
    number integer NOT NULL,
    kind text NOT NULL,
    rolled_back_to integer,
    entity_id integer NOT NULL,
    principal text NOT NULL,
    request_id text NOT NULL DEFAULT '',
    name text NOT NULL,
    digest text NOT NULL,
    prune boolean NOT NULL,
    summary jsonb NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_catalog_files PRIMARY KEY (number),
    CONSTRAINT fk_catalog_files_entity_id FOREIGN KEY (entity_id) REFERENCES entities (id),
    CONSTRAINT ck_catalog_files_number CHECK (number >= 1),
    CONSTRAINT ck_catalog_files_kind CHECK (kind IN ('apply', 'rollback')),
    CONSTRAINT ck_catalog_files_rolled_back_to CHECK (
        (kind = 'rollback') = (rolled_back_to IS NOT NULL) AND rolled_back_to >= 0 AND rolled_back_to < number
    )
);
CREATE TRIGGER catalog_files_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON catalog_files
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
DOWN = """
DROP TABLE catalog_files;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
