"""The real clock, and real randomness."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class RandomIds:
    """UUIDs of version 7 (time-ordered), and tokens of 256 bits."""

    def uuid(self) -> str:
        millis = time.time_ns() // 1_000_000
        rest = os.urandom(10).hex()
        variant = "89ab"[int(rest[3], 16) & 3]
        head = f"{millis:012x}"
        return f"{head[:8]}-{head[8:]}-7{rest[:3]}-{variant}{rest[4:7]}-{rest[7:19]}"

    def token(self) -> str:
        return secrets.token_urlsafe(32)
