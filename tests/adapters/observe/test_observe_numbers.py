"""The numbers that are kept are those of the reference, and counting them is cheap."""

from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from retaia_adapters.observe.metrics import NUMBERS
from retaia_adapters.observe.observer import MeasuringObserver
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.leases import LockKind
from retaia_core.domain.lifecycle import State
from retaia_core.domain.scans import ScanReport
from retaia_core.ports.observer import Levels
from retaia_core.testing import samples
from retaia_core.testing.clock import START

LEVELS = Levels(
    jobs={("extract_facts", JobStatus.PENDING): 3},
    assets={State.READY: 2},
    locks={LockKind.JOB_LEASE: 1},
    agents_alive=4,
)


def full() -> MeasuringObserver:
    """An observer that was told of everything once."""
    observer = MeasuringObserver()
    observer.request("listAssets", 200, 0.2)
    observer.transaction("write", 0.01, ok=False)
    observer.uploaded("thumb", 1000)
    report = ScanReport(
        storage_id=samples.NAS, number=1, started_at=START, duration_s=2.0, seen=7, new=5
    )
    observer.scanned(report)
    return observer


class TestNumbers:
    """What was told is what is answered."""

    def test_every_number_is_in_the_reference(self) -> None:
        """Names, types and labels are the table's, and nothing else is kept."""
        exposed = full().expose(LEVELS)
        families = list(text_string_to_metric_families(exposed.body.decode()))
        kept = {}
        for family in families:
            name = family.name + ("_total" if family.type == "counter" else "")
            if not family.name.endswith("_created"):
                labels = {label for s in family.samples for label in s.labels} - {"le"}
                kept[name] = (family.type, labels, family.documentation)
        assert kept == {n.name: (n.kind, set(n.labels), n.text) for n in NUMBERS}

    def test_values(self) -> None:
        """Counts, sums and levels are as they were told."""
        families = text_string_to_metric_families(full().expose(LEVELS).body.decode())
        found = {(s.name, *sorted(s.labels.values())): s.value for f in families for s in f.samples}
        assert found["retaia_request_seconds_count", "200", "listAssets"] == 1
        assert found["retaia_transaction_seconds_count", "failed", "write"] == 1
        assert found["retaia_upload_bytes_total", "thumb"] == 1000
        assert found["retaia_scan_files_total", "nas", "seen"] == 7
        assert found["retaia_scan_seconds_sum", "nas", "ok"] == 2
        assert found["retaia_jobs", "extract_facts", "pending"] == 3
        assert found["retaia_agents_alive",] == 4

    def test_what_is_gone_is_gone(self) -> None:
        """A level that is not there any more is not answered as it was."""
        observer = full()
        observer.expose(LEVELS)
        assert b"extract_facts" not in observer.expose(Levels()).body

    def test_counting_is_cheap(self) -> None:
        """Counting a request costs microseconds."""
        observer = MeasuringObserver()
        best = min(_spent(observer) for _ in range(5))
        assert best < 20e-6


def _spent(observer: MeasuringObserver) -> float:
    started = time.perf_counter()
    for _ in range(1000):
        observer.request("listAssets", 200, 0.001)
    return (time.perf_counter() - started) / 1000
