"""Planning a purge: every file that would go, or why nothing goes (domain.md, *Reopen, reprocess, purge*)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from attrs import asdict, evolve, field, frozen

from .actors import Actor, ActorKind
from .assets import Asset, Flag
from .identifiers import AssetId, RelPath, StorageId
from .lifecycle import Action, State, transition
from .moves import DiskFile
from .proof import CopyProof, Evidence, Waiver
from .storage import Layout

POLICY = Actor(kind=ActorKind.SYSTEM, id="purge-policy")
"""Who purges under the automatic policy; nobody else of the system may."""


class PurgeRole(StrEnum):
    """What a file of a purge is; they go in this order.

    The original first: where it cannot be removed, nothing was lost.
    """

    ORIGINAL = "original"
    SIDECAR = "sidecar"
    DERIVED = "derived"


class PurgeBlock(StrEnum):
    """Why an asset is not purged."""

    NOT_REJECTED = "not_rejected"
    LOCKED = "locked"
    PARKED = "parked"
    STORAGE_OFFLINE = "storage_offline"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    CHANGED = "changed"
    DAMAGED = "damaged"
    UNPROVEN = "unproven"


@frozen(kw_only=True)
class PurgeFile:
    """A file that goes: its path (of a derived file its key), and what it must look like.

    ``size`` in bytes; ``mtime_ns`` is None for derived files, which are known by their key alone.
    ``proof`` and ``waiver`` are what it goes on, where there is any.
    """

    role: PurgeRole
    path: str
    size: int
    mtime_ns: int | None = None
    proof: CopyProof | None = None
    waiver: Waiver | None = None


@frozen(kw_only=True)
class PurgeBlocked:
    """Why nothing goes; ``expected`` and ``found`` tell a file that differs from the one that was seen."""

    reason: PurgeBlock
    message: str
    path: str = ""
    expected: Mapping[str, object] = field(factory=dict)
    found: Mapping[str, object] = field(factory=dict)


@frozen(kw_only=True)
class PurgePlan:
    """What a purge of one asset would remove; nothing is removed while ``blocked`` has an entry.

    ``revision`` is that of the asset when it was planned.
    """

    asset: AssetId
    revision: int
    storage_id: StorageId
    path: RelPath
    state: State
    files: tuple[PurgeFile, ...] = ()
    blocked: tuple[PurgeBlocked, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def bytes_freed(self) -> int:
        """The bytes of every file that would go."""
        return bytes_of(self.files)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over what would go, and on which proof; plans with one digest do the same."""
        document = [self.asset, self.storage_id, [asdict(file) for file in self.files]]
        text = json.dumps(
            document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
        )
        return hashlib.sha256(text.encode()).hexdigest()


def bytes_of(files: Iterable[PurgeFile]) -> int:
    """The bytes of some files together."""
    return sum(file.size for file in files)


@frozen(kw_only=True)
class PurgeWorld:
    """What the planner may know beside the asset.

    ``files`` maps paths of the group to what stands there, without an entry where nothing does;
    ``derived`` maps the keys of all derived files of the asset to their sizes; ``fingerprint`` is that
    of the original now; ``removed`` are paths that an earlier purge took away, as the journal says.
    ``evidence`` has by path what is known of other copies; with ``require_proof`` each file of the group
    needs a proof or a waiver. ``locked``, ``offline`` and ``unreadable`` are reasons, empty where there
    is none.
    """

    layout: Layout
    files: Mapping[str, DiskFile] = field(factory=dict)
    derived: Mapping[str, int] = field(factory=dict)
    fingerprint: str | None = None
    removed: frozenset[str] = frozenset()
    evidence: Mapping[str, Evidence] = field(factory=dict)
    require_proof: bool = False
    locked: str = ""
    offline: str = ""
    unreadable: str = ""


_NOTHING_KNOWN = Evidence(lacking="nobody looked for one")

_NOBODY_SAW_IT = (
    "its file changed after it was prepared, so nobody rejected this content; "
    "reprocess it and decide again"
)


def _standing_blocks(asset: Asset, world: PurgeWorld) -> list[PurgeBlocked]:
    """What stands in the way before any file is looked at."""
    reasons = (
        (
            asset.state is not State.REJECTED,
            PurgeBlock.NOT_REJECTED,
            f"its state is {asset.state}; only what was rejected and moved to the rejects is purged",
        ),
        (bool(world.locked), PurgeBlock.LOCKED, world.locked),
        (
            Flag.PARKED in asset.flags,
            PurgeBlock.PARKED,
            "an earlier move could not be proven; see its why",
        ),
        (
            Flag.CHANGED in asset.flags,
            PurgeBlock.CHANGED,
            _NOBODY_SAW_IT,
        ),
        (bool(world.offline), PurgeBlock.STORAGE_OFFLINE, world.offline),
        (bool(world.unreadable), PurgeBlock.UNREADABLE, world.unreadable),
    )
    return [PurgeBlocked(reason=reason, message=said) for holds, reason, said in reasons if holds]


