"""The story of what could not be proven: a person sees the evidence, and says what is so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from attrs import evolve, frozen

from ..domain.actors import Actor
from ..domain.assets import Asset, Flag
from ..domain.identifiers import AssetId, BatchId, RelPath
from ..domain.journal import JournalEntry, Phase
from ..domain.lifecycle import State
from ..domain.moves import Batch, BatchStatus, MoveResult
from ..domain.parked import Choice, Parked, Sighting, offers, result_of, settled_as
from ..domain.undo import MOVING
from ..errors import StateConflict, Unavailable
from ..ports.originals import Originals
from ..ports.store import Transaction
from .lookups import need_asset, need_batch, need_person
from .moves import Moves
from .moving import journal_entry
from .review import refuse_if_locked
from .trail import save_step

PAGE = 1000


@frozen(kw_only=True)
class _Case:
    """A parked asset with what the database knows of its move."""

    asset: Asset
    batch_id: BatchId
    result: MoveResult
    recorded: dict[RelPath, str]


@frozen(kw_only=True)
class Recovery:
    """The stories of settling parked assets."""

    moves: Moves

    async def parked(self) -> tuple[Parked, ...]:
        """Every parked asset with its evidence, or why that cannot be looked at now."""
        found = []
        for case in await self.moves.store.read(self._cases):
            try:
                found.append(await self._seen(case))
            except Unavailable as error:
                unseen = Parked(
                    asset=case.asset,
                    batch_id=case.batch_id,
                    result=case.result,
                    unseen=error.message,
                )
                found.append(unseen)
        return tuple(found)

    def _cases(self, tx: Transaction) -> list[_Case]:
        batches: dict[BatchId, Batch | None] = {}
        return [
            case
            for asset in _queued(tx)
            if Flag.PARKED in asset.flags and (case := _case(tx, asset, batches)) is not None
        ]

    async def evidence(self, uuid: AssetId) -> Parked:
        """One parked asset with its evidence, looked at now.

        Raises:
            NotFound: there is no such asset.
            StateConflict: it is not parked.
            Unavailable: its storage is away, or a file cannot be looked at.
        """
        return await self._seen(await self.moves.store.read(partial(_parked, uuid)))

    async def _seen(self, case: _Case) -> Parked:
        storage = await self.moves.storages.online(case.asset.storage_id)
        originals = self.moves.storages.open(storage)
        files = await self.moves.storages.blocking(_look, originals, case)
        return Parked(asset=case.asset, batch_id=case.batch_id, result=case.result, files=files)

    def settle_in(self, actor: Actor, parked: Parked, choice: Choice, tx: Transaction) -> Asset:
        """Take a person's choice about evidence of just now, in a transaction; no file is touched.

        After ``RETRY`` the batch is open again, for `Moves.run`.

        Raises:
            ForbiddenActor: the actor is no person.
            StateConflict: the disk does not allow this choice, or the asset changed meanwhile.
        """
        need_person(actor, "settles what could not be proven")
        _refuse_choice(parked, choice)
        now = self.moves.clock.now()
        asset = need_asset(tx, parked.asset.uuid)
        if asset != parked.asset:
            raise StateConflict("the asset changed while it was looked at; look again")
        refuse_if_locked(tx, asset, now)
        after = settled_as(parked, choice, now)
        owner = tx.asset_at(asset.storage_id, after.path)
        if owner is not None and owner.uuid != asset.uuid:
            raise StateConflict(
                f"asset {owner.uuid} is known at {after.path!r}; look into that one first",
                asset=owner.uuid,
            )
        lock = tx.lock(asset.subject)
        phases = {Choice.MOVED: Phase.DONE, Choice.NOT_MOVED: Phase.FAILED}
        for seen in parked.files if choice in phases else ():
            entry = journal_entry(
                parked.batch_id,
                parked.move,
                seen.file,
                phases[choice],
                lock.fencing if lock else 0,
                now,
                found=seen.where.value,
                settled=choice.value,
                by=str(actor),
            )
            tx.add_journal(entry)
        tx.save_move_result(parked.batch_id, result_of(parked, choice, str(actor), now))
        if choice is Choice.RETRY:
            _reopen(tx, parked.batch_id)
        name = f"{parked.move.operation}.settled"
        return save_step(
            tx,
            asset,
            after,
            name,
            actor,
            now,
            batch=parked.batch_id,
            choice=choice.value,
            source=asset.path,
            target=after.path,
            files=[_told(seen) for seen in parked.files],
        )

    async def settle(self, actor: Actor, uuid: AssetId, choice: Choice) -> Asset:
        """Look at the disk again, take a person's choice, and with ``RETRY`` try the move again.

        Raises:
            As `evidence` and `settle_in` say.
        """
        parked = await self.evidence(uuid)
        work = partial(self.settle_in, actor, parked, choice)
        settled = await self.moves.store.transact(work)
        if choice is not Choice.RETRY:
            return settled
        await self.moves.run(parked.batch_id)
        return await self.moves.store.read(lambda tx: need_asset(tx, uuid))


def _refuse_choice(parked: Parked, choice: Choice) -> None:
    """Refuse what the disk does not allow."""
    open_now = offers(parked)
    if choice not in {offer.choice for offer in open_now}:
        allowed = [offer.choice.value for offer in open_now]
        raise StateConflict(
            f"what stands on disk does not allow {choice.value!r}; "
            f"open now: {', '.join(allowed) or 'nothing but to leave it parked'}",
            allowed=allowed,
            files=[_told(seen) for seen in parked.files],
        )


def _told(seen: Sighting) -> dict[str, object]:
    """One file of the evidence, for the audit trail and for refusals."""
    places = {"source": seen.at_source, "target": seen.at_target}
    found = {name: None if f is None else f.size for name, f in places.items()}
    return {"source": seen.file.source, "target": seen.file.target, "bytes_found": found}


def _queued(tx: Transaction) -> Iterator[Asset]:
    after: AssetId | None = None
    while page := tx.assets_in_states([State.MOVE_QUEUED], after=after, limit=PAGE):
        yield from page
        after = page[-1].uuid


def _case(tx: Transaction, asset: Asset, batches: dict[BatchId, Batch | None]) -> _Case | None:
    """What the database knows of the move that parked an asset; None where it knows of none."""
    journal = [e for e in tx.journal(subject=asset.subject) if e.operation in MOVING]
    if not journal:
        return None
    batch_id = BatchId(journal[-1].batch_id)
    if batch_id not in batches:
        batches[batch_id] = tx.batch(batch_id)
    batch = batches[batch_id]
    assert batch is not None
    result = next(r for r in batch.results if r.asset == asset.uuid)
    recorded = _recorded(journal, batch_id)
    return _Case(asset=asset, batch_id=batch_id, result=result, recorded=recorded)


def _recorded(journal: Sequence[JournalEntry], batch_id: BatchId) -> dict[RelPath, str]:
    """Where the executor found each file in the end."""
    return {
        e.source: str(e.evidence.get("found", ""))
        for e in journal
        if e.batch_id == batch_id and e.phase is not Phase.INTENT
    }


def _parked(uuid: AssetId, tx: Transaction) -> _Case:
    asset = need_asset(tx, uuid)
    case = _case(tx, asset, {}) if Flag.PARKED in asset.flags else None
    if case is None:
        raise StateConflict(
            f"{asset.path!r} is not parked; there is nothing to settle", state=asset.state.value
        )
    return case


def _look(originals: Originals, case: _Case) -> tuple[Sighting, ...]:
    return tuple(
        Sighting(
            file=file,
            at_source=originals.stat(file.source),
            at_target=originals.stat(file.target),
            recorded=case.recorded.get(file.source, ""),
        )
        for file in case.result.move.files
    )


def _reopen(tx: Transaction, batch_id: BatchId) -> None:
    """Open a batch again, so that what is pending in it is done."""
    batch = need_batch(tx, batch_id)
    tx.save_batch(evolve(batch, status=BatchStatus.QUEUED, finished_at=None))
