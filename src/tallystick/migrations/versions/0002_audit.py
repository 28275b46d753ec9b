"""Tables of audit."""

from tallystick.migrations.statements import execute

revision = "0002_audit"
down_revision = "0001_platform"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
