"""Every goal, with the sentence that says what is compared with what."""

from __future__ import annotations

import re

from attrs import frozen


@frozen(kw_only=True)
class Goal:
    """A bound on the ratios of some cases of a benchmark.

    ``case`` is a regular expression that is searched for in the names of its cases.
    """

    benchmark: str
    case: str
    compares: str
    at_most: float | None = None
    at_least: float | None = None

    def __attrs_post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"{self.benchmark}, {self.case!r}: one bound, and one only")

    def names(self, benchmark: str, case: str) -> bool:
        """Whether the goal is that of a case."""
        return self.benchmark == benchmark and re.search(self.case, case) is not None

    def met(self, ratio: float) -> bool:
        """Whether a ratio keeps the bound.

        >>> Goal(benchmark="b", case="c", compares="", at_most=1.05).met(1.05)
        True
        """
        if self.at_most is not None:
            return ratio <= self.at_most
        assert self.at_least is not None
        return ratio >= self.at_least

    def worst(self, ratios: list[float]) -> float:
        """The ratio that is furthest on the wrong side."""
        return max(ratios) if self.at_most is not None else min(ratios)

    def __str__(self) -> str:
        bound = self.at_least if self.at_most is None else self.at_most
        return f"{'≥' if self.at_most is None else '≤'} {bound:.3g}"


