"""The one way a file gets another name (domain.md, *Batch moves*)."""

from __future__ import annotations

import hashlib
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.naming import ATTEMPTS, base36, exhausted, nonce, renamed, stem_of
from retaia_core.errors import NameCollisionExhausted
from retaia_core.testing import strategies

DIGITS = string.digits + string.ascii_lowercase
UUID = AssetId("6f9619ff-8b86-d011-b42d-00cf4fc964ff")


def _recomputed(uuid: str, folder: str, attempt: int) -> str:
    """The nonce by another road: through the leading digit's power, from the hexadecimal digest."""
    text = "".join([uuid, folder, str(attempt)])
    number = int(hashlib.sha256(text.encode("utf-8")).hexdigest(), 16)
    power = 1
    while power * 36 <= number:
        power *= 36
    found = ""
    for _ in range(6):
        found += DIGITS[number // power]
        number, power = number % power, power // 36
    return found


class TestTheNonce:
    """*The first six digits of the base-36 form of the SHA-256 of* the document's text."""

    @given(strategies.asset_ids(), strategies.folders("ARCHIVE"), st.integers(0, ATTEMPTS))
    def test_it_is_the_documents_computation(
        self, uuid: AssetId, folder: str, attempt: int
    ) -> None:
        """An independent computation gives the same six characters of `a-z0-9`."""
        found = nonce(uuid, folder, attempt)
        assert found == _recomputed(uuid, folder, attempt)
        assert re.fullmatch("[a-z0-9]{6}", found)

    def test_known_values(self) -> None:
        """These values are fixed for ever: files on disk bear them."""
        assert [nonce(UUID, "ARCHIVE", n) for n in (0, 1)] == [
            _recomputed(UUID, "ARCHIVE", n) for n in (0, 1)
        ]
        assert nonce(UUID, "ARCHIVE", 0) == "4ekov2"
        assert nonce(UUID, "ARCHIVE", 0) != nonce(UUID, "REJECTS", 0)

    @given(st.integers(0, 2**256))
    def test_base_36_reads_back(self, number: int) -> None:
        """What is written in base 36 reads back as the number."""
        assert int(base36(number), 36) == number

    def test_ten_attempts(self) -> None:
        """*At most 10 attempts, then `NAME_COLLISION_EXHAUSTED` (409).*."""
        assert ATTEMPTS == 10
        error = exhausted("A.mov", "ARCHIVE")
        assert isinstance(error, NameCollisionExhausted)
        assert error.code == "NAME_COLLISION_EXHAUSTED"


class TestTheNewName:
    """*The whole group is renamed to `{stem}__{nonce}{ext}`.*."""

    @given(strategies.media_names(), st.text("abc012", min_size=6, max_size=6))
    def test_stem_and_extension_stay(self, name: str, mark: str) -> None:
        """The mark goes between stem and extension, and nothing else changes."""
        stem = stem_of(name)
        assert renamed(name, stem, mark) == f"{stem}__{mark}{name[len(stem) :]}"
        assert stem_of(renamed(name, stem, mark)) == f"{stem}__{mark}"

    @given(strategies.media_names(), st.data())
    def test_a_sidecar_still_points_at_its_parent(self, name: str, data: st.DataObject) -> None:
        """A renamed sidecar, in either style and any case, has its renamed parent's base name."""
        stem = stem_of(name)
        base = data.draw(st.sampled_from([stem, name]).flatmap(strategies.case_twins))
        sidecar = f"{base}.xmp"
        if stem_of(sidecar).casefold() not in (stem.casefold(), name.casefold()):
            return  # a few letters change under upper() into something else: no twin then
        parent = renamed(name, stem, "abc123")
        moved = stem_of(renamed(sidecar, stem, "abc123")).casefold()
        assert moved in (stem_of(parent).casefold(), parent.casefold())

    @pytest.mark.parametrize(
        ("sidecar", "expected"),
        [
            ("STRASSE.xmp", "STRASSE__m.xmp"),
            ("strasse.JPG.xmp", "strasse__m.JPG.xmp"),
            ("straße.xmp", "straße__m.xmp"),
        ],
    )
    def test_a_spelling_of_another_length(self, sidecar: str, expected: str) -> None:
        """``ß`` is ``ss`` without case: the mark still comes after the whole stem."""
        assert renamed(sidecar, "straße", "m") == expected


class TestStems:
    """A stem is a name without its last extension."""

    @given(strategies.file_stems(), st.sampled_from(["mov", "JPG"]))
    def test_the_last_extension_goes(self, stem: str, extension: str) -> None:
        """Only the last, and only where something stands before it."""
        assert stem_of(f"{stem}.{extension}") == stem
        assert stem_of(f".{extension}") == f".{extension}"
