"""The contract of the copies port: looks, reads whole, never takes the original for its own copy."""

from __future__ import annotations

import hashlib
from typing import Protocol

import pytest

from ...domain.proof import Refusal
from ...ports.copies import Copies, CopyRefused, CopySeen
from .originals import MTIME, ODD_NAMES

PLACE = "backup"
CONTENT = bytes(range(256)) * 600


class CopiesStage(Protocol):
    """A storage and a place ``backup`` beside it, as a test arranges them."""

    @property
    def copies(self) -> Copies:
        """The implementation under test."""
        ...

    def put_original(self, path: str, content: bytes, mtime_ns: int) -> None:
        """Write a file of the storage."""
        ...

    def put_copy(self, path: str, content: bytes, mtime_ns: int) -> None:
        """Write a file of the place, over one that is there."""
        ...

    def remove_copy(self, path: str) -> None:
        """Remove a file of the place."""
        ...

    def name_original(self, original: str, path: str) -> None:
        """Give an original a second name in the place, which is no copy."""
        ...

    def take_place_away(self) -> None:
        """Remove the place itself."""
        ...


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _nothing(count: int) -> None:
    """Tell nobody."""


class CopiesContract:
    """What every implementation of other copies must do.

    Subclass it, name the subclass ``Test…``, and override the fixture ``stage`` with a `CopiesStage`.
    """

    @pytest.fixture
    def stage(self) -> CopiesStage:
        raise NotImplementedError("override the fixture `stage`")

    @pytest.fixture(autouse=True)
    def original(self, stage: CopiesStage) -> str:
        """An original that copies are looked at beside."""
        stage.put_original("REJECTS/a.mov", CONTENT, MTIME)
        return "REJECTS/a.mov"

    def test_nothing_is_there(self, stage: CopiesStage, original: str) -> None:
        """Where no file stands, there is none; a folder of that name is none either way."""
        assert stage.copies.look(PLACE, "INBOX/a.mov", original) is None

    @pytest.mark.parametrize("name", ["a.mov", *ODD_NAMES], ids=range(len(ODD_NAMES) + 1))
    def test_a_copy_is_seen_and_read(self, stage: CopiesStage, original: str, name: str) -> None:
        """Its size is in bytes, its checksum over all of them, and the pace hears of every one."""
        stage.put_copy(f"INBOX/{name}", CONTENT, MTIME)
        seen = stage.copies.look(PLACE, f"INBOX/{name}", original)
        assert seen is not None
        assert (seen.path, seen.size) == (f"INBOX/{name}", len(CONTENT))
        read: list[int] = []
        assert stage.copies.checksum(PLACE, seen, read.append) == _digest(CONTENT)
        assert sum(read) == len(CONTENT)

    def test_looking_changes_nothing(self, stage: CopiesStage, original: str) -> None:
        """Read or not, a copy that nobody touched looks the same, and is the same."""
        first = _seen(stage, CONTENT, original)
        stage.copies.checksum(PLACE, first, _nothing)
        assert stage.copies.look(PLACE, first.path, original) == first

    @pytest.mark.parametrize("at", [0, len(CONTENT) // 2, len(CONTENT) - 1])
    def test_one_other_byte_is_another_content(
        self, stage: CopiesStage, original: str, at: int
    ) -> None:
        """Same size, same time, one byte flipped: the checksum is another."""
        flipped = bytearray(CONTENT)
        flipped[at] ^= 1
        seen = _seen(stage, bytes(flipped), original)
        digest = stage.copies.checksum(PLACE, seen, _nothing)
        assert digest == _digest(bytes(flipped)) != _digest(CONTENT)

    def test_a_copy_that_was_touched_looks_otherwise(
        self, stage: CopiesStage, original: str
    ) -> None:
        """Written over with the same size and time, it has another stamp, and is not read as the old one."""
        seen = _seen(stage, CONTENT, original)
        again = _seen(stage, b"x" * len(CONTENT), original)
        assert again.stamp != seen.stamp
        assert stage.copies.checksum(PLACE, seen, _nothing) is None

    def test_a_copy_that_is_gone_has_no_checksum(self, stage: CopiesStage, original: str) -> None:
        """There is nothing to read, and nothing to look at."""
        seen = _seen(stage, CONTENT, original)
        stage.remove_copy(seen.path)
        assert stage.copies.checksum(PLACE, seen, _nothing) is None
        assert stage.copies.look(PLACE, seen.path, original) is None

    def test_a_second_name_is_no_copy(self, stage: CopiesStage, original: str) -> None:
        """A file that is the original itself is refused as such."""
        stage.name_original(original, "INBOX/a.mov")
        with pytest.raises(CopyRefused) as caught:
            stage.copies.look(PLACE, "INBOX/a.mov", original)
        assert caught.value.reason is Refusal.SAME_FILE

    def test_a_place_that_is_not_there(self, stage: CopiesStage, original: str) -> None:
        """It is said; that nothing was found would be another matter."""
        stage.take_place_away()
        with pytest.raises(CopyRefused) as caught:
            stage.copies.look(PLACE, "INBOX/a.mov", original)
        assert caught.value.reason is Refusal.AWAY


def _seen(stage: CopiesStage, content: bytes, original: str) -> CopySeen:
    stage.put_copy("INBOX/a.mov", content, MTIME)
    seen = stage.copies.look(PLACE, "INBOX/a.mov", original)
    assert seen is not None
    return seen
