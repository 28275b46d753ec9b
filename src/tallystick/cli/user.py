"""`tallystick user`: people who sign in."""

import sys
from typing import Annotated, Any

import typer

from tallystick.cli import output
from tallystick.cli.output import JsonOption
from tallystick.cli.runtime import with_database
from tallystick.identity import admins
from tallystick.identity.emails import normalise
from tallystick.identity.passwords import Hasher
from tallystick.identity.tokens import new_secret
from tallystick.kernel.actor import system_actor
from tallystick.kernel.errors import Invalid
from tallystick.platform.db import Database
from tallystick.platform.settings import Settings, load_settings

app = typer.Typer(help="People who sign in.", no_args_is_help=True)
Email = Annotated[str | None, typer.Option(help="The address; TALLYSTICK_ADMIN_EMAIL otherwise.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.callback()
def _group() -> None:
    """Keeps a group of one command a group."""


@app.command("create-admin")
def create_admin(email: Email = None, password_stdin: FromStdin = False, as_json: JsonOption = False) -> None:
    """Make an admin, or give a known one a new password. Without a password one is made up and printed once."""
    settings = load_settings()
    address = _address(email or settings.admin_email or admins.DEFAULT_EMAIL)
    given = sys.stdin.readline().rstrip("\n") if password_stdin else _configured(settings, address)
    password = given if given is not None else new_secret()[:24]

    async def work(database: Database) -> admins.Outcome:
        hasher = Hasher(settings.bcrypt_cost)
        try:
            return await admins.ensure(database, hasher, system_actor("cli"), address, password)
        finally:
            hasher.close()

    outcome = with_database(work, settings=settings)
    shown: dict[str, Any] = {"user_id": outcome.user.id, "email": outcome.user.email, "done": outcome.done}
    output.record(shown if given is not None else {**shown, "password": password}, as_json=as_json)


async def ensure_at_start(database: Database, settings: Settings) -> str | None:
    """For the supervisor: the admin that the settings name, or in development a first one. The line to print, if any."""
    hasher, actor = Hasher(settings.bcrypt_cost), system_actor("start")
    try:
        if settings.admin_email is not None and settings.admin_password is not None:
            password = settings.admin_password.get_secret_value()
            outcome = await admins.ensure(database, hasher, actor, _address(settings.admin_email), password)
            return None if outcome.done == "kept" else f"admin      {outcome.user.email} ({outcome.done})"
        if settings.environment != "development":
            return None
        made_up = new_secret()[:24]
        first = await admins.ensure_first(database, hasher, actor, made_up)
        return (
            None if first is None else f"admin      {first.user.email}, password {made_up} (shown this once)"
        )
    finally:
        hasher.close()


def _configured(settings: Settings, address: str) -> str | None:
    """The configured password, for the configured admin only."""
    if (
        settings.admin_email is None
        or settings.admin_password is None
        or _address(settings.admin_email) != address
    ):
        return None
    return settings.admin_password.get_secret_value()


def _address(text: str) -> str:
    try:
        return normalise(text)
    except ValueError as problem:
        raise Invalid.field("email", str(problem)) from None
