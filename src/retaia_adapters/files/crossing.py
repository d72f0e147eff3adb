"""Moving one file to another filesystem: until its copy is proven and published, the source stands.

The copy grows under a hidden name beside the target. What a crash leaves of it is taken up by the next
try of the same move: under a name of its own, so that a first try that was only asleep can publish
nothing any more, and as far as it was synced and is byte for byte the beginning of the source. How far
it was synced stands in its name: after a sync that failed, memory may still answer with bytes that the
disk never got, and that no later sync writes. What was written is read back from the disk and compared
before it gets the target's name, and the source goes last.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from enum import StrEnum

from attrs import define, field

from retaia_core.ports.originals import Moved, MoveRefused, Progress

from . import fsio
from .disk import Disk, Stat
from .renaming import rename_without_replacing

SYNC_EVERY = 256 * 1024 * 1024
"""After so many bytes a copy is synced, so that a loss of power costs no more than them."""

_SYNCED = re.compile(r"\.(\d+)\.part")

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP})


class Step(StrEnum):
    """The points that a move passes, in order; `COPIED` to `PUBLISHED` only across filesystems."""

    COPIED = "copied"
    VERIFIED = "verified"
    PUBLISHED = "published"
    DONE = "done"


Watch = Callable[[Step], None]


def unwatched(step: Step) -> None:
    """Nobody looks on."""


def move_across(disk: Disk, source: str, target: str, *, watch: Watch, progress: Progress) -> Moved:
    """Move a regular file to a name on another filesystem, where nothing stands.

    ``progress`` hears of the bytes done and of those to be done, each of which is written and read back.
    What it raises stops the move, which can be taken up again.

    Raises:
        MoveRefused: the target is taken, there is no room, the source changed, or the target's
            filesystem cannot take it; nothing was changed, and nothing temporary is left.
        OSError: the disk went away; another try takes up what was copied.
    """
    if fsio.is_taken(disk, target):
        clear(disk, source, target)
        raise MoveRefused("the target is taken")
    return _Crossing(disk=disk, source=source, target=target, watch=watch, progress=progress).run()


def leftover_prefix(source: str, target: str) -> str:
    """How the hidden names of the copies of one move begin, beside the target."""
    mark = hashlib.blake2b(f"{source}\0{target}".encode(errors="surrogateescape"), digest_size=8)
    return f".retaia-{mark.hexdigest()}."


def clear(disk: Disk, source: str, target: str) -> None:
    """Remove what interrupted tries of a move left beside the target."""
    for path in _leftovers(disk, source, target):
        fsio.remove_if_there(disk, path)


def _leftovers(disk: Disk, source: str, target: str) -> list[str]:
    folder, prefix = os.path.dirname(target), leftover_prefix(source, target)
    try:
        names = disk.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(folder, name) for name in sorted(names) if name.startswith(prefix)]


@define(kw_only=True)
class _Crossing:
    disk: Disk
    source: str
    target: str
    watch: Watch
    progress: Progress
    needed: int = 0
    synced: int = 0  # so many bytes of the copy are on the disk, whatever becomes of the rest
    temporary: str = field(init=False)
    before: Stat = field(init=False)
    made: Stat = field(init=False)
    _token: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._token = self.disk.token_hex(4)
        self.temporary = self._named(0)

    def run(self) -> Moved:
        try:
            self._require_removable()
            self._take_over()
            moved = self._copy()
            self._publish()
        except (MoveRefused, OSError) as error:
            refusal = self._refusal(error)
            if isinstance(refusal, MoveRefused):
                # Where the disk goes away meanwhile, that is what is told.
                fsio.remove_if_there(self.disk, self.temporary)
            raise refusal from error
        fsio.sync_folder(self.disk, os.path.dirname(self.target))
        self.watch(Step.PUBLISHED)
        self._remove_source()
        self.watch(Step.DONE)
        return moved

    def _require_removable(self) -> None:
        """Ask the source's disk for the removal of a name that nobody has; a read-only one refuses.

        Raises:
            OSError: nothing can be removed there, so nothing is copied.
        """
        name = f".retaia-{self.disk.token_hex(8)}.part"
        fsio.remove_if_there(self.disk, os.path.join(os.path.dirname(self.source), name))

    def _named(self, synced: int) -> str:
        """The path of the copy while so many of its bytes are synced."""
        name = f"{leftover_prefix(self.source, self.target)}{self._token}.{synced}.part"
        return os.path.join(os.path.dirname(self.target), name)

    def _take_over(self) -> None:
        """Give the best of what earlier tries left, if anything, a name that is this try's alone."""
        left = sorted(_leftovers(self.disk, self.source, self.target), key=_synced, reverse=True)
        for path in left[:1]:
            with contextlib.suppress(FileNotFoundError):
                self._rename(path, _synced(path))
        for path in left[1:]:
            fsio.remove_if_there(self.disk, path)

    def _rename(self, path: str, synced: int) -> None:
        """Say in the name of the copy how many of its bytes are synced."""
        named = self._named(synced)
        self.disk.replace(path, named)
        self.temporary, self.synced = named, synced

    def _refusal(self, error: Exception) -> Exception:
        """Nothing was changed, unless the disk went away while it was asked."""
        if isinstance(error, FileExistsError):
            return MoveRefused("the target is taken")
        if not isinstance(error, OSError) or error.errno in fsio.WHOLE_DISK:
            return error
        if error.errno in _NO_ROOM:
            return self._no_room(fsio.said(error))
        return MoveRefused(fsio.said(error))

    def _no_room(self, said: str) -> MoveRefused:
        free = self.disk.free_bytes(os.path.dirname(self.target))
        told = "" if free is None else f", and has {free} left"
        return MoveRefused(
            f"{said}: the target's disk must take {self.needed} bytes more{told}",
            needed_bytes=self.needed,
            free_bytes=free,
        )

    def _copy(self) -> Moved:
        """A copy that is whole, durable and proven, under its temporary name.

        The source is closed then: of a file that is open, a file server only hides the name.
        """
        with fsio.reading(self.disk, self.source) as original, self._opened() as copy:
            self.before = before = self.disk.fstat(original)
            self._require_room(before, copy)
            digest = self._fill(original, copy, before)
            not_kept = _keep_attributes(self.disk, original, copy, before)
            self._sync(copy, before.st_size)
            self.watch(Step.COPIED)
            if self._read_back(copy, before) != digest:
                raise MoveRefused("the copy read back differs from the source")
            self.made = self.disk.fstat(copy)
            self._require_time()
        self.watch(Step.VERIFIED)
        return Moved(
            copied_bytes=before.st_size, checksum=f"sha256:{digest.hex()}", not_kept=not_kept
        )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The copy under its temporary name, as far as it goes; only where nobody else has it too."""
        flags = os.O_RDWR | fsio.PLAIN | fsio.NOFOLLOW
        try:
            handle = self._taken_up(flags)
        except OSError as error:
            if error.errno in fsio.GONE:
                raise
            fsio.remove_if_there(self.disk, self.temporary)
            self.temporary, self.synced = self._named(0), 0
            handle = self.disk.open(self.temporary, flags | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            yield handle
        finally:
            self.disk.close(handle)

    def _taken_up(self, flags: int) -> int:
        handle = self.disk.open(self.temporary, flags)
        found = self.disk.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            self.disk.close(handle)
            raise OSError(errno.EEXIST, "not a copy of ours alone")
        with contextlib.suppress(OSError):
            self.disk.drop_cache(handle, 0, 0)
        return handle

    def _require_room(self, before: Stat, copy: int) -> None:
        self.needed = max(0, before.st_size - self.disk.fstat(copy).st_size)
        free = self.disk.free_bytes(os.path.dirname(self.target))
        if free is not None and free < self.needed:
            raise self._no_room(os.strerror(errno.ENOSPC).lower())

    def _fill(self, original: int, copy: int, before: Stat) -> bytes:
        """Make the copy the whole of the original, from where they differ or no sync was; its digest."""
        digest = hashlib.sha256()
        done = 0
        equal = True
        for block in fsio.blocks(self.disk, original):
            if equal and not self._has(copy, block, done):
                equal = False
                if done < self.synced:  # first, so that the name never says too much
                    self._rename(self.temporary, done)
                self._cut(copy, done)
            if not equal:
                fsio.write_whole(self.disk, copy, block)
            digest.update(block)
            done += len(block)
            if not equal and done - self.synced >= SYNC_EVERY:
                self._sync(copy, done)
            self.progress(done, 2 * before.st_size)
        if equal:
            self._cut(copy, done)
        return digest.digest()

    def _sync(self, copy: int, done: int) -> None:
        """Make what was copied durable, and note in its name how much, where it is worth that."""
        self.disk.fsync(copy)
        if done - self.synced >= SYNC_EVERY:
            # Where a file that is open keeps its name (Windows), a cut copy is begun anew.
            with contextlib.suppress(PermissionError):
                self._rename(self.temporary, done)

    def _has(self, copy: int, block: bytes, start: int) -> bool:
        """Whether the disk has a block of the original in the copy, which is read up to there."""
        length = len(block)
        return start + length <= self.synced and fsio.exactly(self.disk, copy, length) == block

    def _cut(self, copy: int, length: int) -> None:
        """End the copy here, and go on from here."""
        self.disk.ftruncate(copy, length)
        self.disk.lseek(copy, length, os.SEEK_SET)

    def _require_time(self) -> None:
        """A file is known by its size and time; a filesystem of coarse times would make it another."""
        was, became = self.before.st_mtime_ns, self.made.st_mtime_ns
        if was != became:
            raise MoveRefused(
                "the target's filesystem cannot keep the file's time of change, by which it is known: "
                f"{was} ns became {became} ns"
            )

    def _read_back(self, copy: int, before: Stat) -> bytes:
        """The digest of what was written, read from the disk rather than from memory where possible."""
        with contextlib.suppress(OSError):
            self.disk.drop_cache(copy, 0, 0)
        self.disk.lseek(copy, 0, os.SEEK_SET)
        digest = hashlib.sha256()
        done = before.st_size
        for block in fsio.blocks(self.disk, copy):
            digest.update(block)
            done += len(block)
            self.progress(done, 2 * before.st_size)
        return digest.digest()

    def _publish(self) -> None:
        if not self._untouched():
            raise MoveRefused("the source changed while it was copied")
        try:
            rename_without_replacing(self.disk, self.temporary, self.target)
        except (FileExistsError, FileNotFoundError) as error:
            if not fsio.is_taken(self.disk, self.temporary) and self._is_ours():
                return  # A file server did it, and would not own up to it when asked again.
            if isinstance(error, FileExistsError):
                raise
            raise MoveRefused("another try of the same move is under way") from error

    def _untouched(self) -> bool:
        """Whether the file still stands at its name, with the size and time it had."""
        try:
            here = self.disk.lstat(self.source)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return _looks_like(here, self.before) and fsio.is_same(here, self.before)

    def _published(self) -> Stat | None:
        """The copy under its name; None where that has not the size and time of the original."""
        try:
            there = self.disk.lstat(self.target)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return there if _looks_like(there, self.before) else None

    def _is_ours(self) -> bool:
        """Whether what stands at the target is certainly the file that was made here."""
        there = self._published()
        return there is not None and fsio.is_same(there, self.made)

    def _remove_source(self) -> None:
        if not self._untouched():
            raise OSError(errno.EBUSY, "the source changed after it was copied; both were left")
        if self._published() is None:
            # A disk that was pulled, or a server that lost power, forgot the name before the sync.
            raise OSError(errno.ESTALE, "the copy is not there any more; the source was left")
        try:
            fsio.remove_if_there(self.disk, self.source)
        except OSError as error:
            if error.errno in fsio.GONE or not (self._untouched() and self._is_ours()):
                raise
            # The source stands as it did: without the copy, it stands once.
            fsio.remove_if_there(self.disk, self.target)
            raise self._refusal(error) from error
        fsio.sync_folder(self.disk, os.path.dirname(self.source))


def _synced(path: str) -> int:
    """How many bytes of a leftover were synced, as its name says."""
    found = _SYNCED.search(os.path.basename(path))
    return int(found[1]) if found else 0


def _looks_like(one: Stat, other: Stat) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _keep_attributes(disk: Disk, original: int, copy: int, before: Stat) -> tuple[str, ...]:
    """Carry over owner, extended attributes, permissions and times; what could not be, in words."""
    with _where_it_can():
        disk.fchown(copy, before.st_uid, before.st_gid)
    lost = _keep_extended(disk, original, copy)
    with _where_it_can():
        disk.fchmod(copy, stat.S_IMODE(before.st_mode))
    disk.utime(copy, (before.st_atime_ns, before.st_mtime_ns))
    now = disk.fstat(copy)
    kept: tuple[tuple[str, Callable[[Stat], object]], ...] = (
        ("owner", lambda found: found.st_uid),
        ("group", lambda found: found.st_gid),
        ("permissions", lambda found: stat.S_IMODE(found.st_mode)),
    )
    return (*(name for name, of in kept if of(now) != of(before)), *lost)


def _keep_extended(disk: Disk, original: int, copy: int) -> list[str]:
    """Carry over extended attributes; the names of those that could not be."""
    try:
        names = disk.listxattr(original)
    except OSError as error:
        if error.errno in fsio.GONE:
            raise
        # A filesystem without any has lost none; a system that cannot tell may have.
        return [] if error.errno in _NO_ATTRIBUTES else ["extended attributes"]
    lost = []
    for name in names:
        kept = False
        with _where_it_can():
            disk.setxattr(copy, name, disk.getxattr(original, name))
            kept = True
        if not kept:
            lost.append(f"extended attribute {fsio.printable(name)}")
    return lost


@contextlib.contextmanager
def _where_it_can() -> Iterator[None]:
    """Do without what the target's filesystem cannot; an error of a disk that went away is none of it."""
    try:
        yield
    except OSError as error:
        if error.errno in fsio.GONE:
            raise
