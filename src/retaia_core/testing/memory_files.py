"""A storage's files in memory: originals with a marker, a switch and faults; and derived files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from attrs import define, field, frozen

from ..domain.derived import HEAD_BYTES, Sample
from ..domain.discovery import SeenFile, Skip, skip_reason
from ..domain.health import problem_of
from ..domain.identifiers import RelPath, StorageId, folder_of, name_of, parse_rel_path
from ..domain.moves import DiskFile
from ..domain.storage import (
    DERIVED_FOLDER,
    EXPORTS_FOLDER,
    MARKER_NAME,
    Layout,
    Marker,
    parse_marker,
    render_marker,
)
from ..domain.uploads import Part
from ..errors import NotFound, StorageOffline, Unavailable, ValidationFailed
from ..ports.derived_storage import DerivedStorage, Stored
from ..ports.originals import (
    Entry,
    FolderListing,
    Moved,
    MoveRefused,
    Originals,
    Progress,
    RemovalRefused,
    no_progress,
)

Fault = Callable[[str, str], None]
"""Called with an operation's name and path before it happens; what it raises is what happens."""

BLOCK = 64 * 1024
"""How many bytes each block of the fingerprint has."""


@frozen(kw_only=True)
class MemoryFile:
    """A file: its content, and its mtime in nanoseconds since 1970."""

    content: bytes
    mtime_ns: int


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _listing_digest(entries: Iterable[Entry], skipped: Iterable[tuple[str, Skip]]) -> str:
    lines = sorted(f"{e.name}\0{e.size}\0{e.mtime_ns}" for e in entries)
    return _digest(*(line.encode() for line in [*lines, *sorted(name for name, _ in skipped)]))


