"""Storages that go away, hang, fill up or fail, over ports in memory."""

from __future__ import annotations

import errno
import os
import threading
from datetime import timedelta

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.house import JPEG, PERSON, House, MemoryDriver

from retaia_core.domain.assets import Flag
from retaia_core.domain.health import FULL, MOST_PAUSE, READ_ONLY, Problem, silent
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.moves import BatchStatus, Outcome
from retaia_core.domain.storage import Health, Layout, Storage, Trouble
from retaia_core.errors import StorageOffline
from retaia_core.testing.memory_files import MemoryOriginals
from retaia_core.usecases.blocking import in_thread_of_its_own
from retaia_core.usecases.looking import Looking, Looks
from retaia_core.usecases.storages import Storages, storage_subject

NAS = StorageId("nas")
USB = StorageId("usb")


class Disk(MemoryOriginals):
    """Originals whose looks find what a test says, or do not answer; ``looks`` says which wrote."""

    def __init__(self, storage_id: str = "memory") -> None:
        super().__init__(storage_id)
        self.finds: Problem | None = None
        self.hangs: threading.Event | None = None
        self.looks: list[bool] = []
        self.of_their_own: set[str] = set()

    def mounts(self, layout: Layout) -> frozenset[str]:
        return frozenset(self.of_their_own)

    def probe(self, *, reserve: int, write: bool) -> Problem | None:
        self.looks.append(write)
        if self.hangs is not None:
            self.hangs.wait(30)
        return self.finds or super().probe(reserve=reserve, write=write)


@pytest.fixture
def disk() -> Disk:
    """The disk of the house."""
    return Disk()


@pytest.fixture
async def house(disk: Disk) -> House:
    """A house whose storage is adopted."""
    house = House(originals=disk)
    await house.start()
    return house


async def look(house: House) -> Storage:
    """The storage, as a look of now leaves it."""
    return await house.storages.look(await house.storages.get(house.originals.storage_id))


async def events(house: House) -> list[str]:
    """What was written down about the storage since it was adopted."""
    subject = storage_subject(house.originals.storage_id)
    found = await house.store.read(lambda tx: tx.events(subject))
    return [event.name for event in found if event.name != "storage.adopted"]


def fails(house: House, operation: str, number: int, path: str = "") -> None:
    """Let an operation (on one path, or on each) meet an error from now on."""

    def fault(name: str, where: str) -> None:
        if name == operation and path in ("", where):
            raise OSError(number, os.strerror(number))

    house.originals.fault = fault


class TestLooks:
    """A look has a deadline, and a storage that hangs is asked once."""

    async def test_a_hung_disk_is_given_up(self) -> None:
        """The answer comes in time, nobody asks again meanwhile, and a late end makes room for a look."""
        looks, gate = Looks(), threading.Event()
        asked: list[threading.Thread] = []

        def answer() -> None:
            asked.append(threading.current_thread())
            gate.wait(30)

        for _ in range(5):
            assert await looks.ask(NAS, answer, 0.05) == silent(0.05)
        assert len(asked) == 1
        assert asked[0].daemon
        assert await looks.ask(USB, lambda: None, 5) is None
        gate.set()
        await anyio.to_thread.run_sync(asked[0].join)
        assert await looks.ask(NAS, lambda: FULL, 5) is FULL

    async def test_many_who_ask_at_once(self) -> None:
        """One thread hangs, however many want to know, and each gets the answer."""
        looks, gate = Looks(), threading.Event()
        asked: list[int] = []
        answers: list[Problem | None] = []

        def answer() -> None:
            asked.append(1)
            gate.wait(30)

        async def ask() -> None:
            answers.append(await looks.ask(NAS, answer, 0.05))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
        gate.set()
        assert (len(asked), answers) == (1, [silent(0.05)] * 20)

    async def test_an_error_of_a_look_is_raised(self) -> None:
        """What nobody foresaw is no answer, and does not stay under way."""
        looks = Looks()

        def broken() -> None:
            raise ZeroDivisionError

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await looks.ask(NAS, broken, 5)

    async def test_a_cancelled_caller_does_not_wait(self) -> None:
        """Whoever gives up gets on, while the thread stays behind."""
        gate = threading.Event()
        with anyio.move_on_after(0.05) as scope:
            await in_thread_of_its_own(gate.wait, 30)
        assert scope.cancelled_caught
        gate.set()

    async def test_other_storages_go_on(self, house: House, disk: Disk) -> None:
        """While one storage hangs, another is scanned, and the event loop turns."""
        disk.hangs = threading.Event()
        hung = Storages(
            store=house.store, clock=house.clock, ids=house.ids, catalog=house.catalog,
            driver=MemoryDriver(disk), looking=Looking(answer_within=2),
        )  # fmt: skip
        other = House(originals=Disk("other"), store=house.store, clock=house.clock, ids=house.ids)
        await other.storages.adopt(PERSON, "/other", Layout(), "other")
        other.originals.add("INBOX/a.jpg")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hung.look, await hung.get(disk.storage_id))
            report = await other.scan()
            assert (await hung.get(disk.storage_id)).health is Health.ONLINE
        disk.hangs.set()
        assert (report.new, report.problem) == (1, "")
        assert (await hung.get(disk.storage_id)).trouble is Trouble.SILENT


