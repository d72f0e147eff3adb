"""How a batch of moves compares with a bare loop of renames, and how long planning and recovery take.

Each asset is an original with one sidecar, a hundred assets to a folder; the store is SQLite.

- *apply*: accepting a plan and doing it (locks, journal, verification, states, history, everything
  durable), beside a bare loop on an equal tree that renames both files and writes one line of log for
  each asset, synced to the disk;
- *plan*: the preview of everything that is decided, with its digest, in seconds, and the memory that it
  adds, beside 4 KiB an asset (the plan itself is most of it);
- *undo*: taking the whole batch back, beside the same loop;
- *recovery*: the process is killed in the middle of a batch, and its reservation is over: seconds until
  what was interrupted is proven, and until the batch is done, beside 2 s and the bare loop over the rest.

    python benchmarks/bench_moves.py --assets 10000 --planned 100000 --rounds 3 --json moves.json
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import anyio

if TYPE_CHECKING:
    from retaia_core.domain.actors import Actor
    from retaia_core.domain.assets import Asset
    from retaia_core.domain.moves import Batch, MoveResult
    from retaia_core.ports.originals import OriginalsDriver
    from retaia_core.usecases.moves import Moves

T = TypeVar("T")

APPLY = "apply beside the bare loop"
UNDO = "undo beside the bare loop"
PROVEN = "from a crash in the middle until what it interrupted is proven, beside 2 s"
RECOVERY = "from a crash in the middle to the end, beside 2 s and the bare loop over what was left"
PLANNING = "planning everything that is decided, beside 5 s"
MEMORY = "memory that planning adds, beside 4 KiB an asset"

PER_FOLDER = 100
STORAGE = "bench"
LONG_AGO_NS = 1_600_000_000 * 10**9
AT = datetime(2026, 1, 1, tzinfo=UTC)
PERSON = "local/bench"


def places(assets: int) -> Iterator[tuple[str, str]]:
    """Original and sidecar of each asset, below a top folder."""
    for number in range(assets):
        stem = f"card {number // PER_FOLDER:04d}/DSC_{number % PER_FOLDER:04d}"
        yield f"{stem}.NEF", f"{stem}.xmp"


def make_tree(root: Path, assets: int) -> Path:
    """An adopted storage whose inbox has so many assets."""
    from retaia_adapters.files.marker import adopt
    from retaia_core.domain.identifiers import StorageId
    from retaia_core.domain.storage import Layout

    root.mkdir()
    adopt(root, Layout(), StorageId(STORAGE))
    for group in places(assets):
        for path in group:
            place = root / "INBOX" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"x")
            os.utime(place, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return root


def bare(root: Path, assets: int, first: int = 0) -> float:
    """Seconds of renaming both files of each asset and logging it, one synced line for each."""
    for folder in {Path(original).parent for original, _ in places(assets)}:
        (root / "ARCHIVE" / folder).mkdir(parents=True, exist_ok=True)
    log = os.open(root / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    inbox, archive = os.fspath(root / "INBOX"), os.fspath(root / "ARCHIVE")
    began = time.perf_counter()
    for number, (original, sidecar) in enumerate(places(assets)):
        if number < first:
            continue
        os.rename(f"{inbox}/{original}", f"{archive}/{original}")  # noqa: PTH104 - as bare as can be
        os.rename(f"{inbox}/{sidecar}", f"{archive}/{sidecar}")  # noqa: PTH104
        os.write(log, f"moved {original} and {sidecar} to {archive}\n".encode())
        os.fsync(log)
    seconds = time.perf_counter() - began
    os.close(log)
    return seconds


def decided(assets: int) -> Iterator[Asset]:
    """Kept photos with a sidecar, as a scan and a person leave them; facts as a camera's."""
    from retaia_core.domain.assets import Asset, AttachedSidecar
    from retaia_core.domain.identifiers import AssetId, ProfileName, RelPath, StorageId
    from retaia_core.domain.lifecycle import State, Verdict
    from retaia_core.domain.media import MediaType

    facts = {"media_format": "nef", "width": 8256, "height": 5504, "camera_model": "Z 8", "iso": 64}
    for number, (original, sidecar) in enumerate(places(assets)):
        shape = {"size": 1, "mtime_ns": LONG_AGO_NS}
        yield Asset(
            uuid=AssetId(str(UUID(int=number << 80 | 0x7 << 76 | 0x8 << 60))),
            storage_id=StorageId(STORAGE),
            path=RelPath(f"INBOX/{original}"),
            media_type=MediaType.PHOTO,
            profile=ProfileName("photo_standard"),
            created_at=AT,
            updated_at=AT,
            state=State.DECIDED_KEEP,
            state_since=AT,
            verdict=Verdict.KEEP,
            facts=dict(facts),
            sidecars=(AttachedSidecar(path=RelPath(f"INBOX/{sidecar}"), rule="exact", **shape),),
            **shape,
        )


