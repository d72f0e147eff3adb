"""Giving a file another name on its filesystem, so that nothing is ever replaced and nothing lost.

`rename_without_replacing` takes the best way there is:

1. the system's own rename that refuses a name that is taken (``renameat2`` on Linux, ``renamex_np``
   on macOS, plain ``rename`` on Windows): one atomic step, on SMB and exFAT too;
2. where the filesystem has no such rename (NFS, some FUSE): a second hard link, which is refused where
   the name is taken, then removal of the first. A crash between leaves two names of one whole file;
3. where it has no hard links either: the name is reserved by an empty file that only we can have made,
   which the rename then replaces. Another *program* that wrote into our reservation in the instant
   between the last look and the rename would lose that; no file that stood there before ever is.

A file server may do what it was asked, lose its answer, and be asked again: it then says that the new
name is taken, or the old one gone. Whoever asked looks whether that is its own work.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

from . import fsio
from .disk import Disk, Unsupported

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
        if not (is_one_file(disk, source, target) and now.st_nlink == before.st_nlink + 1):
            raise
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise Unsupported(fsio.said(error)) from error
        raise
    # Where a disk fails here, both names are left: another may take the move up meanwhile, find them and
    # remove the first, and then the second is the last. Whoever comes next settles it.
    try:
        fsio.sync_folder(disk, os.path.dirname(target))
    except OSError as error:
        said = f"the file has both names, and the folder cannot be synced: {fsio.said(error)}"
        raise OSError(errno.EIO, said) from error
    if not is_one_file(disk, source, target):
        # A disk that was pulled, or a server that lost power, forgot it before the sync.
        raise OSError(errno.ESTALE, "the new name is not there any more; the old one was left")
    try:
        fsio.remove_if_there(disk, source)
    except OSError as error:
        if error.errno not in fsio.WHOLE_DISK and is_one_file(disk, source, target):
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


def is_one_file(disk: Disk, one: str, other: str) -> bool:
    """Whether two names are of one file; not where one of them is of none."""
    try:
        return fsio.is_same(disk.lstat(one), disk.lstat(other))
    except FileNotFoundError:
        return False
