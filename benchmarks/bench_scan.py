"""How a scan compares with a bare walk: `os.scandir` with a `stat` of every file, and nothing else.

Ratios are taken within each round; the table shows their medians, with warm caches:

- *walk again*: the files adapter alone over folders that did not change;
- *first scan*: the whole use case with a new SQLite store, from nothing to every file an asset;
- *scan again*: the whole use case where nothing changed and nothing waits.

Memory is what each adds to a process (its peak less the peak before), for all files and for a tenth of
them: flat means that both are about the same.

    python benchmarks/bench_scan.py --files 100000 --rounds 3 --json scan.json
    RETAIA_BENCH_FILES=1000000 python benchmarks/bench_scan.py
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

PER_FOLDER = 100
PER_DAY = 50
STORAGE = "bench"
LONG_AGO = 1_600_000_000
SIDECAR_EVERY = 20


def make_tree(root: Path, files: int) -> Path:
    """An adopted storage: a day's folder has 50 cards, a card 100 files of one byte, some with XMP."""
    from retaia_adapters.files.marker import adopt
    from retaia_core.domain.identifiers import StorageId
    from retaia_core.domain.storage import Layout

    root.mkdir()
    adopt(root, Layout(), StorageId(STORAGE))
    for card in range(-(-files // PER_FOLDER)):
        folder = root / "INBOX" / f"2026-{card // PER_DAY:04d}" / f"card {card % PER_DAY:02d}"
        folder.mkdir(parents=True)
        for number in range(min(PER_FOLDER, files - card * PER_FOLDER)):
            sidecar = number % SIDECAR_EVERY == SIDECAR_EVERY - 1
            name = f"DSC_{number - sidecar:04d}.{'xmp' if sidecar else 'NEF'}"
            place = folder / name
            place.write_bytes(b"x")
            os.utime(place, (LONG_AGO, LONG_AGO + number))
    return root


def bare(root: Path) -> int:
    """Walk with `os.scandir` and look at every file; the number of files."""
    files = size = 0
    waiting = [os.fspath(root / "INBOX")]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
                    files += 1
    return files


def walk_again(root: Path) -> Callable[[], object]:
    """The adapter's walk where every folder is as it was."""
    from retaia_adapters.files.originals import FilesystemOriginals
    from retaia_core.domain.identifiers import StorageId
    from retaia_core.domain.storage import Layout

    def walk(known: dict[str, str]) -> Iterator[tuple[str, str]]:
        originals = FilesystemOriginals(root, StorageId(STORAGE))
        for found in originals.walk(Layout(), known.get):
            assert not (known and found.files)
            yield found.folder, found.digest

    known = dict(walk({}))

    def again() -> None:
        for folder, digest in walk(known):
            assert known[folder] == digest

    return again


def scan(root: Path, database: Path) -> float:
    """One scan by the use case; its seconds, without opening the store, which a server does once."""
    import anyio

    return anyio.run(_scan, root, database)


async def _scan(root: Path, database: Path) -> float:
    from retaia_adapters.files.driver import FilesystemDriver
    from retaia_adapters.sql.store import open_store
    from retaia_core.catalog import builtin_catalog
    from retaia_core.domain.actors import Actor, ActorKind
    from retaia_core.domain.identifiers import StorageId
    from retaia_core.domain.storage import Layout
    from retaia_core.shell.clock import RandomIds, SystemClock
    from retaia_core.usecases.discovery import Discovery
    from retaia_core.usecases.scan_tally import ScanOptions
    from retaia_core.usecases.storages import Storages

    store = open_store(f"sqlite:///{database}")
    await store.prepare()
    try:
        clock, ids, catalog = SystemClock(), RandomIds(), builtin_catalog()
        storages = Storages(
            store=store, clock=clock, ids=ids, driver=FilesystemDriver(), catalog=catalog
        )
        person = Actor(kind=ActorKind.PERSON, id="bench")
        await storages.adopt(person, str(root), Layout())
        discovery = Discovery(store=store, clock=clock, ids=ids, catalog=catalog, storages=storages)
        options = ScanOptions(quiet=timedelta(0))
        start = time.perf_counter()
        report = await discovery.scan(StorageId(STORAGE), options)
        took = time.perf_counter() - start
        assert not report.problem, report.problem
        return took
    finally:
        await store.close()


def timed(work: Callable[[], object]) -> float:
    """Seconds that a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def round_of(root: Path, databases: Path, settled: Path) -> dict[str, dict[str, float]]:
    """Measure everything once; each case beside a bare walk of its own."""
    again = walk_again(root)
    fresh = databases / "fresh.sqlite"
    cases: dict[str, Callable[[], float]] = {
        "walk again": lambda: timed(again),
        "scan again": lambda: scan(root, settled),
        "first scan": lambda: scan(root, fresh),
    }
    figures = {}
    for name, work in cases.items():
        before = timed(lambda: bare(root))
        ours = work()
        plain = (before + timed(lambda: bare(root))) / 2
        figures[name] = {"bare_s": plain, "ours_s": ours, "ratio": ours / plain}
    for left in databases.glob("fresh.sqlite*"):
        left.unlink()
    return figures


def added_memory(case: str, root: Path, database: Path) -> float:
    """MiB that one case adds to the peak of a process of its own."""
    command = [sys.executable, __file__, "--memory", case, os.fspath(root), os.fspath(database)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout)


def _status_mib(key: str) -> float:
    """A line of the process's status on Linux, such as its peak (``VmHWM``), in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))


def memory(case: str, root: Path, database: Path) -> None:
    """Print what a case adds to this process; a small scan first loads everything that stays."""
    with tempfile.TemporaryDirectory() as name:
        small = make_tree(Path(name) / "small", 1000)
        scan(small, Path(name) / "small.sqlite")
        scan(small, Path(name) / "small.sqlite")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # The peak starts again from here.
    before = _status_mib("VmRSS")
    work: dict[str, Callable[[], object]] = {
        "walk again": walk_again(root),
        "first scan": lambda: scan(root, database),
        "scan again": lambda: scan(root, database),
    }
    work[case]()
    print(_status_mib("VmHWM") - before)


def settle(root: Path, database: Path) -> Path:
    """Scan until nothing waits: found, then stable, then seen with nothing to do."""
    for _ in range(3):
        scan(root, database)
    return database


def measure(folder: Path, files: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians of all cases, and their memory for all files and a tenth of them."""
    root = make_tree(folder / "storage", files)
    tenth = make_tree(folder / "tenth", files // 10)
    settled = settle(root, folder / "settled.sqlite")
    settled_tenth = settle(tenth, folder / "settled-tenth.sqlite")
    found = [round_of(root, folder, settled) for _ in range(rounds)]
    results = {}
    for case, goal in (("walk again", 1.5), ("scan again", 1.5), ("first scan", 4.0)):
        figures = {"goal": goal}
        for key in ("ratio", "ours_s", "bare_s"):
            figures[key] = statistics.median(one[case][key] for one in found)
        first = case == "first scan"
        figures["memory_mib"] = added_memory(case, root, folder / "m.sqlite" if first else settled)
        other = folder / "m-tenth.sqlite" if first else settled_tenth
        figures["memory_mib_of_a_tenth"] = added_memory(case, tenth, other)
        results[case] = figures
    return results


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    count = int(os.environ.get("RETAIA_BENCH_FILES", "100000"))
    parser.add_argument("--files", type=int, default=count)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to make the files (default: TMPDIR)")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--memory", nargs=3, metavar=("CASE", "ROOT", "DATABASE"), help="internal")
    options = parser.parse_args()
    if options.memory:
        case, root, database = options.memory
        memory(case, Path(root), Path(database))
        return
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="retaia-scan-"))
    try:
        results = measure(folder, options.files, options.rounds)
    finally:
        shutil.rmtree(folder)
    print(f"{options.files} files, medians of {options.rounds} rounds")
    print(f"{'case':<12}{'ratio':>8}{'goal':>6}{'ours s':>9}{'bare s':>9}{'MiB':>8}{'of 1/10':>9}")
    for case, row in results.items():
        print(
            f"{case:<12}{row['ratio']:>8.2f}{row['goal']:>6.1f}{row['ours_s']:>9.3f}"
            f"{row['bare_s']:>9.3f}{row['memory_mib']:>8.1f}{row['memory_mib_of_a_tenth']:>9.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps({"files": options.files, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
