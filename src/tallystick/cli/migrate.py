"""`tallystick migrate`: the schema, brought up to date."""

from typing import Annotated

import typer

from tallystick.cli.runtime import servers
from tallystick.migrations.run import upgrade
from tallystick.platform.settings import load_settings


def register(app: typer.Typer) -> None:
    """Adds `migrate`."""
    app.command()(migrate)


def migrate(
    revision: Annotated[str, typer.Argument(help="Where to stop; the newest by default.")] = "head",
) -> None:
    """Bring the database's schema up to date. A repeat does nothing."""
    with servers(load_settings(), migrate=False) as reached:
        upgrade(reached.database_url, revision)
    typer.echo("The schema is up to date.")
