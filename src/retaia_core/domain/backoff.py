"""How long to wait before something is tried again (protocol.md, *Agents and jobs*)."""

from __future__ import annotations

from ..errors import RetaiaError

FIRST_S = 2.0
MOST_S = 60.0
_MOST_DOUBLINGS = 16


def backoff_s(
    tries: int,
    chance: float,
    *,
    at_least: float = 0.0,
    first: float = FIRST_S,
    most: float = MOST_S,
) -> float:
    """Seconds to wait after ``tries`` (from 1) failed: doubling from ``first`` to ``most``, full jitter.

    ``chance`` is drawn from 0 (included) to 1 (excluded). ``at_least`` is what the other side asked for
    (``Retry-After``); it is kept also where it is longer than ``most``.

    >>> [backoff_s(tries, 1.0) for tries in range(1, 8)]
    [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    """
    doublings = min(tries - 1, _MOST_DOUBLINGS)
    return max(at_least, min(most, first * 2.0**doublings) * chance)


def asked_s(error: RetaiaError | None) -> float:
    """The seconds that an error asks to wait (``details.retry_after_s``); 0 where it asks for nothing."""
    asked = error.details.get("retry_after_s") if error else None
    return float(asked) if isinstance(asked, int | float) else 0.0
