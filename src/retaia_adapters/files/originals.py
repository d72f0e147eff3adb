"""The originals of one storage on a mounted folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from retaia_core.domain.discovery import SeenFile
from retaia_core.domain.health import READ_ONLY, Problem
from retaia_core.domain.identifiers import StorageId, folder_of, name_of, parse_rel_path
from retaia_core.domain.moves import DiskFile
from retaia_core.domain.storage import MARKER_NAME, Layout, Trouble
from retaia_core.errors import RetaiaError, StorageOffline, Unavailable, ValidationFailed
from retaia_core.ports.originals import (
    FolderListing,
    Moved,
    MoveRefused,
    Originals,
    Progress,
    RemovalRefused,
    no_progress,
)

from . import crossing, fsio, health, moves, removal
from .disk import REAL, Disk
from .marker import marker_problem
from .nested import Nested
from .walk import Walker, relative_inside, unreadable_tops

FINGERPRINT_BLOCK = 64 * 1024
"""Bytes of each of the three blocks (start, middle, end) that a quick fingerprint reads."""

_NO_SUCH_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL})

_Stamp = tuple[int, int, int, int, int]


class FilesystemOriginals(Originals):
    """One storage's originals below a folder of this machine.

    Paths that lead out of the root through a link are refused. Links to files inside the root are
    seen as the file they lead to, and are never moved.
    """

    def __init__(
        self,
        root: Path,
        storage_id: StorageId,
        *,
        disk: Disk = REAL,
        nested: Nested | None = None,
    ) -> None:
        self._disk = disk
        self._root = os.path.abspath(root)
        self._inside = os.path.join(self._root, "")
        self._marker = os.path.join(self._root, MARKER_NAME)
        self._nested = nested or Nested(disk, self._root)
        self._storage_id = storage_id
        self._trusted: _Stamp | None = None

    def check(self) -> str | None:
        """Look at the marker now; None where it is ours, else why the storage is offline."""
        problem = marker_problem(Path(self._root), self._storage_id, self._disk)
        return problem or self._nested.look()

    def probe(self, *, reserve: int, write: bool) -> Problem | None:
        """Look at marker, folders, room and writability now; see `health.probe` and `nested`."""
        problem = health.probe(
            self._disk, self._root, self._storage_id, reserve=reserve, write=write
        )
        if problem is None and (gone := self._nested.look()) is not None:
            return Problem(trouble=Trouble.MARKER, reason=gone)
        if problem is None and any(
            health.is_read_only(self._disk, top) for top in self._nested.tops
        ):
            return READ_ONLY
        return problem

    def mounts(self, layout: Layout) -> frozenset[str]:
        """The folders of the layout that lie on another device than the root.

        Raises:
            StorageOffline: they cannot be looked at.
        """
        tops = sorted({layout.inbox, layout.archive, layout.rejects} - {"."})
        before = self._stamp()
        try:
            root = self._disk.stat(self._root)
            places = {t: fsio.look(self._disk, os.path.join(self._root, t)) for t in tops}
        except OSError as error:
            said = f"its folders cannot be looked at: {fsio.said(error)}"
            raise self._offline(said) from error
        # What was seen while the storage itself came or went is of two disks.
        if before is None or before[0] != root.st_dev or before != self._stamp():
            raise self._offline("its marker was touched while its folders were looked at")
        return frozenset(t for t, at in places.items() if at and at.st_dev != root.st_dev)

    def walk(self, layout: Layout, known: Callable[[str], str | None]) -> Iterator[FolderListing]:
        """Yield every folder of inbox, archive and rejects, parents first, in order of names.

        The marker is looked at before, after, and with every folder, so that no listing is ever of what
        lies under a mount point.
        """
        self._require_online()
        walker = Walker(self._disk, self._root, self._look_again)
        # An inbox that is the whole root has archive and rejects inside.
        tops = ("",) if layout.inbox == "." else (layout.inbox, layout.archive, layout.rejects)
        unreadable: dict[str, list[str]] = defaultdict(list)
        for top in tops:
            try:
                self._absolute(top)
                listings = walker.walk(top, known)
            except FileNotFoundError:
                continue  # Nobody made it yet, or it was removed by hand: no files.
            except (OSError, ValidationFailed) as error:
                self._require_online()
                if not top:
                    raise self._offline("its folder cannot be read") from error
                unreadable[folder_of(top)].append(name_of(top))
                continue
            for listing in listings:
                self._require_online()
                yield listing
        for parent, names in unreadable.items():
            yield unreadable_tops(parent, names)
        self._require_online()

    def stat(self, path: str) -> DiskFile | None:
        """What stands at a path; None where nothing does. A link inside the root is followed.

        Raises:
            ValidationFailed: the path is refused.
            Unavailable: it cannot be looked at.
        """
        self._require_online()
        try:
            found = self._disk.lstat(self._behind_link(self._absolute(path)))
        except (FileNotFoundError, NotADirectoryError):
            self._require_online()
            return None
        except OSError as error:
            raise self._unavailable(path, error) from error
        return DiskFile(size=found.st_size, mtime_ns=found.st_mtime_ns)

    def look(self, paths: Iterable[str]) -> Mapping[str, DiskFile | RetaiaError]:
        """What stands at several paths, as `stat` says of each; a folder's own place is judged once."""
        self._require_online()
        inside: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            inside[folder_of(path)].append(path)
        found: dict[str, DiskFile | RetaiaError] = {}
        for some in inside.values():
            self._look_in_folder(some, found)
        self._require_online()
        return found

    def _look_in_folder(
        self, paths: Sequence[str], found: dict[str, DiskFile | RetaiaError]
    ) -> None:
        """Look at paths of one folder; what is no plain file with a plain name is left to `stat`."""
        try:
            folder = os.path.join(os.path.dirname(self._absolute(paths[0])), "")
        except (OSError, ValidationFailed):
            found.update(super().look(paths))
            return
        odd: list[str] = []
        for path in paths:
            try:
                seen = self._disk.lstat(folder + name_of(parse_rel_path(path)))
            except FileNotFoundError:
                continue
            except (OSError, ValidationFailed):
                odd.append(path)
                continue
            if stat.S_ISREG(seen.st_mode):
                found[path] = DiskFile(size=seen.st_size, mtime_ns=seen.st_mtime_ns)
            else:
                odd.append(path)
        found.update(super().look(odd))

    def names_in(self, folder: str) -> frozenset[str]:
        """All names in a folder, hidden ones too; empty where there is no such folder.

        Raises:
            ValidationFailed: the path is refused.
            Unavailable: the folder cannot be read.
        """
        self._require_online()
        try:
            names = self._disk.listdir(self._absolute(folder))
        except (FileNotFoundError, NotADirectoryError):
            self._require_online()
            return frozenset()
        except OSError as error:
            raise self._unavailable(folder, error) from error
        return frozenset(map(fsio.printable, names))

    def fingerprint(self, seen: SeenFile) -> str | None:
        """The quick content fingerprint: a digest over the size and three blocks of 64 KiB.

        None where the file cannot be read or is not as ``seen`` says any more.
        """
        self._require_online()
        try:
            absolute = self._absolute(seen.path)
            with fsio.reading(self._disk, self._behind_link(absolute)) as handle:
                if not self._is_as_seen(handle, seen):
                    return None
                digest = _fingerprint(self._disk, handle, seen.size)
                return digest if self._is_as_seen(handle, seen) else None
        except (OSError, ValidationFailed):
            self._require_online()
            return None

    def checksum(
        self, seen: SeenFile, pace: Callable[[int], None] = lambda count: None
    ) -> str | None:
        """The SHA-256 of the whole file, in blocks of 1 MiB; neither memory nor its times show it.

        None where the file is not as ``seen`` says, before or after. ``pace`` hears of every block.

        Raises:
            ValidationFailed: the path is refused.
            Unavailable: it cannot be read.
            StorageOffline: the storage went away.
        """
        self._require_online()
        blocks = self._blocks_of(seen)
        digest = hashlib.sha256()
        while True:
            try:
                block = next(blocks)
            except StopIteration as end:
                return f"sha256:{digest.hexdigest()}" if end.value else None
            except OSError as error:
                raise self._unavailable(seen.path, error) from error
            digest.update(block)
            pace(len(block))

    def _blocks_of(self, seen: SeenFile) -> Generator[bytes, None, bool]:
        """The content of a file; returns whether it was as seen all the time."""
        try:
            handle = fsio.open_to_read(self._disk, self._behind_link(self._absolute(seen.path)))
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                self._require_online()
                return False
            raise
        try:
            if not self._is_as_seen(handle, seen):
                return False
            with contextlib.suppress(OSError):
                # The disk is to answer, not what memory still holds of it.
                self._disk.drop_cache(handle, 0, 0)
            start = 0
            for block in fsio.blocks(self._disk, handle):
                yield block
                with contextlib.suppress(OSError):
                    self._disk.drop_cache(handle, start, len(block))
                start += len(block)
            return self._is_as_seen(handle, seen)
        finally:
            self._disk.close(handle)

    def rename(self, source: str, target: str, progress: Progress = no_progress) -> Moved:
        """Move a file without ever replacing another; folders of the target are made.

        See `moves` for how. On one filesystem the new name is durable after `sync` only. What was
        copied to another one stays, to be taken up, where the storage goes away or ``progress`` raises.

        Raises:
            MoveRefused: the target is taken, the source is not there, or a path is refused; nothing was
                changed.
            StorageOffline: the storage went away.
            OSError: it failed in the middle; what stands on disk is to be looked at.
        """
        old, new = self._pair(source, target)
        try:
            return moves.move(self._disk, old, new, watch=self._passed, progress=progress)
        except MoveRefused:
            self._require_online()  # What is not there may be on a disk that went away.
            raise
        except OSError:
            self._require_online()
            with contextlib.suppress(OSError):
                crossing.clear(self._disk, old, new)
            raise

    def clear(self, source: str, target: str) -> None:
        """Remove what an interrupted `rename` to another filesystem left; harmless where nothing is.

        Raises:
            MoveRefused: a path is refused.
            StorageOffline: the storage went away.
            OSError: it cannot be removed.
        """
        old, new = self._pair(source, target)
        try:
            crossing.clear(self._disk, old, new)
        except OSError:
            self._require_online()
            raise

    def sync(self, folders: Iterable[str]) -> None:
        """Make the names in these folders durable; one that is not there has none.

        Raises:
            ValidationFailed: a path is refused.
            StorageOffline: the storage went away.
            OSError: the names may be lost by a crash.
        """
        self._require_online()
        try:
            for place in sorted({self._absolute(folder) for folder in folders}):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    fsio.sync_folder(self._disk, place)
        except OSError:
            self._require_online()
            raise
        self._require_online()

    def settle(self, source: str, target: str) -> None:
        """Finish a move that was interrupted after the target was published.

        Raises:
            MoveRefused: one of them is not there, or they differ; nothing was changed.
            StorageOffline: the storage went away.
            OSError: they could not be compared, or the source could not be removed.
        """
        old, new = self._pair(source, target)
        try:
            moves.settle(self._disk, old, new)
        except OSError:
            self._require_online()
            raise

    def remove(self, seen: SeenFile) -> bool:
        """Remove a file for good, where it is as it was seen; False where nothing stands there.

        Raises:
            RemovalRefused: it is not as it was seen, is a link or no regular file, or its path is
                refused; it still stands.
            StorageOffline: the storage went away.
            OSError: it failed in the middle; what stands on disk is to be looked at.
        """
        self._require_online()
        try:
            place = self._absolute(seen.path)
        except ValidationFailed as error:
            raise RemovalRefused(error.message) from error
        try:
            removed = removal.remove(self._disk, place, seen)
        except OSError:
            self._require_online()
            raise
        self._require_online()
        return removed

    def _pair(self, source: str, target: str) -> tuple[str, str]:
        """The places of a move's two ends, on a storage that is online."""
        self._require_online()
        try:
            return self._absolute(source), self._absolute(target)
        except ValidationFailed as error:
            raise MoveRefused(error.message) from error

    def _passed(self, step: crossing.Step) -> None:
        """Called at every step of a move; a subclass may look on."""

    def _absolute(self, path: str) -> str:
        """The place of a relative path (empty: the root); no link above it may lead out of the root.

        Raises:
            ValidationFailed: the path is refused.
        """
        if not path:
            return self._root
        parts = parse_rel_path(path).split("/")
        absolute = self._inside + os.sep.join(parts)
        if self._may_lead_out(parts[:-1]):
            real_parent = self._disk.realpath(os.path.dirname(absolute))
            if relative_inside(self._disk.realpath(self._root), real_parent) is None:
                raise ValidationFailed(
                    f"the path {path!r} is refused: a link leads out of the storage", field="path"
                )
        return absolute

    def _may_lead_out(self, folders: Sequence[str]) -> bool:
        """Whether a link may stand among folders, each in the one before; else they are inside the root."""
        if sys.platform == "win32":
            return True  # A junction is no link to a mere look.
        place = self._root
        for folder in folders:
            place = f"{place}/{folder}"
            try:
                found = self._disk.lstat(place)
            except FileNotFoundError:
                return False
            except OSError:
                return True
            if stat.S_ISLNK(found.st_mode):
                return True
        return False

    def _behind_link(self, absolute: str) -> str:
        """Where a link inside the root leads; the path itself where it is none, or leads out."""
        if not fsio.is_link(self._disk, absolute):
            return absolute
        real = self._disk.realpath(absolute)
        inside = relative_inside(self._disk.realpath(self._root), real) is not None
        return real if inside and fsio.look(self._disk, real) is not None else absolute

    def _is_as_seen(self, handle: int, seen: SeenFile) -> bool:
        now = self._disk.fstat(handle)
        return (now.st_size, now.st_mtime_ns) == (seen.size, seen.mtime_ns)

    def _stamp(self) -> _Stamp | None:
        """Which file the marker is now: cheap enough to look at with every folder."""
        try:
            found = self._disk.lstat(self._marker)
        except OSError:
            return None
        return (
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )

    def _require_online(self) -> None:
        """Refuse work without our marker; one that was read is read again only when it was touched."""
        stamp = self._stamp()
        known = stamp is not None and stamp == self._trusted
        problem = self._nested.problem() if known else self.check()
        if problem is not None:
            raise self._offline(problem)
        self._trusted = stamp

    def _look_again(self) -> None:
        """Read the marker anew: what memory says of it may be older than the error just met."""
        self._trusted = None
        self._require_online()

    def _offline(self, reason: str) -> StorageOffline:
        return StorageOffline(
            f"storage {self._storage_id!r} is offline: {reason}",
            storage_id=self._storage_id,
            reason=reason,
        )

    def _unavailable(self, path: str, error: OSError) -> Unavailable:
        self._require_online()
        return Unavailable(f"{path!r} cannot be looked at: {fsio.said(error)}", path=path)


def _fingerprint(disk: Disk, handle: int, size: int) -> str:
    digest = hashlib.blake2b(size.to_bytes(8, "big"), digest_size=16)
    starts = (0, (size - FINGERPRINT_BLOCK) // 2, size - FINGERPRINT_BLOCK)
    for start in starts if size > 3 * FINGERPRINT_BLOCK else (0,):
        disk.lseek(handle, start, os.SEEK_SET)
        length = FINGERPRINT_BLOCK if size > 3 * FINGERPRINT_BLOCK else size
        digest.update(fsio.exactly(disk, handle, length))
    return digest.hexdigest()
