"""Where on the time line each audio frame lies, to the sample.

Timestamps in containers are often rounded (Matroska counts milliseconds), so believing each one would
tear holes of a few samples into the sound. A run of frames is therefore counted from its first sample,
and a timestamp is believed again only where it disagrees with the count by more than `TOLERANCE`.
"""

from __future__ import annotations

import math
from fractions import Fraction

import av
from attrs import frozen

TOLERANCE = Fraction(5, 1000)
"""Seconds by which a timestamp may differ from the counted time before it is a gap or an overlap."""


@frozen(kw_only=True)
class Placement:
    """A frame's place: sample ``first`` of a run that began ``anchor`` seconds after the origin.

    ``rate`` is the run's sample rate in Hz; ``jumped`` says that the timestamps left the counted time
    here, so that the run before ends in a gap or is overlapped.
    """

    anchor: Fraction
    first: int
    rate: int
    jumped: bool

    @property
    def start(self) -> Fraction:
        """Seconds from the origin to the frame's first sample; negative before the origin."""
        return self.anchor + Fraction(self.first, self.rate)


class FrameClock:
    """Places the frames of one stream, one after the other.

    ``origin_s`` is the timestamp, in seconds, that counts as zero: the same for sound and picture.
    A stream whose frames bear no timestamps begins at the origin.
    """

    def __init__(self, origin_s: float | Fraction = 0) -> None:
        self._origin = Fraction(origin_s).limit_denominator(10**9)
        self._anchor = Fraction(0)
        self._count = 0
        self._rate = 0
        self._numbers = (0, 0, 0, 0)
        self._time_base: Fraction | None = None

    @property
    def now(self) -> Fraction:
        """Seconds from the origin to the end of the last frame placed."""
        return self._anchor + Fraction(self._count, self._rate) if self._rate else Fraction(0)

    def place(self, frame: av.AudioFrame) -> Placement:
        """Tell where a frame lies, and move on to its end."""
        jumped = self._disagrees(frame)
        if jumped or frame.sample_rate != self._rate:
            self._anchor = self._stamp(frame) if jumped else self.now
            self._count, self._rate = 0, frame.sample_rate
            self._time_base = None
        placement = Placement(
            anchor=self._anchor, first=self._count, rate=self._rate, jumped=jumped
        )
        self._count += frame.samples
        return placement

    def _stamp(self, frame: av.AudioFrame) -> Fraction:
        assert frame.pts is not None
        assert frame.time_base is not None
        return frame.pts * Fraction(frame.time_base) - self._origin

    def _disagrees(self, frame: av.AudioFrame) -> bool:
        """Whether a timestamp is not where the count is. Runs for each frame: whole numbers only."""
        if frame.pts is None or frame.time_base is None:
            return False
        if self._time_base != frame.time_base:
            self._reckon(Fraction(frame.time_base))
        per_tick, per_sample, start, tolerance = self._numbers
        return abs(frame.pts * per_tick - self._count * per_sample - start) > tolerance

    def _reckon(self, time_base: Fraction) -> None:
        """Bring tick, sample, the run's start and the tolerance to one common unit."""
        self._time_base = time_base
        sample = Fraction(1, self._rate or 1)
        parts = (time_base, sample, self._anchor + self._origin, TOLERANCE)
        unit = math.lcm(*(part.denominator for part in parts))
        per_tick, per_sample, start, tolerance = (int(part * unit) for part in parts)
        self._numbers = (per_tick, per_sample, start, tolerance)
