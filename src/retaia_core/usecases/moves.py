"""The story of a batch: preview, execute, report, recover. Every action is journalled before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import anyio
from attrs import evolve, frozen

from ..domain.actors import SYSTEM, Actor, ActorKind
from ..domain.assets import Asset, advanced
from ..domain.identifiers import AssetId, BatchId, StorageId, Subject, asset_subject
from ..domain.journal import Phase
from ..domain.leases import LockKind, acquire, check, extend, release
from ..domain.lifecycle import Action, State, Verdict
from ..domain.moves import (
    Batch,
    BatchStatus,
    DiskFile,
    MovePlan,
    MoveResult,
    Outcome,
    PlannedMove,
    Where,
    World,
    group_paths,
    plan_moves,
    target_folder,
)
from ..domain.storage import Health, Storage
from ..errors import (
    ForbiddenActor,
    NotFound,
    StateConflict,
    StorageOffline,
    Unavailable,
)
from ..ports.clock import Clock, Ids
from ..ports.store import Store, Transaction
from .lookups import need_asset
from .moving import journal_entry, locate, move_group, outcome_of, settled
from .review import refuse_if_locked
from .storages import Storages
from .trail import record, save_step

MAX_BATCH = 100_000
RUN_LEASE = timedelta(seconds=30)
"""How long a batch stays reserved for the process that runs it, after its last sign of life."""

_STATE_OF = {Verdict.KEEP: State.DECIDED_KEEP, Verdict.REJECT: State.DECIDED_REJECT}
BOTH = frozenset(Verdict)


def batch_subject(batch_id: BatchId) -> Subject:
    """A batch as the subject of events."""
    return Subject(kind="batch", id=batch_id)


@frozen(kw_only=True)
class Moves:
    """The stories of batch moves."""

    store: Store
    clock: Clock
    ids: Ids
    storages: Storages

    # Planning

    async def preview(
        self,
        include: frozenset[Verdict] = BOTH,
        *,
        limit: int | None = None,
        assets: Sequence[AssetId] | None = None,
    ) -> MovePlan:
        """Plan the moves of decided assets, and change nothing.

        ``include`` selects by verdict; ``assets`` restricts to some; ``limit`` to so many (by UUID).
        """
        storages = {s.storage_id: await self.storages.look(s) for s in await self.storages.all()}
        select = partial(self._selected, include, limit, assets)
        chosen, locked = await self.store.read(select)
        return await self.storages.blocking(self._plan, chosen, locked, storages)

    def _selected(
        self,
        include: frozenset[Verdict],
        limit: int | None,
        uuids: Sequence[AssetId] | None,
        tx: Transaction,
    ) -> tuple[list[Asset], dict[AssetId, str]]:
        most = MAX_BATCH if limit is None else min(limit, MAX_BATCH)
        if uuids is not None:
            found = tx.assets(uuids)
            missing = [uuid for uuid in uuids if uuid not in found]
            if missing:
                raise NotFound(f"there is no asset {missing[0]!r}")
            chosen = [found[uuid] for uuid in uuids][:most]
        else:
            states = [_STATE_OF[verdict] for verdict in sorted(include)]
            chosen = list(tx.assets_in_states(states, limit=most))
        locked = {lock.subject: lock for lock in tx.locks(now=self.clock.now(), expired=False)}
        reasons = {
            asset.uuid: f"{lock.holder} holds a {lock.kind} until {lock.expires_at:%H:%M:%S}Z"
            for asset in chosen
            if (lock := locked.get(asset.subject)) is not None
        }
        return chosen, reasons

    def _plan(
        self,
        assets: Sequence[Asset],
        locked: dict[AssetId, str],
        storages: dict[StorageId, Storage],
    ) -> MovePlan:
        return plan_moves(assets, self._look(assets, locked, storages))

    def _look(
        self,
        assets: Sequence[Asset],
        locked: dict[AssetId, str],
        storages: dict[StorageId, Storage],
    ) -> World:
        """See what the planner needs of the disk: the groups' files, and the names in the targets."""
        offline = {
            s.storage_id: s.health_reason for s in storages.values() if s.health is Health.OFFLINE
        }
        files: dict[tuple[StorageId, str], DiskFile] = {}
        taken: dict[tuple[StorageId, str], frozenset[str]] = {}
        unreadable: dict[AssetId, str] = {}
        for asset in assets:
            if asset.storage_id in offline or asset.verdict is None:
                continue
            try:
                self._look_at(asset, storages[asset.storage_id], files, taken)
            except StorageOffline as error:
                offline[asset.storage_id] = error.message
            except Unavailable as error:
                unreadable[asset.uuid] = error.message
        layouts = {s.storage_id: s.layout for s in storages.values()}
        return World(
            files=files,
            taken=taken,
            locked=locked,
            unreadable=unreadable,
            offline=offline,
            layouts=layouts,
        )

    def _look_at(
        self,
        asset: Asset,
        storage: Storage,
        files: dict[tuple[StorageId, str], DiskFile],
        taken: dict[tuple[StorageId, str], frozenset[str]],
    ) -> None:
        originals = self.storages.open(storage)
        for path in group_paths(asset):
            found = originals.stat(path)
            if found is not None:
                files[asset.storage_id, path] = found
        key = (asset.storage_id, target_folder(asset, storage.layout))
        if key not in taken:
            taken[key] = originals.names_in(key[1])

    # Executing

    def execute_in(
        self, actor: Actor, plan: MovePlan, expected_digest: str, tx: Transaction
    ) -> Batch:
        """Accept a plan as a batch, in a transaction: its assets are queued, and nothing has moved.

        Raises:
            ForbiddenActor: the actor is no person.
            StateConflict: the plan is not the one that was shown, or an asset changed meanwhile.
        """
        if actor.kind is not ActorKind.PERSON:
            raise ForbiddenActor("only a person moves files")
        if plan.digest != expected_digest:
            raise StateConflict(
                "the world no longer matches the preview that was confirmed; preview again",
                expected_digest=expected_digest,
                digest=plan.digest,
                moves=[
                    {"asset": m.asset, "from": f.source, "to": f.target}
                    for m in plan.moves
                    for f in m.files
                ][:100],
            )
        now = self.clock.now()
        batch = Batch(
            batch_id=BatchId(self.ids.uuid()),
            status=BatchStatus.QUEUED,
            digest=plan.digest,
            created_at=now,
            created_by=str(actor),
            results=tuple(
                MoveResult(asset=move.asset, outcome=Outcome.PENDING, move=move)
                for move in plan.moves
            ),
            blocked=plan.blocked,
        )
        for move in plan.moves:
            self._queue(tx, batch, move, actor)
        tx.add_batch(batch)
        record(
            tx,
            batch_subject(batch.batch_id),
            "batch.accepted",
            actor,
            now,
            digest=plan.digest,
            moves=len(plan.moves),
            blocked=len(plan.blocked),
            **({"undoes": batch.undoes} if batch.undoes else {}),
        )
        return batch

    def _queue(self, tx: Transaction, batch: Batch, move: PlannedMove, actor: Actor) -> None:
        """Keep everybody else away from an asset until its move is done."""
        now = batch.created_at
        asset = need_asset(tx, move.asset)
        refuse_if_locked(tx, asset, now, jobs=True)
        action = Action.QUEUE_UNDO if move.undoes else Action.QUEUE_MOVE
        queued = advanced(asset, action, actor, now)
        group = {file.source for file in move.files}
        if set(group_paths(asset)) != group or asset.verdict is not move.verdict:
            raise StateConflict(
                f"{asset.path!r} changed while its move was planned; preview again",
                state=asset.state.value,
            )
        name = f"{move.operation}.queued"
        save_step(tx, asset, queued, name, actor, now, batch=batch.batch_id)

    async def execute(self, actor: Actor, plan: MovePlan, expected_digest: str) -> Batch:
        """`execute_in`, durably. `run` then does it."""
        return await self.store.transact(partial(self.execute_in, actor, plan, expected_digest))

    async def run(
        self, batch_id: BatchId, progress: Callable[[MoveResult], None] = lambda result: None
    ) -> Batch:
        """Do a batch, asset by asset; what was done before a crash is found done and not done again.

        One asset's failure never stops the others. A storage that goes away leaves its assets queued.
        """
        token = self.ids.token()
        if not await self.store.transact(partial(self._hold, batch_id, token), durable=False):
            return await self.report(batch_id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_holding, batch_id, token)
            await self._run_held(batch_id, progress)
            tasks.cancel_scope.cancel()
        await self.store.transact(partial(self._let_go, batch_id, token), durable=False)
        return await self.report(batch_id)

    def _hold(self, batch_id: BatchId, token: str, tx: Transaction) -> bool:
        """Reserve a batch for this run; False where another process is at it."""
        now, subject = self.clock.now(), batch_subject(batch_id)
        try:
            lock = acquire(
                tx.lock(subject),
                subject,
                kind=LockKind.ASSET_MOVE_LOCK,
                holder="run",
                token=token,
                now=now,
                duration=RUN_LEASE,
            )
        except StateConflict:
            return False
        tx.save_lock(lock)
        return True

    async def _keep_holding(self, batch_id: BatchId, token: str) -> None:
        while True:
            await anyio.sleep(RUN_LEASE.total_seconds() / 3)
            await self.store.transact(partial(self._extend, batch_id, token), durable=False)

    def _extend(self, batch_id: BatchId, token: str, tx: Transaction) -> None:
        now = self.clock.now()
        lock = check(tx.lock(batch_subject(batch_id)), token=token, now=now)
        tx.save_lock(extend(lock, now, RUN_LEASE))

    def _let_go(self, batch_id: BatchId, token: str, tx: Transaction) -> None:
        lock = tx.lock(batch_subject(batch_id))
        if lock is not None and lock.token == token:
            tx.save_lock(release(lock, self.clock.now()))

    async def _run_held(self, batch_id: BatchId, progress: Callable[[MoveResult], None]) -> None:
        batch = await self.report(batch_id)
        if batch.status is BatchStatus.DONE:
            return
        running = evolve(batch, status=BatchStatus.RUNNING)
        await self.store.transact(lambda tx: tx.save_batch(running))
        left = 0
        for result in batch.results:
            if result.outcome is not Outcome.PENDING:
                continue
            try:
                done = await self._move(batch, result.move)
            except Unavailable:
                left += 1
                continue
            progress(done)
        if left == 0:
            finished = evolve(batch, status=BatchStatus.DONE, finished_at=self.clock.now())
            await self.store.transact(partial(self._finish, finished))

    def _finish(self, batch: Batch, tx: Transaction) -> None:
        tx.save_batch(batch)
        now = self.clock.now()
        record(tx, batch_subject(batch.batch_id), "batch.done", SYSTEM, now)

    async def _move(self, batch: Batch, move: PlannedMove) -> MoveResult:
        storage = await self.storages.online(move.storage_id)
        originals = self.storages.open(storage)
        token = self.ids.token()
        fencing = await self.store.transact(partial(self._begin, batch, move, token))
        error = await self.storages.blocking(move_group, originals, move)
        found = await self.storages.blocking(locate, originals, move)
        return await self.store.transact(partial(self._end, batch, move, fencing, error, found))

    def _begin(self, batch: Batch, move: PlannedMove, token: str, tx: Transaction) -> int:
        """Take the move lock and write down what is about to be done."""
        now = self.clock.now()
        subject = asset_subject(move.asset)
        current = tx.lock(subject)
        if current is not None and current.holder == batch.batch_id:
            current = release(current, now)
        lock = acquire(
            current,
            subject,
            kind=LockKind.ASSET_MOVE_LOCK,
            holder=batch.batch_id,
            token=token,
            now=now,
        )
        tx.save_lock(lock)
        for file in move.files:
            tx.add_journal(
                journal_entry(batch.batch_id, move, file, Phase.INTENT, lock.fencing, now)
            )
        return lock.fencing

    def _end(
        self,
        batch: Batch,
        move: PlannedMove,
        fencing: int,
        error: str,
        found: tuple[Where, ...],
        tx: Transaction,
    ) -> MoveResult:
        """Write down what is on disk now, and let the asset's state follow it and nothing else."""
        now = self.clock.now()
        outcome = outcome_of(found)
        asset = need_asset(tx, move.asset)
        after = settled(asset, move, outcome, now)
        if after.path != asset.path and (owner := tx.asset_at(asset.storage_id, after.path)):
            outcome, error = Outcome.PARKED, f"asset {owner.uuid} is known at {after.path!r}"
            after = settled(asset, move, outcome, now)
        phase = Phase.DONE if outcome is Outcome.MOVED else Phase.FAILED
        for file, where in zip(move.files, found, strict=True):
            tx.add_journal(
                journal_entry(
                    batch.batch_id, move, file, phase, fencing, now, found=where.value, error=error
                )
            )
        save_step(
            tx,
            asset,
            after,
            f"{move.operation}.{outcome.lower()}",
            SYSTEM,
            now,
            batch=batch.batch_id,
            error=error,
            source=asset.path,
            target=after.path,
        )
        lock = tx.lock(asset.subject)
        if lock is not None and lock.fencing == fencing:
            tx.save_lock(release(lock, now))
        result = MoveResult(asset=move.asset, outcome=outcome, move=move, error=error, at=now)
        tx.save_move_result(batch.batch_id, result)
        return result

    # Reporting, recovering

    async def report(self, batch_id: BatchId) -> Batch:
        """A batch with a result per asset.

        Raises:
            NotFound: there is none.
        """
        batch = await self.store.read(lambda tx: tx.batch(batch_id))
        if batch is None:
            raise NotFound(f"there is no batch {batch_id!r}")
        return batch

    async def batches(self, limit: int = 50) -> Sequence[Batch]:
        """The newest batches."""
        return await self.store.read(lambda tx: tx.batches(limit=limit))

    async def recover(self) -> int:
        """Go on with every batch that a crash or an absent storage interrupted; returns how many."""
        unfinished = await self.store.read(lambda tx: tx.batches(open_only=True, limit=1000))
        for batch in reversed(unfinished):
            await self.run(batch.batch_id)
        return len(unfinished)
