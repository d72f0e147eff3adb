"""The copies port: places where other copies of a storage's originals may lie; only ever read.

All methods are synchronous and may block for long; use cases call them in worker threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from ..domain.proof import Refusal
from ..domain.storage import Storage


class CopySeen(NamedTuple):
    """A regular file that stands at a path of a place, apart from the original it may be a copy of.

    ``size`` in bytes; ``stamp`` is an opaque text that is another one once somebody touched the file;
    ``same_disk`` says that it goes with the original where one disk is lost.
    """

    path: str
    size: int
    stamp: str
    same_disk: bool = False


class CopyRefused(Exception):
    """What stands there is no other copy, or cannot be looked at; ``message`` says why."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Copies(Protocol):
    """The places of other copies, as seen beside one storage."""

    def look(self, place: str, path: str, original: str) -> CopySeen | None:
        """What stands at a path of a place, as a copy of an original; None where nothing does.

        The original itself is never its own copy, whichever way leads to it: a second name (hard link),
        a link, the storage's own folder, or another mount of it.

        Raises:
            CopyRefused: the place is not there, or what stands there is no other copy.
        """
        ...

    def checksum(self, place: str, seen: CopySeen, pace: Callable[[int], None]) -> str | None:
        """The SHA-256 of a whole copy, ``sha256:`` and 64 hex digits; None where it is not as seen.

        ``pace`` is called with the bytes of every block that was read.

        Raises:
            CopyRefused: it cannot be read to its end.
        """
        ...


class NoCopies(Copies):
    """Where no places are set."""

    def look(self, place: str, path: str, original: str) -> CopySeen | None:
        """Nothing."""
        return None

    def checksum(self, place: str, seen: CopySeen, pace: Callable[[int], None]) -> str | None:
        """Nothing."""
        return None


OpenCopies = Callable[[Storage], Copies]
"""Opens the places beside one storage."""


def no_copies(storage: Storage) -> Copies:
    """Open no place."""
    return NoCopies()


CopiesFactory = Callable[[str, Mapping[str, str]], Copies]
"""What a plugin provides: a storage's root and the places by name, as the settings have them."""
