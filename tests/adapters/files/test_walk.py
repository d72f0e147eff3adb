"""A walk sees every file that may be footage, says what it passed over, and ends for no bad entry."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_adapters.files import fsio
from retaia_adapters.files.disk import REAL, Stat
from retaia_adapters.files.marker import adopt
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_adapters.files.walk import Walker, _Folder
from retaia_core.domain.discovery import Skip
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Layout
from retaia_core.errors import StorageOffline
from retaia_core.ports.originals import Entry, FolderListing

NAS = StorageId("nas")
INBOX = "INBOX"


def listed(folder: Path) -> list[str]:
    """The names in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


def walked(
    originals: FilesystemOriginals, layout: Layout | None = None
) -> dict[str, FolderListing]:
    return {
        found.folder: found for found in originals.walk(layout or Layout(), lambda folder: None)
    }


def names(listing: FolderListing) -> set[str]:
    return {entry.name for entry in listing.files}


def test_files_carry_size_and_mtime_to_the_nanosecond(
    root: Path, originals: FilesystemOriginals
) -> None:
    """An entry states what the disk states."""
    file = root / INBOX / "A001.mov"
    file.write_bytes(b"abc")
    os.utime(file, ns=(1, 1_600_000_000_123_456_789))
    assert walked(originals)[INBOX].files == (
        Entry(name="A001.mov", size=3, mtime_ns=1_600_000_000_123_456_789),
    )


def test_all_three_folders_are_walked_and_exports_are_not(
    root: Path, originals: FilesystemOriginals
) -> None:
    """Inbox, archive and rejects with all below them are seen; nothing else is."""
    for folder in (
        "INBOX/day 1/card",
        "ARCHIVE/2026",
        "REJECTS",
        "EXPORTS/cut",
        ".derived/x",
        "my",
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "A.mov").touch()
    assert list(walked(originals)) == [
        "INBOX",
        "INBOX/day 1",
        "INBOX/day 1/card",
        "ARCHIVE",
        "ARCHIVE/2026",
        "REJECTS",
    ]


def test_an_inbox_that_is_the_root_leaves_out_our_own_folders(tmp_path: Path) -> None:
    """EXPORTS, .derived and the marker are neither seen nor named; the rest of the folder is."""
    layout = Layout(inbox=".")
    adopt(tmp_path, layout, NAS)
    for folder in ("EXPORTS", ".derived/u", "day", "day/EXPORTS", ".git"):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("A.mov", "day/B.mov", "EXPORTS/x.mov", "ARCHIVE/C.mov", "day/EXPORTS/D.mov"):
        (tmp_path / path).touch()
    found = walked(FilesystemOriginals(tmp_path, NAS), layout)
    assert set(found) == {"", "ARCHIVE", "REJECTS", "day", "day/EXPORTS"}
    assert names(found[""]) == {"A.mov"}
    assert found[""].skipped == ((".git", Skip.HIDDEN),)


def test_hidden_and_temporary_entries_are_named_with_their_reason(
    root: Path, originals: FilesystemOriginals
) -> None:
    """What a name alone rules out is a skip, a folder like a file."""
    for name in ("._A.mov", ".DS_Store", "B.mov.part", "C.mov~", "ok.mov"):
        (root / INBOX / name).touch()
    (root / INBOX / ".Trashes").mkdir()
    listing = walked(originals)[INBOX]
    assert names(listing) == {"ok.mov"}
    assert dict(listing.skipped) == {
        "._A.mov": Skip.HIDDEN,
        ".DS_Store": Skip.HIDDEN,
        ".Trashes": Skip.HIDDEN,
        "B.mov.part": Skip.TEMPORARY,
        "C.mov~": Skip.TEMPORARY,
    }


@pytest.mark.parametrize(
    "name", ["🎬 take.mov", "two\nlines.mov", "e\u0301.mov", "a" * 251 + ".mov", "back\\slash.mov"]
)
def test_any_valid_text_is_a_name(root: Path, originals: FilesystemOriginals, name: str) -> None:
    """Emoji, newlines, combining accents, 255 bytes and backslashes are kept as they are."""
    (root / INBOX / name).touch()
    assert names(walked(originals)[INBOX]) == {name}


