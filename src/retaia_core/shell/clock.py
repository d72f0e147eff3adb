"""The real clock, and real randomness."""

from __future__ import annotations

import os
import random
import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class RandomIds:
    """UUIDs of version 7 (time-ordered), and tokens of 256 bits.

    A UUID is a name and no secret: its 62 random bits come from a generator that is seeded once.
    """

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))

    def uuid(self) -> str:
        # Below the millisecond the clock goes into the 12 bits that follow (RFC 9562, 6.2, method 3),
        # so that what is made one after the other is in that order.
        now = time.time_ns()
        millis = now // 1_000_000
        below = (now % 1_000_000) * 4096 // 1_000_000
        chance = self._random.getrandbits(62)
        return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - twice as fast as an f-string here
            millis >> 16,
            millis & 0xFFFF,
            below,
            0x8000 | chance >> 48,
            chance & 0xFFFF_FFFF_FFFF,
        )

    def token(self) -> str:
        return secrets.token_urlsafe(32)