class TestWhatALookSays:
    """Once per change, in the audit trail and to everybody."""

    async def test_a_change_is_written_down_once(self, house: House, disk: Disk) -> None:
        """Many looks with the same answer leave one event; so does coming back."""
        for finds in (None, READ_ONLY, READ_ONLY, READ_ONLY, None, None):
            disk.finds = finds
            house.clock.advance(MOST_PAUSE)
            await look(house)
        assert await events(house) == ["storage.offline", "storage.online"]

    async def test_scans_of_a_storage_that_is_away(self, house: House, disk: Disk) -> None:
        """Scan after scan of a lost mount leaves one event, and the same reason."""
        disk.marker = None
        problems = {(await house.scan()).problem for _ in range(4)}
        assert len(problems) == 1
        assert await events(house) == ["storage.offline"]
        reason = (await look(house)).health_reason
        assert reason == disk.check()

    async def test_nobody_looks_too_soon(self, house: House, disk: Disk) -> None:
        """After trouble it stays offline until the pause is over, but for a person who asks."""
        disk.finds = FULL
        await look(house)
        disk.finds = None
        count = len(disk.looks)
        for _ in range(10):
            house.clock.advance(timedelta(seconds=0.1))
            assert (await look(house)).trouble is Trouble.FULL
        assert len(disk.looks) == count
        storage = await house.storages.get(disk.storage_id)
        assert (await house.storages.look(storage, at_once=True)).health is Health.ONLINE
        assert disk.looks[-1] is True

    async def test_a_look_writes_only_after_trouble(self, house: House, disk: Disk) -> None:
        """While all is well nothing is written to look."""
        await look(house)
        assert set(disk.looks) == {False}

    async def test_only_a_full_disk_can_be_emptied(self, house: House, disk: Disk) -> None:
        """Who makes room gets a full disk, and no other that is offline."""
        disk.finds = FULL
        with pytest.raises(StorageOffline, match="the disk is full"):
            await house.storages.online(disk.storage_id)
        there = await house.storages.online(disk.storage_id, to_make_room=True)
        assert there.trouble is Trouble.FULL
        disk.finds = READ_ONLY
        house.clock.advance(MOST_PAUSE)
        with pytest.raises(StorageOffline, match="read-only"):
            await house.storages.online(disk.storage_id, to_make_room=True)


