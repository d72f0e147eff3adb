"""Removing one asset's files, and the journal's lines about it: the hands of a purge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from ..domain.actors import Actor, ActorKind
from ..domain.assets import Asset
from ..domain.discovery import SeenFile
from ..domain.identifiers import AssetId, RelPath, StorageId, asset_subject
from ..domain.journal import JournalEntry, Phase
from ..domain.purge import PurgeFile, PurgePlan, PurgeRole, bytes_of
from ..errors import RetaiaError, StateConflict, StorageOffline, Unavailable
from ..ports.copies import Copies
from ..ports.derived_storage import DerivedStorage
from ..ports.originals import Originals, RemovalRefused
from .copy_evidence import proof_data, proof_from, stamp_now, waiver_data, waiver_from

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


# Refusals and results


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


def refuse_other(plan: PurgePlan, expected_digest: str) -> None:
    """Refuse a plan that is blocked, or another one than was confirmed.

    Raises:
        StateConflict: ``details`` has what blocks it, or what it would do now.
    """
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


def ordered_by(holder: str) -> Actor:
    """The person whose order is finished, as the lock names them."""
    kind, _, name = holder.partition(":")
    return Actor(kind=ActorKind(kind.upper()), id=name)


def told(file: PurgeFile) -> Mapping[str, object]:
    """A file that went, for the audit trail, with what it went on."""
    told: dict[str, object] = {"role": file.role.value, "path": file.path, "size": file.size}
    if file.proof is not None:
        told["proof"] = proof_data(file.proof)
    if file.waiver is not None:
        told["waiver"] = waiver_data(file.waiver)
    return told


# The journal


def journal_entry(
    purging: Purging, file: PurgeFile, phase: Phase, now: datetime, **evidence: object
) -> JournalEntry:
    """The journal's line about one file, with everything that it goes on."""
    if file.proof is not None:
        evidence["proof"] = proof_data(file.proof)
    if file.waiver is not None:
        evidence["waiver"] = waiver_data(file.waiver)
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


def journal_file(entry: JournalEntry) -> PurgeFile:
    """The file that a line of the journal is about."""
    evidence: Mapping[str, Any] = entry.evidence
    proof, waiver = evidence.get("proof"), evidence.get("waiver")
    return PurgeFile(
        role=PurgeRole(evidence["role"]),
        path=entry.source,
        size=evidence["size"],
        mtime_ns=evidence["mtime_ns"],
        proof=proof_from(proof) if proof else None,
        waiver=waiver_from(waiver) if waiver else None,
    )


def last_intents(journal: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The intents of the purge that was accepted last."""
    intents = [e for e in journal if (e.operation, e.phase) == (OPERATION, Phase.INTENT)]
    last = max((entry.fencing for entry in intents), default=0)
    return [entry for entry in intents if entry.fencing == last]


def removed_before(journal: Iterable[JournalEntry]) -> frozenset[str]:
    """The paths that a purge took away, as the journal says."""
    done = (OPERATION, Phase.DONE)
    return frozenset(e.source for e in journal if (e.operation, e.phase) == done)


# The disk


@frozen(kw_only=True)
class Hands:
    """What removes the files of one purge and looks at them; ``in_time`` is whether its lock is held."""

    originals: Originals
    derived: DerivedStorage
    copies: Copies
    in_time: Callable[[], bool]

    def remove(self, files: Sequence[PurgeFile]) -> str:
        """Remove the files in their order, none where one is another by now or its copy was touched.

        Returns what went wrong, empty where nothing did. Whatever it says, only `left` is believed.

        Raises:
            Unavailable: the storage went away.
        """
        try:
            for file in files:
                problem = self._hindrance(file)
                if problem:
                    return f"{problem}; nothing more was removed"
            for file in files:
                if not self.in_time():
                    return "it took too long; nothing more was removed"
                self._remove(file)
        except Unavailable:
            raise
        except RemovalRefused as error:
            return error.reason
        except OSError as error:
            return error.strerror or type(error).__name__
        except RetaiaError as error:
            return error.message
        return ""

    def _remove(self, file: PurgeFile) -> None:
        if file.mtime_ns is None:
            self.derived.remove(file.path)
            return
        seen = SeenFile(path=RelPath(file.path), size=file.size, mtime_ns=file.mtime_ns)
        self.originals.remove(seen)

    def _hindrance(self, file: PurgeFile) -> str:
        """Why a file must not go any more; nothing hinders one that is gone, or can be made again."""
        found = None if file.mtime_ns is None else self.originals.stat(file.path)
        if found is None:
            return ""
        if (found.size, found.mtime_ns) != (file.size, file.mtime_ns):
            return f"{file.path!r} is another file by now"
        proof = file.proof
        if proof is not None and stamp_now(self.copies, proof) != proof.stamp:
            return f"the copy of {file.path!r} in {proof.place} is gone or was touched"
        return ""

    def left(self, files: Iterable[PurgeFile]) -> frozenset[str]:
        """The files that stand on disk now.

        Raises:
            Unavailable: that cannot be told.
        """
        problem = self.originals.check()
        if problem:
            raise StorageOffline(problem)
        try:
            return frozenset(file.path for file in files if self._stands(file))
        except OSError as error:
            raise Unavailable(f"what is left cannot be told: {error.strerror}") from error

    def _stands(self, file: PurgeFile) -> bool:
        if file.role is PurgeRole.DERIVED:
            return self.derived.size(file.path) is not None
        return self.originals.stat(file.path) is not None
