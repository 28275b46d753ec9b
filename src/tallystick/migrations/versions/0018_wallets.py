"""Tables of wallets."""

from tallystick.migrations.statements import execute

revision = "0018_wallets"
down_revision = "0017_credit_notes"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
