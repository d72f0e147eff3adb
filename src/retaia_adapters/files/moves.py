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
import ctypes
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from retaia_core.domain.moves import same_name
from retaia_core.ports.originals import MoveRefused

from . import fsio

Primitive = Callable[[str, str], None]
"""Renames, or raises `FileExistsError` (taken), `Unsupported` (no such way here) or `OSError`."""


class Unsupported(Exception):
    """The filesystem does not have this way of renaming; nothing was changed."""


class Step(StrEnum):
    """The points that a move passes, in order; `COPIED` to `PUBLISHED` only across filesystems."""

    COPIED = "copied"
    VERIFIED = "verified"
    PUBLISHED = "published"
    DONE = "done"


Watch = Callable[[Step], None]

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_LINKS = _UNSUPPORTED | {errno.EPERM, errno.EMLINK}
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCL = 4


def _native() -> Primitive | None:
    """The system's own rename that cannot replace; None where there is none."""
    if sys.platform == "win32":
        return os.rename
    library = ctypes.CDLL(None, use_errno=True)
    name = "renamex_np" if sys.platform == "darwin" else "renameat2"
    function = getattr(library, name, None)
    if function is None:
        return None

    def rename(source: str, target: str) -> None:
        old, new = os.fsencode(source), os.fsencode(target)
        if sys.platform == "darwin":
            failed = function(old, new, _RENAME_EXCL)
        else:
            failed = function(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)
        if failed:
            code = ctypes.get_errno()
            if code in _UNSUPPORTED:
                raise Unsupported(os.strerror(code))
            raise OSError(code, os.strerror(code))

    return rename


def by_link(source: str, target: str) -> None:
    """Rename by a second hard link, then removal of the first."""
    before = os.lstat(source)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        # A file server may do it, lose its answer, and find its own work when asked again.
        now = os.lstat(source)
        if not (_one_file(source, target) and now.st_nlink == before.st_nlink + 1):
            raise
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise Unsupported(fsio.said(error)) from error
        raise
    try:
        fsio.sync_folder(os.path.dirname(target))
        os.unlink(source)
    except OSError as error:
        if _one_file(source, target):
            _take_back(target, error)
        raise


def _take_back(second: str, cause: OSError) -> None:
    """Remove the second name of a file whose first could not be removed."""
    try:
        os.unlink(second)
    except OSError:
        said = f"the file has both names, and neither can be removed: {fsio.said(cause)}"
        raise OSError(errno.EIO, said) from cause


def by_reservation(source: str, target: str) -> None:
    """Rename onto an empty file of our own making; see the module on what this cannot promise."""
    os.lstat(source)
    with _reserved(target) as still_ours:
        if not still_ours():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(source, target)


@contextlib.contextmanager
def _reserved(target: str) -> Iterator[Callable[[], bool]]:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    made = os.fstat(handle)
    os.close(handle)

    def still_ours() -> bool:
        now = os.lstat(target)
        return os.path.samestat(now, made) and now.st_size == 0

    try:
        yield still_ours
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            if still_ours():
                os.unlink(target)
        raise


_NATIVE = _native()
PRIMITIVES: tuple[Primitive, ...] = (
    *((_NATIVE,) if _NATIVE else ()),
    by_link,
    by_reservation,
)
"""The ways to rename without replacing, best first."""


def rename_without_replacing(
    source: str, target: str, primitives: Sequence[Primitive] = PRIMITIVES
) -> None:
    """Give a file another name on its filesystem, unless that name is taken.

    Raises:
        FileExistsError: the name is taken; nothing was changed.
        OSError: it could not be done; with an error of `fsio.GONE` it may have been done all the same.
    """
    for primitive in primitives:
        try:
            return primitive(source, target)
        except Unsupported:
            continue
    raise OSError(errno.ENOTSUP, "this filesystem has no way to rename without replacing")


