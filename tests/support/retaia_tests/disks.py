"""Disks that are not quite this machine's: calls that fail, lie or are watched; folders kept elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from retaia_adapters.files.disk import REAL, Disk

Call = Callable[[str, Callable[[], Any], tuple[Any, ...]], Any]
"""Given a call's name, the call itself, and its arguments: makes it or not, and answers or raises."""


class _Between:
    def __init__(self, below: Disk, call: Call) -> None:
        self._below = below
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        plain = getattr(self._below, name)

        def through(*arguments: Any) -> Any:
            return self._call(name, lambda: plain(*arguments), arguments)

        return through


def between(call: Call, below: Disk = REAL) -> Disk:
    """A disk every call of which goes through ``call``."""
    return cast("Disk", _Between(below, call))


def failing(name: str, code: int, *, when: Callable[..., bool] = lambda *_: True) -> Disk:
    """A disk on which one call fails without having done anything, where ``when`` says so."""

    def call(called: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        if called == name and when(*arguments):
            raise OSError(code, os.strerror(code))
        return do()

    return between(call)


def answering_wrong(name: str, code: int) -> Disk:
    """A file server that does what it is asked, loses its answer, and is asked again: once."""
    lost: list[str] = []

    def call(called: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        answer = do()
        if called == name and not lost:
            lost.append(called)
            raise OSError(code, os.strerror(code))
        return answer

    return between(call)


def kept_elsewhere(shown: str, kept: Path) -> Disk:
    """A disk that has one folder, ``shown``, whose content lies in ``kept``; nothing else is there.

    Whatever reaches for a path without asking the disk finds nothing.
    """
    inside = os.fspath(kept.resolve())

    def real(argument: Any) -> Any:
        if not isinstance(argument, str):
            return argument
        if argument != shown and not argument.startswith(shown + os.sep):
            return os.fspath(kept.with_name("outside of the disk")) + argument
        return inside + argument[len(shown) :]

    def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        if name in ("setxattr", "getxattr"):
            return do()
        answer = getattr(REAL, name)(*map(real, arguments))
        if name == "realpath" and (answer == inside or answer.startswith(inside + os.sep)):
            return shown + answer[len(inside) :]
        return answer

    return between(call)
