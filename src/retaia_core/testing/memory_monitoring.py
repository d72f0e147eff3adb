"""The part of the store in memory that answers those who watch over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from ..domain.batch_lines import BatchLine, BatchPlace, line_of
from ..domain.identifiers import BatchId, JobId, StorageId, Subject, folder_of
from ..domain.jobs import Job
from ..domain.journal import Event
from ..domain.leases import Lock, LockKind
from ..domain.moves import Batch, Outcome
from ..domain.scans import UnmatchedSidecar
from ..domain.workload import JobCount
from .memory_tables import Table


class WatchedTables(Protocol):
    """The tables that are counted and paged."""

    unmatched: Table[tuple[StorageId, str], tuple[UnmatchedSidecar, ...]]
    jobs: Table[JobId, Job]
    locks: Table[Subject, Lock]
    batches: Table[BatchId, Batch]
    events: Table[int, Event]


def _expiry(lock: Lock) -> tuple[datetime, str, str]:
    return lock.expires_at, lock.subject.kind, lock.subject.id


def _place(sidecar: UnmatchedSidecar) -> tuple[str, str, str]:
    return sidecar.storage_id, folder_of(sidecar.path), sidecar.path


class MemoryMonitoring:
    """Sums and pages over the tables."""

    _watched: WatchedTables

    def count_jobs(self) -> Sequence[JobCount]:
        """Count jobs that are alike."""
        counts = Counter(
            (job.job_type, job.status, job.capabilities, job.waiting)
            for job in self._watched.jobs.values()
        )
        return [
            JobCount(job_type=kind, status=status, capabilities=need, waiting=waiting, count=n)
            for (kind, status, need, waiting), n in counts.items()
        ]

    def count_locks(self, now: datetime) -> Mapping[LockKind, int]:
        """Count the locks that are held."""
        return Counter(lock.kind for lock in self._watched.locks.values() if lock.held(now))

    def held_locks(
        self, *, now: datetime, after: Lock | None = None, limit: int = 100
    ) -> Sequence[Lock]:
        """Page through them by their end."""
        held = (lock for lock in self._watched.locks.values() if lock.held(now))
        wanted = (lock for lock in held if after is None or _expiry(lock) > _expiry(after))
        return sorted(wanted, key=_expiry)[:limit]

    def unmatched_after(
        self, after: UnmatchedSidecar | None = None, *, limit: int = 100
    ) -> Sequence[UnmatchedSidecar]:
        """Page through them by their place."""
        known = (one for several in self._watched.unmatched.values() for one in several)
        wanted = (one for one in known if after is None or _place(one) > _place(after))
        return sorted(wanted, key=_place)[:limit]

    def batch_lines(
        self, before: BatchPlace | None = None, *, limit: int = 50
    ) -> Sequence[BatchLine]:
        """Count their results."""
        batches = self._watched.batches.values()
        undone = Counter(
            batch.undoes
            for batch in batches
            for result in batch.results
            if result.outcome is Outcome.MOVED
        )
        lines = (line_of(batch, undone[batch.batch_id]) for batch in batches)
        wanted = (line for line in lines if before is None or line.place < before)
        return sorted(wanted, key=lambda line: line.place, reverse=True)[:limit]

    def last_event(self) -> int:
        """The newest event's number."""
        return max(self._watched.events, default=0)

    def schema_current(self) -> bool:
        """There is no older memory."""
        return True
