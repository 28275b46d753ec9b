"""Tables of backfills."""

from tallystick.migrations.statements import execute

revision = "0022_backfills"
down_revision = "0021_corrections"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
