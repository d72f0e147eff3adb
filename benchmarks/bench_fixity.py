"""How `retaia verify` compares with `sha256sum` over the same files: whole processes, one after the other.

Each file's cached pages are dropped before each run, so that both read the disk. What verify does more:
it looks at every file before and after, and keeps in SQLite when each was verified.

- *large files*: as footage is, where the digest is what takes its time;
- *small files*: as photos with sidecars are, where the book-keeping is.

    python benchmarks/bench_fixity.py --large 4 --mib 512 --small 4000 --rounds 3 --json fixity.json
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
from collections.abc import Mapping
from pathlib import Path

LONG_AGO = 1_600_000_000
SMALL_BYTES = 256 * 1024
GOALS = {"large files": 1.3, "small files": 2.0}


def make_files(inbox: Path, count: int, size: int) -> None:
    """Files of chance; every second small one is the sidecar of the one before."""
    inbox.mkdir(parents=True)
    for number in range(count):
        sidecar = size == SMALL_BYTES and number % 2 == 1
        place = inbox / (f"DSC_{number - 1:06}.xmp" if sidecar else f"DSC_{number:06}.dng")
        with place.open("wb") as file:
            for _ in range(-(-size // 2**20)):
                file.write(os.urandom(min(size, 2**20)))
        os.utime(place, (LONG_AGO, LONG_AGO + number))


def forget(folder: Path) -> None:
    """Write everything out, and drop what memory holds of it."""
    os.sync()
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def timed(command: list[str], cwd: Path, environment: Mapping[str, str]) -> float:
    """Seconds of a process, which must succeed."""
    began = time.perf_counter()
    subprocess.run(
        command, cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL
    )  # fmt: skip
    return time.perf_counter() - began


def measure(folder: Path, count: int, size: int, rounds: int) -> dict[str, float]:
    """The median of the rounds' ratios, and of both times."""
    storage, inbox = folder / "storage", folder / "storage" / "INBOX"
    make_files(inbox, count, size)
    environment = {**os.environ, "RETAIA_DATA_DIR": str(folder / "data")}
    retaia = [sys.executable, "-m", "retaia_core"]
    for words in (
        ["storage", "adopt", str(storage)],
        *[["scan", "--quiet-period", "0"]] * 2,
        ["verify", "--rate", "0"],
    ):
        timed([*retaia, *words], folder, environment)
    bare = ["sh", "-c", "find INBOX -type f -print0 | xargs -0 sha256sum"]
    found = []
    for _ in range(rounds):
        forget(inbox)
        theirs = timed(bare, storage, environment)
        forget(inbox)
        ours = timed([*retaia, "verify", "--rate", "0"], folder, environment)
        found.append((ours / theirs, ours, theirs))
    ratio, ours, theirs = (statistics.median(column) for column in zip(*found, strict=True))
    mib = count * size / 2**20
    return {
        "ratio": ratio,
        "ours_s": ours,
        "sha256sum_s": theirs,
        "ours_mib_s": mib / ours,
        "sha256sum_mib_s": mib / theirs,
        "files": count,
        "mib": mib,
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--large", type=int, default=4, help="how many large files")
    parser.add_argument("--mib", type=int, default=512, help="MiB of each")
    parser.add_argument("--small", type=int, default=4000, help="how many files of 256 KiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to make the files (default: TMPDIR)")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    results = {}
    for case, count, size in (
        ("large files", options.large, options.mib * 2**20),
        ("small files", options.small, SMALL_BYTES),
    ):
        folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="retaia-fixity-"))
        try:
            results[case] = measure(folder, count, size, options.rounds) | {"goal": GOALS[case]}
        finally:
            shutil.rmtree(folder)
    print(f"medians of {options.rounds} rounds")
    print(f"{'case':<13}{'ratio':>7}{'goal':>6}{'verify MiB/s':>14}{'sha256sum MiB/s':>17}")
    for case, row in results.items():
        print(
            f"{case:<13}{row['ratio']:>7.2f}{row['goal']:>6.1f}{row['ours_mib_s']:>14.0f}"
            f"{row['sha256sum_mib_s']:>17.0f}"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
