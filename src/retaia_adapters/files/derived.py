"""Derived files on a mounted folder: ``.derived/{ref}``, uploads beside them until they are whole.

A published file appears by one rename, after its bytes are on disk. The parts of an upload stay until
`FilesystemDerived.discard`, so that publishing can be repeated after a crash at any point.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from retaia_core.domain.derived import HEAD_BYTES, WHOLE_LIMIT, Sample
from retaia_core.domain.identifiers import StorageId, folder_of, parse_rel_path
from retaia_core.domain.storage import DERIVED_FOLDER
from retaia_core.domain.uploads import Part
from retaia_core.errors import NotFound, StorageOffline, Unavailable, ValidationFailed
from retaia_core.ports.derived_storage import Stored

from . import fsio
from .disk import REAL, Disk
from .marker import marker_problem

UPLOADS_FOLDER = ".uploads"

_UPLOAD_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_NO_LINKS = frozenset(
    {errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
)
_TRIES = 20


class FilesystemDerived:
    """The derived files of one storage, below ``.derived`` at its root.

    Every method raises `StorageOffline` where the root's marker is absent, invalid or (where
    ``storage_id`` is given) foreign, and `Unavailable` where the disk is full, read-only or broken;
    nothing half-made is left then.
    """

    def __init__(
        self, root: Path, storage_id: StorageId | None = None, *, disk: Disk = REAL
    ) -> None:
        self._disk = disk
        self._root = root.absolute()
        self._storage_id = storage_id
        self._base = os.path.join(self._root, DERIVED_FOLDER)
        self._uploads = os.path.join(self._base, UPLOADS_FOLDER)

    def put_part(self, upload_id: str, number: int, chunks: Iterable[bytes], limit: int) -> Part:
        """Write one part (again) as it comes in, at most ``limit`` bytes; synced when it returns.

        Raises:
            ValidationFailed: more bytes than allowed; nothing is kept of the part.
            BaseException: whatever ``chunks`` raised; nothing is kept of the part.
        """
        place = self._part(upload_id, number)
        temporary = f"{place}.{self._disk.token_hex(4)}.tmp"
        with self._reporting(), contextlib.ExitStack() as undo:
            fsio.make_folders(self._disk, os.path.dirname(place))
            undo.callback(fsio.remove_if_there, self._disk, temporary)
            with fsio.writing_new(self._disk, temporary) as handle:
                size, digest = _receive(self._disk, handle, _sent(chunks), limit)
                self._disk.fsync(handle)
            self._disk.replace(temporary, place)
        return Part(number=number, size=size, etag=digest)

    def sample(self, upload_id: str, numbers: int, *, whole: bool) -> Sample:
        """The beginning of the file that the parts 1 … ``numbers`` make.

        With ``whole`` the content too, unless that is larger than `WHOLE_LIMIT`.

        Raises:
            NotFound: a part is not there.
        """
        with self._reporting():
            parts = self._parts(upload_id, numbers)
            size = sum(self._disk.stat(part).st_size for part in parts)
            wanted = size if whole and size <= WHOLE_LIMIT else min(size, HEAD_BYTES)
            begun = _beginning(self._disk, parts, wanted)
        content = begun if whole and size <= WHOLE_LIMIT else None
        return Sample(head=begun[:HEAD_BYTES], size_bytes=size, content=content)

    def publish(self, upload_id: str, numbers: int, ref: str) -> Stored:
        """Join the parts under a name, atomically and synced; safe to repeat until `discard`.

        Raises:
            NotFound: a part is not there.
        """
        target = self._place(ref)
        with self._reporting(), contextlib.ExitStack() as undo:
            parts = self._parts(upload_id, numbers)
            joined = os.path.join(
                os.path.dirname(parts[0]), f"joined.{self._disk.token_hex(4)}.tmp"
            )
            undo.callback(fsio.remove_if_there, self._disk, joined)
            only = numbers == 1
            stored = (
                _only(self._disk, parts[0], joined) if only else _join(self._disk, parts, joined)
            )
            self._appear(joined, target)
        return stored

    def discard(self, upload_id: str) -> None:
        """Remove what is left of an upload; harmless where nothing is."""
        place = self._upload(upload_id)
        with self._reporting(), contextlib.suppress(FileNotFoundError):
            if fsio.is_file(self._disk, place):
                self._disk.unlink(place)
                return
            for name in self._disk.listdir(place):
                fsio.remove_if_there(self._disk, os.path.join(place, name))
            self._disk.rmdir(place)

    def stale(self, before: datetime) -> Sequence[str]:
        """The uploads and temporary files in which nothing was written since a time, in order of names."""
        limit = before.timestamp() * 1e9
        with self._reporting(), contextlib.suppress(FileNotFoundError):
            return [
                name
                for name in sorted(self._disk.listdir(self._uploads))
                if _UPLOAD_ID.fullmatch(name)
                and (found := fsio.look(self._disk, os.path.join(self._uploads, name))) is not None
                and found.st_mtime_ns < limit
            ]
        return []

    def open(self, ref: str) -> BinaryIO:
        """Open a published file for reading; seekable.

        Raises:
            NotFound: there is no such file.
        """
        with self._reporting():
            try:
                return self._disk.reader(fsio.open_to_read(self._disk, self._place(ref)))
            except OSError as error:
                raise _not_found_or(error, ref) from error

    def size(self, ref: str) -> int | None:
        """A published file's size in bytes; None where there is no such file."""
        with self._reporting():
            try:
                with fsio.reading(self._disk, self._place(ref)) as handle:
                    return self._disk.fstat(handle).st_size
            except OSError as error:
                if _is_absence(error):
                    return None
                raise

    def clone(self, ref: str, to: str) -> None:
        """Make a published file known under a second name: a hard link, or a copy where there are none.

        Raises:
            NotFound: there is no such file.
        """
        source, target = self._place(ref), self._place(to)
        temporary = os.path.join(self._uploads, f"clone.{self._disk.token_hex(8)}.tmp")
        with self._reporting(), contextlib.ExitStack() as undo:
            if not fsio.is_file(self._disk, source):
                raise NotFound(f"there is no derived file {ref!r}", ref=ref)
            fsio.make_folders(self._disk, self._uploads)
            undo.callback(fsio.remove_if_there, self._disk, temporary)
            _link_or_copy(self._disk, source, temporary)
            self._appear(temporary, target)

    def remove(self, ref: str) -> None:
        """Remove a published file, and folders that are empty then; harmless where it is gone."""
        place = self._place(ref)
        with self._reporting():
            try:
                self._disk.unlink(place)
            except (FileNotFoundError, NotADirectoryError):
                return
            with contextlib.suppress(FileNotFoundError):  # Another removed the last file.
                fsio.sync_folder(self._disk, os.path.dirname(place))
            self._prune(folder_of(ref))

    def refs(self, prefix: str) -> Iterator[str]:
        """The published files below a folder (an asset's UUID, say; all where it is empty), in order."""
        top = self._place(prefix) if prefix else self._base
        with self._reporting():
            yield from self._refs_below(top, prefix)

    def _refs_below(self, top: str, prefix: str) -> Iterator[str]:
        if prefix and fsio.is_file(self._disk, top):
            yield prefix
            return
        waiting = [prefix]
        while waiting:
            folder = waiting.pop()
            below, names = self._look_into(os.path.join(self._base, folder))
            yield from (_join_ref(folder, name) for name in names)
            waiting.extend(_join_ref(folder, name) for name in reversed(below))

    def _look_into(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders in a folder, but for hidden ones, and its files, each in order of names."""
        below: list[str] = []
        names: list[str] = []
        try:
            with self._disk.scandir(folder) as entries:
                for entry in entries:
                    (below if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
        except OSError as error:
            if not _is_absence(error):
                raise
        return sorted(name for name in below if not name.startswith(".")), sorted(names)

    def _appear(self, temporary: str, target: str) -> None:
        """Give a finished file its name in one step, and make that durable.

        A folder that another thread just found empty may be removed under our feet; it is made again.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                fsio.make_folders(self._disk, os.path.dirname(target))
                self._disk.replace(temporary, target)
                break
            except (FileNotFoundError, FileExistsError):
                if not tries_left or fsio.look(self._disk, temporary) is None:
                    raise
        fsio.sync_folder(self._disk, os.path.dirname(target))

    def _prune(self, folder: str) -> None:
        while folder:
            try:
                self._disk.rmdir(os.path.join(self._base, folder))
            except OSError:
                return  # Not empty, or another removed it.
            folder = folder_of(folder)

    def _place(self, ref: str) -> str:
        parts = parse_rel_path(ref).split("/")
        if any(part.startswith(".") for part in parts):
            raise ValidationFailed(f"{ref!r} is no reference of a derived file", field="ref")
        return os.path.join(self._base, *parts)

    def _upload(self, upload_id: str) -> str:
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise ValidationFailed(f"{upload_id!r} is no upload id", field="upload_id")
        return os.path.join(self._uploads, upload_id)

    def _part(self, upload_id: str, number: int) -> str:
        if number < 1:
            raise ValidationFailed("parts are numbered from 1", field="number")
        return os.path.join(self._upload(upload_id), f"{number:06d}.part")

    def _parts(self, upload_id: str, numbers: int) -> list[str]:
        parts = [self._part(upload_id, number) for number in range(1, numbers + 1)]
        for number, part in enumerate(parts, start=1):
            if not fsio.is_file(self._disk, part):
                raise NotFound(
                    f"part {number} of upload {upload_id!r} is not there; send it again",
                    upload_id=upload_id,
                    part=number,
                )
        return parts

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Refuse work on a storage that is offline, and report the disk's errors as `Unavailable`."""
        self._require_online()
        try:
            yield
        except _SenderBroke as broke:
            raise broke.error from None
        except OSError as error:
            self._require_online()
            raise Unavailable(
                f"the derived files cannot be used: {fsio.said(error)}", reason=fsio.said(error)
            ) from error

    def _require_online(self) -> None:
        problem = marker_problem(self._root, self._storage_id, self._disk)
        if problem is not None:
            raise StorageOffline(f"the storage of the derived files is offline: {problem}")


class _SenderBroke(Exception):
    """What a sender raised, kept apart from the errors of our own disk."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _sent(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except OSError as error:
        raise _SenderBroke(error) from error


def _is_absence(error: OSError) -> bool:
    """Whether a file could not be opened because no regular file has that name."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP)


def _join_ref(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _not_found_or(error: OSError, ref: str) -> Exception:
    return NotFound(f"there is no derived file {ref!r}", ref=ref) if _is_absence(error) else error


def _receive(disk: Disk, handle: int, chunks: Iterable[bytes], limit: int) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise ValidationFailed(
                f"the part has more than the {limit} bytes that it may have",
                fields={"size_bytes": "too large"},
            )
        digest.update(chunk)
        fsio.write_whole(disk, handle, chunk)
    return size, digest.hexdigest()


def _beginning(disk: Disk, parts: list[str], wanted: int) -> bytes:
    taken = bytearray()
    for part in parts:
        with fsio.reading(disk, part) as handle:
            for block in fsio.blocks(disk, handle):
                taken += block
                if len(taken) >= wanted:
                    return bytes(taken[:wanted])
    return bytes(taken)


def _only(disk: Disk, part: str, joined: str) -> Stored:
    """The whole file is one part, which is synced already: a second name for it is enough."""
    _link_or_copy(disk, part, joined)
    digest, size = hashlib.sha256(), 0
    with fsio.reading(disk, joined) as handle:
        for block in fsio.blocks(disk, handle):
            digest.update(block)
            size += len(block)
    return Stored(size_bytes=size, sha256=digest.hexdigest())


def _join(disk: Disk, parts: list[str], joined: str) -> Stored:
    digest, size = hashlib.sha256(), 0
    with fsio.writing_new(disk, joined) as target:
        for part in parts:
            with fsio.reading(disk, part) as source:
                for block in fsio.blocks(disk, source):
                    digest.update(block)
                    size += len(block)
                    fsio.write_whole(disk, target, block)
        disk.fsync(target)
    return Stored(size_bytes=size, sha256=digest.hexdigest())


def _link_or_copy(disk: Disk, source: str, target: str) -> None:
    try:
        disk.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _join(disk, [source], target)
