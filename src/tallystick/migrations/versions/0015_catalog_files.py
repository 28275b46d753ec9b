"""Tables of catalog."""

from tallystick.migrations.statements import execute

revision = "0015_catalog_files"
down_revision = "0014_sessions"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
