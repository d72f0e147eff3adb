"""Boxes of HEIC, AVIF and CR3 files: is everything there, and which colours are meant.

The HEIC decoder paints over tiles that are missing or blank and says nothing, so wholeness is checked
on the structure: every box and every item's data must lie in the file, and the length-prefixed units
of HEVC items must fill their items exactly.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attrs import frozen

from .photo_tiff import Buffer

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0}
_MAX_BOXES = 20_000
_FORBIDDEN = b"\0\0\0"  # never within a unit: its coding puts a 3 after two zeros


@frozen
class Box:
    """One box: its kind, and where its content starts and ends."""

    kind: bytes
    start: int
    end: int


@frozen(kw_only=True)
class CodedColor:
    """Colour by number (ISO/IEC 23091-2): primaries, transfer, and whether full range is used."""

    primaries: int
    transfer: int
    full_range: bool


def boxes(buffer: Buffer, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes of a range; a box that would reach past the range is cut at its end."""
    limit = len(buffer) if end is None else end
    for _ in range(_MAX_BOXES):
        if start + 8 > limit:
            return
        size, kind = struct.unpack_from(">I4s", buffer, start)
        header = 8
        if size == 1 and start + 16 <= limit:
            (size,) = struct.unpack_from(">Q", buffer, start + 8)
            header = 16
        elif size == 0:
            size = limit - start
        if size < header:
            return
        yield Box(kind, start + header, min(start + size, limit))
        start += size


def find(buffer: Buffer, *path: bytes) -> Box | None:
    """Find the first box at a path of kinds from the top level."""
    found: Box | None = None
    for kind in path:
        start, end = (found.start, found.end) if found else (0, None)
        if found is not None:
            start += _CONTAINERS.get(found.kind, 0)
        found = next((box for box in boxes(buffer, start, end) if box.kind == kind), None)
        if found is None:
            return None
    return found


def missing_bytes(buffer: Buffer) -> int:
    """How many bytes the top-level boxes promise beyond the end of the data."""
    at, size = 0, len(buffer)
    while at + 8 <= size:
        (length,) = struct.unpack_from(">I", buffer, at)
        if length == 1 and at + 16 <= size:
            (length,) = struct.unpack_from(">Q", buffer, at + 8)
        if length == 0:
            return 0
        if length < 8:
            return 0
        at += length
    return max(0, at - size)


def coded_color(buffer: Buffer) -> CodedColor | None:
    """The first ``nclx`` colour of the item properties, where the file states one."""
    properties = find(buffer, b"meta", b"iprp", b"ipco")
    if properties is None:
        return None
    for box in boxes(buffer, properties.start, properties.end):
        content = bytes(buffer[box.start : min(box.end, box.start + 11)])
        if box.kind == b"colr" and content[:4] == b"nclx" and len(content) == 11:
            primaries, transfer, _, flags = struct.unpack(">HHHB", content[4:])
            return CodedColor(primaries=primaries, transfer=transfer, full_range=bool(flags & 0x80))
    return None


def bit_depth(buffer: Buffer) -> int | None:
    """Bits of one colour sample (``pixi``), where the file states them."""
    properties = find(buffer, b"meta", b"iprp", b"ipco")
    for box in boxes(buffer, properties.start, properties.end) if properties else ():
        if box.kind == b"pixi" and box.end - box.start >= 6:
            return int(buffer[box.start + 5])
    return None


def blank_items(buffer: Buffer) -> int:
    """How many HEVC items hold data that is no chain of length-prefixed units, or with blank holes."""
    kinds = dict(_item_kinds(buffer))
    bad = 0
    for item, extents in _item_extents(buffer):
        if kinds.get(item) == b"hvc1" and len(extents) == 1:
            bad += not _is_unit_chain(buffer, *extents[0])
    return bad


def _is_unit_chain(buffer: Buffer, offset: int, length: int) -> bool:
    end = offset + length
    if end > len(buffer):
        return False
    while offset + 4 <= end:
        (size,) = struct.unpack_from(">I", buffer, offset)
        payload = offset + 4
        offset = payload + size
        if size == 0 or offset > end or buffer.find(_FORBIDDEN, payload, offset) >= 0:
            return False
    return offset == end


def _item_kinds(buffer: Buffer) -> Iterator[tuple[int, bytes]]:
    table = find(buffer, b"meta", b"iinf")
    if table is None:
        return
    wide = buffer[table.start] > 0
    for box in boxes(buffer, table.start + (8 if wide else 6), table.end):
        version = buffer[box.start]
        if box.kind == b"infe" and version >= 2 and box.end - box.start >= 12:
            form = ">H" if version == 2 else ">I"
            (item,) = struct.unpack_from(form, buffer, box.start + 4)
            at = box.start + 4 + struct.calcsize(form) + 2
            yield item, bytes(buffer[at : at + 4])


class _Cursor:
    def __init__(self, buffer: Buffer, at: int) -> None:
        self._buffer, self._at = buffer, at

    def take(self, size: int) -> int:
        value = int.from_bytes(self._buffer[self._at : self._at + size], "big")
        self._at += size
        return value


def _item_extents(buffer: Buffer) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield items whose data lies in the file itself (construction method 0), with their extents."""
    table = find(buffer, b"meta", b"iloc")
    if table is None or table.end - table.start < 8:
        return
    cursor = _Cursor(buffer, table.start)
    version, _ = cursor.take(1), cursor.take(3)
    sizes, bases = cursor.take(1), cursor.take(1)
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, bases >> 4
    index_size = bases & 15 if version else 0
    wide = 4 if version == 2 else 2
    for _ in range(min(cursor.take(wide), _MAX_BOXES)):
        item = cursor.take(wide)
        method = cursor.take(2) & 15 if version else 0
        cursor.take(2)
        base = cursor.take(base_size)
        extents = []
        for _ in range(min(cursor.take(2), _MAX_BOXES)):
            cursor.take(index_size)
            offset, length = cursor.take(offset_size), cursor.take(length_size)
            extents.append((base + offset, length))
        if method == 0:
            yield item, extents
