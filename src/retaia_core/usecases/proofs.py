"""The story of proving that another copy stands: look, read both whole, compare, remember; or waive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from attrs import define, frozen

from ..domain.actors import Actor, ActorKind
from ..domain.assets import Asset
from ..domain.discovery import SeenFile
from ..domain.fixity import Fixity, GroupFile, files_of
from ..domain.identifiers import AssetId, RelPath, Subject
from ..domain.journal import Event, Phase
from ..domain.lifecycle import State
from ..domain.proof import (
    Check,
    CopyProof,
    Evidence,
    Refusal,
    RefusedCopy,
    Remembered,
    Waiver,
    evidence_of,
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
from .lookups import need_living
from .storages import Storages
from .trail import record

CHECKED = "purge.checked"
WAIVED = "purge.waived"
PAGE = 1000


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
        checks = await self.storages.blocking(self._check_all, asset, storage, moves, tell)
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
        self, asset: Asset, storage: Storage, moves: Sequence[tuple[str, str]], tell: Tell
    ) -> tuple[Check, ...]:
        originals, copies = self.storages.open(storage), self.copies(storage)
        checks = []
        for file in files_of(asset):
            paths = known_paths(asset, file.path, moves, storage.layout)
            look = _Look(
                file=file, at=self.clock.now(), originals=originals, copies=copies, tell=tell
            )
            checks.append(look.through(self.places, paths))
        return tuple(checks)

    def _remember(
        self, actor: Actor, asset: Asset, checks: Iterable[Check], tx: Transaction
    ) -> None:
        files = [_check_data(check) for check in checks]
        record(tx, asset.subject, CHECKED, actor, self.clock.now(), files=files)

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
            read += count
            self.tell(Reading(path=self.file.path, place=place, read=read, size=self.file.size))

        return told


def _refused(place: str, path: str, error: CopyRefused) -> RefusedCopy:
    where = "" if error.reason is Refusal.AWAY else path
    return RefusedCopy(place=place, path=where, reason=error.reason, message=error.message)


# What is remembered: the audit trail itself


def trail_of(tx: Transaction, subject: Subject) -> Iterator[Event]:
    """Every event of a subject, in order."""
    after = 0
    while page := tx.events(subject, after=after, limit=PAGE):
        yield from page
        after = page[-1].seq


@frozen(kw_only=True)
class Known:
    """What is known of an asset's files and their copies before any is looked at."""

    remembered: Remembered
    fixity: Fixity | None


def known_of(tx: Transaction, asset: Asset) -> Known:
    """What was checked and waived last of each file of an asset, and the records of its content."""
    checks: dict[str, Check] = {}
    waivers: dict[str, Waiver] = {}
    for event in trail_of(tx, asset.subject):
        if event.name == CHECKED:
            for data in _items(event.data["files"]):
                checks[data["path"]] = _check_from(data)
        elif event.name == WAIVED:
            waiver = Waiver(**_mapping(event.data), by=event.actor, at=event.at)
            waivers[waiver.path] = waiver
    return Known(
        remembered=Remembered(checks=checks, waivers=waivers), fixity=tx.fixity(asset.uuid)
    )


def evidence_now(
    copies: Copies, asset: Asset, known: Known, now: datetime
) -> Mapping[str, Evidence]:
    """What counts now for each file of an asset, having looked at the copies that proved something."""
    return {
        file.path: evidence_of(
            file,
            remembered=known.remembered,
            record=known.fixity.of(file.role) if known.fixity else None,
            stamp=_stamp(copies, known.remembered.checks.get(file.path)),
            now=now,
        )
        for file in files_of(asset)
    }


def _stamp(copies: Copies, check: Check | None) -> str | None:
    return None if check is None or check.proof is None else stamp_now(copies, check.proof)


def stamp_now(copies: Copies, proof: CopyProof) -> str | None:
    """How the copy of a proof looks now; None where it is gone or no other copy any more."""
    try:
        found = copies.look(proof.place, proof.copy, proof.path)
    except CopyRefused:
        return None
    return None if found is None else found.stamp


def proof_data(proof: CopyProof) -> dict[str, object]:
    """A proof as plain data."""
    return {
        "path": proof.path,
        "size": proof.size,
        "mtime_ns": proof.mtime_ns,
        "digest": proof.digest,
        "place": proof.place,
        "copy": proof.copy,
        "stamp": proof.stamp,
        "at": proof.at.isoformat(),
    }


def proof_from(data: Mapping[str, Any]) -> CopyProof:
    """A proof from plain data."""
    return CopyProof(**{**data, "at": datetime.fromisoformat(data["at"])})


def waiver_data(waiver: Waiver) -> dict[str, object]:
    """A waiver as plain data."""
    return {
        "path": waiver.path,
        "size": waiver.size,
        "mtime_ns": waiver.mtime_ns,
        "reason": waiver.reason,
        "by": waiver.by,
        "at": waiver.at.isoformat(),
    }


def waiver_from(data: Mapping[str, Any]) -> Waiver:
    """A waiver from plain data."""
    return Waiver(**{**data, "at": datetime.fromisoformat(data["at"])})


def _check_data(check: Check) -> dict[str, object]:
    return {
        "path": check.path,
        "size": check.size,
        "mtime_ns": check.mtime_ns,
        "at": check.at.isoformat(),
        "proof": proof_data(check.proof) if check.proof else None,
        "refused": [
            {"place": r.place, "path": r.path, "reason": r.reason.value, "message": r.message}
            for r in check.refused
        ],
        "digest": check.digest,
        "problem": check.problem,
    }


def _check_from(data: Mapping[str, Any]) -> Check:
    return Check(
        path=data["path"],
        size=data["size"],
        mtime_ns=data["mtime_ns"],
        at=datetime.fromisoformat(data["at"]),
        proof=proof_from(data["proof"]) if data["proof"] else None,
        refused=tuple(
            RefusedCopy(**{**r, "reason": Refusal(r["reason"])}) for r in _items(data["refused"])
        ),
        digest=data["digest"],
        problem=data["problem"],
    )


def _items(value: object) -> Sequence[Any]:
    assert isinstance(value, Sequence)
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    assert isinstance(value, Mapping)
    return value
