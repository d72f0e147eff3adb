"""Outside programs that some tests need: absent ones are skipped in the open, or refused.

A component that a machine lacks skips the tests that need it, with one wording that the summary at the
end of a run counts. Where ``RETAIA_REQUIRE_<NAME>=1`` is set, as in continuous integration, the same
absence is a failure: a green run then proves that the real component was there.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest

_PREFIX = "component not here: "


def must_be_here(name: str) -> bool:
    """Whether the environment insists on a component."""
    return os.environ.get(f"RETAIA_REQUIRE_{name.upper()}", "") not in ("", "0")


def absent(name: str, reason: str) -> NoReturn:
    """End the present test: a failure where the component must be here, else a visible skip."""
    if must_be_here(name):
        pytest.fail(f"{name} must be here (RETAIA_REQUIRE_{name.upper()} is set): {reason}")
    pytest.skip(f"{_PREFIX}{name}: {reason}")


def program(name: str) -> str:
    """Return the path of a program on PATH, or end the test."""
    path = shutil.which(name)
    if path is None:
        absent(name, f"there is no program '{name}' on PATH")
    return path


def summary(reasons: Iterable[str]) -> list[str]:
    """Count skips by component, one line each.

    >>> summary(["Skipped: component not here: ffprobe: no such program", "Skipped: other"])
    ['ffprobe: 1 test skipped, no such program']
    """
    counts = Counter(reason.partition(_PREFIX)[2] for reason in reasons if _PREFIX in reason)
    return [_line(*entry.partition(": ")[::2], count=n) for entry, n in sorted(counts.items())]


def _line(name: str, reason: str, *, count: int) -> str:
    return f"{name}: {count} test{'' if count == 1 else 's'} skipped, {reason}"
