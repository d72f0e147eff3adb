"""Doing a batch in chunks, over ports in memory: two processes at once, time that runs out, odd assets."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from attrs import evolve
from retaia_tests.house import PERSON, House

from retaia_core.domain import moves
from retaia_core.domain.identifiers import BatchId, RelPath, asset_subject
from retaia_core.domain.journal import Phase
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.moves import Batch, BatchStatus, MoveResult, Outcome
from retaia_core.domain.parked import Choice
from retaia_core.errors import NotFound, StorageOffline, StoreUnavailable, Unavailable
from retaia_core.ports.originals import Moved, Progress, no_progress
from retaia_core.ports.store import Transaction, Work
from retaia_core.testing.memory_files import MemoryOriginals
from retaia_core.testing.memory_store import MemoryStore
from retaia_core.usecases import running
from retaia_core.usecases.running import RUN_LEASE, Run, batch_subject

T = TypeVar("T")
LATE = RUN_LEASE + timedelta(seconds=1)


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


class Copying(MemoryOriginals):
    """A storage whose archive is another disk: what is moved there is copied."""

    def rename(self, source: str, target: str, progress: Progress = no_progress) -> Moved:
        """Tell how far the copy is; a fault named ``copy`` comes in its middle."""
        self._enter("copy", source)
        progress(1, 2)
        return super().rename(source, target, progress)


async def accept(house: House, names: str = "AB") -> Batch:
    """A batch of photos that nobody has begun yet."""
    for name in names:
        asset = await house.pending(f"INBOX/{name}.jpg", name.encode())
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
    plan = await house.moves.preview()
    return await house.moves.execute(PERSON, plan, plan.digest)


def run_of(house: House, batch: Batch, *, beat: timedelta, store: MemoryStore | None = None) -> Run:
    """A run of a batch that gives a sign of life so often."""
    return Run(
        store=store or house.store,
        clock=house.clock,
        storages=house.storages,
        token="run",
        batch_id=batch.batch_id,
        progress=lambda result: None,
        beat=beat,
    )


def once(house: House, operation: str, path: str, then: Callable[[], object]) -> None:
    """Let something happen just before an operation's first time; in the thread that works."""

    def fault(name: str, where: str) -> None:
        if (name, where) == (operation, path):
            house.originals.fault = None
            then()

    house.originals.fault = fault


async def phases(house: House, batch: Batch) -> list[tuple[str, Phase]]:
    """The journal of a batch, in its order."""
    journal = await house.store.read(lambda tx: tx.journal(batch_id=batch.batch_id))
    return [(entry.source, entry.phase) for entry in journal]


async def lock_of_run(house: House, batch_id: BatchId) -> Lock:
    """The lock of a batch's run."""
    lock = await house.store.read(lambda tx: tx.lock(batch_subject(batch_id)))
    assert lock is not None
    return lock