@asynccontextmanager
async def opened(
    database: Path,
    *,
    ahead: timedelta = timedelta(),
    driver: OriginalsDriver | None = None,
) -> AsyncIterator[Moves]:
    """The use case over a database; its clock is ``ahead``."""
    from retaia_adapters.files.driver import FilesystemDriver
    from retaia_adapters.sql.store import open_store
    from retaia_core.catalog import builtin_catalog
    from retaia_core.shell.clock import RandomIds, SystemClock
    from retaia_core.usecases.moves import Moves
    from retaia_core.usecases.storages import Storages

    class Later(SystemClock):
        def now(self) -> datetime:
            return super().now() + ahead

    store, clock, ids = open_store(f"sqlite:///{database}"), Later(), RandomIds()
    await store.prepare()
    try:
        storages = Storages(
            store=store,
            clock=clock,
            ids=ids,
            driver=driver or FilesystemDriver(),
            catalog=builtin_catalog(),
        )
        yield Moves(store=store, clock=clock, ids=ids, storages=storages)
    finally:
        await store.close()


async def stock(database: Path, assets: int, storage: Path) -> None:
    """Fill a new database with decided assets of a storage."""
    from retaia_core.domain.identifiers import StorageId
    from retaia_core.domain.storage import Layout, Storage

    async with opened(database) as moves:
        known = Storage(
            storage_id=StorageId(STORAGE),
            root=os.fspath(storage),
            layout=Layout(),
            adopted_at=AT,
            adopted_by=PERSON,
            health_since=AT,
        )
        await moves.store.transact(lambda tx: tx.save_storage(known))
        every = list(decided(assets))
        for start in range(0, assets, 5_000):
            some = every[start : start + 5_000]
            await moves.store.transact(lambda tx, some=some: tx.add_assets(some))


def arrange(folder: Path, name: str, assets: int) -> tuple[Path, Path]:
    """A storage with decided assets, and its database."""
    root, database = make_tree(folder / name, assets), folder / f"{name}.sqlite"
    anyio.run(stock, database, assets, root)
    os.sync()
    gc.collect()
    return root, database


# What is measured


async def _plan(database: Path) -> tuple[float, int]:
    async with opened(database) as moves:
        began = time.perf_counter()
        plan = await moves.preview()
        assert plan.digest
        return time.perf_counter() - began, len(plan.moves)


async def _apply(database: Path) -> dict[str, float]:
    """Seconds of planning, accepting and doing everything that is decided, and of taking it back."""
    from retaia_core.usecases.undo import Undo

    async with opened(database) as moves:
        plan = await moves.preview()
        accepted, accept_s = await timed(moves.execute(_person(), plan, plan.digest))
        done, run_s = await timed(moves.run(accepted.batch_id))
        _check(done, len(plan.moves))
        undo = Undo(moves=moves)
        back, undo_plan_s = await timed(undo.preview(done.batch_id))
        accepted, undo_accept_s = await timed(undo.execute(_person(), back, back.digest))
        done, undo_run_s = await timed(moves.run(accepted.batch_id))
        _check(done, len(plan.moves))
    return {
        "accept_s": accept_s,
        "run_s": run_s,
        "undo_plan_s": undo_plan_s,
        "undo_accept_s": undo_accept_s,
        "undo_run_s": undo_run_s,
    }


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    """What some work answers, and its seconds."""
    began = time.perf_counter()
    answer = await work
    return answer, time.perf_counter() - began


def _person() -> Actor:
    from retaia_core.domain.actors import Actor, ActorKind

    return Actor(kind=ActorKind.PERSON, id=PERSON)


def _check(batch: Batch, moved: int) -> None:
    from retaia_core.domain.moves import Outcome

    outcomes = [result.outcome for result in batch.results]
    assert outcomes == [Outcome.MOVED] * moved, "the batch did not move what it should"


def crash(database: Path, files: int) -> None:
    """Do a batch in this process, and be killed before the rename that has this number."""
    from retaia_adapters.files.driver import FilesystemDriver
    from retaia_adapters.files.originals import FilesystemOriginals
    from retaia_core.domain.identifiers import StorageId
    from retaia_core.ports.originals import Moved, Progress, no_progress

    left = files

    class Deadly(FilesystemOriginals):
        def rename(self, source: str, target: str, progress: Progress = no_progress) -> Moved:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().rename(source, target, progress)

    class Driver(FilesystemDriver):
        def open(self, root: str, storage_id: StorageId) -> Deadly:
            return Deadly(Path(root), storage_id)

    async def work() -> None:
        async with opened(database, driver=Driver()) as moves:
            plan = await moves.preview()
            batch = await moves.execute(_person(), plan, plan.digest)
            await moves.run(batch.batch_id)

    anyio.run(work)


async def _recover(database: Path) -> tuple[float, float]:
    """Seconds until what a crash interrupted is proven, and until the whole batch is done."""
    first: list[float] = []

    def progress(result: MoveResult) -> None:
        if not first:
            first.append(time.perf_counter())

    async with opened(database, ahead=timedelta(minutes=1)) as moves:
        began = time.perf_counter()
        (batch,) = await moves.store.read(lambda tx: tx.batches(open_only=True))
        done = await moves.run(batch.batch_id, progress)
        ended = time.perf_counter()
        _check(done, len(batch.results))
    return first[0] - began, ended - began


