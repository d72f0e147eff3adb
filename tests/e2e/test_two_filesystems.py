"""A storage whose archive is another disk: moved there and taken back, with it full, closed, or gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from retaia_tests.kill_points import Killer, MortalOriginals
from retaia_tests.kill_stories import (
    FILES,
    LATER,
    NAS,
    PERSON,
    Shop,
    apply,
    decide,
    opened,
    prepare,
)
from retaia_tests.machine import Machine
from retaia_tests.mounts import filesystem, remount, show, take_away
from retaia_tests.trees import tree

from retaia_adapters.files.crossing import Step
from retaia_core.domain.lifecycle import State
from retaia_core.domain.moves import Batch, Outcome
from retaia_core.domain.storage import Layout
from retaia_core.errors import StorageOffline
from retaia_core.usecases.scan_tally import ScanOptions

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

BACK = {path: content for path, content in FILES.items() if path.startswith("INBOX/")}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The other disk, of 1 MiB, where it always is."""
    with filesystem(tmp_path / "disk", kilobytes=1024) as place:
        (place / "archive").mkdir()
        yield place


@pytest.fixture
def root(tmp_path: Path, disk: Path) -> Iterator[Path]:
    """A folder whose archive is on the other disk."""
    root = tmp_path / "nas"
    archive = root / "ARCHIVE"
    show(disk / "archive", archive)
    assert root.stat().st_dev != archive.stat().st_dev
    yield root
    while archive.is_mount():
        take_away(archive)


@pytest.fixture
async def shop(tmp_path: Path, root: Path) -> AsyncIterator[Shop]:
    """A program over that storage, with three decided photos."""
    async with opened(f"sqlite:///{tmp_path / 'retaia.db'}", root, Killer()) as shop:
        await prepare(shop)
        await decide(shop)
        yield shop


def files(root: Path) -> dict[str, bytes]:
    """Every file of the three folders, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".retaia"
    }


def below(root: Path, top: str) -> list[str]:
    """What is in one of the folders, without what stood there before."""
    return sorted(path for path in files(root) if path.startswith(top) and path not in FILES)


async def batch(shop: Shop) -> Batch:
    """Move what is decided; the report."""
    return await shop.moves.report(await apply(shop))


async def moved_after_all(shop: Shop, root: Path) -> None:
    """What could not go before goes now: all content is there once, and nothing is in the inbox."""
    plan = await shop.moves.preview()
    if plan.moves:
        again = await shop.moves.execute(PERSON, plan, plan.digest)
        await shop.moves.run(again.batch_id)
    assert below(root, "INBOX/") == []
    assert not any(path.startswith("INBOX/") for path in files(root))
    assert sorted(files(root).values()) == sorted(FILES.values())
    assert not any("/." in path for path in files(root))


async def test_there_and_back(shop: Shop, root: Path) -> None:
    """Moved across and taken back, every file is as it was: content, time, permissions, name."""
    secret = root / "INBOX" / "a.jpg"
    secret.chmod(0o640)
    before = {path: os.lstat(root / path) for path in FILES}
    report = await batch(shop)
    assert {result.outcome for result in report.results} == {Outcome.MOVED}
    assert len(below(root, "ARCHIVE/")) == 4
    assert not any("/." in path for path in files(root))
    plan = await shop.undo.preview(report.batch_id)
    undone = await shop.undo.execute(PERSON, plan, plan.digest)
    await shop.moves.run(undone.batch_id)
    assert files(root) == FILES
    for path, was in before.items():
        now = os.lstat(root / path)
        assert (now.st_mtime_ns, now.st_mode, now.st_uid) == (
            was.st_mtime_ns,
            was.st_mode,
            was.st_uid,
        )


async def test_a_full_disk(shop: Shop, root: Path, disk: Path) -> None:
    """What has no room stays whole where it is, with the reason; the rest moves; with room, all does."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (1024 - 60) * 1024)
    report = await batch(shop)
    outcomes = {r.move.files[0].source: (r.outcome, r.error) for r in report.results}
    assert outcomes["INBOX/day/c.jpg"][0] is Outcome.MOVED
    for path in ("INBOX/a.jpg", "INBOX/day/b.jpg"):
        outcome, said = outcomes[path]
        assert outcome is Outcome.FAILED
        assert "no space" in said
        assert f"{len(FILES[path])} bytes" in said
        assert (await shop.asset(path)).state is State.DECIDED_KEEP
    kept = {path: content for path, content in BACK.items() if "c." not in path}
    assert {path: c for path, c in files(root).items() if path.startswith("INBOX/")} == kept
    assert below(root, "ARCHIVE/") == []
    ballast.unlink()
    await moved_after_all(shop, root)


