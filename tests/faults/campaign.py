"""Many runs: in several processes, counted, and refused where something never happened in them."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, field

from .run import Result, run

MUST_HAPPEN = (
    "switch", "hang", "stall", "kill", "kill after a commit", "clock jump",
    "cut 0", "cut 1", "cut 2", "cut after a commit", "commits lost", "mount away", "read-only",
    "EIO", "ENOSPC", "EACCES", "ESTALE", "ETIMEDOUT", "EROFS",
    "EIO though done", "ETIMEDOUT though done",
    "store unavailable", "store unavailable though committed",
    "late", "request lost", "answer lost", "doubled",
    "rogue file", "rogue change", "rogue removal", "rogue rename",
    "batches", "moved", "copied to another disk", "not moved, or undone", "undos", "purged",
    "parked", "settled",
    "claimed", "uploads", "jobs done",
)  # fmt: skip
"""What every campaign of some size has seen; one in which one of these never happened proves little."""

ENOUGH = 2_000
"""So many runs, and each of these has happened."""

PART = 50


@define
class Campaign:
    """What came of many runs."""

    count: int = 0
    seconds: float = 0.0
    failed: list[tuple[int, str]] = field(factory=list)
    stats: Counter[str] = field(factory=Counter)

    @property
    def missing(self) -> tuple[str, ...]:
        """What should have happened and never did, where there were runs enough for it."""
        if self.count < ENOUGH:
            return ()
        return tuple(name for name in MUST_HAPPEN if not self.stats[name])

    def add(self, results: Sequence[tuple[int, tuple[str, ...]]], stats: Counter[str]) -> None:
        """Count some runs."""
        self.count += len(results)
        self.stats += stats
        self.failed += [(seed, violations[0]) for seed, violations in results if violations]


Part = tuple[list[tuple[int, tuple[str, ...]]], Counter[str]]


def _part(plants: Sequence[str], seeds: range) -> Part:
    results: list[Result] = [run(seed, plants) for seed in seeds]
    stats: Counter[str] = Counter()
    for result in results:
        stats += result.stats
    return [(result.seed, result.violations) for result in results], stats


def campaign(
    seeds: range,
    plants: Sequence[str] = (),
    *,
    jobs: int = 1,
    told: Callable[[Campaign, int], None] = lambda so_far, fresh: None,
    most: int = 100,
) -> Campaign:
    """Run all seeds, or until so many have failed."""
    done, started = Campaign(), time.perf_counter()
    parts = [seeds[at : at + PART] for at in range(0, len(seeds), PART)]
    work = partial(_part, plants)
    if jobs == 1:
        for part in map(work, parts):
            known = len(done.failed)
            done.add(*part)
            done.seconds = time.perf_counter() - started
            told(done, len(done.failed) - known)
            if len(done.failed) >= most:
                break
        return done
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for part in pool.imap_unordered(work, parts):
            known = len(done.failed)
            done.add(*part)
            done.seconds = time.perf_counter() - started
            told(done, len(done.failed) - known)
            if len(done.failed) >= most:
                pool.terminate()
                break
    return done
