"""Numbers for Prometheus, in a registry of their own for each server."""

from __future__ import annotations

from attrs import frozen
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from retaia_core.domain.scans import ScanReport
from retaia_core.ports.observer import Exposition, Levels

_FAST = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
_SLOW = (0.1, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)


@frozen
class Number:
    """One row of the reference: a number, what tells its series apart, and what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str
    buckets: tuple[float, ...] = ()


REQUESTS = Number(
    "retaia_request_seconds",
    "histogram",
    ("operation", "status"),
    "Requests, and how long it took until their answers began.",
    _FAST,
)
TRANSACTIONS = Number(
    "retaia_transaction_seconds",
    "histogram",
    ("kind", "outcome"),
    "Transactions of the store, their wait for a turn included.",
    _FAST,
)
SCANS = Number(
    "retaia_scan_seconds",
    "histogram",
    ("storage", "outcome"),
    "Scans, and how long they took.",
    _SLOW,
)
FILES = Number(
    "retaia_scan_files_total", "counter", ("storage", "found"), "Files by what scans found of them."
)
UPLOADS = Number("retaia_uploads_total", "counter", ("kind",), "Derived files that were published.")
UPLOAD_BYTES = Number(
    "retaia_upload_bytes_total", "counter", ("kind",), "Bytes of derived files that were published."
)
JOBS = Number("retaia_jobs", "gauge", ("type", "status"), "Jobs now.")
ASSETS = Number("retaia_assets", "gauge", ("state",), "Assets now.")
LOCKS = Number(
    "retaia_locks_held", "gauge", ("kind",), "Locks held now, the leases of jobs among them."
)
AGENTS = Number("retaia_agents_alive", "gauge", (), "Agents that were heard of lately.")

NUMBERS = (
    *(REQUESTS, TRANSACTIONS, SCANS, FILES, UPLOADS),
    *(UPLOAD_BYTES, JOBS, ASSETS, LOCKS, AGENTS),
)
"""Everything that is kept."""


class Metrics:
    """Every number that a server keeps. Children are looked up once, so that counting costs little."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._histogram(REQUESTS)
        self._transactions = self._histogram(TRANSACTIONS)
        self._scans = self._histogram(SCANS)
        self._files = self._counter(FILES)
        self._uploads = self._counter(UPLOADS)
        self._upload_bytes = self._counter(UPLOAD_BYTES)
        self._jobs = self._gauge(JOBS)
        self._assets = self._gauge(ASSETS)
        self._locks = self._gauge(LOCKS)
        self._agents = self._gauge(AGENTS)
        self._request_of: dict[tuple[str, int], Histogram] = {}
        self._transaction_of = {
            (kind, ok): self._transactions.labels(kind, "ok" if ok else "failed")
            for kind in ("read", "write")
            for ok in (True, False)
        }

    def _histogram(self, row: Number) -> Histogram:
        registry, buckets = self.registry, row.buckets
        return Histogram(row.name, row.text, row.labels, registry=registry, buckets=buckets)

    def _counter(self, row: Number) -> Counter:
        return Counter(row.name, row.text, row.labels, registry=self.registry)

    def _gauge(self, row: Number) -> Gauge:
        return Gauge(row.name, row.text, row.labels, registry=self.registry)

    def request(self, operation: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = self._request_of.get((operation, status))
        if known is None:
            known = self._requests.labels(operation, str(status))
            self._request_of[operation, status] = known
        known.observe(seconds)

    def transaction(self, kind: str, seconds: float, *, ok: bool) -> None:
        """Count a transaction."""
        self._transaction_of[kind, ok].observe(seconds)

    def scanned(self, report: ScanReport) -> None:
        """Count a scan and what it found."""
        storage = report.storage_id
        outcome = "failed" if report.problem else "ok"
        self._scans.labels(storage, outcome).observe(report.duration_s)
        found = {
            "seen": report.seen,
            "new": report.new,
            "changed": report.changed,
            "ready": report.became_ready,
            "missing": report.missing,
            "returned": report.returned,
            "moved_by_hand": report.moved_by_hand,
            "skipped": report.skipped_count,
        }
        for what, count in found.items():
            self._files.labels(storage, what).inc(count)

    def uploaded(self, kind: str, size: int) -> None:
        """Count a file that was published."""
        self._uploads.labels(kind).inc()
        self._upload_bytes.labels(kind).inc(size)

    def expose(self, levels: Levels) -> Exposition:
        """Write everything down, with the levels now."""
        for gauge in (self._jobs, self._assets, self._locks):
            gauge.clear()
        for (job_type, status), count in levels.jobs.items():
            self._jobs.labels(job_type, status.value).set(count)
        for state, count in levels.assets.items():
            self._assets.labels(state.value).set(count)
        for kind, count in levels.locks.items():
            self._locks.labels(kind.value).set(count)
        self._agents.set(levels.agents_alive)
        return Exposition(content_type=CONTENT_TYPE_LATEST, body=generate_latest(self.registry))