def _group(asset: Asset) -> list[PurgeFile]:
    """The original and its sidecars, as the last scan saw them."""
    original = PurgeFile(
        role=PurgeRole.ORIGINAL, path=asset.path, size=asset.size, mtime_ns=asset.mtime_ns
    )
    sidecars = (
        PurgeFile(role=PurgeRole.SIDECAR, path=s.path, size=s.size, mtime_ns=s.mtime_ns)
        for s in sorted(asset.sidecars, key=lambda s: s.path)
    )
    return [original, *sidecars]


def _file_block(asset: Asset, file: PurgeFile, world: PurgeWorld) -> PurgeBlocked | None:
    found = world.files.get(file.path)
    if found is None:
        if file.path in world.removed or Flag.MISSING in asset.flags:
            return None
        return PurgeBlocked(
            reason=PurgeBlock.MISSING,
            message="it is not where the last scan saw it, and may lie elsewhere; scan first",
            path=file.path,
        )
    if (found.size, found.mtime_ns) != (file.size, file.mtime_ns):
        return PurgeBlocked(
            reason=PurgeBlock.CHANGED,
            message="it is not as the last scan saw it; scan, and look at it again",
            path=file.path,
            expected={"size": file.size, "mtime_ns": file.mtime_ns},
            found={"size": found.size, "mtime_ns": found.mtime_ns},
        )
    if file.role is PurgeRole.ORIGINAL and asset.fingerprint not in (None, world.fingerprint):
        return PurgeBlocked(
            reason=PurgeBlock.CHANGED if world.fingerprint else PurgeBlock.UNREADABLE,
            message="its content is not the one that was prepared for review",
            path=file.path,
            expected={"fingerprint": asset.fingerprint},
            found={"fingerprint": world.fingerprint},
        )
    return _proof_block(file, world)


def _proof_block(file: PurgeFile, world: PurgeWorld) -> PurgeBlocked | None:
    known = world.evidence.get(file.path, _NOTHING_KNOWN)
    if known.damaged:
        return PurgeBlocked(
            reason=PurgeBlock.DAMAGED,
            message=f"{known.damaged}; a copy that differs may be the good one, so nothing goes",
            path=file.path,
        )
    if not world.require_proof or known.enough:
        return None
    return PurgeBlocked(
        reason=PurgeBlock.UNPROVEN,
        message=f"no other copy of it is proven: {known.lacking}; prove it, or waive it by name",
        path=file.path,
    )


def _with_evidence(file: PurgeFile, world: PurgeWorld) -> PurgeFile:
    known = world.evidence.get(file.path, _NOTHING_KNOWN)
    return evolve(file, proof=known.proof, waiver=None if known.proof else known.waiver)


def _warnings(asset: Asset, world: PurgeWorld) -> tuple[str, ...]:
    said = []
    if not asset.path.startswith(f"{world.layout.rejects}/"):
        said.append(f"it does not lie in {world.layout.rejects}; somebody moved it there")
    if asset.path not in world.files:
        said.append("the original is gone already; only what is left of it goes")
    said += [
        f"the copy of {path!r} in {known.proof.place} lies on the same disk as the original"
        for path, known in world.evidence.items()
        if known.proof and known.proof.same_disk
    ]
    return tuple(said)


def plan_purge(asset: Asset, world: PurgeWorld) -> PurgePlan:
    """Plan the purge of one asset: original, attached sidecars, every derived file.

    What is gone already is passed over where a scan or an earlier purge proved that it is; a file that
    is not as the last scan saw it, has another content, is damaged, or has no proof where that is
    required, blocks the whole asset.
    """
    plan = PurgePlan(
        asset=asset.uuid,
        revision=asset.revision,
        storage_id=asset.storage_id,
        path=asset.path,
        state=asset.state,
    )
    blocks = _standing_blocks(asset, world)
    if blocks:
        return evolve(plan, blocked=tuple(blocks))
    group = _group(asset)
    blocks = [block for file in group if (block := _file_block(asset, file, world))]
    derived = (
        PurgeFile(role=PurgeRole.DERIVED, path=ref, size=size)
        for ref, size in sorted(world.derived.items())
    )
    return evolve(
        plan,
        files=(
            *(_with_evidence(file, world) for file in group if file.path in world.files),
            *derived,
        ),
        blocked=tuple(blocks),
        warnings=_warnings(asset, world),
    )


def purged(asset: Asset, actor: Actor, now: datetime) -> Asset:
    """The asset once every file of it is gone: who it was and what was decided, and nothing else.

    Raises:
        Purged, ForbiddenActor, StateConflict: as `lifecycle.transition` says.
    """
    standing = evolve(asset.standing, purge_policy=actor == POLICY)
    return evolve(
        asset,
        state=transition(standing, Action.PURGE, actor.kind),
        state_since=now,
        updated_at=now,
        fingerprint=None,
        flags=frozenset(),
        sidecars=(),
        facts={},
        warnings=(),
        derived=(),
        transcript=None,
        suggestions=(),
        tags=(),
        notes="",
        fields={},
        last_changes={},
    )
