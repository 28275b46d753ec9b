"""Tables of subscriptions."""

from tallystick.migrations.statements import execute

revision = "0011_subscriptions"
down_revision = "0010_invoicing"

UP = ""
DOWN = ""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
