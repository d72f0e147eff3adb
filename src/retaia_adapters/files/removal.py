"""Removing one original for good: only a regular file, only as it was seen, never through a link."""

from __future__ import annotations

import os
import stat

from retaia_core.domain.discovery import SeenFile
from retaia_core.ports.originals import RemovalRefused

from . import fsio
from .disk import Disk


def remove(disk: Disk, place: str, seen: SeenFile) -> bool:
    """Remove the file at an absolute path; False where nothing stands there.

    Raises:
        RemovalRefused: it is not the regular file that was seen, or may not be removed; it still stands.
        OSError: it failed in the middle; what stands on disk is to be looked at.
    """
    try:
        found = disk.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(found.st_mode):
        raise RemovalRefused("it is a link or no regular file; neither is ever removed")
    if (found.st_size, found.st_mtime_ns) != (seen.size, seen.mtime_ns):
        raise RemovalRefused("it is not as it was seen: its size or time of change differs")
    try:
        disk.unlink(place)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in fsio.WHOLE_DISK:
            raise
        raise RemovalRefused(fsio.said(error)) from error
    fsio.sync_folder(disk, os.path.dirname(place))
    return True
