"""How the work on sound compares with separate calls of Debian's ffmpeg and ffprobe.

Ratios are taken within each round, of whole processes, start-up included; the table shows their medians,
by the clock and by processor time (which a busy machine disturbs less). The sound is made here: chords
with decaying notes over soft noise.

    python benchmarks/bench_media_audio.py --rounds 3 --json audio.json
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

RATE = 48_000
BIT_RATE = "192k"
FACTS, PROXY, WAVEFORM = "extract_facts", "generate_proxy", "generate_audio_waveform"


def music(seconds: int, seed: int = 7) -> Iterator[bytes]:
    """Stereo 16-bit sound, a second at a time: four notes each second over soft noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(RATE) / RATE
    for _ in range(seconds):
        notes = 110 * 2 ** (rng.integers(0, 36, 4) / 12)
        voices = np.zeros((2, RATE))
        for note, at in zip(notes, (0, 0.25, 0.5, 0.75), strict=True):
            envelope = np.where(times >= at, np.exp(-4 * np.maximum(0, times - at)), 0)
            partials = sum(np.sin(2 * np.pi * note * k * times) / k for k in range(1, 6))
            pan = rng.uniform(0.2, 0.8)
            voices += np.outer([pan, 1 - pan], 0.3 * envelope * partials)
        voices += rng.normal(0, 0.01, voices.shape)
        yield (np.clip(voices, -1, 1) * 32767).astype("<i2").T.tobytes()


def write_music(path: Path, seconds: int, seed: int = 7) -> Path:
    """Write `music` as a WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for part in music(seconds, seed):
            file.writeframesraw(part)
    return path


def worker(tasks: str, workspace: str, *sources: str) -> None:
    """Do tasks on sources, as a worker process of the agent does."""
    from retaia_adapters.media.audio import process_audio
    from retaia_core.domain.media import MediaType
    from retaia_core.ports.processor import Done, Task, Work

    for source in sources:
        work = Work(
            source=Path(source),
            media_type=MediaType.AUDIO,
            tasks=tuple(Task(job_id=name, job_type=name) for name in tasks.split(",")),
            workspace=Path(workspace),
        )
        for outcome in process_audio(work, lambda _: None):
            if not isinstance(outcome, Done):
                raise SystemExit(f"{source}: {outcome}")


class Cost(NamedTuple):
    """What a command took: seconds by the clock, seconds of processor time."""

    clock: float
    cpu: float

    def plus(self, *others: Cost) -> Cost:
        """The cost of commands run one after the other."""
        return Cost(*map(sum, zip(self, *others, strict=True)))


def used() -> float:
    """Seconds of processor time of all commands so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(*command: str) -> Cost:
    """Run a command."""
    started, before = time.perf_counter(), used()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return Cost(time.perf_counter() - started, used() - before)


def ours(tasks: tuple[str, ...], workspace: Path, *sources: Path) -> Cost:
    """A process of ours that does tasks on sources."""
    paths = map(str, sources)
    return run(sys.executable, __file__, "--worker", ",".join(tasks), str(workspace), *paths)


def ffmpeg(*arguments: str | Path) -> Cost:
    """An ffmpeg call."""
    return run("ffmpeg", "-v", "error", "-y", *map(str, arguments))


