"""One server per SQLite file: an exclusive lock on a file beside it, which the system drops with us."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from attrs import define

from retaia_core.errors import StoreError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # One byte far behind the content: Windows would keep others from reading what is locked.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@define
class ServerLock:
    """A lock that is held until `release`, or until the process ends in any way."""

    _descriptor: int | None

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it could let two in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def take(path: Path) -> ServerLock:
    """Take the lock and write down who has it.

    Raises:
        StoreError: another process holds it; ``details`` has its ``pid`` where it can be read.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError as error:
        pid = _holder(path)
        os.close(descriptor)
        raise StoreError(
            f"another Retaia server uses this database (process {pid}); stop it first, "
            "or give this one another database in the settings",
            pid=pid,
        ) from error
    return ServerLock(descriptor)


def _holder(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):  # it may be just starting, or just gone
        return int(path.read_text())
    return None
