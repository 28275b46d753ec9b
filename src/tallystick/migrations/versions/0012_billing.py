"""Tables of billing."""

from tallystick.migrations.statements import execute

revision = "0012_billing"
down_revision = "0011_subscriptions"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
