"""The contract of the originals port: looks, renames without replacing, removes only what was seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

import pytest

from ...domain.discovery import SeenFile, Skip
from ...domain.identifiers import RelPath, StorageId, folder_of
from ...domain.moves import DiskFile
from ...domain.storage import Layout, Marker, Trouble, render_marker
from ...errors import StorageOffline
from ...ports.originals import Entry, FolderListing, MoveRefused, Originals, RemovalRefused

MTIME = 1_700_000_000_123_456_789
ODD_NAMES = (
    "plage 🏖️ été.mov",
    "line\nbreak.mov",
    "back\\slash.mov",
    "quote'\".mov",
    "e\u0301.mov",
    "\u00e9.mov",
    " spaces .mov",
    "🎬" * 62 + "abc.mov",
)


class Stage(Protocol):
    """A storage as a test arranges it, from outside of the port."""

    @property
    def originals(self) -> Originals:
        """The implementation under test; its marker is there, and the storage is otherwise empty."""
        ...

    @property
    def storage_id(self) -> StorageId: ...

    def put(self, path: str, content: bytes, mtime_ns: int) -> None:
        """Write a file, as a camera or a person would, with its folders."""
        ...

    def content(self, path: str) -> bytes | None:
        """What a file holds; None where there is none."""
        ...

    def set_marker(self, content: bytes | None) -> None:
        """Replace the marker file, or take it away."""
        ...


def nothing_known(_: str) -> str | None:
    """The memory of a first scan."""
    return None


def walked(
    stage: Stage,
    layout: Layout | None = None,
    known: Callable[[str], str | None] = nothing_known,
) -> dict[str, FolderListing]:
    """Walk to the end; the listings by folder."""
    found = list(stage.originals.walk(layout or Layout(), known))
    by_folder = {listing.folder: listing for listing in found}
    assert len(by_folder) == len(found), "a folder was listed twice"
    return by_folder


def paths(listings: dict[str, FolderListing]) -> set[str]:
    """Every file of some listings."""
    return {
        f"{folder}/{entry.name}" if folder else entry.name
        for folder, listing in listings.items()
        for entry in listing.files
    }


class _Suite:
    @pytest.fixture
    def stage(self) -> Stage:
        """Override this: return a new and empty storage."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `stage`")