GOALS: tuple[Goal, ...] = (
    Goal(
        benchmark="media_video",
        case=r"review set / proxy by ffmpeg",
        at_most=1.05,
        compares="The review set of a clip (facts, proxy, storyboard, waveform), beside the `ffmpeg` "
        "program making the proxy alone with the same encoder settings; whole processes",
    ),
    Goal(
        benchmark="media_video",
        case=r"review set / four calls",
        at_most=0.7,
        compares="The review set of a clip, beside four separate calls of `ffprobe` and `ffmpeg`",
    ),
    Goal(
        benchmark="media_video",
        case=r"early outputs / four calls",
        at_most=0.10,
        compares="What needs no encoder (facts, storyboard, waveform), beside those four calls",
    ),
    Goal(
        benchmark="media_video",
        case=r"compliant source",
        at_most=0.05,
        compares="Copying a video that already is what its proxy must be, beside encoding it",
    ),
    Goal(
        benchmark="media_audio",
        case=r"review set of a WAV",
        at_most=0.5,
        compares="Facts, proxy and waveform of a long stereo WAV, beside the separate calls",
    ),
    Goal(
        benchmark="media_audio",
        case=r"facts of small files",
        at_most=0.1,
        compares="Facts of many small files by one worker, beside one call of `ffprobe` for each",
    ),
    Goal(
        benchmark="media_audio",
        case=r"compliant",
        at_most=0.05,
        compares="Copying a recording that already is what its proxy must be, beside `ffmpeg` "
        "encoding it",
    ),
    Goal(
        benchmark="agent",
        case=r"claim to last submit",
        at_most=1.05,
        compares="An embedded agent preparing a clip through a real server on loopback with SQLite, "
        "from the claim to the last submit, beside the same processor's call with the same tasks",
    ),
    Goal(
        benchmark="agent",
        case=r"worker start to last submit",
        at_most=1.05,
        compares="The same from the start of the worker process, beside a fresh process that calls "
        "the processor, its start included",
    ),
    Goal(
        benchmark="scan",
        case=r"walk again$",
        at_most=1.5,
        compares="The files adapter alone walking folders that did not change, beside a bare "
        "`os.scandir` walk with `stat`",
    ),
    Goal(
        benchmark="scan",
        case=r"scan again$",
        at_most=1.5,
        compares="A whole rescan in which nothing changed, beside the bare walk",
    ),
    Goal(
        benchmark="scan",
        case=r"first scan$",
        at_most=4.0,
        compares="The first scan, from nothing to every file an asset in SQLite, beside the bare walk",
    ),
    Goal(
        benchmark="scan",
        case=r", memory",
        at_most=2.0,
        compares="Memory that a scan of all files adds, beside a scan of a tenth of them (linear "
        "growth would be 10; flat is read as at most 2; less than 1 MiB counts as 1 MiB)",
    ),
    Goal(
        benchmark="moves",
        case=r"beside the bare loop",
        at_most=3,
        compares="Accepting and doing a batch of groups (an original and a sidecar), and taking it back, "
        "beside a bare loop that renames both files of each asset and writes one synced line of log",
    ),
    Goal(
        benchmark="moves",
        case=r"beside 2 s$",
        at_most=1,
        compares="Seconds from the restart after a crash in the middle of a batch until every asset that it "
        "interrupted is proven to be moved or not, beside 2 s",
    ),
    Goal(
        benchmark="moves",
        case=r"beside 2 s and",
        at_most=1,
        compares="Seconds from the restart after a crash in the middle of a batch to the batch's end, beside "
        "2 s and those that the bare loop takes for what was left",
    ),
    Goal(
        benchmark="moves",
        case=r"beside 5 s",
        at_most=1,
        compares="Seconds for planning the moves of all decided assets, beside 5 s",
    ),
    Goal(
        benchmark="moves",
        case=r"beside 4 KiB",
        at_most=1,
        compares="Memory that planning the moves of all decided assets adds, the plan included, beside 4 KiB "
        "an asset",
    ),
    Goal(
        benchmark="store",
        case=r"pairs/s beside the bare loop",
        at_least=1 / 3,
        compares="Claims and submits at the store's port, one commit each, beside a bare loop of the "
        "driver that runs the two SQL statements with the same durability; with several callers the "
        "port commits in groups",
    ),
    Goal(
        benchmark="store",
        case=r"longest queue beside the shortest",
        at_least=0.8,
        compares="Those pairs a second at the longest queue, beside the same at the shortest (flat is "
        "read as at least 0.8)",
    ),
    Goal(
        benchmark="store",
        case=r"beside Procrastinate's",
        at_least=5,
        compares="Claims and submits, beside Procrastinate's fetch and finish on the same PostgreSQL",
    ),
    Goal(
        benchmark="store",
        case=r"beside pgqueuer's",
        at_least=1,
        compares="Bundle claims and grouped submits, beside pgqueuer's batched dequeue and log",
    ),
    Goal(
        benchmark="store",
        case=r"p95 ms beside the bare query",
        at_most=3,
        compares="A page of assets at the store's port, beside the bare SQL of the same page; 95th "
        "percentiles; without HTTP",
    ),
    Goal(
        benchmark="fixity",
        case=r"large files",
        at_most=1.3,
        compares="`retaia verify` of large files, beside the `sha256sum` program over the same files; whole "
        "processes that read the disk",
    ),
    Goal(
        benchmark="fixity",
        case=r"small files",
        at_most=2,
        compares="`retaia verify` of small files with sidecars, beside `sha256sum` over the same files",
    ),
    Goal(
        benchmark="http",
        case=r"beside the bare query",
        at_most=3,
        compares="`GET /assets` over a socket, beside the bare SQL of the same page; 95th percentiles",
    ),
    Goal(
        benchmark="api",
        case=r"beside a bare endpoint",
        at_most=2,
        compares="Requests over a socket (jobs, claim + submit, assets, ranges of a proxy), beside an "
        "endpoint of the same framework in the same process that does the one necessary query or file "
        "read; times for the same number of requests, ours with its token checks, log and events",
    ),
    Goal(
        benchmark="web",
        case=r"on a key, p95 beside 50 ms",
        at_most=1,
        compares="In the browser: milliseconds from a key press to the next photo, or the first frame of the "
        "next clip, on the screen, beside 50 ms; 95th percentiles",
    ),
    Goal(
        benchmark="web",
        case=r"beside a bare page$",
        at_most=1,
        compares="The same, beside a bare page that fetches the same file from a plain file server and "
        "shows it",
    ),
    Goal(
        benchmark="web",
        case=r"first rows .*beside 500 ms",
        at_most=1,
        compares="In the browser: milliseconds from the start of the navigation to the first rows of the "
        "library on the screen, beside 500 ms",
    ),
    Goal(
        benchmark="web",
        case=r"^scrolling",
        at_most=1,
        compares="Frame times of the library while it is scrolled, beside two frames at 60 a second; 95th "
        "percentiles",
    ),
    Goal(
        benchmark="web",
        case=r"beside 250 kB",
        at_most=1,
        compares="All script and style of the interface, compressed, beside 250 kB",
    ),
    Goal(
        benchmark="web",
        case=r"beside 5 minutes",
        at_most=1,
        compares="From `retaia up FOLDER` in an empty home to the first decision in the browser on real "
        "media, beside 5 minutes",
    ),
)


def goal_of(benchmark: str, case: str) -> Goal | None:
    """The goal of a case; None where it is only for information."""
    return next((goal for goal in GOALS if goal.names(benchmark, case)), None)
