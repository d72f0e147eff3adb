"""What a scan remembers and reports (domain.md, *Discovery*)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from .identifiers import StorageId


@frozen(kw_only=True)
class FolderRecord:
    """What a folder looked like at the last scan.

    ``digest`` covers name, size and mtime of every entry. ``settled`` says that nothing in it waits
    (for stability, say), so that an equal digest means that the folder need not be looked at closer.
    ``skipped`` are the entries that were passed over, name → reason.
    """

    storage_id: StorageId
    folder: str
    digest: str
    settled: bool
    files: int
    skipped: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class UnmatchedSidecar:
    """A sidecar that is attached to nothing, and why."""

    storage_id: StorageId
    path: str
    rule: str
    reason: str


@frozen(kw_only=True)
class ScanReport:
    """What a scan did. ``skipped`` maps a path to its reason and is bounded; the count is not."""

    storage_id: StorageId
    number: int
    started_at: datetime
    duration_s: float
    folders: int = 0
    seen: int = 0
    new: int = 0
    changed: int = 0
    became_ready: int = 0
    waiting: int = 0
    missing: int = 0
    returned: int = 0
    moved_by_hand: int = 0
    ambiguous_moves: tuple[str, ...] = ()
    unmatched_sidecars: int = 0
    skipped_count: int = 0
    skipped: Mapping[str, str] = field(factory=dict)
    problem: str = ""
