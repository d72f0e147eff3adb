"""Looks at a storage on a mounted folder: what takes it offline, and what a look leaves behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from retaia_tests.plugs import Plug, plugged
from retaia_tests.trees import tree

from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.disk import REAL
from retaia_adapters.files.marker import adopt
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_core.domain.health import FULL, READ_ONLY, Problem
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Layout, Trouble
from retaia_core.errors import StorageOffline

NAS = StorageId("nas")
ROOM = 2**20


class Failing:
    """This machine's disk, on which some calls fail."""

    def __init__(self, fails: Callable[[str, tuple[Any, ...]], int]) -> None:
        self._fails = fails

    def __getattr__(self, name: str) -> object:
        call = getattr(REAL, name)

        def failing(*arguments: Any) -> object:
            number = self._fails(name, arguments)
            if number:
                raise OSError(number, os.strerror(number))
            return call(*arguments)

        return failing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An adopted folder with a file in its inbox."""
    adopt(tmp_path, Layout(), NAS)
    (tmp_path / "INBOX" / "a.jpg").write_bytes(b"picture")
    return tmp_path


def probe(
    root: Path, fails: Callable[[str, tuple[Any, ...]], int] | None = None, *, write: bool = False
) -> Problem | None:
    """What a look finds."""
    disk: Any = Failing(fails) if fails else REAL
    originals = FilesystemOriginals(root, NAS, disk=disk)
    return originals.probe(reserve=ROOM, write=write)


def everything(root: Path) -> set[str]:
    """Every path below a folder, hidden ones too."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


class TestAHealthyDisk:
    """Nothing is wrong with it, and a look changes nothing."""

    def test_a_look_leaves_nothing(self, root: Path) -> None:
        """Not a file and not a folder's time; one that writes leaves nothing but our own folder."""
        before, times = everything(root), {p: p.stat().st_mtime_ns for p in root.rglob("*")}
        assert probe(root) is None
        assert everything(root) == before
        assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == times
        assert probe(root, write=True) is None
        assert everything(root) == before
        (root / ".derived" / ".uploads").mkdir(parents=True)
        assert probe(root, write=True) is None
        assert everything(root) - before == {".derived", ".derived/.uploads"}
        assert list(FilesystemDerived(root, NAS).refs("")) == []

    def test_what_a_killed_look_left(self, root: Path) -> None:
        """The next look removes it, and no derived file is ever seen in it."""
        left = root / ".derived" / ".uploads" / "look.tmp"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"half")
        assert probe(root, write=True) is None
        assert not left.exists()

    @pytest.mark.parametrize("top", ["INBOX", "ARCHIVE", "REJECTS"])
    def test_a_folder_that_is_not_there(self, root: Path, top: str) -> None:
        """Somebody removed it: no trouble of the disk."""
        for path in (root / top).glob("*"):
            path.unlink()
        (root / top).rmdir()
        assert probe(root) is None


class TestTrouble:
    """Each kind is told apart."""

    def test_the_marker(self, root: Path) -> None:
        """Absent, invalid, foreign: looked at as ever."""
        (root / ".retaia").unlink()
        gone = probe(root)
        assert gone is not None
        assert gone.trouble is Trouble.MARKER
        assert "is the disk or share mounted?" in gone.reason

    @pytest.mark.parametrize("call", ["open", "scandir"])
    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
    def test_a_disk_that_answers_with_errors(self, root: Path, call: str, number: int) -> None:
        """Whether the marker cannot be read, or is remembered while the folders are not there."""
        found = probe(root, lambda name, _: number if name == call else 0)
        assert found is not None
        assert found.trouble is Trouble.FAILING
        assert os.strerror(number).lower() in found.reason

    def test_one_that_is_full(self, root: Path) -> None:
        """Less room than the reserve."""
        originals = FilesystemOriginals(root, NAS)
        assert originals.probe(reserve=2**60, write=False) == FULL

    @pytest.mark.parametrize(
        ("number", "trouble"),
        [
            (errno.ENOSPC, Trouble.FULL),
            (errno.EDQUOT, Trouble.FULL),
            (errno.EROFS, Trouble.READ_ONLY),
            (errno.EIO, Trouble.FAILING),
            (errno.EACCES, Trouble.FAILING),
        ],
    )
    def test_one_that_takes_no_writes(self, root: Path, number: int, trouble: Trouble) -> None:
        """A quota, a server that shares read-only: seen by writing alone."""

        def fails(name: str, arguments: tuple[Any, ...]) -> int:
            return number if name == "open" and arguments[1] & os.O_CREAT else 0

        assert probe(root, fails) is None
        found = probe(root, fails, write=True)
        assert found is not None
        assert found.trouble is trouble


class TestRealMounts:
    """The same with filesystems that are mounted, made read-only, filled and pulled."""

    @pytest.fixture
    def plug(self, tmp_path: Path) -> Iterator[Plug]:
        """A small disk that is a storage."""
        with plugged(tmp_path, megabytes=4) as plug:
            adopt(plug.root, Layout(), NAS)
            (plug.root / "INBOX" / "a.jpg").write_bytes(b"picture")
            yield plug

    def test_read_only(self, plug: Plug) -> None:
        """Seen without writing, and gone when it is writable again."""
        plug.remount("ro")
        assert probe(plug.root) == READ_ONLY
        plug.remount("rw")
        assert probe(plug.root, write=True) is None

    def test_full(self, plug: Plug) -> None:
        """Until somebody makes room; what is there is as it was."""
        before = tree(plug.root)
        big = plug.fill()
        assert probe(plug.root) == FULL
        assert probe(plug.root, write=True) == FULL
        big.unlink()
        assert probe(plug.root, write=True) is None
        assert tree(plug.root) == before

    def test_a_folder_that_is_a_disk(self, plug: Plug, tmp_path: Path) -> None:
        """It is seen to be one while it is mounted, and only then."""
        originals = FilesystemOriginals(plug.root, NAS)
        assert originals.mounts(Layout()) == frozenset()
        assert originals.mounts(Layout(inbox=".")) == frozenset()
        (tmp_path / "card").mkdir()
        with plugged(tmp_path / "card", megabytes=1) as card:
            archive = Plug(disk=card.disk, root=plug.root / "ARCHIVE")
            archive.plug_in()
            assert originals.mounts(Layout()) == {"ARCHIVE"}
            archive.pull()
        assert originals.mounts(Layout()) == frozenset()

    def test_pulled_while_it_is_walked(self, plug: Plug) -> None:
        """A walk over a disk that is pulled in the middle ends as offline, never as an empty folder."""
        for number in range(5):
            folder = plug.root / "INBOX" / f"day {number}"
            folder.mkdir()
            (folder / "b.jpg").write_bytes(b"picture")
        originals = FilesystemOriginals(plug.root, NAS)
        walk = originals.walk(Layout(), lambda folder: None)
        seen = [next(walk).folder for _ in range(3)]
        plug.pull()
        with pytest.raises(StorageOffline, match="is the disk or share mounted"):
            seen += [listing.folder for listing in walk]
        assert "ARCHIVE" not in seen
        found = originals.probe(reserve=0, write=False)
        assert found is not None
        assert found.trouble is Trouble.MARKER
        plug.plug_in()
        assert originals.probe(reserve=0, write=False) is None
