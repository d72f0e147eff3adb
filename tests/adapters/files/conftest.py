"""Storages on real folders, a second filesystem, a small one, and a user without rights."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from retaia_tests import components

from retaia_adapters.files.marker import adopt
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Layout

NAS = StorageId("nas")
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An adopted folder: marker, INBOX, ARCHIVE, REJECTS."""
    adopt(tmp_path, Layout(), NAS)
    return tmp_path


@pytest.fixture
def originals(root: Path) -> FilesystemOriginals:
    """The originals of the adopted folder."""
    return FilesystemOriginals(root, NAS)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another filesystem than ``tmp_path``."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        components.absent("second_filesystem", "/dev/shm is not another filesystem than TMPDIR")
    folder = Path(tempfile.mkdtemp(dir=shared, prefix="retaia-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of one MiB."""
    with _mounted(tmp_path / "small", "size=1m") as place:
        if place is None:
            components.absent("small_filesystem", "mounting one needs root")
        yield place


@pytest.fixture
def caseless_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in which names that differ only in case are one."""
    with _mounted(tmp_path / "caseless", "size=1m,casefold") as place:
        if place is None:
            components.absent("caseless_filesystem", "needs root and tmpfs with casefold")
        folder = place / "folded"
        folder.mkdir()
        subprocess.run(["chattr", "+F", folder], check=True)
        yield folder


@contextlib.contextmanager
def _mounted(place: Path, options: str) -> Iterator[Path | None]:
    """A tmpfs, mounted for the block; None where it cannot be."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "retaia-test", os.fspath(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", os.fspath(place)], check=True)


@pytest.fixture
def open_root() -> Iterator[Path]:
    """An adopted folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="retaia-"))
    folder.chmod(0o755)
    adopt(folder, Layout(), NAS)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def _without_rights() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def without_rights() -> Callable[[], AbstractContextManager[None]]:
    """A block in which permissions count, for root too."""
    return _without_rights
