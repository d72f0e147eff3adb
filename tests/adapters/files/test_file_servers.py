"""What NFS and SMB do to a rename: lost answers, stale handles, no links, numbers that lie."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from retaia_tests.disks import answering_wrong, between, failing

from retaia_adapters.files import moves, removal
from retaia_adapters.files.disk import REAL, Disk, Unsupported
from retaia_adapters.files.marker import adopt
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_core.domain.discovery import SeenFile
from retaia_core.domain.identifiers import RelPath, StorageId
from retaia_core.domain.storage import Layout
from retaia_core.ports.originals import MoveRefused

CONTENT = b"content" * 1000
NAS = StorageId("nas")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to be moved."""
    path = tmp_path / "INBOX" / "A.mov"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where it goes."""
    path = tmp_path / "ARCHIVE" / "A.mov"
    path.parent.mkdir()
    return path


def moved(source: Path, target: Path, disk: Disk) -> None:
    moves.move(disk, os.fspath(source), os.fspath(target))


def settled(source: Path, target: Path, disk: Disk = REAL) -> None:
    moves.settle(disk, os.fspath(source), os.fspath(target))


def nfs(below: Disk = REAL) -> Disk:
    """A disk that has links and no rename that cannot replace."""

    def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        if name == "rename_no_replace":
            raise Unsupported("invalid argument")
        return do()

    return between(call, below)


def linkless(below: Disk = REAL) -> Disk:
    """A disk that has no links either."""

    def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        if name == "link":
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return do()

    return nfs(between(call, below))


def assert_moved(source: Path, target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert target.stat().st_nlink == 1
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert list(source.parent.iterdir()) == []


class TestLostAnswers:
    """A server does it, loses its answer, is asked again, and then says that it cannot."""

    @pytest.mark.parametrize("code", [errno.ENOENT, errno.EEXIST])
    def test_of_a_rename(self, source: Path, target: Path, code: int) -> None:
        """The file is where it should be: that is a success."""
        moved(source, target, answering_wrong("rename_no_replace", code))
        assert_moved(source, target)

    def test_of_a_link(self, source: Path, target: Path) -> None:
        """The name that is taken is our own work."""
        moved(source, target, nfs(answering_wrong("link", errno.EEXIST)))
        assert_moved(source, target)

    def test_of_the_removal_of_the_first_name(self, source: Path, target: Path) -> None:
        """It is gone, as was wished."""
        moved(source, target, nfs(answering_wrong("unlink", errno.ENOENT)))
        assert_moved(source, target)

    def test_of_a_rename_onto_a_reservation(self, source: Path, target: Path) -> None:
        """The reservation became the file, and is not removed."""
        moved(source, target, linkless(answering_wrong("replace", errno.ENOENT)))
        assert_moved(source, target)

    def test_of_the_removal_of_a_source_elsewhere(self, source: Path, other_disk: Path) -> None:
        """A copy whose source is gone already is whole."""
        moved(source, other_disk / "A.mov", answering_wrong("unlink", errno.ENOENT))
        assert_moved(source, other_disk / "A.mov")

    def test_of_a_purge(self, source: Path) -> None:
        """What is gone is gone."""
        found = source.stat()
        seen = SeenFile(path=RelPath("A.mov"), size=found.st_size, mtime_ns=found.st_mtime_ns)
        removal.remove(answering_wrong("unlink", errno.ENOENT), os.fspath(source), seen)
        assert not source.exists()

    def test_a_refusal_that_is_true_stays_one(self, source: Path, target: Path) -> None:
        """A name that another file has is taken, also on a server that forgets."""
        target.write_bytes(b"other")
        for disk in (REAL, nfs(), linkless(), answering_wrong("lstat", errno.EEXIST)):
            with pytest.raises((MoveRefused, FileExistsError)):
                moved(source, target, disk)
        assert (source.read_bytes(), target.read_bytes()) == (CONTENT, b"other")


class TestLinks:
    """Hard links are counted by the server, which may count late or not at all."""

    def test_a_second_name_from_before_is_a_name_that_is_taken(
        self, source: Path, target: Path
    ) -> None:
        """Somebody linked the file there: not our work, and both names stay."""
        target.hardlink_to(source)
        with pytest.raises(MoveRefused, match="taken"):
            moved(source, target, nfs())
        assert source.stat().st_nlink == 2

    def test_a_count_that_comes_late_is_settled_later(self, source: Path, target: Path) -> None:
        """With the old count our own link looks like another's: both names stay until it is settled."""
        server = answering_wrong("link", errno.EEXIST)
        before = source.stat()

        def late(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            return before if name == "lstat" and arguments[0] == os.fspath(source) else do()

        with pytest.raises(MoveRefused, match="taken"):
            moved(source, target, nfs(between(late, server)))
        assert source.stat().st_nlink == 2
        settled(source, target)
        assert_moved(source, target)


class _Unnumbered:
    """A look at a file on a server that gives every file the same number, and counts no links."""

    def __init__(self, found: os.stat_result) -> None:
        self._found = found
        self.st_ino, self.st_dev, self.st_nlink = 0, 1, 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)


