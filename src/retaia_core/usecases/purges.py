"""The story of a purge: preview, lock, journal, remove, prove, and finish what a crash interrupted."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from attrs import evolve, frozen

from ..domain.actors import SYSTEM, Actor, ActorKind
from ..domain.assets import Asset
from ..domain.discovery import SeenFile
from ..domain.fixity import known_digest
from ..domain.health import makes_room
from ..domain.identifiers import AssetId, asset_subject
from ..domain.jobs import withdrawn
from ..domain.journal import Phase
from ..domain.leases import Lock, LockKind, acquire, extend, release
from ..domain.lifecycle import State
from ..domain.moves import DiskFile
from ..domain.purge import (
    POLICY,
    PurgePlan,
    PurgeWorld,
    plan_purge,
    purged,
)
from ..domain.storage import Storage
from ..errors import ForbiddenActor, RetaiaError, StateConflict, StorageOffline
from ..ports.clock import Clock, Ids
from ..ports.copies import OpenCopies, no_copies
from ..ports.store import Store, Transaction
from .copy_evidence import Known, evidence_now, known_of
from .known_results import forget_results
from .lookups import need_asset, need_living
from .purging import (
    Hands,
    PurgeResult,
    Purging,
    Removal,
    journal_entry,
    journal_file,
    last_intents,
    ordered_by,
    refuse_other,
    removed_before,
    told,
    whole,
)
from .review import refuse_if_locked
from .storages import OpenDerived, Storages, need_storage
from .trail import record, save_step

TOO_LATE = "this purge took too long, and recovery took it over; look again"


@frozen(kw_only=True)
class Purges:
    """The stories of purging rejected assets.

    With ``require_proof`` each original and sidecar needs a proven copy or a waiver; with ``policy`` the
    automatic policy may purge as a person does.
    """

    store: Store
    clock: Clock
    ids: Ids
    storages: Storages
    open_derived: OpenDerived
    copies: OpenCopies = no_copies
    require_proof: bool = False
    policy: bool = False

    # Planning

    async def preview(self, uuid: AssetId) -> PurgePlan:
        """Plan the purge of one asset, and change nothing.

        Raises:
            NotFound: there is no such asset.
            Purged: it was purged before.
        """
        asset, storage, world, known = await self.store.read(partial(self._situation, uuid))
        storage = await self.storages.look(storage)
        return await self.storages.blocking(self._plan, asset, storage, world, known)

    def _situation(
        self, uuid: AssetId, tx: Transaction
    ) -> tuple[Asset, Storage, PurgeWorld, Known]:
        asset = need_living(tx, uuid)
        storage = need_storage(tx, asset.storage_id)
        lock, locked = tx.lock(asset.subject), ""
        if lock is not None and lock.binds(self.clock.now()):
            locked = f"{lock.holder} holds a {lock.kind} until {lock.expires_at:%H:%M:%S}Z"
        facts = PurgeWorld(
            layout=storage.layout,
            removed=removed_before(tx.journal(subject=asset.subject)),
            locked=locked,
            require_proof=self.require_proof,
        )
        return asset, storage, facts, known_of(tx, asset)

    def _plan(self, asset: Asset, storage: Storage, world: PurgeWorld, known: Known) -> PurgePlan:
        """Look at the files of one asset, and plan."""
        if not makes_room(storage):
            said = f"storage {storage.storage_id} is offline: {storage.health_reason}"
            return plan_purge(asset, evolve(world, offline=said))
        try:
            seen = self._look(asset, storage, world, known)
        except StorageOffline as error:
            seen = evolve(world, offline=error.message)
        except RetaiaError as error:
            seen = evolve(world, unreadable=error.message)
        except OSError as error:
            said = f"its files cannot be looked at: {error.strerror}"
            seen = evolve(world, unreadable=said)
        return plan_purge(asset, seen)

    def _look(self, asset: Asset, storage: Storage, world: PurgeWorld, known: Known) -> PurgeWorld:
        originals, derived = self.storages.open(storage), self.open_derived(storage)
        files: dict[str, DiskFile] = {}
        for path in (asset.path, *(sidecar.path for sidecar in asset.sidecars)):
            found = originals.stat(path)
            if found is not None:
                files[path] = found
        seen = SeenFile(path=asset.path, size=asset.size, mtime_ns=asset.mtime_ns)
        keys = {*derived.refs(asset.uuid), *(ref.ref for ref in asset.derived)}
        sizes = {key: size for key in keys if (size := derived.size(key)) is not None}
        return evolve(
            world,
            files=files,
            derived=sizes,
            fingerprint=originals.fingerprint(seen),
            evidence=evidence_now(self.copies(storage), asset, known, self.clock.now()),
        )

    async def rejected_before(self, time: datetime) -> tuple[AssetId, ...]:
        """The assets that came among the rejects before a time, and are there still."""

        def find(tx: Transaction) -> tuple[AssetId, ...]:
            found: list[AssetId] = []
            after: AssetId | None = None
            while page := tx.assets_in_states([State.REJECTED], after=after):
                found += [a.uuid for a in page if a.state_since and a.state_since < time]
                after = page[-1].uuid
            return tuple(found)

        return await self.store.read(find)

    # Purging

    def accept_in(
        self, actor: Actor, plan: PurgePlan, expected_digest: str, token: str, tx: Transaction
    ) -> Purging:
        """Lock the asset and write down what is about to go, in a transaction; nothing is gone yet.

        ``plan`` is one of now, ``expected_digest`` that of the preview that was confirmed, ``token``
        fresh randomness, or what nobody but the repetition of one request has.

        Raises:
            ForbiddenActor: the actor is neither a person nor the policy that is switched on.
            StateConflict: the plan is blocked or not the one that was shown, or the asset is locked.
            Purged, NotFound: as said.
        """
        if actor.kind is not ActorKind.PERSON and not (self.policy and actor == POLICY):
            raise ForbiddenActor("only a person purges files, or a policy that was switched on")
        refuse_other(plan, expected_digest)
        now = self.clock.now()
        asset = need_asset(tx, plan.asset)
        purged(asset, actor, now)
        if asset.revision != plan.revision:
            raise StateConflict(
                "the asset changed while its purge was planned; preview again",
                state=asset.state.value,
            )
        refuse_if_locked(tx, asset, now, jobs=True)
        lock = acquire(
            tx.lock(asset.subject),
            asset.subject,
            kind=LockKind.ASSET_PURGE_LOCK,
            holder=str(actor),
            token=token,
            now=now,
        )
        tx.save_lock(lock)
        purging = Purging(
            asset=asset.uuid,
            storage_id=asset.storage_id,
            actor=actor,
            files=plan.files,
            fencing=lock.fencing,
        )
        tx.add_journal(*(journal_entry(purging, file, Phase.INTENT, now) for file in plan.files))
        record(
            tx,
            asset.subject,
            "purge.accepted",
            actor,
            now,
            digest=plan.digest,
            files=len(plan.files),
            bytes=plan.bytes_freed,
        )
        return purging

    async def accept(
        self, actor: Actor, plan: PurgePlan, expected_digest: str, token: str | None = None
    ) -> Purging:
        """`accept_in`, durably."""
        work = partial(self.accept_in, actor, plan, expected_digest, token or self.ids.token())
        return await self.store.transact(work)

    async def under_way(self, uuid: AssetId, token: str) -> bool:
        """Whether a purge that was accepted with this token has not ended yet."""
        lock = await self.store.read(lambda tx: tx.lock(asset_subject(uuid)))
        return lock is not None and lock.token == token and lock.held(self.clock.now())

    async def remove(self, purging: Purging) -> Removal:
        """Remove what was accepted, and look what is left; repeating it is harmless.

        Nothing is removed without the lock: it is made to last anew, and looked at before every file.

        Raises:
            Unavailable: the storage went away; recovery goes on when it is back.
            StateConflict: the lock is over, so that others may act on the asset; nothing was touched.
        """
        storage = await self.storages.online(purging.storage_id, to_make_room=True)
        lock = await self.store.transact(partial(self._hold, purging))
        originals, derived = self.storages.open(storage), self.open_derived(storage)
        hands = Hands(
            originals=originals,
            derived=derived,
            copies=self.copies(storage),
            in_time=lambda: lock.held(self.clock.now()),
        )
        error = await self.storages.blocking(hands.remove, purging.files)
        left = await self.storages.blocking(hands.left, purging.files)
        return Removal(left=left, error=error)

    def _hold(self, purging: Purging, tx: Transaction) -> Lock:
        now = self.clock.now()
        lock = tx.lock(asset_subject(purging.asset))
        if lock is None or lock.fencing != purging.fencing or not lock.held(now):
            raise StateConflict(TOO_LATE)
        lock = extend(lock, now)
        tx.save_lock(lock)
        return lock

    def finish_in(self, purging: Purging, removal: Removal, tx: Transaction) -> PurgeResult:
        """Write down what went, in a transaction; the asset is ``PURGED`` only when all of it did.

        Raises:
            StateConflict: recovery took this purge over meanwhile.
        """
        now = self.clock.now()
        subject = asset_subject(purging.asset)
        lock = tx.lock(subject)
        if lock is None or lock.fencing != purging.fencing:
            raise StateConflict(TOO_LATE)
        asset = need_asset(tx, purging.asset)
        fixity = tx.fixity(asset.uuid)
        for file in purging.files:
            phase = Phase.FAILED if file.path in removal.left else Phase.DONE
            known = known_digest(fixity, asset, file.path)
            digest = file.proof.digest if file.proof else known or ""
            entry = journal_entry(purging, file, phase, now, error=removal.error, digest=digest)
            tx.add_journal(entry)
        result = PurgeResult(
            asset=asset,
            removed=tuple(f for f in purging.files if f.path not in removal.left),
            left=tuple(f for f in purging.files if f.path in removal.left),
            error=removal.error,
        )
        result = _closed(tx, purging, result, now)
        tx.save_lock(release(lock, now))
        return result

    async def finish(self, purging: Purging, removal: Removal) -> PurgeResult:
        """`finish_in`, durably."""
        return await self.store.transact(partial(self.finish_in, purging, removal))

    async def purge(self, actor: Actor, plan: PurgePlan, expected_digest: str) -> PurgeResult:
        """Purge an asset as it was shown: `accept`, `remove`, `finish`.

        Raises:
            ForbiddenActor, StateConflict, Purged, NotFound: as `accept_in` says.
            StateConflict: something could not be removed; ``details`` has what is left.
        """
        purging = await self.accept(actor, plan, expected_digest)
        return whole(await self.finish(purging, await self.remove(purging)))

    # Recovering

    async def recover(self, *, held: bool = False) -> int:
        """Finish every purge that a crash or an absent storage interrupted; returns how many it took up.

        Those whose lock is over; with ``held``, as when a server starts, all. A purge that is under way
        elsewhere loses nothing by it: removing is harmless to repeat, and its lock is fenced.
        """
        locks = await self.store.read(partial(self._unfinished, held))
        taken = 0
        for lock in locks:
            purging = await self.store.transact(partial(self._resume, lock, self.ids.token()))
            if purging is None:
                continue
            taken += 1
            try:
                await self.finish(purging, await self.remove(purging))
            except RetaiaError:
                continue  # The storage is away, or another took it over: its lock says when to look.
        return taken

    def _unfinished(self, held: bool, tx: Transaction) -> list[Lock]:
        now = self.clock.now()
        locks = [
            *tx.locks(now=now, expired=True),
            *(tx.locks(now=now, expired=False) if held else ()),
        ]
        return [lock for lock in locks if lock.kind is LockKind.ASSET_PURGE_LOCK]

    def _resume(self, lock: Lock, token: str, tx: Transaction) -> Purging | None:
        """Take a purge over under a new lock; None where another did, or nothing is left to do."""
        now = self.clock.now()
        current = tx.lock(lock.subject)
        if current is None or current.token != lock.token:
            return None
        asset = need_asset(tx, AssetId(lock.subject.id))
        intents = last_intents(tx.journal(subject=lock.subject))
        free = release(current, now)
        if asset.state is not State.REJECTED or not intents:
            tx.save_lock(free)
            record(tx, asset.subject, "purge.abandoned", SYSTEM, now, state=asset.state.value)
            return None
        mine = acquire(free, lock.subject, kind=lock.kind, holder=lock.holder, token=token, now=now)
        tx.save_lock(mine)
        return Purging(
            asset=asset.uuid,
            storage_id=asset.storage_id,
            actor=ordered_by(lock.holder),
            files=tuple(journal_file(entry) for entry in intents),
            fencing=mine.fencing,
        )


def _closed(tx: Transaction, purging: Purging, result: PurgeResult, now: datetime) -> PurgeResult:
    """Let the asset's state follow what is on disk, and nothing else."""
    asset, actor = result.asset, purging.actor
    if result.left:
        record(
            tx,
            asset.subject,
            "purge.failed",
            actor,
            now,
            error=result.error,
            left=[file.path for file in result.left],
            removed=[file.path for file in result.removed],
        )
        return result
    forget_results(tx, asset, now)
    for job in tx.jobs_of(asset.subject):
        tx.save_job(evolve(withdrawn(job, now) if job.open else job, result={}))
    saved = save_step(
        tx,
        asset,
        purged(asset, actor, now),
        "asset.purged",
        actor,
        now,
        files=[told(file) for file in result.removed],
        bytes=result.bytes_freed,
        fingerprint=asset.fingerprint,
    )
    return evolve(result, asset=saved)