async def test_a_disk_with_room_for_half_a_group(shop: Shop, root: Path, disk: Path) -> None:
    """The original that found room comes back when its sidecar finds none: all or nothing."""
    sidecar = root / "INBOX" / "a.xmp"
    big = b"<x>" * 20_000
    sidecar.write_bytes(big)
    for _ in range(2):
        await shop.discovery.scan(NAS, ScanOptions(quiet=timedelta(0), policies=frozenset()))
    (disk / "ballast").write_bytes(b"x" * (1024 - 100) * 1024)
    plan = await shop.moves.preview(assets=[(await shop.asset("INBOX/a.jpg")).uuid])
    accepted = await shop.moves.execute(PERSON, plan, plan.digest)
    await shop.moves.run(accepted.batch_id)
    (result,) = (await shop.moves.report(accepted.batch_id)).results
    assert result.outcome is Outcome.FAILED
    assert "no space" in result.error
    assert below(root, "ARCHIVE/") == []
    assert (root / "INBOX" / "a.jpg").read_bytes() == FILES["INBOX/a.jpg"]
    assert sidecar.read_bytes() == big


async def test_a_disk_that_may_only_be_read(shop: Shop, root: Path, disk: Path) -> None:
    """Nothing goes there, nothing is changed and nothing has failed; written again, all goes by itself."""
    plan = await shop.moves.preview()
    accepted = await shop.moves.execute(PERSON, plan, plan.digest)
    remount(disk, "ro")
    try:
        await shop.moves.run(accepted.batch_id)
        storage = await shop.storages.look((await shop.storages.all())[0])
    finally:
        remount(disk, "rw")
    report = await shop.moves.report(accepted.batch_id)
    assert "read-only" in storage.health_reason
    assert {r.outcome for r in report.results} == {Outcome.PENDING}
    assert files(root) == FILES
    await ended_by_itself(shop, report)
    await moved_after_all(shop, root)


async def test_an_undo_from_a_disk_that_may_only_be_read(
    shop: Shop, root: Path, disk: Path
) -> None:
    """Nothing is copied from where it cannot be removed; written again, all comes back by itself."""
    done = await batch(shop)
    before = files(root)
    plan = await shop.undo.preview(done.batch_id)
    undone = await shop.undo.execute(PERSON, plan, plan.digest)
    remount(disk, "ro")
    try:
        await shop.moves.run(undone.batch_id)
    finally:
        remount(disk, "rw")
    archived = {path: content for path, content in before.items() if "ARCHIVE" in path}
    assert archived.items() <= files(root).items()
    assert sorted(files(root).values()) == sorted(before.values())
    await ended_by_itself(shop, undone)
    assert files(root) == FILES


async def ended_by_itself(shop: Shop, batch: Batch) -> None:
    """The watchdog goes on with a batch after a while, and everything in it is done."""
    shop.clock.ahead += LATER
    await shop.storages.look((await shop.storages.all())[0])
    await shop.moves.recover()
    ended = await shop.moves.report(batch.batch_id)
    assert {result.outcome for result in ended.results} == {Outcome.MOVED}


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Step, Callable[[], None]], None]:
    """Do something once, when a move passes a step."""

    def arrange(step: Step, do: Callable[[], None]) -> None:
        waiting = [do]

        def passed(self: MortalOriginals, now: Step) -> None:
            if now is step and waiting:
                waiting.pop()()

        monkeypatch.setattr(MortalOriginals, "_passed", passed)

    return arrange