def recovery(folder: Path, name: str, assets: int) -> dict[str, float]:
    """Kill a process in the middle of a batch, and go on where it was."""
    _, database = arrange(folder, name, assets)
    half = assets // 2
    inside = half * 2 + 41  # In the middle of a chunk, and of a group.
    command = [sys.executable, __file__, "--crash", os.fspath(database), str(inside)]
    killed = subprocess.run(command, check=False)
    assert killed.returncode == -signal.SIGKILL, "the process was to be killed"
    proven_s, done_s = anyio.run(_recover, database)
    rest = bare(make_tree(folder / f"{name} bare", assets), assets, first=half)
    return {"proven_s": proven_s, "done_s": done_s, "bare_rest_s": rest}


def round_of(folder: Path, number: int, assets: int) -> dict[str, dict[str, float]]:
    """Measure everything once on trees of its own."""
    _, database = arrange(folder, f"storage {number}", assets)
    before = bare(make_tree(folder / f"bare {number}", assets), assets)
    ours = anyio.run(_apply, database)
    plain = (before + bare(make_tree(folder / f"bare again {number}", assets), assets)) / 2
    apply_s = ours["accept_s"] + ours["run_s"]
    undo_s = ours["undo_accept_s"] + ours["undo_run_s"]
    again = recovery(folder, f"crash {number}", assets)
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return {
        APPLY: {
            "ratio": apply_s / plain,
            "ours_s": apply_s,
            "bare_s": plain,
            "accept_s": ours["accept_s"],
        },
        UNDO: {
            "ratio": undo_s / plain,
            "ours_s": undo_s,
            "bare_s": plain,
            "plan_s": ours["undo_plan_s"],
        },
        PROVEN: {"ratio": again["proven_s"] / 2, "ours_s": again["proven_s"]},
        RECOVERY: {
            "ratio": again["done_s"] / (2 + again["bare_rest_s"]),
            "ours_s": again["done_s"],
            "bare_s": again["bare_rest_s"],
        },
    }


def plan_of(folder: Path, assets: int, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds and memory of planning many."""
    _, database = arrange(folder, "many", assets)
    seconds = [anyio.run(_plan, database) for _ in range(rounds)]
    assert {count for _, count in seconds} == {assets}
    found = statistics.median(s for s, _ in seconds)
    command = [sys.executable, __file__, "--memory", os.fspath(database)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    added = float(said)
    return {
        PLANNING: {"ratio": found / 5, "ours_s": found, "assets": assets},
        MEMORY: {"ratio": added * 256 / assets, "ours_mib": added, "assets": assets},
    }


def _status_mib(key: str) -> float:
    """A line of the process's status on Linux, such as its peak (``VmHWM``), in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))


def memory(database: Path) -> None:
    """Print the MiB that planning adds to the peak of this process."""
    with tempfile.TemporaryDirectory() as name:
        _, small = arrange(Path(name), "small", 100)
        anyio.run(_plan, small)
    Path("/proc/self/clear_refs").write_text("5")  # The peak starts again from here.
    before = _status_mib("VmRSS")
    anyio.run(_plan, database)
    print(_status_mib("VmHWM") - before)


GOALS = {APPLY: 3.0, UNDO: 3.0, PROVEN: 1.0, RECOVERY: 1.0, PLANNING: 1.0, MEMORY: 1.0}


def measure(folder: Path, assets: int, planned: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians of all cases."""
    found = [round_of(folder, number, assets) for number in range(rounds)]
    medians = {
        case: {key: statistics.median(one[case][key] for one in found) for key in figures}
        for case, figures in found[0].items()
    }
    medians |= plan_of(folder, planned, rounds)
    return {case: {**figures, "goal": GOALS[case]} for case, figures in medians.items()}


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--assets", type=int, default=10_000, help="in a batch")
    parser.add_argument("--planned", type=int, default=100_000, help="in a plan")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to make the files (default: TMPDIR)")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--crash", nargs=2, metavar=("DATABASE", "RENAMES"), help="internal")
    parser.add_argument("--memory", type=Path, metavar="DATABASE", help="internal")
    options = parser.parse_args()
    if options.crash:
        crash(Path(options.crash[0]), int(options.crash[1]))
        return
    if options.memory:
        memory(options.memory)
        return
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="retaia-moves-"))
    try:
        results = measure(folder, options.assets, options.planned, options.rounds)
    finally:
        shutil.rmtree(folder)
    print(f"{options.assets} assets with a sidecar each, medians of {options.rounds} rounds")
    for case, row in results.items():
        figures = ", ".join(f"{k} {v:.2f}" for k, v in row.items() if k not in ("ratio", "goal"))
        said = "met" if row["ratio"] <= row["goal"] else "NOT MET"
        print(f"{case}: {row['ratio']:.2f} (goal {row['goal']:g}, {said}); {figures}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
