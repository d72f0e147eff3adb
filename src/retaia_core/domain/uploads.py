"""Uploads of derived files: announced, sent in parts, checked, then published (protocol.md)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from .identifiers import AssetId

PART_BYTES = 8 * 2**20
"""Every part but the last has exactly this size."""

ABANDONED_AFTER = timedelta(hours=24)


class UploadStatus(StrEnum):
    """``OPEN → COMPLETE``; an abandoned one is deleted."""

    OPEN = "OPEN"
    COMPLETE = "COMPLETE"


@frozen(kw_only=True)
class Part:
    """A part that arrived; ``etag`` is the SHA-256 (hex) of its bytes."""

    number: int
    size: int
    etag: str


@frozen(kw_only=True)
class Upload:
    """An upload of one derived file. ``ref`` is set when it is complete."""

    upload_id: str
    asset: AssetId
    kind: str
    content_type: str
    size_bytes: int
    created_at: datetime
    created_by: str
    sha256: str | None = None
    status: UploadStatus = UploadStatus.OPEN
    parts: tuple[Part, ...] = field(factory=tuple)
    ref: str | None = None

    @property
    def part_count(self) -> int:
        """How many parts make the file."""
        return max(1, -(-self.size_bytes // PART_BYTES))

    def part_size(self, number: int) -> int:
        """The size that a part must have; parts are numbered from 1.

        >>> from datetime import UTC
        >>> u = Upload(upload_id="u", asset=AssetId("a"), kind="thumb", content_type="image/jpeg",
        ...     size_bytes=PART_BYTES + 10, created_at=datetime.now(UTC), created_by="agent:x")
        >>> u.part_count, u.part_size(1) == PART_BYTES, u.part_size(2)
        (2, True, 10)
        """
        if number < self.part_count:
            return PART_BYTES
        return self.size_bytes - PART_BYTES * (self.part_count - 1)