@pytest.mark.parametrize("step", [Step.COPIED, Step.VERIFIED, Step.PUBLISHED])
async def test_a_disk_that_is_pulled_in_the_middle(
    shop: Shop,
    root: Path,
    disk: Path,
    at_step: Callable[[Step, Callable[[], None]], None],
    step: Step,
) -> None:
    """No source goes, nothing lands in the folder under it, and the move ends when the disk is back."""
    at_step(step, lambda: take_away(root / "ARCHIVE"))
    report = await batch(shop)
    assert {path: c for path, c in files(root).items() if path.startswith("INBOX/")} == BACK
    assert set(files(root)) == set(BACK)
    assert {result.outcome for result in report.results} == {Outcome.PENDING}
    assert (await shop.asset("INBOX/a.jpg")).state is State.MOVE_QUEUED
    problem = shop.storages.open((await shop.storages.all())[0]).check()
    assert problem is not None
    assert "ARCHIVE" in problem
    show(disk / "archive", root / "ARCHIVE")
    await ended_by_itself(shop, report)
    await moved_after_all(shop, root)


async def test_an_archive_that_is_not_mounted_is_not_called_empty(shop: Shop, root: Path) -> None:
    """A scan without the disk finds nothing missing: it does not begin."""
    done = await batch(shop)
    take_away(root / "ARCHIVE")
    found = await shop.discovery.scan(NAS, ScanOptions(quiet=timedelta(0), policies=frozenset()))
    assert "ARCHIVE" in found.problem
    uuids = [result.asset for result in done.results]
    assets = await shop.store.read(lambda tx: tx.assets(uuids))
    assert {asset.flags for asset in assets.values()} == {frozenset()}
    with pytest.raises(StorageOffline):
        shop.storages.open((await shop.storages.all())[0]).stat("ARCHIVE/day/b.jpg")


async def test_an_archive_that_moved_to_the_first_disk_is_adopted_again(
    shop: Shop, root: Path, disk: Path
) -> None:
    """Where the other disk was given up on purpose, a person's word is enough; nothing is restarted."""
    await batch(shop)
    take_away(root / "ARCHIVE")
    shutil.copytree(disk / "archive", root / "ARCHIVE", dirs_exist_ok=True)
    (storage,) = await shop.storages.all()
    assert shop.storages.open(storage).check() is not None
    await shop.storages.adopt(PERSON, str(root), Layout())
    assert shop.storages.open(storage).check() is None
    found = await shop.discovery.scan(NAS, ScanOptions(quiet=timedelta(0), policies=frozenset()))
    assert (found.problem, found.missing) == ("", 0)


def test_a_person_does_not_see_two_disks(sqlite_machine: Machine, tmp_path: Path) -> None:
    """The commands, over a storage whose archive and rejects are disks of their own: applied and undone."""
    storage = tmp_path / "storage"
    (storage / "INBOX" / "day").mkdir(parents=True)
    for shade, name in enumerate(("a", "day/b", "day/c")):
        Image.new("RGB", (64, 48), (shade * 50, 90, 90)).save(storage / "INBOX" / f"{name}.jpg")
    (storage / "INBOX" / "a.xmp").write_text("<x/>")
    machine = sqlite_machine
    with filesystem(storage / "ARCHIVE"), filesystem(storage / "REJECTS"):
        assert machine.up(storage).code == 0
        before = tree(storage)
        assert machine.run("decide", "keep", "INBOX/a.jpg", "INBOX/day/b.jpg").code == 0
        assert machine.run("decide", "reject", "INBOX/day/c.jpg").code == 0
        done = machine.run("batch", "apply", "--yes", "--json")
        assert done.code == 0, done.errors
        moved = set(tree(storage))
        assert {"ARCHIVE/a.jpg", "ARCHIVE/a.xmp", "REJECTS/day/c.jpg"} <= moved
        assert not any(path.startswith("INBOX/") and path.endswith(".jpg") for path in moved)
        undone = machine.run("batch", "undo", done.document["batch_id"], "--yes", "--json")
        assert undone.code == 0, undone.errors
        assert tree(storage) == before
