"""Doing a batch: one process at a time, chunk by chunk, every step in the journal before and after.

A chunk is begun in one durable transaction that locks its assets and writes what is about to happen,
and ended in another that writes what is on disk then. A crash between leaves intents without an
outcome, which the next run looks at. Both check that the batch is still this run's: a process that slept
past its time, and was overtaken, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

import anyio
import anyio.lowlevel
from attrs import define, evolve, field, frozen

from ..domain.actors import SYSTEM
from ..domain.assets import Asset
from ..domain.identifiers import AssetId, BatchId, StorageId, Subject, asset_subject
from ..domain.journal import Event, JournalEntry, Phase
from ..domain.leases import Lock, LockKind, acquire, extend, release
from ..domain.lifecycle import State
from ..domain.moves import Batch, BatchStatus, Copying, MoveResult, Outcome, PlannedMove
from ..errors import RetaiaError, StateConflict, StorageOffline, Unavailable
from ..ports.clock import Clock
from ..ports.originals import Originals
from ..ports.store import Store, Transaction
from .fixity import note_copies
from .lookups import need_asset, need_batch
from .moving import Seen, journal_entry, move_groups, outcome_of, settled
from .storages import Storages
from .trail import record, step

RUN_LEASE = timedelta(seconds=30)
"""How long a batch stays reserved for the process that runs it, after its last sign of life."""

CHUNK = 256
"""So many assets are begun together at most."""

SLICE = timedelta(seconds=2)
"""After this time what was moved is written down, however much of the chunk is left."""


TOLD_EVERY = timedelta(seconds=1)
"""How often it is said how far a copy is."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def batch_subject(batch_id: BatchId) -> Subject:
    """A batch as the subject of events."""
    return Subject(kind="batch", id=batch_id)


class Overtaken(StateConflict):
    """Another process does the batch now."""


@frozen(kw_only=True)
class Begun:
    """A move whose intents are written, under the lock of this number."""

    move: PlannedMove
    fencing: int


@frozen(kw_only=True)
class Ended:
    """What is to be written down about a move that was tried: what was seen, and what it means."""

    begun: Begun
    seen: Seen
    before: Asset
    after: Asset
    result: MoveResult


