"""A constant frame rate out of frames that come when they come (domain.md, *Derived files*).

The proxy's rate is the source's average rate. A source of variable frame rate is laid on that grid by
time: a slot without a frame repeats the one before it, a slot with several keeps the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Generic, TypeVar

T = TypeVar("T")

STANDARD_RATES: tuple[Fraction, ...] = (
    *(Fraction(n) for n in (10, 12, 15, 24, 25, 30, 48, 50, 60, 100, 120, 200, 240)),
    *(Fraction(n * 1000, 1001) for n in (15, 24, 30, 48, 60, 120, 240)),
)
_SNAP = Fraction(1, 100)
_SMALLEST, _LARGEST = Fraction(1, 100), Fraction(1000)


def snap_rate(rate: Fraction) -> Fraction:
    """Return the standard rate that a measured one means, or the rate itself (in frames a second).

    A rate within 0.01 of a standard one is that one: the difference is the clock of the recorder.

    >>> snap_rate(Fraction(2997, 100)), snap_rate(Fraction(2987, 100))
    (Fraction(30000, 1001), Fraction(2987, 100))
    """
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    if abs(nearest - rate) < _SNAP:
        return nearest
    return min(max(rate, _SMALLEST), _LARGEST).limit_denominator(1001)


def _nearest(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


class ConstantRate(Generic[T]):
    """Lays frames on a grid of ``rate`` slots a second that starts at time 0.

    The grid takes the phase of the first frame: frames half a slot off the origin do not flicker
    between two slots. A first frame that comes late fills the slots before it. ``repeated`` and
    ``dropped`` count what the grid cost.
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._held: T | None = None
        self._phase = Fraction(0)
        self._base = 0
        self._next = 0
        self.repeated = 0
        self.dropped = 0

    def feed(self, frame: T, time: Fraction) -> Iterator[tuple[int, T]]:
        """Take a frame and its time in seconds; yield the slots that are settled now."""
        if self._held is None:
            self._phase, self._base = time, max(0, _nearest(time * self._rate))
            self._held = frame
            return
        slot = self._slot(time)
        if slot < self._next:
            self.dropped += 1
            return
        yield from self._fill(slot)
        self._held = frame

    def finish(self, end: Fraction) -> Iterator[tuple[int, T]]:
        """Yield the slots up to the end of the last frame, given in seconds."""
        if self._held is not None:
            yield from self._fill(max(self._slot(end), self._next + 1))

    def _slot(self, time: Fraction) -> int:
        return self._base + _nearest((time - self._phase) * self._rate)

    def _fill(self, until: int) -> Iterator[tuple[int, T]]:
        assert self._held is not None
        count = until - self._next
        self.repeated += max(0, count - 1)
        self.dropped += count == 0
        for slot in range(self._next, until):
            yield slot, self._held
        self._next = max(self._next, until)
