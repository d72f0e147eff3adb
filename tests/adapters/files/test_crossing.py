"""A copy to another filesystem is taken up where it was cut, and never trusted further than it is proven."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retaia_tests.disks import between, failing

from retaia_adapters.files import crossing
from retaia_adapters.files.crossing import Step
from retaia_adapters.files.disk import REAL, Disk
from retaia_adapters.files.fsio import BLOCK_BYTES
from retaia_adapters.files.marker import adopt
from retaia_adapters.files.moves import move
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Layout
from retaia_core.errors import StorageOffline
from retaia_core.ports.originals import Moved, MoveRefused

CONTENT = os.urandom(4 * BLOCK_BYTES + 17)
SIZE = len(CONTENT)
MTIME = 1_600_000_000_123_456_789
NAS = StorageId("nas")


class Stopped(Exception):
    """What a test's progress raises."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of some blocks, with a time and permissions to keep."""
    path = tmp_path / "A001.mov"
    path.write_bytes(CONTENT)
    path.chmod(0o640)
    os.utime(path, ns=(MTIME, MTIME))
    return path


@pytest.fixture
def target(other_disk: Path) -> Path:
    """Where it goes, on another filesystem."""
    return other_disk / "A001.mov"


def moved(source: Path, target: Path, disk: Disk = REAL, **named: Any) -> Moved:
    return move(disk, os.fspath(source), os.fspath(target), **named)


def stopped_after(count: int) -> Callable[[int, int], None]:
    """A progress that stops a move when so many bytes are done."""

    def progress(done: int, total: int) -> None:
        if done >= count:
            raise Stopped

    return progress


def cut(source: Path, target: Path, count: int) -> Path:
    """Let a move be cut when so many bytes are copied; what is left of it."""
    with pytest.raises(Stopped):
        moved(source, target, progress=stopped_after(count))
    (left,) = target.parent.iterdir()
    assert left.name.startswith(".retaia-")
    assert left.name.endswith(".part")
    return left


