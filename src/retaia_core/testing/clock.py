"""A clock that stands still until it is told, and identities in a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from ..ports.clock import Clock, Ids

START = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
"""Where a fake clock begins when nothing else is said; its microseconds are there to be kept."""

_VERSION_7 = (0x7000 << 64) | (0x8000 << 48)
"""The bits that make a number a time-ordered UUID."""


class FakeClock(Clock):
    """Time as a test wants it.

    >>> clock = FakeClock()
    >>> clock.advance(timedelta(seconds=120)) - START
    datetime.timedelta(seconds=120)
    """

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock tells aware times; give the start a time zone")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The present time of the test."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Let time pass (or, with a negative span, jump back) and return the new present."""
        self._now += by
        return self._now


class SequentialIds(Ids):
    """Valid identities that count from 1, so that a test can tell them apart and order them.

    >>> ids = SequentialIds()
    >>> ids.uuid(), ids.token()
    ('00000000-0000-7000-8000-000000000001', 'token-000000000000000000000002')
    """

    def __init__(self, start: int = 1) -> None:
        self._next = start

    def _count(self) -> int:
        number = self._next
        self._next += 1
        return number

    def uuid(self) -> str:
        """The next number as a canonical UUID."""
        return str(UUID(int=_VERSION_7 | self._count()))

    def token(self) -> str:
        """The next number as a token of 30 characters."""
        return f"token-{self._count():024}"