class TestOvertaken:
    """*Every lock carries a fencing number that only grows; every write after a lock checks it.*."""

    async def test_who_slept_between_begin_and_end_writes_nothing(self, house: House) -> None:
        """A process that slept past its time, and was overtaken, finds that and leaves no trace."""
        batch = await accept(house)

        def sleep() -> None:
            house.clock.advance(LATE)
            anyio.from_thread.run(house.moves.recover)

        once(house, "rename", "INBOX/A.jpg", sleep)
        told: list[MoveResult] = []
        done = await house.moves.run(batch.batch_id, told.append)
        assert told == []
        assert [r.outcome for r in done.results] == [Outcome.MOVED] * 2
        written = await phases(house, batch)
        assert [p for _, p in written] == [Phase.INTENT] * 4 + [Phase.DONE] * 2
        for result in done.results:
            events = await house.operations.history(result.asset)
            assert [e.name for e in events].count("move.moved") == 1
        assert set(house.originals.files) == {"ARCHIVE/A.jpg", "ARCHIVE/B.jpg"}

    async def test_who_wakes_before_a_rename_touches_nothing(self, house: House) -> None:
        """Where the batch was done and taken back meanwhile, no file is moved by the one who slept."""
        batch = await accept(house)

        async def do_and_undo() -> None:
            await house.moves.recover()
            plan = await house.undo.preview(batch.batch_id)
            undo = await house.undo.execute(PERSON, plan, plan.digest)
            await house.moves.run(undo.batch_id)

        def sleep() -> None:
            house.clock.advance(LATE)
            anyio.from_thread.run(do_and_undo)

        once(house, "stat", "INBOX/A.jpg", sleep)
        await house.moves.run(batch.batch_id)
        assert set(house.originals.files) == {"INBOX/A.jpg", "INBOX/B.jpg"}
        states = [(await house.review.asset(r.asset)).state for r in batch.results]
        assert states == [State.DECIDED_KEEP] * 2

    async def test_who_wakes_in_the_middle_of_a_group_moves_nothing_back(
        self, house: House
    ) -> None:
        """Where the rest of a group was moved by another meanwhile, the one who slept leaves it so."""
        house.originals.add("INBOX/A.xmp", b"sidecar")
        batch = await accept(house, "A")

        def sleep() -> None:
            house.clock.advance(LATE)
            anyio.from_thread.run(house.moves.recover)

        once(house, "rename", "INBOX/A.xmp", sleep)
        await house.moves.run(batch.batch_id)
        assert set(house.originals.files) == {"ARCHIVE/A.jpg", "ARCHIVE/A.xmp"}
        asset = await house.review.asset(batch.results[0].asset)
        assert (asset.state, asset.path) == (State.ARCHIVED, "ARCHIVE/A.jpg")

    async def test_who_wakes_in_the_middle_of_a_copy_goes_no_further(self) -> None:
        """A file is not moved by one who copied it for longer than the batch was theirs."""
        house = House(originals=Copying())
        await house.start()
        batch = await accept(house, "A")

        async def do_and_undo() -> None:
            await house.moves.recover()
            plan = await house.undo.preview(batch.batch_id)
            undo = await house.undo.execute(PERSON, plan, plan.digest)
            await house.moves.run(undo.batch_id)

        def sleep() -> None:
            house.clock.advance(LATE)
            anyio.from_thread.run(do_and_undo)

        once(house, "copy", "INBOX/A.jpg", sleep)
        await house.moves.run(batch.batch_id)
        assert set(house.originals.files) == {"INBOX/A.jpg"}

    async def test_one_asset_that_another_holds_by_now(self, house: House) -> None:
        """An asset whose lock has a newer number is left to its holder; the others are ended."""
        batch = await accept(house)
        first = batch.results[0].asset

        def steal(tx: Transaction) -> None:
            lock = tx.lock(asset_subject(first))
            assert lock is not None
            tx.save_lock(evolve(lock, fencing=lock.fencing + 1, holder="another", token="another"))

        steal_it = partial(anyio.from_thread.run, house.store.transact, steal)
        once(house, "rename", "INBOX/B.jpg", steal_it)
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.PENDING, Outcome.MOVED]
        assert done.status is BatchStatus.RUNNING

    async def test_a_lock_that_was_lost_is_not_kept_alive(self, house: House) -> None:
        """While a slow chunk goes on only the locks that are still ours are extended."""
        batch = await accept(house, "ABC")
        third = batch.results[2].asset

        def steal(tx: Transaction) -> Lock:
            lock = tx.lock(asset_subject(third))
            assert lock is not None
            tx.save_lock(stolen := evolve(lock, fencing=9, holder="another", token="another"))
            return stolen

        stolen: list[Lock] = []

        def slow(operation: str, path: str) -> None:
            house.clock.advance(timedelta(seconds=3))
            if operation == "rename" and path == "INBOX/A.jpg":
                stolen.append(anyio.from_thread.run(house.store.transact, steal))

        house.originals.fault = slow
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.MOVED, Outcome.MOVED, Outcome.PENDING]
        assert await house.store.read(lambda tx: tx.lock(asset_subject(third))) == stolen[0]

    async def test_who_stops_after_another_took_over(self, house: House) -> None:
        """What is another's by now is not given back."""
        batch = await accept(house)
        held: list[Lock] = []

        async def take_over(scope: anyio.CancelScope) -> None:
            house.clock.advance(LATE)
            lock = evolve(await lock_of_run(house, batch.batch_id), token="another", fencing=7)
            await house.store.transact(lambda tx: tx.save_lock(lock))
            held.append(lock)
            scope.cancel()

        with anyio.CancelScope() as scope:
            once(house, "rename", "INBOX/A.jpg", partial(anyio.from_thread.run, take_over, scope))
            await house.moves.run(batch.batch_id)
        assert await lock_of_run(house, batch.batch_id) == held[0]

    async def test_two_at_once(self, house: House) -> None:
        """While one process does a batch, another leaves it alone and reports how far it is."""
        batch = await accept(house)
        seen: list[Batch] = []

        def look() -> None:
            seen.append(anyio.from_thread.run(house.moves.run, batch.batch_id))

        once(house, "rename", "INBOX/A.jpg", look)
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in seen[0].results] == [Outcome.PENDING] * 2
        assert done.status is BatchStatus.DONE
        assert len(await phases(house, batch)) == 4
        assert await house.moves.run(batch.batch_id) == done
        assert await house.moves.batches() == [done]

    async def test_no_such_batch(self, house: House) -> None:
        """What was never accepted is not done."""
        with pytest.raises(NotFound):
            await house.moves.run(BatchId("none"))


