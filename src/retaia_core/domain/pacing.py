"""Reading politely: how long to wait between two reads, so that a disk or a share stays usable for others.

A token bucket whose clock is handed in. One second's worth of bytes may be read at once; what is read
beyond that is a debt, which is waited for before the next read.
"""

from __future__ import annotations

from attrs import frozen

DEFAULT_RATE = 100_000_000
"""Bytes a second that are read where nothing else is said."""


@frozen(kw_only=True)
class Bucket:
    """How many bytes may be read at once (below 0: a debt) at a moment of a steady clock, in seconds."""

    at: float
    bytes: float


def full(rate: float, now: float) -> Bucket:
    """The bucket before the first read; ``rate`` is in bytes a second."""
    return Bucket(at=now, bytes=rate)


def take(bucket: Bucket, rate: float, count: int, now: float) -> tuple[Bucket, float]:
    """Take ``count`` bytes that were read; the bucket left, and the seconds to wait before more are read.

    ``rate`` is in bytes a second; 0 is no limit. A clock that stands still or goes back fills nothing.

    >>> bucket, wait = take(full(100, 0.0), 100, 250, 0.0)
    >>> wait
    1.5
    >>> take(bucket, 100, 0, 1.0)[1]
    0.5
    """
    if rate <= 0:
        return bucket, 0.0
    most = max(rate, count)  # one read may be larger than a second's worth, and was as slow as that
    filled = min(most, bucket.bytes + max(0.0, now - bucket.at) * rate)
    left = Bucket(at=max(now, bucket.at), bytes=filled - count)
    return left, max(0.0, -left.bytes / rate)
