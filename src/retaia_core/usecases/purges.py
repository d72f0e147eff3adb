"""The story of a purge: preview, lock, journal, remove, prove, and finish what a crash interrupted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from attrs import evolve, frozen

from ..domain.actors import SYSTEM, Actor, ActorKind
from ..domain.assets import Asset
from ..domain.discovery import SeenFile
from ..domain.identifiers import AssetId, RelPath, StorageId, asset_subject
from ..domain.jobs import withdrawn
from ..domain.journal import JournalEntry, Phase
from ..domain.leases import Lock, LockKind, acquire, release
from ..domain.lifecycle import State
from ..domain.moves import DiskFile
from ..domain.purge import (
    PurgeFile,
    PurgePlan,
    PurgeRole,
    PurgeWorld,
    bytes_of,
    plan_purge,
    purged,
)
from ..domain.storage import Health, Storage
from ..errors import ForbiddenActor, Purged, RetaiaError, StateConflict, StorageOffline, Unavailable
from ..ports.clock import Clock, Ids
from ..ports.derived_storage import DerivedStorage
from ..ports.originals import Originals, RemovalRefused
from ..ports.store import Store, Transaction
from .lookups import need_asset
from .review import refuse_if_locked
from .storages import OpenDerived, Storages, need_storage
from .trail import record, save_step

OPERATION = "purge"


@frozen(kw_only=True)
class Purging:
    """A purge that was accepted: its files are in the journal, and the asset is locked for it."""

    asset: AssetId
    storage_id: StorageId
    actor: Actor
    files: tuple[PurgeFile, ...]
    fencing: int


@frozen(kw_only=True)
class Removal:
    """What is on disk after the removal: the files that still stand, and what went wrong."""

    left: frozenset[str] = frozenset()
    error: str = ""


@frozen(kw_only=True)
class PurgeResult:
    """What became of a purge; ``left`` is empty where the asset is ``PURGED`` now."""

    asset: Asset
    removed: tuple[PurgeFile, ...]
    left: tuple[PurgeFile, ...]
    error: str = ""

    @property
    def bytes_freed(self) -> int:
        """The bytes of what was removed."""
        return bytes_of(self.removed)


@frozen(kw_only=True)
class Purges:
    """The stories of purging rejected assets."""

    store: Store
    clock: Clock
    ids: Ids
    storages: Storages
    open_derived: OpenDerived

    # Planning

    async def preview(self, uuid: AssetId) -> PurgePlan:
        """Plan the purge of one asset, and change nothing.

        Raises:
            NotFound: there is no such asset.
            Purged: it was purged before.
        """
        asset, storage, locked, removed = await self.store.read(partial(self._situation, uuid))
        storage = await self.storages.look(storage)
        world = PurgeWorld(layout=storage.layout, locked=locked, removed=removed)
        return await self.storages.blocking(self._plan, asset, storage, world)

    def _situation(
        self, uuid: AssetId, tx: Transaction
    ) -> tuple[Asset, Storage, str, frozenset[str]]:
        asset = need_asset(tx, uuid)
        if asset.state is State.PURGED:
            raise Purged("the asset was purged; only its audit record is left", state=asset.state)
        lock, locked = tx.lock(asset.subject), ""
        if lock is not None and lock.held(self.clock.now()):
            locked = f"{lock.holder} holds a {lock.kind} until {lock.expires_at:%H:%M:%S}Z"
        removed = frozenset(
            entry.source
            for entry in tx.journal(subject=asset.subject)
            if (entry.operation, entry.phase) == (OPERATION, Phase.DONE)
        )
        return asset, need_storage(tx, asset.storage_id), locked, removed

    def _plan(self, asset: Asset, storage: Storage, world: PurgeWorld) -> PurgePlan:
        """Look at the files of one asset, and plan."""
        if storage.health is Health.OFFLINE:
            said = f"storage {storage.storage_id} is offline: {storage.health_reason}"
            return plan_purge(asset, evolve(world, offline=said))
        try:
            seen = self._look(asset, storage, world)
        except StorageOffline as error:
            seen = evolve(world, offline=error.message)
        except Unavailable as error:
            seen = evolve(world, unreadable=error.message)
        return plan_purge(asset, seen)

    def _look(self, asset: Asset, storage: Storage, world: PurgeWorld) -> PurgeWorld:
        originals, derived = self.storages.open(storage), self.open_derived(storage)
        files: dict[str, DiskFile] = {}
        for path in (asset.path, *(sidecar.path for sidecar in asset.sidecars)):
            found = originals.stat(path)
            if found is not None:
                files[path] = found
        seen = SeenFile(path=asset.path, size=asset.size, mtime_ns=asset.mtime_ns)
        keys = {*derived.refs(asset.uuid), *(ref.ref for ref in asset.derived)}
        sizes = {key: size for key in keys if (size := derived.size(key)) is not None}
        return evolve(world, files=files, derived=sizes, fingerprint=originals.fingerprint(seen))

    # Purging

    def accept_in(
        self, actor: Actor, plan: PurgePlan, expected_digest: str, token: str, tx: Transaction
    ) -> Purging:
        """Lock the asset and write down what is about to go, in a transaction; nothing is gone yet.

        ``plan`` is one of now, ``expected_digest`` that of the preview that was confirmed, ``token``
        fresh randomness, or what nobody but the repetition of one request has.

        Raises:
            ForbiddenActor: the actor is no person.
            StateConflict: the plan is blocked or not the one that was shown, or the asset is locked.
            Purged, NotFound: as said.
        """
        if actor.kind is not ActorKind.PERSON:
            raise ForbiddenActor("only a person purges files")
        _refuse_other(plan, expected_digest)
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
        for file in plan.files:
            tx.add_journal(_entry(purging, file, Phase.INTENT, now))
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

        Raises:
            Unavailable: the storage went away; recovery goes on when it is back.
        """
        storage = await self.storages.online(purging.storage_id)
        originals, derived = self.storages.open(storage), self.open_derived(storage)
        error = await self.storages.blocking(_remove_all, originals, derived, purging.files)
        left = await self.storages.blocking(_left, originals, derived, purging.files)
        return Removal(left=left, error=error)

    def finish_in(self, purging: Purging, removal: Removal, tx: Transaction) -> PurgeResult:
        """Write down what went, in a transaction; the asset is ``PURGED`` only when all of it did.

        Raises:
            StateConflict: recovery took this purge over meanwhile.
        """
        now = self.clock.now()
        subject = asset_subject(purging.asset)
        lock = tx.lock(subject)
        if lock is None or lock.fencing != purging.fencing:
            raise StateConflict("this purge took too long, and recovery took it over; look again")
        for file in purging.files:
            phase = Phase.FAILED if file.path in removal.left else Phase.DONE
            tx.add_journal(_entry(purging, file, phase, now, error=removal.error))
        result = PurgeResult(
            asset=need_asset(tx, purging.asset),
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
            except (Unavailable, StateConflict):
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
        intents = _intents(tx.journal(subject=lock.subject))
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
            actor=_actor(lock.holder),
            files=tuple(_file(entry) for entry in intents),
            fencing=mine.fencing,
        )