@define(kw_only=True)
class Run:
    """One run of a batch by one process. ``progress`` is told of every asset that is done, or being copied.

    While one step takes long, a sign of life is given every ``beat``.
    """

    store: Store
    clock: Clock
    storages: Storages
    batch_id: BatchId
    token: str
    progress: Callable[[MoveResult], None]
    beat: timedelta = RUN_LEASE / 3
    _until: datetime = field(init=False)
    _begun: list[Begun] = field(factory=list, init=False)
    _copying: tuple[PlannedMove, Copying] | None = field(default=None, init=False)
    _left: set[AssetId] = field(factory=set, init=False)  # tried, and left for another run

    async def go(self) -> None:
        """Do what of the batch is not done yet, unless another process is at it.

        Raises:
            NotFound: there is no such batch.
            StoreUnavailable: the database does not answer.
        """
        taken = await self.store.transact(self._take, durable=False)
        if taken is None:
            return
        batch, self._until = taken
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep)
                tasks.start_soon(self._show)
                failure = await self._tried(batch)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self.store.transact(self._let_go, durable=False)
            raise
        await self.store.transact(self._let_go, durable=False)
        if failure is not None:
            raise failure

    async def _tried(self, batch: Batch) -> RetaiaError | None:
        """Do the batch, as long as it is ours; what went wrong is not raised among other tasks."""
        try:
            await self._do(batch)
        except Overtaken:
            return None
        except RetaiaError as error:
            return error
        return None

    # Having the batch to oneself

    def _take(self, tx: Transaction) -> tuple[Batch, datetime] | None:
        """Reserve the batch for this run, and until when; None where nothing is to do, or another does it."""
        batch, now = need_batch(tx, self.batch_id), self.clock.now()
        if batch.status is BatchStatus.DONE:
            return None
        subject = batch_subject(self.batch_id)
        try:
            lock = acquire(
                tx.lock(subject),
                subject,
                kind=LockKind.ASSET_MOVE_LOCK,
                holder="run",
                token=self.token,
                now=now,
                duration=RUN_LEASE,
            )
        except StateConflict:
            return None
        tx.save_lock(lock)
        running = evolve(batch, status=BatchStatus.RUNNING)
        tx.save_batch(running)
        return running, lock.expires_at

    def _ours(self, tx: Transaction) -> Lock:
        """The lock of the batch.

        Raises:
            Overtaken: it is another's by now.
        """
        lock = tx.lock(batch_subject(self.batch_id))
        if lock is None or lock.token != self.token:
            raise Overtaken("another process does this batch now; it goes on there")
        return lock

    def _extend(self, tx: Transaction) -> datetime:
        """Give a sign of life: batch and begun assets stay ours for their full time; until when."""
        now, lock = self.clock.now(), extend(self._ours(tx), self.clock.now(), RUN_LEASE)
        tx.save_lock(lock, *(extend(held, now) for held in self._held(tx, self._begun).values()))
        return lock.expires_at

    def _held(self, tx: Transaction, begun: Iterable[Begun]) -> dict[AssetId, Lock]:
        """The locks of begun moves that nobody took over."""
        fencing = {one.move.asset: one.fencing for one in begun}
        locks = tx.asset_locks(fencing)
        return {uuid: lock for uuid, lock in locks.items() if lock.fencing == fencing[uuid]}

    async def _live(self) -> None:
        self._until = await self.store.transact(self._extend, durable=False)

    async def _keep(self) -> None:
        """Give a sign of life while one step takes long."""
        while True:
            await anyio.sleep(self.beat.total_seconds())
            try:
                await self._live()
            except Overtaken:
                self._until = _LONG_AGO  # Not one file more, whatever time a clock says is left.
                return
            except Unavailable:
                pass  # Without a database the time that is left runs out.

    async def _show(self) -> None:
        """Say how far a copy is, as long as one is under way."""
        said = None
        while True:
            await anyio.sleep(TOLD_EVERY.total_seconds())
            if (now := self._copying) is None or now is said:
                continue
            said = now
            with suppress(Overtaken, Unavailable):
                told = await self.store.transact(partial(self._note, *said), durable=False)
                if told is not None:
                    self.progress(told)

    def _note(self, move: PlannedMove, copying: Copying, tx: Transaction) -> MoveResult | None:
        """Write down how far a copy is; None where that move ended meanwhile."""
        self._ours(tx)
        held = tx.lock(asset_subject(move.asset))
        numbers = {one.fencing for one in self._begun if one.move is move}
        if held is None or not held.token or held.fencing not in numbers:
            return None
        result = MoveResult(
            asset=move.asset,
            outcome=Outcome.PENDING,
            move=move,
            at=self.clock.now(),
            copying=copying,
        )
        tx.save_move_result(self.batch_id, result)
        return result

    def _let_go(self, tx: Transaction) -> None:
        lock = tx.lock(batch_subject(self.batch_id))
        if lock is not None and lock.token == self.token:
            tx.save_lock(release(lock, self.clock.now()))

    # Doing it

    async def _do(self, batch: Batch) -> None:
        waiting = list(_pending(batch))
        while True:
            self._left.update(move.asset for move in waiting)
            for storage_id, moves in groupby(waiting, key=lambda move: move.storage_id):
                await self._do_in(storage_id, list(moves))
            # Also where nothing waited: a crash may have come between the last move and this.
            batch = await self.store.transact(self._finish)
            waiting = [move for move in _pending(batch) if move.asset not in self._left]
            if not waiting:
                return

    def _finish(self, tx: Transaction) -> Batch:
        """Close the batch where nothing is left to do; the batch as it is now."""
        self._ours(tx)
        batch, now = need_batch(tx, self.batch_id), self.clock.now()
        if any(_pending(batch)):
            return batch
        done = evolve(batch, status=BatchStatus.DONE, finished_at=now)
        tx.save_batch(done)
        record(tx, batch_subject(self.batch_id), "batch.done", SYSTEM, now)
        return done

    async def _do_in(self, storage_id: StorageId, moves: Sequence[PlannedMove]) -> None:
        """Do the moves of one storage; where it goes away, they stay queued."""
        for start in range(0, len(moves), CHUNK):
            try:
                await self._do_chunk(storage_id, moves[start : start + CHUNK])
            except StorageOffline:
                return

    async def _do_chunk(self, storage_id: StorageId, moves: Sequence[PlannedMove]) -> None:
        originals = self.storages.open(await self.storages.online(storage_id))
        self._until, self._begun, refused = await self.store.transact(partial(self._begin, moves))
        try:
            self._tell(refused)
            while self._begun:
                await self._do_slice(storage_id, originals)
                if self._begun:
                    await self._live()
        finally:
            self._begun = []

    async def _do_slice(self, storage_id: StorageId, originals: Originals) -> None:
        """Move as much of the chunk as there is time for, and write down what became of it."""
        begun = self._begun
        # What was moved is written down, also where somebody wants to stop.
        with anyio.CancelScope(shield=True):
            moves, go_on = [one.move for one in begun], self._clock_out()
            seen = await self.storages.blocking(move_groups, originals, moves, go_on, self._hear)
            self._copying = None
            tried = list(zip(begun, seen, strict=False))
            ended = [(one, there) for one, there in tried if there is not None]
            self._tell(await self.store.transact(partial(self._end, storage_id, ended)))
        self._begun = begun[len(tried) :]
        await anyio.lowlevel.checkpoint()

    def _hear(self, move: PlannedMove, copying: Copying) -> None:
        self._copying = (move, copying)

    def _tell(self, results: Iterable[MoveResult]) -> None:
        for result in results:
            self._left.discard(result.asset)
            self.progress(result)

    def _clock_out(self) -> Callable[[int], bool]:
        """Whether there is time for one file more, where so many groups were begun in this slice."""
        ends = self.clock.now() + SLICE

        def go_on(groups: int) -> bool:
            now = self.clock.now()
            return now < self._until and (groups == 1 or now < ends)

        return go_on

    # Writing it down

    def _begin(
        self, moves: Sequence[PlannedMove], tx: Transaction
    ) -> tuple[datetime, list[Begun], list[MoveResult]]:
        """Take the move locks and write down what is about to be done.

        What is no longer queued is refused, and said; what somebody else holds waits for another run.
        """
        now, begun, refused = self.clock.now(), list[Begun](), list[MoveResult]()
        lock = extend(self._ours(tx), now, RUN_LEASE)
        taken = [lock]
        uuids = [move.asset for move in moves]
        states, locks = tx.states(uuids), tx.asset_locks(uuids)
        for move in moves:
            if states[move.asset] is not State.MOVE_QUEUED:
                refused.append(_refused(move, states[move.asset], now))
                continue
            mine = self._taken(locks.get(move.asset), asset_subject(move.asset), now)
            if mine is None:
                continue
            taken.append(mine)
            begun.append(Begun(move=move, fencing=mine.fencing))
        tx.save_lock(*taken)
        tx.save_move_result(self.batch_id, *refused)
        tx.add_journal(
            *(
                journal_entry(self.batch_id, one.move, file, Phase.INTENT, one.fencing, now)
                for one in begun
                for file in one.move.files
            )
        )
        return lock.expires_at, begun, refused

    def _taken(self, current: Lock | None, subject: Subject, now: datetime) -> Lock | None:
        """The move lock of an asset, taken also from an earlier run; None where another holds it."""
        if current is not None and current.holder == self.batch_id:
            current = release(current, now)
        try:
            return acquire(
                current,
                subject,
                kind=LockKind.ASSET_MOVE_LOCK,
                holder=self.batch_id,
                token=self.token,
                now=now,
            )
        except StateConflict:
            return None

    def _end(
        self, storage_id: StorageId, tried: Sequence[tuple[Begun, Seen]], tx: Transaction
    ) -> list[MoveResult]:
        """Write down what is on disk now, and let each asset's state follow it and nothing else.

        Of what another took over, that one says what became of it.
        """
        self._ours(tx)
        now, moves = self.clock.now(), [begun.move for begun, _ in tried]
        assets = tx.assets([move.asset for move in moves])
        held = self._held(tx, (begun for begun, _ in tried))
        known = dict(tx.known_at(storage_id, [move.files[0].target for move in moves]))
        ended: list[Ended] = []
        for begun, seen in tried:
            if begun.move.asset in held:
                one = _ended(assets[begun.move.asset], begun, seen, known, now)
                known.pop(one.before.path, None)
                known[one.after.path] = one.after.uuid
                ended.append(one)
        tx.save_assets([one.after for one in ended])
        tx.add_event(*(self._event(one, now) for one in ended))
        for one in ended:
            if one.result.outcome is Outcome.MOVED and one.seen.copied:
                note_copies(tx, need_asset(tx, one.after.uuid), one.seen.copied, now)
        results = [one.result for one in ended]
        tx.save_move_result(self.batch_id, *results)
        tx.add_journal(*(entry for one in ended for entry in self._entries(one, now)))
        tx.save_lock(*(release(lock, now) for lock in held.values()))
        return results

    def _event(self, ended: Ended, now: datetime) -> Event:
        result, before, after = ended.result, ended.before, ended.after
        return step(
            before,
            after,
            f"{result.move.operation}.{result.outcome.lower()}",
            SYSTEM,
            now,
            batch=self.batch_id,
            error=result.error,
            source=before.path,
            target=after.path,
        )

    def _entries(self, ended: Ended, now: datetime) -> Iterator[JournalEntry]:
        """The journal's lines about a group after its move: where each file was found."""
        begun, result = ended.begun, ended.result
        phase = Phase.DONE if result.outcome is Outcome.MOVED else Phase.FAILED
        for file, where in zip(begun.move.files, ended.seen.found, strict=True):
            evidence = {"found": where.value, "error": result.error}
            yield journal_entry(
                self.batch_id, begun.move, file, phase, begun.fencing, now, **evidence
            )


def _ended(
    asset: Asset, begun: Begun, seen: Seen, known: Mapping[str, AssetId], now: datetime
) -> Ended:
    """What became of a group, where ``known`` has the assets at the places that files go to."""
    move, error, outcome = begun.move, seen.error, outcome_of(seen.found)
    after = settled(asset, move, outcome, now)
    owner = known.get(after.path, asset.uuid)
    if owner != asset.uuid:
        outcome, error = Outcome.PARKED, f"asset {owner} is known at {after.path!r}"
        after = settled(asset, move, outcome, now)
    result = MoveResult(asset=move.asset, outcome=outcome, move=move, error=error, at=now)
    return Ended(begun=begun, seen=seen, before=asset, after=after, result=result)


def _refused(move: PlannedMove, state: State, now: datetime) -> MoveResult:
    said = f"its state is {state}, and nothing of it was touched"
    return MoveResult(asset=move.asset, outcome=Outcome.FAILED, move=move, error=said, at=now)


def _pending(batch: Batch) -> Iterator[PlannedMove]:
    """What of a batch is still to be done."""
    return (r.move for r in batch.results if r.outcome is Outcome.PENDING)
