"""The waveform document: the peaks of a sound in equal buckets over its whole duration.

Rules that domain.md (*Derived files*) leaves open, and that this module settles:

* The peak of a bucket is the largest absolute sample of any channel in it. 1.0 is full scale (32768
  of 16-bit, 1.0 of float).
* A float recording may exceed full scale. Then all peaks are divided by the largest one, so that the
  loudest bucket reads 1.0 and the shape is kept: nothing is clipped. Quieter recordings are left as
  they are, so that a quiet recording looks quiet.
* Bucket ``i`` holds the samples at times ``i * d / n <= t < (i + 1) * d / n`` of a duration ``d``. A
  bucket too short to hold a sample repeats the one that still sounds. Time without sound reads 0.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler

from .audio_clock import FrameClock, Placement

DEFAULT_BUCKETS = 1000
MIN_BUCKETS, MAX_BUCKETS = 100, 100_000

_CAPACITY = 1 << 22
_BATCH = 1 << 15
_DECIMALS = 5
_FULL_SCALE = {"u8": 1 << 7, "s16": 1 << 15, "s32": 1 << 31, "s64": 1 << 63, "flt": 1, "dbl": 1}
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}

Peaks = npt.NDArray[np.float64]
_Samples = npt.NDArray[Any]


class PeakAccumulator:
    """Collects the peaks of decoded frames in bounded memory, for any number of hours.

    Time is kept in cells of one sample at ``sample_rate``; frames of another rate are spread over the
    cells that they sound in. When a recording outgrows the memory (4 million blocks, 16 MiB), blocks
    are merged two by two, so that a bucket's edge is exact to the sample up to 87 s at 48 kHz and to
    one part in 2000 of a bucket beyond. How the sound is cut into frames changes nothing.

    ``origin_s`` is the timestamp in seconds that counts as zero; sound before it is left out.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        channels: int,
        origin_s: float | Fraction = 0,
        capacity: int = _CAPACITY,
    ) -> None:
        if sample_rate <= 0 or channels <= 0 or capacity <= 0 or capacity % 2:
            raise ValueError("sample_rate, channels and an even capacity must be positive")
        self._rate = sample_rate
        self._clock = FrameClock(origin_s)
        self._loudness = _Loudness()
        self._blocks = np.zeros(capacity, dtype=np.float32)
        self._shift = 0
        self._pending: list[_Samples] = []
        self._pending_from = 0
        self._pending_samples = 0
        self._full_scale = 1

    def feed(self, frame: av.AudioFrame) -> None:
        """Take one decoded frame of any sample format, layout and rate."""
        placement = self._clock.place(frame)
        if not frame.samples:
            return
        cell, loudness = _on_grid(self._loudness.of(frame), placement, self._rate)
        full_scale = _FULL_SCALE[frame.format.packed.name]
        follows = cell == self._pending_from + self._pending_samples
        if not follows or full_scale != self._full_scale or self._pending_samples >= _BATCH:
            self._flush()
            self._pending_from, self._full_scale = cell, full_scale
        self._pending.append(loudness)
        self._pending_samples += len(loudness)

    @property
    def peak(self) -> float:
        """The largest absolute sample so far; above 1.0 where a float recording exceeds full scale."""
        self._flush()
        return float(self._blocks.max())

    def peaks(self, *, duration_ms: int, bucket_count: int = DEFAULT_BUCKETS) -> Peaks:
        """Return the peaks, 0..1, of ``bucket_count`` equal parts of the first ``duration_ms``.

        Raises:
            ValueError: fewer than 100 buckets or more than 100,000, or a negative duration.
        """
        if not MIN_BUCKETS <= bucket_count <= MAX_BUCKETS:
            raise ValueError(
                f"bucket_count must be {MIN_BUCKETS} to {MAX_BUCKETS}, not {bucket_count}"
            )
        if duration_ms < 0:
            raise ValueError("duration_ms must not be negative")
        self._flush()
        raw = self._bucket_peaks(duration_ms, bucket_count).astype(np.float64)
        return raw / max(1.0, float(raw.max()))

    def finish(self, *, duration_ms: int, bucket_count: int = DEFAULT_BUCKETS) -> bytes:
        """Return the JSON document: ``duration_ms``, ``bucket_count`` and ``peaks``, 5 decimals each.

        Raises:
            ValueError: fewer than 100 buckets or more than 100,000, or a negative duration.
        """
        peaks = self.peaks(duration_ms=duration_ms, bucket_count=bucket_count)
        document = {
            "duration_ms": duration_ms,
            "bucket_count": bucket_count,
            "peaks": [round(float(peak), _DECIMALS) for peak in peaks],
        }
        return json.dumps(document, separators=(",", ":")).encode("ascii")

    def _flush(self) -> None:
        if self._pending:
            loudness = _finite(np.concatenate(self._pending))
            cell = self._pending_from
            if cell < 0:
                cell, loudness = 0, loudness[-cell:]
            if len(loudness):
                self._put(cell, loudness)
        self._pending.clear()
        self._pending_from += self._pending_samples
        self._pending_samples = 0

    def _put(self, cell: int, loudness: _Samples) -> None:
        while (cell + len(loudness) - 1) >> self._shift >= len(self._blocks):
            self._coarsen()
        first = cell >> self._shift
        blocks = _block_peaks(loudness, cell, self._shift).astype(np.float32)
        blocks /= np.float32(self._full_scale)
        there = self._blocks[first : first + len(blocks)]
        np.maximum(there, blocks, out=there)

    def _coarsen(self) -> None:
        half = len(self._blocks) // 2
        self._blocks[:half] = np.maximum(self._blocks[0::2], self._blocks[1::2])
        self._blocks[half:] = 0
        self._shift += 1

    def _bucket_peaks(self, duration_ms: int, bucket_count: int) -> npt.NDArray[np.float32]:
        if duration_ms == 0:
            return np.full(bucket_count, self._blocks.max(), dtype=np.float32)
        # An edge lies at i * cells / bucket_count; 1000 * bucket_count keeps it in whole numbers.
        edges = np.arange(bucket_count + 1, dtype=np.int64) * (duration_ms * self._rate)
        divisor = 1000 * bucket_count
        starts = -(-edges // divisor) >> self._shift
        # The duration is rounded to the millisecond: what sounds in the last one belongs to the end.
        slack = self._rate // 1000 >> self._shift
        end = max(int(starts[-1]) + slack, int(starts[-2]) + 1)
        blocks = np.zeros(end, dtype=np.float32)
        known = self._blocks[:end]
        blocks[: len(known)] = known
        peaks = np.maximum.reduceat(blocks, starts[:-1])
        empty = starts[:-1] == starts[1:]
        sounding = np.minimum((edges[:-1] // divisor) >> self._shift, end - 1)
        return np.where(empty, blocks[sounding], peaks)


class _Loudness:
    """Tells each sample's largest absolute value over the channels, in the format's own numbers."""

    def __init__(self) -> None:
        self._packer: AudioResampler | None = None
        self._packs: tuple[str, str, int] | None = None

    def of(self, frame: av.AudioFrame) -> _Samples:
        channels = frame.layout.nb_channels
        planar = frame.format.is_planar
        if planar and channels >= _MANY_PLANES:
            frame, planar = self._packed(frame), False
        dtype = np.dtype(_DTYPES[frame.format.packed.name])
        if planar:
            planes = frame.planes[:channels]
            tracks = [_magnitude(_view(plane, dtype, frame.samples)) for plane in planes]
        else:
            magnitude = _magnitude(_view(frame.planes[0], dtype, frame.samples * channels))
            tracks = [magnitude[channel::channels] for channel in range(channels)]
        loudest = tracks[0]
        for track in tracks[1:]:
            loudest = np.maximum(loudest, track)
        return loudest

    def _packed(self, frame: av.AudioFrame) -> av.AudioFrame:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._packer is None or self._packs != source:
            self._packer, self._packs = AudioResampler(format=frame.format.packed.name), source
        (packed,) = self._packer.resample(frame)
        return packed


# The binding reads past the end of the table of planes where it has 8 entries or more.
_MANY_PLANES = 8


def _view(plane: Any, dtype: np.dtype[Any], count: int) -> _Samples:
    return np.frombuffer(plane, dtype=dtype, count=count)


def _magnitude(samples: _Samples) -> _Samples:
    if samples.dtype == np.uint8:
        return np.abs(samples.astype(np.int16) - 128)
    if samples.dtype.kind == "i":
        # abs(-32768) overflows to -32768, whose bits read as unsigned are 32768: the right answer.
        return np.abs(samples).view(np.dtype(f"u{samples.dtype.itemsize}"))
    return np.abs(samples)


def _finite(loudness: _Samples) -> _Samples:
    """Silence samples that are no number, as a broken float recording may hold."""
    if loudness.dtype.kind == "f" and not np.isfinite(loudness.max()):
        return np.where(np.isfinite(loudness), loudness, loudness.dtype.type(0))
    return loudness


def _on_grid(loudness: _Samples, placement: Placement, rate: int) -> tuple[int, _Samples]:
    """Return the first cell that a frame sounds in, and its loudness cell by cell."""
    whole, part = divmod(placement.anchor * rate, 1)
    if placement.rate == rate:
        return whole + placement.first, loudness
    divisor = placement.rate * part.denominator
    offset = part.numerator * placement.rate
    step = rate * part.denominator
    samples = np.arange(placement.first, placement.first + len(loudness) + 1, dtype=np.int64)
    cells = (samples * step + offset) // divisor
    first = int(cells[0])
    starts, ends = cells[:-1] - first, cells[1:] - first
    if placement.rate < rate:
        return whole + first, np.repeat(loudness, ends - starts)
    heads = np.flatnonzero(np.diff(starts, prepend=-1))
    return whole + first, np.maximum.reduceat(loudness, heads)


def _block_peaks(loudness: _Samples, cell: int, shift: int) -> _Samples:
    """Reduce cells to blocks of ``2 ** shift``, the first of which holds ``cell``."""
    if not shift:
        return loudness
    lead = cell & ((1 << shift) - 1)
    blocks = (lead + len(loudness) + (1 << shift) - 1) >> shift
    padded = np.zeros(blocks << shift, dtype=loudness.dtype)
    padded[lead : lead + len(loudness)] = loudness
    for _ in range(shift):
        padded = np.maximum(padded[0::2], padded[1::2])
    return padded
