"""What a WAV, RF64 or BW64 file says about itself in its chunks.

``fmt `` and ``data`` tell how much sound there really is; ``bext`` (EBU Tech 3285), ``iXML`` and
``cue `` tell what a recorder noted. Sizes are checked against the file: a recorder that lost its power
leaves a size of zero or a placeholder, and its recording is whole up to the last byte all the same.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from attrs import evolve, frozen

_FORMS = {b"RIFF", b"RF64", b"BW64"}
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_UNKNOWN_SIZE = 0xFFFFFFFF
_PLACEHOLDERS = {0, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0xFFFFF000, 0xFFFFFFFE, _UNKNOWN_SIZE}
"""Sizes that recorders and pipes write before they know the real one, and never put right."""

_MAX_NOTES = 1 << 20
_MAX_CHUNKS = 1000
_BEXT_BYTES = 346
_DAY = 24 * 3600


@frozen(kw_only=True)
class WavFormat:
    """The ``fmt `` chunk; ``bits`` are the valid ones, ``tag`` is the sub-format where extensible."""

    tag: int
    channels: int
    rate: int
    block_bytes: int
    bits: int

    @property
    def plain(self) -> bool:
        """Whether a block is one sample of each channel, so that blocks can be counted by size."""
        if self.tag not in {_PCM, _FLOAT} or not self.channels or not self.rate:
            return False
        return self.block_bytes == self.channels * ((self.bits + 7) // 8)


@frozen(kw_only=True)
class Bext:
    """The broadcast extension; ``time_reference`` counts samples since midnight."""

    description: str
    originator: str
    date: str
    time: str
    time_reference: int


@frozen(kw_only=True)
class TimecodeRate:
    """Frames per second, and whether labels are dropped to keep with the clock."""

    rate: Fraction
    drop: bool


@frozen(kw_only=True)
class WavFile:
    """The chunks of a file. Sizes in bytes, cue points in samples.

    ``data_stated`` is None where the header holds a placeholder; ``data_present`` is how much of the
    stated sound is in the file. ``loose_bytes`` come after the last chunk and belong to none.
    """

    form: str
    format: WavFormat
    data_start: int
    data_stated: int | None
    data_present: int
    loose_bytes: int = 0
    bext: Bext | None = None
    speed: TimecodeRate | None = None
    stamp: tuple[int, int] | None = None
    cues: tuple[int, ...] = ()
    fact_samples: int | None = None

    @property
    def cut(self) -> bool:
        """Whether the file ends before the sound that its header states, by a sample or more."""
        if self.data_stated is None:
            return False
        block = max(1, self.format.block_bytes)
        return self.data_present // block < self.data_stated // block

    @property
    def blocks(self) -> int:
        """How many whole blocks of sound are in the file."""
        return self.data_present // max(1, self.format.block_bytes)

    @property
    def captured_at(self) -> str | None:
        """When the recording was begun, by the recorder's clock (no zone is stated); ISO 8601."""
        return captured_at(self.bext.date, self.bext.time) if self.bext else None

    @property
    def timecode_start(self) -> str | None:
        """The timecode of the first sample; None where no stamp or no usable frame rate is stated."""
        samples, rate = self._stamp()
        if not samples or not rate:
            return None
        return timecode(Fraction(samples, rate), self.speed, tolerance=Fraction(1, rate))

    def _stamp(self) -> tuple[int, int]:
        if self.stamp:
            return self.stamp
        return (self.bext.time_reference if self.bext else 0), self.format.rate


