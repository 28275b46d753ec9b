"""Tables of invoicing."""

from tallystick.migrations.statements import execute

revision = "0010_invoicing"
down_revision = "0009_metering"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
