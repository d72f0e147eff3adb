"""Frame headers of the raw streams MP3 and ADTS AAC, which have no timestamps of their own.

The length of such a stream is the sum of its frames, each at its own sample rate: a stream may change
its rate in the middle, and the length that a ``Xing`` header claims is only a claim.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from attrs import frozen

_MP3_RATES = (44_100, 48_000, 32_000)
_MP3_HALVINGS = {0b11: 1, 0b10: 2, 0b00: 4}
_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_ADTS_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000),
    *(22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)
_XING_FRAMES, _XING_BYTES = 1, 2
_SEARCH = 64 << 10


@frozen
class Frame:
    """A frame as its header states it: samples, rate in Hz, bytes with the header (0 if free)."""

    samples: int
    rate: int
    size_bytes: int

    @property
    def length(self) -> Fraction:
        """Seconds of sound."""
        return Fraction(self.samples, self.rate)


@lru_cache(maxsize=1024)
def mp3_frame(head: bytes) -> Frame | None:
    """Read the first 4 bytes of an MP3 frame; None where they begin none.

    >>> mp3_frame(bytes.fromhex("fffb9000"))
    Frame(samples=1152, rate=44100, size_bytes=417)
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, bits_index, rate_index = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 0b01 or rate_index == 3 or bits_index == 15:
        return None
    first = version == 0b11
    rate = _MP3_RATES[rate_index] // _MP3_HALVINGS[version]
    samples = 1152 if first else 576
    bits = (_MP3_KBITS if first else _MP3_LOW_KBITS)[bits_index] * 1000
    size = samples // 8 * bits // rate + (head[2] >> 1 & 1) if bits else 0
    return Frame(samples, rate, size)


@lru_cache(maxsize=1024)
def adts_frame(head: bytes) -> Frame | None:
    """Read the first 7 bytes of an ADTS frame; None where they begin none.

    >>> adts_frame(bytes.fromhex("fff14c8002000000"))
    Frame(samples=1024, rate=48000, size_bytes=16)
    """
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    index = head[2] >> 2 & 0xF
    if index >= len(_ADTS_RATES):
        return None
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return Frame(1024 * ((head[6] & 3) + 1), _ADTS_RATES[index], size)


@frozen(kw_only=True)
class XingHeader:
    """Where the first frame of an MP3 is, and what its ``Xing`` or ``Info`` header states.

    ``first_frame`` is the offset in bytes of that frame; ``frames`` and ``size_bytes`` are 0 where
    nothing is stated, and count from there. ``missing_bytes`` lie beyond the end of the file.
    """

    first_frame: int
    frames: int = 0
    size_bytes: int = 0
    missing_bytes: int = 0


def read_xing(path: Path) -> XingHeader | None:
    """Read the head of an MP3; None where no frame is found near the beginning.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = _after_id3(file.read(10))
        file.seek(start)
        head = file.read(_SEARCH)
    for at in range(len(head) - 4):
        if mp3_frame(head[at : at + 4]) is not None:
            frames, stated = _xing_counts(head[at : at + 200])
            first = start + at
            missing = max(0, first + stated - size)
            return XingHeader(
                first_frame=first, frames=frames, size_bytes=stated, missing_bytes=missing
            )
    return None


def _after_id3(head: bytes) -> int:
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _xing_counts(frame: bytes) -> tuple[int, int]:
    """The frames and the bytes that a frame's header states; 0 where it states none."""
    mono = frame[3] >> 6 == 3
    first_version = frame[1] >> 3 & 3 == 3
    at = 4 + ((17 if mono else 32) if first_version else (9 if mono else 17))
    if frame[at : at + 4] not in {b"Xing", b"Info"}:
        return 0, 0
    flags = int.from_bytes(frame[at + 4 : at + 8])
    counts = {_XING_FRAMES: 0, _XING_BYTES: 0}
    at += 8
    for flag in counts:
        if flags & flag:
            counts[flag] = int.from_bytes(frame[at : at + 4])
            at += 4
    return counts[_XING_FRAMES], counts[_XING_BYTES]
