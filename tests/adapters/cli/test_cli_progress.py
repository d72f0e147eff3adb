"""What a person sees while a storage is away, live and as lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from retaia_adapters.cli.output import Output
from retaia_adapters.cli.progress import ProgressView
from retaia_core.domain.scans import ScanReport
from retaia_core.shell.notices import Notice
from retaia_core.testing import samples
from retaia_core.testing.clock import START

STORAGE = {"storage": "nas", "root": "/mnt/nas", "reason": "the disk is full", "since": START}
AWAY = Notice(name="storage_offline", data=STORAGE)
BACK = Notice(name="storage_online", data=STORAGE)
WAITS = Notice(name="batch_waits", data={"batch": "b1", "left": 7})
ENDED = Notice(name="recovered", data={"batch": "b1"})


def scanned(problem: str = "") -> Notice:
    """A scan that came to its end."""
    report = ScanReport(
        storage_id=samples.NAS, number=3, started_at=START, duration_s=1, problem=problem
    )
    return Notice(name="scanned", data={"report": report})


def picture(view: ProgressView) -> str:
    """The live picture as text."""
    console = Console(file=io.StringIO(), width=200)
    console.print(view._picture())
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_the_live_view() -> None:
    """What waits stays in sight with its reason until it goes on; then that is the news."""
    view = ProgressView(out=Output(as_json=False), quiet=True)
    for notice in (AWAY, WAITS, scanned("storage nas is offline")):
        view(notice)
    away = picture(view)
    assert "/mnt/nas is offline since" in away
    assert "the disk is full (nothing is touched; its work waits)" in away
    assert "batch b1 waits: the storage of 7 assets is away" in away
    assert "scan: waits for the storage" in away
    for notice in (BACK, ENDED, scanned()):
        view(notice)
    back = picture(view)
    assert "offline" not in back
    assert "batch b1 was brought to its end" in back
    assert "scan 3: 0 files seen" in back


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere than on a terminal each change is one line, and scans in vain are none."""
    with ProgressView(out=Output(as_json=False)) as view:
        for notice in (AWAY, scanned("offline"), WAITS, scanned("offline"), BACK, ENDED, scanned()):
            view(notice)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0].split(" since")[0] for line in said] == [
        "/mnt/nas is offline",
        "batch b1 waits",
        "/mnt/nas is back; its work goes on",
        "batch b1 was brought to its end",
        "scan 3",
    ]


def test_a_scan_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands in the live picture; as lines it is told once, and once more when it works again."""
    full = Notice(name="scan_failed", data={"error": "the disk of the database is full"})
    live = ProgressView(out=Output(as_json=False), quiet=True)
    live(full)
    assert "scan failed: the disk of the database is full" in picture(live)
    with ProgressView(out=Output(as_json=False)) as view:
        for notice in (scanned(), full, full, full, scanned(), scanned()):
            view(notice)
    assert capsys.readouterr().err.splitlines() == [
        "scan 3: 0 files seen",
        "scan failed: the disk of the database is full",
        "scan 3: 0 files seen",
    ]
