"""Tables of invoicing: discounts, credits and settlement on documents."""

from tallystick.migrations.statements import execute

revision = "0016_documents"
down_revision = "0015_catalog_files"

UP = """
"""
DOWN = """
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
