"""*Who may act* (domain.md): every lock that can be held, with every operation, in every state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from retaia_tests.house import PERSON, House

from retaia_core.domain.actors import ActorKind
from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import AssetId, RelPath
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.leases import DURATIONS, Lock, LockKind
from retaia_core.domain.lifecycle import Action, Standing, State, Verdict, allowed_actions
from retaia_core.domain.moves import BlockReason, MovePlan, PlannedFile, PlannedMove
from retaia_core.domain.purge import PurgeBlock
from retaia_core.errors import NotFound, Purged, StateConflict
from retaia_core.ports.store import Transaction

KEPT = (State.DECIDED_KEEP, State.ARCHIVED)
REJECTED = (State.DECIDED_REJECT, State.REJECTED, State.PURGED)
CLAIMABLE = frozenset(State) - {State.DISCOVERED, State.MOVE_QUEUED, State.PURGED}
"""Where a job may be pending and claimed; of a file that was just found there is none yet."""

EVERYBODY_OUT = (LockKind.ASSET_MOVE_LOCK, LockKind.ASSET_PURGE_LOCK)
MUST_WAIT_FOR_JOBS = frozenset({"purge", "move", "undo", "reprocess", "claim"})

Operation = Callable[[House, Asset], Awaitable[object]]


def _verdict(state: State) -> Verdict | None:
    return Verdict.KEEP if state in KEPT else Verdict.REJECT if state in REJECTED else None


def _plan(asset: Asset, undoes: str = "") -> MovePlan:
    """A plan as it was made when nothing was in the way."""
    file = PlannedFile(
        source=asset.path, target=RelPath(f"X/{asset.name}"), size=asset.size,
        mtime_ns=asset.mtime_ns, role="original",
    )  # fmt: skip
    move = PlannedMove(
        asset=asset.uuid, storage_id=asset.storage_id, verdict=asset.verdict or Verdict.KEEP,
        files=(file,), undoes=undoes,
    )  # fmt: skip
    return MovePlan(moves=(move,))


async def _claim(house: House, asset: Asset) -> object:
    return await house.processing.claim_bundle(await house.agent(), asset.uuid)


async def _move(house: House, asset: Asset) -> object:
    plan = _plan(asset)
    return await house.moves.execute(PERSON, plan, plan.digest)


async def _undo(house: House, asset: Asset) -> object:
    plan = _plan(asset, undoes="an earlier batch")
    return await house.undo.execute(PERSON, plan, plan.digest)


async def _purge(house: House, asset: Asset) -> object:
    plan = await house.purges.preview(asset.uuid)
    plan = evolve(plan, blocked=())  # As it was made when nothing was in the way.
    return await house.purges.accept(PERSON, plan, plan.digest)


def _decision(action: Action) -> Operation:
    async def decide(house: House, asset: Asset) -> object:
        return await house.review.decide(PERSON, asset.uuid, action)

    return decide


OPERATIONS: dict[str, tuple[Operation, Action]] = {
    "claim": (_claim, Action.CLAIM),
    "keep": (_decision(Action.KEEP), Action.KEEP),
    "reject": (_decision(Action.REJECT), Action.REJECT),
    "clear": (_decision(Action.CLEAR), Action.CLEAR),
    "reopen": (lambda h, a: h.review.reopen(PERSON, a.uuid), Action.REOPEN),
    "reprocess": (lambda h, a: h.review.reprocess(PERSON, a.uuid), Action.REPROCESS),
    "move": (_move, Action.QUEUE_MOVE),
    "undo": (_undo, Action.QUEUE_UNDO),
    "purge": (_purge, Action.PURGE),
}


def open_now(name: str, state: State, held: LockKind | None) -> bool:
    """What domain.md says: whether an operation is open in a state, under a lock of somebody else."""
    if held in EVERYBODY_OUT or state is State.MOVE_QUEUED:
        return False
    if held is LockKind.JOB_LEASE and name in MUST_WAIT_FOR_JOBS:
        return False
    if name == "claim":
        return state in CLAIMABLE
    standing = Standing(state=state, verdict=_verdict(state))
    return OPERATIONS[name][1] in allowed_actions(standing, ActorKind.PERSON)


async def arrange(state: State, held: LockKind | None) -> tuple[House, Asset]:
    """An asset in a state with one job to do, under a lock that another holds."""
    house = House()
    await house.start()
    asset = await house.ready("INBOX/A.jpg")
    agent_s_job = state in (State.READY, State.PROCESSING_REVIEW)

    def set_up(tx: Transaction) -> Asset:
        last = len(jobs := tx.jobs_of(asset.subject)) - 1
        for n, job in enumerate(jobs):
            done = n < last and not agent_s_job
            status = JobStatus.COMPLETED if done else JobStatus.PENDING
            tx.save_job(evolve(job, status=status, review=agent_s_job))
        if held is not None:
            tx.save_lock(
                Lock(
                    subject=asset.subject, kind=held, holder="another", token="t", fencing=7,
                    expires_at=house.clock.now() + DURATIONS[held],
                )
            )  # fmt: skip
        return tx.save_asset(evolve(asset, state=state, verdict=_verdict(state)))

    return house, await house.store.transact(set_up)


async def everything(house: House, asset: Asset) -> Any:
    """All that an operation could have changed."""

    def read(tx: Transaction) -> Any:
        return (
            tx.asset(asset.uuid), tx.lock(asset.subject), tx.jobs_of(asset.subject),
            tx.journal(), tx.events(asset.subject), tx.batches(),
        )  # fmt: skip

    return await house.store.read(read), dict(house.originals.files)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("held", [None, *LockKind])
@pytest.mark.parametrize("state", list(State))
async def test_every_pair(state: State, held: LockKind | None, name: str) -> None:
    """An operation is done where the page says so; else it is refused, and nothing is as much as touched."""
    house, asset = await arrange(state, held)
    operation, _ = OPERATIONS[name]
    if open_now(name, state, held):
        await operation(house, asset)
        assert await everything(house, asset) != (await everything(*await arrange(state, held)))
        return
    await house.agent()
    before = await everything(house, asset)
    if name == "claim" and state is State.DISCOVERED and held is None:
        return  # Nothing is there to be claimed: no job is made before a file is whole.
    with pytest.raises(Purged if state is State.PURGED else StateConflict):
        await operation(house, asset)
    assert await everything(house, asset) == before


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_move_lock_that_is_over_hinders_nobody(name: str) -> None:
    """Who is being moved is `MOVE_QUEUED`; the lock of its mover keeps nobody out when its time is over."""
    house, asset = await over(name, LockKind.ASSET_MOVE_LOCK)
    await OPERATIONS[name][0](house, asset)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_purge_that_was_cut_off_keeps_everybody_out(name: str) -> None:
    """Its files may be gone: until recovery ended it nothing else begins, whatever the clock says."""
    house, asset = await over(name, LockKind.ASSET_PURGE_LOCK)
    await house.agent()
    before = await everything(house, asset)
    with pytest.raises(StateConflict, match="another holds a asset_purge_lock"):
        await OPERATIONS[name][0](house, asset)
    assert await everything(house, asset) == before


async def over(name: str, held: LockKind) -> tuple[House, Asset]:
    """An asset on which an operation is open but for a lock, whose time is over."""
    state = next(s for s in (*KEPT, *REJECTED, *CLAIMABLE) if open_now(name, s, None))
    house, asset = await arrange(state, held)
    house.clock.advance(DURATIONS[held] + timedelta(seconds=1))
    return house, asset


class TestPreviews:
    """A dry run says who is in the way; what was shown before is refused when it is confirmed."""

    @pytest.mark.parametrize("held", list(LockKind))
    async def test_moves(self, held: LockKind) -> None:
        """A preview blocks an asset that somebody holds; a lock that came later refuses the batch."""
        house, asset = await arrange(State.DECIDED_KEEP, held)
        blocked = (await house.moves.preview()).blocked
        assert [b.reason for b in blocked] == [BlockReason.LOCKED]
        assert "another holds a" in blocked[0].message
        free, asset = await arrange(State.DECIDED_KEEP, None)
        shown = await free.moves.preview()
        lock = await house.store.read(lambda tx: tx.lock(asset.subject))
        assert lock is not None
        await free.store.transact(lambda tx: tx.save_lock(lock))
        with pytest.raises(StateConflict, match="another holds a"):
            await free.moves.execute(PERSON, shown, shown.digest)

    @pytest.mark.parametrize("held", list(LockKind))
    async def test_purges(self, held: LockKind) -> None:
        """The same of a purge."""
        house, asset = await arrange(State.REJECTED, held)
        plan = await house.purges.preview(asset.uuid)
        assert PurgeBlock.LOCKED in {block.reason for block in plan.blocked}
        free, asset = await arrange(State.REJECTED, None)
        shown = await free.purges.preview(asset.uuid)
        lock = await house.store.read(lambda tx: tx.lock(asset.subject))
        assert lock is not None
        await free.store.transact(lambda tx: tx.save_lock(lock))
        with pytest.raises(StateConflict, match="another holds a"):
            await free.purges.purge(PERSON, shown, shown.digest)
        assert set(free.originals.files) == {"INBOX/A.jpg"}

    async def test_more_locks_than_a_page(self) -> None:
        """However many locks are held, none is overlooked."""
        house, asset = await arrange(State.DECIDED_KEEP, LockKind.JOB_LEASE)
        soon = house.clock.now() + timedelta(seconds=1)

        def crowd(tx: Transaction) -> None:
            lock = tx.lock(asset.subject)
            assert lock is not None
            for n in range(1500):
                subject = evolve(lock.subject, id=f"{n}")
                tx.save_lock(evolve(lock, subject=subject, expires_at=soon))

        await house.store.transact(crowd)
        assert [b.reason for b in (await house.moves.preview()).blocked] == [BlockReason.LOCKED]

    async def test_an_asset_that_is_gone(self) -> None:
        """A plan that names an asset of another database is refused."""
        house, asset = await arrange(State.DECIDED_KEEP, None)
        plan = _plan(evolve(asset, uuid=AssetId("00000000-0000-7000-8000-00000000ffff")))
        with pytest.raises(NotFound):
            await house.moves.execute(PERSON, plan, plan.digest)