class _MarkerRules(_Suite):
    """A storage that cannot prove itself is offline, and nothing is done there."""

    def test_a_storage_with_its_marker_is_online(self, stage: Stage) -> None:
        """The marker with our storage id means that there is no problem."""
        assert stage.originals.check() is None
        for write in (False, True):
            assert stage.originals.probe(reserve=0, write=write) is None

    def test_another_layout_is_still_our_storage(self, stage: Stage) -> None:
        """What makes a marker foreign is its storage id."""
        layout = Layout(inbox=".", archive=RelPath("a"), rejects=RelPath("b"))
        stage.set_marker(render_marker(Marker(storage_id=stage.storage_id, layout=layout)))
        assert stage.originals.check() is None

    @pytest.mark.parametrize(
        "marker",
        [
            None,
            b"",
            b"\xff\xfe",
            b"[]",
            b'{"version": 2}',
            render_marker(Marker(storage_id=StorageId("foreign"))),
        ],
        ids=["absent", "empty", "no text", "no object", "newer version", "foreign"],
    )
    def test_anything_else_is_offline(self, stage: Stage, marker: bytes | None) -> None:
        """Absent, malformed and foreign markers have a reason, and every method raises."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        stage.set_marker(marker)
        assert stage.originals.check()
        found = stage.originals.probe(reserve=0, write=True)
        assert found is not None
        assert (found.trouble, found.reason) == (Trouble.MARKER, stage.originals.check())
        seen = SeenFile(path=RelPath("INBOX/a.mov"), size=3, mtime_ns=MTIME)
        acts: list[Callable[[], object]] = [
            lambda: list(stage.originals.walk(Layout(), nothing_known)),
            lambda: stage.originals.stat("INBOX/a.mov"),
            lambda: stage.originals.names_in("INBOX"),
            lambda: stage.originals.fingerprint(seen),
            lambda: stage.originals.checksum(seen),
            lambda: stage.originals.rename("INBOX/a.mov", "ARCHIVE/a.mov"),
            lambda: stage.originals.sync(["INBOX", "ARCHIVE"]),
            lambda: stage.originals.settle("INBOX/a.mov", "ARCHIVE/a.mov"),
            lambda: stage.originals.remove(seen),
        ]
        for act in acts:
            with pytest.raises(StorageOffline):
                act()
        assert stage.content("INBOX/a.mov") == b"abc"
        assert stage.content("ARCHIVE/a.mov") is None

    def test_a_marker_that_is_back_brings_the_storage_back(self, stage: Stage) -> None:
        """Every look is a new one."""
        stage.set_marker(None)
        assert stage.originals.check()
        stage.set_marker(render_marker(Marker(storage_id=stage.storage_id)))
        assert stage.originals.check() is None

    def test_a_storage_that_goes_away_ends_the_walk(self, stage: Stage) -> None:
        """A walk over a storage that goes away never ends as if it had seen everything."""
        for n in range(5):
            stage.put(f"INBOX/{n}/a.mov", b"abc", MTIME)
        walk = stage.originals.walk(Layout(), nothing_known)
        next(walk)
        stage.set_marker(None)
        with pytest.raises(StorageOffline):
            list(walk)


class _WalkRules(_Suite):
    """What a walk yields."""

    def test_every_folder_of_the_three_tops(self, stage: Stage) -> None:
        """Inbox, archive and rejects are walked to any depth; exports and derived files are not."""
        inside = {
            "INBOX/a.mov",
            "INBOX/day 1/card/b.mov",
            "ARCHIVE/2026/c.mov",
            "REJECTS/d.mov",
        }
        for path in (*inside, "EXPORTS/e.mov", ".derived/u/f.mov", "other/g.mov", "h.mov"):
            stage.put(path, b"abc", MTIME)
        listings = walked(stage)
        assert paths(listings) == inside
        assert {"INBOX", "INBOX/day 1", "INBOX/day 1/card", "ARCHIVE/2026"} <= set(listings)

    def test_a_file_is_listed_with_size_and_mtime(self, stage: Stage) -> None:
        """Sizes are bytes, times nanoseconds, to the last digit."""
        stage.put("INBOX/a.mov", b"abcde", MTIME)
        assert walked(stage)["INBOX"].files == (Entry(name="a.mov", size=5, mtime_ns=MTIME),)

    @pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
    def test_odd_names_are_listed_to_the_letter(self, stage: Stage, name: str) -> None:
        """Emoji, newlines and decomposed accents come back as they are on disk."""
        stage.put(f"INBOX/{name}", b"abc", MTIME)
        assert paths(walked(stage)) == {f"INBOX/{name}"}
        assert stage.originals.stat(f"INBOX/{name}") == DiskFile(size=3, mtime_ns=MTIME)

    def test_hidden_and_temporary_entries_are_passed_over(self, stage: Stage) -> None:
        """Each is named with its reason; a hidden folder is not entered."""
        skipped = {
            "._a.mov": Skip.HIDDEN,
            ".DS_Store": Skip.HIDDEN,
            "a.mov.part": Skip.TEMPORARY,
            "b.mov~": Skip.TEMPORARY,
        }
        for name in ("a.mov", *skipped):
            stage.put(f"INBOX/{name}", b"abc", MTIME)
        stage.put("INBOX/.Trashes/x.mov", b"abc", MTIME)
        listings = walked(stage)
        assert paths(listings) == {"INBOX/a.mov"}
        assert dict(listings["INBOX"].skipped) == {**skipped, ".Trashes": Skip.HIDDEN}

    def test_an_inbox_that_is_the_root(self, stage: Stage) -> None:
        """With ``.`` as the inbox, the root's own folders are not walked as part of it."""
        layout = Layout(inbox=".")
        stage.set_marker(render_marker(Marker(storage_id=stage.storage_id, layout=layout)))
        inside = {"a.mov", "day/b.mov", "ARCHIVE/c.mov", "REJECTS/x/d.mov", "day/EXPORTS/e.mov"}
        for path in (*inside, "EXPORTS/f.mov", ".derived/u/g.mov"):
            stage.put(path, b"abc", MTIME)
        assert paths(walked(stage, layout)) == inside

    def test_a_storage_without_folders_is_walked(self, stage: Stage) -> None:
        """Folders that are not there yet hold no file and are no error."""
        assert paths(walked(stage)) == set()

    def test_parents_come_first_and_the_order_is_stable(self, stage: Stage) -> None:
        """A folder follows its parent, and two walks of one state are the same."""
        for n in range(20):
            stage.put(f"INBOX/{n % 5}/{n % 3}/{n}.mov", b"abc", MTIME)
        order = list(walked(stage))
        assert order == list(walked(stage))
        for folder in order:
            if folder_of(folder):
                assert order.index(folder_of(folder)) < order.index(folder)

    def test_an_unchanged_folder_costs_its_digest_alone(self, stage: Stage) -> None:
        """Where the digest is the known one the files are left out; folders below are still walked."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        stage.put("INBOX/day/b.mov", b"abc", MTIME)
        digests = {folder: listing.digest for folder, listing in walked(stage).items()}
        assert paths(walked(stage, known=digests.get)) == set()
        stage.put("INBOX/day/c.mov", b"abc", MTIME)
        again = walked(stage, known=digests.get)
        assert paths(again) == {"INBOX/day/b.mov", "INBOX/day/c.mov"}
        assert again["INBOX"].digest == digests["INBOX"]

    def test_a_digest_covers_name_size_mtime_and_what_is_skipped(self, stage: Stage) -> None:
        """Each change of a folder changes its digest; putting things back restores it."""
        digests = []

        def look() -> str:
            digests.append(walked(stage)["INBOX"].digest)
            return digests[-1]

        stage.put("INBOX/a.mov", b"abc", MTIME)
        first = look()
        stage.put("INBOX/a.mov", b"abcd", MTIME)
        look()
        stage.put("INBOX/a.mov", b"abc", MTIME + 1)
        look()
        stage.put("INBOX/a.mov", b"abc", MTIME)
        assert look() == first
        digests.pop()
        stage.put("INBOX/b.mov", b"abc", MTIME)
        look()
        stage.put("INBOX/.hidden", b"abc", MTIME)
        look()
        assert len(set(digests)) == len(digests)

    def test_names_are_all_names(self, stage: Stage) -> None:
        """Names taken in a folder include hidden files and folders; no folder has no names."""
        for path in ("ARCHIVE/a.mov", "ARCHIVE/.b", "ARCHIVE/day/c.mov"):
            stage.put(path, b"abc", MTIME)
        assert stage.originals.names_in("ARCHIVE") == {"a.mov", ".b", "day"}
        assert stage.originals.names_in("nowhere") == frozenset()

    def test_many_looks_are_as_many_single_ones(self, stage: Stage) -> None:
        """Several paths are looked at as each by itself; one that is refused has its error."""
        for number in range(3):
            stage.put(f"INBOX/day/{number}.mov", b"x" * number, MTIME + number)
        wanted = [*(f"INBOX/day/{number}.mov" for number in range(5)), "INBOX/day", "none/a.mov"]
        found = stage.originals.look(wanted)
        assert found == {p: there for p in wanted if (there := stage.originals.stat(p)) is not None}
        assert found["INBOX/day/2.mov"] == DiskFile(size=2, mtime_ns=MTIME + 2)
        stage.set_marker(None)
        with pytest.raises(StorageOffline):
            stage.originals.look(wanted)

    def test_nothing_stands_at_an_unknown_path(self, stage: Stage) -> None:
        """A path without a file has no size and no mtime."""
        assert stage.originals.stat("INBOX/a.mov") is None


class _FingerprintRules(_Suite):
    """The quick content fingerprint."""

    def test_a_fingerprint_is_of_the_content(self, stage: Stage) -> None:
        """Equal content has one fingerprint, whatever its path and time; it is stable."""
        content = bytes(range(256)) * 4096
        stage.put("INBOX/a.mov", content, MTIME)
        stage.put("ARCHIVE/b.mov", content, MTIME + 5)
        one = _fingerprint(stage, "INBOX/a.mov")
        assert one
        assert one == _fingerprint(stage, "INBOX/a.mov") == _fingerprint(stage, "ARCHIVE/b.mov")

    @pytest.mark.parametrize("size", [1, 1000, 2**20 + 1])
    def test_start_middle_end_and_size_count(self, stage: Stage, size: int) -> None:
        """A change of the first, the middle or the last byte, or of the size, is another content."""
        contents = [b"\0" * size, b"\0" * (size + 1)]
        for at in {0, size // 2, size - 1}:
            changed = bytearray(size)
            changed[at] = 1
            contents.append(bytes(changed))
        found = set()
        for n, content in enumerate(contents):
            stage.put(f"INBOX/{n}.mov", content, MTIME)
            found.add(_fingerprint(stage, f"INBOX/{n}.mov"))
        assert len(found) == len(contents)

    def test_a_file_that_is_not_as_seen_has_none(self, stage: Stage) -> None:
        """Another size or mtime than the scan saw, or no file, means no fingerprint."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        for path, size, mtime in (("a", 4, MTIME), ("a", 3, MTIME + 1), ("b", 3, MTIME)):
            seen = SeenFile(path=RelPath(f"INBOX/{path}.mov"), size=size, mtime_ns=mtime)
            assert stage.originals.fingerprint(seen) is None


