"""A move never replaces a file and never loses one, by whatever primitive, at whatever step it ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from retaia_tests import components

from retaia_adapters.files import crossing, moves, renaming
from retaia_adapters.files.crossing import Step
from retaia_adapters.files.disk import REAL, Disk, RealDisk, Unsupported
from retaia_adapters.files.moves import move
from retaia_core.ports.originals import MoveRefused

CONTENT = os.urandom(3 * 2**20 + 17)
MTIME = 1_600_000_000_123_456_789


class Links(RealDisk):
    """A filesystem without a rename that cannot replace."""

    @staticmethod
    def rename_no_replace(source: str, target: str, /) -> None:
        """Tell a rename between filesystems from one that it does not have, as a system does."""
        if Path(source).lstat().st_dev != Path(target).parent.stat().st_dev:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        raise Unsupported("not here")


class NoLinks(Links):
    """A filesystem that has no hard links either."""

    @staticmethod
    def link(source: str, target: str, /) -> None:
        """Refuse, as exFAT does."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


WAYS: dict[str, Disk] = {"native": REAL, "link": Links(), "reservation": NoLinks()}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Disk:
    """What this system can, or a filesystem that can less."""
    return WAYS[request.param]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with content, time and permissions to keep."""
    path = tmp_path / "INBOX" / "A001 🎬.mov"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.chmod(0o640)
    os.utime(path, ns=(MTIME, MTIME))
    return path


@pytest.fixture
def append_only(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file ``A.mov``, in which names can be made and not removed."""
    folder = tmp_path / "append only"
    folder.mkdir()
    (folder / "A.mov").touch()
    try:
        subprocess.run(["chattr", "+a", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        components.absent("append_only_folder", "chattr +a needs root and a filesystem that has it")
    yield folder
    subprocess.run(["chattr", "-a", folder], check=True)


def listed(folder: Path) -> list[str]:
    """The names in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


def moved(source: Path, target: Path, way: Disk = REAL) -> None:
    move(way, os.fspath(source), os.fspath(target))


def assert_kept(target: Path) -> None:
    found = target.stat()
    assert target.read_bytes() == CONTENT
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (MTIME, 0o640)


class TestWithinAFilesystem:
    """Same filesystem: a rename that cannot replace an existing file."""

    def test_the_file_is_at_its_target_and_nowhere_else(
        self, source: Path, tmp_path: Path, way: Disk
    ) -> None:
        """Content, time and permissions are kept; the target's folders are made."""
        inode = source.stat().st_ino
        target = tmp_path / "ARCHIVE" / "2026" / "day 1" / "A001.mov"
        moved(source, target, way)
        assert_kept(target)
        assert target.stat().st_ino == inode
        assert target.stat().st_nlink == 1
        assert listed(source.parent) == []
        assert listed(target.parent) == ["A001.mov"]

    @pytest.mark.parametrize("stands", ["file", "empty", "folder", "link", "same"])
    def test_what_stands_at_the_target_is_never_replaced(
        self, source: Path, tmp_path: Path, way: Disk, stands: str
    ) -> None:
        """A file, an empty one, a folder, a broken link and a second name of the source all count."""
        target = tmp_path / "taken.mov"
        makes: dict[str, Callable[[], object]] = {
            "file": lambda: target.write_bytes(b"other"),
            "empty": target.touch,
            "folder": target.mkdir,
            "link": lambda: target.symlink_to("nothing"),
            "same": lambda: target.hardlink_to(source),
        }
        makes[stands]()
        before = os.lstat(target)
        with pytest.raises(MoveRefused, match="taken"):
            moved(source, target, way)
        assert_kept(source)
        assert os.path.samestat(os.lstat(target), before)
        assert os.lstat(target).st_size == before.st_size

    def test_of_many_at_once_exactly_one_wins(self, tmp_path: Path, way: Disk) -> None:
        """Eight files want one name: one gets it, the others stay where they are, whole."""
        target = tmp_path / "ARCHIVE" / "A.mov"
        sources = [tmp_path / f"{number}.mov" for number in range(8)]
        for number, path in enumerate(sources):
            path.write_bytes(bytes([number]) * 10)
        start = threading.Barrier(8)
        refused: list[Path] = []

        def race(path: Path) -> None:
            start.wait()
            try:
                moved(path, target, way)
            except MoveRefused:
                refused.append(path)

        threads = [threading.Thread(target=race, args=(path,)) for path in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 7
        (winner,) = set(sources) - set(refused)
        assert target.read_bytes() == bytes([sources.index(winner)]) * 10
        assert all(path.read_bytes() == bytes([sources.index(path)]) * 10 for path in refused)
        assert not winner.exists()
        assert listed(target.parent) == ["A.mov"]

    def test_a_source_that_is_not_there(self, tmp_path: Path, way: Disk) -> None:
        """Nothing is made at the target, not even a reservation."""
        with pytest.raises(MoveRefused, match="not there"):
            moved(tmp_path / "no.mov", tmp_path / "target.mov", way)
        assert listed(tmp_path) == []

    @pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
    def test_only_regular_files_are_moved(self, source: Path, tmp_path: Path, kind: str) -> None:
        """A link is refused rather than followed or broken."""
        thing = tmp_path / "thing.mov"
        makes: dict[str, Callable[[], object]] = {
            "link": lambda: thing.symlink_to(source),
            "folder": thing.mkdir,
            "pipe": lambda: os.mkfifo(thing),
        }
        makes[kind]()
        with pytest.raises(MoveRefused):
            moved(thing, tmp_path / "target.mov")
        assert os.path.lexists(thing)

    def test_a_file_in_the_place_of_a_target_folder(self, source: Path, tmp_path: Path) -> None:
        """The refusal says that the folder cannot be made."""
        (tmp_path / "ARCHIVE").write_bytes(b"a file")
        with pytest.raises(MoveRefused, match="folder"):
            moved(source, tmp_path / "ARCHIVE" / "A.mov")
        assert (tmp_path / "ARCHIVE").read_bytes() == b"a file"

    def test_a_move_onto_itself_is_refused(self, source: Path) -> None:
        """Nothing happens to the file."""
        with pytest.raises(MoveRefused):
            moved(source, source)
        assert_kept(source)

    def test_case_twins_are_two_files(self, source: Path) -> None:
        """A second file whose name differs only in case is not taken for the first."""
        twin = source.with_name(source.name.upper())
        twin.write_bytes(b"twin")
        with pytest.raises(MoveRefused, match="taken"):
            moved(source, twin)
        assert twin.read_bytes() == b"twin"
        assert_kept(source)

    def test_two_names_of_one_file_that_differ_in_case_are_two_names(self, source: Path) -> None:
        """A hard link under the other spelling is a name that is taken."""
        twin = source.with_name(source.name.upper())
        twin.hardlink_to(source)
        with pytest.raises(MoveRefused, match="taken"):
            moved(source, twin)
        assert listed(source.parent) == sorted([source.name, twin.name])

    def test_the_case_of_a_name_where_case_does_not_count(self, caseless_disk: Path) -> None:
        """One file changes its spelling or stays as it is, another is never replaced."""
        file = caseless_disk / "a001.mov"
        file.write_bytes(b"1")
        (caseless_disk / "other.mov").write_bytes(b"2")
        name = "A001.MOV"
        try:
            moved(file, caseless_disk / name)
        except MoveRefused:
            name = file.name
        assert listed(caseless_disk) == [name, "other.mov"]
        with pytest.raises(MoveRefused, match="taken"):
            moved(caseless_disk / name, caseless_disk / "OTHER.mov")
        assert (caseless_disk / "other.mov").read_bytes() == b"2"

    def test_another_spelling_of_a_name_is_a_new_name(self, source: Path) -> None:
        """Changing only the case of a name works."""
        target = source.with_name("a001 🎬.MOV")
        moved(source, target)
        assert listed(source.parent) == [target.name]

    def test_a_folder_without_rights(
        self,
        source: Path,
        open_root: Path,
        without_rights: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """The file stays, and the refusal says why."""
        file = open_root / "INBOX" / "A.mov"
        file.write_bytes(b"1")
        file.parent.chmod(0o555)
        with without_rights(), pytest.raises(MoveRefused, match="denied"):
            moved(file, open_root / "ARCHIVE" / "A.mov")
        file.parent.chmod(0o755)
        assert file.read_bytes() == b"1"
        assert listed(open_root / "ARCHIVE") == []


def test_a_reservation_that_another_program_used_is_left_to_it(tmp_path: Path) -> None:
    """What is written into the reserved name is neither replaced nor removed."""
    source, target = tmp_path / "A.mov", tmp_path / "B.mov"
    source.write_bytes(b"ours")
    with renaming._reserved(REAL, os.fspath(target)) as still_ours:
        assert still_ours()
        target.write_bytes(b"theirs")
        assert not still_ours()
    assert target.read_bytes() == b"theirs"
    assert source.read_bytes() == b"ours"


def test_a_reservation_that_fails_is_removed_only_while_it_is_ours(tmp_path: Path) -> None:
    """An empty reservation goes with the failure; one that another program wrote into stays."""
    target = tmp_path / "B.mov"

    def fail(written: bytes) -> None:
        with renaming._reserved(REAL, os.fspath(target)):
            target.write_bytes(written)
            raise KeyError

    with pytest.raises(KeyError):
        fail(b"")
    assert not target.exists()
    with pytest.raises(KeyError):
        fail(b"theirs")
    assert target.read_bytes() == b"theirs"


class TestFallbacks:
    """What happens where a primitive cannot, or fails half way."""

    def test_a_link_whose_source_cannot_be_removed_is_taken_back(
        self, open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """No second name is left when the first cannot go."""
        file = open_root / "INBOX" / "A.mov"
        with without_rights():
            nobody = os.geteuid()
        file.write_bytes(b"1")
        os.chown(file, nobody, -1)
        file.parent.chmod(0o555)
        (open_root / "ARCHIVE").chmod(0o777)
        with without_rights(), pytest.raises(MoveRefused, match="denied"):
            moved(file, open_root / "ARCHIVE" / "A.mov", Links())
        file.parent.chmod(0o755)
        assert listed(open_root / "ARCHIVE") == []
        assert file.stat().st_nlink == 1

    def test_a_link_that_cannot_be_taken_back_is_no_refusal(self, append_only: Path) -> None:
        """A file with both names is an error to look into."""
        file = append_only / "A.mov"
        with pytest.raises(OSError, match="both names"):
            moved(file, append_only / "B.mov", Links())
        assert listed(append_only) == ["A.mov", "B.mov"]

    def test_an_answer_that_was_lost_is_no_refusal(self, source: Path) -> None:
        """A disk that went away may have done it: that is an error to look into, not a refusal."""

        class Stale(RealDisk):
            @staticmethod
            def rename_no_replace(source: str, target: str, /) -> None:
                raise OSError(errno.ESTALE, "stale file handle")

        with pytest.raises(OSError, match="stale"):
            moved(source, source.with_name("target.mov"), Stale())


class Forgetful(Links):
    """A disk that is pulled, and forgets a name that was not synced; the next sync succeeds."""

    def __init__(self, forgotten: Path) -> None:
        self.forgotten = forgotten

    def fsync(self, handle: int, /) -> None:  # type: ignore[override]
        """Lose the name instead of keeping it."""
        self.forgotten.unlink(missing_ok=True)
        os.fsync(handle)


def test_a_new_name_that_the_disk_forgot_costs_no_old_one(source: Path, tmp_path: Path) -> None:
    """The first name goes only where the second stands after it was synced."""
    target = tmp_path / "ARCHIVE" / "A.mov"
    target.parent.mkdir()
    with pytest.raises(OSError, match="not there any more"):
        move(Forgetful(target), os.fspath(source), os.fspath(target))
    assert source.read_bytes() == CONTENT


def test_a_second_name_that_the_disk_forgot_settles_nothing(source: Path, tmp_path: Path) -> None:
    """What is compared is what the disk keeps."""
    target = tmp_path / "A.mov"
    target.hardlink_to(source)
    with pytest.raises(FileNotFoundError):
        moves.settle(Forgetful(target), os.fspath(source), os.fspath(target))
    assert source.read_bytes() == CONTENT


class TestAcrossFilesystems:
    """Other filesystem: copy, sync, verify, publish without replacing, remove the source."""

    def test_content_time_and_permissions_arrive(
        self, source: Path, other_disk: Path, way: Disk
    ) -> None:
        """Nothing temporary is left, and the source is gone."""
        target = other_disk / "ARCHIVE" / "A001.mov"
        moved(source, target, way)
        assert_kept(target)
        assert not source.exists()
        assert listed(target.parent) == ["A001.mov"]

    def test_the_real_thing_says_the_same(self, source: Path, other_disk: Path) -> None:
        """Without any seam, the system's own answer leads to the copy."""
        moved(source, other_disk / "A001.mov")
        assert_kept(other_disk / "A001.mov")
        assert not source.exists()

    def test_extended_attributes_arrive_where_the_target_can(
        self, source: Path, other_disk: Path
    ) -> None:
        """A colour label or a rating set by a file manager is kept."""
        probe = other_disk / "probe"
        probe.touch()
        for path in (source, probe):
            try:
                os.setxattr(path, "user.rating", b"5")
            except OSError:
                pytest.skip(f"no extended attributes on {path.parent}")
        moved(source, other_disk / "A001.mov")
        assert os.getxattr(other_disk / "A001.mov", "user.rating") == b"5"

    def test_a_taken_name_is_refused_before_anything_is_copied(
        self, source: Path, other_disk: Path
    ) -> None:
        """The other file stands, and no temporary one is beside it."""
        target = other_disk / "A001.mov"
        target.write_bytes(b"other")
        with pytest.raises(MoveRefused, match="taken"):
            moved(source, target)
        assert target.read_bytes() == b"other"
        assert listed(other_disk) == ["A001.mov"]
        assert_kept(source)

    def test_a_name_taken_while_copying_is_refused(self, source: Path, other_disk: Path) -> None:
        """Publishing cannot replace either."""
        target = other_disk / "A001.mov"

        def take(step: Step) -> None:
            if step is Step.VERIFIED:
                target.write_bytes(b"other")

        with pytest.raises(MoveRefused, match="taken"):
            move(REAL, os.fspath(source), os.fspath(target), watch=take)
        assert target.read_bytes() == b"other"
        assert listed(other_disk) == ["A001.mov"]
        assert_kept(source)

    def test_a_copy_that_differs_is_never_published(self, source: Path, other_disk: Path) -> None:
        """A flipped byte on the target's disk is found by reading back."""
        target = other_disk / "A001.mov"

        def flip(step: Step) -> None:
            if step is Step.COPIED:
                (part,) = other_disk.iterdir()
                with part.open("r+b") as file:
                    file.seek(100)
                    file.write(bytes([CONTENT[100] ^ 1]))

        with pytest.raises(MoveRefused, match="differs"):
            move(REAL, os.fspath(source), os.fspath(target), watch=flip)
        assert listed(other_disk) == []
        assert_kept(source)

    def test_a_source_that_grows_while_it_is_copied_stays(
        self, source: Path, other_disk: Path
    ) -> None:
        """Nothing is published of a file that is still being written."""

        def grow(step: Step) -> None:
            if step is Step.COPIED:
                with source.open("ab") as file:
                    file.write(b"more")

        with pytest.raises(MoveRefused, match="changed"):
            move(REAL, os.fspath(source), os.fspath(other_disk / "A.mov"), watch=grow)
        assert source.read_bytes() == CONTENT + b"more"
        assert listed(other_disk) == []

    @pytest.mark.parametrize("change", ["grow", "swap"])
    def test_a_source_that_changes_after_publication_is_not_removed(
        self, source: Path, other_disk: Path, change: str
    ) -> None:
        """Both are left for a person to look at; a newer file under the old name is not ours to remove."""

        def meddle(step: Step) -> None:
            if step is Step.PUBLISHED and change == "grow":
                with source.open("ab") as file:
                    file.write(b"more")
            elif step is Step.PUBLISHED:
                source.unlink()
                source.write_bytes(b"another file")

        with pytest.raises(OSError, match="both were left"):
            move(REAL, os.fspath(source), os.fspath(other_disk / "A.mov"), watch=meddle)
        assert source.read_bytes() == (CONTENT + b"more" if change == "grow" else b"another file")
        assert (other_disk / "A.mov").read_bytes() == CONTENT

    def test_a_copy_that_the_disk_forgot_costs_no_source(
        self, source: Path, other_disk: Path
    ) -> None:
        """The source goes only where the copy stands after its name was synced."""
        target = other_disk / "A.mov"
        with pytest.raises(OSError, match="not there any more"):
            move(Forgetful(target), os.fspath(source), os.fspath(target))
        assert source.read_bytes() == CONTENT

    @pytest.mark.faults
    def test_a_full_disk_leaves_the_source_and_nothing_else(
        self, source: Path, small_disk: Path
    ) -> None:
        """The refusal names the reason, and the half copy is gone."""
        with pytest.raises(MoveRefused, match="no space"):
            moved(source, small_disk / "A.mov")
        assert listed(small_disk) == []
        assert_kept(source)

    @pytest.mark.faults
    @pytest.mark.parametrize("step", [Step.COPIED, Step.VERIFIED, Step.PUBLISHED])
    def test_a_killed_move_leaves_a_whole_file_and_can_be_done_again(
        self, source: Path, other_disk: Path, step: Step
    ) -> None:
        """Before publication the source stands and a new try succeeds; after it both stand, equal."""
        target = other_disk / "A001.mov"
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, source, target, step.value], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        assert_kept(source)
        if step is Step.PUBLISHED:
            assert_kept(target)
            return
        assert not target.exists()
        moved(source, target)
        assert_kept(target)
        assert listed(other_disk) == ["A001.mov"]


_KILLED = """
import os, signal, sys
from retaia_adapters.files.disk import REAL
from retaia_adapters.files.moves import move

def kill(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

move(REAL, sys.argv[1], sys.argv[2], watch=kill)
"""


class TestSettle:
    """A move that was interrupted after its target was published is finished, and only then."""

    def test_equal_files_become_one(self, tmp_path: Path) -> None:
        """The source goes where both are there with equal content."""
        source, target = tmp_path / "a", tmp_path / "b"
        source.write_bytes(b"content")
        target.write_bytes(b"content")
        moves.settle(REAL, str(source), str(target))
        assert (source.exists(), target.read_bytes()) == (False, b"content")

    def test_two_names_of_one_file_become_one(self, tmp_path: Path) -> None:
        """A hard link that was left by a crash goes."""
        source, target = tmp_path / "a", tmp_path / "b"
        source.write_bytes(b"content")
        target.hardlink_to(source)
        moves.settle(REAL, str(source), str(target))
        assert (source.exists(), target.read_bytes()) == (False, b"content")

    def test_files_that_differ_are_both_left(self, tmp_path: Path) -> None:
        """Of two files that differ neither is touched."""
        source, target = tmp_path / "a", tmp_path / "b"
        source.write_bytes(b"content")
        target.write_bytes(b"Content")
        with pytest.raises(MoveRefused, match="differ"):
            moves.settle(REAL, str(source), str(target))
        assert (source.read_bytes(), target.read_bytes()) == (b"content", b"Content")

    def test_a_copy_that_was_published_by_a_second_name_loses_its_first(
        self, source: Path, tmp_path: Path
    ) -> None:
        """A crash between the two steps of a publication leaves no second name of the file behind."""
        target = tmp_path / "ARCHIVE" / "A.mov"
        target.parent.mkdir()
        prefix = crossing.leftover_prefix(os.fspath(source), os.fspath(target))
        leftover = target.with_name(f"{prefix}0123.part")
        leftover.write_bytes(source.read_bytes())
        os.link(leftover, target)
        moves.settle(REAL, os.fspath(source), os.fspath(target))
        assert [path.name for path in target.parent.iterdir()] == [target.name]
        assert not source.exists()
