"""Exit codes of ``retaia`` and of plugins' commands, documented in the reference."""

from __future__ import annotations

from enum import IntEnum

from ..errors import NotFound, PluginError, RetaiaError, SettingsError, Unavailable


class Exit(IntEnum):
    """What an exit code of ``retaia`` means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    NOT_FOUND = 4
    INTERRUPTED = 130


def exit_of(error: RetaiaError) -> Exit:
    """The exit code of an error.

    >>> exit_of(NotFound("there is no such asset")).name
    'NOT_FOUND'
    """
    if isinstance(error, Unavailable):
        return Exit.UNAVAILABLE
    if isinstance(error, NotFound):
        return Exit.NOT_FOUND
    if isinstance(error, SettingsError | PluginError):
        return Exit.USAGE
    return Exit.FAILED
