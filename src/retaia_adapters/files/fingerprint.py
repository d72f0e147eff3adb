"""Digests of whole files, taken by an agent: what the server verifies them against later.

Read-only and polite: at the pace that the job says, without changing an access time, and without filling
the machine's memory with what was read. Before a file is read its cached pages are dropped as well, so
that it is the disk that answers, not what memory still holds of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import field, frozen

from retaia_core.domain.fixity import ALGORITHM
from retaia_core.domain.job_types import FINGERPRINT
from retaia_core.domain.pacing import full, take
from retaia_core.ports.processor import (
    Availability,
    Done,
    Failed,
    Outcome,
    Progress,
    Report,
    Task,
    Work,
)

from . import fsio
from .disk import REAL, Disk, Stat

VERSION = "1"


class _Changed(Exception):
    """A file was written to while it was read."""


@frozen(kw_only=True)
class FingerprintProcessor:
    """Reads a source and its sidecars whole. ``clock`` and ``sleep`` are in steady seconds."""

    disk: Disk = REAL
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    name: str = field(default="fingerprint", init=False)
    version: str = field(default=VERSION, init=False)
    capabilities: frozenset[str] = field(default=frozenset({"media.fingerprint@1"}), init=False)
    job_types: frozenset[str] = field(default=frozenset({FINGERPRINT}), init=False)

    def availability(self) -> Availability:
        """Everywhere: the standard library has all that it needs."""
        return Availability(available=True)

    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        """Read the files of the group, the original first."""
        for task in work.tasks:
            yield self._fingerprint(work, task, report)

    def _fingerprint(self, work: Work, task: Task, report: Report) -> Outcome:
        rate = task.parameters.get("bytes_per_second", 0)
        assert isinstance(rate, int)
        try:
            tell = self._paced(rate, work, task, report)
            rows = [self._row(work.source, tell)]
        except _Changed as error:
            return Failed(
                job_id=task.job_id, code="SOURCE_CHANGED", message=str(error), retryable=True
            )
        except OSError as error:
            said = f"{work.source.name!r} cannot be read: {fsio.said(error)}"
            return Failed(job_id=task.job_id, code="IO_ERROR", message=said, retryable=True)
        warnings = []
        for sidecar in work.sidecars:
            try:
                rows.append(self._row(sidecar, tell))
            except (_Changed, OSError) as error:
                said = fsio.said(error) if isinstance(error, OSError) else str(error)
                warnings.append(f"no digest was taken of {sidecar.name!r}: {said}")
        return Done(job_id=task.job_id, data={"files": rows}, warnings=tuple(warnings))

    def _paced(self, rate: int, work: Work, task: Task, report: Report) -> Callable[[int], None]:
        """What is told of every block: it waits as the pace wants, and reports how far the work is."""
        total = sum(self.disk.stat(str(path)).st_size for path in (work.source, *work.sidecars))
        bucket, done = full(rate, self.clock()), 0

        def tell(count: int) -> None:
            nonlocal bucket, done
            done += count
            report(Progress(job_id=task.job_id, current=done, total=total, text="reading it whole"))
            bucket, seconds = take(bucket, rate, count, self.clock())
            if seconds:
                self.sleep(seconds)

        return tell

    def _row(self, path: Path, tell: Callable[[int], None]) -> dict[str, object]:
        """One file of the result.

        Raises:
            OSError: it cannot be read.
            _Changed: it was written to meanwhile.
        """
        disk, digest = self.disk, hashlib.new(ALGORITHM)
        with fsio.reading(disk, str(path)) as handle:
            before = disk.fstat(handle)
            self._forget(handle, 0, 0)
            start = 0
            for block in fsio.blocks(disk, handle):
                digest.update(block)
                self._forget(handle, start, len(block))
                start += len(block)
                tell(len(block))
            if _look(before) != _look(disk.fstat(handle)) or start != before.st_size:
                raise _Changed(f"{path.name!r} was written to while it was read")
        return {
            "name": path.name,
            "size_bytes": before.st_size,
            "mtime_ns": before.st_mtime_ns,
            "digest": f"{ALGORITHM}:{digest.hexdigest()}",
        }

    def _forget(self, handle: int, start: int, length: int) -> None:
        """Drop what memory holds of a part of a file; not every filesystem can."""
        with contextlib.suppress(OSError):
            self.disk.drop_cache(handle, start, length)


def _look(found: Stat) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
