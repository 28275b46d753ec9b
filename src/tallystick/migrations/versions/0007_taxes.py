"""Tables of taxes."""

from tallystick.migrations.statements import execute

revision = "0007_taxes"
down_revision = "0006_catalog"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
