"""Whether a file holds as many bytes as its own structure says (domain.md, *Derived files*).

A container that names more bytes than the file has was cut short, whatever its header claims; this is
told from a few bytes, before any decoder sees the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import BinaryIO


class Structure(Enum):
    """What the outermost structure of a file says about its end."""

    WHOLE = "whole"
    CUT = "cut"
    NO_INDEX = "no index"
    UNKNOWN = "unknown"


_ISO_TYPES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_EBML = bytes.fromhex("1A45DFA3")
_SEGMENT = bytes.fromhex("18538067")


def structure_of(path: Path) -> Structure:
    """Tell whether the file ends where its structure says.

    ISO base media (MP4, MOV), Matroska and RIFF state it; every other format is ``UNKNOWN``.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        file.seek(0)
        if head[4:8] in _ISO_TYPES:
            return _iso_structure(file, size)
        if head[:4] == _EBML:
            return _ebml_structure(file, size)
        if head[:4] == b"RIFF":
            return _riff_structure(file, size)
    return Structure.UNKNOWN


def _iso_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the type and the end of each outermost box; bytes after the last box are passed over."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16])
        elif length == 0:
            length = size - start
        if length < 8 or not kind.isalnum():
            return
        yield kind, start + length
        start += length


def _iso_structure(file: BinaryIO, size: int) -> Structure:
    boxes = list(_iso_boxes(file, size))
    if any(end > size for _, end in boxes):
        return Structure.CUT
    if not any(kind in {b"moov", b"moof"} for kind, _ in boxes):
        return Structure.NO_INDEX
    return Structure.WHOLE


def _vint(file: BinaryIO) -> tuple[int, int] | None:
    """Read an EBML size: its value and the number of its bytes; None where it is invalid."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    value = int.from_bytes(bytes([first[0] & (0xFF >> length)]) + rest)
    return value, length


def _ebml_structure(file: BinaryIO, size: int) -> Structure:
    file.seek(4)
    header = _vint(file)
    if header is None or header[0] > size:
        return Structure.UNKNOWN
    file.seek(header[0], 1)
    if file.read(4) != _SEGMENT:
        return Structure.UNKNOWN
    segment = _vint(file)
    if segment is None or segment[0] == (1 << (7 * segment[1])) - 1:
        return Structure.UNKNOWN
    return Structure.CUT if file.tell() + segment[0] > size else Structure.WHOLE


def _riff_structure(file: BinaryIO, size: int) -> Structure:
    start = 0
    while start + 12 <= size:
        file.seek(start)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF":
            break
        if length in {0, 0xFFFFFFFF}:
            return Structure.UNKNOWN
        start += 8 + length + length % 2
    # The padding byte after an odd last chunk is often left out.
    return Structure.CUT if start > size + 1 else Structure.WHOLE
