"""Derived files appear whole or not at all, however an upload ends."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.marker import adopt
from retaia_core.domain.derived import HEAD_BYTES, WHOLE_LIMIT
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Layout
from retaia_core.errors import NotFound, StorageOffline, Unavailable, ValidationFailed

NAS = StorageId("nas")
REF = "6f9619ff-8b86-d011-b42d-00cf4fc964ff/proxy-1.mp4"
LIMIT = 2**20


@pytest.fixture
def derived(root: Path) -> FilesystemDerived:
    """The derived files of an adopted folder."""
    return FilesystemDerived(root, NAS)


def below(root: Path) -> set[str]:
    """Every file that stands below ``.derived``."""
    base = root / ".derived"
    return {os.fspath(p.relative_to(base)) for p in base.rglob("*") if p.is_file()}


def content_of(derived: FilesystemDerived, ref: str) -> bytes:
    with derived.open(ref) as file:
        return file.read()


class TestParts:
    """Parts come in any order, again, and never larger than announced."""

    def test_a_part_is_known_by_size_and_digest(self, derived: FilesystemDerived) -> None:
        """The tag is the SHA-256 of the bytes, however they were cut."""
        part = derived.put_part("u1", 2, [b"ab", b"", b"c"], LIMIT)
        assert (part.number, part.size) == (2, 3)
        assert part.etag == hashlib.sha256(b"abc").hexdigest()

    def test_a_part_sent_again_replaces_the_first(self, derived: FilesystemDerived) -> None:
        """The last one that arrived whole counts."""
        derived.put_part("u1", 1, [b"first"], LIMIT)
        derived.put_part("u1", 1, [b"second"], LIMIT)
        derived.publish("u1", 1, REF)
        assert content_of(derived, REF) == b"second"

    def test_more_bytes_than_allowed_are_refused(
        self, root: Path, derived: FilesystemDerived
    ) -> None:
        """Nothing is kept of the part, and no more is read than needed to know."""
        read = []

        def chunks() -> Iterator[bytes]:
            for number in range(100):
                read.append(number)
                yield b"x" * 10

        with pytest.raises(ValidationFailed, match="25"):
            derived.put_part("u1", 1, chunks(), 25)
        assert below(root) == set()
        assert len(read) == 3

    def test_a_part_whose_sender_breaks_off_leaves_the_former_one(
        self, root: Path, derived: FilesystemDerived
    ) -> None:
        """Half a part is no part."""

        def breaks() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionAbortedError("gone")

        derived.put_part("u1", 1, [b"whole"], LIMIT)
        with pytest.raises(ConnectionAbortedError):
            derived.put_part("u1", 1, breaks(), LIMIT)
        assert below(root) == {".uploads/u1/000001.part"}
        assert derived.sample("u1", 1, whole=True).content == b"whole"

    @pytest.mark.parametrize("upload_id", ["", "..", ".hidden", "a/b", "a\\b", "a\nb", "x" * 200])
    def test_an_upload_id_is_no_path(self, derived: FilesystemDerived, upload_id: str) -> None:
        """Whatever could name another folder is refused."""
        with pytest.raises(ValidationFailed):
            derived.put_part(upload_id, 1, [b"x"], LIMIT)
        with pytest.raises(ValidationFailed):
            derived.discard(upload_id)


class TestSample:
    """What the format checks see before anything is published."""

    def test_head_and_size_span_the_parts(self, derived: FilesystemDerived) -> None:
        """The beginning may lie in several parts; the size is that of all."""
        derived.put_part("u1", 1, [b"a" * 10], LIMIT)
        derived.put_part("u1", 2, [b"b" * 5000], LIMIT)
        sample = derived.sample("u1", 2, whole=False)
        assert sample.head == b"a" * 10 + b"b" * (HEAD_BYTES - 10)
        assert (sample.size_bytes, sample.content) == (5010, None)
        whole = derived.sample("u1", 2, whole=True)
        assert whole.content == b"a" * 10 + b"b" * 5000
        assert whole.head == sample.head

    def test_the_whole_of_a_large_file_is_never_read(self, derived: FilesystemDerived) -> None:
        """Memory is bounded whatever was sent."""
        derived.put_part("u1", 1, [b"x" * (WHOLE_LIMIT + 1)], 2 * WHOLE_LIMIT)
        sample = derived.sample("u1", 1, whole=True)
        assert sample.content is None
        assert len(sample.head) == HEAD_BYTES

    def test_a_part_that_is_missing(self, derived: FilesystemDerived) -> None:
        """The refusal names it."""
        derived.put_part("u1", 1, [b"x"], LIMIT)
        with pytest.raises(NotFound, match="part 2"):
            derived.sample("u1", 2, whole=False)


class TestPublish:
    """A file appears by one step, and publishing can be repeated."""

    @pytest.mark.parametrize("parts", [1, 3])
    def test_parts_are_joined_in_order(
        self, root: Path, derived: FilesystemDerived, parts: int
    ) -> None:
        """What is stored is what was sent, whatever order it came in."""
        pieces = [os.urandom(70_000 + n) for n in range(parts)]
        for number in reversed(range(parts)):
            derived.put_part("u1", number + 1, [pieces[number]], LIMIT)
        stored = derived.publish("u1", parts, REF)
        whole = b"".join(pieces)
        assert stored.size_bytes == len(whole) == derived.size(REF)
        assert stored.sha256 == hashlib.sha256(whole).hexdigest()
        assert content_of(derived, REF) == whole
        assert not any(name.endswith(".tmp") for name in below(root))

    @pytest.mark.parametrize("parts", [1, 2])
    def test_it_can_be_repeated_until_the_upload_is_discarded(
        self, root: Path, derived: FilesystemDerived, parts: int
    ) -> None:
        """The same answer each time; afterwards the parts are not there."""
        for number in range(parts):
            derived.put_part("u1", number + 1, [b"x"], LIMIT)
        assert derived.publish("u1", parts, REF) == derived.publish("u1", parts, REF)
        derived.discard("u1")
        assert below(root) == {REF}
        with pytest.raises(NotFound):
            derived.publish("u1", parts, REF)
        assert derived.size(REF) == parts

    def test_a_part_sent_after_publication_does_not_change_the_file(
        self, derived: FilesystemDerived
    ) -> None:
        """A late sender writes beside it."""
        derived.put_part("u1", 1, [b"good"], LIMIT)
        derived.publish("u1", 1, REF)
        derived.put_part("u1", 1, [b"late"], LIMIT)
        assert content_of(derived, REF) == b"good"

    def test_a_reader_keeps_what_it_opened(self, derived: FilesystemDerived) -> None:
        """Publishing again under a name does not disturb who is reading."""
        derived.put_part("u1", 1, [b"old"], LIMIT)
        derived.publish("u1", 1, REF)
        with derived.open(REF) as reader:
            derived.put_part("u2", 1, [b"new!"], LIMIT)
            derived.publish("u2", 1, REF)
            assert reader.read() == b"old"
        assert content_of(derived, REF) == b"new!"

    @pytest.mark.parametrize(
        "ref", ["/x", "../x", "a/../../x", ".uploads/u1/000001.part", "a/.x", "", "a//b"]
    )
    def test_a_reference_stays_below(self, derived: FilesystemDerived, ref: str) -> None:
        """Neither out of the folder nor into the uploads."""
        derived.put_part("u1", 1, [b"x"], LIMIT)
        with pytest.raises(ValidationFailed):
            derived.publish("u1", 1, ref)
        with pytest.raises(ValidationFailed):
            derived.open(ref)

    @pytest.mark.faults
    @pytest.mark.parametrize("parts", [1, 3])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_killed_publication_can_be_repeated(
        self, root: Path, derived: FilesystemDerived, parts: int, when: str
    ) -> None:
        """The file is not there or whole; a second try has the same result, and nothing is left over."""
        for number in range(parts):
            derived.put_part("u1", number + 1, [bytes([number]) * 100_000], LIMIT)
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, root, str(parts), REF, when], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        assert derived.size(REF) == (None if when == "before" else parts * 100_000)
        assert derived.publish("u1", parts, REF).size_bytes == parts * 100_000
        derived.discard("u1")
        assert below(root) == {REF}


class TestKeeping:
    """Published files are cloned, listed and removed."""

    @pytest.fixture(autouse=True)
    def published(self, derived: FilesystemDerived) -> None:
        """One file of one asset."""
        derived.put_part("u1", 1, [b"content"], LIMIT)
        derived.publish("u1", 1, "a/thumb-0.jpg")
        derived.discard("u1")

    def test_a_clone_outlives_its_model(self, derived: FilesystemDerived) -> None:
        """Each name is a file of its own to whoever removes one."""
        derived.clone("a/thumb-0.jpg", "b/thumb-0.jpg")
        derived.clone("a/thumb-0.jpg", "b/thumb-0.jpg")
        derived.remove("a/thumb-0.jpg")
        assert content_of(derived, "b/thumb-0.jpg") == b"content"
        assert list(derived.refs("")) == ["b/thumb-0.jpg"]

    def test_a_clone_of_nothing(self, derived: FilesystemDerived) -> None:
        """There is no such file."""
        with pytest.raises(NotFound):
            derived.clone("a/no.jpg", "b/no.jpg")

    def test_removing_is_harmless_where_nothing_is(
        self, root: Path, derived: FilesystemDerived
    ) -> None:
        """Empty folders go with the last file; other assets' stay."""
        derived.clone("a/thumb-0.jpg", "b/c/x.jpg")
        for ref in ("a/thumb-0.jpg", "a/thumb-0.jpg", "a/no.jpg", "a/thumb-0.jpg/x"):
            derived.remove(ref)
        assert derived.size("a/thumb-0.jpg") is None
        assert not (root / ".derived" / "a").exists()
        assert derived.size("b/c/x.jpg") == 7

    def test_what_is_not_there_cannot_be_opened(self, derived: FilesystemDerived) -> None:
        """Neither a missing name nor a folder."""
        for ref in ("a/no.jpg", "a", "a/thumb-0.jpg/x"):
            with pytest.raises(NotFound):
                derived.open(ref)
            assert derived.size(ref) is None

    def test_references_are_listed_below_a_prefix(self, derived: FilesystemDerived) -> None:
        """An asset's own, not those of another whose id begins alike; uploads never."""
        derived.clone("a/thumb-0.jpg", "a/deep/x.jpg")
        derived.clone("a/thumb-0.jpg", "ab/x.jpg")
        derived.put_part("u9", 1, [b"x"], LIMIT)
        assert list(derived.refs("a")) == ["a/thumb-0.jpg", "a/deep/x.jpg"]
        assert set(derived.refs("")) == {"a/thumb-0.jpg", "a/deep/x.jpg", "ab/x.jpg"}
        assert list(derived.refs("nobody")) == []

    def test_publishing_beside_removing_never_fails(self, derived: FilesystemDerived) -> None:
        """A folder that goes because it is empty comes back for the next file."""
        failures: list[BaseException] = []

        def busy(name: str) -> None:
            try:
                for _ in range(50):
                    derived.clone("a/thumb-0.jpg", f"z/{name}.jpg")
                    derived.remove(f"z/{name}.jpg")
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=busy, args=(str(n),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


class TestTrouble:
    """A storage that is offline or a disk that is full is said, and nothing half-made is left."""

    def test_nothing_is_written_under_a_lost_mount(
        self, root: Path, derived: FilesystemDerived
    ) -> None:
        """Without the marker no folder is made."""
        (root / ".retaia").unlink()
        with pytest.raises(StorageOffline):
            derived.put_part("u1", 1, [b"x"], LIMIT)
        with pytest.raises(StorageOffline):
            derived.size(REF)
        assert not (root / ".derived").exists()

    def test_nothing_is_written_to_another_storage(self, root: Path) -> None:
        """The identity counts where it is known."""
        with pytest.raises(StorageOffline):
            FilesystemDerived(root, StorageId("other")).put_part("u1", 1, [b"x"], LIMIT)
        FilesystemDerived(root).put_part("u1", 1, [b"x"], LIMIT)

    @pytest.mark.faults
    def test_a_full_disk(self, small_disk: Path) -> None:
        """Neither a part nor a joined file is left in pieces; what was there can still be used."""
        adopt(small_disk, Layout(), NAS)
        derived = FilesystemDerived(small_disk, NAS)
        with pytest.raises(Unavailable, match="no space"):
            derived.put_part("u1", 1, [b"x" * 2 * LIMIT], 2 * LIMIT)
        assert below(small_disk) == set()
        for number in (1, 2):
            derived.put_part("u1", number, [b"x" * 300_000], LIMIT)
        with pytest.raises(Unavailable, match="no space"):
            derived.publish("u1", 2, REF)
        assert below(small_disk) == {".uploads/u1/000001.part", ".uploads/u1/000002.part"}
        derived.discard("u1")
        assert below(small_disk) == set()

    @pytest.mark.faults
    def test_a_limit_on_file_size(self, root: Path, derived: FilesystemDerived) -> None:
        """The same on any machine: the system refuses the bytes, and the part is gone."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(Unavailable, match="too large"):
                derived.put_part("u1", 1, [b"x" * 200_000], LIMIT)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert below(root) == set()


_KILLED = """
import os, signal, sys
from pathlib import Path
from retaia_adapters.files.derived import FilesystemDerived

class Killed(FilesystemDerived):
    def _appear(self, temporary, target):
        if sys.argv[4] == "after":
            super()._appear(temporary, target)
        os.kill(os.getpid(), signal.SIGKILL)

Killed(Path(sys.argv[1])).publish("u1", int(sys.argv[2]), sys.argv[3])
"""
