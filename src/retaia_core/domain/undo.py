"""Planning the undo of a batch: what goes back, what cannot, and why (domain.md, *Batch moves*)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, field, frozen

from ..errors import NotFound
from .assets import Asset, Flag
from .identifiers import AssetId, BatchId, RelPath, StorageId, folder_of, name_of
from .journal import JournalEntry, Phase
from .lifecycle import State
from .moves import (
    Batch,
    BlockedMove,
    BlockReason,
    MovePlan,
    MoveResult,
    Outcome,
    PlannedFile,
    PlannedMove,
    World,
    disk_block,
    group_paths,
    world_block,
)

UNDOABLE = (State.ARCHIVED, State.REJECTED)
MOVING = ("move", "undo")
"""The operations of the journal that move a group."""


@frozen(kw_only=True)
class LastMove:
    """The batch that moved an asset last, and the batch that it took back (empty where none)."""

    batch_id: BatchId
    undoes: str = ""


@frozen(kw_only=True)
class UndoWorld:
    """What the planner may know beside the batch.

    ``assets`` are those of the batch as they are now; ``last`` their newest moves; ``known`` the assets
    that are known at the places where files would go. ``disk`` has what stands at the places of now and
    of before (``files``), and the names in the folders of before (``taken``); its layouts do not matter.
    """

    assets: Mapping[AssetId, Asset]
    last: Mapping[AssetId, LastMove] = field(factory=dict)
    known: Mapping[tuple[StorageId, str], AssetId] = field(factory=dict)
    disk: World = field(factory=World)


def last_move(journal: Iterable[JournalEntry]) -> LastMove | None:
    """The newest move that an asset's journal proves; None where it was never moved."""
    done = [e for e in journal if e.operation in MOVING and e.phase is Phase.DONE]
    if not done:
        return None
    undoes = done[-1].evidence.get("undoes", "")
    return LastMove(batch_id=BatchId(done[-1].batch_id), undoes=str(undoes))


def inverse(move: PlannedMove, batch_id: BatchId) -> PlannedMove:
    """The move that takes another back: each file from where it went to where it was."""
    files = tuple(evolve(f, source=f.target, target=f.source) for f in move.files)
    return evolve(move, files=files, undoes=batch_id, nonce="", collides_with=(), warnings=())


_NOT_MOVED = {
    Outcome.PENDING: "the batch has not moved it yet",
    Outcome.FAILED: "the batch did not move it",
    Outcome.PARKED: "its move could not be proven; settle it with `retaia recover` first",
}


def _trail_reason(
    batch: Batch, result: MoveResult, asset: Asset, last: LastMove | None
) -> tuple[BlockReason, str] | None:
    """What happened to the asset since the batch that stands in the way."""
    if result.outcome is not Outcome.MOVED:
        return BlockReason.NOT_MOVED, _NOT_MOVED[result.outcome]
    if asset.state is State.PURGED:
        return BlockReason.PURGED, "it was purged; its files are gone for good"
    if last is None or last.undoes == batch.batch_id:
        by = f" by batch {last.batch_id}" if last else ""
        return BlockReason.UNDONE, f"it was undone before{by}"
    if last.batch_id != batch.batch_id and not last.undoes:
        return BlockReason.MOVED_LATER, f"batch {last.batch_id} moved it later; undo that first"
    if Flag.PARKED in asset.flags:
        return BlockReason.PARKED, "a later move could not be proven; settle it first"
    if asset.state not in UNDOABLE:
        said = f"it was reopened, processed again or decided anew; its state is {asset.state}"
        return BlockReason.REOPENED, said
    return None


def _group_reason(asset: Asset, move: PlannedMove) -> tuple[BlockReason, str] | None:
    """Whether the group is still the one that the batch moved, where the batch put it."""
    there, put = set(group_paths(asset)), {file.source for file in move.files}
    if there == put:
        return None
    if asset.path not in put:
        return BlockReason.MOVED_LATER, f"it was moved by hand to {asset.path!r}"
    odd = sorted(there ^ put)
    said = "is a sidecar of it now" if odd[0] in there else "is no sidecar of it any more"
    return BlockReason.GROUP_CHANGED, f"{odd[0]!r} {said}; a group goes back whole or not at all"


def _taken(move: PlannedMove, file: PlannedFile, world: UndoWorld) -> bool:
    """Whether something stands, or is known, where a file would go back to."""
    if file.source == file.target:
        return False
    owner = world.known.get((move.storage_id, file.target))
    names = world.disk.taken.get((move.storage_id, folder_of(file.target)), frozenset())
    stands = (move.storage_id, file.target) in world.disk.files or name_of(file.target) in names
    return stands or owner not in (None, move.asset)


def _place_reason(move: PlannedMove, world: UndoWorld) -> tuple[BlockReason, str] | None:
    taken = [file.target for file in move.files if _taken(move, file, world)]
    if not taken:
        return None
    return BlockReason.TARGET_TAKEN, f"{taken[0]!r}, where it was, is taken; nothing is renamed"


def _plan_one(
    batch: Batch, result: MoveResult, asset: Asset, world: UndoWorld
) -> PlannedMove | BlockedMove:
    move = inverse(result.move, batch.batch_id)
    reason = _trail_reason(batch, result, asset, world.last.get(asset.uuid))
    reason = reason or _group_reason(asset, move)
    if reason is None:
        files = [(file.source, file.size, file.mtime_ns) for file in move.files]
        blocked = world_block(asset, world.disk) or disk_block(asset, files, world.disk)
        if blocked:
            return blocked
        reason = _place_reason(move, world)
    if reason is None:
        return move
    return BlockedMove(asset=asset.uuid, path=asset.path, reason=reason[0], message=reason[1])


def plan_undo(batch: Batch, world: UndoWorld) -> MovePlan:
    """Plan the way back of everything that a batch moved and that still lies where it put it.

    A group goes back whole, to exactly the names it had; where one of them is taken it stays and is
    named as blocked. What a later batch, a person or another program touched since stays too.
    """
    planned = [_plan_one(batch, r, world.assets[r.asset], world) for r in batch.results]
    return MovePlan(
        moves=tuple(p for p in planned if isinstance(p, PlannedMove)),
        blocked=tuple(p for p in planned if isinstance(p, BlockedMove)),
    )


def part_of(batch: Batch, assets: Iterable[AssetId]) -> Batch:
    """A batch as if it had been about some of its assets only.

    Raises:
        NotFound: it has nothing to do with one of them.
    """
    wanted = set(assets)
    results = tuple(result for result in batch.results if result.asset in wanted)
    strange = wanted - {result.asset for result in results}
    if strange:
        raise NotFound(f"batch {batch.batch_id} did not move {min(strange)}; look at its report")
    return evolve(batch, results=results)


def old_places(batch: Batch) -> Mapping[StorageId, Sequence[RelPath]]:
    """Every place that a batch took an original from, by storage."""
    places = defaultdict[StorageId, list[RelPath]](list)
    for result in batch.results:
        places[result.move.storage_id].append(result.move.files[0].source)
    return places
