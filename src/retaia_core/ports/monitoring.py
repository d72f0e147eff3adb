"""What the store answers to those who watch over it; part of the store port's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from ..domain.batch_lines import BatchLine, BatchPlace
from ..domain.leases import Lock, LockKind
from ..domain.scans import UnmatchedSidecar
from ..domain.workload import JobCount


class MonitoringTransaction(Protocol):
    """Sums and pages, each one statement; reads only."""

    def count_jobs(self) -> Sequence[JobCount]:
        """How many jobs there are of each type, status and capabilities, waiting or not."""
        ...

    def count_locks(self, now: datetime) -> Mapping[LockKind, int]:
        """How many locks of each kind are held now; a kind that nobody holds may be left out."""
        ...

    def held_locks(
        self, *, now: datetime, after: Lock | None = None, limit: int = 100
    ) -> Sequence[Lock]:
        """The locks held now that end after the one given (its time and subject), soonest first.

        One that is extended between two pages moves back: it may be seen twice, and is never missed.
        """
        ...

    def unmatched_after(
        self, after: UnmatchedSidecar | None = None, *, limit: int = 100
    ) -> Sequence[UnmatchedSidecar]:
        """Unmatched sidecars by storage, folder and path, after the place of the one given."""
        ...

    def batch_lines(
        self, before: BatchPlace | None = None, *, limit: int = 50
    ) -> Sequence[BatchLine]:
        """Batches in numbers, newest first, from before a place on."""
        ...

    def last_event(self) -> int:
        """The number of the newest event of the audit trail; 0 where there is none."""
        ...

    def schema_current(self) -> bool:
        """Whether the tables are those that this program knows."""
        ...
