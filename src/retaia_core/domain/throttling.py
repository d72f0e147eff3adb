"""Progressive lock-out: each failure in a row makes the next attempt wait longer (protocol.md)."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

FREE_ATTEMPTS = 5
FREE_PER_ADDRESS = 50
"""More people than one may call from one network address."""

FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=24)


@frozen(kw_only=True)
class Throttle:
    """The failures in a row under one key (``login:<digest of address>``, say)."""

    key: str
    failures: int
    last_at: datetime
    blocked_until: datetime | None = None


def wait_after(failures: int, free: int = FREE_ATTEMPTS) -> timedelta:
    """How long nobody is let in after so many failures in a row: none, then 2 s, doubling, at most 15 min.

    ``free`` is the first number of failures that makes anybody wait.

    >>> [wait_after(n).total_seconds() for n in (4, 5, 6, 7, 40)]
    [0.0, 2.0, 4.0, 8.0, 900.0]
    """
    if failures < free:
        return timedelta(0)
    doublings = min(failures - free, 30)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def failed(
    known: Throttle | None, *, key: str, now: datetime, free: int = FREE_ATTEMPTS
) -> Throttle:
    """One more failure; what happened more than a day ago is forgotten."""
    stale = known is None or now - known.last_at > FORGOTTEN_AFTER
    return _counted(key, 1 if known is None or stale else known.failures + 1, now, free)


def forgiven(known: Throttle, free: int = FREE_ATTEMPTS) -> Throttle | None:
    """One failure less: an attempt was counted before it was known to be none; None when none is left."""
    left = known.failures - 1
    return _counted(known.key, left, known.last_at, free) if left > 0 else None


def _counted(key: str, failures: int, last_at: datetime, free: int) -> Throttle:
    wait = wait_after(failures, free)
    until = last_at + wait if wait else None
    return Throttle(key=key, failures=failures, last_at=last_at, blocked_until=until)


def seconds_left(known: Throttle | None, now: datetime) -> int:
    """How many whole seconds (rounded up) an attempt must wait; 0 when it may be made now."""
    if known is None or known.blocked_until is None or known.blocked_until <= now:
        return 0
    left = known.blocked_until - now
    return left.days * 86400 + left.seconds + (left.microseconds > 0)
