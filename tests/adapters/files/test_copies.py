"""Folders with other copies: the port's contract, and every way in which a file is not its own copy."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest
from retaia_tests import components

from retaia_adapters.files.copies import FolderCopies, is_one_file
from retaia_adapters.files.disk import RealDisk, Stat
from retaia_core.domain.proof import Refusal
from retaia_core.ports.copies import CopyRefused
from retaia_core.testing.conformance.copies import PLACE, CopiesContract, CopiesStage

ORIGINAL = "REJECTS/a.mov"


class FolderStage:
    """A storage and a backup, two folders side by side."""

    def __init__(self, folder: Path) -> None:
        self.root, self.backup = folder / "storage", folder / "backup"
        self.root.mkdir()
        self.backup.mkdir()
        self.copies = FolderCopies(self.root, {PLACE: os.fspath(self.backup)})

    def put_original(self, path: str, content: bytes, mtime_ns: int) -> None:
        _put(self.root / path, content, mtime_ns)

    def put_copy(self, path: str, content: bytes, mtime_ns: int) -> None:
        _put(self.backup / path, content, mtime_ns)

    def remove_copy(self, path: str) -> None:
        (self.backup / path).unlink()

    def name_original(self, original: str, path: str) -> None:
        place = self.backup / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(self.root / original)

    def take_place_away(self) -> None:
        self.backup.rename(self.backup.with_name("unplugged"))


def _put(place: Path, content: bytes, mtime_ns: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    os.utime(place, ns=(mtime_ns, mtime_ns))


@pytest.fixture
def stage(tmp_path: Path) -> FolderStage:
    made = FolderStage(tmp_path)
    made.put_original(ORIGINAL, b"content", 7)
    return made


class TestFolderCopies(CopiesContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> CopiesStage:
        """A storage and a backup."""
        return FolderStage(tmp_path)


def refusal(copies: FolderCopies, path: str) -> tuple[Refusal, str]:
    """Why what stands at a path of the backup is no copy."""
    with pytest.raises(CopyRefused) as caught:
        copies.look(PLACE, path, ORIGINAL)
    return caught.value.reason, caught.value.message


def test_a_link_is_no_copy(stage: FolderStage) -> None:
    """Not to the original, not to another file, and a folder is none either."""
    (stage.backup / "to-it").symlink_to(stage.root / ORIGINAL)
    stage.put_copy("other", b"content", 7)
    (stage.backup / "to-other").symlink_to("other")
    (stage.backup / "folder").mkdir()
    for name in ("to-it", "to-other", "folder"):
        assert refusal(stage.copies, name)[0] is Refusal.LINK


def test_what_lies_in_the_storage_is_no_copy(stage: FolderStage) -> None:
    """A folder of the place that leads into the storage, and a place that is the storage."""
    (stage.backup / "inside").symlink_to(stage.root)
    assert refusal(stage.copies, f"inside/{ORIGINAL}")[0] is Refusal.SAME_FILE
    stage.put_original("ARCHIVE/copy.mov", b"content", 7)
    itself = FolderCopies(stage.root, {PLACE: os.fspath(stage.root)})
    for path in (ORIGINAL, "ARCHIVE/copy.mov"):
        reason, said = refusal(itself, path)
        assert (reason, "inside the storage" in said) == (Refusal.SAME_FILE, True)


def test_another_mount_of_the_storage_is_no_copy(stage: FolderStage) -> None:
    """The storage bound to another folder has the same files, whatever their paths are."""
    second = stage.backup / "mounted"
    second.mkdir()
    bind = ["mount", "--bind", os.fspath(stage.root), os.fspath(second)]
    try:
        subprocess.run(bind, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        components.absent("bind_mount", "mounting needs root")
    try:
        assert refusal(stage.copies, f"mounted/{ORIGINAL}")[0] is Refusal.SAME_FILE
    finally:
        subprocess.run(["umount", os.fspath(second)], check=True)


def looked(device: int, number: int, ctime_ns: int) -> Stat:
    """A look at a file."""
    return SimpleNamespace(st_dev=device, st_ino=number, st_ctime_ns=ctime_ns)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("other", "one"),
    [
        (looked(1, 2, 3), True),
        (looked(1, 2, 9), True),
        (looked(9, 2, 3), True),
        (looked(9, 2, 9), False),
        (looked(1, 9, 3), False),
        (looked(9, 9, 3), False),
    ],
)
def test_which_looks_may_be_at_one_file(other: Stat, *, one: bool) -> None:
    """One device and number; or, through a second mount, one number and one time of change."""
    assert is_one_file(looked(1, 2, 3), other) is one


def test_what_cannot_be_read_is_said(
    open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
) -> None:
    """A copy that may not be read, and one whose folder may not be looked into, prove nothing."""
    stage = FolderStage(open_root)
    for folder in (stage.backup, stage.root):
        folder.chmod(0o755)
    stage.put_copy("a.mov", b"content", 7)
    (stage.backup / "a.mov").chmod(0)
    stage.put_copy("shut/a.mov", b"content", 7)
    (stage.backup / "shut").chmod(0)
    with without_rights():
        seen = stage.copies.look(PLACE, "a.mov", ORIGINAL)
        assert seen is not None
        with pytest.raises(CopyRefused) as caught:
            stage.copies.checksum(PLACE, seen, lambda count: None)
        shut = refusal(stage.copies, "shut/a.mov")
    assert caught.value.reason is shut[0] is Refusal.UNREADABLE
    assert "permission denied" in caught.value.message
    assert os.fspath(stage.backup) not in caught.value.message


def test_a_copy_beside_an_original_that_is_gone(stage: FolderStage) -> None:
    """Recovery looks at copies when the original went already: the copy is as good as it was."""
    stage.put_copy("a.mov", b"content", 7)
    before = stage.copies.look(PLACE, "a.mov", ORIGINAL)
    (stage.root / ORIGINAL).unlink()
    after = stage.copies.look(PLACE, "a.mov", ORIGINAL)
    assert before is not None
    assert after is not None
    assert after.stamp == before.stamp


def test_which_disk_a_copy_lies_on(stage: FolderStage, other_disk: Path) -> None:
    """One beside the original is told from one on another disk."""
    stage.put_copy("a.mov", b"content", 7)
    _put(other_disk / "a.mov", b"content", 7)
    copies = FolderCopies(stage.root, {PLACE: os.fspath(other_disk)})
    seen = [one.look(PLACE, "a.mov", ORIGINAL) for one in (stage.copies, copies)]
    assert [one.same_disk for one in seen if one] == [True, False]


def test_a_copy_that_is_written_to_while_it_is_read(stage: FolderStage) -> None:
    """It has no checksum."""
    stage.put_copy("a.mov", b"content" * 10, 7)
    seen = stage.copies.look(PLACE, "a.mov", ORIGINAL)
    assert seen is not None

    def meanwhile(count: int) -> None:
        stage.put_copy("a.mov", b"another" * 10, 7)

    assert stage.copies.checksum(PLACE, seen, meanwhile) is None


class TellingDisk(RealDisk):
    """This machine's disk, which says what is asked of it, and may refuse to sync."""

    def __init__(self, refuses: int = 0) -> None:
        self.asked: list[str] = []
        self.refuses = refuses

    def fsync(self, handle: int, /) -> None:  # type: ignore[override]
        self.asked.append("fsync")
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))

    def drop_cache(self, handle: int, start: int, length: int, /) -> None:  # type: ignore[override]
        self.asked.append("drop_cache")

    def read(self, handle: int, most: int, /) -> bytes:  # type: ignore[override]
        self.asked.append("read")
        return os.read(handle, most)


@pytest.mark.parametrize(
    ("refuses", "kept"), [(0, True), (errno.EROFS, True), (errno.EIO, False), (errno.ENOSPC, False)]
)
def test_the_disk_answers_not_memory(stage: FolderStage, refuses: int, *, kept: bool) -> None:
    """A copy is synced and forgotten by memory before it is read; one that the disk lost is none."""
    stage.put_copy("a.mov", b"content", 7)
    disk = TellingDisk(refuses)
    copies = FolderCopies(stage.root, {PLACE: os.fspath(stage.backup)}, disk=disk)
    seen = copies.look(PLACE, "a.mov", ORIGINAL)
    assert seen is not None
    if kept:
        assert copies.checksum(PLACE, seen, lambda count: None)
        assert disk.asked[:3] == ["fsync", "drop_cache", "read"]
        return
    with pytest.raises(CopyRefused) as caught:
        copies.checksum(PLACE, seen, lambda count: None)
    assert (caught.value.reason, "read" in disk.asked) == (Refusal.UNREADABLE, False)
