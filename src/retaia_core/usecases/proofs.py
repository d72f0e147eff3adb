"""The story of proving that another copy stands: look, read both whole, compare, remember; or waive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial

from attrs import define, frozen

from ..domain.actors import Actor, ActorKind
from ..domain.assets import Asset
from ..domain.discovery import SeenFile
from ..domain.fixity import GroupFile, files_of
from ..domain.identifiers import AssetId, RelPath
from ..domain.journal import Phase
from ..domain.lifecycle import State
from ..domain.proof import (
    Check,
    CopyProof,
    Evidence,
    Refusal,
    RefusedCopy,
    Waiver,
    known_paths,
    parse_reason,
)
from ..domain.storage import Storage
from ..domain.undo import MOVING
from ..errors import ForbiddenActor, StateConflict, StorageOffline, Unavailable, ValidationFailed
from ..ports.clock import Clock
from ..ports.copies import Copies, CopyRefused, OpenCopies
from ..ports.originals import Originals
from ..ports.store import Store, Transaction
from .copy_evidence import CHECKED, WAIVED, Known, check_data, evidence_now, known_of
from .lookups import need_living
from .pacing import Pace, read_long
from .storages import Storages, need_storage
from .trail import record


@frozen(kw_only=True)
class Reading:
    """How far the check of one file is: bytes read of what it may have to read of this copy.

    ``place`` is empty while the original is read.
    """

    path: str
    place: str
    read: int
    size: int


Tell = Callable[[Reading], None]
"""Told in the thread that reads."""


def _untold(reading: Reading) -> None:
    """Tell nobody."""


@frozen(kw_only=True)
class Proofs:
    """The stories of proof; ``places`` are the names of the places that are looked through, in order."""

    store: Store
    clock: Clock
    storages: Storages
    copies: OpenCopies
    places: tuple[str, ...] = ()

    async def check(self, actor: Actor, uuid: AssetId, tell: Tell = _untold) -> tuple[Check, ...]:
        """Look for another copy of every file of a rejected asset, reading both whole; changes nothing.

        What was found goes to the audit trail, and counts for `proof.FRESH`.

        Raises:
            NotFound, Purged: as said.
            StateConflict: the asset is not rejected, so that nothing of it could go.
            StorageOffline: its storage is away.
        """
        asset, moves = await self.store.read(partial(self._wanted, uuid))
        storage = await self.storages.online(asset.storage_id)
        work = partial(self._check_all, asset, storage, moves, tell)
        checks = await read_long(self.storages.blocking, work, Pace())
        await self.store.transact(partial(self._remember, actor, asset, checks))
        return checks

    def _wanted(self, uuid: AssetId, tx: Transaction) -> tuple[Asset, list[tuple[str, str]]]:
        asset = _rejected(tx, uuid)
        moves = [
            (str(entry.source), str(entry.target))
            for entry in tx.journal(subject=asset.subject)
            if entry.operation in MOVING and entry.phase is Phase.DONE
        ]
        return asset, moves

    def _check_all(
        self,
        asset: Asset,
        storage: Storage,
        moves: Sequence[tuple[str, str]],
        tell: Tell,
        pace: Pace,
    ) -> tuple[Check, ...]:
        originals, copies = self.storages.open(storage), self.copies(storage)
        checks = []
        for file in files_of(asset):
            paths = known_paths(asset, file.path, moves, storage.layout)
            look = _Look(
                file=file,
                at=self.clock.now(),
                originals=originals,
                copies=copies,
                tell=tell,
                pace=pace,
            )
            checks.append(look.through(self.places, paths))
        return tuple(checks)

    def _remember(
        self, actor: Actor, asset: Asset, checks: Iterable[Check], tx: Transaction
    ) -> None:
        files = [check_data(check) for check in checks]
        record(tx, asset.subject, CHECKED, actor, self.clock.now(), files=files)

    async def evidence(self, uuid: AssetId) -> tuple[tuple[GroupFile, Evidence], ...]:
        """What counts now for each file of an asset, having looked at the copies; changes nothing.

        Raises:
            NotFound, Purged: as said.
        """

        def known(tx: Transaction) -> tuple[Asset, Storage, Known]:
            asset = need_living(tx, uuid)
            return asset, need_storage(tx, asset.storage_id), known_of(tx, asset)

        asset, storage, facts = await self.store.read(known)
        now, copies = self.clock.now(), self.copies(storage)
        found = await self.storages.blocking(evidence_now, copies, asset, facts, now)
        return tuple((file, found[file.path]) for file in files_of(asset))

    def waive_in(
        self, actor: Actor, uuid: AssetId, path: str, reason: str, tx: Transaction
    ) -> Waiver:
        """Take a person's word that one file may go without a proven copy, in a transaction.

        It names the file as it is now, and counts for `proof.FRESH`.

        Raises:
            ForbiddenActor: the actor is no person.
            ValidationFailed: no file of the asset has this path, or there is no reason.
            StateConflict, NotFound, Purged: as `check` says.
        """
        if actor.kind is not ActorKind.PERSON:
            raise ForbiddenActor("only a person waives a proof")
        asset = _rejected(tx, uuid)
        files = {file.path: file for file in files_of(asset)}
        file = files.get(RelPath(path))
        if file is None:
            raise ValidationFailed(
                f"{path!r} is no file of this asset; a waiver names one of {', '.join(files)}",
                fields={"path": "not a file of this asset"},
            )
        now = self.clock.now()
        waiver = Waiver(
            path=file.path,
            size=file.size,
            mtime_ns=file.mtime_ns,
            reason=parse_reason(reason),
            by=str(actor),
            at=now,
        )
        look = {"size": waiver.size, "mtime_ns": waiver.mtime_ns}
        record(
            tx, asset.subject, WAIVED, actor, now, path=waiver.path, reason=waiver.reason, **look
        )
        return waiver

    async def waive(self, actor: Actor, uuid: AssetId, path: str, reason: str) -> Waiver:
        """`waive_in`, durably."""
        return await self.store.transact(partial(self.waive_in, actor, uuid, path, reason))


def _rejected(tx: Transaction, uuid: AssetId) -> Asset:
    asset = need_living(tx, uuid)
    if asset.state is not State.REJECTED:
        raise StateConflict(
            f"its state is {asset.state}; copies are looked for where an asset was rejected",
            state=asset.state.value,
        )
    return asset


@define(kw_only=True)
class _Look:
    """The search for a copy of one file; the original is read when there is something to compare."""

    file: GroupFile
    at: datetime
    originals: Originals
    copies: Copies
    tell: Tell
    pace: Pace
    digest: str = ""

    def through(self, places: Iterable[str], paths: Sequence[str]) -> Check:
        """Look in every place for the first copy that is proven.

        Raises:
            StorageOffline: the original's storage went away.
        """
        file, refused = self.file, list[RefusedCopy]()
        proof, problem = None, ""
        try:
            proof = self._first(places, paths, refused)
        except StorageOffline:
            raise
        except Unavailable as error:
            problem = error.message
        return Check(
            path=file.path,
            size=file.size,
            mtime_ns=file.mtime_ns,
            at=self.at,
            digest=self.digest,
            proof=proof,
            refused=tuple(refused),
            problem=problem,
        )

    def _first(
        self, places: Iterable[str], paths: Sequence[str], refused: list[RefusedCopy]
    ) -> CopyProof | None:
        for place in places:
            for path in paths:
                try:
                    proof = self._compared(place, path)
                except CopyRefused as error:
                    refused.append(_refused(place, path, error))
                    if error.reason is Refusal.AWAY:
                        break
                    continue
                if proof is not None:
                    return proof
        return None

    def _compared(self, place: str, path: str) -> CopyProof | None:
        """The proof where an equal file stands there; None where nothing does."""
        found = self.copies.look(place, path, self.file.path)
        if found is None:
            return None
        if found.size != self.file.size:
            said = f"it has {found.size} bytes, the original {self.file.size}"
            raise CopyRefused(Refusal.SIZE, said)
        self.digest = self.digest or self._read_original()
        digest = self.copies.checksum(place, found, self._pace(place))
        if digest != self.digest:
            said = (
                f"it has another content ({digest})" if digest else "it changed while it was read"
            )
            raise CopyRefused(Refusal.CONTENT, said)
        return CopyProof(
            path=self.file.path,
            size=self.file.size,
            mtime_ns=self.file.mtime_ns,
            digest=digest,
            place=place,
            copy=path,
            stamp=found.stamp,
            same_disk=found.same_disk,
            at=self.at,
        )

    def _read_original(self) -> str:
        file = self.file
        seen = SeenFile(path=file.path, size=file.size, mtime_ns=file.mtime_ns)
        digest = self.originals.checksum(seen, self._pace(""))
        if digest is None:
            raise Unavailable("it is not as the last scan saw it; scan, and look at it again")
        return digest

    def _pace(self, place: str) -> Callable[[int], None]:
        read = 0

        def told(count: int) -> None:
            nonlocal read
            self.pace(count)
            read += count
            self.tell(Reading(path=self.file.path, place=place, read=read, size=self.file.size))

        return told


def _refused(place: str, path: str, error: CopyRefused) -> RefusedCopy:
    where = "" if error.reason is Refusal.AWAY else path
    return RefusedCopy(place=place, path=where, reason=error.reason, message=error.message)
