"""The system calls that originals and derived files are kept with, as one value that can be handed in.

`REAL` is this machine. Every look at a disk and every change of one goes through a `Disk`, so that the
same code runs over a disk that a test makes: one that is full, slow, torn, gone, or cut off by a crash
at any call. What cannot be told from what is there (paths as text, flags, comparing two looks) is no
part of it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Final, Protocol, cast

if sys.platform == "darwin":
    import fcntl


class Unsupported(Exception):
    """The filesystem does not have this way of renaming; nothing was changed."""


class Stat(Protocol):
    """What is looked at of `os.stat_result`."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_ino(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_nlink(self) -> int: ...
    @property
    def st_uid(self) -> int: ...
    @property
    def st_gid(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_atime_ns(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...


class DirEntry(Protocol):
    """What is asked of `os.DirEntry`; each look may raise `OSError`."""

    @property
    def name(self) -> str: ...
    def is_dir(self, *, follow_symlinks: bool = True) -> bool: ...
    def is_file(self, *, follow_symlinks: bool = True) -> bool: ...
    def is_symlink(self) -> bool: ...
    def stat(self, *, follow_symlinks: bool = True) -> Stat: ...


Entries = AbstractContextManager[Iterator[DirEntry]]
"""A folder that is being read: entered once, in no order."""


class Disk(Protocol):
    """Every call that reaches a disk; each behaves, and fails, as the one of that name in `os`.

    Paths are absolute, handles are those that `open` gave. Every call may raise `OSError`.
    """

    # Looking

    def lstat(self, path: str, /) -> Stat: ...
    def stat(self, path: str, /) -> Stat: ...
    def fstat(self, handle: int, /) -> Stat: ...
    def listdir(self, folder: str, /) -> list[str]: ...

    def scandir(self, folder: int | str, /) -> Entries:
        """Read a folder, by its path or by a handle of it that is open."""
        ...

    def realpath(self, path: str, /) -> str:
        """The path without links; what is not there is kept as it is."""
        ...

    def free_bytes(self, folder: str, /) -> int | None:
        """How many bytes can be written below a folder; None where the system does not tell."""
        ...

    # Names

    def mkdir(self, path: str, /) -> None: ...
    def rmdir(self, path: str, /) -> None: ...

    def link(self, source: str, target: str, /) -> None:
        """A second name of a file, which must not be taken; a link is not followed."""
        ...

    def unlink(self, path: str, /) -> None: ...

    def replace(self, source: str, target: str, /) -> None:
        """Rename in one step, over a file that stands there."""
        ...

    def rename_no_replace(self, source: str, target: str, /) -> None:
        """Rename in one step, unless the name is taken (`FileExistsError`).

        Raises:
            Unsupported: there is no such rename here; nothing was changed.
        """
        ...

    # Content

    def open(self, path: str, flags: int, mode: int = 0o666, /) -> int:
        """A handle; of a folder too, to be synced or read."""
        ...

    def close(self, handle: int, /) -> None: ...
    def read(self, handle: int, most: int, /) -> bytes: ...
    def write(self, handle: int, block: memoryview, /) -> int: ...
    def lseek(self, handle: int, position: int, whence: int, /) -> int: ...
    def ftruncate(self, handle: int, length: int, /) -> None: ...

    def fsync(self, handle: int, /) -> None:
        """Make an open file's content and attributes durable, or an open folder's names."""
        ...

    def drop_cache(self, handle: int, start: int, length: int, /) -> None:
        """Forget what memory holds of a part of a file (to its end, where the length is 0)."""
        ...

    def reader(self, handle: int, /) -> BinaryIO:
        """A buffered reader that owns the handle."""
        ...

    # Attributes

    def utime(self, handle: int, times_ns: tuple[int, int], /) -> None:
        """Set access time and mtime, in nanoseconds."""
        ...

    def fchmod(self, handle: int, mode: int, /) -> None: ...
    def fchown(self, handle: int, user: int, group: int, /) -> None: ...

    def listxattr(self, handle: int, /) -> list[str]:
        """The names of extended attributes; ``ENOTSUP`` where the filesystem has none."""
        ...

    def getxattr(self, handle: int, name: str, /) -> bytes: ...
    def setxattr(self, handle: int, name: str, value: bytes, /) -> None: ...

    # Chance

    def token_hex(self, count: int, /) -> str:
        """So many random bytes as hex digits, for the name of a temporary file."""
        ...


_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCL = 4


def _rename_no_replace() -> Callable[[str, str], None]:
    """The system's own rename that cannot replace."""
    if sys.platform == "win32":
        return os.rename
    library = ctypes.CDLL(None, use_errno=True)
    name = "renamex_np" if sys.platform == "darwin" else "renameat2"
    function = getattr(library, name, None)

    def rename(source: str, target: str, /) -> None:
        if function is None:
            raise Unsupported(f"this system has no {name}")
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


def _not_here(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _fsync(handle: int, /) -> None:
    if sys.platform == "darwin":
        # There, fsync leaves what was written in the drive's own memory.
        try:
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        except OSError:
            os.fsync(handle)
    else:
        os.fsync(handle)


def _link(source: str, target: str, /) -> None:
    os.link(source, target, follow_symlinks=False)


def _free_bytes(folder: str, /) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _drop_cache(handle: int, start: int, length: int, /) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, start, length, os.POSIX_FADV_DONTNEED)


def _reader(handle: int, /) -> BinaryIO:
    return os.fdopen(handle, "rb")


def _utime(handle: int, times_ns: tuple[int, int], /) -> None:
    os.utime(handle, ns=times_ns)


class RealDisk:
    """This machine's disks: the system's own calls, with nothing in between."""

    lstat = staticmethod(os.lstat)
    stat = staticmethod(os.stat)
    fstat = staticmethod(os.fstat)
    listdir: Callable[[str], list[str]] = staticmethod(os.listdir)
    scandir = staticmethod(cast("Callable[[int | str], Entries]", os.scandir))
    realpath = staticmethod(cast("Callable[[str], str]", os.path.realpath))
    free_bytes = staticmethod(_free_bytes)

    mkdir = staticmethod(os.mkdir)
    rmdir = staticmethod(os.rmdir)
    link = staticmethod(_link)
    unlink = staticmethod(os.unlink)
    replace = staticmethod(os.replace)
    rename_no_replace = staticmethod(_rename_no_replace())

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    lseek = staticmethod(os.lseek)
    ftruncate = staticmethod(os.ftruncate)
    fsync = staticmethod(_fsync)
    drop_cache = staticmethod(_drop_cache)
    reader = staticmethod(_reader)

    utime = staticmethod(_utime)
    fchmod: Callable[[int, int], None] = staticmethod(getattr(os, "fchmod", _not_here))
    fchown: Callable[[int, int, int], None] = staticmethod(getattr(os, "fchown", _not_here))
    listxattr: Callable[[int], list[str]] = staticmethod(getattr(os, "listxattr", _not_here))
    getxattr: Callable[[int, str], bytes] = staticmethod(getattr(os, "getxattr", _not_here))
    setxattr: Callable[[int, str, bytes], None] = staticmethod(getattr(os, "setxattr", _not_here))

    token_hex = staticmethod(secrets.token_hex)


REAL: Final[Disk] = RealDisk()
"""This machine."""