def _unnumbered(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
    answer = do()
    return _Unnumbered(answer) if name in ("stat", "lstat", "fstat") else answer


class TestNumbers:
    """Where every file has one number, no file is taken for another."""

    def test_two_files_that_differ_are_both_left(self, source: Path, target: Path) -> None:
        """Equal numbers prove nothing; content does, and names do."""
        target.write_bytes(b"other")
        for to in (target, source.with_name("B.mov")):
            to.write_bytes(b"other")
            with pytest.raises(MoveRefused):
                settled(source, to, between(_unnumbered))
            assert (source.read_bytes(), to.read_bytes()) == (CONTENT, b"other")

    def test_a_name_of_another_file_is_taken(self, source: Path, target: Path) -> None:
        """Neither a second name nor another spelling of the first."""
        for to in (target, source.with_name("a.MOV")):
            to.write_bytes(b"other")
            for disk in (between(_unnumbered), nfs(between(_unnumbered))):
                with pytest.raises(MoveRefused, match="taken"):
                    moved(source, to, disk)
            assert (source.read_bytes(), to.read_bytes()) == (CONTENT, b"other")


class TestOneFolderByTwoPaths:
    """A folder that is reached by two paths has each of its files once, whatever they are called by."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Iterator[Path]:
        """A storage whose archive leads to its inbox."""
        root = tmp_path / "nas"
        root.mkdir()
        adopt(root, Layout(), NAS)
        (root / "ARCHIVE").rmdir()
        (root / "ARCHIVE").symlink_to("INBOX")
        yield root
        assert (root / "INBOX" / "A.mov").read_bytes() == CONTENT

    def test_a_file_is_not_settled_away(self, root: Path) -> None:
        """Both paths stand, equal, and are one name: to remove one would remove the other."""
        (root / "INBOX" / "A.mov").write_bytes(CONTENT)
        originals = FilesystemOriginals(root, NAS)
        with pytest.raises(MoveRefused, match="one and the same"):
            originals.settle("INBOX/A.mov", "ARCHIVE/A.mov")
        with pytest.raises(MoveRefused, match="taken"):
            originals.rename("INBOX/A.mov", "ARCHIVE/A.mov")

    def test_not_even_with_a_second_name_elsewhere(self, root: Path) -> None:
        """A backup's hard link makes two names of the file, and still one in the storage."""
        (root / "INBOX" / "A.mov").write_bytes(CONTENT)
        (root / "backup.mov").hardlink_to(root / "INBOX" / "A.mov")
        with pytest.raises(MoveRefused, match="one and the same"):
            FilesystemOriginals(root, NAS).settle("INBOX/A.mov", "ARCHIVE/A.mov")


class TestConnections:
    """A connection that broke is no refusal; what the next look finds is believed."""

    @pytest.mark.parametrize("code", [errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.EIO])
    @pytest.mark.parametrize("call", ["lstat", "rename_no_replace"])
    def test_before_anything_was_done(
        self, source: Path, target: Path, call: str, code: int
    ) -> None:
        """The error comes out, and nothing has changed."""
        with pytest.raises(OSError, match=os.strerror(code)):
            moved(source, target, failing(call, code))
        assert source.read_bytes() == CONTENT
        assert not target.exists()

    def test_after_it_was_done(self, source: Path, target: Path) -> None:
        """The error comes out: only a look can tell that it was done."""
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            moved(source, target, answering_wrong("rename_no_replace", errno.EIO))
        assert_moved(source, target)

    @pytest.mark.parametrize("call", ["open", "read", "write", "fsync", "close", "unlink"])
    def test_while_a_file_is_copied(self, source: Path, other_disk: Path, call: str) -> None:
        """Whatever call meets it, the file stands in one place at least, whole, and the move can go on."""
        target = other_disk / "A.mov"
        met = 0
        for number in range(100):
            count = iter(range(1000))
            down = failing(call, errno.ESTALE, when=lambda *_, n=number, c=count: next(c) == n)
            try:
                moved(source, target, down)
            except OSError:
                met += 1
                whole = [path for path in (source, target) if path.exists()]
                assert whole
                assert all(path.read_bytes() == CONTENT for path in whole)
                if target.exists() and source.exists():
                    settled(source, target)
                if target.exists():
                    moves.move(REAL, os.fspath(target), os.fspath(source))
                assert len(list(other_disk.iterdir())) <= 1
            else:
                break
        assert met > 0
        assert_moved(source, target)

    @pytest.mark.parametrize("call", ["fsync", "close"])
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    def test_a_server_that_says_only_at_the_end_that_it_has_no_room(
        self, source: Path, other_disk: Path, call: str, code: int
    ) -> None:
        """Nothing is published, and nothing is left; the source stands."""
        folder = os.fspath(other_disk)

        def there(handle: int) -> bool:
            return os.path.realpath(f"/proc/self/fd/{handle}").startswith(folder + "/")

        with pytest.raises(MoveRefused, match=f"{SIZE_TEXT}"):
            moved(source, other_disk / "A.mov", failing(call, code, when=there))
        assert source.read_bytes() == CONTENT
        assert list(other_disk.iterdir()) == []


SIZE_TEXT = f"{len(CONTENT)} bytes"


def test_a_kernel_that_does_not_know_the_rename_says_so() -> None:
    """The answer to an invalid argument (here: a folder into itself) is that there is no such rename."""
    folder = Path("/tmp")
    with pytest.raises(Unsupported):
        REAL.rename_no_replace(os.fspath(folder), os.fspath(folder / "x"))


def test_a_kernel_that_does_not_know_links_by_handle(source: Path, target: Path) -> None:
    """Errors of a link that mean that there are none lead on to the next way."""
    for code in (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
        moved(source, target, nfs(failing("link", code)))
        assert_moved(source, target)
        moved(target, source, REAL)
