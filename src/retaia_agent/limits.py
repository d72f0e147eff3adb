"""The limits that a worker process puts on itself before it touches a file."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path

_FIRST_VICTIM = "800"


def apply_limits(*, memory: int | None, niceness: int) -> None:
    """Limit memory (bytes; None for no limit), dump no core, and be nice (0 to 19).

    On Linux the limit is on private writable memory (``RLIMIT_DATA``): address space alone would also
    count what allocators and threads merely reserve, which for a decoder on many cores is gigabytes.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory is not None:
        _limit(resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS, memory)
    if niceness:
        os.nice(niceness)
    _die_first()


def _limit(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (limit, limit))


def _die_first() -> None:
    """Where the machine runs out of memory, the kernel takes a worker rather than agent or server."""
    with contextlib.suppress(OSError):  # not Linux, or not allowed: a wish, no need
        Path("/proc/self/oom_score_adj").write_text(_FIRST_VICTIM)


def memory_held() -> int:
    """The resident memory of this process in bytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0
    return pages * resource.getpagesize()