def test_case_twins_are_two_files(root: Path, originals: FilesystemOriginals) -> None:
    """Names that differ only in case are told apart where the filesystem does."""
    for name in ("A.mov", "a.MOV"):
        (root / INBOX / name).touch()
    assert names(walked(originals)[INBOX]) == set(listed(root / INBOX))


def test_undecodable_names_are_skipped_in_a_printable_form(
    root: Path, originals: FilesystemOriginals
) -> None:
    """Bytes that are no text never reach a result, for files and folders alike."""
    (root / INBOX / os.fsdecode(b"caf\xe9.mov")).touch()
    (root / INBOX / os.fsdecode(b"dir\xff")).mkdir()
    listing = walked(originals)[INBOX]
    assert listing.files == ()
    assert set(listing.skipped) == {
        ("caf\\xe9.mov", Skip.UNDECODABLE),
        ("dir\\xff", Skip.UNDECODABLE),
    }


@given(st.binary(min_size=1, max_size=40).map(os.fsdecode))
def test_printable_names_are_always_valid_text(name: str) -> None:
    """Whatever bytes a name has, what is shown of it can be encoded; valid text is left alone."""
    shown = fsio.printable(name)
    assert shown.encode()
    assert (shown == name) or not fsio.is_text(name)


def test_links_are_judged_by_where_they_lead(root: Path, originals: FilesystemOriginals) -> None:
    """A link to a file of the storage is that file; every other link is skipped with its reason."""
    inbox = root / INBOX
    (inbox / "A.mov").write_bytes(b"12345")
    outside = root.parent / "outside.mov"
    outside.touch()
    (root / "EXPORTS").mkdir()
    (root / "EXPORTS" / "x.mov").touch()
    links: dict[str, str | Path] = {
        "in.mov": "A.mov",
        "out.mov": outside,
        "gone.mov": "nothing.mov",
        "circle.mov": "circle.mov",
        "folder": ".",
        "export.mov": root / "EXPORTS" / "x.mov",
    }
    for name, target in links.items():
        (inbox / name).symlink_to(target)
    listing = walked(originals)[INBOX]
    assert {entry.name: entry.size for entry in listing.files} == {"A.mov": 5, "in.mov": 5}
    assert dict(listing.skipped) == {
        "out.mov": Skip.LINK_OUTSIDE,
        "export.mov": Skip.LINK_OUTSIDE,
        "gone.mov": Skip.BROKEN_LINK,
        "circle.mov": Skip.BROKEN_LINK,
        "folder": Skip.NOT_A_FILE,
    }
    outside.unlink()


def test_special_files_are_skipped_and_never_opened(
    root: Path, originals: FilesystemOriginals
) -> None:
    """A pipe with a film's name does not block the walk."""
    os.mkfifo(root / INBOX / "pipe.mov")
    assert walked(originals)[INBOX].skipped == (("pipe.mov", Skip.NOT_A_FILE),)


def test_empty_files_are_entries_of_size_zero(root: Path, originals: FilesystemOriginals) -> None:
    """Whether an empty file matters is for the scan to say."""
    (root / INBOX / "A.mov").touch()
    assert walked(originals)[INBOX].files[0].size == 0


