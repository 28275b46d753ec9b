"""Tables of accounts."""

from tallystick.migrations.statements import execute

revision = "0005_accounts"
down_revision = "0004_entities"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
