"""Moves, decisions in bulk and purges, as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from .assets import AssetState


@frozen(kw_only=True)
class PlannedFile:
    """One file of a move; paths are relative to the storage."""

    role: str
    from_: str
    to: str
    size_bytes: int


@frozen(kw_only=True)
class PlannedMove:
    """The files of one asset that move together."""

    asset_uuid: str
    storage_id: str
    verdict: Literal["KEEP", "REJECT"]
    files: tuple[PlannedFile, ...]
    size_bytes: int
    collides_with: tuple[str, ...]
    warnings: tuple[str, ...]
    nonce: str | None = None


@frozen(kw_only=True)
class BlockedMove:
    """An asset that does not move, and why."""

    asset_uuid: str
    path: str
    reason: str
    message: str


@frozen(kw_only=True)
class MoveSummary:
    """A preview in numbers."""

    assets: int
    files: int
    size_bytes: int
    keep: int
    reject: int
    collisions: int
    blocked: int


@frozen(kw_only=True)
class MovePreview:
    """What a batch would do; ``digest`` stands for exactly this."""

    digest: str
    eligible: tuple[PlannedMove, ...]
    collisions: tuple[PlannedMove, ...]
    blocked: tuple[BlockedMove, ...]
    summary: MoveSummary


@frozen(kw_only=True)
class MoveProgress:
    """How many assets of a batch are done."""

    done: int
    total: int


@frozen(kw_only=True)
class CopyProgress:
    """How far the copy of a file to another disk is; each byte is written and read back."""

    from_: str
    done_bytes: int
    total_bytes: int


@frozen(kw_only=True)
class MoveResult:
    """What became of one asset of a batch."""

    asset_uuid: str
    outcome: Literal["PENDING", "MOVED", "FAILED", "PARKED"]
    from_: str
    to: str
    sidecars: tuple[PlannedFile, ...]
    error: str | None = None
    at: datetime | None = None
    copying: CopyProgress | None = None


@frozen(kw_only=True)
class StorageAway:
    """A storage that a batch waits for, why it is offline, and since when."""

    storage_id: str
    reason: str
    since: datetime | None = None


@frozen(kw_only=True)
class MoveBatch:
    """A batch of moves and its report."""

    batch_id: str
    status: Literal["QUEUED", "RUNNING", "DONE"]
    digest: str
    created_at: datetime
    created_by: str
    progress: MoveProgress
    results: tuple[MoveResult, ...]
    blocked: tuple[BlockedMove, ...]
    finished_at: datetime | None = None
    undoes: str | None = None
    waits: tuple[StorageAway, ...] = ()


@frozen(kw_only=True)
class MoveBatchLine:
    """A batch in numbers of assets; ``undone`` were moved by it and taken back by later ones."""

    batch_id: str
    status: Literal["QUEUED", "RUNNING", "DONE"]
    created_at: datetime
    created_by: str
    total: int
    moved: int
    failed: int
    parked: int
    blocked: int
    undone: int
    finished_at: datetime | None = None
    undoes: str | None = None


@frozen(kw_only=True)
class MoveBatchPage:
    """Batches, newest first."""

    items: tuple[MoveBatchLine, ...]
    next_cursor: str | None = None


ParkedChoice = Literal["MOVED", "NOT_MOVED", "RETRY"]


@frozen(kw_only=True)
class ParkedFile:
    """A file of a move that could not be proven; the sizes are in bytes, None where nothing stands."""

    role: str
    from_: str
    to: str
    size_bytes: int
    found_then: str
    found_now: Literal["source", "target", "both", "unknown"]
    bytes_at_from: int | None = None
    bytes_at_to: int | None = None


@frozen(kw_only=True)
class ParkedOffer:
    """What a person may say of a parked asset, and what it brings with it."""

    choice: ParkedChoice
    sentence: str
    consequences: tuple[str, ...]


@frozen(kw_only=True)
class ParkedMove:
    """A move that could not be proven, its evidence, and the choices that it leaves."""

    asset_uuid: str
    path: str
    batch_id: str
    error: str
    files: tuple[ParkedFile, ...]
    choices: tuple[ParkedOffer, ...]
    unseen: str | None = None
    undoes: str | None = None
    at: datetime | None = None


@frozen(kw_only=True)
class ParkedMoves:
    """Every move that waits for a person."""

    items: tuple[ParkedMove, ...]


@frozen(kw_only=True)
class SettledAsset:
    """An asset after a person said where its files are."""

    asset_uuid: str
    state: str
    path: str
    flags: tuple[str, ...]


@frozen(kw_only=True)
class LeftAsset:
    """An asset that a decision in bulk leaves alone, and why."""

    asset_uuid: str
    reason: Literal["not_pending", "locked", "changed", "gone"]
    message: str
    state: AssetState | None = None


@frozen(kw_only=True)
class BulkPreviewSummary:
    """A preview in numbers; ``more_*`` say that there are others beyond ``max_items``."""

    eligible: int
    blocked: int
    more_eligible: bool
    more_blocked: bool


@frozen(kw_only=True)
class BulkPreview:
    """What a decision in bulk would do; ``approval_token`` applies it once, until ``expires_at``."""

    approval_token: str
    expires_at: datetime
    action: Literal["KEEP", "REJECT"]
    eligible_uuids: tuple[str, ...]
    blocked: tuple[LeftAsset, ...]
    summary: BulkPreviewSummary


@frozen(kw_only=True)
class BulkReportSummary:
    """A report in numbers."""

    decided: int
    left: int


@frozen(kw_only=True)
class BulkReport:
    """What a decision in bulk did."""

    action: Literal["KEEP", "REJECT"]
    decided_uuids: tuple[str, ...]
    left: tuple[LeftAsset, ...]
    summary: BulkReportSummary


@frozen(kw_only=True)
class CopyProof:
    """Another copy that was read whole and has the same SHA-256; ``copy`` is its path in the place."""

    place: str
    copy: str
    digest: str
    verified_at: datetime


@frozen(kw_only=True)
class ProofWaiver:
    """A person's word that a file may go without a proven copy."""

    reason: str
    by: str
    at: datetime


