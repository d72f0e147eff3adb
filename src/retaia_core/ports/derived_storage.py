"""The derived port: files that can be made again, published whole or not at all.

Synchronous; use cases call it in worker threads. ``ref`` is an opaque relative key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol

from attrs import frozen

from ..domain.derived import Sample
from ..domain.uploads import Part


@frozen(kw_only=True)
class Stored:
    """A file as it lies in the storage."""

    size_bytes: int
    sha256: str


class DerivedStorage(Protocol):
    """Where derived files are kept."""

    def put_part(self, upload_id: str, number: int, chunks: Iterable[bytes], limit: int) -> Part:
        """Write one part (again) as it comes in, at most ``limit`` bytes.

        Raises:
            ValidationFailed: more bytes than allowed; nothing is kept of the part.
        """
        ...

    def sample(self, upload_id: str, numbers: int, *, whole: bool) -> Sample:
        """The beginning of the file that the parts 1 … ``numbers`` make (the whole content if asked)."""
        ...

    def publish(self, upload_id: str, numbers: int, ref: str) -> Stored:
        """Join the parts under a name, atomically and synced; safe to repeat after a crash.

        Raises:
            NotFound: a part is not there.
        """
        ...

    def discard(self, upload_id: str) -> None:
        """Remove what is left of an upload; harmless where nothing is."""
        ...

    def stale(self, before: datetime) -> Sequence[str]:
        """What `discard` may be called with: uploads, and pieces of work, left alone since a time."""
        ...

    def open(self, ref: str) -> BinaryIO:
        """Open a published file for reading; seekable.

        Raises:
            NotFound: there is no such file.
        """
        ...

    def size(self, ref: str) -> int | None: ...

    def clone(self, ref: str, to: str) -> None:
        """Make a published file known under a second name (link or copy)."""
        ...

    def remove(self, ref: str) -> None:
        """Remove a published file; harmless where it is gone."""
        ...

    def refs(self, prefix: str) -> Iterator[str]:
        """The published files below a prefix (an asset's UUID, say)."""
        ...