def ffprobe(path: Path) -> Cost:
    """An ffprobe call."""
    return run("ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path))


def encode(source: Path, target: Path) -> Cost:
    """The proxy by ffmpeg."""
    aac = ("-vn", "-c:a", "aac", "-b:a", BIT_RATE, "-movflags", "+faststart")
    return ffmpeg("-i", source, *aac, target)


def peaks(source: Path, target: Path) -> Cost:
    """A thousand peaks, as numbers, by ffmpeg."""
    samples = int(float(source.stat().st_size) / 4 / 1000)
    key = "lavfi.astats.Overall.Peak_level"
    measures = "metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level"
    graph = f"asetnsamples={samples},astats={measures},ametadata=print:key={key}:file={target}"
    return ffmpeg("-i", source, "-af", graph, "-f", "null", "-")


def compared(mine: Cost, theirs: Cost, suffix: str = "") -> dict[str, float]:
    """The two ratios of one cost to another."""
    return {f"ratio{suffix}": mine.clock / theirs.clock, f"cpu{suffix}": mine.cpu / theirs.cpu}


Measure = Callable[[], dict[str, float]]


def review_set(folder: Path, seconds: int) -> Measure:
    """Facts, proxy and waveform of a long WAV."""
    source = write_music(folder / "long.wav", seconds)

    def measure() -> dict[str, float]:
        probed = ffprobe(source)
        encoded = encode(source, folder / "theirs.m4a")
        drawn = peaks(source, folder / "theirs.txt")
        separate = probed.plus(encoded, drawn)
        mine = ours((FACTS, PROXY, WAVEFORM), folder, source)
        quick = ours((FACTS, WAVEFORM), folder, source)
        return {
            **compared(mine, separate),
            **compared(quick, separate, "_without_proxy"),
            "separate_s": separate.clock,
            "ours_s": mine.clock,
        }

    return measure


def many_facts(folder: Path, files: int) -> Measure:
    """Facts of many small files: WAV, MP3, M4A and FLAC of 3 s."""
    sources = [write_music(folder / f"small-{n}.wav", 3, seed=n) for n in range(files // 4)]
    for wav in tuple(sources):
        for suffix in ("mp3", "m4a", "flac"):
            target = wav.with_suffix(f".{suffix}")
            ffmpeg("-i", wav, target)
            sources.append(target)

    def measure() -> dict[str, float]:
        first, *rest = [ffprobe(source) for source in sources]
        theirs = first.plus(*rest)
        mine = ours((FACTS,), folder, *sources)
        per_file = 1000 / len(sources)
        return {
            **compared(mine, theirs),
            "ffprobe_ms_a_file": theirs.clock * per_file,
            "ours_ms_a_file": mine.clock * per_file,
        }

    return measure


def compliant(folder: Path, seconds: int, suffix: str) -> Measure:
    """The proxy of a source that is one already, beside ffmpeg's and our own encoding of it."""
    wav = write_music(folder / f"for-{suffix}.wav", seconds)
    source = folder / f"compliant.{suffix}"
    ffmpeg("-i", wav, "-b:a", BIT_RATE, source)

    def measure() -> dict[str, float]:
        theirs = encode(source, folder / "theirs.m4a")
        mine = ours((PROXY,), folder, source)
        encoded = ours((PROXY,), folder, wav)
        return {
            **compared(mine, theirs),
            **compared(mine, encoded, "_to_our_encoding"),
            "ffmpeg_s": theirs.clock,
            "ours_s": mine.clock,
        }

    return measure


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each measure over the rounds."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=600, help="length of the long recordings")
    parser.add_argument("--files", type=int, default=200, help="number of small files")
    parser.add_argument("--only", default="", help="only the cases whose name holds this text")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases: dict[str, tuple[float, Callable[[], Measure]]] = {
            "review set of a WAV": (0.5, lambda: review_set(folder, options.seconds)),
            "facts of small files": (0.1, lambda: many_facts(folder, options.files)),
            "compliant MP3": (0.05, lambda: compliant(folder, options.seconds, "mp3")),
            "compliant M4A": (0.05, lambda: compliant(folder, options.seconds, "m4a")),
        }
        results: dict[str, dict[str, float]] = {}
        for case, (goal, prepare) in cases.items():
            if options.only in case:
                measure = prepare()
                rounds = [measure() for _ in range(options.rounds)]
                results[case] = {"goal": goal, **medians(rounds)}
    print(f"{'case':<24}{'goal':>6}{'ratio':>8}{'cpu':>8}   medians of {options.rounds} rounds")
    for case, figures in results.items():
        rest = [f"{k} {v:.3f}" for k, v in figures.items() if k not in {"goal", "ratio", "cpu"}]
        row = f"{case:<24}{figures['goal']:>6}{figures['ratio']:>8.3f}{figures['cpu']:>8.3f}"
        print(f"{row}   {', '.join(rest)}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
    else:
        main()