class TestFoldersThatAreDisks:
    """An inbox that is a disk of its own is empty without it, beside a marker that is there."""

    async def test_a_lost_inbox_is_no_deletion(self, house: House, disk: Disk) -> None:
        """The storage is offline until the disk is back, and nothing is missing."""
        disk.of_their_own = {"INBOX"}
        asset = await house.ready("INBOX/a.jpg")
        files = dict(disk.files)
        disk.of_their_own.clear()
        disk.files.clear()
        report = await house.scan()
        assert "its folder INBOX was a disk of its own" in report.problem
        assert await house.review.asset(asset.uuid) == asset
        disk.of_their_own = {"INBOX"}
        disk.files.update(files)
        assert (await house.scan()).problem == ""
        assert await house.review.asset(asset.uuid) == asset

    async def test_one_that_is_lost_while_it_is_read(self, house: House, disk: Disk) -> None:
        """What was read of the empty folder does not count."""
        disk.of_their_own = {"INBOX"}
        asset = await house.ready("INBOX/day 1/a.jpg")

        def fault(name: str, where: str) -> None:
            if (name, where) == ("walk", "INBOX"):
                disk.of_their_own.clear()
                disk.files.clear()

        disk.fault = fault
        assert (await house.scan()).problem
        assert await house.review.asset(asset.uuid) == asset

    async def test_folders_that_cannot_be_looked_at(self, house: House, disk: Disk) -> None:
        """Nobody can say whether their disks are there: the storage is offline with that reason."""

        def refuse(layout: Layout) -> frozenset[str]:
            raise StorageOffline("cannot be looked at", reason="its folders cannot be looked at")

        disk.mounts = refuse  # type: ignore[method-assign]
        found = await look(house)
        assert (found.trouble, found.health_reason) == (
            Trouble.FAILING,
            "its folders cannot be looked at",
        )

    async def test_a_person_says_that_it_is_so(self, house: House, disk: Disk) -> None:
        """Adopted again, the storage is taken as it is now."""
        disk.of_their_own = {"INBOX"}
        await house.ready("INBOX/a.jpg")
        disk.of_their_own.clear()
        assert (await look(house)).health is Health.OFFLINE
        await house.start()
        assert (await look(house)).health is Health.ONLINE


WHOLE = [errno.ENOSPC, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT]


