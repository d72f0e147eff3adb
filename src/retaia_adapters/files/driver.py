"""Opening storages on mounted folders, and laying out new ones."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Marker
from retaia_core.ports.originals import FolderFound

from . import marker as markers
from .originals import FilesystemOriginals


class FilesystemDriver:
    """The driver of storages that are folders of this machine."""

    def open(self, root: str, storage_id: StorageId) -> FilesystemOriginals:
        """The originals below a folder; nothing is looked at yet."""
        return FilesystemOriginals(Path(root), storage_id)

    def survey(self, root: str, extensions: AbstractSet[str]) -> FolderFound:
        """Look at a folder without changing it.

        Raises:
            ValidationFailed: there is no such folder, or it cannot be read.
        """
        return markers.survey(Path(root), extensions)

    def adopt(self, root: str, marker: Marker) -> Marker:
        """Make the folders of the layout and write the marker; moves nothing.

        Raises:
            StateConflict: a marker of another storage stands there, or the layout cannot be laid out.
            Unavailable: the folder cannot be written to.
        """
        return markers.adopt(Path(root), marker.layout, marker.storage_id)
