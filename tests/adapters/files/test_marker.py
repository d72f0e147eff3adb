"""The marker is written only by adopting, whole or not at all; adopting moves nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from retaia_adapters.files.driver import FilesystemDriver
from retaia_adapters.files.marker import adopt, read_marker, survey, write_marker
from retaia_core.domain.identifiers import RelPath, StorageId
from retaia_core.domain.storage import Layout, Marker
from retaia_core.errors import StateConflict, Unavailable, ValidationFailed

NAS = StorageId("nas")
MEDIA = frozenset({"mov", "jpg", "wav"})


def listed(folder: Path) -> list[str]:
    """The names in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


def tree(root: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the content of files."""
    return {
        os.fspath(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
    }


class TestAdopt:
    """Adopting makes folders and a marker, and never moves anything."""

    def test_what_was_there_stays_as_it_was(self, tmp_path: Path) -> None:
        """Only the three folders and the marker are new."""
        (tmp_path / "day 1").mkdir()
        (tmp_path / "day 1" / "A.mov").write_bytes(b"1")
        before = tree(tmp_path)
        adopt(tmp_path, Layout(), NAS)
        after = tree(tmp_path)
        assert set(after) - set(before) == {"INBOX", "ARCHIVE", "REJECTS", ".retaia"}
        assert {path: after[path] for path in before} == before

    def test_the_marker_says_what_was_adopted(self, tmp_path: Path) -> None:
        """Identity and layout are read back as they were given."""
        layout = Layout(inbox=".", archive=RelPath("kept/film"), rejects=RelPath("not"))
        assert adopt(tmp_path, layout, NAS) == Marker(storage_id=NAS, layout=layout)
        assert read_marker(tmp_path) == Marker(storage_id=NAS, layout=layout)
        assert (tmp_path / "kept" / "film").is_dir()
        assert not (tmp_path / "INBOX").exists()

    def test_adopting_again_changes_nothing(self, tmp_path: Path) -> None:
        """A second time with the same id is harmless, and a lost folder is made again."""
        adopt(tmp_path, Layout(), NAS)
        inode = (tmp_path / ".retaia").stat().st_ino
        (tmp_path / "ARCHIVE").rmdir()
        assert adopt(tmp_path, Layout(), NAS).storage_id == NAS
        assert (tmp_path / ".retaia").stat().st_ino == inode
        assert (tmp_path / "ARCHIVE").is_dir()

    @pytest.mark.parametrize("content", [b"", b"nonsense", b'{"version": 2}', None])
    def test_another_marker_is_refused(self, tmp_path: Path, content: bytes | None) -> None:
        """One of another storage (or that nobody can read) is never replaced, and nothing is made."""
        if content is None:
            adopt(tmp_path, Layout(inbox="IN"), StorageId("other"))
        else:
            (tmp_path / ".retaia").write_bytes(content)
        before = tree(tmp_path)
        with pytest.raises(StateConflict):
            adopt(tmp_path, Layout(), NAS)
        assert tree(tmp_path) == before

    def test_a_folder_inside_a_storage_is_refused(self, tmp_path: Path) -> None:
        """A file would have two homes."""
        adopt(tmp_path, Layout(), NAS)
        with pytest.raises(StateConflict, match="inside"):
            adopt(tmp_path / "INBOX", Layout(), StorageId("inner"))
        assert list((tmp_path / "INBOX").iterdir()) == []

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_a_name_of_the_layout_that_is_no_folder(self, tmp_path: Path, kind: str) -> None:
        """A file or a link with the archive's name refuses the whole, before anything is made."""
        if kind == "file":
            (tmp_path / "ARCHIVE").touch()
        else:
            (tmp_path / "ARCHIVE").symlink_to("/nonexistent")
        with pytest.raises(StateConflict, match="ARCHIVE"):
            adopt(tmp_path, Layout(), NAS)
        assert listed(tmp_path) == ["ARCHIVE"]

    def test_a_folder_without_rights(
        self, open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """The refusal names the system's reason."""
        (open_root / ".retaia").unlink()
        (open_root / "INBOX").rmdir()
        open_root.chmod(0o555)
        with without_rights(), pytest.raises(Unavailable, match="denied"):
            adopt(open_root, Layout(), NAS)
        open_root.chmod(0o755)

    def test_of_two_at_once_one_wins(self, tmp_path: Path) -> None:
        """Two programs adopting one folder never write over each other's marker."""
        start = threading.Barrier(4)
        won: list[StorageId] = []

        def race(number: int) -> None:
            storage_id = StorageId(f"s{number}")
            start.wait()
            try:
                adopt(tmp_path, Layout(), storage_id)
            except StateConflict:
                return
            won.append(storage_id)

        threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = read_marker(tmp_path)
        assert found is not None
        assert won == [found.storage_id]
        assert set(listed(tmp_path)) == {".retaia", "INBOX", "ARCHIVE", "REJECTS"}

    def test_a_marker_is_never_written_over_another(self, tmp_path: Path) -> None:
        """The file that stands there stays, and nothing temporary is left."""
        (tmp_path / ".retaia").write_bytes(b"other")
        with pytest.raises(FileExistsError):
            write_marker(tmp_path, Marker(storage_id=NAS))
        assert tree(tmp_path) == {".retaia": b"other"}

    @pytest.mark.faults
    def test_a_full_disk_leaves_no_half_marker(self, small_disk: Path) -> None:
        """Without room there is no marker, and the reason is said."""
        with pytest.raises(OSError, match="No space"):
            (small_disk / "full").write_bytes(b"x" * 2**21)
        with pytest.raises(Unavailable, match="no space"):
            adopt(small_disk, Layout(), NAS)
        assert not any(name.startswith(".retaia") for name in listed(small_disk))


class TestSurvey:
    """What a person is told about a folder before they adopt it."""

    def test_files_and_media_are_counted(self, tmp_path: Path) -> None:
        """Hidden files, links and what lies in hidden folders do not count."""
        for path in ("b/B.MOV", "A.mov", "notes.txt", ".hidden.mov", ".git/x.mov", "b/c/C.jpg"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        (tmp_path / "link.mov").symlink_to("A.mov")
        found = survey(tmp_path, MEDIA)
        assert (found.files, found.media, found.has_inbox, found.marker) == (4, 3, False, None)
        assert found.examples == ("A.mov", "b/B.MOV", "b/c/C.jpg")
        assert found.problem == ""

    def test_nothing_is_changed(self, tmp_path: Path) -> None:
        """Looking leaves no trace."""
        (tmp_path / "A.mov").touch()
        before = tree(tmp_path)
        survey(tmp_path, MEDIA)
        assert tree(tmp_path) == before

    def test_an_adopted_folder_shows_its_marker(self, root: Path) -> None:
        """Inbox and identity are found."""
        found = survey(root, MEDIA)
        assert found.has_inbox
        assert found.marker == Marker(storage_id=NAS)

    def test_a_broken_marker_is_a_problem(self, tmp_path: Path) -> None:
        """It is named rather than taken for none."""
        (tmp_path / ".retaia").write_bytes(b"{")
        found = survey(tmp_path, MEDIA)
        assert found.marker is None
        assert "JSON" in found.problem

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        """The refusal says so; a file is no folder either."""
        with pytest.raises(ValidationFailed, match="no such"):
            survey(tmp_path / "no", MEDIA)
        (tmp_path / "file").touch()
        with pytest.raises(ValidationFailed, match="not a directory"):
            survey(tmp_path / "file", MEDIA)

    def test_a_sub_folder_that_cannot_be_read_is_left_out(
        self, open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """The count goes on without it."""
        (open_root / "closed").mkdir(mode=0o000)
        (open_root / "A.mov").touch()
        with without_rights():
            assert survey(open_root, MEDIA).media == 1

    def test_undecodable_names_are_shown_as_text(self, tmp_path: Path) -> None:
        """An example can always be printed."""
        (tmp_path / os.fsdecode(b"caf\xe9.mov")).touch()
        assert survey(tmp_path, MEDIA).examples == ("caf\\xe9.mov",)


def test_the_driver_adopts_surveys_and_opens(tmp_path: Path) -> None:
    """What the server is given does the whole."""
    driver = FilesystemDriver()
    root = os.fspath(tmp_path)
    marker = driver.adopt(root, Marker(storage_id=NAS))
    assert driver.survey(root, MEDIA).marker == marker
    assert driver.open(root, NAS).check() is None
    assert driver.open(root, StorageId("other")).check() is not None
