"""Runs a block of SQL statement by statement: the driver prepares one statement at a time."""

import re

from alembic import op

_SPLIT = re.compile(r"(\$\w*\$)|;")


def statements(block: str) -> list[str]:
    """The statements of `block`; a semicolon inside dollar quotes ends nothing."""
    found: list[str] = []
    start, quote = 0, None
    for match in _SPLIT.finditer(block):
        if match[1]:
            quote = None if quote == match[1] else quote or match[1]
        elif quote is None:
            found.append(block[start : match.start()])
            start = match.end()
    found.append(block[start:])
    return [statement.strip() for statement in found if statement.strip()]


def execute(block: str) -> None:
    """Runs every statement of `block` in the migration's transaction."""
    for statement in statements(block):
        op.execute(statement.replace(":", r"\:") if ":" in statement else statement)
