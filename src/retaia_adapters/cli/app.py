"""The command ``retaia`` and its sub-commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from retaia_core import __version__
from retaia_core.errors import RetaiaError
from retaia_core.hooks import load_plugins
from retaia_core.hooks.exits import Exit

from . import (
    agent,
    assets,
    batches,
    client,
    decisions,
    doctor,
    history,
    machines,
    operation,
    purge,
    recover,
    settings,
    sidecars,
    user,
    verify,
)
from .output import Output

HELP = (
    """Take inventory of footage, prepare it for review, and move it only when a person says so."""
)

EPILOGUE = """Exit codes: 0 done · 1 refused or failed · 2 wrong usage or settings · \
3 storage, server or database not there now · 4 no such asset · 130 interrupted."""


def build_app() -> App:
    """Put the sub-commands together, those of plugins included."""
    app = App(name="retaia", help=HELP, help_epilogue=EPILOGUE, version=__version__)
    for module in (
        machines,
        agent,
        assets,
        decisions,
        batches,
        recover,
        purge,
        verify,
        operation,
        history,
        doctor,
        settings,
        sidecars,
        user,
        client,
    ):
        module.register(app)
    app.register_install_completion_command(add_to_startup=False)
    return app


def _extra(arguments: Sequence[str]) -> int | None:
    """Run a plugin's command, where the first word names one."""
    if not arguments or arguments[0].startswith("-"):
        return None
    for command in load_plugins().commands():
        if command.name == arguments[0]:
            return command.run(list(arguments[1:]))
    return None


def _announce_extra(app: App) -> None:
    """Name the plugins' commands in the help; `_extra` runs them."""
    for command in load_plugins().commands():
        app.command(App(name=command.name, help=command.help))


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _extra(arguments)
        if code is not None:
            return code
        app = build_app()
        if not arguments or arguments[0] in ("--help", "-h"):
            _announce_extra(app)
        result = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return Exit.USAGE
    except RetaiaError as error:
        Output(as_json=False).tell(f"retaia: {error}", "red")
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return int(result) if isinstance(result, int) else Exit.OK
