"""The story of a batch: preview, accept, do, report, recover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter

from attrs import frozen

from ..domain.actors import Actor
from ..domain.assets import Asset, advanced
from ..domain.identifiers import AssetId, BatchId, StorageId, Subject
from ..domain.journal import Event
from ..domain.leases import Lock
from ..domain.lifecycle import Action, State, Verdict
from ..domain.moves import (
    Batch,
    BatchStatus,
    BlockedMove,
    Candidate,
    MovePlan,
    MoveResult,
    Outcome,
    PlannedMove,
    Planner,
    World,
    candidate_of,
    group_paths,
    in_order,
    plan_of,
    target_folder,
)
from ..domain.storage import Health, Storage
from ..errors import NotFound, StateConflict, StorageOffline
from ..ports.clock import Clock, Ids
from ..ports.store import Store, Transaction
from .lookups import held_locks, need_batch, need_person
from .review import refuse_if_held
from .running import Run, batch_subject
from .storages import Storages
from .trail import record, step
from .worlds import Seen, Sought, look, look_at_all, parts_of

MAX_BATCH = 100_000
PAGE = 1000

_STATE_OF = {Verdict.KEEP: State.DECIDED_KEEP, Verdict.REJECT: State.DECIDED_REJECT}
BOTH = frozenset(Verdict)


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

        Raises:
            NotFound: one of ``assets`` is none.
        """
        looked = await look_at_all(self.storages)
        most = MAX_BATCH if limit is None else min(limit, MAX_BATCH)
        select = partial(self._selected, include, most, assets)
        chosen, held = await self.store.read(select)
        return await self.storages.blocking(self._plan, chosen, held, looked)

    def _selected(
        self,
        include: frozenset[Verdict],
        most: int,
        uuids: Sequence[AssetId] | None,
        tx: Transaction,
    ) -> tuple[list[Candidate], Mapping[Subject, Lock]]:
        found = _decided(tx, include, most) if uuids is None else _named(tx, uuids)
        return list(found)[:most], held_locks(tx, self.clock.now())

    def _plan(
        self,
        candidates: Iterable[Candidate],
        held: Mapping[Subject, Lock],
        looked: Mapping[StorageId, Storage],
    ) -> MovePlan:
        """See what stands where the files are, and the names where they would go, and plan."""
        locked = said_of(held)
        planned: list[PlannedMove | BlockedMove] = []
        for storage_id, some in groupby(in_order(candidates), key=attrgetter("storage_id")):
            planned += self._plan_in(looked[storage_id], list(some), locked)
        return plan_of(planned)

    def _plan_in(
        self, storage: Storage, candidates: Sequence[Candidate], locked: Mapping[AssetId, str]
    ) -> list[PlannedMove | BlockedMove]:
        """Plan the moves in one storage; where it goes away meanwhile, nothing of it is moved."""
        reason = storage.health_reason
        if storage.health is Health.ONLINE:
            try:
                return self._plan_by_parts(storage, candidates, locked)
            except StorageOffline as error:
                reason = error.message
        return Planner().plan(candidates, World(offline={storage.storage_id: reason}))

    def _plan_by_parts(
        self, storage: Storage, candidates: Sequence[Candidate], locked: Mapping[AssetId, str]
    ) -> list[PlannedMove | BlockedMove]:
        """Plan part after part, so that what was seen of each file is forgotten soon."""
        originals, layouts = self.storages.open(storage), {storage.storage_id: storage.layout}
        planner, planned = Planner(), list[PlannedMove | BlockedMove]()
        seen = Seen()
        for some in parts_of(candidates):
            seen = Seen(taken=seen.taken)
            look(originals, [_sought(c, storage) for c in some if c.verdict is not None], seen)
            world = World(
                files=seen.files,
                taken=seen.taken,
                locked=locked,
                unreadable=seen.unreadable,
                layouts=layouts,
            )
            planned += planner.plan(some, world)
        return planned

    # Accepting

    def execute_in(
        self, actor: Actor, plan: MovePlan, expected_digest: str, tx: Transaction
    ) -> Batch:
        """Accept a plan as a batch, in a transaction: its assets are queued, and nothing has moved.

        Raises:
            ForbiddenActor: the actor is no person.
            StateConflict: the plan is not the one that was shown, or an asset changed meanwhile.
            Purged, NotFound: an asset was purged, or is none.
        """
        need_person(actor, "moves files")
        _refuse_other(plan, expected_digest)
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
        assets = tx.assets([move.asset for move in plan.moves])
        held = held_locks(tx, now)
        queued: list[Asset] = []
        events: list[Event] = []
        for move in plan.moves:
            asset = assets.get(move.asset)
            if asset is None:
                raise NotFound(f"there is no asset {move.asset!r}")
            after = _queued(move, asset, actor, held.get(asset.subject), now)
            name = f"{move.operation}.queued"
            queued.append(after)
            events.append(step(asset, after, name, actor, now, batch=batch.batch_id))
        tx.save_assets(queued)
        tx.add_event(*events)
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

    async def execute(self, actor: Actor, plan: MovePlan, expected_digest: str) -> Batch:
        """`execute_in`, durably. `run` then does it."""
        return await self.store.transact(partial(self.execute_in, actor, plan, expected_digest))

    # Doing, reporting, recovering

    async def run(
        self, batch_id: BatchId, progress: Callable[[MoveResult], None] = lambda result: None
    ) -> Batch:
        """Do a batch; what was done before a crash is found done and not done again.

        One asset's failure never stops the others. A storage that goes away leaves its assets queued.
        Where another process is at it, or takes over, that one does it.

        Raises:
            NotFound: there is no such batch.
        """
        run = Run(
            store=self.store,
            clock=self.clock,
            storages=self.storages,
            batch_id=batch_id,
            token=self.ids.token(),
            progress=progress,
        )
        await run.go()
        return await self.report(batch_id)

    async def report(self, batch_id: BatchId) -> Batch:
        """A batch with a result per asset.

        Raises:
            NotFound: there is none.
        """
        return await self.store.read(lambda tx: need_batch(tx, batch_id))

    async def batches(self, limit: int = 50) -> Sequence[Batch]:
        """The newest batches."""
        return await self.store.read(lambda tx: tx.batches(limit=limit))

    async def recover(self) -> int:
        """Go on with every batch that a crash or an absent storage interrupted; returns how many."""
        unfinished = await self.store.read(
            lambda tx: [batch.batch_id for batch in tx.batches(open_only=True, limit=PAGE)]
        )
        for batch_id in reversed(unfinished):
            await self.run(batch_id)
        return len(unfinished)