def whole(result: PurgeResult) -> PurgeResult:
    """The result of a purge that left nothing.

    Raises:
        StateConflict: something could not be removed; ``details`` has what is left, and why.
    """
    if result.left:
        raise StateConflict(
            f"not everything could be removed: {result.error or 'some files still stand'}",
            state=result.asset.state.value,
            left=[file.path for file in result.left],
            removed=[file.path for file in result.removed],
        )
    return result


def _refuse_other(plan: PurgePlan, expected_digest: str) -> None:
    """Refuse a plan that is blocked, or another one than was confirmed."""
    if plan.blocked:
        first = plan.blocked[0]
        raise StateConflict(
            f"{first.path or plan.path!r}: {first.message}",
            state=plan.state.value,
            blocked=[
                {
                    "reason": block.reason.value,
                    "message": block.message,
                    "path": block.path,
                    "expected": dict(block.expected),
                    "found": dict(block.found),
                }
                for block in plan.blocked
            ],
        )
    if plan.digest != expected_digest:
        raise StateConflict(
            "the files are no longer those of the preview that was confirmed; preview again",
            expected_digest=expected_digest,
            digest=plan.digest,
            files=[{"role": f.role.value, "path": f.path, "size": f.size} for f in plan.files],
        )


def _actor(holder: str) -> Actor:
    """The person whose order is finished, as the lock names them."""
    kind, _, name = holder.partition(":")
    return Actor(kind=ActorKind(kind.upper()), id=name)