class MemoryOriginals(Originals):
    """The originals of one storage, in a dictionary by path.

    ``problem`` set makes the storage offline for that reason, and so does a ``marker`` that is absent,
    malformed or foreign. ``fault`` may raise before any operation (named as the port's methods are).
    ``renames`` lists what was moved, in order; ``unsynced`` has the folders whose names a crash may lose.
    """

    def __init__(self, storage_id: str = "memory", layout: Layout | None = None) -> None:
        self.storage_id = StorageId(storage_id)
        marker = Marker(storage_id=self.storage_id, layout=layout or Layout())
        self.marker: bytes | None = render_marker(marker)
        self.files: dict[str, MemoryFile] = {}
        self.problem: str | None = None
        self.fault: Fault | None = None
        self.renames: list[tuple[str, str]] = []
        self.unsynced: set[str] = set()

    def add(self, path: str, content: bytes = b"content", mtime_ns: int = 10**18) -> SeenFile:
        """Put a file there (or replace it), as a camera or a person would."""
        self.files[parse_rel_path(path)] = MemoryFile(content=content, mtime_ns=mtime_ns)
        return SeenFile(path=RelPath(path), size=len(content), mtime_ns=mtime_ns)

    def check(self) -> str | None:
        if self.problem is not None:
            return self.problem
        if self.marker is None:
            return f"there is no {MARKER_NAME} file; is the share mounted?"
        try:
            marker = parse_marker(self.marker)
        except ValidationFailed as error:
            return error.message
        if marker.storage_id != self.storage_id:
            return f"the marker is of another storage, {marker.storage_id}"
        return None

    def _require_online(self) -> None:
        problem = self.check()
        if problem is not None:
            raise StorageOffline(problem, storage_id=self.storage_id)

    def _enter(self, operation: str, path: str) -> None:
        self._require_online()
        if self.fault is not None:
            self.fault(operation, path)

    def walk(self, layout: Layout, known: Callable[[str], str | None]) -> Iterator[FolderListing]:
        tops = ("" if layout.inbox == "." else layout.inbox, layout.archive, layout.rejects)
        for top in tops:
            if self._unreadable(top):
                raise StorageOffline(f"the folder {top!r} cannot be read")
            yield from self._walk(top, layout, known)

    def _walk(
        self, folder: str, layout: Layout, known: Callable[[str], str | None]
    ) -> Iterator[FolderListing]:
        self._require_online()
        if folder and folder not in self._folders():
            return
        inner, skipped = self._inner(folder, layout)
        entries, passed = self._entries(folder)
        skipped += passed
        digest = _listing_digest(entries, skipped)
        unchanged = known(folder) == digest
        yield FolderListing(
            folder=folder,
            files=() if unchanged else tuple(entries),
            skipped=tuple(sorted(skipped)),
            digest=digest,
        )
        for name in inner:
            yield from self._walk(f"{folder}/{name}" if folder else name, layout, known)

    def _folders(self) -> set[str]:
        """Every folder that has something in it, at any depth."""
        found: set[str] = set()
        for path in self.files:
            while path := folder_of(path):
                found.add(path)
        return found

    def _inner(self, folder: str, layout: Layout) -> tuple[list[str], list[tuple[str, Skip]]]:
        """The folders to go down into, and those passed over."""
        apart = {layout.archive, layout.rejects, EXPORTS_FOLDER, DERIVED_FOLDER}
        inner: list[str] = []
        skipped: list[tuple[str, Skip]] = []
        for path in sorted(f for f in self._folders() if folder_of(f) == folder and f not in apart):
            reason = skip_reason(name_of(path)) or self._unreadable(path)
            if reason:
                skipped.append((name_of(path), reason))
            else:
                inner.append(name_of(path))
        return inner, skipped

    def _unreadable(self, folder: str) -> Skip | None:
        try:
            self._enter("walk", folder)
        except OSError as error:
            if problem_of(error) is not None:
                raise
            return Skip.UNREADABLE
        return None

    def _entries(self, folder: str) -> tuple[list[Entry], list[tuple[str, Skip]]]:
        entries: list[Entry] = []
        skipped: list[tuple[str, Skip]] = []
        for path, file in sorted(self.files.items()):
            name = name_of(path)
            if folder_of(path) != folder:
                continue
            reason = skip_reason(name) or (None if file.content else Skip.EMPTY)
            if reason:
                skipped.append((name, reason))
            else:
                entries.append(Entry(name=name, size=len(file.content), mtime_ns=file.mtime_ns))
        return entries, skipped

    def stat(self, path: str) -> DiskFile | None:
        self._enter("stat", path)
        file = self.files.get(path)
        if file is None:
            return None
        return DiskFile(size=len(file.content), mtime_ns=file.mtime_ns)

    def names_in(self, folder: str) -> frozenset[str]:
        self._enter("names_in", folder)
        there = {*self.files, *self._folders()}
        return frozenset(name_of(path) for path in there if folder_of(path) == folder)

    def fingerprint(self, seen: SeenFile) -> str | None:
        try:
            self._enter("fingerprint", seen.path)
        except OSError:
            return None
        content = self._as_seen(seen)
        if content is None:
            return None
        middle = max(0, (len(content) - BLOCK) // 2)
        blocks = (content[:BLOCK], content[middle : middle + BLOCK], content[-BLOCK:])
        return _digest(str(len(content)).encode(), *blocks)

    def checksum(
        self, seen: SeenFile, pace: Callable[[int], None] = lambda count: None
    ) -> str | None:
        try:
            self._enter("checksum", seen.path)
        except OSError as error:
            raise Unavailable(f"{seen.path!r} cannot be read: {error}", path=seen.path) from error
        digest = hashlib.sha256()
        content = self._as_seen(seen) or b""
        for start in range(0, len(content), BLOCK):
            block = content[start : start + BLOCK]
            digest.update(block)
            pace(len(block))
        return None if self._as_seen(seen) is None else f"sha256:{digest.hexdigest()}"

    def _as_seen(self, seen: SeenFile) -> bytes | None:
        file = self.files.get(seen.path)
        if file is None or (len(file.content), file.mtime_ns) != (seen.size, seen.mtime_ns):
            return None
        return file.content

    def rename(self, source: str, target: str, progress: Progress = no_progress) -> Moved:
        self._enter("rename", source)
        if source not in self.files:
            raise MoveRefused(f"{source!r} is not there")
        if target in self.files or target in self._folders():
            raise MoveRefused(f"{target!r} is taken")
        self.files[parse_rel_path(target)] = self.files.pop(source)
        self.renames.append((source, target))
        self.unsynced |= {folder_of(source), folder_of(target)}
        return Moved()

    def clear(self, source: str, target: str) -> None:
        self._enter("clear", source)

    def sync(self, folders: Iterable[str]) -> None:
        self._require_online()
        for folder in folders:
            self._enter("sync", folder)
            self.unsynced.discard(folder)

    def settle(self, source: str, target: str) -> None:
        self._enter("settle", source)
        if source not in self.files or self.files[source] != self.files.get(target):
            raise MoveRefused("they are not both there, or differ")
        del self.files[source]

    def remove(self, seen: SeenFile) -> bool:
        self._enter("remove", seen.path)
        file = self.files.get(seen.path)
        if file is None:
            if seen.path in self._folders():
                raise RemovalRefused("it is no regular file")
            return False
        if (len(file.content), file.mtime_ns) != (seen.size, seen.mtime_ns):
            raise RemovalRefused("it is not as it was seen")
        del self.files[seen.path]
        return True


@define
class _Pieces:
    """The parts of an upload that arrived, by number."""

    parts: dict[int, bytes] = field(factory=dict)


class MemoryDerived(DerivedStorage):
    """Derived files in memory, with uploads under way beside them.

    ``fault`` may raise before any operation (named as the port's methods are).
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fault: Fault | None = None
        self._uploads: dict[str, _Pieces] = {}

    def _enter(self, operation: str, name: str) -> None:
        if self.fault is not None:
            self.fault(operation, name)

    def put_part(self, upload_id: str, number: int, chunks: Iterable[bytes], limit: int) -> Part:
        self._enter("put_part", upload_id)
        content = bytearray()
        pieces = self._uploads.setdefault(upload_id, _Pieces())
        for chunk in chunks:
            content += chunk
            if len(content) > limit:
                pieces.parts.pop(number, None)
                raise ValidationFailed(
                    f"part {number} has more than the {limit} bytes that it may have",
                    fields={"part": "too large"},
                )
        pieces.parts[number] = bytes(content)
        etag = hashlib.sha256(content).hexdigest()
        return Part(number=number, size=len(content), etag=etag)

    def _joined(self, upload_id: str, numbers: int) -> bytes:
        parts = self._uploads.get(upload_id, _Pieces()).parts
        missing = [number for number in range(1, numbers + 1) if number not in parts]
        if missing:
            raise NotFound(f"part {missing[0]} of upload {upload_id} is not there", parts=missing)
        return b"".join(parts[number] for number in range(1, numbers + 1))

    def sample(self, upload_id: str, numbers: int, *, whole: bool) -> Sample:
        self._enter("sample", upload_id)
        content = self._joined(upload_id, numbers)
        return Sample(
            head=content[:HEAD_BYTES],
            size_bytes=len(content),
            content=content if whole else None,
        )

    def publish(self, upload_id: str, numbers: int, ref: str) -> Stored:
        self._enter("publish", ref)
        content = self._joined(upload_id, numbers)
        self.files[ref] = content
        return Stored(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def discard(self, upload_id: str) -> None:
        self._enter("discard", upload_id)
        self._uploads.pop(upload_id, None)

    def stale(self, before: datetime) -> Sequence[str]:
        """All uploads: there is no time in memory."""
        self._enter("stale", "")
        return sorted(self._uploads)

    def open(self, ref: str) -> BinaryIO:
        self._enter("open", ref)
        return io.BytesIO(self._content(ref))

    def _content(self, ref: str) -> bytes:
        if ref not in self.files:
            raise NotFound(f"there is no derived file {ref!r}")
        return self.files[ref]

    def size(self, ref: str) -> int | None:
        self._enter("size", ref)
        return len(self.files[ref]) if ref in self.files else None

    def clone(self, ref: str, to: str) -> None:
        self._enter("clone", ref)
        self.files[to] = self._content(ref)

    def remove(self, ref: str) -> None:
        self._enter("remove", ref)
        self.files.pop(ref, None)

    def refs(self, prefix: str) -> Iterator[str]:
        self._enter("refs", prefix)
        below = prefix.rstrip("/") + "/"
        yield from sorted(ref for ref in self.files if not prefix or ref.startswith(below))
