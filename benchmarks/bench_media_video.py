"""Video work beside the separate tools that it replaces: medians of ratios, measured in one run.

    python benchmarks/bench_media_video.py --json video.json
    RETAIA_BENCH_SCALE=0.3 python benchmarks/bench_media_video.py      # clips of a third: a smoke test

Needs ``ffmpeg`` and ``ffprobe``. Every figure is the time of whole processes, start and imports
included. A round runs each contender once, one after the other, so that a ratio compares neighbours.
Limits hold for whole clips: on shorter ones, starting a process weighs more than its work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from attrs import asdict, frozen
from media_process import work

EARLY = ("extract_facts", "generate_thumbnails", "generate_audio_waveform")
PROXY = ("generate_proxy",)
REVIEW = (*EARLY, *PROXY)
RATE = 48_000
"""The sample rate of the clips, in Hz."""


@frozen(kw_only=True)
class Source:
    """A clip that the benchmark makes: key frames twice a second, as cameras write them."""

    name: str
    seconds: float
    size: str
    encoder: tuple[str, ...]
    rate: int = 25


@frozen(kw_only=True)
class Row:
    """One line of the table: a median ratio of two contenders, and the limit that it must keep.

    ``cpu_ratio`` compares the processor time that they took: it tells little of waiting, and stays
    true on a machine that others use as well.
    """

    clip: str
    what: str
    ratio: float
    limit: float
    seconds: float
    other_seconds: float
    cpu_ratio: float

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        return self.ratio <= self.limit


def sources(scale: float) -> tuple[Source, ...]:
    """The two clips of the issue, shortened by ``scale``."""
    return (
        Source(
            name="1080p H.264",
            seconds=60 * scale,
            size="1920x1080",
            encoder=("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"),
        ),
        Source(
            name="4K HEVC 10-bit",
            seconds=20 * scale,
            size="3840x2160",
            encoder=(
                *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
                *("-x265-params", "log-level=error"),
            ),
        ),
    )


def make(source: Source, path: Path) -> None:
    """Write a clip with moving detail, some noise, and stereo sound."""
    picture = f"testsrc2=size={source.size}:rate={source.rate},noise=alls=6:allf=t"
    sound = f"aevalsrc=0.4*sin(440*2*PI*t)|0.4*sin(660*2*PI*t):s={RATE}"
    run("ffmpeg", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound,
        "-t", str(source.seconds), *source.encoder, "-g", str(source.rate // 2),
        "-c:a", "aac", "-b:a", "192k", str(path))  # fmt: skip


def run(*command: str) -> None:
    """Run a tool quietly; an error ends the benchmark."""
    quiet = ("-v", "error", "-y", "-nostdin") if command[0] == "ffmpeg" else ()
    subprocess.run([command[0], *quiet, *command[1:]], check=True, stdout=subprocess.DEVNULL)


def proxy_by_tool(path: Path, out: Path) -> None:
    """The proxy alone, with the encoder settings of ours."""
    run("ffmpeg", "-i", str(path), "-map", "0:v:0", "-map", "0:a:0",
        "-vf", "scale=1280:720:flags=bicubic,format=yuv420p",
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-profile:v", "high", "-g", "50",
        "-c:a", "aac", "-b:a", "160k", "-aac_coder", "fast",
        "-movflags", "+faststart", str(out / "tool.mp4"))  # fmt: skip


def four_calls(path: Path, out: Path, seconds: float) -> None:
    """Facts, proxy, storyboard and waveform, each by a call of its own that gives as much as ours.

    Packets are counted, as our facts' durations are. The storyboard's call is one that suits every
    clip: with ``-skip_frame nokey`` it would take a third of the time, and give the same picture over and
    over where key frames are far apart, which a caller does not know beforehand. The peaks are those of
    1000 buckets over both channels.
    """
    run("ffprobe", "-v", "error", "-count_packets", "-show_format", "-show_streams",
        "-of", "json", str(path))  # fmt: skip
    proxy_by_tool(path, out)
    run("ffmpeg", "-i", str(path), "-vf", f"fps=10/{seconds},scale=480:-2", "-frames:v", "10",
        "-q:v", "3", str(out / "board-%02d.jpg"))  # fmt: skip
    peaks_by_tool(path, out, samples=max(1, round(seconds * RATE / 1000)))


def peaks_by_tool(path: Path, out: Path, samples: int) -> None:
    """The peak of each bucket of so many samples, and no other statistics."""
    what = "metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level"
    key = "lavfi.astats.Overall.Peak_level"
    filters = (
        f"asetnsamples={samples}:p=0",
        f"astats={what}",
        f"ametadata=print:key={key}:file={out / 'peaks.txt'}",
    )
    run("ffmpeg", "-i", str(path), "-map", "0:a:0", "-af", ",".join(filters), "-f", "null", "-")


def ours(path: Path, out: Path, jobs: Iterable[str]) -> None:
    """The same by this project, in a process of its own."""
    script = Path(__file__).with_name("media_process.py")
    subprocess.run([sys.executable, str(script), str(path), str(out), *jobs], check=True)


@frozen(kw_only=True)
class Taken:
    """Seconds by the clock, and of processors."""

    wall: float
    cpu: float


def timed(contender: Callable[[], None]) -> Taken:
    """What a contender takes, in this process and in those that it starts."""
    before, started = os.times(), time.perf_counter()
    contender()
    wall, after = time.perf_counter() - started, os.times()
    return Taken(wall=wall, cpu=sum(after[:4]) - sum(before[:4]))


def in_folder(contender: Callable[[Path], None]) -> Taken:
    """The same, with a fresh folder for the output."""
    with tempfile.TemporaryDirectory() as folder:
        return timed(lambda: contender(Path(folder)))


def compare(source: Source, path: Path, rounds: int) -> list[Row]:
    """The ratios of one clip."""
    contenders: dict[str, Callable[[Path], None]] = {
        "review set": lambda out: ours(path, out, REVIEW),
        "proxy by ffmpeg": lambda out: proxy_by_tool(path, out),
        "four calls": lambda out: four_calls(path, out, source.seconds),
        "early outputs": lambda out: ours(path, out, EARLY),
    }
    taken: dict[str, list[Taken]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            taken[name].append(in_folder(contender))
    pairs = (
        ("review set", "proxy by ffmpeg", 1.05),
        ("review set", "four calls", 0.7),
        ("early outputs", "four calls", 0.10),
    )
    return [_row(source.name, a, b, limit, taken) for a, b, limit in pairs]


def compare_copy(path: Path, folder: Path, rounds: int) -> Row:
    """Copying a source that already is a proxy, beside encoding the clip that it came from.

    Both are measured inside one process each: the start is the same for both.
    """
    copies: list[Taken] = []
    encodes: list[Taken] = []
    for number in range(rounds):
        out, again = folder / f"encode-{number}", folder / f"copy-{number}"
        out.mkdir()
        again.mkdir()
        encodes.append(timed(partial(work, path, out, PROXY)))
        copies.append(timed(partial(work, out / "proxy.mp4", again, PROXY)))
    taken = {"copied proxy": copies, "encoded proxy": encodes}
    return _row("compliant source", "copied proxy", "encoded proxy", 0.05, taken)


def _row(clip: str, one: str, other: str, limit: float, taken: dict[str, list[Taken]]) -> Row:
    pairs = list(zip(taken[one], taken[other], strict=True))
    return Row(
        clip=clip,
        what=f"{one} / {other}",
        ratio=round(statistics.median(a.wall / b.wall for a, b in pairs), 3),
        limit=limit,
        seconds=round(statistics.median(a.wall for a, _ in pairs), 2),
        other_seconds=round(statistics.median(b.wall for _, b in pairs), 2),
        cpu_ratio=round(statistics.median(a.cpu / max(b.cpu, 0.01) for a, b in pairs), 3),
    )


def show(rows: Iterable[Row]) -> None:
    """Print the table."""
    print("| clip | ratio of | median | limit | seconds | of CPU time |  |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        kept = "kept" if row.kept else "NOT kept"
        times = f"{row.seconds} / {row.other_seconds}"
        print(
            f"| {row.clip} | {row.what} | {row.ratio} | {row.limit} | {times} | {row.cpu_ratio} | {kept} |"
        )


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; 1 where a limit is not kept and ``--check`` was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--rounds", type=int, default=3)
    scale = float(os.environ.get("RETAIA_BENCH_SCALE", "1"))
    parser.add_argument("--scale", type=float, default=scale, help="length of the clips, 1 = whole")
    parser.add_argument("--check", action="store_true", help="fail where a limit is not kept")
    given = parser.parse_args(arguments)
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        print("ffmpeg and ffprobe are needed")
        return 2
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(sources(given.scale)):
            path = Path(folder) / f"clip-{number}.mp4"
            make(source, path)
            rows += compare(source, path, given.rounds)
        rows.append(compare_copy(Path(folder) / "clip-0.mp4", Path(folder), given.rounds))
    show(rows)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return int(given.check and not all(row.kept for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
