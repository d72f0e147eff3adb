"""Media by extension (domain.md, *Discovery*)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.media import (
    MEDIA_FORMATS,
    MediaType,
    extension_of,
    media_type_of,
    table_of,
)
from retaia_core.testing import strategies

TABLE = table_of(MEDIA_FORMATS)
DOCUMENT = {
    MediaType.VIDEO: "mp4 mov m4v mkv avi mts m2ts mxf webm",
    MediaType.PHOTO: "jpg jpeg png tif tiff webp heic heif avif dng cr2 cr3 nef arw raf rw2 orf",
    MediaType.AUDIO: "wav mp3 m4a aac flac ogg opus aif aiff",
}


class TestTheTable:
    """*Media by extension, table extensible by plugins.*."""

    @pytest.mark.parametrize("media_type", MediaType)
    def test_it_is_the_documents(self, media_type: MediaType) -> None:
        """The built-in extensions are exactly those of the document, each once."""
        rows = [row.extension for row in MEDIA_FORMATS if row.media_type is media_type]
        assert rows == DOCUMENT[media_type].split()
        assert len(TABLE) == len(MEDIA_FORMATS)

    @given(strategies.media_names())
    def test_case_makes_no_difference(self, name: str) -> None:
        """An extension in any case is the same extension."""
        extension = extension_of(name)
        assert extension in TABLE
        assert media_type_of(name, TABLE) is TABLE[extension]

    @given(strategies.file_stems(), st.sampled_from(["", ".txt", ".mov.txt", ".", ".mo v"]))
    def test_anything_else_is_no_media(self, stem: str, ending: str) -> None:
        """Another extension, or none, is no media; nor is a name that is only an extension."""
        if not extension_of(stem):
            assert media_type_of(stem + ending, TABLE) is None
        assert media_type_of(".mov", TABLE) is None
