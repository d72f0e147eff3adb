"""Moving one file so that nothing is ever replaced, and nothing lost at any point.

`rename_without_replacing` gives a file another name on its filesystem by the best way there is:

1. the system's own rename that refuses a name that is taken (``renameat2`` on Linux, ``renamex_np``
   on macOS, plain ``rename`` on Windows): one atomic step, on SMB and exFAT too;
2. where the filesystem has no such rename (NFS, some FUSE): a second hard link, which is refused where
   the name is taken, then removal of the first. A crash between leaves two names of one whole file;
3. where it has no hard links either: the name is reserved by an empty file that only we can have made,
   which the rename then replaces. Another *program* that wrote into our reservation in the instant
   between the last look and the rename would lose that; no file that stood there before ever is.

`move` adds the way across filesystems: copy, sync, compare, publish without replacing, remove.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from enum import StrEnum

from retaia_core.domain.moves import same_name
from retaia_core.ports.originals import MoveRefused

from . import fsio
from .disk import Disk, Stat, Unsupported


class Step(StrEnum):
    """The points that a move passes, in order; `COPIED` to `PUBLISHED` only across filesystems."""

    COPIED = "copied"
    VERIFIED = "verified"
    PUBLISHED = "published"
    DONE = "done"


Watch = Callable[[Step], None]

_NO_LINKS = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK}
)


def by_link(disk: Disk, source: str, target: str) -> None:
    """Rename by a second hard link, then removal of the first."""
    before = disk.lstat(source)
    try:
        disk.link(source, target)
    except FileExistsError:
        # A file server may do it, lose its answer, and find its own work when asked again.
        now = disk.lstat(source)
        if not (_one_file(disk, source, target) and now.st_nlink == before.st_nlink + 1):
            raise
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise Unsupported(fsio.said(error)) from error
        raise
    try:
        fsio.sync_folder(disk, os.path.dirname(target))
        disk.unlink(source)
    except OSError as error:
        if _one_file(disk, source, target):
            _take_back(disk, target, error)
        raise


def _take_back(disk: Disk, second: str, cause: OSError) -> None:
    """Remove the second name of a file whose first could not be removed."""
    try:
        disk.unlink(second)
    except OSError:
        said = f"the file has both names, and neither can be removed: {fsio.said(cause)}"
        raise OSError(errno.EIO, said) from cause


def by_reservation(disk: Disk, source: str, target: str) -> None:
    """Rename onto an empty file of our own making; see the module on what this cannot promise."""
    disk.lstat(source)
    with _reserved(disk, target) as still_ours:
        if not still_ours():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        disk.replace(source, target)


@contextlib.contextmanager
def _reserved(disk: Disk, target: str) -> Iterator[Callable[[], bool]]:
    handle = disk.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    made = disk.fstat(handle)
    disk.close(handle)

    def still_ours() -> bool:
        now = disk.lstat(target)
        return fsio.is_same(now, made) and now.st_size == 0

    try:
        yield still_ours
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            if still_ours():
                disk.unlink(target)
        raise


def rename_without_replacing(disk: Disk, source: str, target: str) -> None:
    """Give a file another name on its filesystem, unless that name is taken.

    Raises:
        FileExistsError: the name is taken; nothing was changed.
        OSError: it could not be done; with an error of `fsio.GONE` it may have been done all the same.
    """
    try:
        disk.rename_no_replace(source, target)
    except Unsupported:
        try:
            by_link(disk, source, target)
        except Unsupported:
            by_reservation(disk, source, target)


def _one_file(disk: Disk, one: str, other: str) -> bool:
    try:
        return fsio.is_same(disk.lstat(one), disk.lstat(other))
    except FileNotFoundError:
        return False


def _movable(disk: Disk, source: str) -> Stat:
    try:
        found = disk.lstat(source)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MoveRefused("the source is not there") from error
    if stat.S_ISLNK(found.st_mode):
        raise MoveRefused("the source is a link; a link is never moved")
    if not stat.S_ISREG(found.st_mode):
        raise MoveRefused("the source is not a regular file")
    return found


def _spelling_only(disk: Disk, source: str, target: str) -> bool:
    """Whether two names are one directory entry, told apart by nothing but their spelling."""
    folder, new = os.path.split(target)
    old_folder, old = os.path.split(source)
    if not (_one_file(disk, source, target) and same_name(old) == same_name(new)):
        return False
    if not fsio.is_same(disk.stat(folder), disk.stat(old_folder)):
        return False
    return len({old, new} & set(disk.listdir(folder))) == 1


def _respell(disk: Disk, source: str, target: str) -> None:
    """Change only the case of a name, where the filesystem takes both for one."""
    disk.replace(source, target)
    if os.path.basename(target) not in disk.listdir(os.path.dirname(target)):
        raise MoveRefused("this filesystem does not change the case of a name")


def move(disk: Disk, source: str, target: str, *, watch: Watch = lambda step: None) -> None:
    """Move a regular file to a path where nothing stands; both are absolute. Folders are made.

    Within one filesystem the new name is durable when the folders were synced, which is the caller's.

    Raises:
        MoveRefused: the target is taken, the source is not there, or nothing could be done; nothing
            was changed.
        OSError: it failed in the middle; what stands on disk is to be looked at.
    """
    _movable(disk, source)
    if source == target:
        raise MoveRefused("the target is the source")
    folder = os.path.dirname(target)
    _make_target_folder(disk, folder)
    try:
        rename_without_replacing(disk, source, target)
    except FileExistsError as error:
        if not _spelling_only(disk, source, target):
            raise MoveRefused("the target is taken") from error
        _respell(disk, source, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return _Crossing(disk, source, target, watch).run()
        raise _refusal(error) from error
    watch(Step.DONE)
    return None


def settle(disk: Disk, source: str, target: str) -> None:
    """Remove the source of a move that was interrupted after its target was published.

    Raises:
        MoveRefused: one of them is not there or no regular file, or they differ; nothing was changed.
        OSError: they could not be compared, or the source could not be removed.
    """
    _movable(disk, source)
    _movable(disk, target)
    if not _one_file(disk, source, target) and _digest(disk, source) != _digest(disk, target):
        raise MoveRefused("source and target are both there, and differ")
    fsio.sync_folder(disk, os.path.dirname(target))
    disk.unlink(source)
    fsio.sync_folder(disk, os.path.dirname(source))


def _digest(disk: Disk, path: str) -> bytes:
    digest = hashlib.blake2b()
    with fsio.reading(disk, path) as handle:
        for block in fsio.blocks(disk, handle):
            digest.update(block)
    return digest.digest()


def _make_target_folder(disk: Disk, folder: str) -> None:
    try:
        fsio.make_folders(disk, folder)
    except OSError as error:
        if error.errno in fsio.GONE:
            raise
        raise MoveRefused(f"the target's folder cannot be made: {fsio.said(error)}") from error


def _refusal(error: OSError) -> Exception:
    """Nothing was changed, unless the disk went away while it was asked."""
    return error if error.errno in fsio.GONE else MoveRefused(fsio.said(error))


def leftover_name(source: str, target: str) -> str:
    """The temporary path of a move across filesystems: hidden, beside the target, the same each time.

    So a move that is tried again after a crash clears what the first try left.
    """
    mark = hashlib.blake2b(f"{source}\0{target}".encode(errors="surrogateescape"), digest_size=8)
    return os.path.join(os.path.dirname(target), f".retaia-{mark.hexdigest()}.part")


class _Crossing:
    """A move to another filesystem: until the copy is proven and published, the source stands."""

    def __init__(self, disk: Disk, source: str, target: str, watch: Watch) -> None:
        self._disk, self._watch = disk, watch
        self._source, self._target = source, target
        self._temporary = leftover_name(source, target)

    def run(self) -> None:
        if fsio.is_taken(self._disk, self._target):
            raise MoveRefused("the target is taken")
        with fsio.reading(self._disk, self._source) as original:
            before = self._disk.fstat(original)
            try:
                self._copy(original, before)
                self._publish(original, before)
            except FileExistsError as error:
                raise MoveRefused("the target is taken") from error
            except OSError as error:
                raise _refusal(error) from error
            fsio.sync_folder(self._disk, os.path.dirname(self._target))
            self._watch(Step.PUBLISHED)
            self._remove_source(original, before)
        self._watch(Step.DONE)

    def _copy(self, original: int, before: Stat) -> None:
        fsio.remove_if_there(self._disk, self._temporary)
        with fsio.writing_new(self._disk, self._temporary, mode=0o600) as copy:
            digest = _copied(self._disk, original, copy)
            _keep_attributes(self._disk, original, copy, before)
            self._disk.fsync(copy)
            self._watch(Step.COPIED)
            if _read_back(self._disk, copy) != digest:
                raise MoveRefused("the copy read back differs from the source")
        self._watch(Step.VERIFIED)

    def _publish(self, original: int, before: Stat) -> None:
        try:
            if not self._untouched(original, before):
                raise MoveRefused("the source changed while it was copied")
            rename_without_replacing(self._disk, self._temporary, self._target)
        except BaseException:
            fsio.remove_if_there(self._disk, self._temporary)
            raise

    def _untouched(self, original: int, before: Stat) -> bool:
        """Whether the open file still stands at its name, with the size and time it had."""
        now = self._disk.fstat(original)
        try:
            here = self._disk.lstat(self._source)
        except FileNotFoundError:
            return False
        same = (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        return same and fsio.is_same(here, before)

    def _remove_source(self, original: int, before: Stat) -> None:
        if not self._untouched(original, before):
            raise OSError(errno.EBUSY, "the source changed after it was copied; both were left")
        self._disk.unlink(self._source)
        fsio.sync_folder(self._disk, os.path.dirname(self._source))


def _copied(disk: Disk, original: int, copy: int) -> bytes:
    """Copy a whole file; the digest of what was read."""
    digest = hashlib.blake2b()
    for block in fsio.blocks(disk, original):
        digest.update(block)
        fsio.write_whole(disk, copy, block)
    return digest.digest()


def _read_back(disk: Disk, copy: int) -> bytes:
    """The digest of what was written, read from the disk rather than from memory where possible."""
    with contextlib.suppress(OSError):
        disk.drop_cache(copy, 0, 0)
    disk.lseek(copy, 0, os.SEEK_SET)
    digest = hashlib.blake2b()
    for block in fsio.blocks(disk, copy):
        digest.update(block)
    return digest.digest()


def _keep_attributes(disk: Disk, original: int, copy: int, before: Stat) -> None:
    """Carry over owner, extended attributes, permissions (where the target can) and times (always)."""
    with contextlib.suppress(OSError):
        disk.fchown(copy, before.st_uid, before.st_gid)
    _keep_extended(disk, original, copy)
    with contextlib.suppress(OSError):
        disk.fchmod(copy, stat.S_IMODE(before.st_mode))
    disk.utime(copy, (before.st_atime_ns, before.st_mtime_ns))


def _keep_extended(disk: Disk, original: int, copy: int) -> None:
    try:
        names = disk.listxattr(original)
    except OSError:
        return  # The source's filesystem has none.
    for name in names:
        with contextlib.suppress(OSError):
            disk.setxattr(copy, name, disk.getxattr(original, name))
