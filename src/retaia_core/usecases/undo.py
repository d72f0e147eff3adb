"""The story of taking a batch back: preview, and acceptance as a batch that the same executor runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import evolve, frozen

from ..domain.actors import Actor
from ..domain.identifiers import AssetId, BatchId, StorageId, folder_of
from ..domain.moves import Batch, MovePlan, MoveResult, World
from ..domain.storage import Storage
from ..domain.undo import UndoWorld, last_move, old_places, part_of, plan_undo
from ..errors import StateConflict
from ..ports.store import Transaction
from .lookups import held_locks, need_batch
from .moves import Moves, said_of
from .worlds import Sought, look_at_all, look_on_disk


@frozen(kw_only=True)
class Undo:
    """The stories of taking batches back."""

    moves: Moves

    async def preview(self, batch_id: BatchId, assets: Sequence[AssetId] | None = None) -> MovePlan:
        """Plan what of a batch goes back, and change nothing; of ``assets`` only, where given.

        Raises:
            NotFound: there is no such batch, or it has nothing to do with one of the assets.
            StateConflict: it is an undo itself.
        """
        looked = await look_at_all(self.moves.storages)
        situation = partial(self._situation, batch_id, assets)
        batch, world = await self.moves.store.read(situation)
        return await self.moves.storages.blocking(self._plan, batch, world, looked)

    def _situation(
        self, batch_id: BatchId, only: Sequence[AssetId] | None, tx: Transaction
    ) -> tuple[Batch, UndoWorld]:
        batch = need_batch(tx, batch_id)
        if batch.undoes:
            raise StateConflict(
                f"this batch is the undo of {batch.undoes}, and is not undone itself; "
                "apply the decisions again instead",
                undoes=batch.undoes,
            )
        if only is not None:
            batch = part_of(batch, only)
        assets = tx.assets([result.asset for result in batch.results])
        newest = {a.uuid: last_move(tx.journal(subject=a.subject)) for a in assets.values()}
        known = {
            (storage_id, path): uuid
            for storage_id, paths in old_places(batch).items()
            for path, uuid in tx.known_at(storage_id, paths).items()
        }
        held = held_locks(tx, self.moves.clock.now())
        world = UndoWorld(
            assets=assets,
            last={uuid: last for uuid, last in newest.items() if last is not None},
            known=known,
            disk=World(locked=said_of(held)),
        )
        return batch, world

    def _plan(
        self, batch: Batch, world: UndoWorld, looked: Mapping[StorageId, Storage]
    ) -> MovePlan:
        """See what stands at the places of now and of before, and plan."""
        sought = map(_sought, batch.results)
        disk = look_on_disk(self.moves.storages, looked, sought)
        return plan_undo(batch, evolve(world, disk=evolve(disk, locked=world.disk.locked)))

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


def _sought(result: MoveResult) -> Sought:
    """The places of a group, where it is and where it would go; its files lie in one folder."""
    files = result.move.files
    return Sought(
        asset=result.asset,
        storage_id=result.move.storage_id,
        paths=tuple(path for file in files for path in (file.source, file.target)),
        folder=folder_of(files[0].source),
    )
