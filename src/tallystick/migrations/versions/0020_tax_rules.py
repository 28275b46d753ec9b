"""Tables of tax rules."""

from tallystick.migrations.statements import execute

revision = "0020_tax_rules"
down_revision = "0019_coupons"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
