"""Whether an Ogg file ends as its pages say (RFC 3533)."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

_MAX_PAGE = 27 + 255 + 255 * 255
_END_OF_STREAM = 0x04


class OggEnd(Enum):
    """How an Ogg file ends: with an end mark, on a whole page without one, or within a page."""

    MARKED = "marked"
    OPEN = "open"
    CUT = "cut"


def ogg_end(path: Path) -> OggEnd:
    """Look at the last page of a file.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2 * _MAX_PAGE))
        tail = file.read()
    at = tail.rfind(b"OggS\0")
    head = tail[at : at + 27]
    if at < 0 or len(head) < 27:
        return OggEnd.CUT
    segments = tail[at + 27 : at + 27 + head[26]]
    if len(segments) < head[26] or at + 27 + head[26] + sum(segments) > len(tail):
        return OggEnd.CUT
    return OggEnd.MARKED if head[5] & _END_OF_STREAM else OggEnd.OPEN
