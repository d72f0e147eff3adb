"""The port contracts, on real folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import MARKER_NAME, Marker, render_marker
from retaia_core.testing.conformance.derived_storage import DerivedStorageContract
from retaia_core.testing.conformance.originals import OriginalsContract, Stage

NAS = StorageId("nas")


class FolderStage:
    """A storage in a folder, arranged with plain file calls."""

    storage_id = NAS

    def __init__(self, root: Path) -> None:
        self._root = root
        self.originals = FilesystemOriginals(root, NAS)
        self.set_marker(render_marker(Marker(storage_id=NAS)))

    def put(self, path: str, content: bytes, mtime_ns: int) -> None:
        """Write a file with its folders."""
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, ns=(mtime_ns, mtime_ns))

    def content(self, path: str) -> bytes | None:
        """What a file holds; None where there is none."""
        place = self._root / path
        return place.read_bytes() if place.is_file() else None

    def set_marker(self, content: bytes | None) -> None:
        """Replace the marker, or take it away."""
        marker = self._root / MARKER_NAME
        marker.unlink(missing_ok=True)
        if content is not None:
            marker.write_bytes(content)


class TestFilesystemOriginals(OriginalsContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        """A storage in an empty folder."""
        return FolderStage(tmp_path)


class TestFilesystemDerived(DerivedStorageContract):
    @pytest.fixture
    def derived(self, root: Path) -> FilesystemDerived:
        """The derived files of an adopted folder."""
        return FilesystemDerived(root, NAS)
