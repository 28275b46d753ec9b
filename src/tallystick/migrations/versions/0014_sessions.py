"""Tables of identity."""

from tallystick.migrations.statements import execute

revision = "0014_sessions"
down_revision = "0013_meters"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
