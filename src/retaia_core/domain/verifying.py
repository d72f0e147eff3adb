"""A run of verification: what is asked of it, what it says of each file, and its sum."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from .fixity import FileFixity, GroupFile, Outcome
from .identifiers import AssetId, RelPath, StorageId


@frozen(kw_only=True)
class VerifyOptions:
    """What is to be verified: everything, one storage, or some assets; the oldest look comes first.

    ``older_than`` leaves out what was looked at more recently, and no asset that is named. ``budget``
    is in bytes: an asset is begun while some of it is left, so that no file is too large for ever.
    """

    storage_id: StorageId | None = None
    assets: tuple[AssetId, ...] = ()
    older_than: timedelta = timedelta(0)
    budget: int | None = None


class Result(StrEnum):
    """What a run says of one file."""

    TAKEN = "taken"
    RENEWED = "renewed"
    MATCH = "match"
    MISMATCH = "mismatch"
    UNREADABLE = "unreadable"
    CHANGED = "changed"
    MISSING = "missing"
    BUSY = "busy"


WRONG = frozenset({Result.MISMATCH, Result.UNREADABLE, Result.CHANGED})
"""What must not be passed over: content that is not what was recorded, or that cannot be read."""

QUIET = frozenset({Result.TAKEN, Result.MATCH})
"""What is only counted."""


@frozen(kw_only=True)
class Checked:
    """One file of a run. ``digest`` is what it should have, ``found`` another that was found instead."""

    asset: AssetId
    storage_id: StorageId
    path: RelPath
    role: str
    size: int
    result: Result
    message: str = ""
    digest: str | None = None
    found: str | None = None


_SAID = {
    Outcome.TAKEN: "its first digest was taken",
    Outcome.RENEWED: "it was changed since its digest was taken, as a scan saw; a new one was taken",
    Outcome.MATCH: "its content is what it was",
    Outcome.MISMATCH: (
        "its content is not what it was, though its size and time are; nobody wrote to it as files "
        "are written, so the disk may have damaged it"
    ),
}


def checked(asset: AssetId, storage_id: StorageId, file: GroupFile, record: FileFixity) -> Checked:
    """What a run says of a file whose record was brought up to date."""
    return Checked(
        asset=asset,
        storage_id=storage_id,
        path=file.path,
        role=file.role,
        size=file.size,
        result=Result(record.outcome.value),
        message=_SAID.get(record.outcome) or f"it could not be read: {record.problem}",
        digest=record.digest,
        found=record.found,
    )


@frozen(kw_only=True)
class VerifyReport:
    """The sum of a run: files by result, each that is not well by name, and what is left to do.

    ``known`` and ``never`` count the assets that have digests and those that have none yet, ``oldest``
    is the longest ago that one was looked at. ``stopped`` says why the run ended early.
    """

    started_at: datetime
    counts: Mapping[Result, int] = field(factory=dict)
    bytes_read: int = 0
    named: tuple[Checked, ...] = ()
    offline: Mapping[StorageId, str] = field(factory=dict)
    known: int = 0
    never: int = 0
    oldest: datetime | None = None
    stopped: str = ""

    @property
    def wrong(self) -> tuple[Checked, ...]:
        """The files that do not match, or could not be read."""
        return tuple(one for one in self.named if one.result in WRONG)
