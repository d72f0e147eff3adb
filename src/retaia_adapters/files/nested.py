"""Disks inside a storage: an archive that is a mount below the root goes away by itself, the root stays.

The folder under a mount point looks like an empty archive on the root's disk. What was seen as a disk
of its own must therefore stay one, for as long as this program runs or until the folder is adopted
again. It is looked at with every call, so that a batch notices in its middle; what a storage was at its last
scan is in the database, and is looked at before work begins.
"""

from __future__ import annotations

import os
from pathlib import Path

from retaia_core.domain.health import not_mounted
from retaia_core.errors import ValidationFailed

from . import fsio
from .disk import Disk
from .marker import read_marker


class Nested:
    """The folders of one storage's layout that were seen to be disks of their own."""

    def __init__(self, disk: Disk, root: str) -> None:
        self._disk = disk
        self._root = root
        self._seen: frozenset[str] = frozenset()

    def look(self) -> str | None:
        """See which folders are disks of their own now; why the storage is offline where one went away."""
        try:
            marker = read_marker(Path(self._root), self._disk)
            if marker is not None:
                layout = marker.layout
                tops = (layout.inbox, layout.archive, layout.rejects)
                self._seen |= frozenset(filter(self._is_apart, tops))
        except ValidationFailed:
            pass  # Whoever looks at the marker says so.
        except OSError as error:
            return f"its folders cannot be looked at: {fsio.said(error)}"
        return self.problem()

    def problem(self) -> str | None:
        """Why the storage is offline where a disk inside it went away; costs nothing where none is."""
        if not self._seen:
            return None
        try:
            gone = [top for top in sorted(self._seen) if not self._is_apart(top)]
        except OSError as error:
            return f"its folders cannot be looked at: {fsio.said(error)}"
        return not_mounted(gone[0]) if gone else None

    @property
    def tops(self) -> tuple[str, ...]:
        """The absolute paths of the disks that are there now."""
        found = (os.path.join(self._root, top) for top in sorted(self._seen))
        return tuple(found) if self.problem() is None else ()

    def _is_apart(self, top: str) -> bool:
        """Whether a folder is on another device than the root; not where it is not there."""
        try:
            there = self._disk.lstat(os.path.join(self._root, top))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return there.st_dev != self._disk.lstat(self._root).st_dev
