"""Tables of coupons."""

from tallystick.migrations.statements import execute

revision = "0019_coupons"
down_revision = "0018_wallets"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
