"""The story of taking a batch back: preview, and acceptance as a batch that the same executor runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attrs import evolve, frozen

from ..domain.actors import Actor
from ..domain.identifiers import AssetId, BatchId, StorageId, folder_of
from ..domain.moves import Batch, DiskFile, MovePlan, MoveResult, World
from ..domain.storage import Health, Storage
from ..domain.undo import UndoWorld, last_move, old_places, plan_undo
from ..errors import NotFound, StateConflict, StorageOffline, Unavailable
from ..ports.originals import Originals
from ..ports.store import Transaction
from .moves import Moves


@frozen(kw_only=True)
class Undo:
    """The stories of taking batches back."""

    moves: Moves

    async def preview(self, batch_id: BatchId) -> MovePlan:
        """Plan what of a batch goes back, and change nothing.

        Raises:
            NotFound: there is no such batch.
            StateConflict: it is an undo itself.
        """
        storages = self.moves.storages
        looked = {s.storage_id: await storages.look(s) for s in await storages.all()}
        batch, world = await self.moves.store.read(partial(self._situation, batch_id))
        return await self.moves.storages.blocking(self._plan, batch, world, looked)

    def _situation(self, batch_id: BatchId, tx: Transaction) -> tuple[Batch, UndoWorld]:
        batch = tx.batch(batch_id)
        if batch is None:
            raise NotFound(f"there is no batch {batch_id!r}")
        if batch.undoes:
            raise StateConflict(
                f"this batch is the undo of {batch.undoes}, and is not undone itself; "
                "apply the decisions again instead",
                undoes=batch.undoes,
            )
        assets = tx.assets([result.asset for result in batch.results])
        newest = {a.uuid: last_move(tx.journal(subject=a.subject)) for a in assets.values()}
        places = {place: tx.asset_at(*place) for place in old_places(batch)}
        held = {lock.subject: lock for lock in tx.locks(now=self.moves.clock.now(), expired=False)}
        locked = {
            a.uuid: f"{lock.holder} holds a {lock.kind} until {lock.expires_at:%H:%M:%S}Z"
            for a in assets.values()
            if (lock := held.get(a.subject)) is not None
        }
        world = UndoWorld(
            assets=assets,
            last={uuid: last for uuid, last in newest.items() if last is not None},
            known={place: asset.uuid for place, asset in places.items() if asset is not None},
            disk=World(locked=locked),
        )
        return batch, world

    def _plan(
        self, batch: Batch, world: UndoWorld, storages: Mapping[StorageId, Storage]
    ) -> MovePlan:
        """See what stands at the places of now and of before, and plan."""
        offline = {
            s.storage_id: s.health_reason for s in storages.values() if s.health is Health.OFFLINE
        }
        files: dict[tuple[StorageId, str], DiskFile] = {}
        taken: dict[tuple[StorageId, str], frozenset[str]] = {}
        unreadable: dict[AssetId, str] = {}
        for result in batch.results:
            storage_id = result.move.storage_id
            if storage_id in offline:
                continue
            try:
                originals = self.moves.storages.open(storages[storage_id])
                _look_at(originals, result, files, taken)
            except StorageOffline as error:
                offline[storage_id] = error.message
            except Unavailable as error:
                unreadable[result.asset] = error.message
        disk = evolve(world.disk, files=files, taken=taken, unreadable=unreadable, offline=offline)
        return plan_undo(batch, evolve(world, disk=disk))

    def execute_in(
        self, actor: Actor, plan: MovePlan, expected_digest: str, tx: Transaction
    ) -> Batch:
        """Accept an undo as a batch, in a transaction; nothing has moved yet, and `Moves.run` does it.

        Raises:
            ForbiddenActor: the actor is no person.
            StateConflict: nothing can be taken back, the plan is not the one that was shown, or an asset
                changed meanwhile.
        """
        if not plan.moves:
            first = plan.blocked[0].message if plan.blocked else "it moved nothing"
            raise StateConflict(
                f"nothing of this batch can be undone: {first}",
                blocked=[
                    {"asset": b.asset, "path": b.path, "reason": b.reason, "message": b.message}
                    for b in plan.blocked[:100]
                ],
            )
        return self.moves.execute_in(actor, plan, expected_digest, tx)

    async def execute(self, actor: Actor, plan: MovePlan, expected_digest: str) -> Batch:
        """`execute_in`, durably."""
        work = partial(self.execute_in, actor, plan, expected_digest)
        return await self.moves.store.transact(work)


def _look_at(
    originals: Originals,
    result: MoveResult,
    files: dict[tuple[StorageId, str], DiskFile],
    taken: dict[tuple[StorageId, str], frozenset[str]],
) -> None:
    """See the files of one group, where they are and where they would go."""
    storage_id = result.move.storage_id
    for file in result.move.files:
        for path in (file.source, file.target):
            found = originals.stat(path)
            if found is not None:
                files[storage_id, path] = found
        key = (storage_id, folder_of(file.source))
        if key not in taken:
            taken[key] = originals.names_in(key[1])