def _entry(
    purging: Purging, file: PurgeFile, phase: Phase, now: datetime, **evidence: object
) -> JournalEntry:
    return JournalEntry(
        operation=OPERATION,
        phase=phase,
        subject=asset_subject(purging.asset),
        storage_id=purging.storage_id,
        source=RelPath(file.path),
        target=None,
        at=now,
        fencing=purging.fencing,
        evidence={
            "role": file.role.value,
            "size": file.size,
            "mtime_ns": file.mtime_ns,
            **evidence,
        },
    )


def _file(entry: JournalEntry) -> PurgeFile:
    evidence = entry.evidence
    size, mtime_ns = evidence["size"], evidence["mtime_ns"]
    assert isinstance(size, int)
    assert mtime_ns is None or isinstance(mtime_ns, int)
    return PurgeFile(
        role=PurgeRole(str(evidence["role"])), path=entry.source, size=size, mtime_ns=mtime_ns
    )


def _intents(journal: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The intents of the purge that was accepted last."""
    intents = [e for e in journal if (e.operation, e.phase) == (OPERATION, Phase.INTENT)]
    last = max((entry.fencing for entry in intents), default=0)
    return [entry for entry in intents if entry.fencing == last]


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
    for job in tx.jobs_of(asset.subject):
        if job.open:
            tx.save_job(withdrawn(job, now))
    saved = save_step(
        tx,
        asset,
        purged(asset, actor, now),
        "asset.purged",
        actor,
        now,
        files=[{"role": f.role.value, "path": f.path, "size": f.size} for f in result.removed],
        bytes=result.bytes_freed,
        fingerprint=asset.fingerprint,
    )
    return evolve(result, asset=saved)


def _seen(file: PurgeFile) -> SeenFile:
    assert file.mtime_ns is not None
    return SeenFile(path=RelPath(file.path), size=file.size, mtime_ns=file.mtime_ns)


def _differs(originals: Originals, file: PurgeFile) -> bool:
    """Whether another file than the planned one stands there; one that is gone does not differ."""
    found = originals.stat(file.path)
    return found is not None and (found.size, found.mtime_ns) != (file.size, file.mtime_ns)


def _remove_all(originals: Originals, derived: DerivedStorage, files: Sequence[PurgeFile]) -> str:
    """Remove the files in their order, none where one of them is another by now.

    Returns what went wrong, empty where nothing did. Whatever it says, only `_left` is believed.
    """
    group = [file for file in files if file.role is not PurgeRole.DERIVED]
    try:
        for file in group:
            if _differs(originals, file):
                return f"{file.path!r} is another file by now; nothing more was removed"
        for file in group:
            originals.remove(_seen(file))
        for file in files[len(group) :]:
            derived.remove(file.path)
    except Unavailable:
        raise
    except RemovalRefused as error:
        return error.reason
    except OSError as error:
        return error.strerror or type(error).__name__
    except RetaiaError as error:
        return error.message
    return ""


def _left(
    originals: Originals, derived: DerivedStorage, files: Sequence[PurgeFile]
) -> frozenset[str]:
    problem = originals.check()
    if problem:
        raise StorageOffline(problem)
    return frozenset(
        file.path
        for file in files
        if (
            derived.size(file.path) if file.role is PurgeRole.DERIVED else originals.stat(file.path)
        )
        is not None
    )
