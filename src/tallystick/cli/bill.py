"""`tallystick bill`: a billing run from the command line."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.accounts import queries as accounts
from tallystick.billing.domain.runs import Run
from tallystick.billing.service import runs
from tallystick.billing.views import run_view
from tallystick.cli import output
from tallystick.cli.runtime import with_database
from tallystick.kernel.actor import system_actor
from tallystick.kernel.clock import parse_instant
from tallystick.kernel.errors import Invalid
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid, system_now


def register(app: typer.Typer) -> None:
    """Adds `bill`."""
    app.command()(bill)


def bill(
    as_of: Annotated[
        str | None, typer.Option(help="Bill what is due at this instant (RFC 3339); now by default.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Bill this account only, also if it was parked.")
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Bill everything that is due, and say which accounts could not be billed. A repeat bills nothing twice."""
    instant = _instant(as_of) if as_of else None
    run = with_database(lambda database: _bill(database, instant, account, quiet=as_json))
    view = run_view(run)
    if as_json:
        output.print_json(view)
    else:
        output.console.print(
            f"{run.accounts_done} accounts, {run.invoices} invoices, {run.parked} parked", markup=False
        )
        parked: list[dict[str, Any]] = [
            {"account": each.account_id, "code": each.code, "reason": each.reason}
            for each in run.parked_accounts
        ]
        if parked:
            output.rows(parked, as_json=False, title="Parked; mend the reason, then bill the account by name")
    if run.parked:
        raise typer.Exit(1)


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise Invalid.field("as-of", str(error)) from None


async def _bill(database: Database, as_of: datetime | None, account_id: str | None, *, quiet: bool) -> Run:
    actor = system_actor("cli")
    now = system_now()
    async with database.read() as session:
        account = await accounts.by_id(session, account_id) if account_id else None
        if account is not None:
            now = await accounts.business_now(session, account, now)
    with Progress(
        TextColumn("billing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=_errors(),
        disable=quiet,
        transient=True,
    ) as bar:
        task = bar.add_task("billing", total=None)

        def show(state: Run) -> None:
            bar.update(task, completed=state.accounts_done, total=state.accounts_due)

        return await runs.run_now(
            database,
            actor,
            run_id=new_uuid(),
            as_of=as_of or now,
            now=lambda: now,
            new_id=new_uuid,
            account=account,
            progress=show,
        )


def _errors() -> Any:
    from rich.console import Console

    return Console(stderr=True)
