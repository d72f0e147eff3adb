"""Whatever fails, in whatever order: nothing is lost, and a bug put in on purpose is found."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from .campaign import campaign
from .plants import PLANTS
from .run import run
from .shrink import kind_of, shrink

JOBS = min(os.cpu_count() or 1, 8)
ENOUGH = 1_500
"""Seeds within which every planted bug must be found."""


def _seeds() -> range:
    """``RETAIA_FAULT_SEEDS`` is a number of seeds, or a range ``from:to``."""
    first, _, last = os.environ.get("RETAIA_FAULT_SEEDS", "2000").rpartition(":")
    return range(int(first or 0), int(last))


pytestmark = pytest.mark.filterwarnings(
    # Servers that are killed close nothing.
    "ignore:Unclosed <MemoryObject:ResourceWarning",
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """Leave nothing of the killed to the tests that come after."""
    yield
    gc.collect()


@pytest.mark.faults
def test_nothing_is_lost_replaced_doubled_or_forgotten() -> None:
    """No seed violates anything, and everything that can go wrong did."""
    done = campaign(_seeds(), jobs=JOBS)
    assert done.failed == []
    assert done.missing == ()


@pytest.mark.faults
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    """Each bug that was put in on purpose shows itself within a bounded number of seeds."""
    found = campaign(range(ENOUGH), (name,), most=1)
    assert found.failed
    assert not [said for _, said in found.failed if said.startswith("unexpected")]


def test_a_seed_is_the_same_run_again() -> None:
    """The same seed makes the same history, call by call, and so do its choices alone."""
    for seed in range(5):
        first = run(seed, trace=True)
        assert run(seed, trace=True) == first
        again = run(seed, given=first.choices, trace=True)
        assert (again.trace, again.choices) == (first.trace, first.choices)


def test_harmless_choices_are_a_harmless_run() -> None:
    """Without a choice of its own a run has no fault at all, and does not end in a violation."""
    result = run(0, given=())
    assert result.violations == ()
    assert not any(result.choices)


def test_a_failing_seed_becomes_small() -> None:
    """What is left of a failing run still fails in the same way, in fewer steps."""
    plants = ("skip the sync of folders",)
    found = next(result for seed in range(100) if (result := run(seed, plants)).violations)
    small = shrink(found, plants, tries=150)
    assert kind_of(found.violations[0]) in map(kind_of, small.violations)
    assert len(small.choices) < len(found.choices)
    assert run(found.seed, plants, given=small.choices).violations == small.violations
