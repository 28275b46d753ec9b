"""Tables of metering."""

from tallystick.migrations.statements import execute

revision = "0013_meters"
down_revision = "0012_billing"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