class Written:
    """A disk that counts the bytes that were written."""

    def __init__(self) -> None:
        self.count = 0
        self.disk = between(self._call)

    def _call(self, name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        answer = do()
        if name == "write":
            self.count += answer
        return answer


def assert_arrived(source: Path, target: Path) -> None:
    found = target.stat()
    assert target.read_bytes() == CONTENT
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (MTIME, 0o640)
    assert not source.exists()
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def assert_refused(source: Path, target: Path) -> None:
    assert source.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == []


@pytest.fixture
def synced_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are synced, and marked so, after every block."""
    monkeypatch.setattr(crossing, "SYNC_EVERY", BLOCK_BYTES)


@pytest.mark.usefixtures("synced_often")
class TestTakingUp:
    """What a crash left is continued as far as it was synced and is the beginning of the source."""

    def test_what_was_not_synced_is_written_again(
        self, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory may show what a disk never got, after a sync that failed: it is not believed."""
        monkeypatch.setattr(crossing, "SYNC_EVERY", 2 * BLOCK_BYTES)
        left = cut(source, target, 3 * BLOCK_BYTES)
        assert left.name.endswith(f".{2 * BLOCK_BYTES}.part")
        assert left.read_bytes() == CONTENT[: 3 * BLOCK_BYTES]
        written = Written()
        moved(source, target, written.disk)
        assert written.count == SIZE - 2 * BLOCK_BYTES
        assert_arrived(source, target)

    def test_the_name_never_says_too_much(self, source: Path, target: Path) -> None:
        """Where synced bytes turn out to be others, the name says so before anything is cut off."""
        left = cut(source, target, 3 * BLOCK_BYTES)
        left.write_bytes(b"?" + left.read_bytes()[1:])

        def stopping(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == "ftruncate":
                raise Stopped
            return do()

        with pytest.raises(Stopped):
            moved(source, target, between(stopping))
        (left,) = target.parent.iterdir()
        assert left.name.endswith(".0.part")

    def test_only_the_rest_is_written(self, source: Path, target: Path) -> None:
        """What was copied before is compared, and not copied again."""
        left = cut(source, target, 3 * BLOCK_BYTES)
        assert left.read_bytes() == CONTENT[: 3 * BLOCK_BYTES]
        written = Written()
        moved(source, target, written.disk)
        assert written.count == SIZE - 3 * BLOCK_BYTES
        assert_arrived(source, target)

    def test_of_a_copy_that_was_whole_only_the_end_is_written(
        self, source: Path, target: Path
    ) -> None:
        """Cut while it was read back, nothing is written again but what came after the last mark."""
        cut(source, target, SIZE + BLOCK_BYTES)
        written = Written()
        moved(source, target, written.disk)
        assert written.count == SIZE % BLOCK_BYTES
        assert_arrived(source, target)

    @pytest.mark.parametrize("at", [0, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES - 1])
    def test_what_differs_is_copied_anew(self, source: Path, target: Path, at: int) -> None:
        """From the block with the first byte that a torn write spoilt."""
        left = cut(source, target, 3 * BLOCK_BYTES)
        spoilt = bytearray(left.read_bytes())
        spoilt[at] ^= 1
        left.write_bytes(spoilt)
        written = Written()
        moved(source, target, written.disk)
        assert written.count == SIZE - at // BLOCK_BYTES * BLOCK_BYTES
        assert_arrived(source, target)

    @pytest.mark.parametrize("tail", [b"more", b"\0" * 3 * BLOCK_BYTES])
    def test_a_copy_that_is_too_long_is_cut(self, source: Path, target: Path, tail: bytes) -> None:
        """What lies behind the end of the source, or of what was torn, goes."""
        left = cut(source, target, 2 * SIZE)
        left.write_bytes(CONTENT + tail)
        moved(source, target)
        assert_arrived(source, target)

    def test_another_source_under_the_same_name_is_copied_whole(
        self, source: Path, target: Path
    ) -> None:
        """Nothing of the file that stood there before is in the copy of the new one."""
        cut(source, target, 3 * BLOCK_BYTES)
        source.write_bytes(b"another file")
        moved(source, target)
        assert target.read_bytes() == b"another file"
        assert [path.name for path in target.parent.iterdir()] == [target.name]

    @pytest.mark.parametrize("kind", ["link", "second name", "folder link"])
    def test_what_is_not_ours_alone_is_never_written_into(
        self, source: Path, target: Path, kind: str
    ) -> None:
        """A leftover that leads to another file is dropped; that file stays as it is."""
        other = target.with_name("other.mov")
        other.write_bytes(b"other")
        name = crossing.leftover_prefix(os.fspath(source), os.fspath(target)) + "0.part"
        leftover = target.with_name(name)
        if kind == "second name":
            leftover.hardlink_to(other)
        else:
            leftover.symlink_to(other if kind == "link" else other.parent)
        moved(source, target)
        assert other.read_bytes() == b"other"
        other.unlink()
        assert_arrived(source, target)

    def test_of_several_leftovers_none_stays(self, source: Path, target: Path) -> None:
        """One is taken up, the others go."""
        prefix = crossing.leftover_prefix(os.fspath(source), os.fspath(target))
        for number in range(3):
            target.with_name(f"{prefix}{number}.part").write_bytes(CONTENT[:number])
        moved(source, target)
        assert_arrived(source, target)

    def test_the_leftovers_of_other_moves_are_left_alone(self, source: Path, target: Path) -> None:
        """Each move knows its own."""
        other = target.with_name(".retaia-0123456789abcdef.0.part")
        other.write_bytes(b"of another move")
        moved(source, target)
        crossing.clear(REAL, os.fspath(source), os.fspath(target))
        assert other.read_bytes() == b"of another move"

    @pytest.mark.parametrize("step", [Step.COPIED, Step.VERIFIED])
    def test_a_try_that_was_only_asleep_publishes_nothing_any_more(
        self, source: Path, target: Path, step: Step
    ) -> None:
        """A second try takes the copy over; the first finds neither its copy nor its source."""

        def sleep(now: Step) -> None:
            if now is step:
                moved(source, target)

        with pytest.raises(MoveRefused):
            moved(source, target, watch=sleep)
        assert_arrived(source, target)

    def test_a_try_whose_copy_was_taken_over_publishes_none(
        self, source: Path, target: Path
    ) -> None:
        """Also where the second try has not published yet: the first leaves its copy to it."""

        def take(now: Step) -> None:
            if now is Step.VERIFIED:
                with pytest.raises(Stopped):
                    moved(source, target, progress=stopped_after(BLOCK_BYTES))

        with pytest.raises(MoveRefused, match="another try"):
            moved(source, target, watch=take)
        assert source.read_bytes() == CONTENT
        assert not target.exists()
        moved(source, target)
        assert_arrived(source, target)

    def test_a_target_that_was_taken_meanwhile_leaves_no_leftover(
        self, source: Path, target: Path
    ) -> None:
        """Where the next try is refused, nothing stays of the first."""
        cut(source, target, BLOCK_BYTES)
        target.write_bytes(b"other")
        with pytest.raises(MoveRefused, match="taken"):
            moved(source, target)
        assert [path.name for path in target.parent.iterdir()] == [target.name]
        assert target.read_bytes() == b"other"


class TestProgress:
    """Who waits hears of every block, written and read back."""

    def test_it_grows_to_its_end(self, source: Path, target: Path) -> None:
        """Each byte counts twice, and a file that is taken up begins at its beginning."""
        cut(source, target, 2 * BLOCK_BYTES)
        heard: list[tuple[int, int]] = []
        moved(source, target, progress=lambda done, total: heard.append((done, total)))
        assert {total for _, total in heard} == {2 * SIZE}
        assert [done for done, _ in heard] == sorted(done for done, _ in heard)
        assert heard[0][0] == BLOCK_BYTES
        assert heard[-1][0] == 2 * SIZE

    def test_a_rename_has_none(self, source: Path) -> None:
        """Within a filesystem nothing is copied, and that is told."""
        heard: list[int] = []
        target = source.with_name("B.mov")
        done = moved(source, target, progress=lambda done, total: heard.append(done))
        assert (done, heard) == (Moved(), [])

    def test_the_checksum_is_of_the_content(self, source: Path, target: Path) -> None:
        """It is the one that any other tool gives."""
        done = moved(source, target)
        assert done.copied_bytes == SIZE
        assert done.checksum == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"

    def test_an_empty_file_arrives(self, source: Path, target: Path) -> None:
        """Without content there is nothing to wait for."""
        source.write_bytes(b"")
        assert moved(source, target).copied_bytes == 0
        assert target.read_bytes() == b""
        assert not source.exists()


def _room(count: int | None) -> Disk:
    """A disk that says it has so many bytes free, and on which nothing may be written."""

    def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        assert name != "write"
        return count if name == "free_bytes" else do()

    return between(call)


class TestRoom:
    """A disk without room refuses before anything is copied, where it can tell."""

    def test_it_is_asked_first(self, source: Path, target: Path) -> None:
        """The refusal has both numbers, for a person and for a program."""
        with pytest.raises(MoveRefused, match=rf"no space .*{SIZE} bytes.* 1000 ") as refused:
            moved(source, target, _room(1000))
        assert (refused.value.needed_bytes, refused.value.free_bytes) == (SIZE, 1000)
        assert_refused(source, target)

    def test_only_the_rest_must_have_room(self, source: Path, target: Path) -> None:
        """What was copied before needs none."""
        cut(source, target, 3 * BLOCK_BYTES)

        def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            return SIZE - 3 * BLOCK_BYTES if name == "free_bytes" else do()

        moved(source, target, between(call))
        assert_arrived(source, target)

    def test_no_room_for_the_rest_leaves_nothing(self, source: Path, target: Path) -> None:
        """A copy that cannot be finished does not keep its room."""
        cut(source, target, 3 * BLOCK_BYTES)
        with pytest.raises(MoveRefused) as refused:
            moved(source, target, _room(5))
        assert refused.value.needed_bytes == SIZE - 3 * BLOCK_BYTES
        assert_refused(source, target)

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    def test_a_disk_that_cannot_tell_refuses_in_the_middle(
        self, source: Path, target: Path, code: int
    ) -> None:
        """Quotas show only then; nothing is left, and the source stands."""
        count = iter(range(100))

        def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == "write" and next(count) == 2:
                raise OSError(code, os.strerror(code))
            return None if name == "free_bytes" else do()

        with pytest.raises(MoveRefused) as refused:
            moved(source, target, between(call))
        assert (refused.value.needed_bytes, refused.value.free_bytes) == (SIZE, None)
        assert_refused(source, target)


class TestWhatIsKept:
    """What of a file the target's filesystem cannot take over is said."""

    def test_all_of_it(self, source: Path, target: Path) -> None:
        """Between two filesystems that can, nothing is lost."""
        assert moved(source, target).not_kept == ()

    def test_permissions(self, source: Path, target: Path) -> None:
        """A share without permissions has its own."""
        done = moved(source, target, failing("fchmod", errno.EPERM))
        assert done.not_kept == ("permissions",)

    def test_owner_and_group(self, source: Path, target: Path) -> None:
        """Who copies without rights owns the copy."""
        if os.geteuid() != 0:
            pytest.skip("giving a file away needs root")
        os.chown(source, 12345, 54321)
        done = moved(source, target, failing("fchown", errno.EPERM))
        assert done.not_kept == ("owner", "group")

    @pytest.mark.parametrize(
        ("call", "code", "said"),
        [
            ("setxattr", errno.ENOTSUP, ("extended attribute user.rating",)),
            ("getxattr", errno.EACCES, ("extended attribute user.rating",)),
            ("listxattr", errno.EACCES, ("extended attributes",)),
            ("listxattr", errno.ENOSYS, ("extended attributes",)),
            ("listxattr", errno.ENOTSUP, ()),
        ],
    )
    def test_extended_attributes(
        self, source: Path, target: Path, call: str, code: int, said: tuple[str, ...]
    ) -> None:
        """Each is named; a filesystem that has none has lost none."""

        def labelled(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == call:
                raise OSError(code, os.strerror(code))
            answers = {"listxattr": ["user.rating"], "getxattr": b"5", "setxattr": None}
            return answers[name] if name in answers else do()

        assert moved(source, target, between(labelled)).not_kept == said
        assert_arrived(source, target)

    @pytest.mark.parametrize("call", ["fchown", "fchmod", "listxattr", "utime"])
    def test_a_disk_that_goes_away_is_no_lesser_filesystem(
        self, source: Path, target: Path, call: str
    ) -> None:
        """Nothing is published then; the next try takes the copy up."""
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            moved(source, target, failing(call, errno.ESTALE))
        assert not target.exists()
        moved(source, target)
        assert_arrived(source, target)

    def test_a_time_that_cannot_be_kept_refuses(self, source: Path, target: Path) -> None:
        """A file is known by its size and time; with another time nobody would know it."""

        def coarse(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name != "utime":
                return do()
            handle, times = arguments
            return REAL.utime(handle, (times[0], times[1] // 10**9 * 10**9))

        with pytest.raises(MoveRefused, match="time of change"):
            moved(source, target, between(coarse))
        assert_refused(source, target)


class TestTheStorage:
    """A storage whose archive is on another filesystem, below one root."""

    @pytest.fixture
    def root(self, tmp_path: Path, other_disk: Path) -> Path:
        """INBOX here, ARCHIVE on the other disk."""
        folder = tmp_path / "nas"
        folder.mkdir()
        adopt(folder, Layout(), NAS)
        (folder / "ARCHIVE").rmdir()
        (folder / "ARCHIVE").symlink_to(other_disk)
        return folder

    @pytest.fixture
    def source(self, root: Path) -> Path:
        """A file in the inbox."""
        path = root / "INBOX" / "A001.mov"
        path.write_bytes(CONTENT)
        path.chmod(0o640)
        os.utime(path, ns=(MTIME, MTIME))
        return path

    @pytest.fixture
    def target(self, other_disk: Path) -> Path:
        """Where it goes."""
        return other_disk / "A001.mov"

    @pytest.fixture(autouse=True)
    def no_link_leads_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The archive is a mount in life; here, where tests may not mount, it is a link."""
        monkeypatch.setattr(
            FilesystemOriginals, "_absolute", lambda self, path: f"{self._root}/{path}"
        )

    def test_an_error_of_the_source_leaves_nothing(
        self, root: Path, source: Path, target: Path
    ) -> None:
        """A bad sector would be there the next time too: no half copy waits for it."""
        inode = source.stat().st_ino

        def unread(handle: int, most: int) -> bool:
            return os.fstat(handle).st_ino == inode and os.lseek(handle, 0, os.SEEK_CUR) > 0

        originals = FilesystemOriginals(root, NAS, disk=failing("read", errno.EIO, when=unread))
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            originals.rename("INBOX/A001.mov", "ARCHIVE/A001.mov")
        assert_refused(source, target)

    def test_a_storage_that_goes_away_keeps_what_was_copied(
        self, synced_often: None, root: Path, source: Path, target: Path
    ) -> None:
        """When it is back, the same move goes on."""
        marker = (root / ".retaia").read_bytes()
        count = iter(range(100))

        def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == "write" and next(count) == 2:
                (root / ".retaia").unlink()
                raise OSError(errno.EHOSTDOWN, os.strerror(errno.EHOSTDOWN))
            return do()

        with pytest.raises(StorageOffline):
            FilesystemOriginals(root, NAS, disk=between(call)).rename(
                "INBOX/A001.mov", "ARCHIVE/A001.mov"
            )
        assert [path.stat().st_size for path in target.parent.iterdir()] == [2 * BLOCK_BYTES]
        (root / ".retaia").write_bytes(marker)
        written = Written()
        FilesystemOriginals(root, NAS, disk=written.disk).rename(
            "INBOX/A001.mov", "ARCHIVE/A001.mov"
        )
        assert written.count == SIZE - 2 * BLOCK_BYTES
        assert_arrived(source, target)

    def test_a_move_that_is_given_up_is_cleared(
        self, root: Path, source: Path, target: Path
    ) -> None:
        """What was cut goes when nobody will take it up; again is harmless."""
        originals = FilesystemOriginals(root, NAS)
        with pytest.raises(Stopped):
            originals.rename("INBOX/A001.mov", "ARCHIVE/A001.mov", stopped_after(BLOCK_BYTES))
        assert len(list(target.parent.iterdir())) == 1
        for _ in range(2):
            originals.clear("INBOX/A001.mov", "ARCHIVE/A001.mov")
        assert_refused(source, target)


class TestASourceThatStays:
    """A source that cannot be removed is not left twice, where the copy is certainly ours."""

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EBUSY])
    def test_the_copy_is_taken_back(self, source: Path, target: Path, code: int) -> None:
        """The refusal says why, and all is as before."""
        stays = failing("unlink", code, when=lambda path: path == os.fspath(source))
        with pytest.raises(MoveRefused, match=os.strerror(code).lower()):
            moved(source, target, stays)
        assert_refused(source, target)

    def test_a_source_that_changed_meanwhile_keeps_the_copy(
        self, source: Path, target: Path
    ) -> None:
        """What was copied may be the last whole state of a file that somebody writes into."""

        def stays(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == "unlink" and arguments[0] == os.fspath(source):
                source.write_bytes(b"changed")
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            return do()

        with pytest.raises(PermissionError):
            moved(source, target, between(stays))
        assert (source.read_bytes(), target.read_bytes()) == (b"changed", CONTENT)

    def test_a_disk_that_may_only_be_read_is_asked_first(self, source: Path, target: Path) -> None:
        """Nothing is copied from where nothing can be removed; that is the disk's trouble."""
        folder = os.fspath(source.parent)

        def closed(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            assert name != "write"
            if name == "unlink" and arguments[0].startswith(folder):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return do()

        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            moved(source, target, between(closed))
        assert_refused(source, target)

    def test_a_target_that_may_only_be_read_refuses_nobody(
        self, source: Path, target: Path
    ) -> None:
        """The whole disk waits, rather than each file being called failed."""
        folder = os.fspath(target.parent)

        def closed(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
            if name == "open" and arguments[0].startswith(folder) and arguments[1] & os.O_CREAT:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return do()

        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            moved(source, target, between(closed))
        assert_refused(source, target)

    def test_an_answer_lost_over_the_publication(self, source: Path, target: Path) -> None:
        """The copy has the target's name, whatever the server says: the move goes on."""
        for code in (errno.ENOENT, errno.EEXIST):
            lost: list[str] = []

            def forgets(
                name: str,
                do: Callable[[], Any],
                arguments: tuple[Any, ...],
                code: int = code,
                lost: list[str] = lost,
            ) -> Any:
                answer = do()
                if name == "rename_no_replace" and not lost:
                    lost.append(name)
                    raise OSError(code, os.strerror(code))
                return answer

            moved(source, target, between(forgets))
            assert_arrived(source, target)
            assert lost
            moved(target, source)


def test_the_source_is_closed_before_it_goes(source: Path, target: Path) -> None:
    """A file server only hides the name of a file that somebody has open."""
    opened: dict[int, str] = {}

    def call(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        answer = do()
        if name == "open":
            opened[answer] = arguments[0]
        elif name == "close":
            opened.pop(arguments[0])
        elif name == "unlink":
            assert arguments[0] not in opened.values()
        return answer

    moved(source, target, between(call))
    assert opened == {}
    assert_arrived(source, target)
