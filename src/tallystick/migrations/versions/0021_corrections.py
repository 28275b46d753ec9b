"""Tables of corrections."""

from tallystick.migrations.statements import execute

revision = "0021_corrections"
down_revision = "0020_tax_rules"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
