"""The originals port: the folder of footage, touched by nothing but moves and purges a person ordered.

All methods are synchronous and may block for long (a NAS); use cases call them in worker threads. Paths
are relative to the storage root, with ``/``. Every method may raise `StorageOffline`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Protocol

from attrs import field, frozen

from ..domain.discovery import SeenFile, Skip
from ..domain.health import Problem
from ..domain.identifiers import StorageId
from ..domain.moves import DiskFile
from ..domain.storage import Layout, Marker, Trouble
from ..errors import RetaiaError, StorageOffline


class Entry(NamedTuple):
    """A regular file as a walk saw it: its name in its folder, size in bytes, mtime in nanoseconds."""

    name: str
    size: int
    mtime_ns: int


@frozen(kw_only=True)
class FolderListing:
    """One folder: its path (empty at the root), its files, what was passed over, and a digest.

    ``files`` are those that may be media or sidecars (names by `discovery.skip_reason` taken out), in
    no order. ``digest`` covers name, size and mtime of all of them, and the names passed over.
    """

    folder: str
    files: tuple[Entry, ...]
    skipped: tuple[tuple[str, Skip], ...]
    digest: str


@frozen(kw_only=True)
class FolderFound:
    """What is in a folder that nobody adopted: for the person who is asked."""

    files: int
    media: int
    has_inbox: bool
    marker: Marker | None = None
    problem: str = ""
    examples: tuple[str, ...] = field(factory=tuple)


class MoveRefused(Exception):
    """A rename or publication was not done, and the disk is as before; ``reason`` says why.

    Where there was no room, ``needed_bytes`` and ``free_bytes`` (None where that is not known) say how
    much.
    """

    def __init__(
        self, reason: str, *, needed_bytes: int | None = None, free_bytes: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


@frozen(kw_only=True)
class Moved:
    """How a file was moved: by another name alone, or (``copied_bytes``) to another filesystem.

    A copy was read back: ``checksum`` (as `Originals.checksum` gives it; empty where nothing was copied)
    is of what the target's disk holds. ``not_kept`` names what of the file its filesystem could not take
    over, such as ``owner`` or ``extended attribute user.rating``.
    """

    copied_bytes: int = 0
    checksum: str = ""
    not_kept: tuple[str, ...] = ()


Progress = Callable[[int, int], None]
"""Called with the bytes done and those to be done: of a copy each byte, written and read back, twice."""


def no_progress(done: int, total: int) -> None:
    """Nobody waits."""


class RemovalRefused(Exception):
    """A file was not removed and still stands; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Originals(Protocol):
    """One storage's originals."""

    def check(self) -> str | None:
        """Look at the marker now; None where it is ours, else why the storage is offline."""
        ...

    def probe(self, *, reserve: int, write: bool) -> Problem | None:
        """Look at all that work needs now: the marker, folders that answer, a disk that takes writes.

        None where everything is well. A disk with less than ``reserve`` bytes of free space is full.
        With ``write`` something small is written among the derived files, and removed.
        """
        reason = self.check()
        return None if reason is None else Problem(trouble=Trouble.MARKER, reason=reason)

    def mounts(self, layout: Layout) -> frozenset[str]:
        """Which of inbox, archive and rejects are filesystems of their own now.

        Raises:
            StorageOffline: that cannot be seen.
        """
        return frozenset()

    def walk(self, layout: Layout, known: Callable[[str], str | None]) -> Iterator[FolderListing]:
        """Yield every folder of inbox, archive and rejects, depth first, in a stable order.

        ``known`` tells the digest that a folder had at the last scan; where it is equal, the listing
        comes without its files (only the digest), so that an unchanged folder costs one look. A folder
        that cannot be read is a skip of its parent, never an end of the walk. Raises `StorageOffline`
        where the storage goes away in the middle.
        """
        ...

    def stat(self, path: str) -> DiskFile | None:
        """What stands at a path; None where nothing does."""
        ...

    def look(self, paths: Iterable[str]) -> Mapping[str, DiskFile | RetaiaError]:
        """What stands at several paths, as `stat` says of each; without an entry where nothing does.

        A path that cannot be looked at has its error, and hinders no other.

        Raises:
            StorageOffline: the storage went away.
        """
        found: dict[str, DiskFile | RetaiaError] = {}
        for path in paths:
            try:
                there = self.stat(path)
            except StorageOffline:
                raise
            except RetaiaError as error:
                found[path] = error
            else:
                if there is not None:
                    found[path] = there
        return found

    def names_in(self, folder: str) -> frozenset[str]:
        """All names in a folder; empty where there is no such folder."""
        ...

    def fingerprint(self, seen: SeenFile) -> str | None:
        """The quick content fingerprint: a digest over the size and three blocks (start, middle, end).

        None where the file cannot be read or is not as ``seen`` says any more.
        """
        ...

    def checksum(
        self, seen: SeenFile, pace: Callable[[int], None] = lambda count: None
    ) -> str | None:
        """``sha256:`` and the 64 hex digits of the whole file; None where it is not as ``seen`` says.

        ``pace`` is called after each block with the bytes just read; it may sleep, or raise to stop.
        Reading neither changes the access time nor fills the machine's memory with what was read.

        Raises:
            Unavailable: it cannot be read.
            StorageOffline: the storage went away.
        """
        ...

    def rename(self, source: str, target: str, progress: Progress = no_progress) -> Moved:
        """Move a file without ever replacing another; folders of the target are made.

        On one filesystem a rename that cannot replace, durable after `sync` of both folders only; else
        copy, fsync, verify by checksum, publish without replacing, fsync the folder, remove the source.
        Size and mtime are kept, permissions and other attributes where the target's filesystem can.

        ``progress`` may raise (but no `OSError`) to stop a copy. What was copied then, or before a crash
        or the loss of the storage, is taken up by the next try of the same move; see `clear`.

        Raises:
            MoveRefused: the target is taken, or the source is not there; nothing was changed.
            StorageOffline: the storage went away.
            OSError: it failed in the middle; what stands on disk is to be looked at.
        """
        ...

    def clear(self, source: str, target: str) -> None:
        """Remove what a copy that was cut left beside the target; harmless where there is nothing.

        For a move that will not be tried again: `rename` and `settle` leave nothing where they end.
        """
        ...

    def sync(self, folders: Iterable[str]) -> None:
        """Make the names in these folders durable: what was renamed into or out of them stays so.

        A folder that is not there has no names to keep, and is passed over.

        Raises:
            StorageOffline: the storage went away.
            OSError: a crash may lose what was renamed.
        """
        ...

    def settle(self, source: str, target: str) -> None:
        """Finish a move that was interrupted after the target was published: remove the source.

        Done only where both stand and their contents are proven equal, byte for byte.

        Raises:
            MoveRefused: one is not there, or they differ; nothing was changed.
            StorageOffline: the storage went away.
        """
        ...

    def remove(self, seen: SeenFile) -> bool:
        """Remove a file for good, durably, where its size and mtime are those that were seen.

        False where nothing stands there, so that repeating it is harmless. A link is never followed
        and never removed.

        Raises:
            RemovalRefused: it is not as it was seen, or no regular file; it still stands.
            StorageOffline: the storage went away.
            OSError: it failed in the middle; what stands on disk is to be looked at.
        """
        ...


class OriginalsDriver(Protocol):
    """Opens storages, and lays out a new one when a person adopts a folder."""

    def open(self, root: str, storage_id: StorageId) -> Originals: ...

    def survey(self, root: str, extensions: AbstractSet[str]) -> FolderFound:
        """Look at a folder without changing it: media, inbox, marker.

        Raises:
            ValidationFailed: there is no such folder.
        """
        ...

    def adopt(self, root: str, marker: Marker) -> Marker:
        """Make the folders of the layout and write the marker; moves nothing.

        Returns the marker that stands there: the one given, or an equal one that was there.

        Raises:
            StateConflict: a marker of another storage stands there.
        """
        ...