def _fingerprint(stage: Stage, path: str) -> str | None:
    found = stage.originals.stat(path)
    assert found is not None
    seen = SeenFile(path=RelPath(path), size=found.size, mtime_ns=found.mtime_ns)
    return stage.originals.fingerprint(seen)


class _ChecksumRules(_Suite):
    """The checksum of a whole file: what a copy, a scrub and a purge's proof rely on."""

    @pytest.mark.parametrize("size", [0, 1, 2**16, 2**20, 3 * 2**20 + 17])
    def test_it_is_the_sha256_of_every_byte(self, stage: Stage, size: int) -> None:
        """The digest that any other tool gives, and the bytes that were read add up."""
        content = (bytes(range(251)) * (size // 251 + 1))[:size]
        stage.put("INBOX/a.mov", content, MTIME)
        read: list[int] = []
        seen = SeenFile(path=RelPath("INBOX/a.mov"), size=size, mtime_ns=MTIME)
        assert stage.originals.checksum(seen, read.append) == _sha256(content)
        assert sum(read) == size
        assert all(read)

    def test_one_byte_that_no_quick_fingerprint_reads_counts(self, stage: Stage) -> None:
        """A flipped byte between the blocks of the fingerprint is seen, size and time being equal."""
        content = bytearray(2**20)
        seen = SeenFile(path=RelPath("INBOX/a.mov"), size=2**20, mtime_ns=MTIME)
        stage.put("INBOX/a.mov", bytes(content), MTIME)
        before, quick = stage.originals.checksum(seen), stage.originals.fingerprint(seen)
        content[2**18] = 1
        stage.put("INBOX/a.mov", bytes(content), MTIME)
        assert stage.originals.fingerprint(seen) == quick
        assert before != stage.originals.checksum(seen) == _sha256(bytes(content))

    def test_a_file_that_is_not_as_seen_has_none(self, stage: Stage) -> None:
        """Another size or mtime than the scan saw, no file, or a folder."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        for path, size, mtime in (
            ("INBOX/a.mov", 4, MTIME),
            ("INBOX/a.mov", 3, MTIME + 1),
            ("INBOX/b.mov", 3, MTIME),
            ("INBOX/a.mov/b.mov", 3, MTIME),
            ("INBOX", 3, MTIME),
        ):
            seen = SeenFile(path=RelPath(path), size=size, mtime_ns=mtime)
            assert stage.originals.checksum(seen) is None

    def test_a_file_that_changes_while_it_is_read_has_none(self, stage: Stage) -> None:
        """A digest of half the old and half the new content is nobody's."""
        stage.put("INBOX/a.mov", b"a" * 100, MTIME)
        seen = SeenFile(path=RelPath("INBOX/a.mov"), size=100, mtime_ns=MTIME)

        def change(_: int) -> None:
            stage.put("INBOX/a.mov", b"b" * 100, MTIME + 1)

        assert stage.originals.checksum(seen, change) is None

    def test_who_sets_the_pace_can_stop_it(self, stage: Stage) -> None:
        """What the pace raises comes out as it is, an error of the system too; the next try is whole."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        seen = SeenFile(path=RelPath("INBOX/a.mov"), size=3, mtime_ns=MTIME)

        def stop(_: int) -> None:
            raise BlockingIOError("enough for today")

        with pytest.raises(BlockingIOError, match="enough"):
            stage.originals.checksum(seen, stop)
        assert stage.originals.checksum(seen) == _sha256(b"abc")


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class _RenameRules(_Suite):
    """No file is ever overwritten (domain.md, *Principles* 5)."""

    @pytest.mark.parametrize("name", ["a.mov", *ODD_NAMES], ids=range(len(ODD_NAMES) + 1))
    def test_a_file_moves_whole(self, stage: Stage, name: str) -> None:
        """Content, size and mtime arrive, folders are made, and nothing stays behind."""
        source, target = f"INBOX/{name}", f"ARCHIVE/2026/day 1/{name}"
        stage.put(source, b"abc", MTIME)
        stage.originals.rename(source, target)
        assert stage.content(target) == b"abc"
        assert stage.content(source) is None
        assert stage.originals.stat(target) == DiskFile(size=3, mtime_ns=MTIME)
        assert stage.originals.stat(source) is None

    def test_a_move_and_its_inverse_are_the_identity(self, stage: Stage) -> None:
        """Moved there and back, a file is as it was."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        before = walked(stage)["INBOX"]
        stage.originals.rename("INBOX/a.mov", "REJECTS/a.mov")
        stage.originals.rename("REJECTS/a.mov", "INBOX/a.mov")
        assert walked(stage)["INBOX"] == before

    def test_a_taken_target_is_never_replaced(self, stage: Stage) -> None:
        """Both files are as before, even where they are equal."""
        for content in (b"other", b"abc"):
            stage.put("INBOX/a.mov", b"abc", MTIME)
            stage.put("ARCHIVE/a.mov", content, MTIME + 7)
            with pytest.raises(MoveRefused):
                stage.originals.rename("INBOX/a.mov", "ARCHIVE/a.mov")
            assert stage.content("INBOX/a.mov") == b"abc"
            assert stage.content("ARCHIVE/a.mov") == content
            there = stage.originals.stat("ARCHIVE/a.mov")
            assert there == DiskFile(size=len(content), mtime_ns=MTIME + 7)

    def test_a_folder_is_a_taken_target(self, stage: Stage) -> None:
        """A file cannot take a folder's name."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        stage.put("ARCHIVE/a.mov/inside.mov", b"abc", MTIME)
        with pytest.raises(MoveRefused):
            stage.originals.rename("INBOX/a.mov", "ARCHIVE/a.mov")
        assert stage.content("INBOX/a.mov") == b"abc"

    def test_a_source_that_is_not_there_is_refused(self, stage: Stage) -> None:
        """Nothing appears at the target."""
        stage.put("INBOX/b.mov", b"abc", MTIME)
        with pytest.raises(MoveRefused):
            stage.originals.rename("INBOX/a.mov", "ARCHIVE/a.mov")
        assert stage.originals.stat("ARCHIVE/a.mov") is None

    def test_a_move_leaves_no_other_file(self, stage: Stage) -> None:
        """No temporary copy stays in the folders of source and target."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        stage.put("INBOX/b.mov", b"abc", MTIME)
        stage.originals.rename("INBOX/a.mov", "ARCHIVE/a.mov")
        assert stage.originals.names_in("INBOX") == {"b.mov"}
        assert stage.originals.names_in("ARCHIVE") == {"a.mov"}

    def test_names_are_made_durable_folder_by_folder(self, stage: Stage) -> None:
        """Any folder may be named, more than once, the root and one that is not there too."""
        stage.put("INBOX/a.mov", b"abc", MTIME)
        stage.originals.rename("INBOX/a.mov", "ARCHIVE/day/a.mov")
        stage.originals.sync(["INBOX", "ARCHIVE/day", "INBOX", "", "nowhere/at all"])
        stage.originals.sync([])
        assert stage.content("ARCHIVE/day/a.mov") == b"abc"
        assert stage.originals.names_in("") & {"nowhere"} == set()


class _RemovalRules(_Suite):
    """What is removed is what was seen, and nothing else (domain.md, *Principles* 2)."""

    @pytest.mark.parametrize("name", ["a.mov", *ODD_NAMES], ids=range(len(ODD_NAMES) + 1))
    def test_a_file_is_removed_and_its_neighbours_stay(self, stage: Stage, name: str) -> None:
        """It is gone, the rest of its folder is as before, and a repetition finds nothing to do."""
        seen = SeenFile(path=RelPath(f"REJECTS/{name}"), size=3, mtime_ns=MTIME)
        stage.put(seen.path, b"abc", MTIME)
        stage.put("REJECTS/other.mov", b"abc", MTIME)
        assert stage.originals.remove(seen)
        assert stage.originals.names_in("REJECTS") == {"other.mov"}
        assert not stage.originals.remove(seen)
        assert stage.content("REJECTS/other.mov") == b"abc"

    @pytest.mark.parametrize(
        ("content", "mtime_ns"), [(b"abcd", MTIME), (b"abc", MTIME + 1)], ids=["size", "mtime"]
    )
    def test_another_file_than_was_seen_stays(
        self, stage: Stage, content: bytes, mtime_ns: int
    ) -> None:
        """What was written there since is nobody's to remove."""
        stage.put("REJECTS/a.mov", content, mtime_ns)
        seen = SeenFile(path=RelPath("REJECTS/a.mov"), size=3, mtime_ns=MTIME)
        with pytest.raises(RemovalRefused):
            stage.originals.remove(seen)
        assert stage.content("REJECTS/a.mov") == content

    def test_a_folder_stays(self, stage: Stage) -> None:
        """A folder that has the name now is left, with everything in it."""
        stage.put("REJECTS/a.mov/inside.mov", b"abc", MTIME)
        seen = SeenFile(path=RelPath("REJECTS/a.mov"), size=3, mtime_ns=MTIME)
        with pytest.raises(RemovalRefused):
            stage.originals.remove(seen)
        assert stage.content("REJECTS/a.mov/inside.mov") == b"abc"


class OriginalsContract(
    _MarkerRules, _WalkRules, _FingerprintRules, _ChecksumRules, _RenameRules, _RemovalRules
):
    """What every originals storage must do.

    Subclass it, name the subclass ``Test…``, and override the fixture ``stage`` with a `Stage`.
    """
