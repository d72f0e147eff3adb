"""Progressive lock-out: each failure in a row makes the next attempt wait longer (protocol.md)."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

FREE_ATTEMPTS = 5
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


def wait_after(failures: int) -> timedelta:
    """How long nobody is let in after so many failures in a row: none, then 2 s, doubling, at most 15 min.

    >>> [wait_after(n).total_seconds() for n in (4, 5, 6, 7, 40)]
    [0.0, 2.0, 4.0, 8.0, 900.0]
    """
    if failures < FREE_ATTEMPTS:
        return timedelta(0)
    doublings = min(failures - FREE_ATTEMPTS, 30)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def failed(known: Throttle | None, *, key: str, now: datetime) -> Throttle:
    """One more failure; what happened more than a day ago is forgotten."""
    stale = known is None or now - known.last_at > FORGOTTEN_AFTER
    failures = 1 if known is None or stale else known.failures + 1
    wait = wait_after(failures)
    return Throttle(
        key=key, failures=failures, last_at=now, blocked_until=now + wait if wait else None
    )


def seconds_left(known: Throttle | None, now: datetime) -> int:
    """How many whole seconds (rounded up) an attempt must wait; 0 when it may be made now."""
    if known is None or known.blocked_until is None or known.blocked_until <= now:
        return 0
    left = known.blocked_until - now
    return left.days * 86400 + left.seconds + (left.microseconds > 0)