class TestTime:
    """Locks never run out under work, and what was done is written down soon."""

    async def test_a_slow_disk(self, house: House) -> None:
        """What was moved is written down while the rest of its chunk waits; the locks are kept alive."""
        batch = await accept(house, "ABCDEFGHIJKL")
        story: list[str] = []

        def slow(operation: str, path: str) -> None:
            if operation == "rename":
                story.append(path)
                house.clock.advance(timedelta(seconds=29))

        house.originals.fault = slow
        done = await house.moves.run(batch.batch_id, lambda r: story.append("done"))
        assert story[:4] == ["INBOX/A.jpg", "done", "INBOX/B.jpg", "done"]
        assert {r.outcome for r in done.results} == {Outcome.MOVED}
        locks = await house.store.read(lambda tx: tx.locks(now=house.clock.now(), expired=True))
        assert list(locks) == []

    async def test_one_file_that_takes_longer_than_the_lease(self, house: House) -> None:
        """Where nobody took over meanwhile the work goes on, and nothing is done twice."""
        batch = await accept(house, "ABC")

        def slow(operation: str, path: str) -> None:
            if operation == "rename":
                house.clock.advance(LATE)

        house.originals.fault = slow
        done = await house.moves.run(batch.batch_id)
        assert done.status is BatchStatus.DONE
        assert len(house.originals.renames) == 3

    async def test_a_sign_of_life(self, house: House) -> None:
        """While one step takes long the batch stays reserved."""
        batch = await accept(house)
        beats: list[timedelta] = []

        async def wait() -> None:
            held = await lock_of_run(house, batch.batch_id)
            house.clock.advance(RUN_LEASE / 2)
            later = held
            with anyio.fail_after(10):
                while later == held:
                    await anyio.lowlevel.checkpoint()
                    later = await lock_of_run(house, batch.batch_id)
            beats.append(later.expires_at - held.expires_at)

        once(house, "rename", "INBOX/A.jpg", partial(anyio.from_thread.run, wait))
        await run_of(house, batch, beat=timedelta(milliseconds=1)).go()
        assert beats == [RUN_LEASE / 2]

    async def test_who_stops_gives_the_batch_back(self, house: House) -> None:
        """Where a person interrupts, what was moved is written down, and anybody may go on at once."""
        batch = await accept(house, "ABC")

        def slow(operation: str, path: str) -> None:
            house.clock.advance(timedelta(seconds=1))

        house.originals.fault = slow
        with anyio.CancelScope() as scope:
            await house.moves.run(batch.batch_id, lambda result: scope.cancel())
        assert scope.cancelled_caught
        outcomes = [r.outcome for r in (await house.moves.report(batch.batch_id)).results]
        assert outcomes == [Outcome.MOVED, Outcome.PENDING, Outcome.PENDING]
        house.originals.fault = None
        assert (await house.moves.run(batch.batch_id)).status is BatchStatus.DONE


