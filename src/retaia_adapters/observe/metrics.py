"""Numbers for Prometheus, in a registry of their own for each server."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from retaia_core.domain.scans import ScanReport
from retaia_core.ports.observer import Exposition, Levels

_FAST = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
_SLOW = (0.1, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)


class Metrics:
    """Every number that a server keeps. Children are looked up once, so that counting costs little."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._requests = Histogram(
            "retaia_request_seconds",
            "Requests answered, and how long they took.",
            ("operation", "status"),
            buckets=_FAST,
            registry=self.registry,
        )
        self._transactions = Histogram(
            "retaia_transaction_seconds",
            "Transactions of the store, with their wait.",
            ("kind", "outcome"),
            buckets=_FAST,
            registry=self.registry,
        )
        self._scans = Histogram(
            "retaia_scan_seconds",
            "Scans, and how long they took.",
            ("storage", "outcome"),
            buckets=_SLOW,
            registry=self.registry,
        )
        self._files = self._counter(
            "retaia_scan_files", "Files by what scans found of them.", ("storage", "found")
        )
        self._uploads = self._counter(
            "retaia_uploads", "Derived files that were published.", ("kind",)
        )
        self._upload_bytes = self._counter("retaia_upload_bytes", "Their bytes.", ("kind",))
        self._jobs = self._gauge("retaia_jobs", "Jobs now.", ("type", "status"))
        self._assets = self._gauge("retaia_assets", "Assets now.", ("state",))
        self._locks = self._gauge("retaia_locks_held", "Locks held now; leases too.", ("kind",))
        self._agents = self._gauge("retaia_agents_alive", "Agents heard of lately.", ())
        self._request_of: dict[tuple[str, int], Histogram] = {}
        self._transaction_of = {
            (kind, ok): self._transactions.labels(kind, "ok" if ok else "failed")
            for kind in ("read", "write")
            for ok in (True, False)
        }

    def _counter(self, name: str, text: str, labels: Iterable[str]) -> Counter:
        return Counter(name, text, tuple(labels), registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Iterable[str]) -> Gauge:
        return Gauge(name, text, tuple(labels), registry=self.registry)

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
