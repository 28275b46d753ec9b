"""Tables of ledger."""

from tallystick.migrations.statements import execute

revision = "0008_ledger"
down_revision = "0007_taxes"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
