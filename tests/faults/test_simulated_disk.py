"""The simulated disk answers as a real one does, and loses what a real one may lose, and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from retaia_adapters.files.disk import REAL, Disk, Unsupported

from .choices import Choices
from .filesystem import FILE, FOLDER, Device, Node, Tree
from .world import Process, World

NAMES = ("a", "b", "d", "d/a", "d/b", "e", "e/a")
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


def _world() -> tuple[World, Disk]:
    """A world in which nothing happens, and the disk of its one server."""
    world = World(Choices(0, ()), trace=False)
    world.processes[world.machines[0]] = process = Process(world, world.machines[0])
    return world, process.disk


def _make(disk: Disk, path: str) -> None:
    handle = disk.open(path, NEW)
    disk.write(handle, memoryview(b"content"))
    disk.close(handle)


def _read(disk: Disk, path: str) -> bytes:
    handle = disk.open(path, os.O_RDONLY)
    try:
        return disk.read(handle, 100)
    finally:
        disk.close(handle)


_CALLS: tuple[Callable[[Disk, str, str], object], ...] = (
    lambda disk, one, other: _make(disk, one),
    lambda disk, one, other: _make(disk, other),
    lambda disk, one, other: disk.mkdir(one),
    lambda disk, one, other: disk.rmdir(one),
    lambda disk, one, other: disk.unlink(one),
    lambda disk, one, other: disk.link(one, other),
    lambda disk, one, other: disk.replace(one, other),
    lambda disk, one, other: disk.rename_no_replace(one, other),
    lambda disk, one, other: sorted(disk.listdir(one)),
    lambda disk, one, other: (disk.lstat(one).st_size, disk.lstat(one).st_nlink),
    lambda disk, one, other: _read(disk, one),
)


def _is_folder(path: str) -> bool:
    return Path(path).is_dir()


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except Unsupported:
        return "unsupported"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


@pytest.mark.parametrize("seed", range(60))
def test_it_answers_as_a_real_disk_does(tmp_path: Path, seed: int) -> None:
    """Any program of calls has the same answers and errors, and leaves the same files."""
    random, (_, simulated) = Random(seed), _world()
    simulated.mkdir("/nas/t")
    for _ in range(60):
        number = random.randrange(len(_CALLS))
        one, other = random.choice(NAMES), random.choice(NAMES)
        real_one, real_other = str(tmp_path / one), str(tmp_path / other)
        # Folders are never linked, moved or looked at for their size by the adapter.
        if number in (4, 5, 6, 7, 9, 10) and (_is_folder(real_one) or _is_folder(real_other)):
            continue
        call = _CALLS[number]
        expected = _outcome(lambda c=call, a=real_one, b=real_other: c(REAL, a, b))  # type: ignore[misc]
        found = _outcome(lambda c=call, a=one, b=other: c(simulated, f"/nas/t/{a}", f"/nas/t/{b}"))  # type: ignore[misc]
        assert found == expected, (number, one, other)


class _Folders:
    """A device with two folders that are safe, and a file in the first that is."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.device = Device(2, renames=True, links=True, room=None)
        self.one, self.two = self._folder("one"), self._folder("two")
        self.file = self.device.new(FILE, 1)
        self.device.write(self.file, b"content", 2)
        self.device.add(self.one, "a", self.file)
        self.device.sync_all()

    def _folder(self, name: str) -> Node:
        node = self.device.new(FOLDER, 0)
        self.device.add(self.device.root, name, node)
        return node

    def after_a_cut(self, seed: int) -> tuple[frozenset[str], frozenset[str]]:
        """The names in both folders after a cut of this seed."""
        self.device.cut(Choices(seed))
        return frozenset(self.one.entries), frozenset(self.two.entries)


def _cuts(change: Callable[[_Folders], object]) -> set[tuple[frozenset[str], frozenset[str]]]:
    """Everything that cuts may leave of a change."""
    left = set()
    for seed in range(200):
        folders = _Folders()
        change(folders)
        left.add(folders.after_a_cut(seed))
    return left


A, B, NONE = frozenset({"a"}), frozenset({"b"}), frozenset[str]()


class TestLossOfPower:
    """What was synced stays; what was not may go, but only in ways that a journal allows."""

    def test_a_rename_in_a_folder_is_never_half(self) -> None:
        """The old name or the new one is left, never both and never none."""
        left = _cuts(lambda f: f.device.rename(f.one, "a", f.one, "b"))
        assert left == {(A, NONE), (B, NONE)}

    def test_a_rename_to_another_folder_is_never_none(self) -> None:
        """The old name, the new one, or both are left."""
        left = _cuts(lambda f: f.device.rename(f.one, "a", f.two, "b"))
        assert left == {(A, NONE), (NONE, B), (A, B)}

    def test_a_sync_of_the_target_keeps_the_new_name(self) -> None:
        """Then only the old one may be left beside it."""

        def change(folders: _Folders) -> None:
            folders.device.rename(folders.one, "a", folders.two, "b")
            folders.device.sync(folders.two)

        assert _cuts(change) == {(NONE, B), (A, B)}

    def test_a_link_and_a_removal_may_be_none(self) -> None:
        """Two changes of two folders are kept apart from each other: the file may be lost."""

        def change(folders: _Folders) -> None:
            folders.device.add(folders.two, "b", folders.file)
            folders.device.drop(folders.one, "a")

        assert (NONE, NONE) in _cuts(change)

    def test_a_new_folder_stays_with_what_was_synced_in_it(self) -> None:
        """As journals do it."""
        folders = _Folders()
        inner = folders.device.new(FOLDER, 3)
        folders.device.add(folders.two, "inner", inner)
        folders.device.rename(folders.one, "a", inner, "a")
        folders.device.sync(inner)
        for seed in range(50):
            folders.device.cut(Choices(seed))
            assert folders.two.entries["inner"].entries["a"] is folders.file

    def test_content_that_was_not_synced_is_kept_lost_or_torn(self) -> None:
        """Its length may be right where its bytes are not."""
        left = set()
        for seed in range(200):
            folders = _Folders()
            folders.device.write(folders.file, b"another", 9)
            folders.device.cut(Choices(seed))
            left.add(folders.file.content)
        assert left == {b"another", b"content", b"ano\0\0\0\0", b"\0" * 7}

    def test_what_a_failed_sync_dropped_stays_dropped(self) -> None:
        """A sync that succeeds after one that failed has kept nothing of what was lost."""
        folders = _Folders()
        folders.device.write(folders.file, b"another", 9)
        folders.file.spoilt = True
        folders.device.sync(folders.file)
        assert not folders.file.certain

    def test_what_is_written_anew_is_synced_again(self) -> None:
        """Once what was dropped is cut off; a byte of it that is left spoils the file as before."""
        for length, certain in ((0, True), (2, False)):
            folders = _Folders()
            folders.device.write(folders.file, b"another", 9)
            folders.file.spoilt = True
            folders.device.truncate(folders.file, length, 10)
            folders.device.write(folders.file, b"another", 11)
            folders.device.sync(folders.file)
            assert folders.file.certain is certain
