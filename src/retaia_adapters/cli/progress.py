"""Live progress of a running program: a few lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType

from attrs import define, field
from rich.live import Live
from rich.table import Table
from rich.text import Text

from retaia_core.domain.scans import ScanReport
from retaia_core.shell.runtime import Notice

from .output import Output, printable

_NEWS = frozenset({"storage_online", "recovered", "leases_expired"})
"""What is kept in sight until there is newer news."""


def _scan_line(report: ScanReport) -> str:
    parts = [f"{report.seen} files seen"]
    for count, word in (
        (report.new, "new"),
        (report.became_ready, "ready"),
        (report.waiting, "waiting to be stable"),
        (report.changed, "changed"),
        (report.missing, "missing"),
        (report.returned, "returned"),
        (report.moved_by_hand, "moved by hand"),
        (report.unmatched_sidecars, "sidecars unmatched"),
        (report.skipped_count, "passed over"),
    ):
        if count:
            parts.append(f"{count} {word}")
    return report.problem or ", ".join(parts)


def _since(data: Mapping[str, object]) -> str:
    since = data["since"]
    return f" since {since.astimezone():%H:%M:%S}" if isinstance(since, datetime) else ""


def line_of(notice: Notice) -> str | None:
    """One line about something that happened; None where it is not worth one."""
    data = notice.data
    match notice.name:
        case "serving":
            return f"serving at {data['url']}"
        case "scanned":
            report = data["report"]
            assert isinstance(report, ScanReport)
            return f"scan {report.number}: {_scan_line(report)}"
        case "scan_failed":
            return f"scan failed: {data['error']}"
        case "leases_expired":
            return f"{data['count']} lease(s) ran out; their jobs are offered again"
        case "recovered":
            return f"batch {data['batch']} was brought to its end"
        case "batch_waits":
            return f"batch {data['batch']} waits: the storage of {data['left']} assets is away"
        case "storage_offline":
            return f"{data['root']} is offline{_since(data)}: {data['reason']}"
        case "storage_online":
            return f"{data['root']} is back; its work goes on"
        case "agent.claimed":
            jobs = data["jobs"]
            assert isinstance(jobs, list | tuple)
            return f"{printable(str(data['path']))}: {', '.join(map(str, jobs))}"
        case "agent.failed":
            return f"{data['job_type']} failed: {printable(str(data['message']))}"
        case "agent.unavailable":
            return f"{data['processor']} is not offered here: {data['reason']}"
        case "agent.offline":
            return f"the server does not answer ({data['error']}); trying again"
        case "agent.worker_died":
            return f"a worker process died: {data['message']}"
    return None


def _share(data: Mapping[str, object]) -> str:
    current, total = data["current"], data["total"]
    assert isinstance(current, int)
    assert isinstance(total, int)
    share = f" {100 * current // total} %" if total else ""
    return f"{data['text'] or data['job_type']}{share}"


@define(kw_only=True)
class ProgressView:
    """Shows notices. Use it as a context manager; call it with each notice."""

    out: Output
    quiet: bool = False
    _live: Live | None = None
    _scan: str = "scan: not yet"
    _address: str = ""
    _link: str = ""
    _done: int = 0
    _failed: int = 0
    _paths: dict[str, str] = field(factory=dict)
    _running: dict[str, str] = field(factory=dict)
    _offline: dict[str, str] = field(factory=dict)
    _waits: dict[str, str] = field(factory=dict)
    _news: str = ""
    _said: str = ""

    def __enter__(self) -> ProgressView:
        if self.out.live and not self.quiet:
            self._live = Live(
                self._picture(), console=self.out.errors, refresh_per_second=4, transient=True
            )
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def __call__(self, notice: Notice) -> None:
        self._note(notice)
        if self._live is not None:
            self._live.update(self._picture())
        elif not self.quiet and not self.out.as_json:
            self._print(notice)

    def _print(self, notice: Notice) -> None:
        line = line_of(notice)
        if line is None:
            return
        if notice.name in ("scanned", "scan_failed"):
            said = line.partition(":")[2]
            if said == self._said or (notice.name == "scanned" and self._offline):
                return  # It was said before; that a storage is offline was, too, and why.
            self._said = said
        self.out.tell(line)

    def _note(self, notice: Notice) -> None:
        data, line = notice.data, line_of(notice)
        if notice.name == "scanned" and line:
            self._scan = "scan: waits for the storage" if self._offline else line
        elif notice.name == "scan_failed" and line:
            self._scan = line
        elif notice.name == "scanning":
            self._scan = f"scanning: {data['seen']} files seen"
        elif notice.name == "serving" and line:
            self._address = line
        elif notice.name == "invited":
            self._link = str(data["url"])
        elif notice.name == "agent.submitted":
            self._done += 1
        elif notice.name == "agent.failed":
            self._failed += 1
        self._note_waiting(notice, line or "")
        self._note_running(notice)

    def _note_waiting(self, notice: Notice, line: str) -> None:
        """What cannot go on at present, and why; it stays in sight until it does."""
        data = notice.data
        if notice.name == "storage_offline":
            self._offline[str(data["storage"])] = f"{line} (nothing is touched; its work waits)"
        elif notice.name == "storage_online":
            self._offline.pop(str(data["storage"]), None)
        elif notice.name == "batch_waits":
            self._waits[str(data["batch"])] = line
        elif notice.name == "recovered":
            self._waits.pop(str(data["batch"]), None)
        if notice.name in _NEWS:
            self._news = f"{datetime.now(UTC).astimezone():%H:%M:%S} {line}"

    def _note_running(self, notice: Notice) -> None:
        data: Mapping[str, object] = notice.data
        asset = str(data.get("asset_uuid", ""))
        if notice.name == "agent.claimed":
            self._paths[asset] = self._running[asset] = printable(str(data["path"]))
        elif notice.name == "agent.progress":
            self._running[asset] = f"{self._paths.get(asset, asset)}: {_share(data)}"
        elif notice.name in ("agent.bundle_done", "agent.released", "agent.lost"):
            self._running.pop(asset, None)

    def _picture(self) -> Table:
        table = Table.grid(padding=(0, 1))
        if self._address:
            table.add_row("◉", Text(self._address, style="bold"))
        if self._link:
            table.add_row("→", Text(f"sign in (once, within 10 minutes): {self._link}"))
        for text in (*self._offline.values(), *self._waits.values()):
            table.add_row("⧗", Text(text, style="yellow"))
        if self._news:
            table.add_row("·", Text(self._news))
        table.add_row("⌕", Text(self._scan))
        table.add_row("✓", Text(f"{self._done} jobs done, {self._failed} failed"))
        for text in list(self._running.values())[:8]:
            table.add_row("▸", Text(text, style="cyan"))
        return table
