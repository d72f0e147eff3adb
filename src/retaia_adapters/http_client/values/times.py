"""Times as the wire writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def wire_time(time: datetime) -> str:
    """A time of any offset as ``YYYY-MM-DDTHH:MM:SSZ``.

    >>> wire_time(datetime.fromisoformat("2024-05-01T10:00:00+02:00"))
    '2024-05-01T08:00:00Z'
    """
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
