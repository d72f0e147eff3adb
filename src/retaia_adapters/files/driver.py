"""Opening storages on mounted folders, and laying out new ones."""

from __future__ import annotations

import os
from collections.abc import Set as AbstractSet
from pathlib import Path

from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Marker
from retaia_core.ports.originals import FolderFound

from . import marker as markers
from .disk import REAL, Disk
from .nested import Nested
from .originals import FilesystemOriginals


class FilesystemDriver:
    """The driver of storages that are folders of this machine, or of a disk that is handed in."""

    def __init__(self, disk: Disk = REAL) -> None:
        self._disk = disk
        self._nested: dict[str, Nested] = {}

    def open(self, root: str, storage_id: StorageId) -> FilesystemOriginals:
        """The originals below a folder; nothing is looked at yet."""
        return FilesystemOriginals(
            Path(root), storage_id, disk=self._disk, nested=self.nested(root)
        )

    def nested(self, root: str) -> Nested:
        """What is known of the disks inside a storage, for as long as this driver lives."""
        return self._nested.setdefault(root, Nested(self._disk, os.path.abspath(root)))

    def survey(self, root: str, extensions: AbstractSet[str]) -> FolderFound:
        """Look at a folder without changing it.

        Raises:
            ValidationFailed: there is no such folder, or it cannot be read.
        """
        return markers.survey(Path(root), extensions, self._disk)

    def adopt(self, root: str, marker: Marker) -> Marker:
        """Make the folders of the layout and write the marker; moves nothing.

        What is a disk of its own inside is as it is now.

        Raises:
            StateConflict: a marker of another storage stands there, or the layout cannot be laid out.
            Unavailable: the folder cannot be written to.
        """
        self._nested.pop(root, None)
        return markers.adopt(Path(root), marker.layout, marker.storage_id, self._disk)
