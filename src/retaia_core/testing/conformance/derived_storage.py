"""The contract of the derived port: parts in, whole files out, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ...domain.derived import HEAD_BYTES
from ...errors import NotFound, ValidationFailed
from ...ports.derived_storage import DerivedStorage, Stored
from ..samples import asset_id, number

UPLOAD = number(0xC, 1)
REF = f"{asset_id()}/thumb/0.jpg"
LIMIT = 2**20


def sha256(content: bytes) -> str:
    """The digest that parts and files are known by."""
    return hashlib.sha256(content).hexdigest()


def stored(content: bytes) -> Stored:
    """What a published content is answered with."""
    return Stored(size_bytes=len(content), sha256=sha256(content))


def send(derived: DerivedStorage, *parts: bytes, upload: str = UPLOAD) -> None:
    """Send parts in order, each in chunks of a few bytes."""
    for index, part in enumerate(parts, start=1):
        step = max(1, len(part) // 3)
        chunks = (part[at : at + step] for at in range(0, len(part), step))
        derived.put_part(upload, index, chunks, LIMIT)


def publish(derived: DerivedStorage, content: bytes, ref: str, upload: str = UPLOAD) -> None:
    """Send and publish one file."""
    send(derived, content, upload=upload)
    derived.publish(upload, 1, ref)
    derived.discard(upload)


def content_of(derived: DerivedStorage, ref: str) -> bytes:
    """Read a published file."""
    with derived.open(ref) as file:
        return file.read()


class DerivedStorageContract:
    """What every derived storage must do.

    Subclass it, name the subclass ``Test…``, and override the fixture ``derived``.
    """

    @pytest.fixture
    def derived(self) -> DerivedStorage:
        """Override this: return a new and empty storage."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `derived`")

    def test_a_part_is_answered_with_size_and_digest(self, derived: DerivedStorage) -> None:
        """The etag is the SHA-256 of the part's bytes."""
        part = derived.put_part(UPLOAD, 3, [b"ab", b"", b"c"], LIMIT)
        assert (part.number, part.size, part.etag) == (3, 3, sha256(b"abc"))

    def test_parts_are_joined_by_number(self, derived: DerivedStorage) -> None:
        """Twelve parts that arrive in disorder make one file, 10 after 9."""
        parts = [bytes([n]) * (n + 1) for n in range(12)]
        for index in (11, *range(5), *range(10, 4, -1)):
            derived.put_part(UPLOAD, index + 1, [parts[index]], LIMIT)
        whole = b"".join(parts)
        assert derived.publish(UPLOAD, 12, REF) == stored(whole)
        assert content_of(derived, REF) == whole
        assert derived.size(REF) == len(whole)

    def test_a_part_that_is_sent_again_replaces_the_first(self, derived: DerivedStorage) -> None:
        """The last arrival counts, also where it is shorter."""
        send(derived, b"long first try", b"end")
        derived.put_part(UPLOAD, 1, [b"new"], LIMIT)
        assert derived.publish(UPLOAD, 2, REF) == stored(b"newend")

    def test_a_part_beyond_its_limit_is_refused_and_not_kept(self, derived: DerivedStorage) -> None:
        """Nothing of it can be published; a part of exactly the limit is fine."""
        with pytest.raises(ValidationFailed):
            derived.put_part(UPLOAD, 1, [b"abc", b"de"], 4)
        with pytest.raises(NotFound):
            derived.publish(UPLOAD, 1, REF)
        assert derived.size(REF) is None
        derived.put_part(UPLOAD, 1, [b"abc", b"d"], 4)
        assert derived.publish(UPLOAD, 1, REF) == stored(b"abcd")

    def test_an_endless_part_is_cut_off(self, derived: DerivedStorage) -> None:
        """A sender is not read beyond the limit."""
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            while taken < 1000:
                taken += 1
                yield b"x" * 100

        with pytest.raises(ValidationFailed):
            derived.put_part(UPLOAD, 1, endless(), 1000)
        assert taken < 20

    def test_a_part_that_breaks_off_is_not_kept(self, derived: DerivedStorage) -> None:
        """An error of the sender comes out, and half a part is no part."""

        def broken() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            derived.put_part(UPLOAD, 1, broken(), LIMIT)
        with pytest.raises(NotFound):
            derived.publish(UPLOAD, 1, REF)

    def test_a_sample_is_the_beginning_of_the_whole(self, derived: DerivedStorage) -> None:
        """The head reaches over parts; the size is of all of them; the content comes if asked."""
        parts = (b"a" * 3000, b"b" * 3000)
        send(derived, *parts)
        brief = derived.sample(UPLOAD, 2, whole=False)
        assert brief.head == b"".join(parts)[:HEAD_BYTES]
        assert (brief.size_bytes, brief.content) == (6000, None)
        assert derived.sample(UPLOAD, 2, whole=True).content == b"".join(parts)

    def test_publishing_twice_is_publishing_once(self, derived: DerivedStorage) -> None:
        """What was interrupted before its commit is repeated with the same answer."""
        send(derived, b"abc", b"def")
        assert derived.publish(UPLOAD, 2, REF) == derived.publish(UPLOAD, 2, REF)
        assert content_of(derived, REF) == b"abcdef"
        assert list(derived.refs(asset_id())) == [REF]

    def test_nothing_is_published_of_an_incomplete_upload(self, derived: DerivedStorage) -> None:
        """A missing part refuses the publication, and no file appears."""
        derived.put_part(UPLOAD, 1, [b"abc"], LIMIT)
        derived.put_part(UPLOAD, 3, [b"ghi"], LIMIT)
        with pytest.raises(NotFound):
            derived.publish(UPLOAD, 3, REF)
        assert derived.size(REF) is None
        assert list(derived.refs(asset_id())) == []

    def test_an_upload_under_way_is_no_file(self, derived: DerivedStorage) -> None:
        """Parts are not listed among the published."""
        send(derived, b"abc")
        assert list(derived.refs("")) == []

    def test_discarding_leaves_what_was_published(self, derived: DerivedStorage) -> None:
        """Discarding removes the parts, again and again, and neither files nor other uploads."""
        other = number(0xC, 2)
        send(derived, b"abc")
        send(derived, b"other", upload=other)
        derived.publish(UPLOAD, 1, REF)
        for _ in range(2):
            derived.discard(UPLOAD)
        with pytest.raises(NotFound):
            derived.publish(UPLOAD, 1, f"{asset_id()}/again")
        assert content_of(derived, REF) == b"abc"
        assert derived.publish(other, 1, f"{asset_id()}/other") == stored(b"other")

    def test_a_file_is_read_from_anywhere(self, derived: DerivedStorage) -> None:
        """An open file can be sought, which range requests need."""
        publish(derived, bytes(range(200)), REF)
        with derived.open(REF) as file:
            assert file.seekable()
            file.seek(100)
            assert file.read(3) == bytes([100, 101, 102])
            assert file.seek(-1, 2) == 199
            assert file.read() == bytes([199])

    def test_what_is_not_there_is_not_found(self, derived: DerivedStorage) -> None:
        """An unknown file cannot be opened and has no size."""
        with pytest.raises(NotFound):
            derived.open(REF)
        assert derived.size(REF) is None

    def test_removing_twice_is_removing_once(self, derived: DerivedStorage) -> None:
        """A removed file is gone, and removing it again is harmless."""
        publish(derived, b"abc", REF)
        for _ in range(2):
            derived.remove(REF)
            assert derived.size(REF) is None
            assert list(derived.refs(asset_id())) == []

    def test_a_clone_lives_on_its_own(self, derived: DerivedStorage) -> None:
        """The second name has the content, and keeps it when the first is removed."""
        twin = f"{asset_id(2)}/thumb/0.jpg"
        publish(derived, b"abc", REF)
        derived.clone(REF, twin)
        derived.remove(REF)
        assert content_of(derived, twin) == b"abc"
        assert list(derived.refs(asset_id(2))) == [twin]

    def test_cloning_twice_is_cloning_once(self, derived: DerivedStorage) -> None:
        """What was interrupted before its commit can be repeated."""
        twin = f"{asset_id(2)}/thumb/0.jpg"
        publish(derived, b"abc", REF)
        derived.clone(REF, twin)
        derived.clone(REF, twin)
        assert content_of(derived, twin) == b"abc"

    def test_files_are_listed_below_a_prefix(self, derived: DerivedStorage) -> None:
        """An asset's files, at any depth, and nobody else's."""
        mine = {f"{asset_id()}/thumb/{n}.jpg" for n in range(3)} | {f"{asset_id()}/proxy.mp4"}
        theirs = {f"{asset_id(2)}/thumb/0.jpg"}
        for ref in mine | theirs:
            publish(derived, ref.encode(), ref)
        assert set(derived.refs(asset_id())) == mine
        assert set(derived.refs(asset_id(2))) == theirs
        assert list(derived.refs(asset_id(3))) == []

    def test_what_was_left_alone_is_named(self, derived: DerivedStorage) -> None:
        """An upload is stale once nothing was written to it since a time; discarded, it is no more."""
        send(derived, b"part")
        assert UPLOAD in derived.stale(datetime.now(UTC) + timedelta(days=1))
        derived.discard(UPLOAD)
        assert list(derived.stale(datetime.now(UTC) + timedelta(days=1))) == []
        publish(derived, b"whole", REF)
        assert list(derived.stale(datetime.now(UTC) + timedelta(days=1))) == []
        assert content_of(derived, REF) == b"whole"