class Failing(MemoryStore):
    """A database that does not answer for a while, once it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.down = self.once = False
        self.asked = anyio.Event()

    async def transact(self, work: Work[T], *, durable: bool = True) -> T:
        if self.down:
            self.down = not self.once
            self.asked.set()
            raise StoreUnavailable("the database does not answer")
        return await super().transact(work, durable=durable)


class TestWhatCannotBeDone:
    """*One asset's failure never stops the others; the report states each outcome.*."""

    async def test_an_asset_that_somebody_holds(self, house: House) -> None:
        """It waits, and the batch with it; the others move, and the next run does the rest."""
        batch = await accept(house)
        first = await house.review.asset(batch.results[0].asset)
        now = house.clock.now()
        held = Lock(
            subject=first.subject, kind=LockKind.ASSET_MOVE_LOCK, holder="x", token="t", fencing=9,
            expires_at=now + timedelta(seconds=300),
        )  # fmt: skip
        await house.store.transact(lambda tx: tx.save_lock(held))
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.PENDING, Outcome.MOVED]
        house.clock.advance(timedelta(seconds=301))
        assert await house.moves.recover() == 1
        assert (await house.moves.report(batch.batch_id)).status is BatchStatus.DONE

    async def test_an_asset_that_is_not_queued_any_more(self, house: House) -> None:
        """What an old backup or a hand in the database made of it is reported, and it is not touched."""
        batch = await accept(house)
        first = await house.review.asset(batch.results[0].asset)
        odd = evolve(first, state=State.DECISION_PENDING, verdict=None)
        await house.store.transact(lambda tx: tx.save_asset(odd))
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.FAILED, Outcome.MOVED]
        assert "DECISION_PENDING" in done.results[0].error
        assert "INBOX/A.jpg" in house.originals.files

    @pytest.mark.parametrize("operation", ["stat", "rename"])
    async def test_a_file_that_cannot_be_looked_at(self, house: House, operation: str) -> None:
        """What cannot be verified stays open, with its intents; when it can be, it is finished."""
        batch = await accept(house)

        def refuse(name: str, path: str) -> None:
            if name == operation and path == "INBOX/A.jpg":
                house.originals.fault = blind
                raise Unavailable("permission denied")

        def blind(name: str, path: str) -> None:
            if name == "stat" and path == "INBOX/A.jpg":
                raise Unavailable("permission denied")

        house.originals.fault = refuse
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.PENDING, Outcome.MOVED]
        house.originals.fault = None
        await house.moves.recover()
        assert (await house.moves.report(batch.batch_id)).status is BatchStatus.DONE

    @pytest.mark.parametrize(("operation", "at"), [("rename", 1), ("sync", 1), ("sync", 2)])
    async def test_a_storage_that_goes_away(self, house: House, operation: str, at: int) -> None:
        """Whenever it goes, what was begun stays open, and is finished when it is back."""
        batch = await accept(house)
        calls: list[str] = []

        def unplug(name: str, path: str) -> None:
            calls.append(name)
            if calls.count(operation) == at:
                house.originals.problem = "unplugged"
                if operation == "rename":
                    raise StorageOffline("unplugged")

        house.originals.fault = unplug
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.PENDING] * 2
        house.originals.problem = house.originals.fault = None
        house.clock.advance(timedelta(hours=1))
        await house.moves.recover()
        assert (await house.moves.report(batch.batch_id)).status is BatchStatus.DONE

    async def test_names_that_cannot_be_made_durable(self, house: House) -> None:
        """Nothing is called moved before a crash cannot undo it."""
        batch = await accept(house)

        def refuse(name: str, path: str) -> None:
            if name == "sync":
                raise OSError("I/O error")

        house.originals.fault = refuse
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.PENDING] * 2
        house.originals.fault = None
        await house.moves.recover()
        done = await house.moves.report(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.MOVED] * 2
        assert house.originals.unsynced == set()

    async def test_a_retry_while_the_batch_runs(self, house: House) -> None:
        """What a person lets try again meanwhile is done by the same run; the batch is not closed before."""
        batch = await accept(house)
        whole = house.originals.files["INBOX/A.jpg"]
        house.originals.add("INBOX/A.jpg", b"another")

        async def settle() -> None:
            house.originals.files["INBOX/A.jpg"] = whole
            await house.recovery.settle(PERSON, batch.results[0].asset, Choice.RETRY)

        def later(operation: str, path: str) -> None:
            house.clock.advance(timedelta(seconds=1))  # So that A is written down before B.
            if (operation, path) == ("rename", "INBOX/B.jpg"):
                house.originals.fault = None
                anyio.from_thread.run(settle)

        house.originals.fault = later
        told: list[Outcome] = []
        done = await house.moves.run(batch.batch_id, lambda result: told.append(result.outcome))
        assert told == [Outcome.PARKED, Outcome.MOVED, Outcome.MOVED]
        assert done.status is BatchStatus.DONE
        assert set(house.originals.files) == {"ARCHIVE/A.jpg", "ARCHIVE/B.jpg"}

    async def test_more_than_one_chunk(self, house: House) -> None:
        """A batch of more than one chunk is one batch to whoever looks at it."""
        names = [f"{n:03d}" for n in range(running.CHUNK + 1)]
        for name in names:
            house.originals.add(f"INBOX/{name}.jpg", name.encode())
        await house.scan()
        await house.scan()
        found = await house.store.read(lambda tx: tx.assets_in_states([State.READY]))

        def decide(tx: Transaction) -> None:
            for asset in found:
                tx.save_asset(evolve(asset, state=State.DECISION_PENDING))

        await house.store.transact(decide)
        for asset in found:
            await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        done = await house.moves.run(batch.batch_id)
        assert {r.outcome for r in done.results} == {Outcome.MOVED}
        assert len(done.results) == running.CHUNK + 1
        written = [phase for _, phase in await phases(house, batch)]
        chunk = running.CHUNK
        assert written == (
            [Phase.INTENT] * chunk + [Phase.DONE] * chunk + [Phase.INTENT, Phase.DONE]
        )


