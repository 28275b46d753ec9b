"""Tables of the public_v1 views."""

from tallystick.migrations.statements import execute

revision = "0023_public_views"
down_revision = "0022_backfills"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
