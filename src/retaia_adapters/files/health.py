"""A look at a storage: its marker, folders that answer, room, and a disk that takes writes.

Nothing among a person's files is touched. Whether a disk is read-only is found out by removing a name
that nobody has; only where work failed at writing, something is written among the derived files.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from retaia_core.domain.health import FULL, READ_ONLY, Problem, failing, problem_of
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import DERIVED_FOLDER, Trouble
from retaia_core.errors import ValidationFailed

from . import fsio
from .derived import UPLOADS_FOLDER
from .disk import Disk
from .marker import marker_problem, read_marker

LOOK_NAME = "look.tmp"
LOOK_BYTES = 4096


def probe(
    disk: Disk, root: str, storage_id: StorageId, *, reserve: int, write: bool
) -> Problem | None:
    """What keeps a storage from being worked on now; None where nothing does.

    A disk with less than ``reserve`` bytes of free space is full. With ``write``, a small file is
    written and removed.
    """
    reason = marker_problem(Path(root), storage_id, disk)
    try:
        if reason is not None:
            return _unreadable(disk, root) or Problem(trouble=Trouble.MARKER, reason=reason)
        _read_folders(disk, root)
        if is_read_only(disk, root):
            return READ_ONLY
        free = disk.free_bytes(root)
        if free is not None and free < reserve:
            return FULL
        if write:
            _write(disk, root)
    except OSError as error:
        return problem_of(error) or failing(fsio.said(error))
    return None


def _unreadable(disk: Disk, root: str) -> Problem | None:
    """Whether the marker cannot be read for an error of the disk, rather than for not being there."""
    try:
        read_marker(Path(root), disk)
    except ValidationFailed:
        return None
    except OSError as error:
        return failing(fsio.said(error)) if error.errno in fsio.GONE else None
    return None


def _read_folders(disk: Disk, root: str) -> None:
    """Read the beginning of inbox, archive and rejects: a marker may be read from memory alone.

    Raises:
        OSError: the disk does not answer; a folder that is not there, or may not be read, is no trouble.
    """
    marker = read_marker(Path(root), disk)
    if marker is None:
        return
    layout = marker.layout
    for top in (layout.inbox, layout.archive, layout.rejects):
        with (
            suppress(FileNotFoundError, NotADirectoryError, PermissionError),
            disk.scandir(os.path.join(root, top)) as entries,
        ):
            next(entries, None)


def is_read_only(disk: Disk, root: str) -> bool:
    """Whether the disk of a folder takes no change: it is asked to remove a name that nobody has."""
    try:
        disk.unlink(os.path.join(root, f".retaia-look-{disk.token_hex(6)}.part"))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def _write(disk: Disk, root: str) -> None:
    """Write, sync and remove a small file, among the derived files where there are any.

    No folder is made: the disk may go away just now, and it would be made below its mount point.

    Raises:
        OSError: the disk does not take it.
    """
    uploads = os.path.join(root, DERIVED_FOLDER, UPLOADS_FOLDER)
    place = os.path.join(uploads, LOOK_NAME)
    if not fsio.is_folder(disk, uploads):
        place = os.path.join(root, f".retaia-{LOOK_NAME}")
    fsio.remove_if_there(disk, place)
    with (
        suppress(FileExistsError),  # Another program looks at the same time.
        fsio.writing_new(disk, place) as handle,
    ):
        fsio.write_whole(disk, handle, bytes(LOOK_BYTES))
        disk.fsync(handle)
    fsio.remove_if_there(disk, place)