class TestCopies:
    """*Heartbeats may carry progress; it is shown live*: of a copy to another disk, which may take long."""

    @pytest.fixture(autouse=True)
    def often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tell how far a copy is more often than a person needs it."""
        monkeypatch.setattr(running, "TOLD_EVERY", timedelta(milliseconds=1))

    async def test_it_is_told_how_far_a_copy_is(self) -> None:
        """To whoever runs the batch and to whoever asks; with the move's end that is over."""
        house = House(originals=Copying())
        await house.start()
        batch = await accept(house, "A")
        told, heard = list[MoveResult](), anyio.Event()
        half = moves.Copying(source=RelPath("INBOX/A.jpg"), done=1, total=2)

        async def ask() -> None:
            with anyio.fail_after(10):
                await heard.wait()
            (result,) = (await house.moves.report(batch.batch_id)).results
            assert (result.outcome, result.copying) == (Outcome.PENDING, half)

        def hear(result: MoveResult) -> None:
            told.append(result)
            heard.set()

        once(house, "rename", "INBOX/A.jpg", partial(anyio.from_thread.run, ask))
        done = await house.moves.run(batch.batch_id, hear)
        assert [result.copying for result in told] == [half, None]
        assert [(r.outcome, r.copying) for r in done.results] == [(Outcome.MOVED, None)]

    async def test_nothing_is_told_of_what_another_holds(self) -> None:
        """Who has lost an asset's lock does not write how far it is with it."""
        house = House(originals=Copying())
        await house.start()
        batch = await accept(house, "A")
        subject = asset_subject(batch.results[0].asset)
        told: list[MoveResult] = []

        def lose(tx: Transaction) -> None:
            lock = tx.lock(subject)
            assert lock is not None
            tx.save_lock(evolve(lock, fencing=lock.fencing + 1))

        def lost() -> None:
            """Before anything of the copy is told; then there is time to tell it."""
            anyio.from_thread.run(house.store.transact, lose)
            wait = partial(anyio.from_thread.run, anyio.sleep, 0.02)
            once(house, "rename", "INBOX/A.jpg", wait)

        once(house, "copy", "INBOX/A.jpg", lost)
        await house.moves.run(batch.batch_id, told.append)
        assert not any(result.copying for result in told)


