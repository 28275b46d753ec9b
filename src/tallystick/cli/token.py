"""`tallystick token`: an access token for scripts on this machine."""

from typing import Annotated

import typer

from tallystick.audit import service as audit
from tallystick.cli import output
from tallystick.cli.output import JsonOption
from tallystick.cli.runtime import with_database
from tallystick.identity import queries, service, tokens
from tallystick.identity.domain import User
from tallystick.identity.startup import access_key
from tallystick.kernel.actor import system_actor
from tallystick.kernel.errors import NotFound
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.settings import load_settings

Email = Annotated[str | None, typer.Option(help="Whose; the first admin's otherwise.")]
Seconds = Annotated[int, typer.Option(min=1, max=86400, help="How long it lives.")]


def register(app: typer.Typer) -> None:
    """Adds `token`."""
    app.command()(token)


def token(email: Email = None, seconds: Seconds = 3600, as_json: JsonOption = False) -> None:
    """Print an access token: curl -H "Authorization: Bearer $(tallystick token)" … Issuing it is written to the audit log."""
    settings = load_settings()
    key = access_key(settings)

    async def work(database: Database) -> tuple[User, str]:
        async with database.write() as session:
            user = (
                await queries.first_admin(session) if email is None else await queries.active(session, email)
            )
            if user is None:
                raise NotFound(
                    "No such user; `tallystick user create-admin` makes an admin", code="user_not_found"
                )
            after = {"seconds": seconds}
            await audit.record(
                session, system_actor("cli"), "token.issued", "user", str(user.id), None, after
            )
        standing = service.standing_of(user)
        made = tokens.issue(key, standing, None, now=system_now(), seconds=seconds, jti=str(new_uuid()))
        return user, made

    user, made = with_database(work, settings=settings)
    if as_json:
        shown = {
            "access_token": made,
            "token_type": "bearer",
            "expires_in": seconds,
            "user_id": user.id,
            "email": user.email,
        }
        output.print_json(shown)
    else:
        typer.echo(made)
