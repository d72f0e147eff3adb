"""Registers the command ``demo``; its libraries are loaded when it is run."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from retaia_core.hooks import Command, hookimpl

HELP = "Show everything on a small storage that it makes itself; your own files are not touched."


def _run(arguments: list[str]) -> int:
    try:
        from .command import run
    except ModuleNotFoundError as error:
        said = f"retaia demo needs the Python package {error.name!r}"
        sys.stderr.write(f"{said}; install it with: pip install 'retaia[all]'\n")
        return 2
    return run(arguments)


@hookimpl
def retaia_commands() -> Iterable[Command]:
    return (Command(name="demo", help=HELP, run=_run),)