class TestUnchanged:
    """An unchanged folder comes without its files; any change is seen."""

    def test_a_known_digest_saves_the_files(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """The digest is the same again, and the files are left out."""
        (root / INBOX / "A.mov").touch()
        first = walked(originals)
        again = list(originals.walk(Layout(), lambda folder: first[folder].digest))
        assert [(found.folder, found.digest) for found in again] == [
            (found.folder, found.digest) for found in first.values()
        ]
        assert all(found.files == () for found in again)

    @pytest.mark.parametrize("change", ["add", "remove", "rename", "grow", "touch", "hide", "link"])
    def test_every_change_changes_the_digest(
        self, root: Path, originals: FilesystemOriginals, change: str
    ) -> None:
        """A name more or less, another size or time, and an entry that is passed over all count."""
        inbox = root / INBOX
        file = inbox / "A.mov"
        file.write_bytes(b"1")
        before = walked(originals)[INBOX].digest
        changes: dict[str, Callable[[], object]] = {
            "add": lambda: (inbox / "B.mov").touch(),
            "remove": file.unlink,
            "rename": lambda: file.rename(inbox / "B.mov"),
            "grow": lambda: file.write_bytes(b"12"),
            "touch": lambda: os.utime(file, ns=(5, 5)),
            "hide": lambda: (inbox / ".x").touch(),
            "link": lambda: (inbox / "L.mov").symlink_to("nothing"),
        }
        changes[change]()
        assert walked(originals)[INBOX].digest != before

    def test_a_change_below_leaves_the_folder_above_alone(
        self, root: Path, originals: FilesystemOriginals
    ) -> None:
        """Each folder's digest is about itself."""
        (root / INBOX / "day").mkdir()
        before = walked(originals)
        (root / INBOX / "day" / "A.mov").touch()
        after = walked(originals)
        assert after[INBOX].digest == before[INBOX].digest
        assert after["INBOX/day"].digest != before["INBOX/day"].digest


class TestUnreadable:
    """A folder that cannot be read is a skip of its parent."""

    def test_a_folder_without_rights(
        self, open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """The rest of the walk goes on, and the folder is looked into once it can be."""
        closed = open_root / INBOX / "closed"
        closed.mkdir()
        (closed / "A.mov").touch()
        (open_root / INBOX / "B.mov").touch()
        closed.chmod(0o000)
        originals = FilesystemOriginals(open_root, NAS)
        with without_rights():
            found = walked(originals)
        closed.chmod(0o755)
        assert "INBOX/closed" not in found
        assert found[INBOX].skipped == (("closed", Skip.UNREADABLE),)
        assert names(found[INBOX]) == {"B.mov"}
        opened = walked(originals)
        assert opened[INBOX].digest != found[INBOX].digest
        assert names(opened["INBOX/closed"]) == {"A.mov"}

    def test_a_folder_whose_files_cannot_be_looked_at(
        self, open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Where names can be read and files cannot, each file is a skip."""
        folder = open_root / INBOX / "names only"
        folder.mkdir()
        (folder / "A.mov").touch()
        folder.chmod(0o444)
        with without_rights():
            found = walked(FilesystemOriginals(open_root, NAS))
        folder.chmod(0o755)
        assert found["INBOX/names only"].skipped == (("A.mov", Skip.UNREADABLE),)

    def test_a_whole_inbox_is_named_at_the_root(
        self, open_root: Path, without_rights: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """The storage stays online, the other folders are walked."""
        (open_root / INBOX).chmod(0o000)
        with without_rights():
            found = walked(FilesystemOriginals(open_root, NAS))
        (open_root / INBOX).chmod(0o755)
        assert set(found) == {"", "ARCHIVE", "REJECTS"}
        assert found[""].skipped == ((INBOX, Skip.UNREADABLE),)

    def test_an_inbox_that_is_a_link_is_not_entered(
        self, root: Path, originals: FilesystemOriginals, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """A folder of the layout that was swapped for a link leads nowhere."""
        (root / INBOX).rmdir()
        (root / INBOX).symlink_to(tmp_path_factory.mktemp("elsewhere"))
        assert walked(originals)[""].skipped == ((INBOX, Skip.UNREADABLE),)


class _Busy(Walker):
    """Somebody empties a folder while it is being read: its one link is where they are noticed."""

    def _behind_link(self, path: str) -> Stat | Skip:
        folder = Path(self._root, path).parent
        for file in folder.iterdir():
            file.unlink()
        return super()._behind_link(path)


def test_files_that_vanish_while_a_folder_is_read_are_not_there(tmp_path: Path) -> None:
    """What was listed and is gone when looked at is no entry, no skip and no error."""
    count = 60
    for number in range(count):
        (tmp_path / f"A{number}.mov").write_bytes(b"1")
    (tmp_path / "link.mov").symlink_to("A0.mov")
    (listing,) = _Busy(REAL, os.fspath(tmp_path), lambda: None).walk("", lambda folder: None)
    assert {entry.size for entry in listing.files} <= {1}
    assert dict(listing.skipped) == {"link.mov": Skip.BROKEN_LINK}


def test_a_folder_that_vanishes_after_its_parent_was_read_is_not_there(
    root: Path, originals: FilesystemOriginals
) -> None:
    """The walk goes on without it."""
    for name in ("a", "b", "c"):
        (root / INBOX / name).mkdir()
    seen = []
    for listing in originals.walk(Layout(), lambda folder: None):
        seen.append(listing.folder)
        shutil.rmtree(root / INBOX / "b", ignore_errors=True)
    assert seen == ["INBOX", "INBOX/a", "INBOX/c", "ARCHIVE", "REJECTS"]


def test_a_folder_that_opens_and_then_fails_is_named_by_its_parent_again(tmp_path: Path) -> None:
    """A failing disk costs one folder; the walk goes on, and looks whether the storage is there."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "A.mov").touch()
    asked: list[str] = []

    class Failing(Walker):
        def _fill(self, folder: _Folder, place: int | str) -> None:
            if folder.path == "b":
                raise OSError(errno.EIO, "input/output error")
            super()._fill(folder, place)

    found = list(
        Failing(REAL, os.fspath(tmp_path), lambda: asked.append("?")).walk("", lambda _: None)
    )
    assert [listing.folder for listing in found] == ["", "a", "", "c"]
    assert found[2].skipped == (("b", Skip.UNREADABLE),)
    assert asked == ["?"]


def test_a_folder_whose_parent_fails_as_well_is_named_by_the_one_above(tmp_path: Path) -> None:
    """However far up the disk fails, the walk goes on with what is left, and names what is not."""
    (tmp_path / "INBOX" / "a" / "b").mkdir(parents=True)
    (tmp_path / "INBOX" / "c").mkdir()
    broken: set[str] = set()

    class Failing(Walker):
        def _fill(self, folder: _Folder, place: int | str) -> None:
            if folder.path in broken:
                raise OSError(errno.EIO, "input/output error")
            super()._fill(folder, place)

    for last, named in (("INBOX/a", ("INBOX", "a")), ("INBOX", ("", "INBOX"))):
        broken.clear()
        found = []
        for listing in Failing(REAL, os.fspath(tmp_path), lambda: None).walk(INBOX, lambda _: None):
            found.append(listing)
            if listing.folder == "INBOX/a":
                broken |= {"INBOX/a/b", "INBOX/a", last}
        assert (found[2].folder, [name for name, _ in found[2].skipped]) == (named[0], [named[1]])
        assert found[-1].folder == "INBOX/c"


class TestOffline:
    """A storage whose marker is absent, invalid or foreign is not walked, nor is one that goes away."""

    @pytest.mark.parametrize(
        "content", [None, b"", b"{", b"x" * 100_000, b'{"version": 1, "storage_id": "other"}']
    )
    def test_a_marker_that_is_not_ours(
        self, root: Path, originals: FilesystemOriginals, content: bytes | None
    ) -> None:
        """Nothing is yielded and the reason is said."""
        (root / ".retaia").unlink()
        if content is not None:
            (root / ".retaia").write_bytes(content)
        with pytest.raises(StorageOffline, match="marker"):
            next(originals.walk(Layout(), lambda folder: None))

    def test_a_foreign_storage(self, root: Path) -> None:
        """Another storage at the same place is named."""
        problem = FilesystemOriginals(root, StorageId("cards")).check()
        assert problem is not None
        assert "'nas'" in problem

    def test_a_marker_behind_a_link_is_none(
        self, root: Path, originals: FilesystemOriginals, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """A link would say nothing about the disk that is mounted."""
        away = tmp_path_factory.mktemp("away") / "marker"
        shutil.move(root / ".retaia", away)
        (root / ".retaia").symlink_to(away)
        assert originals.check() is not None

    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_a_marker_that_goes_away_in_the_middle(
        self, root: Path, originals: FilesystemOriginals, after: int
    ) -> None:
        """No further folder is listed, and the walk never ends as if it were complete."""
        walk = originals.walk(Layout(), lambda folder: None)
        for _ in range(after):
            next(walk)
        (root / ".retaia").unlink()
        with pytest.raises(StorageOffline):
            next(walk)

    def test_a_whole_root_that_goes_away(self, tmp_path: Path) -> None:
        """A mount point that is gone is offline, not empty."""
        root = tmp_path / "mnt"
        root.mkdir()
        adopt(root, Layout(), NAS)
        originals = FilesystemOriginals(root, NAS)
        root.rename(tmp_path / "gone")
        assert originals.check() is not None
        with pytest.raises(StorageOffline):
            list(originals.walk(Layout(), lambda folder: None))
        with pytest.raises(StorageOffline):
            originals.stat("INBOX/A.mov")
        with pytest.raises(StorageOffline):
            originals.names_in(INBOX)
