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


_COUNTER = tuple(f"{0x8000 | n:04x}-" for n in range(0x4000))
"""The variant and the 14 bits behind it, where they count (RFC 9562, 6.2, method 1)."""


def _now() -> tuple[int, int]:
    """Milliseconds since 1970, and what is below them in 4096 parts.

    The latter goes into the 12 bits that follow (RFC 9562, 6.2, method 3), so that what is made one
    after the other is in that order.
    """
    millis, below = divmod(time.time_ns(), 1_000_000)
    return millis, below * 4096 // 1_000_000


class RandomIds:
    """UUIDs of version 7 (time-ordered), and tokens of 256 bits.

    A UUID is a name and no secret: its 62 random bits come from a generator that is seeded once.
    """

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))

    def uuid(self) -> str:
        millis, below = _now()
        chance = self._random.getrandbits(62)
        return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - twice as fast as an f-string here
            millis >> 16,
            millis & 0xFFFF,
            below,
            0x8000 | chance >> 48,
            chance & 0xFFFF_FFFF_FFFF,
        )

    def uuids(self, count: int) -> list[str]:
        """So many new UUIDs, at a fraction of the cost of one alone; a counter keeps them in order."""
        found: list[str] = []
        while len(found) < count:
            found += self._at_one_time(min(count - len(found), len(_COUNTER)))
        return found

    def _at_one_time(self, count: int) -> list[str]:
        millis, below = _now()
        time_part = f"{millis >> 16:08x}-{millis & 0xFFFF:04x}-7{below:03x}-"
        chance = self._random.randbytes(6 * count).hex()
        parts = zip(_COUNTER[:count], range(0, 12 * count, 12), strict=True)
        return [time_part + counter + chance[at : at + 12] for counter, at in parts]

    def token(self) -> str:
        return secrets.token_urlsafe(32)
