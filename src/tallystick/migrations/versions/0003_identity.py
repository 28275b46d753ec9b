"""Tables of identity."""

from tallystick.migrations.statements import execute

revision = "0003_identity"
down_revision = "0002_audit"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
