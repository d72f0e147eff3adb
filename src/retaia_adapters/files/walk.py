"""Walking a storage's folders: one look per folder, as close to the bare cost of looking as can be.

A folder is read with one ``scandir``; what every file costs is one ``stat`` and one tuple. Names are
judged (hidden? temporary? valid text?) only where the folder's digest is not the one known, so an
unchanged folder costs its look, a sort and a hash.

A folder comes before those below it, and names those of them that cannot be opened. One that opens and
then fails to be read (a failing disk) is named by a second listing of its parent. Memory is bounded by
the largest folder and the names of the folders that are still to be read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from retaia_core.domain.discovery import Skip, any_skipped, skip_reason
from retaia_core.domain.identifiers import folder_of, name_of
from retaia_core.domain.storage import DERIVED_FOLDER, EXPORTS_FOLDER, MARKER_NAME
from retaia_core.ports.originals import Entry, FolderListing

from . import fsio
from .disk import DirEntry, Disk, Stat

Known = Callable[[str], str | None]
Row = tuple[str, int, int]
"""Name, size in bytes, mtime in nanoseconds."""

_entry: Callable[[Row], Entry] = partial(tuple.__new__, Entry)
"""The entry of a row, whose fields it has in the same order."""

_OURS = frozenset({EXPORTS_FOLDER, DERIVED_FOLDER, MARKER_NAME})
"""At a storage's root: neither footage nor worth telling a person that it was passed over."""

_FROM_HANDLE = os.scandir in os.supports_fd
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class _Folder:
    """A folder as it was read."""

    __slots__ = ("below", "path", "rows", "skipped")

    def __init__(self, path: str) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.below: list[str] = []
        self.skipped: list[tuple[str, Skip]] = []


class Walker:
    """Reads the folders below a root.

    ``troubled`` is called where reading failed as it does when a disk or share goes away; it raises
    where that is so.
    """

    def __init__(self, disk: Disk, root: str, troubled: Callable[[], None]) -> None:
        self._disk = disk
        self._root = root
        self._real = disk.realpath(root)
        self._troubled = troubled
        self._failed: set[str] = set()

    def walk(self, top: str, known: Known) -> Iterator[FolderListing]:
        """The listings of a folder and all below it, parents first, in order of names.

        ``top`` is relative to the root, empty for the root itself; it is read at once.

        Raises:
            OSError: the top folder itself cannot be read (`FileNotFoundError`: it is not there).
        """
        return self._from(self._read(top), known)

    def _from(self, top: _Folder, known: Known) -> Iterator[FolderListing]:
        yield _listing(top, known(top.path))
        waiting, start = [(top.path, name) for name in top.below], top.path
        del top  # Its files are not kept while the folders below are walked.
        while waiting:
            parent, name = waiting.pop()
            path = _join(parent, name)
            try:
                folder = self._read(path)
            except FileNotFoundError:
                continue  # It vanished since its parent was read.
            except OSError as error:
                self._look_at(error)
                yield self._without(path, start, known)
                continue
            yield _listing(folder, known(path))
            waiting.extend((path, inner) for inner in folder.below)

    def _without(self, path: str, start: str, known: Known) -> FolderListing:
        """The folder above one that cannot be read, which names it; that above, where it cannot either.

        Raises:
            OSError: what cannot be read is the root.
        """
        while path != start:
            self._failed.add(path)
            path = folder_of(path)
            try:
                return _listing(self._read(path), known(path))
            except OSError as error:
                self._look_at(error)
                if not path:
                    raise
        return unreadable_tops(folder_of(path), [name_of(path)])

    def _read(self, path: str) -> _Folder:
        folder = _Folder(path)
        absolute = os.path.join(self._root, path) if path else self._root
        if _FROM_HANDLE:
            # Looking names up from the open folder is cheaper than from the root, and holds on to it.
            # Only the root itself may be reached through a link.
            handle = self._disk.open(absolute, _FOLDER_FLAGS if path else os.O_RDONLY)
            try:
                self._fill(folder, handle)
            finally:
                self._disk.close(handle)
        else:
            self._fill(folder, absolute)
        folder.below = [name for name in folder.below if self._opens(folder, name)]
        folder.below.sort(reverse=True)
        return folder

    def _opens(self, parent: _Folder, name: str) -> bool:
        """Whether a sub-folder can be opened; where not, its parent says so."""
        path = _join(parent.path, name)
        try:
            if path not in self._failed:
                with self._disk.scandir(os.path.join(self._root, path)):
                    return True
        except FileNotFoundError:
            return False
        except OSError as error:
            self._look_at(error)
        parent.skipped.append((name, Skip.UNREADABLE))
        return False

    def _look_at(self, error: OSError) -> None:
        if error.errno in fsio.GONE:
            self._troubled()

    def _fill(self, folder: _Folder, place: int | str) -> None:
        add = folder.rows.append
        with self._disk.scandir(place) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        add((entry.name, found.st_size, found.st_mtime_ns))
                    else:
                        self._fill_other(folder, entry)
                except FileNotFoundError:
                    continue  # It vanished since the folder was read.
                except OSError as error:
                    self._look_at(error)
                    folder.skipped.append((entry.name, Skip.UNREADABLE))

    def _fill_other(self, folder: _Folder, entry: DirEntry) -> None:
        name = entry.name
        if not folder.path and name in _OURS:
            return
        reason = _name_reason(name)
        if reason is None and entry.is_symlink():
            found = self._behind_link(os.path.join(folder.path, name))
            if not isinstance(found, Skip):
                folder.rows.append((name, found.st_size, found.st_mtime_ns))
                return
            reason = found
        elif reason is None and entry.is_dir(follow_symlinks=False):
            folder.below.append(name)
            return
        folder.skipped.append((name, reason or Skip.NOT_A_FILE))

    def _behind_link(self, path: str) -> Stat | Skip:
        """The file that a link leads to, where it is one of this storage.

        Links to folders are not followed: they could go in circles, and would show files twice.
        """
        absolute = os.path.join(self._root, path)
        try:
            found = self._disk.stat(absolute)
        except OSError as error:
            broken = error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
            return Skip.BROKEN_LINK if broken else Skip.UNREADABLE
        inner = relative_inside(self._real, self._disk.realpath(absolute))
        if inner is None or inner.split(os.sep, 1)[0] in _OURS:
            return Skip.LINK_OUTSIDE
        return found if stat.S_ISREG(found.st_mode) else Skip.NOT_A_FILE


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def relative_inside(real_root: str, real_path: str) -> str | None:
    """The part of a resolved path below a resolved root; None where it leads out, empty for the root."""
    if real_path == real_root:
        return ""
    prefix = real_root.rstrip(os.sep) + os.sep
    return real_path[len(prefix) :] if real_path.startswith(prefix) else None


