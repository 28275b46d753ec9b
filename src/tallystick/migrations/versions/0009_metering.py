"""Tables of metering."""

from tallystick.migrations.statements import execute

revision = "0009_metering"
down_revision = "0008_ledger"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
