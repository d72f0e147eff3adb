"""Registers the command line; the libraries are loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from retaia_core.hooks import Provider, Role, hookimpl


def _command_line() -> Callable[[Sequence[str] | None], int]:
    from .app import run

    return run


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    return (Provider(role=Role.COMMAND_LINE, name="cli", factory=_command_line),)
