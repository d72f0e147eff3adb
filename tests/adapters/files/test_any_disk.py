"""The port contracts over a disk that is handed in: nothing reaches for a disk but through it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from retaia_tests.disks import kept_elsewhere

from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.driver import FilesystemDriver
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import MARKER_NAME, Marker, render_marker
from retaia_core.testing.conformance.derived_storage import DerivedStorageContract
from retaia_core.testing.conformance.originals import OriginalsContract, Stage

NAS = StorageId("nas")
SHOWN = "/a folder that no machine has/nas"


class StageElsewhere:
    """A storage at a path that this machine does not have."""

    storage_id = NAS

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self.originals = FilesystemDriver(kept_elsewhere(SHOWN, kept)).open(SHOWN, NAS)
        self.set_marker(render_marker(Marker(storage_id=NAS)))

    def put(self, path: str, content: bytes, mtime_ns: int) -> None:
        """Write a file with its folders."""
        place = self._kept / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, ns=(mtime_ns, mtime_ns))

    def content(self, path: str) -> bytes | None:
        """What a file holds; None where there is none."""
        place = self._kept / path
        return place.read_bytes() if place.is_file() else None

    def set_marker(self, content: bytes | None) -> None:
        """Replace the marker, or take it away."""
        marker = self._kept / MARKER_NAME
        marker.unlink(missing_ok=True)
        if content is not None:
            marker.write_bytes(content)


class TestOriginals(OriginalsContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        """An empty storage."""
        kept = tmp_path / "kept"
        kept.mkdir()
        return StageElsewhere(kept)


class TestDerived(DerivedStorageContract):
    @pytest.fixture
    def derived(self, tmp_path: Path) -> FilesystemDerived:
        """The derived files of an empty storage."""
        kept = tmp_path / "kept"
        kept.mkdir()
        StageElsewhere(kept)
        return FilesystemDerived(Path(SHOWN), NAS, disk=kept_elsewhere(SHOWN, kept))


def test_a_folder_is_surveyed_and_adopted_on_the_disk(tmp_path: Path) -> None:
    """Marker and folders are made there, and nowhere else."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "A.mov").touch()
    driver = FilesystemDriver(kept_elsewhere(SHOWN, kept))
    assert driver.survey(SHOWN, frozenset({"mov"})).media == 1
    marker = driver.adopt(SHOWN, Marker(storage_id=NAS))
    assert driver.survey(SHOWN, frozenset({"mov"})).marker == marker
    assert {path.name for path in kept.iterdir()} == {
        ".retaia",
        "INBOX",
        "ARCHIVE",
        "REJECTS",
        "A.mov",
    }