def read_wav(path: Path) -> WavFile | None:
    """Read the chunks of a file; None where it is no WAV at all, or has no format or no sound.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] not in _FORMS or head[8:12] != b"WAVE":
            return None
        return _read_chunks(file, size, head[:4].decode("ascii"))


def captured_at(date: str, time: str) -> str | None:
    """Join the date and the time of a recorder; None where they are no moment.

    A year of one or two digits is of this century: the standard asks for four, and recorders exist
    that write ``0026``.

    >>> captured_at("2026-03-22", "19:25:31"), captured_at("0026_03_22", "19.25.31")
    ('2026-03-22T19:25:31', '2026-03-22T19:25:31')
    >>> captured_at("0000-00-00", "00:00:00") is None
    True
    """
    numbers = re.fullmatch(r"(\d{4})\D(\d\d)\D(\d\d) (\d\d)\D(\d\d)\D(\d\d)", f"{date} {time}")
    if numbers is None:
        return None
    year, month, day, hour, minute, second = (int(number) for number in numbers.groups())
    century = 2000 if year < 100 else 0
    moment = f"{year + century:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return None
    return moment


def timecode(seconds: Fraction, speed: TimecodeRate | None, *, tolerance: Fraction) -> str | None:
    """Turn seconds since midnight into a timecode; ``tolerance`` makes up for rounding to samples.

    Without a frame rate only a whole second can be told.

    >>> timecode(Fraction(3600), None, tolerance=Fraction(1, 48000))
    '01:00:00:00'
    >>> speed = TimecodeRate(rate=Fraction(30000, 1001), drop=True)
    >>> timecode(Fraction(60), speed, tolerance=Fraction(1, 48000))
    '00:00:59;28'
    """
    seconds %= _DAY if speed is None else _day(speed)
    if speed is None:
        frame, label = 0, (seconds + tolerance) // 1
        if seconds + tolerance - label > 2 * tolerance:
            return None
        per_second = 1
    else:
        per_second = round(speed.rate)
        label = (seconds + tolerance) * speed.rate // 1
        if speed.drop:
            label += _dropped(label, per_second)
        label, frame = divmod(label, per_second)
    minutes, second = divmod(int(label), 60)
    hours, minute = divmod(minutes, 60)
    mark = ";" if speed and speed.drop else ":"
    return f"{hours % 24:02}:{minute:02}:{second:02}{mark}{int(frame):02}"


def _day(speed: TimecodeRate) -> Fraction:
    """Seconds until the labels of a timecode begin anew."""
    labels = _DAY * round(speed.rate)
    if speed.drop:
        labels -= (24 * 54) * _drop_step(round(speed.rate))
    return labels / speed.rate


def _drop_step(per_second: int) -> int:
    return per_second // 15


def _dropped(frames: int, per_second: int) -> int:
    """How many labels were passed over before a frame: 2 of 30 each minute, not each tenth."""
    step = _drop_step(per_second)
    per_minute = 60 * per_second - step
    per_ten = 10 * per_minute + step
    tens, rest = divmod(frames, per_ten)
    return step * (9 * tens + max(0, rest - step) // per_minute)


@frozen(kw_only=True)
class _Chunk:
    """A chunk's name and body; ``start`` and ``length`` in bytes, ``placeholder`` where it lies."""

    name: bytes
    start: int
    length: int
    placeholder: bool = False

    @property
    def end(self) -> int:
        return self.start + self.length + self.length % 2


def _chunks(file: BinaryIO, at: int, size: int) -> Iterator[_Chunk]:
    """Yield the chunks of a file, the last one perhaps longer than the file."""
    wide = 0
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not _is_name(head[:4]):
            return
        chunk = _Chunk(name=head[:4], start=at + 8, length=int.from_bytes(head[4:], "little"))
        if chunk.name == b"ds64":
            wide = int.from_bytes(file.read(16)[8:16], "little")
        elif chunk.name == b"data":
            chunk = _sized(file, chunk, size, wide)
        yield chunk
        at = chunk.end
        if at >= size:
            return


def _sized(file: BinaryIO, data: _Chunk, size: int, wide: int) -> _Chunk:
    """Give the ``data`` chunk its true length: the wide one, or all that follows a placeholder."""
    if wide and data.length == _UNKNOWN_SIZE:
        return evolve(data, length=wide)
    fits = data.start + data.length <= size
    if data.length not in _PLACEHOLDERS or (data.length and fits):
        return data
    if data.length == 0 and _chunks_reach_end(file, data.start, size):
        return data
    return evolve(data, length=max(0, size - data.start), placeholder=True)


def _read_chunks(file: BinaryIO, size: int, form: str) -> WavFile | None:
    notes: dict[bytes, bytes] = {}
    data: _Chunk | None = None
    end = 12
    for chunk in _chunks(file, end, size):
        end = chunk.end
        if chunk.name == b"data":
            data = data or chunk
        elif chunk.length <= _MAX_NOTES:
            file.seek(chunk.start)
            notes.setdefault(chunk.name, file.read(chunk.length))
    fmt = _format(notes.get(b"fmt ", b""))
    if data is None or fmt is None:
        return None
    wav = WavFile(
        form=form,
        format=fmt,
        data_start=data.start,
        data_stated=None if data.placeholder else data.length,
        data_present=max(0, min(size - data.start, data.length)),
        loose_bytes=max(0, size - end),
        bext=_bext(notes.get(b"bext", b"")),
        cues=tuple(_cues(notes.get(b"cue ", b""))),
        fact_samples=_fact(notes.get(b"fact", b"")),
    )
    return _with_ixml(wav, notes.get(b"iXML", b""))


