"""Media types, and the table that tells them by file extension (domain.md, *Discovery*)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import frozen


class MediaType(StrEnum):
    """What kind of recording an asset is."""

    VIDEO = "VIDEO"
    PHOTO = "PHOTO"
    AUDIO = "AUDIO"


@frozen(kw_only=True)
class MediaFormat:
    """One row of the table: an extension (lower case, without the dot) and what it holds."""

    extension: str
    media_type: MediaType


def _rows(media_type: MediaType, extensions: str) -> tuple[MediaFormat, ...]:
    return tuple(MediaFormat(extension=e, media_type=media_type) for e in extensions.split())


MEDIA_FORMATS: tuple[MediaFormat, ...] = (
    *_rows(MediaType.VIDEO, "mp4 mov m4v mkv avi mts m2ts mxf webm"),
    *_rows(
        MediaType.PHOTO,
        "jpg jpeg png tif tiff webp heic heif avif dng cr2 cr3 nef arw raf rw2 orf",
    ),
    *_rows(MediaType.AUDIO, "wav mp3 m4a aac flac ogg opus aif aiff"),
)
"""The built-in formats; plugins add rows through the ``retaia_media_formats`` hook."""


def extension_of(name: str) -> str:
    """Return the lower-case extension of a file name, without its dot; empty where there is none.

    >>> extension_of("A001.MOV"), extension_of("README"), extension_of(".hidden")
    ('mov', '', '')
    """
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem else ""


def table_of(formats: Iterable[MediaFormat]) -> Mapping[str, MediaType]:
    """Index formats by extension."""
    return {row.extension: row.media_type for row in formats}


def media_type_of(name: str, table: Mapping[str, MediaType]) -> MediaType | None:
    """Tell the media type of a file name, or None where it is no media.

    >>> media_type_of("day 1/A001.MOV", table_of(MEDIA_FORMATS))
    <MediaType.VIDEO: 'VIDEO'>
    """
    return table.get(extension_of(name))