def _name_reason(name: str) -> Skip | None:
    return skip_reason(name) if fsio.is_text(name) else Skip.UNDECODABLE


def _numbers(values: Sequence[int]) -> bytes:
    try:
        return array("q", values).tobytes()
    except OverflowError:
        return repr(values).encode()  # such as a time beyond the year 2262


def _digest(folder: _Folder) -> str:
    """BLAKE2b over the sorted rows, column by column, and what was passed over."""
    folder.rows.sort()
    folder.skipped.sort()
    names, sizes, times = zip(*folder.rows, strict=True) if folder.rows else ((), (), ())
    # No name is empty or has a NUL: where the names end, and so how many numbers follow, is certain.
    text = "\0".join(names) + "\0\0"
    look = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    look.update(_numbers(sizes))
    look.update(_numbers(times))
    if folder.skipped:
        look.update(repr([(name, str(reason)) for name, reason in folder.skipped]).encode())
    return look.hexdigest()


def _listing(folder: _Folder, known: str | None) -> FolderListing:
    digest = _digest(folder)
    skipped = [(fsio.printable(name), reason) for name, reason in folder.skipped]
    files: Iterable[Row] = ()
    if digest != known:
        files = folder.rows
        if not _all_plain(files):
            files = _pass_over(folder, skipped)
    return FolderListing(
        folder=folder.path, files=tuple(map(_entry, files)), skipped=tuple(skipped), digest=digest
    )


def _all_plain(rows: Iterable[Row]) -> bool:
    """Whether certainly no name is to be passed over: one look at all of them, for nearly all folders."""
    names = [row[0] for row in rows]
    return fsio.is_text("".join(names)) and not any_skipped(names)


def _pass_over(folder: _Folder, skipped: list[tuple[str, Skip]]) -> list[Row]:
    """The rows whose names are no reason to pass them over; the others are added to what was skipped."""
    kept: list[Row] = []
    for row in folder.rows:
        reason = _name_reason(row[0])
        if reason is None:
            kept.append(row)
        elif folder.path or row[0] not in _OURS:
            skipped.append((fsio.printable(row[0]), reason))
    return kept


def unreadable_tops(parent: str, names: list[str]) -> FolderListing:
    """The listing of a folder that is not walked itself, for what could not be read in it."""
    folder = _Folder(parent)
    folder.skipped = [(name, Skip.UNREADABLE) for name in names]
    return _listing(folder, None)