def _is_name(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in name)


def _chunks_reach_end(file: BinaryIO, at: int, size: int) -> bool:
    """Whether what follows an empty ``data`` chunk are chunks, and no sound."""
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        if not _is_name(head[:4]):
            return False
        length = int.from_bytes(head[4:], "little")
        at += 8 + length + length % 2
    return at in {size, size + 1}


def _format(body: bytes) -> WavFormat | None:
    if len(body) < 16:
        return None
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        valid, tag = struct.unpack_from("<H", body, 18)[0], struct.unpack_from("<H", body, 24)[0]
        bits = valid if 0 < valid <= bits else bits
    return WavFormat(tag=tag, channels=channels, rate=rate, block_bytes=block, bits=bits)


def _text(raw: bytes) -> str:
    """A text field: up to its first zero; ASCII by the standard, UTF-8 or Latin-1 in the field."""
    raw = raw.split(b"\0", 1)[0]
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip()


def _bext(body: bytes) -> Bext | None:
    if len(body) < _BEXT_BYTES:
        return None
    return Bext(
        description=_text(body[0:256]),
        originator=_text(body[256:288]),
        date=_text(body[320:330]),
        time=_text(body[330:338]),
        time_reference=int.from_bytes(body[338:346], "little"),
    )


def _cues(body: bytes) -> Iterator[int]:
    for at in range(4, min(len(body), 4 + 24 * int.from_bytes(body[:4], "little")) - 23, 24):
        yield int.from_bytes(body[at + 20 : at + 24], "little")


def _fact(body: bytes) -> int | None:
    return int.from_bytes(body[:4], "little") if len(body) >= 4 else None


def _with_ixml(wav: WavFile, body: bytes) -> WavFile:
    """Add what the iXML chunk says; a damaged one says nothing, and neither does one with entities."""
    text = body.rstrip(b"\0 \r\n")
    if not text or b"<!DOCTYPE" in text:
        return evolve(wav, speed=_speed_noted(wav.bext))
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError):
        return evolve(wav, speed=_speed_noted(wav.bext))
    notes = {node.tag: (node.text or "").strip() for node in root.iter()}
    speed = _speed(notes.get("TIMECODE_RATE", ""), drop=notes.get("TIMECODE_FLAG") == "DF")
    bext = wav.bext or Bext(
        description=notes.get("BWF_DESCRIPTION", ""),
        originator=notes.get("BWF_ORIGINATOR", ""),
        date=notes.get("BWF_ORIGINATION_DATE", ""),
        time=notes.get("BWF_ORIGINATION_TIME", ""),
        time_reference=0,
    )
    return evolve(wav, bext=bext, speed=speed or _speed_noted(bext), stamp=_stamp(notes))


def _speed(text: str, *, drop: bool) -> TimecodeRate | None:
    match = re.fullmatch(r"(\d{1,6})(?:/(\d{1,6}))?", text)
    if match is None or not int(match[1]) or not int(match[2] or 1):
        return None
    rate = Fraction(int(match[1]), int(match[2] or 1))
    if not 10 <= rate <= 120:
        return None
    # Labels can only be dropped where the rate is just under a multiple of 30.
    return TimecodeRate(rate=rate, drop=drop and round(rate) % 30 == 0)


def _speed_noted(bext: Bext | None) -> TimecodeRate | None:
    """The frame rate that recorders note in the description: ``SPEED=029.970-DF``."""
    match = re.search(r"SPEED=0*(\d+)\.?(\d{0,3})\d*-?(ND|DF)?", bext.description if bext else "")
    if match is None:
        return None
    thousandths = int(match[1]) * 1000 + int(match[2].ljust(3, "0"))
    whole = -(-thousandths // 1000)
    slow = thousandths % 1000 != 0
    return _speed(f"{whole * 1000}/{1001 if slow else 1000}", drop=match[3] == "DF")


def _stamp(notes: dict[str, str]) -> tuple[int, int] | None:
    names = (
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI",
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO",
        "TIMESTAMP_SAMPLE_RATE",
    )
    found = [notes.get(name, "") for name in names]
    if not all(re.fullmatch(r"\d{1,10}", text) for text in found):
        return None
    high, low, rate = (int(text) for text in found)
    return (high << 32 | low, rate) if rate else None
