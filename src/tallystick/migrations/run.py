"""Walks the history from Python: the supervisor, the command line and the tests."""

import asyncio
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config

_HERE = Path(__file__).parent
_IN_THIS_PROCESS = threading.Lock()
"""Alembic keeps what it works on in a global; between processes `env.py` takes a lock in the database."""


def configuration(url: str) -> Config:
    """Alembic's configuration for `url`, whatever the working directory."""
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Brings the schema to `revision`. A repeat does nothing. Must not run inside an event loop."""
    with _IN_THIS_PROCESS:
        command.upgrade(configuration(url), revision)


def downgrade(url: str, revision: str = "base") -> None:
    """Takes the schema back to `revision`."""
    with _IN_THIS_PROCESS:
        command.downgrade(configuration(url), revision)


async def upgrade_async(url: str) -> None:
    """As `upgrade`, from inside an event loop."""
    await asyncio.to_thread(upgrade, url)
