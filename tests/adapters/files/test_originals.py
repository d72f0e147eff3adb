"""Single files of a storage: looked at, fingerprinted, moved; paths that lead out are refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from retaia_tests.disks import Call, between, failing

from retaia_adapters.files.fsio import BLOCK_BYTES
from retaia_adapters.files.originals import FINGERPRINT_BLOCK, FilesystemOriginals
from retaia_core.domain.discovery import SeenFile
from retaia_core.domain.identifiers import RelPath, StorageId
from retaia_core.domain.moves import DiskFile
from retaia_core.errors import StorageOffline, Unavailable, ValidationFailed
from retaia_core.ports.originals import MoveRefused, RemovalRefused

OUTSIDE = ["/etc/passwd", "../x", "INBOX/../../x", "C:\\x", "INBOX/\0", "INBOX//x", "out/x.mov"]


def seen(root: Path, path: str) -> SeenFile:
    found = (root / path).stat()
    return SeenFile(path=RelPath(path), size=found.st_size, mtime_ns=found.st_mtime_ns)


@pytest.fixture
def escape(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside that a link in the root leads to."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.mov").write_bytes(b"secret")
    (root / "out").symlink_to(outside)
    return outside


@pytest.mark.usefixtures("escape")
@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_out_of_the_root(originals: FilesystemOriginals, path: str) -> None:
    """Absolute paths, dots, drives, NUL and folders that are links elsewhere are refused."""
    with pytest.raises(ValidationFailed):
        originals.stat(path)
    with pytest.raises(ValidationFailed):
        originals.names_in(path)
    assert originals.fingerprint(SeenFile(path=RelPath(path), size=6, mtime_ns=0)) is None


@pytest.mark.usefixtures("escape")
def test_many_looks_at_once(root: Path, originals: FilesystemOriginals) -> None:
    """Links, folders and refused paths among many are answered as each alone, and hinder no other."""
    (root / "INBOX" / "A.mov").write_bytes(b"1")
    (root / "INBOX" / "L.mov").symlink_to("A.mov")
    (root / "INBOX" / "more").symlink_to(root / "ARCHIVE")
    (root / "ARCHIVE" / "B.mov").write_bytes(b"22")
    wanted = ["INBOX/A.mov", "INBOX/L.mov", "INBOX/more/B.mov", "INBOX/A.mov/x", "INBOX/none"]
    found = originals.look([*OUTSIDE, *wanted])
    assert {type(found.pop(path)) for path in OUTSIDE} == {ValidationFailed}
    assert found == {p: there for p in wanted if (there := originals.stat(p)) is not None}
    assert set(found) == set(wanted[:3])


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_is_moved_out_of_the_root_or_into_it(
    root: Path, originals: FilesystemOriginals, escape: Path, path: str
) -> None:
    """A refused path refuses the move, in both directions."""
    (root / "INBOX" / "A.mov").write_bytes(b"1")
    with pytest.raises(MoveRefused):
        originals.rename("INBOX/A.mov", path)
    with pytest.raises(MoveRefused):
        originals.rename(path, "ARCHIVE/A.mov")
    assert (root / "INBOX" / "A.mov").read_bytes() == b"1"
    assert [entry.name for entry in escape.iterdir()] == ["x.mov"]
    assert list((root / "ARCHIVE").iterdir()) == []


def test_stat_tells_what_stands_there(root: Path, originals: FilesystemOriginals) -> None:
    """A file, a link to it, and nothing."""
    file = root / "INBOX" / "A.mov"
    file.write_bytes(b"abc")
    os.utime(file, ns=(7, 7))
    (root / "INBOX" / "L.mov").symlink_to("A.mov")
    assert originals.stat("INBOX/A.mov") == DiskFile(size=3, mtime_ns=7)
    assert originals.stat("INBOX/L.mov") == DiskFile(size=3, mtime_ns=7)
    assert originals.stat("INBOX/no.mov") is None
    assert originals.stat("INBOX/A.mov/below") is None


def test_a_link_leading_out_stands_there_itself(
    root: Path, originals: FilesystemOriginals, escape: Path
) -> None:
    """What lies outside is not looked at."""
    (root / "INBOX" / "L.mov").symlink_to(escape / "x.mov")
    found = originals.stat("INBOX/L.mov")
    assert found is not None
    assert found.size == os.lstat(root / "INBOX" / "L.mov").st_size
    outside = evolve(seen(root, "INBOX/L.mov"), path=RelPath("INBOX/L.mov"))
    assert originals.fingerprint(outside) is None
    assert originals.checksum(outside) is None


def test_names_in_a_folder_are_all_names(root: Path, originals: FilesystemOriginals) -> None:
    """Hidden files and folders take a name as well; a folder that is not there has none."""
    for name in (".hidden", "A.mov"):
        (root / "ARCHIVE" / name).touch()
    (root / "ARCHIVE" / "sub").mkdir()
    assert originals.names_in("ARCHIVE") == {".hidden", "A.mov", "sub"}
    assert originals.names_in("ARCHIVE/2026") == frozenset()
    assert originals.names_in("") >= {"INBOX", "ARCHIVE", "REJECTS", ".retaia"}


def test_what_may_not_be_looked_at_is_not_called_absent(
    open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
) -> None:
    """A folder without rights makes its files unavailable, not missing."""
    closed = open_root / "INBOX" / "closed"
    closed.mkdir()
    (closed / "A.mov").touch()
    closed.chmod(0o000)
    originals = FilesystemOriginals(open_root, StorageId("nas"))
    with without_rights():
        with pytest.raises(Unavailable, match="denied"):
            originals.stat("INBOX/closed/A.mov")
        with pytest.raises(Unavailable, match="denied"):
            originals.names_in("INBOX/closed")
    closed.chmod(0o755)
    assert originals.stat("INBOX/closed/A.mov") is not None


class TestFingerprint:
    """The quick content fingerprint: size and three blocks."""

    @pytest.mark.parametrize("size", [0, 1, 3 * FINGERPRINT_BLOCK, 10 * FINGERPRINT_BLOCK])
    def test_it_is_about_the_content(
        self, root: Path, originals: FilesystemOriginals, size: int
    ) -> None:
        """Equal content under another name and time has the same one."""
        content = os.urandom(size)
        for name in ("A.mov", "B.mov"):
            (root / "INBOX" / name).write_bytes(content)
        os.utime(root / "INBOX" / "B.mov", ns=(5, 5))
        first = originals.fingerprint(seen(root, "INBOX/A.mov"))
        assert first is not None
        assert first == originals.fingerprint(seen(root, "INBOX/B.mov"))

    @pytest.mark.parametrize("at", [0, 5 * FINGERPRINT_BLOCK, 10 * FINGERPRINT_BLOCK - 1])
    def test_a_byte_at_start_middle_or_end_makes_another(
        self, root: Path, originals: FilesystemOriginals, at: int
    ) -> None:
        """Each of the three blocks counts."""
        content = bytearray(10 * FINGERPRINT_BLOCK)
        (root / "INBOX" / "A.mov").write_bytes(content)
        before = originals.fingerprint(seen(root, "INBOX/A.mov"))
        content[at] = 1
        (root / "INBOX" / "A.mov").write_bytes(content)
        assert originals.fingerprint(seen(root, "INBOX/A.mov")) != before

    def test_a_file_that_grew_since_has_none(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """What was seen is not what is there."""
        (root / "INBOX" / "A.mov").write_bytes(b"1")
        before = seen(root, "INBOX/A.mov")
        (root / "INBOX" / "A.mov").write_bytes(b"12")
        assert originals.fingerprint(before) is None

    def test_a_file_that_vanished_has_none(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """No error, no fingerprint."""
        (root / "INBOX" / "A.mov").write_bytes(b"1")
        before = seen(root, "INBOX/A.mov")
        (root / "INBOX" / "A.mov").unlink()
        assert originals.fingerprint(before) is None

    def test_the_times_of_the_file_are_left_alone(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """Reading changes neither mtime nor atime."""
        file = root / "INBOX" / "A.mov"
        file.write_bytes(b"1" * 1000)
        os.utime(file, ns=(1_000_000_000, 2_000_000_000))
        originals.fingerprint(seen(root, "INBOX/A.mov"))
        found = file.stat()
        assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_000, 2_000_000_000)

    def test_a_pipe_swapped_in_does_not_block(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """Only regular files are read."""
        os.mkfifo(root / "INBOX" / "A.mov")
        assert originals.fingerprint(seen(root, "INBOX/A.mov")) is None


class TestChecksum:
    """The checksum of the whole file leaves no trace of having been taken."""

    def test_a_link_inside_is_the_file_that_it_leads_to(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """As a scan sees it."""
        (root / "INBOX" / "A.mov").write_bytes(b"abc")
        (root / "INBOX" / "L.mov").symlink_to("A.mov")
        link = evolve(seen(root, "INBOX/A.mov"), path=RelPath("INBOX/L.mov"))
        assert originals.checksum(link) == originals.checksum(seen(root, "INBOX/A.mov"))

    def test_the_times_of_the_file_are_left_alone(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """A scrub of an archive is no use of it."""
        file = root / "INBOX" / "A.mov"
        file.write_bytes(b"1" * 1000)
        os.utime(file, ns=(1_000_000_000, 2_000_000_000))
        assert originals.checksum(seen(root, "INBOX/A.mov"))
        found = file.stat()
        assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_000, 2_000_000_000)

    def test_what_was_read_is_not_kept_in_memory(self, root: Path) -> None:
        """Block by block, all of the file is given back to who had memory before."""
        size = 2 * BLOCK_BYTES + 5
        (root / "INBOX" / "A.mov").write_bytes(b"x" * size)
        dropped: list[tuple[int, int]] = []

        def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == "drop_cache":
                dropped.append(arguments[1:])
            return do()

        watched = FilesystemOriginals(root, StorageId("nas"), disk=between(call))
        assert watched.checksum(seen(root, "INBOX/A.mov"))
        blocks = [(0, BLOCK_BYTES), (BLOCK_BYTES, BLOCK_BYTES), (2 * BLOCK_BYTES, 5)]
        assert dropped == [(0, 0), *blocks]

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
    @pytest.mark.parametrize("call", ["open", "read"])
    def test_what_cannot_be_read_is_not_called_changed(
        self, root: Path, call: str, code: int
    ) -> None:
        """A bad sector is unavailable: neither absent nor another content."""
        (root / "INBOX" / "A.mov").write_bytes(b"abc")
        sick = between(_of(os.fspath(root / "INBOX" / "A.mov"), call, code))
        originals = FilesystemOriginals(root, StorageId("nas"), disk=sick)
        with pytest.raises(Unavailable, match=os.strerror(code).lower()):
            originals.checksum(seen(root, "INBOX/A.mov"))

    def test_a_storage_that_goes_away_says_so(self, root: Path) -> None:
        """A scrub that is cut by a lost mount finds no file damaged."""
        (root / "INBOX" / "A.mov").write_bytes(b"abc")
        before = seen(root, "INBOX/A.mov")

        def gone(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == "open" and arguments[0].endswith("A.mov"):
                (root / ".retaia").unlink()
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return do()

        originals = FilesystemOriginals(root, StorageId("nas"), disk=between(gone))
        with pytest.raises(StorageOffline):
            originals.checksum(before)


def _of(path: str, call: str, code: int) -> Call:
    """One call fails, for one file."""
    handles: set[int] = set()

    def through(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        if name == call and (arguments[0] == path or arguments[0] in handles):
            raise OSError(code, os.strerror(code))
        answer = do()
        if name == "open" and arguments[0] == path:
            handles.add(answer)
        return answer

    return through


class TestSync:
    """Names are durable after one sync of each folder, and a failure is not passed over."""

    def test_each_folder_once(self, root: Path) -> None:
        """However often it is named."""
        synced: list[str] = []
        opened: dict[int, str] = {}

        def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            answer = do()
            if name == "open":
                opened[answer] = arguments[0]
            elif name == "fsync":
                synced.append(os.path.relpath(opened[arguments[0]], root))
            return answer

        originals = FilesystemOriginals(root, StorageId("nas"), disk=between(call))
        originals.sync(["INBOX", "ARCHIVE", "INBOX", "ARCHIVE/2026"])
        assert synced == ["ARCHIVE", "INBOX"]

    def test_a_sync_that_fails_is_an_error(self, root: Path) -> None:
        """Nobody may say that it is done."""
        originals = FilesystemOriginals(root, StorageId("nas"), disk=failing("fsync", errno.EIO))
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            originals.sync(["INBOX"])

    def test_a_filesystem_that_cannot_sync_a_folder(self, root: Path) -> None:
        """Some shares refuse the call: their server does it by itself."""
        disk = failing("fsync", errno.EINVAL)
        FilesystemOriginals(root, StorageId("nas"), disk=disk).sync(["INBOX"])


class TestRename:
    """Moves within a storage."""

    def test_a_move_and_its_way_back_change_nothing(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """There and back: the same file with the same time at the same place."""
        file = root / "INBOX" / "day" / "A.mov"
        file.parent.mkdir()
        file.write_bytes(b"1")
        before = file.stat()
        originals.rename("INBOX/day/A.mov", "ARCHIVE/day/A.mov")
        assert not file.exists()
        originals.rename("ARCHIVE/day/A.mov", "INBOX/day/A.mov")
        after = file.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_an_offline_storage_is_not_touched(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """The marker is looked at before every move; no folder is made."""
        (root / "INBOX" / "A.mov").write_bytes(b"1")
        (root / ".retaia").unlink()
        with pytest.raises(StorageOffline):
            originals.rename("INBOX/A.mov", "ARCHIVE/2026/A.mov")
        assert list((root / "ARCHIVE").iterdir()) == []


@pytest.mark.usefixtures("escape")
@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_is_removed_outside_of_the_root(
    originals: FilesystemOriginals, escape: Path, path: str
) -> None:
    """A refused path refuses the removal; what lies behind a link elsewhere stands."""
    size, mtime_ns = 6, (escape / "x.mov").stat().st_mtime_ns
    with pytest.raises(RemovalRefused):
        originals.remove(SeenFile(path=RelPath(path), size=size, mtime_ns=mtime_ns))
    assert (escape / "x.mov").read_bytes() == b"secret"


def test_a_link_is_never_removed(root: Path, originals: FilesystemOriginals) -> None:
    """Neither the link nor the file that it leads to goes, also where the file is as was seen."""
    (root / "REJECTS" / "A.mov").write_bytes(b"abc")
    link = root / "REJECTS" / "L.mov"
    link.symlink_to("A.mov")
    with pytest.raises(RemovalRefused, match="link"):
        originals.remove(evolve(seen(root, "REJECTS/A.mov"), path=RelPath("REJECTS/L.mov")))
    assert link.is_symlink()
    assert (root / "REJECTS" / "A.mov").read_bytes() == b"abc"


def test_a_file_that_may_not_be_removed_stands(
    open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
) -> None:
    """A folder that may not be written refuses the removal with the system's reason."""
    (open_root / "REJECTS" / "A.mov").write_bytes(b"abc")
    (open_root / "REJECTS").chmod(0o555)
    originals = FilesystemOriginals(open_root, StorageId("nas"))
    with without_rights(), pytest.raises(RemovalRefused, match="permission denied"):
        originals.remove(seen(open_root, "REJECTS/A.mov"))
    assert (open_root / "REJECTS" / "A.mov").read_bytes() == b"abc"
