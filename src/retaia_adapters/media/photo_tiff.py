"""A bounded reader of TIFF directories, the structure under EXIF, TIFF and most camera RAW files.

It never trusts an offset or a count: what points outside the data, has an unknown type or runs in a
loop is left out and named in `TiffReader.problems`, and everything else is still read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping

from attrs import frozen

Buffer = bytes | mmap.mmap
Number = int | float

_HEADERS = {b"II": "<", b"MM": ">"}
_MAGICS = {42: "tiff", 0x4F52: "orf", 0x5352: "orf", 0x55: "rw2"}
_TYPES: Mapping[int, tuple[str, int]] = {
    1: ("B", 1),
    2: ("s", 1),
    3: ("H", 2),
    4: ("I", 4),
    5: ("II", 8),
    6: ("b", 1),
    7: ("s", 1),
    8: ("h", 2),
    9: ("i", 4),
    10: ("ii", 8),
    11: ("f", 4),
    12: ("d", 8),
    13: ("I", 4),
}
_MAX_ENTRIES = 4096
_MAX_VALUE_BYTES = 1 << 20


class NotTiff(ValueError):
    """The data does not start with a TIFF header."""


@frozen
class Entry:
    """One entry of a directory: numbers (rationals as quotients, NaN for x/0) or bytes."""

    tag: int
    numbers: tuple[Number, ...] = ()
    data: bytes = b""
    offset: int = 0
    length: int = 0

    @property
    def number(self) -> Number | None:
        """The first number, or None."""
        return self.numbers[0] if self.numbers else None

    @property
    def integer(self) -> int | None:
        """The first number where it is an integer, or None."""
        return self.number if isinstance(self.number, int) else None

    @property
    def integers(self) -> tuple[int, ...]:
        """The numbers where they are integers."""
        return tuple(number for number in self.numbers if isinstance(number, int))

    @property
    def text(self) -> str:
        """The bytes as text, up to the first NUL and stripped; Latin-1 where they are no UTF-8."""
        raw = self.data.split(b"\0", 1)[0]
        try:
            said = raw.decode("utf-8")
        except UnicodeDecodeError:
            said = raw.decode("latin-1")
        return said.strip()


Directory = Mapping[int, Entry]


def _quotient(top: int, bottom: int) -> float:
    return top / bottom if bottom else float("nan")


class TiffReader:
    """Reads directories of a buffer whose TIFF header stands at ``base``.

    Offsets given and returned count from the header, as in the file.

    Raises:
        NotTiff: there is no header.
    """

    def __init__(self, buffer: Buffer, *, base: int = 0) -> None:
        self._buffer = buffer
        self._base = base
        self._visited: set[int] = set()
        self.size = len(buffer) - base
        self.problems: list[str] = []
        order = _HEADERS.get(bytes(buffer[base : base + 2]))
        if order is None or self.size < 8:
            raise NotTiff("no TIFF header")
        self._order = order
        magic, self.first = self._unpack("HI", 2)
        if magic not in _MAGICS:
            raise NotTiff(f"no TIFF header: magic number {magic}")
        self.flavour = _MAGICS[magic]

    def _unpack(self, form: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + form, self._buffer, self._base + offset)

    def bytes_at(self, offset: int, length: int) -> bytes:
        """The bytes at an offset; fewer where the data ends."""
        start = self._base + offset
        return bytes(self._buffer[start : start + length])

    def chain(self, offset: int, name: str) -> Iterator[Directory]:
        """Read a directory and those that it links to."""
        while offset:
            directory, offset = self._read(offset, name)
            yield directory

    def directory(self, offset: int | None, name: str) -> Directory:
        """Read one directory; an empty one where it cannot be read."""
        return self._read(offset, name)[0] if offset else {}

    def _read(self, offset: int, name: str) -> tuple[Directory, int]:
        if offset in self._visited:
            self.problems.append(f"the {name} directory is linked twice")
            return {}, 0
        self._visited.add(offset)
        if offset + 2 > self.size:
            self.problems.append(f"the {name} directory lies outside the data")
            return {}, 0
        (count,) = self._unpack("H", offset)
        end = offset + 2 + 12 * count
        if count > _MAX_ENTRIES or end > self.size:
            self.problems.append(f"the {name} directory is cut off or damaged")
            count = min(count, max(0, (self.size - offset - 2) // 12), _MAX_ENTRIES)
            end = self.size
        found: dict[int, Entry] = {}
        for index in range(count):
            entry = self._entry(offset + 2 + 12 * index, name)
            if entry is not None:
                found.setdefault(entry.tag, entry)
        return found, self._unpack("I", end)[0] if end + 4 <= self.size else 0

    def _entry(self, at: int, name: str) -> Entry | None:
        tag, kind, count = self._unpack("HHI", at)
        form = _TYPES.get(kind)
        if form is None:
            self.problems.append(f"entry 0x{tag:04x} of {name} has the unknown type {kind}")
            return None
        length = form[1] * count
        offset = at + 8 if length <= 4 else self._unpack("I", at + 8)[0]
        if offset + length > self.size:
            self.problems.append(f"entry 0x{tag:04x} of {name} points outside the data")
            return None
        shown = min(length, _MAX_VALUE_BYTES) // form[1]
        if form[0] == "s":
            return Entry(tag, (), self.bytes_at(offset, shown), offset, length)
        flat: tuple[Number, ...] = self._unpack(form[0][0] * len(form[0]) * shown, offset)
        if len(form[0]) == 2:
            flat = tuple(
                _quotient(int(a), int(b)) for a, b in zip(flat[::2], flat[1::2], strict=True)
            )
        return Entry(tag, flat, self.bytes_at(offset, min(length, 64)), offset, length)


def strips_end(directory: Directory) -> int:
    """Where the last strip or tile of a directory's picture ends; 0 where it states none."""
    ends = [0]
    for offsets_tag, counts_tag in ((0x0111, 0x0117), (0x0144, 0x0145)):
        offsets, counts = directory.get(offsets_tag), directory.get(counts_tag)
        if offsets and counts and len(offsets.integers) == len(counts.integers):
            ends += map(sum, zip(offsets.integers, counts.integers, strict=True))
    return max(ends)
