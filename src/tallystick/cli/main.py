"""`tallystick`: finds its commands by looking into this package, and turns refusals into a sentence and an exit status.

A module here adds commands by exposing `app` (a Typer group, named after the module) or `register(app)`; a module with neither is a
helper. Exit status: 0 done, 1 refused or failed, 2 wrong usage.
"""

import pkgutil
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from tallystick import cli
from tallystick.cli import output
from tallystick.kernel.errors import Refusal
from tallystick.platform.settings import SettingsError


def command_modules() -> list[str]:
    """The modules of this package, by name."""
    return sorted(module.name for module in pkgutil.iter_modules(cli.__path__) if module.name != "main")


def build(names: Sequence[str]) -> typer.Typer:
    """The program with the commands of the modules `names`."""
    program = typer.Typer(
        name="tallystick",
        help="Usage, subscriptions and calls in; exact, explained invoices and a double-entry ledger out.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    program.callback()(_program)
    for name in names:
        module = import_module(f"tallystick.cli.{name}")
        if hasattr(module, "register"):
            module.register(program)
        elif isinstance(getattr(module, "app", None), typer.Typer):
            program.add_typer(module.app, name=name.replace("_", "-"))
    return program


def _program() -> None:
    """Keeps a program of one command a program with commands."""


def _needed(arguments: Sequence[str]) -> list[str]:
    """Only the module a command lives in, where its name says so: the others' imports would double the start."""
    modules = command_modules()
    wanted = arguments[0].replace("-", "_") if arguments else ""
    return [wanted] if wanted in modules and _has_command(wanted, arguments[0]) else modules


def _has_command(module_name: str, command: str) -> bool:
    module = import_module(f"tallystick.cli.{module_name}")
    if hasattr(module, "register"):
        probe = typer.Typer()
        module.register(probe)
        named = [info.name or getattr(info.callback, "__name__", "") for info in probe.registered_commands]
        named += [info.name or "" for info in probe.registered_groups]
        return command in {str(name).replace("_", "-") for name in named}
    return isinstance(getattr(module, "app", None), typer.Typer)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; the exit status."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        status = build(_needed(arguments))(args=list(arguments), prog_name="tallystick", standalone_mode=True)
    except SystemExit as ended:
        return 0 if ended.code in (0, None) else 2 if ended.code == 2 else 1
    except Refusal as refusal:
        return output.refused(refusal)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


def _as_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """The entry point of the installed program."""
    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