class TestErrorsThatWorkMeets:
    """An error of the whole disk takes it offline; what was to be done is left for later, and done."""

    @pytest.mark.parametrize("number", WHOLE)
    async def test_a_batch_waits_and_goes_on(self, house: House, disk: Disk, number: int) -> None:
        """No asset of the batch fails for the disk's trouble; it is moved when the disk is well."""
        asset = await house.pending("INBOX/a.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        fails(house, "rename", number)
        waits = await house.moves.run(batch.batch_id)
        assert [result.outcome for result in waits.results] == [Outcome.PENDING]
        there = await look(house)
        assert there.health is Health.OFFLINE
        assert (await house.review.asset(asset.uuid)).state is State.MOVE_QUEUED
        disk.fault = None
        await house.moves.recover()
        assert list(disk.files) == ["INBOX/a.jpg"], "too soon"
        house.clock.advance(MOST_PAUSE)
        await house.moves.recover()
        assert list(disk.files) == ["ARCHIVE/a.jpg"]
        done = await house.moves.report(batch.batch_id)
        assert (done.status, done.results[0].outcome) == (BatchStatus.DONE, Outcome.MOVED)
        assert disk.looks[-1] is True
        assert await events(house) == ["storage.offline", "storage.online"]

    async def test_the_first_error_of_a_piece_of_work_stands(
        self, house: House, disk: Disk
    ) -> None:
        """What comes of it later is told to nobody; the work sees the storage as offline from then on."""
        disk.add("INBOX/a.jpg")
        originals = house.storages.open(await house.storages.get(disk.storage_id))
        assert originals.check() is None
        for number in (errno.EROFS, errno.ENOSPC):
            fails(house, "stat", number)
            with pytest.raises(StorageOffline):
                originals.stat("INBOX/a.jpg")
        assert originals.check() == READ_ONLY.reason
        assert (await look(house)).trouble is Trouble.READ_ONLY
        disk.fault = None
        assert house.storages.open(await house.storages.get(disk.storage_id)).check() is None

    async def test_a_bad_spot_is_one_files(self, house: House, disk: Disk) -> None:
        """An input/output error of one file, on a disk that answers, is that file's failure."""
        asset = await house.pending("INBOX/a.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        fails(house, "rename", errno.EIO)
        done = await house.moves.run(batch.batch_id)
        assert done.results[0].outcome is Outcome.FAILED
        assert (await look(house)).health is Health.ONLINE

    async def test_an_error_of_a_dying_disk_is_the_disks(self, house: House, disk: Disk) -> None:
        """An input/output error of one file, on a disk that does not answer a look, is the disk's."""
        asset = await house.pending("INBOX/a.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        disk.finds = None
        fails(house, "rename", errno.EIO)
        disk.probe = lambda **_: READ_ONLY if disk.fault else None  # type: ignore[method-assign]
        waits = await house.moves.run(batch.batch_id)
        assert waits.results[0].outcome is Outcome.PENDING
        assert (await look(house)).trouble is Trouble.READ_ONLY

    async def test_a_bad_contact_does_not_flap(self, house: House, disk: Disk) -> None:
        """Errors at every second try switch the storage a few times in ten minutes, not each second."""
        asset = await house.pending("INBOX/a.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        fails(house, "rename", errno.ESTALE)
        for _ in range(600):
            house.clock.advance(timedelta(seconds=1))
            await house.moves.run(batch.batch_id)
        switched = await events(house)
        assert len(switched) <= 60
        assert disk.fault is not None

    @pytest.mark.parametrize("number", WHOLE)
    async def test_an_upload_waits(self, house: House, number: int) -> None:
        """A part that a full or lost disk does not take is refused for now, and the storage is offline."""
        asset = await house.ready("INBOX/a.jpg")
        agent = await house.agent()
        await house.processing.claim_bundle(agent, asset.uuid)

        def fault(name: str, where: str) -> None:
            raise OSError(number, os.strerror(number))

        house.derived.fault = fault
        with pytest.raises(StorageOffline):
            await house.upload(agent, asset.uuid, "thumb", "image/jpeg", JPEG)
        assert (await look(house)).health is Health.OFFLINE
        house.derived.fault = None
        house.clock.advance(MOST_PAUSE)
        assert (await look(house)).health is Health.ONLINE
        await house.upload(agent, asset.uuid, "thumb", "image/jpeg", JPEG)

    async def test_a_full_disk_is_emptied_by_a_purge(self, house: House, disk: Disk) -> None:
        """Purging a rejected asset is the way out of a full disk; on a read-only one it is blocked."""
        asset = await house.pending("INBOX/a.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        plan = await house.moves.preview()
        await house.moves.run((await house.moves.execute(PERSON, plan, plan.digest)).batch_id)
        disk.finds = READ_ONLY
        await look(house)
        assert (await house.purges.preview(asset.uuid)).blocked
        disk.finds = FULL
        house.clock.advance(MOST_PAUSE)
        await look(house)
        purge = await house.purges.preview(asset.uuid)
        assert purge.blocked == ()
        await house.purges.purge(PERSON, purge, purge.digest)
        assert disk.files == {}
        assert (await house.review.asset(asset.uuid)).state is State.PURGED

    async def test_nothing_is_claimed_meanwhile(self, house: House, disk: Disk) -> None:
        """A disk in trouble offers no work; none is lost, and it is offered again afterwards."""
        await house.ready("INBOX/a.jpg")
        agent = await house.agent()
        assert await house.processing.offered(agent)
        disk.finds = READ_ONLY
        await look(house)
        assert await house.processing.offered(agent) == ()
        disk.finds = None
        house.clock.advance(MOST_PAUSE)
        await look(house)
        assert await house.processing.offered(agent)


class TestDeadUploads:
    """Whatever a crash or an agent that died left of an upload is removed, and nothing that is used."""

    async def test_a_crash_between_publishing_and_the_row(self, house: House) -> None:
        """The file that was published under its name and never noted goes with its upload."""
        asset = await house.ready("INBOX/a.jpg")
        agent = await house.agent()
        bundle = await house.processing.claim_bundle(agent, asset.uuid)
        upload = await house.uploads.init(
            agent, asset.uuid, kind="thumb", content_type="image/jpeg", size_bytes=len(JPEG)
        )
        part = await house.uploads.put_part(agent, asset.uuid, upload.upload_id, 1, [JPEG])
        await house.uploads.publish(agent, asset.uuid, upload.upload_id, {1: part.etag})
        assert len(house.derived.files) == 1
        # The same complete, repeated after the restart, finds it and goes on.
        again = await house.uploads.complete(agent, asset.uuid, upload.upload_id, {1: part.etag})
        assert again.ref in house.derived.files
        # A second one is never repeated.
        lost = await house.uploads.init(
            agent, asset.uuid, kind="thumb", content_type="image/jpeg", size_bytes=len(JPEG)
        )
        part = await house.uploads.put_part(agent, asset.uuid, lost.upload_id, 1, [JPEG])
        await house.uploads.publish(agent, asset.uuid, lost.upload_id, {1: part.etag})
        house.clock.advance(timedelta(minutes=1))
        await house.finish(agent, bundle)
        used = {ref.ref for ref in (await house.review.asset(asset.uuid)).derived}
        house.clock.advance(timedelta(hours=25))
        assert await house.uploads.collect() >= 2
        assert set(house.derived.files) == used
        assert await house.uploads.collect() == 0
        assert house.derived.stale(house.clock.now()) == []

    async def test_parts_that_nobody_knows(self, house: House) -> None:
        """Parts without a row are removed; those of an upload that is known are not."""
        asset = await house.ready("INBOX/a.jpg")
        agent = await house.agent()
        await house.processing.claim_bundle(agent, asset.uuid)
        upload = await house.uploads.init(
            agent, asset.uuid, kind="thumb", content_type="image/jpeg", size_bytes=len(JPEG)
        )
        await house.uploads.put_part(agent, asset.uuid, upload.upload_id, 1, [JPEG])
        house.derived.put_part("nobodys", 1, [b"x"], 1)
        assert await house.uploads.collect() == 0
        assert house.derived.stale(house.clock.now()) == [upload.upload_id]

    async def test_a_storage_that_is_away_holds_up_no_other(self, house: House) -> None:
        """Uploads of a lost disk stay for later, and the collection comes to its end."""
        asset = await house.ready("INBOX/a.jpg")
        agent = await house.agent()
        await house.processing.claim_bundle(agent, asset.uuid)
        await house.uploads.init(
            agent, asset.uuid, kind="thumb", content_type="image/jpeg", size_bytes=len(JPEG)
        )
        house.clock.advance(timedelta(hours=25))

        def fault(name: str, where: str) -> None:
            raise OSError(errno.ESTALE, "Stale file handle")

        house.derived.fault = fault
        assert await house.uploads.collect() == 0
        house.derived.fault = None
        assert await house.uploads.collect() == 1


FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["walk", "fingerprint", "stat"]),
        st.integers(min_value=0, max_value=12),
        st.sampled_from([errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOTCONN, 0, -1]),
    ),
    min_size=1,
    max_size=4,
)
"""Which operation fails at its n-th call, and how; 0: the marker goes, -1: all goes but the marker stays."""


@given(faults=FAULTS, moved=st.booleans())
def test_no_scan_calls_missing_what_is_there(
    faults: list[tuple[str, int, int]], moved: bool
) -> None:
    """Whatever fails at whatever point of a scan, only a file that is gone is ever flagged as missing.

    And the scan after it, on a disk that is well, finds everything as it is.
    """

    async def story() -> None:
        disk = Disk()
        house = House(originals=disk)
        await house.start()
        for number in range(9):
            disk.add(f"INBOX/day {number // 3}/{number}.jpg", f"file {number}".encode())
        for _ in range(2):
            await house.scan()
        before = {n: await house.at(f"INBOX/day {n // 3}/{n}.jpg") for n in range(9)}
        whole, marker, counts = dict(disk.files), disk.marker, dict.fromkeys(range(len(faults)), 0)
        if moved:
            whole["INBOX/elsewhere/0.jpg"] = whole.pop("INBOX/day 0/0.jpg")
            disk.files = dict(whole)

        def fault(name: str, where: str) -> None:
            for index, (operation, at, number) in enumerate(faults):
                if name == operation:
                    counts[index] += 1
                if name != operation or counts[index] != at + 1:
                    continue
                if number > 0:
                    raise OSError(number, os.strerror(number))
                # The folder under the mount point is empty: no file, no marker.
                disk.marker = None
                disk.files.clear()

        disk.fault = fault
        await house.scan()
        for number, asset in before.items():
            now = await house.review.asset(asset.uuid)
            gone = moved and number == 0
            assert gone or Flag.MISSING not in now.flags, now.path
            assert now.state is asset.state
        disk.fault, disk.marker, disk.files = None, marker, dict(whole)
        house.clock.advance(MOST_PAUSE)
        await house.scan()
        report = await house.scan()
        assert (report.problem, report.missing, report.new) == ("", 0, 0)
        for asset in before.values():
            now = await house.review.asset(asset.uuid)
            assert now.path in whole
            assert now.flags == frozenset()

    anyio.run(story)
