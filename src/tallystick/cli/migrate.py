"""`tallystick migrate`: the schema, brought up to date."""

import asyncio
from typing import Annotated

import typer

from tallystick.cli.runtime import servers
from tallystick.migrations.readers import allow_reader
from tallystick.migrations.run import upgrade
from tallystick.platform.settings import load_settings


def register(app: typer.Typer) -> None:
    """Adds `migrate`."""
    app.command()(migrate)


def migrate(
    revision: Annotated[str, typer.Argument(help="Where to stop; the newest by default.")] = "head",
    reader: Annotated[
        str | None,
        typer.Option(
            help="Let this role read the views of public_v1; made, without login, if there is none."
        ),
    ] = None,
) -> None:
    """Bring the database's schema up to date. A repeat does nothing."""
    with servers(load_settings(), migrate=False) as reached:
        upgrade(reached.database_url, revision)
        typer.echo("The schema is up to date.")
        if reader is not None:
            found = asyncio.run(allow_reader(reached.database_url, reader))
            typer.echo(f"{found.role} may read the {found.views} views of public_v1 and nothing else.")
            if found.made:
                typer.echo(
                    f"The role was made without login: GRANT {found.role} TO a user, or ALTER ROLE {found.role} LOGIN PASSWORD '…'."
                )
