"""From a storage id and a relative path to a file that may be opened, checked every time.

An agent refuses to work on a mount whose marker is absent, invalid or of another storage (domain.md,
*Assets*): a lost mount is an empty folder, and must never look like a damaged library. There is no
fallback. Everything here may block for as long as a NAS does, which may be for ever: `Asking` asks in time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

import anyio
from attrs import define, field, frozen

from retaia_core.domain.identifiers import parse_rel_path
from retaia_core.domain.storage import MARKER_NAME, parse_marker
from retaia_core.errors import RetaiaError, ValidationFailed
from retaia_core.ports.transport import Bundle
from retaia_core.usecases.blocking import in_thread_of_its_own

T = TypeVar("T")

ANSWER_WITHIN_S = 30.0

_MARKER_BYTES = 64 * 1024
MTIME_STEP_NS = 1_000_000_000
"""Network filesystems round times, up to a whole second; a smaller difference is no change."""


class SourceProblem(RetaiaError):
    """A source must not be opened now. Messages name no absolute path: they go to the server."""

    code: ClassVar[str] = "SOURCE_REFUSED"


class NotMounted(SourceProblem):
    """This agent has no mount for the storage."""

    code = "STORAGE_NOT_MOUNTED"
    retryable = True


class MarkerProblem(SourceProblem):
    """The marker at the mount is absent, invalid, or of another storage."""

    code = "STORAGE_OFFLINE"
    retryable = True


class SourceChanged(SourceProblem):
    """The file is gone, or is not the one that the scan saw."""

    code = "SOURCE_CHANGED"
    retryable = True


class SourceDenied(SourceProblem):
    """The file is there, and this agent may not read it."""

    code = "SOURCE_DENIED"
    retryable = True


@frozen(kw_only=True)
class SourceFile:
    """What a claim says of the main file."""

    storage_id: str
    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, bundle: Bundle) -> SourceFile:
        """The source of a bundle."""
        return cls(
            storage_id=bundle.storage_id,
            path=bundle.path,
            size=bundle.size,
            mtime_ns=bundle.mtime_ns,
        )


@define(eq=False)
class Asking:
    """Asks mounts that may never answer: ``within`` so many seconds, and none that still owes an answer.

    A thread that a dead mount holds in the kernel cannot be ended; it is left behind, and there are no
    more of them than were asked at the same time.
    """

    within: float = ANSWER_WITHIN_S
    _under_way: dict[object, tuple[str, float]] = field(factory=dict, init=False)

    async def ask(self, storage_id: str, look: Callable[[], T]) -> T:
        """What a look at a mount finds.

        Raises:
            MarkerProblem: it does not answer.
        """
        now, mine = anyio.current_time(), object()
        owed = [since for other, since in [*self._under_way.values()] if other == storage_id]
        if all(now - since < self.within for since in owed):
            self._under_way[mine] = (storage_id, now)

            def whole() -> T:
                try:
                    return look()
                finally:
                    del self._under_way[mine]

            with anyio.move_on_after(self.within):
                return await in_thread_of_its_own(whole)
        raise MarkerProblem(
            f"the mount of storage {storage_id!r} did not answer within {self.within:g} s; "
            "is the disk awake, is the share reachable?"
        )


def open_source(mounts: Mapping[str, Path], source: SourceFile) -> Path:
    """Return the absolute, resolved path of a source after all checks.

    Raises:
        SourceProblem: its class says which check failed.
    """
    root = mounts.get(source.storage_id)
    if root is None:
        known = ", ".join(sorted(mounts)) or "none"
        raise NotMounted(
            f"storage {source.storage_id!r} is not mounted for this agent; mounted: {known}; "
            "add it to the agent's mounts"
        )
    check_marker(root, source.storage_id)
    found = _resolve(root, source.path)
    _check_same(found, source)
    return found


def find_sidecars(
    mounts: Mapping[str, Path], source: SourceFile, sidecars: Iterable[str]
) -> tuple[Path, ...]:
    """The sidecars of a source that was opened: those that are there and may be read.

    One that is not, or that leads out of its storage, is left out: the scan will say what became of it.
    """
    root = mounts[source.storage_id]
    found = []
    for path in sidecars:
        try:
            place = _resolve(root, path)
        except SourceProblem:
            continue
        if place.is_file() and os.access(place, os.R_OK):
            found.append(place)
    return tuple(found)


def check_marker(root: Path, storage_id: str) -> None:
    """Look at the marker of a mount now.

    Raises:
        MarkerProblem: absent, unreadable, invalid, or of another storage.
    """
    try:
        marker = parse_marker(_read_marker(root))
    except FileNotFoundError as error:
        raise MarkerProblem(
            f"the mount of storage {storage_id!r} has no {MARKER_NAME} file; is it mounted?"
        ) from error
    except OSError as error:
        raise MarkerProblem(
            f"the marker of storage {storage_id!r} cannot be read: {error.strerror}"
        ) from error
    except ValidationFailed as error:
        raise MarkerProblem(
            f"the marker of storage {storage_id!r} is not valid: {error.message}"
        ) from error
    if marker.storage_id != storage_id:
        raise MarkerProblem(
            f"what is mounted for storage {storage_id!r} is storage {marker.storage_id!r}"
        )


def _read_marker(root: Path) -> bytes:
    with open(root / MARKER_NAME, "rb", opener=_open_regular) as file:
        return file.read(_MARKER_BYTES)


def _open_regular(path: str, flags: int) -> int:
    """Open without waiting for a writer, should somebody have put a pipe there."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _resolve(root: Path, path: str) -> Path:
    try:
        joined = root / parse_rel_path(path)
    except ValidationFailed as error:
        raise SourceProblem(error.message) from error
    try:
        real_root, found = root.resolve(strict=True), joined.resolve(strict=True)
    except FileNotFoundError as error:
        raise SourceChanged(f"there is no file at {path!r} any more") from error
    except OSError as error:
        raise SourceDenied(f"{path!r} cannot be reached: {error.strerror or error}") from error
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise SourceProblem(f"{path!r} is a link to itself") from error
    if not found.is_relative_to(real_root):
        raise SourceProblem(f"{path!r} leads out of its storage through a link")
    return found


def _check_same(found: Path, source: SourceFile) -> None:
    try:
        seen = found.stat()
    except FileNotFoundError as error:
        raise SourceChanged(f"there is no file at {source.path!r} any more") from error
    except OSError as error:
        raise SourceDenied(f"{source.path!r} cannot be reached: {error.strerror}") from error
    if not stat.S_ISREG(seen.st_mode):
        raise SourceProblem(f"{source.path!r} is no regular file")
    if seen.st_size != source.size:
        raise SourceChanged(
            f"{source.path!r} has {seen.st_size} bytes, and had {source.size} when it was scanned"
        )
    if abs(seen.st_mtime_ns - source.mtime_ns) >= MTIME_STEP_NS:
        raise SourceChanged(f"{source.path!r} was modified since it was scanned")
    if not os.access(found, os.R_OK):
        raise SourceDenied(f"this agent may not read {source.path!r}")
