"""The structure of a JPEG, and proof that its picture data is whole.

Decoders fill what is missing with grey and say nothing. Here the structure is walked (is there an end
marker, are all scans of a progressive picture there), and the entropy-coded data is read a second time
by a decoder that is told to stop at the first error; at an eighth of the size that is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator

import av
from attrs import field, frozen
from av.error import FFmpegError, InvalidDataError

from .photo_tiff import Buffer

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PICTURE_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_PROGRESSIVE = 0xC2
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_SOI, _EOI, _SOS, _HUFFMAN = 0xD8, 0xD9, 0xDA, 0xC4
_HOLE = bytes(64)
_END_OF_BLOCK = 0


@frozen(kw_only=True)
class JpegStructure:
    """What walking a JPEG found. ``end`` is where the picture ends in the buffer."""

    width: int
    height: int
    components: int
    precision: int
    frame: int
    has_end: bool
    end: int
    scans: tuple[tuple[tuple[int, ...], int, int, int], ...] = field(default=())

    @property
    def progressive(self) -> bool:
        return self.frame == _PROGRESSIVE

    @property
    def displayable(self) -> bool:
        """Whether this is a picture for the eye, and not a RAW file's lossless sensor data."""
        return self.frame in _PICTURE_FRAMES and self.precision == 8 and self.components in (1, 3)

    @property
    def complete(self) -> bool:
        """Whether every coefficient of every component reached full precision."""
        if not self.progressive:
            return bool(self.scans)
        exact: dict[int, set[int]] = {}
        for components, first, last, low_bit in self.scans:
            for component in components if low_bit == 0 else ():
                exact.setdefault(component, set()).update(range(first, last + 1))
        return len(exact) == self.components and all(len(found) == 64 for found in exact.values())


def walk_jpeg(buffer: Buffer, start: int = 0) -> JpegStructure | None:
    """Walk a JPEG from its first marker to its end marker; None where it is no JPEG with a frame."""
    if bytes(buffer[start : start + 3]) != b"\xff\xd8\xff":
        return None
    frame: tuple[int, int, int, int, int] | None = None
    scans: list[tuple[tuple[int, ...], int, int, int]] = []
    end, has_end = start, False
    for marker, offset, length in _segments(buffer, start + 2):
        end = min(offset + length, len(buffer))
        body = bytes(buffer[offset + 2 : min(end, offset + 64)])
        if marker in _FRAMES and frame is None and len(body) >= 6:
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            frame = (marker, body[0], height, width, body[5])
        elif marker == _SOS and body and len(body) >= 4 + 2 * body[0]:
            count = body[0]
            chosen = tuple(body[1 : 1 + 2 * count : 2])
            scans.append(
                (chosen, body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15)
            )
        elif marker == _EOI:
            has_end = True
    if frame is None:
        return None
    marker, precision, height, width, components = frame
    return JpegStructure(
        width=width,
        height=height,
        components=components,
        precision=precision,
        frame=marker,
        has_end=has_end,
        end=end if has_end else len(buffer),
        scans=tuple(scans),
    )


def _segments(buffer: Buffer, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, offset of its length field, length) until the end marker or nonsense."""
    size = len(buffer)
    while at + 2 <= size and buffer[at] == 0xFF:
        marker = buffer[at + 1]
        at += 1 if marker == 0xFF else 2  # fill bytes before a marker are allowed
        if marker == 0xFF or marker in _STANDALONE:
            continue
        if marker == _EOI:
            yield marker, at, 0
            return
        length = int.from_bytes(buffer[at : at + 2], "big")
        if length < 2 or marker in (0x00, _SOI):
            return
        yield marker, at, length
        at = _after_scan(buffer, at + length) if marker == _SOS else at + length


def _after_scan(buffer: Buffer, at: int) -> int:
    """Find the marker that ends entropy-coded data; its stuffed zeros and restarts are no markers."""
    while (at := buffer.find(b"\xff", at)) >= 0 and at + 1 < len(buffer):
        following = buffer[at + 1]
        if following == 0xFF:
            at += 1
        elif following == 0 or 0xD0 <= following <= 0xD7:
            at += 2
        else:
            return at
    return len(buffer)


def blank_share(data: bytes) -> float:
    """The share of a picture's data that is blank: holes in a file, which may decode without an error.

    A run of zeros is no hole where zeros code a flat part of the picture: in progressive pictures, and
    where the shortest code of every table means "nothing more here". Then 0 is returned.
    """
    if _HOLE not in data:
        return 0.0
    first_codes: set[int] = set()
    scans: list[int] = []
    for marker, offset, length in _segments(data, 2):
        if marker == _PROGRESSIVE:
            return 0.0
        if marker == _HUFFMAN:
            first_codes.update(_first_codes(data[offset + 2 : offset + length]))
        elif marker == _SOS:
            scans.append(offset + length)
    if len(scans) != 1 or first_codes <= {_END_OF_BLOCK}:
        return 0.0
    return len(_HOLE) * data.count(_HOLE, scans[0]) / (len(data) - scans[0])


def _first_codes(body: bytes) -> Iterator[int]:
    """What the code of zeros means, in each AC table of a Huffman segment."""
    at = 0
    while at + 17 < len(body):
        if body[at] >> 4:
            yield body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])


def has_broken_data(data: bytes) -> bool:
    """Whether the coded picture data breaks off or breaks the rules of its coding.

    Arithmetic coding, lossless frames and the like are not read by this decoder, and so not judged.
    """
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    decoder.options = {"err_detect": "explode", "lowres": "3"}
    try:
        decoder.decode(av.Packet(data))
        decoder.decode(None)
    except InvalidDataError:
        return True
    except FFmpegError:
        return False
    return False
