"""The stories of fixity: take digests of whole files, verify them again, say what does not match."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from attrs import define, evolve, field, frozen

from ..domain.actors import SYSTEM, Actor
from ..domain.assets import Asset, Flag, flagged
from ..domain.discovery import SeenFile
from ..domain.fixity import (
    Fixity,
    GroupFile,
    Reading,
    accepted,
    files_of,
    known_digest,
    mismatched,
    news,
    noted,
    readings_of,
)
from ..domain.identifiers import AssetId, StorageId
from ..domain.leases import LockKind
from ..domain.lifecycle import State
from ..domain.storage import Health
from ..domain.verifying import (
    QUIET,
    Checked,
    Result,
    VerifyOptions,
    VerifyReport,
    checked,
)
from ..errors import StateConflict, StorageOffline, Unavailable, ValidationFailed
from ..ports.clock import Clock
from ..ports.originals import Originals
from ..ports.store import Store, Transaction
from .lookups import need_asset, need_living, need_person
from .pacing import Pace, read_long
from .storages import Storages
from .trail import record

PAGE = 100
"""How many assets are asked for at once."""

_KEEPING_OUT = frozenset({LockKind.ASSET_MOVE_LOCK, LockKind.ASSET_PURGE_LOCK})


# In the transaction of whoever read a file


def note_readings(
    tx: Transaction, asset: Asset, readings: Sequence[Reading], by: Actor, now: datetime
) -> Asset:
    """Keep what reading files of an asset gave, flag it where content is another, and tell the trail.

    ``asset`` was read in this transaction; the state is never changed.
    """
    before = tx.fixity(asset.uuid)
    after = noted(before, asset, readings, str(by), now)
    tx.save_fixity(after)
    for role in dict.fromkeys(reading.role for reading in readings):
        _tell(tx, asset, before, after, role, by, now)
    return _flag(tx, asset, after, now)


def _tell(
    tx: Transaction,
    asset: Asset,
    before: Fixity | None,
    after: Fixity,
    role: str,
    by: Actor,
    now: datetime,
) -> None:
    old, new = before.of(role) if before else None, after.of(role)
    name = news(old, new) if new else None
    if new is None or name is None:
        return
    data: dict[str, object] = {"path": new.path, "size": new.size, "digest": new.digest}
    data |= {"found": new.found} if new.found else {}
    data |= {"problem": new.problem} if new.problem else {}
    if old is not None:
        data |= {
            "before": old.digest,
            "verified_at": old.verified_at and old.verified_at.isoformat(),
        }
    record(tx, asset.subject, name, by, now, **data)


def _flag(tx: Transaction, asset: Asset, fixity: Fixity, now: datetime) -> Asset:
    wrong = bool(mismatched(fixity, asset))
    after = flagged(asset, Flag.FIXITY_MISMATCH, on=wrong)
    return asset if after is asset else tx.save_asset(evolve(after, updated_at=now))


def note_fingerprints(
    tx: Transaction, asset: Asset, data: Mapping[str, object], by: Actor, now: datetime
) -> Asset:
    """Keep an agent's digests, of those files that are still as the last scan saw them.

    Raises:
        ValidationFailed: the result is malformed.
    """
    readings = readings_of(asset, data)
    return note_readings(tx, asset, readings, by, now) if readings else asset


def note_copies(tx: Transaction, asset: Asset, copied: Mapping[str, str], now: datetime) -> Asset:
    """Keep the digests of files that were copied and read back, by their paths now.

    A copy is its source byte for byte; where that is not what was recorded, the source was damaged
    before, and the asset is flagged as by any other reading.
    """
    readings = [
        Reading(role=file.role, digest=copied[file.path])
        for file in files_of(asset)
        if file.path in copied
    ]
    return note_readings(tx, asset, readings, SYSTEM, now)


def digest_of(tx: Transaction, asset: Asset, path: str) -> str | None:
    """The digest (``sha256:…``) that a file of an asset should have; None where it is not known."""
    return known_digest(tx.fixity(asset.uuid), asset, path)


@frozen(kw_only=True)
class FixityReport:
    """An asset with what is known of the content of its files."""

    asset: Asset
    fixity: Fixity | None

    @property
    def unknown(self) -> tuple[GroupFile, ...]:
        """The files whose content nobody took a digest of, as they are now."""
        fixity, asset = self.fixity, self.asset
        known = {file.role for file in fixity.files if file.digest} if fixity else frozenset()
        return tuple(file for file in files_of(asset) if file.role not in known)


@define(kw_only=True)
class _Run:
    """What a run has met so far."""

    options: VerifyOptions
    by: Actor
    pace: Pace
    tell: Callable[[Checked], None]
    originals: dict[StorageId, Originals]
    offline: dict[StorageId, str]
    began_with: int
    counts: Counter[Result] = field(factory=Counter)
    named: list[Checked] = field(factory=list)

    @property
    def bytes_read(self) -> int:
        return self.pace.bytes_read - self.began_with

    @property
    def spent(self) -> bool:
        return self.options.budget is not None and self.bytes_read >= self.options.budget

    def say(self, one: Checked) -> None:
        self.counts[one.result] += 1
        if one.result not in QUIET:
            self.named.append(one)
        self.tell(one)


@frozen(kw_only=True)
class Verification:
    """The stories of fixity."""

    store: Store
    clock: Clock
    storages: Storages

    async def of(self, uuid: AssetId) -> FixityReport:
        """What is known of the content of an asset's files.

        Raises:
            NotFound: there is no such asset.
        """
        return await self.store.read(
            lambda tx: FixityReport(asset=need_asset(tx, uuid), fixity=tx.fixity(uuid))
        )

    async def run(
        self,
        options: VerifyOptions,
        by: Actor,
        pace: Pace,
        tell: Callable[[Checked], None] = lambda one: None,
    ) -> VerifyReport:
        """Read files whole and compare them with their digests, the longest unread first.

        What was never read gets its first digest. Each asset is kept as soon as it was read, so that a
        run that ends anywhere is gone on with by the next. A storage that is offline, or goes away, is
        named, and nothing in it is called missing.
        """
        started = self.clock.now()
        offline: dict[StorageId, str] = {}
        originals = await self._originals(await self._wanted(options), offline)
        run = _Run(
            options=options,
            by=by,
            pace=pace,
            tell=tell,
            originals=originals,
            offline=offline,
            began_with=pace.bytes_read,
        )
        async for uuid in self._chosen(options, started):
            if run.spent:
                break
            await self._check(uuid, run)
        sums = await self.store.read(lambda tx: tx.fixity_sums(options.storage_id))
        return VerifyReport(
            started_at=started,
            counts=run.counts,
            bytes_read=run.bytes_read,
            named=tuple(run.named),
            offline=run.offline,
            known=sums.known,
            never=sums.never,
            oldest=sums.oldest,
            stopped=f"{options.budget} bytes were read" if run.spent else "",
        )

    async def _wanted(self, options: VerifyOptions) -> frozenset[StorageId] | None:
        """The storages that a run is about; None for all."""
        if options.storage_id is not None:
            return frozenset({(await self.storages.get(options.storage_id)).storage_id})
        if not options.assets:
            return None
        assets = await self.store.read(lambda tx: tx.assets(options.assets))
        return frozenset(asset.storage_id for asset in assets.values())

    async def _originals(
        self, wanted: frozenset[StorageId] | None, offline: dict[StorageId, str]
    ) -> dict[StorageId, Originals]:
        """The storages that can be read now; the others go to ``offline``, each with its reason."""
        found = {}
        for known in await self.storages.all():
            if wanted is not None and known.storage_id not in wanted:
                continue
            storage = await self.storages.look(known)
            if storage.health is Health.OFFLINE:
                offline[storage.storage_id] = storage.health_reason
            else:
                found[storage.storage_id] = self.storages.open(storage)
        return found

    async def _chosen(self, options: VerifyOptions, started: datetime) -> AsyncIterator[AssetId]:
        """The assets of a run: those that are named; else what was never read, then by age."""
        for uuid in options.assets:
            yield uuid
        if options.assets:
            return
        last: AssetId | None = None
        here = options.storage_id
        while uuids := await self.store.read(partial(_never, storage_id=here, after=last)):
            for uuid in uuids:
                yield uuid
            last = uuids[-1]
        before, seen = started - options.older_than, None
        while due := await self.store.read(
            partial(_due, before=before, storage_id=here, after=seen)
        ):
            for one in due:
                yield one.asset
            seen = due[-1]

    async def _check(self, uuid: AssetId, run: _Run) -> None:
        """Read the files of one asset, unless it is not there or not to be touched now."""
        asset, held = await self.store.read(partial(self._standing, uuid))
        originals = run.originals.get(asset.storage_id)
        if originals is None:
            return
        files = files_of(asset)
        if passed := _passed_over(asset, held=held):
            run.say(_unread(asset, files[0], *passed))
            return
        try:
            read = [
                await read_long(self.storages.blocking, partial(_read, originals, file), run.pace)
                for file in files
            ]
        except StorageOffline as error:
            run.offline[asset.storage_id] = error.message
            del run.originals[asset.storage_id]
            return
        work = partial(self._keep, asset, list(zip(files, read, strict=True)), run.by)
        for one in await self.store.transact(work, durable=False):
            run.say(one)

    def _standing(self, uuid: AssetId, tx: Transaction) -> tuple[Asset, bool]:
        asset, now = need_asset(tx, uuid), self.clock.now()
        lock = tx.lock(asset.subject)
        return asset, lock is not None and lock.held(now) and lock.kind in _KEEPING_OUT

    def _keep(
        self,
        asset: Asset,
        read: Sequence[tuple[GroupFile, Reading | str]],
        by: Actor,
        tx: Transaction,
    ) -> list[Checked]:
        """Keep what was read of files that nothing happened to meanwhile."""
        now = self.clock.now()
        current = need_asset(tx, asset.uuid)
        here = set(files_of(current)) if current.state is not State.PURGED else set()
        still = [(file, one) for file, one in read if file in here]
        readings = [one for _, one in still if isinstance(one, Reading)]
        if readings:
            current = note_readings(tx, current, readings, by, now)
        fixity = tx.fixity(asset.uuid)
        answers = []
        for file, one in read:
            known = fixity.of(file.role) if fixity else None
            if file not in here:
                answers.append(
                    _unread(asset, file, Result.BUSY, "it was moved or changed meanwhile")
                )
            elif isinstance(one, str):
                answers.append(_unread(asset, file, Result.CHANGED, one))
            elif known is not None:
                answers.append(checked(asset.uuid, asset.storage_id, file, known))
        return answers

    async def accept(self, actor: Actor, uuid: AssetId) -> FixityReport:
        """Take what was found in an asset's files as right from now on, on a person's word.

        Raises:
            ForbiddenActor: the actor is no person.
            NotFound, Purged: there is no such asset, or no longer.
            StateConflict: nothing else was found in any of its files.
        """
        need_person(actor, "says that changed content is right")
        return await self.store.transact(partial(self._accept, actor, uuid))

    def _accept(self, actor: Actor, uuid: AssetId, tx: Transaction) -> FixityReport:
        now, asset = self.clock.now(), need_living(tx, uuid)
        fixity = tx.fixity(uuid)
        wrong = mismatched(fixity, asset) if fixity else ()
        if fixity is None or not wrong:
            raise StateConflict(
                "every file of it that was read matches; there is nothing to accept"
            )
        files = tuple(accepted(f, str(actor), now) if f in wrong else f for f in fixity.files)
        after = evolve(fixity, files=files)
        tx.save_fixity(after)
        for file in wrong:
            data = {"path": file.path, "before": file.digest, "digest": file.found}
            record(tx, asset.subject, "fixity.accepted", actor, now, **data)
        return FixityReport(asset=_flag(tx, asset, after, now), fixity=after)

    async def listing(self, storage_id: StorageId) -> AsyncIterator[FixityReport]:
        """Every asset of a storage that was not purged, with its digests, in UUID order."""
        states = [state for state in State if state is not State.PURGED]
        after: AssetId | None = None

        def page(tx: Transaction) -> list[FixityReport]:
            assets = tx.assets_in_states(states, storage_id=storage_id, after=after)
            known = tx.fixities(asset.uuid for asset in assets)
            return [FixityReport(asset=a, fixity=known.get(a.uuid)) for a in assets]

        while reports := await self.store.read(page):
            for report in reports:
                yield report
            after = reports[-1].asset.uuid


def _read(originals: Originals, file: GroupFile, pace: Pace) -> Reading | str:
    """Read a whole file; a text says how it differs from what the last scan saw."""
    seen = SeenFile(path=file.path, size=file.size, mtime_ns=file.mtime_ns)
    try:
        digest = originals.checksum(seen, pace)
        return (
            _difference(originals, file)
            if digest is None
            else Reading(role=file.role, digest=digest)
        )
    except StorageOffline:
        raise
    except (Unavailable, ValidationFailed) as error:
        return Reading(role=file.role, problem=error.message)


def _difference(originals: Originals, file: GroupFile) -> str:
    """How a file differs from what the last scan saw."""
    now = originals.stat(file.path)
    if now is None:
        return "nothing is there any more; a scan will say what became of it"
    if now.size != file.size:
        said = f"it has {now.size} bytes, and had {file.size}"
    elif now.mtime_ns != file.mtime_ns:
        said = "it was written to"
    else:
        said = "it changed while it was read"
    return f"{said} when it was last scanned; a scan will take the change up"


def _passed_over(asset: Asset, *, held: bool) -> tuple[Result, str] | None:
    """Why an asset is not read now."""
    if asset.state is State.PURGED:
        return Result.MISSING, "it was purged"
    if Flag.MISSING in asset.flags:
        return (
            Result.MISSING,
            "it was not there at the last scan; nothing was deleted by Retaia",
        )
    if asset.state is State.DISCOVERED:
        return Result.BUSY, "it is not proven to be whole yet; scan it again later"
    if held or asset.state is State.MOVE_QUEUED:
        return Result.BUSY, "it is being moved or purged"
    return None


def _unread(asset: Asset, file: GroupFile, result: Result, message: str) -> Checked:
    return Checked(
        asset=asset.uuid,
        storage_id=asset.storage_id,
        path=file.path,
        role=file.role,
        size=file.size,
        result=result,
        message=message,
    )


def _never(
    tx: Transaction, *, storage_id: StorageId | None, after: AssetId | None
) -> Sequence[AssetId]:
    return tx.assets_without_fixity(storage_id=storage_id, after=after, limit=PAGE)


def _due(
    tx: Transaction, *, before: datetime, storage_id: StorageId | None, after: Fixity | None
) -> Sequence[Fixity]:
    return tx.fixity_due(before=before, storage_id=storage_id, after=after, limit=PAGE)
