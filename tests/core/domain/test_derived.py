"""Uploads are what they say, or are refused (domain.md, *Derived files*)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.derived import (
    DERIVED_KINDS,
    HEAD_BYTES,
    WHOLE_LIMIT,
    DerivedKind,
    Sample,
    check_content,
    check_declared,
    sniff,
)
from retaia_core.errors import ValidationFailed
from retaia_core.testing import strategies

KINDS = {kind.name: kind for kind in DERIVED_KINDS}


def box(kind: bytes, content: bytes = b"", *, large: bool = False) -> bytes:
    """An MP4 box, with a 32-bit or a 64-bit size."""
    if large:
        return (1).to_bytes(4, "big") + kind + (16 + len(content)).to_bytes(8, "big") + content
    return (8 + len(content)).to_bytes(4, "big") + kind + content


FTYP = box(b"ftyp", b"isom\0\0\0\1isomavc1")
M4A = box(b"ftyp", b"M4A \0\0\0\0M4A mp42")
MOOV = box(b"moov", b"x" * 100)
MDAT = box(b"mdat", b"x" * 100)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
WEBP = b"RIFF\x24\0\0\0WEBPVP8 "
PNG = b"\x89PNG\r\n\x1a\n"

GOOD = [
    ("proxy_video", "video/mp4", FTYP + MOOV + MDAT),
    ("proxy_video", "video/mp4", FTYP + box(b"free") + MOOV + MDAT),
    ("proxy_video", "video/mp4", FTYP + box(b"free", large=True) + MOOV + MDAT),
    ("proxy_audio", "audio/mp4", M4A + MOOV + MDAT),
    ("proxy_audio", "audio/mpeg", b"ID3\x04\0\0\0\0\0\0"),
    ("proxy_audio", "audio/mpeg", b"\xff\xfb\x90\x64"),
    ("proxy_photo", "image/jpeg", JPEG),
    ("proxy_photo", "image/webp", WEBP),
    ("thumb", "image/jpeg", JPEG),
    ("thumb", "image/webp", WEBP),
]
BAD = [
    ("proxy_video", "video/mp4", FTYP + MDAT + MOOV),
    ("proxy_video", "video/mp4", FTYP + MDAT),
    ("proxy_video", "video/mp4", FTYP),
    ("proxy_video", "video/mp4", MOOV + FTYP + MDAT),
    ("proxy_video", "video/mp4", JPEG),
    ("proxy_video", "video/mp4", b""),
    ("proxy_video", "video/mp4", FTYP + b"\0\0\0\0free" + MOOV),
    ("proxy_audio", "audio/mp4", M4A + MDAT + MOOV),
    ("proxy_audio", "audio/mpeg", M4A + MOOV + MDAT),
    ("proxy_audio", "audio/mpeg", b"\xff"),
    ("proxy_photo", "image/jpeg", WEBP),
    ("proxy_photo", "image/webp", JPEG),
    ("proxy_photo", "image/jpeg", PNG),
    ("thumb", "image/jpeg", b"<script>"),
    ("thumb", "image/webp", b"RIFF\x24\0\0\0WAVEfmt "),
]


def sample(content: bytes) -> Sample:
    """What the checks see of a file."""
    return Sample(head=content[:HEAD_BYTES], size_bytes=len(content), content=content)


def checked(kind: str, content_type: str, content: bytes) -> None:
    """Check a content."""
    check_content(KINDS[kind], content_type, sample(content))


class TestFormats:
    """The table of domain.md, *Derived files*: MP4 with `moov` first, M4A or MP3, JPEG or WebP."""

    @pytest.mark.parametrize(("kind", "content_type", "content"), GOOD)
    def test_what_they_should_be_is_accepted(
        self, kind: str, content_type: str, content: bytes
    ) -> None:
        """Each format of the table passes."""
        checked(kind, content_type, content)

    @pytest.mark.parametrize(("kind", "content_type", "content"), BAD)
    def test_anything_else_is_refused(self, kind: str, content_type: str, content: bytes) -> None:
        """Another format, or an index after the media data, is refused with what is wrong."""
        with pytest.raises(ValidationFailed, match=kind):
            checked(kind, content_type, content)

    @given(st.binary(max_size=64), st.sampled_from(DERIVED_KINDS))
    def test_no_content_breaks_a_check(self, content: bytes, kind: DerivedKind) -> None:
        """Any bytes are accepted or refused; nothing else happens."""
        for content_type in kind.suffixes:
            try:
                check_content(kind, content_type, sample(content))
            except ValidationFailed as refused:
                assert refused.details["fields"]  # noqa: PT017 - accepting is fine as well

    @given(st.binary(max_size=64))
    def test_sniffing_is_by_the_head_alone(self, tail: bytes) -> None:
        """What follows the first bytes changes nothing."""
        for head, expected in ((JPEG, "image/jpeg"), (WEBP, "image/webp"), (FTYP, "video/mp4")):
            assert sniff(head + tail) == expected
        assert sniff(M4A) == "audio/mp4"
        assert sniff(PNG) is None


def waveform(**changes: Any) -> bytes:
    """A waveform document."""
    document = {"duration_ms": 1000, "bucket_count": 100, "peaks": [0, 1, 0.5, 0.25] * 25}
    return json.dumps(document | changes).encode()


BAD_LISTS: list[Any] = [[0.5] * 99, [0.5] * 101, "x" * 100, None, {}]
BAD_PEAKS: list[Any] = [
    *(-0.01, 1.01, float("nan"), float("inf"), 10**400),
    *(None, "1", True),
]


class TestWaveforms:
    """*JSON: `duration_ms`, `bucket_count` (≥ 100), peaks normalised to 0..1.*."""

    @given(
        st.integers(0, 10**9),
        st.integers(100, 300).flatmap(
            lambda n: st.lists(st.floats(0, 1) | st.integers(0, 1), min_size=n, max_size=n)
        ),
    )
    def test_a_good_one_is_accepted(self, duration: int, peaks: list[float]) -> None:
        """Any duration, at least 100 buckets, any peaks of 0 to 1."""
        content = waveform(duration_ms=duration, bucket_count=len(peaks), peaks=peaks)
        checked("waveform", "application/json", content)

    @pytest.mark.parametrize(
        "content",
        [
            *(b"", b"[]", b"{}", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b"{" * 50),
            *(waveform(duration_ms=value) for value in (-1, 1.5, "1", None, True)),
            *(waveform(bucket_count=value) for value in (99, 101, 100.0, "100", None, True)),
            *(waveform(peaks=value) for value in BAD_LISTS),
            *(waveform(peaks=[0.5] * 99 + [value]) for value in BAD_PEAKS),
            waveform(bucket_count=99, peaks=[0.5] * 99),
        ],
    )
    def test_a_bad_one_is_refused(self, content: bytes) -> None:
        """Wrong types, counts and ranges, infinite and huge numbers, and what is no JSON at all."""
        with pytest.raises(ValidationFailed):
            checked("waveform", "application/json", content)


class TestDeclarations:
    """What an upload says is checked before its first byte."""

    @given(st.sampled_from(DERIVED_KINDS), st.integers(-1, 2**70), st.data())
    def test_type_and_size_must_be_allowed(
        self, kind: DerivedKind, size: int, data: st.DataObject
    ) -> None:
        """A content type of the kind, and 1 byte to its limit."""
        limit = min(kind.max_bytes, WHOLE_LIMIT) if kind.whole else kind.max_bytes
        content_type = data.draw(st.sampled_from([*kind.suffixes, "text/html", ""]))
        if content_type in kind.suffixes and 1 <= size <= limit:
            check_declared(kind, content_type=content_type, size_bytes=size)
        else:
            with pytest.raises(ValidationFailed):
                check_declared(kind, content_type=content_type, size_bytes=size)

    def test_every_type_has_a_suffix_and_a_check(self) -> None:
        """No built-in kind lets a content type through unlooked at; only thumbnails are several."""
        for kind in DERIVED_KINDS:
            assert set(kind.checks) == set(kind.suffixes)
            assert all(suffix.startswith(".") for suffix in kind.suffixes.values())
        assert [kind.name for kind in DERIVED_KINDS if kind.many] == ["thumb"]

    @given(strategies.texts())
    def test_a_kind_without_a_check_of_its_own_is_let_through(self, text: str) -> None:
        """A plugin's kind may have no check."""
        kind = DerivedKind(name="notes", suffixes={"text/plain": ".txt"})
        check_content(kind, "text/plain", sample(text.encode()))
