"""Tables of catalog."""

from tallystick.migrations.statements import execute

revision = "0006_catalog"
down_revision = "0005_accounts"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