@pytest.mark.parametrize("for_good", [True, False])
async def test_a_database_that_does_not_answer(for_good: bool) -> None:
    """The error reaches whoever runs the batch, as itself; nothing is lost, and the next run goes on."""
    store = Failing()
    house = House(store=store)
    await house.start()
    batch = await accept(house)

    def cut(operation: str, path: str) -> None:
        if operation == "rename":
            store.down = True
            store.once = not for_good

    house.originals.fault = cut
    with pytest.raises(StoreUnavailable):
        await house.moves.run(batch.batch_id)
    store.down, house.originals.fault = False, None
    if for_good:
        house.clock.advance(LATE)
    await house.moves.recover()
    done = await house.moves.report(batch.batch_id)
    assert [r.outcome for r in done.results] == [Outcome.MOVED] * 2


async def test_what_a_failed_copy_left_is_cleared_where_nobody_tries_it_again(
    house: House,
) -> None:
    """A move that ended as failed leaves no part of a copy, in either direction."""
    batch = await accept(house, "A")
    seen: list[tuple[str, str]] = []

    def fault(name: str, path: str) -> None:
        seen.append((name, path))
        if name == "rename":
            raise OSError(errno.EIO, "input/output error")

    house.originals.fault = fault
    done = await house.moves.run(batch.batch_id)
    assert [r.outcome for r in done.results] == [Outcome.FAILED]
    cleared = [path for name, path in seen if name == "clear"]
    assert cleared == ["INBOX/A.jpg", "ARCHIVE/A.jpg"]


async def test_a_run_outlives_a_database_that_comes_back() -> None:
    """A sign of life that could not be given is given later."""
    store = Failing()
    house = House(store=store)
    await house.start()
    batch = await accept(house)

    async def down_for_a_while() -> None:
        store.down = True
        with anyio.fail_after(10):
            await store.asked.wait()
        store.down = False

    once(house, "rename", "INBOX/A.jpg", partial(anyio.from_thread.run, down_for_a_while))
    await run_of(house, batch, beat=timedelta(milliseconds=1), store=store).go()
    assert (await house.moves.report(batch.batch_id)).status is BatchStatus.DONE


async def test_a_heart_that_was_overtaken_stops() -> None:
    """Where another took the batch over, no sign of life is given any more."""
    house = House()
    await house.start()
    batch = await accept(house)

    async def overtake() -> None:
        house.clock.advance(LATE)
        await house.moves.recover()
        held = await lock_of_run(house, batch.batch_id)
        await anyio.sleep(0.02)
        assert await lock_of_run(house, batch.batch_id) == held

    once(house, "rename", "INBOX/A.jpg", partial(anyio.from_thread.run, overtake))
    await run_of(house, batch, beat=timedelta(hours=1)).go()
    assert (await house.moves.report(batch.batch_id)).status is BatchStatus.DONE


async def test_who_was_overtaken_by_a_clock_ahead_touches_nothing() -> None:
    """Once a sign of life is refused, not one file more is moved, whatever time the own clock has left."""
    house = House()
    await house.start()
    batch = await accept(house)

    async def do_and_undo() -> None:
        ahead = timedelta(0)
        while (await house.moves.report(batch.batch_id)).status is not BatchStatus.DONE:
            ahead += LATE  # Again where a sign of life came in between.
            house.clock.advance(LATE)
            await house.moves.recover()
        plan = await house.undo.preview(batch.batch_id)
        undo = await house.undo.execute(PERSON, plan, plan.digest)
        await house.moves.run(undo.batch_id)
        house.clock.advance(-ahead)
        await anyio.sleep(0.05)

    async def bounded() -> None:
        with anyio.fail_after(10):
            await do_and_undo()

    once(house, "stat", "INBOX/A.jpg", partial(anyio.from_thread.run, bounded))
    await run_of(house, batch, beat=timedelta(milliseconds=1)).go()
    assert set(house.originals.files) == {"INBOX/A.jpg", "INBOX/B.jpg"}
