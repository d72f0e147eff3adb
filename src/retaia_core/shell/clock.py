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
        millis, nanos = divmod(time.time_ns(), 1_000_000)
        below = nanos * 4096 // 1_000_000
        low = 2 << 62 | self._random.getrandbits(62)
        digits = f"{millis << 80 | 7 << 76 | below << 64 | low:032x}"
        groups = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return "-".join(groups)

    def token(self) -> str:
        return secrets.token_urlsafe(32)