def _one_file(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False


def _movable(source: str) -> os.stat_result:
    try:
        found = os.lstat(source)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MoveRefused("the source is not there") from error
    if stat.S_ISLNK(found.st_mode):
        raise MoveRefused("the source is a link; a link is never moved")
    if not stat.S_ISREG(found.st_mode):
        raise MoveRefused("the source is not a regular file")
    return found


def _spelling_only(source: str, target: str) -> bool:
    """Whether two names are one directory entry, told apart by nothing but their spelling."""
    folder, new = os.path.split(target)
    old_folder, old = os.path.split(source)
    if not (_one_file(source, target) and same_name(old) == same_name(new)):
        return False
    if not os.path.samestat(os.stat(folder), os.stat(old_folder)):
        return False
    return len({old, new} & set(os.listdir(folder))) == 1


def _respell(source: str, target: str) -> None:
    """Change only the case of a name, where the filesystem takes both for one."""
    os.rename(source, target)
    if os.path.basename(target) not in os.listdir(os.path.dirname(target)):
        raise MoveRefused("this filesystem does not change the case of a name")


def move(
    source: str,
    target: str,
    *,
    watch: Watch = lambda step: None,
    primitives: Sequence[Primitive] = PRIMITIVES,
) -> None:
    """Move a regular file to a path where nothing stands; both are absolute. Folders are made.

    Raises:
        MoveRefused: the target is taken, the source is not there, or nothing could be done; nothing
            was changed.
        OSError: it failed in the middle; what stands on disk is to be looked at.
    """
    _movable(source)
    if source == target:
        raise MoveRefused("the target is the source")
    folder = os.path.dirname(target)
    _make_target_folder(folder)
    try:
        rename_without_replacing(source, target, primitives)
    except FileExistsError as error:
        if not _spelling_only(source, target):
            raise MoveRefused("the target is taken") from error
        _respell(source, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return _Crossing(source, target, watch, primitives).run()
        raise _refusal(error) from error
    fsio.sync_folder(folder)
    if os.path.dirname(source) != folder:
        fsio.sync_folder(os.path.dirname(source))
    watch(Step.DONE)
    return None


def settle(source: str, target: str) -> None:
    """Remove the source of a move that was interrupted after its target was published.

    Raises:
        MoveRefused: one of them is not there or no regular file, or they differ; nothing was changed.
        OSError: they could not be compared, or the source could not be removed.
    """
    _movable(source)
    _movable(target)
    if not _one_file(source, target) and _digest(source) != _digest(target):
        raise MoveRefused("source and target are both there, and differ")
    fsio.sync_folder(os.path.dirname(target))
    os.unlink(source)
    fsio.sync_folder(os.path.dirname(source))


def _digest(path: str) -> bytes:
    digest = hashlib.blake2b()
    with fsio.reading(path) as handle:
        for block in fsio.blocks(handle):
            digest.update(block)
    return digest.digest()


def _make_target_folder(folder: str) -> None:
    try:
        fsio.make_folders(folder)
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

    def __init__(
        self, source: str, target: str, watch: Watch, primitives: Sequence[Primitive]
    ) -> None:
        self._source, self._target = source, target
        self._watch, self._primitives = watch, primitives
        self._temporary = leftover_name(source, target)

    def run(self) -> None:
        if os.path.lexists(self._target):
            raise MoveRefused("the target is taken")
        with fsio.reading(self._source) as original:
            before = os.fstat(original)
            try:
                self._copy(original, before)
                self._publish(original, before)
            except FileExistsError as error:
                raise MoveRefused("the target is taken") from error
            except OSError as error:
                raise _refusal(error) from error
            fsio.sync_folder(os.path.dirname(self._target))
            self._watch(Step.PUBLISHED)
            self._remove_source(original, before)
        self._watch(Step.DONE)

    def _copy(self, original: int, before: os.stat_result) -> None:
        fsio.remove_if_there(self._temporary)
        with fsio.writing_new(self._temporary, mode=0o600) as copy:
            digest = _copied(original, copy)
            _keep_attributes(original, copy, before)
            os.fsync(copy)
            self._watch(Step.COPIED)
            if _read_back(copy) != digest:
                raise MoveRefused("the copy read back differs from the source")
        self._watch(Step.VERIFIED)

    def _publish(self, original: int, before: os.stat_result) -> None:
        try:
            if not self._untouched(original, before):
                raise MoveRefused("the source changed while it was copied")
            rename_without_replacing(self._temporary, self._target, self._primitives)
        except BaseException:
            fsio.remove_if_there(self._temporary)
            raise

    def _untouched(self, original: int, before: os.stat_result) -> bool:
        """Whether the open file still stands at its name, with the size and time it had."""
        now = os.fstat(original)
        try:
            here = os.lstat(self._source)
        except FileNotFoundError:
            return False
        same = (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        return same and os.path.samestat(here, before)

    def _remove_source(self, original: int, before: os.stat_result) -> None:
        if not self._untouched(original, before):
            raise OSError(errno.EBUSY, "the source changed after it was copied; both were left")
        os.unlink(self._source)
        fsio.sync_folder(os.path.dirname(self._source))


def _copied(original: int, copy: int) -> bytes:
    """Copy a whole file; the digest of what was read."""
    digest = hashlib.blake2b()
    for block in fsio.blocks(original):
        digest.update(block)
        fsio.write_whole(copy, block)
    return digest.digest()


def _read_back(copy: int) -> bytes:
    """The digest of what was written, read from the disk rather than from memory where possible."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(copy, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(copy, 0, os.SEEK_SET)
    digest = hashlib.blake2b()
    for block in fsio.blocks(copy):
        digest.update(block)
    return digest.digest()


def _keep_attributes(original: int, copy: int, before: os.stat_result) -> None:
    """Carry over owner, extended attributes, permissions (where the target can) and times (always)."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.fchown(copy, before.st_uid, before.st_gid)
        if sys.platform == "linux":
            _keep_extended(original, copy)
        with contextlib.suppress(OSError):
            os.fchmod(copy, stat.S_IMODE(before.st_mode))
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))


def _keep_extended(original: int, copy: int) -> None:
    try:
        names = os.listxattr(original)
    except OSError:
        return  # The source's filesystem has none.
    for name in names:
        with contextlib.suppress(OSError):
            os.setxattr(copy, name, os.getxattr(original, name))
