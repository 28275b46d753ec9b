"""Tables of entities."""

from tallystick.migrations.statements import execute

revision = "0004_entities"
down_revision = "0003_identity"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
