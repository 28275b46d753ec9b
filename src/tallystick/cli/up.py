"""`tallystick up`: everything, until Ctrl-C."""

import os
import signal
import sys
from typing import Annotated

import typer

from tallystick.platform.settings import load_settings


def register(app: typer.Typer) -> None:
    """Adds `up`."""
    app.command()(up)


def up(
    reload: Annotated[
        bool, typer.Option("--reload", help="Start the services again when a source changes.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Bill the sample month first if the database is empty.")
    ] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Start PostgreSQL, Redis and every service, and stop them all on Ctrl-C."""
    load_settings()
    chosen = {"--reload": reload, "--demo": demo, "--with-parent": with_parent}
    flags = [flag for flag, wanted in chosen.items() if wanted]
    sys.stdout.flush()
    # A Ctrl-C while the supervisor loads is kept for it, not lost and not a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    # The command line does not import what it starts: this process becomes the supervisor and keeps its number.
    os.execv(sys.executable, [sys.executable, "-m", "tallystick.apps.supervisor", *flags])  # noqa: S606
