"""Where the demonstration is shown: tables and a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import TracebackType

from attrs import define, field
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from retaia_core.domain.scans import ScanReport
from retaia_core.shell.runtime import Notice

Row = Sequence[str]


def printable(text: str) -> str:
    r"""Show a text on one line whatever it contains: control and direction marks are escaped.

    >>> printable("pier\nfirst light")
    'pier\\nfirst light'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def console_for(*, as_json: bool) -> Console:
    """Standard output; with JSON, standard error, and only where a person looks on."""
    if as_json:
        return Console(stderr=True, highlight=False, quiet=not sys.stderr.isatty())
    return Console(highlight=False, emoji=False)


@define
class Stage:
    """Shows what happens, step by step; ``moving`` says whether lines may change on a terminal."""

    console: Console
    moving: bool = True
    _step: int = field(default=0, init=False)

    @property
    def live(self) -> bool:
        """Whether a person looks on."""
        return self.console.is_terminal

    def step(self, title: str, text: str = "") -> None:
        """Begin a step."""
        self._step += 1
        self.say()
        heading = Text.assemble((f"{self._step}  {title}", "bold cyan"))
        if text:
            heading.append(f"  {text}", style="dim" if self.live else "")
        self._print(heading)

    def say(self, text: str = "", style: str = "") -> None:
        """One line."""
        self._print(Text(f"   {printable(text)}" if text else "", style=style))

    def command(self, line: str) -> None:
        """A command to be copied: never broken into two lines."""
        self.console.print(Text(f"   {line}", style="cyan"), soft_wrap=True)

    def rows(self, rows: Sequence[Row], styles: Sequence[str] = ()) -> None:
        """A table without lines; ``styles`` are those of its columns."""
        if self.live:
            self.console.print(Padding(_grid(rows, styles), (0, 0, 0, 3)))
            return
        for line in _lines([[printable(cell) for cell in row] for row in rows]):
            self._print(Text(f"   {line}"))

    def box(self, title: str, rows: Sequence[Row], styles: Sequence[str], color: str) -> None:
        """A table with a title: in a frame on a terminal, else under its title."""
        if not rows:
            return
        if self.live:
            frame = Panel(_grid(rows, styles), title=title, title_align="left", border_style=color)
            self.console.print(frame)
            return
        self.say()
        self._print(Text(title))
        self.rows(rows)

    def _print(self, text: Text) -> None:
        self.console.print(text, soft_wrap=not self.live)


def padded(text: str, columns: int) -> str:
    """Fill a text up with spaces, so that lines which come one by one stand below each other."""
    return text + " " * max(0, columns - cell_len(text))


def _grid(rows: Sequence[Row], styles: Sequence[str]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for number in range(max(len(row) for row in rows)):
        grid.add_column(overflow="fold", style=styles[number] if number < len(styles) else "")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    return grid


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    """Rows as lines whose columns stand below each other."""
    columns = max(len(row) for row in rows)
    widths = [max(cell_len(row[i]) for row in rows if i < len(row)) for i in range(columns)]
    for row in rows:
        yield "  ".join(
            padded(cell, width) for cell, width in zip(row, widths, strict=False)
        ).rstrip()


@define
class Working:
    """What the agent is doing now: a few lines that change, on a terminal; use it as a context manager."""

    stage: Stage
    _live: Live | None = field(default=None, init=False)
    _paths: dict[str, str] = field(factory=dict, init=False)
    _running: dict[str, str] = field(factory=dict, init=False)
    _scan: str = field(default="", init=False)

    def __enter__(self) -> Working:
        if self.stage.live and self.stage.moving:
            self._live = Live(
                console=self.stage.console, refresh_per_second=6, transient=True
            ).__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    def __call__(self, notice: Notice) -> None:
        """Take notice of something that happened."""
        data = notice.data
        asset = str(data.get("asset_uuid", ""))
        match notice.name:
            case "scanned":
                report = data["report"]
                assert isinstance(report, ScanReport)
                self._scan = f"scan {report.number}: {report.waiting} not proven whole yet"
            case "agent.claimed":
                self._paths[asset] = self._running[asset] = _name(str(data["path"]))
            case "agent.progress":
                self._running[asset] = f"{self._paths.get(asset, '')}  {_share(notice)}"
            case "agent.bundle_done" | "agent.released" | "agent.lost":
                self._running.pop(asset, None)
        if self._live is not None:
            self._live.update(self._picture())

    def _picture(self) -> RenderableType:
        lines = [Text(f"   ▸ {text}", style="cyan") for text in list(self._running.values())[:4]]
        return Group(*lines, Text(f"   {self._scan}", style="dim"))


def _name(path: str) -> str:
    return printable(path.rpartition("/")[2])


def _share(notice: Notice) -> str:
    data = notice.data
    current, total = data["current"], data["total"]
    if isinstance(current, int) and isinstance(total, int) and total:
        return f"{data['text'] or data['job_type']} {100 * current // total} %"
    return f"{data['text'] or data['job_type']}"
