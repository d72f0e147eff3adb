"""The tally of a scan: how it judges, what it has counted and holds back, and its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import define, field, frozen

from ..domain.discovery import Arrival, Noted
from ..domain.scans import FolderRecord, ScanReport
from ..domain.storage import Storage
from .scan_walk import FolderContents, WalkStep

SKIPPED_SHOWN = 1000
"""So many files that were passed over, at most, are named in a report."""


@frozen(kw_only=True)
class ScanOptions:
    """How a scan judges: the quiet period, and which sidecar policies are on."""

    quiet: timedelta
    policies: frozenset[str] = frozenset()


@define(kw_only=True)
class Tally:
    """What a running scan has counted and still holds back; ``first`` says that nothing is known yet."""

    storage: Storage
    options: ScanOptions
    first: bool
    known: Mapping[str, FolderRecord]
    visited: set[str] = field(factory=set)
    counts: Counter[str] = field(factory=Counter)
    skipped: dict[str, str] = field(factory=dict)
    held: list[tuple[FolderContents, Arrival]] = field(factory=list)
    held_back: set[str] = field(factory=set)
    unmatched: int = 0
    unreadable: set[str] = field(factory=set)

    def take(self, step: WalkStep) -> None:
        """Count what a step of the walk brought."""
        self.visited |= step.visited
        self.unreadable |= step.unreadable
        self.counts["folders"] += len(step.visited)
        self.counts["seen"] += step.seen
        for path, reason in step.skipped:
            self.skip(path, reason)

    def hidden(self, path: str) -> bool:
        """Whether a path could not be looked at, so that not seeing it means nothing."""
        return any(path == top or path.startswith(f"{top}/") for top in self.unreadable)

    def skip(self, path: str, reason: str) -> None:
        """Count a file that was passed over, and remember the first ones by name."""
        self.counts["skipped"] += 1
        if len(self.skipped) < SKIPPED_SHOWN:
            self.skipped[path] = reason


def report(tally: Tally, number: int, started: datetime, duration: float) -> ScanReport:
    """What a scan that came to its end reports; ``duration`` is in seconds."""
    counts = tally.counts
    return ScanReport(
        storage_id=tally.storage.storage_id,
        number=number,
        started_at=started,
        duration_s=duration,
        folders=counts["folders"],
        seen=counts["seen"],
        new=counts["new"],
        changed=counts[Noted.CHANGED.value],
        became_ready=counts[Noted.STABLE.value] + counts[Noted.REPLACED.value],
        waiting=counts["waiting"],
        missing=counts[Noted.MISSING.value],
        returned=counts[Noted.RETURNED.value],
        moved_by_hand=counts[Noted.MOVED.value],
        unmatched_sidecars=tally.unmatched,
        skipped_count=counts["skipped"],
        skipped=dict(tally.skipped),
    )