@frozen(kw_only=True)
class PurgeFile:
    """A file that a purge removes; ``path`` is relative to the storage."""

    role: Literal["original", "sidecar", "derived"]
    path: str
    size_bytes: int
    proof: CopyProof | None = None
    waiver: ProofWaiver | None = None


@frozen(kw_only=True)
class CopyReading:
    """What a check of copies reads just now; without a place it is the original."""

    path: str
    read_bytes: int
    size_bytes: int
    place: str | None = None


@frozen(kw_only=True)
class FileProof:
    """What is known of other copies of one file; ``lacking`` says why nothing is proven."""

    path: str
    size_bytes: int
    damaged: bool
    proof: CopyProof | None = None
    waiver: ProofWaiver | None = None
    lacking: str | None = None


@frozen(kw_only=True)
class CopyProofs:
    """What counts now for the files of an asset, and how far a check is that runs."""

    asset_uuid: str
    running: bool
    files: tuple[FileProof, ...]
    reading: CopyReading | None = None


@frozen(kw_only=True)
class CertifiedFile:
    """A file that a purge removed, on which proof, and its SHA-256 where it was ever taken."""

    role: Literal["original", "sidecar", "derived"]
    path: str
    size_bytes: int
    removed_at: datetime
    digest: str | None = None
    proof: CopyProof | None = None
    waiver: ProofWaiver | None = None


@frozen(kw_only=True)
class FormerPath:
    """A path that an asset had."""

    path: str
    until: datetime
    cause: str


@frozen(kw_only=True)
class DecisionMade:
    """One act of deciding."""

    action: str
    at: datetime
    by: str


@frozen(kw_only=True)
class PurgeCertificate:
    """What was purged of an asset, when, by whose word; ``event`` is its number in the audit trail."""

    asset_uuid: str
    storage_id: str
    path: str
    media_type: str
    found_at: datetime
    paths: tuple[FormerPath, ...]
    decisions: tuple[DecisionMade, ...]
    confirmed_at: datetime
    confirmed_digest: str
    purged_at: datetime
    purged_by: str
    files: tuple[CertifiedFile, ...]
    bytes_freed: int
    event: int
    batch_id: str | None = None


@frozen(kw_only=True)
class PurgeBlocked:
    """Why a purge would not happen."""

    reason: Literal[
        "not_rejected", "locked", "parked", "storage_offline", "unreadable", "missing", "changed",
        "damaged", "unproven",
    ]  # fmt: skip
    message: str
    path: str | None = None
    expected: Mapping[str, Any] = field(factory=dict)
    found: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class PurgePreview:
    """What a purge would remove, or why nothing would be; ``digest`` stands for exactly this."""

    asset_uuid: str
    storage_id: str
    path: str
    state: AssetState
    eligible: bool
    proof_required: bool
    digest: str
    files: tuple[PurgeFile, ...]
    bytes_freed: int
    blocked: tuple[PurgeBlocked, ...]
    warnings: tuple[str, ...]
    rejected_at: datetime | None = None


@frozen(kw_only=True)
class PurgeResult:
    """What a purge removed."""

    asset_uuid: str
    state: AssetState
    purged_at: datetime
    files: tuple[PurgeFile, ...]
    bytes_freed: int
