"""Small pieces of file work that survive a loss of power: syncing, making, opening and saying why not."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator

from .disk import Disk, Stat

BLOCK_BYTES = 1024 * 1024

GONE = frozenset(
    getattr(errno, name)
    for name in (
        "EIO",
        "ENODEV",
        "ENXIO",
        "ENOTCONN",
        "ESTALE",
        "ETIMEDOUT",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ESHUTDOWN",
        "ECONNABORTED",
        "ECONNRESET",
        "EREMOTEIO",
    )
    if hasattr(errno, name)
)
"""Errors of a disk or share that went away: what was asked may have been done or not."""

WHOLE_DISK = GONE | {errno.EROFS}
"""Errors of a disk rather than of one file on it: nothing is refused for them, it waits for the disk."""

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NO_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP})
PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NOATIME = getattr(os, "O_NOATIME", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def said(error: OSError) -> str:
    """An error's reason in the system's words, without the absolute path."""
    return (error.strerror or type(error).__name__).lower()


def printable(name: str) -> str:
    r"""A name as valid text; bytes that are none are shown as ``\xNN``.

    >>> printable("caf\udce9.mov")
    'caf\\xe9.mov'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_text(name: str) -> bool:
    r"""Whether a name that the system gave is valid text.

    >>> is_text("café.mov"), is_text("caf\udce9.mov")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def look(disk: Disk, path: str) -> Stat | None:
    """What stands at a path, links followed; None where nothing does."""
    try:
        return disk.stat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def is_folder(disk: Disk, path: str) -> bool:
    """Whether a folder, or a link to one, stands at a path."""
    found = look(disk, path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_file(disk: Disk, path: str) -> bool:
    """Whether a regular file, or a link to one, stands at a path."""
    found = look(disk, path)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_link(disk: Disk, path: str) -> bool:
    """Whether a link stands at a path."""
    try:
        return stat.S_ISLNK(disk.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_taken(disk: Disk, path: str) -> bool:
    """Whether anything stands at a path, a broken link too."""
    try:
        disk.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_same(one: Stat, other: Stat) -> bool:
    """Whether two looks were at one file."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def sync_folder(disk: Disk, path: str) -> None:
    """Make the names in a folder durable, where the system has a way to."""
    if sys.platform == "win32":
        return
    handle = disk.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        disk.close(handle)


def sync_file(disk: Disk, path: str) -> None:
    """Make a file's content durable, where the system lets a reader ask for that."""
    with reading(disk, path) as handle:
        try:
            disk.fsync(handle)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise


def make_folders(disk: Disk, path: str) -> None:
    """Make a folder and those above it, each durable in its parent.

    Raises:
        FileExistsError: something else than a folder has that name.
    """
    if is_folder(disk, path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        make_folders(disk, parent)
    try:
        disk.mkdir(path)
    except FileExistsError:
        if not is_folder(disk, path):
            raise
    sync_folder(disk, parent)


def open_to_read(disk: Disk, path: str) -> int:
    """Open a regular file for reading, leaving its access time alone where the system allows that.

    Raises:
        OSError: it cannot be opened, or is a link or no regular file (a pipe does not block).
    """
    flags = os.O_RDONLY | PLAIN | _NONBLOCK | NOFOLLOW
    try:
        handle = disk.open(path, flags | _NOATIME)
    except PermissionError:
        handle = disk.open(path, flags)
    if not stat.S_ISREG(disk.fstat(handle).st_mode):
        disk.close(handle)
        raise OSError(errno.EINVAL, "not a regular file")
    return handle


@contextlib.contextmanager
def reading(disk: Disk, path: str) -> Iterator[int]:
    """`open_to_read` for a ``with`` block."""
    handle = open_to_read(disk, path)
    try:
        yield handle
    finally:
        disk.close(handle)


@contextlib.contextmanager
def writing_new(disk: Disk, path: str, *, mode: int = 0o666) -> Iterator[int]:
    """Create a file that must not be there yet; it is removed again where the block fails."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN | NOFOLLOW
    handle = disk.open(path, flags, mode)
    try:
        try:
            yield handle
        finally:
            disk.close(handle)
    except BaseException:
        remove_if_there(disk, path)
        raise


def write_whole(disk: Disk, handle: int, block: bytes) -> None:
    """Write every byte of a block; the system may take it in several bites."""
    rest = memoryview(block)
    while rest:
        rest = rest[disk.write(handle, rest) :]


def blocks(disk: Disk, handle: int) -> Iterator[bytes]:
    """The content of an open file from where it stands, block by block."""
    while block := disk.read(handle, BLOCK_BYTES):
        yield block


def exactly(disk: Disk, handle: int, length: int) -> bytes:
    """Read so many bytes, or what there is; the system may give them in several bites."""
    taken = bytearray()
    while len(taken) < length and (block := disk.read(handle, length - len(taken))):
        taken += block
    return bytes(taken)


def remove_if_there(disk: Disk, path: str) -> None:
    """Remove a file; harmless where it is gone."""
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(path)