def said_of(held: Mapping[Subject, Lock]) -> dict[AssetId, str]:
    """Who holds each asset that somebody holds."""
    return {AssetId(s.id): lock.said() for s, lock in held.items() if s.kind == "asset"}


def _named(tx: Transaction, uuids: Sequence[AssetId]) -> Iterator[Candidate]:
    found = tx.assets(uuids)
    for uuid in uuids:
        if uuid not in found:
            raise NotFound(f"there is no asset {uuid!r}")
        yield candidate_of(found[uuid])


def _decided(tx: Transaction, include: Iterable[Verdict], most: int) -> Iterable[Candidate]:
    """The first decided assets by UUID."""
    found = (one for verdict in include for one in _in_state(tx, _STATE_OF[verdict], most))
    return sorted(found, key=attrgetter("uuid"))


def _in_state(tx: Transaction, state: State, most: int) -> Iterator[Candidate]:
    after, left = None, most
    while page := tx.candidates(state, after=after, limit=min(PAGE, left)):
        yield from page
        after, left = page[-1].uuid, left - len(page)


def _sought(asset: Candidate, storage: Storage) -> Sought:
    return Sought(
        asset=asset.uuid,
        storage_id=asset.storage_id,
        paths=tuple([path for path, _, _ in asset.files]),
        folder=target_folder(asset, storage.layout),
    )


def _refuse_other(plan: MovePlan, expected_digest: str) -> None:
    """Refuse another plan than the one that was confirmed."""
    if plan.digest == expected_digest:
        return
    moves = [
        {"asset": move.asset, "from": file.source, "to": file.target}
        for move in plan.moves
        for file in move.files
    ]
    raise StateConflict(
        "the world no longer matches the preview that was confirmed; preview again",
        expected_digest=expected_digest,
        digest=plan.digest,
        moves=moves[:100],
    )


def _queued(
    move: PlannedMove, asset: Asset, actor: Actor, held: Lock | None, now: datetime
) -> Asset:
    """The asset, from which everybody else is kept away until its move is done."""
    action = Action.QUEUE_UNDO if move.undoes else Action.QUEUE_MOVE
    queued = advanced(asset, action, actor, now)
    refuse_if_held(asset, held)
    group = {file.source for file in move.files}
    if set(group_paths(asset)) != group or asset.verdict is not move.verdict:
        raise StateConflict(
            f"{asset.path!r} changed while its move was planned; preview again",
            state=asset.state.value,
        )
    return queued
