"""Folders of this machine in which other copies of originals may lie: a mounted backup, a disk on a shelf."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from retaia_core.domain.identifiers import parse_rel_path
from retaia_core.domain.proof import Refusal
from retaia_core.ports.copies import Copies, CopyRefused, CopySeen

from . import fsio
from .disk import REAL, Disk, Stat
from .walk import relative_inside

_NOT_KEPT = fsio.GONE | {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""Errors of a disk that lost what was written; any other says that there is nothing to sync here."""


class FolderCopies(Copies):
    """Places that are folders, beside one storage that is a folder; nothing in them is ever written."""

    def __init__(self, root: Path, places: Mapping[str, str], *, disk: Disk = REAL) -> None:
        self._disk = disk
        self._root = os.path.abspath(root)
        self._places = {name: os.path.abspath(folder) for name, folder in places.items()}

    def look(self, place: str, path: str, original: str) -> CopySeen | None:
        """What stands at a path of a place, as a copy of an original; None where nothing does.

        Raises:
            CopyRefused: the place is not there, or what stands there is a link, no regular file, or the
                original itself: a second name of it, something inside the storage, another mount of it.
        """
        try:
            folder = self._places[place]
            if not fsio.is_folder(self._disk, folder):
                raise CopyRefused(Refusal.AWAY, "its folder is not there; is it mounted?")
            found = self._lstat(os.path.join(folder, *parse_rel_path(path).split("/")))
            if found is None:
                return None
            own = self._apart(os.path.join(folder, path), found, original)
        except OSError as error:
            raise _unreadable(error) from error
        same_disk = own is not None and own.st_dev == found.st_dev
        return CopySeen(path=path, size=found.st_size, stamp=_stamp(found), same_disk=same_disk)

    def checksum(self, place: str, seen: CopySeen, pace: Callable[[int], None]) -> str | None:
        """The SHA-256 of the whole copy, in blocks of 1 MiB; None where it is not as it was seen.

        Raises:
            CopyRefused: it cannot be read to its end.
        """
        absolute = os.path.join(self._places[place], *parse_rel_path(seen.path).split("/"))
        digest = hashlib.sha256()
        try:
            with fsio.reading(self._disk, absolute) as handle:
                if _stamp(self._disk.fstat(handle)) != seen.stamp:
                    return None
                self._settle(handle)
                for block in fsio.blocks(self._disk, handle):
                    digest.update(block)
                    pace(len(block))
                as_seen = _stamp(self._disk.fstat(handle)) == seen.stamp
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(error) from error
        return f"sha256:{digest.hexdigest()}" if as_seen else None

    def _settle(self, handle: int) -> None:
        """Have the disk answer: what only memory holds is no copy yet, and would be lost with the power.

        Raises:
            OSError: the disk did not take what was written.
        """
        try:
            self._disk.fsync(handle)
        except OSError as error:
            if error.errno in _NOT_KEPT:
                raise
        with contextlib.suppress(OSError):
            self._disk.drop_cache(handle, 0, 0)

    def _lstat(self, absolute: str) -> Stat | None:
        try:
            return self._disk.lstat(absolute)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _apart(self, absolute: str, found: Stat, original: str) -> Stat | None:
        """The original that a copy stands apart from; None where it is gone.

        Raises:
            CopyRefused: it does not.
        """
        if not stat.S_ISREG(found.st_mode):
            raise CopyRefused(Refusal.LINK, "it is a link or no regular file, and so no copy")
        real, root = self._disk.realpath(absolute), self._disk.realpath(self._root)
        if relative_inside(root, real) is not None:
            raise CopyRefused(Refusal.SAME_FILE, "it lies inside the storage itself")
        own = fsio.look(self._disk, os.path.join(self._root, *parse_rel_path(original).split("/")))
        if own is not None and is_one_file(own, found):
            said = "it is the original itself, by a second name or through another mount"
            raise CopyRefused(Refusal.SAME_FILE, said)
        return own


def is_one_file(one: Stat, other: Stat) -> bool:
    """Whether two looks may be at one file.

    A second mount of a share gives files another device, and leaves their number and the time at which
    they were changed last (to the nanosecond, and nobody can set it): both equal are taken for one file.
    """
    if fsio.is_same(one, other):
        return True
    return (one.st_ino, one.st_ctime_ns) == (other.st_ino, other.st_ctime_ns)


def _stamp(found: Stat) -> str:
    """How a file looks: which one it is, its size, and when its content or its attributes were touched.

    The device is left out: a disk that is mounted anew gets another, and is the same disk.
    """
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _unreadable(error: OSError) -> CopyRefused:
    return CopyRefused(Refusal.UNREADABLE, f"it cannot be read: {fsio.said(error)}")
