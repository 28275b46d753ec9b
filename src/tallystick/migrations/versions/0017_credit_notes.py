"""Tables of credit notes."""

from tallystick.migrations.statements import execute

revision = "0017_credit_notes"
down_revision = "0016_documents"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
