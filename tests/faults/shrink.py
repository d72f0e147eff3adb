"""Making a failing run small: fewer faults, fewer acts, while it still fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .run import Result, run

_NUMBERS = re.compile(r"'[^']*'|\b[ab]\d+\b|[0-9a-f-]{36}|\d+")


def kind_of(violation: str) -> str:
    """A violation without names and numbers, so that two of one kind are equal.

    >>> kind_of("a1 removes 'INBOX/A.jpg', the last place where original 2 is safe")
    '… removes …, the last place where original … is safe'
    """
    return _NUMBERS.sub("…", violation)


def shrink(found: Result, plants: Sequence[str] = (), tries: int = 1500) -> Result:
    """The smallest run that is found in so many tries and has a violation of the same kind.

    First whole stretches of choices are left out, then single ones are made harmless.
    """
    wanted, best = kind_of(found.violations[0]), found
    for step in (_without, _harmless):
        size = max(1, len(best.choices) // 2)
        while size and tries:
            at, smaller = 0, False
            while at < len(best.choices) and tries:
                given = step(best.choices, at, size)
                tries -= 1
                result = run(best.seed, plants, given=given) if given else None
                if result and wanted in map(kind_of, result.violations) and _less(result, best):
                    best, smaller = result, True
                else:
                    at += size
            size = size if smaller and size == 1 and step is _without else size // 2
    return best


def _without(choices: tuple[int, ...], at: int, size: int) -> tuple[int, ...] | None:
    return (*choices[:at], *choices[at + size :])


def _harmless(choices: tuple[int, ...], at: int, size: int) -> tuple[int, ...] | None:
    if not any(choices[at : at + size]):
        return None
    return (*choices[:at], *(0,) * len(choices[at : at + size]), *choices[at + size :])


def _less(one: Result, other: Result) -> bool:
    """Whether a run is smaller: fewer choices, or as many with fewer that are not harmless."""
    return (len(one.choices), sum(map(bool, one.choices))) < (
        len(other.choices),
        sum(map(bool, other.choices)),
    )
