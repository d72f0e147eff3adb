"""Planning batch moves: one pure planner, whose plan is previewed, digested and executed (domain.md)."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

from attrs import define, field, frozen

from ..errors import NameCollisionExhausted
from .assets import Asset, Flag
from .identifiers import AssetId, BatchId, RelPath, StorageId, folder_of, name_of
from .lifecycle import Action, State, Verdict
from .naming import ATTEMPTS, exhausted, nonce, renamed, stem_of
from .storage import Layout

MAX_NAME_BYTES = 255
PLANNABLE = (State.DECIDED_KEEP, State.DECIDED_REJECT)


class BlockReason(StrEnum):
    """Why an asset of the selection is not moved."""

    NOT_DECIDED = "not_decided"
    MISSING = "missing"
    SOURCE_CHANGED = "source_changed"
    LOCKED = "locked"
    UNREADABLE = "unreadable"
    STORAGE_OFFLINE = "storage_offline"
    NAME_COLLISION_EXHAUSTED = "name_collision_exhausted"
    NAME_TOO_LONG = "name_too_long"
    PARKED = "parked"
    NOT_MOVED = "not_moved"
    UNDONE = "undone"
    MOVED_LATER = "moved_later"
    REOPENED = "reopened"
    PURGED = "purged"
    GROUP_CHANGED = "group_changed"
    TARGET_TAKEN = "target_taken"


Expected = tuple[RelPath, int, int]
"""A file of a group as the last scan saw it: its path, its size in bytes, its mtime in nanoseconds."""


class Candidate(NamedTuple):
    """Of an asset what a plan of its move depends on, and no more: a batch may have many thousands.

    ``files`` is its group: the original, then its sidecars by path.
    """

    uuid: AssetId
    storage_id: StorageId
    path: RelPath
    state: State
    verdict: Verdict | None
    flags: frozenset[Flag]
    files: tuple[Expected, ...]


def candidate_of(asset: Asset) -> Candidate:
    """What a plan of its move depends on, of a whole asset."""
    sidecars = sorted((s.path, s.size, s.mtime_ns) for s in asset.sidecars)
    return Candidate(
        uuid=asset.uuid,
        storage_id=asset.storage_id,
        path=asset.path,
        state=asset.state,
        verdict=asset.verdict,
        flags=asset.flags,
        files=((asset.path, asset.size, asset.mtime_ns), *sidecars),
    )


@frozen(kw_only=True)
class PlannedFile:
    """One file of a group: from, to (relative to the storage root), and what it must look like."""

    source: RelPath
    target: RelPath
    size: int
    mtime_ns: int
    role: str


@frozen(kw_only=True)
class PlannedMove:
    """The move of one group: the original first, then its sidecars.

    ``nonce`` is empty where no name was taken; ``warnings`` are for the person who reads the preview.
    ``undoes`` is the batch that the move takes back, empty where it carries out a decision.
    """

    asset: AssetId
    storage_id: StorageId
    verdict: Verdict
    files: tuple[PlannedFile, ...]
    nonce: str = ""
    collides_with: tuple[RelPath, ...] = ()
    warnings: tuple[str, ...] = ()
    undoes: str = ""

    @property
    def operation(self) -> str:
        """What the journal and the audit trail call it."""
        return "undo" if self.undoes else "move"

    @property
    def size_bytes(self) -> int:
        """The bytes of the whole group."""
        return sum(file.size for file in self.files)


@frozen(kw_only=True)
class BlockedMove:
    """An asset of the selection that stays where it is, and why."""

    asset: AssetId
    path: RelPath
    reason: BlockReason
    message: str


@frozen(kw_only=True)
class MovePlan:
    """The whole plan; equal inputs make equal plans."""

    moves: tuple[PlannedMove, ...] = ()
    blocked: tuple[BlockedMove, ...] = ()

    @property
    def collisions(self) -> tuple[PlannedMove, ...]:
        """The moves that get another name."""
        return tuple(move for move in self.moves if move.nonce)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over what would be done; two plans with one digest do the same."""
        return digest_of(self.moves)


_AT_ONCE = 1000
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def digest_of(moves: Sequence[PlannedMove]) -> str:
    """SHA-256 (hex) over the moves of a plan, in their order."""
    digest = hashlib.sha256()
    for start in range(0, len(moves), _AT_ONCE):
        document = [
            (
                *(m.asset, m.storage_id, m.verdict, m.undoes),
                [(f.source, f.target, f.size, f.mtime_ns, f.role) for f in m.files],
            )
            for m in moves[start : start + _AT_ONCE]
        ]
        digest.update(_encoder.encode(document).encode())
    return digest.hexdigest()


@frozen(kw_only=True)
class DiskFile:
    """What stands at a path now; ``mtime_ns`` in nanoseconds."""

    size: int
    mtime_ns: int


class Where(StrEnum):
    """Where a planned file was found; unknown unless it stands whole in exactly one place, or in both."""

    SOURCE = "source"
    TARGET = "target"
    BOTH = "both"
    UNKNOWN = "unknown"


def _stands(found: DiskFile | None, file: PlannedFile) -> bool:
    return found is not None and (found.size, found.mtime_ns) == (file.size, file.mtime_ns)


def where_is(file: PlannedFile, source: DiskFile | None, target: DiskFile | None) -> Where:
    """Say where a planned file is, of what stands at its two places."""
    if file.source == file.target:
        return Where.TARGET if _stands(target, file) else Where.UNKNOWN
    if source is None and _stands(target, file):
        return Where.TARGET
    if _stands(source, file):
        return Where.BOTH if _stands(target, file) else Where.SOURCE
    return Where.UNKNOWN


@frozen(kw_only=True)
class World:
    """What the planner may know of the disk: the files of the groups, and the names taken in targets.

    ``files`` maps ``(storage_id, path)`` to what stands there, without an entry where nothing does;
    ``taken`` maps ``(storage_id, folder)`` to the names in it; ``locked`` are assets that somebody
    holds, ``unreadable`` those whose files or target folder cannot be looked at, each with the reason;
    ``offline`` maps a storage to its reason.
    """

    files: Mapping[tuple[StorageId, str], DiskFile] = field(factory=dict)
    taken: Mapping[tuple[StorageId, str], frozenset[str]] = field(factory=dict)
    locked: Mapping[AssetId, str] = field(factory=dict)
    unreadable: Mapping[AssetId, str] = field(factory=dict)
    offline: Mapping[StorageId, str] = field(factory=dict)
    layouts: Mapping[StorageId, Layout] = field(factory=dict)


def same_name(name: str) -> str:
    """The form under which two names are one to a careful file server: NFC, case folded.

    >>> same_name("A001.JPG") == same_name("a001.jpg")
    True
    """
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def target_folder(asset: Asset | Candidate, layout: Layout) -> str:
    """The folder that a decided asset's group goes to; its sub-folder is kept."""
    top = layout.archive if asset.verdict is Verdict.KEEP else layout.rejects
    # A text knows its hash, a layout does not.
    return _target_of(folder_of(asset.path), top, layout.inbox, layout.archive, layout.rejects)


@lru_cache(maxsize=1024)
def _target_of(folder: str, top: str, inbox: str, archive: RelPath, rejects: RelPath) -> str:
    """Where the files of a folder go; asked for file after file of one folder."""
    layout = Layout(inbox=inbox, archive=archive, rejects=rejects)
    inner = folder_of(layout.relative_part(f"{folder}/-" if folder else "-"))
    return f"{top}/{inner}" if inner else top


def group_paths(asset: Asset) -> tuple[RelPath, ...]:
    """The paths of an asset's group: the original, then its sidecars by path."""
    paths = [sidecar.path for sidecar in asset.sidecars]
    paths.sort()
    return (asset.path, *paths)


def _block(asset: Asset | Candidate, reason: BlockReason, message: str) -> BlockedMove:
    return BlockedMove(asset=asset.uuid, path=asset.path, reason=reason, message=message)


def _state_block(asset: Candidate, world: World) -> BlockedMove | None:
    if asset.state not in PLANNABLE:
        return _block(
            asset,
            BlockReason.NOT_DECIDED,
            f"its state is {asset.state}; only decided assets are moved",
        )
    if Flag.PARKED in asset.flags:
        return _block(asset, BlockReason.PARKED, "an earlier move could not be proven; see its why")
    return world_block(asset, world)


def world_block(asset: Asset | Candidate, world: World) -> BlockedMove | None:
    """Why the world does not let an asset move, whatever its state: offline, unreadable, locked."""
    if asset.storage_id in world.offline:
        return _block(
            asset,
            BlockReason.STORAGE_OFFLINE,
            f"storage {asset.storage_id} is offline: {world.offline[asset.storage_id]}",
        )
    if asset.uuid in world.unreadable:
        return _block(asset, BlockReason.UNREADABLE, world.unreadable[asset.uuid])
    if asset.uuid in world.locked:
        return _block(asset, BlockReason.LOCKED, world.locked[asset.uuid])
    return None


def disk_block(
    asset: Asset | Candidate, files: Iterable[Expected], world: World
) -> BlockedMove | None:
    """Why files are not to be moved: one is gone, or has not the size and mtime expected of it."""
    for path, size, mtime_ns in files:
        found = world.files.get((asset.storage_id, path))
        if found is None:
            return _block(asset, BlockReason.MISSING, f"{path!r} is not there; scan again")
        if (found.size, found.mtime_ns) != (size, mtime_ns):
            return _block(
                asset,
                BlockReason.SOURCE_CHANGED,
                f"{path!r} changed after the last scan; scan again",
            )
    return None


def _names(asset: Candidate) -> list[str]:
    """The names of a group's files, in their order."""
    return [name_of(path) for path, _, _ in asset.files]


def _collisions(
    asset: Candidate, folder: str, names: Sequence[str], taken: set[str]
) -> tuple[RelPath, ...]:
    """The places of a group in its target folder that something else has."""
    if taken.isdisjoint(map(same_name, names)):
        return ()
    hits = [
        (path, name)
        for (path, _, _), name in zip(asset.files, names, strict=True)
        if same_name(name) in taken
    ]
    return tuple(RelPath(place) for old, name in hits if (place := f"{folder}/{name}") != old)


def _other_names(asset: Candidate, folder: str, taken: set[str]) -> tuple[list[str], str]:
    """The first names with a nonce that nothing else has, and the nonce.

    Raises:
        NameCollisionExhausted: all are taken.
    """
    stem = stem_of(name_of(asset.path))
    for attempt in range(ATTEMPTS):
        mark = nonce(asset.uuid, folder, attempt)
        names = [renamed(name, stem, mark) for name in _names(asset)]
        if not _collisions(asset, folder, names, taken):
            return names, mark
    raise exhausted(name_of(asset.path), folder)


def _too_long(name: str) -> bool:
    return len(name) * 4 > MAX_NAME_BYTES and len(name.encode()) > MAX_NAME_BYTES


def _files(asset: Candidate, folder: str, names: Sequence[str]) -> tuple[PlannedFile, ...]:
    return tuple(
        [
            PlannedFile(
                source=path,
                target=RelPath(f"{folder}/{name}"),
                size=size,
                mtime_ns=mtime_ns,
                role="original" if path == asset.path else "sidecar",
            )
            for (path, size, mtime_ns), name in zip(asset.files, names, strict=True)
        ]
    )


def _warnings(flags: frozenset[Flag]) -> tuple[str, ...]:
    said = []
    if Flag.CHANGED in flags:
        said.append("the file changed after it was prepared for review")
    if Flag.UNPROCESSABLE in flags:
        said.append("the file could not be processed; a person waived that")
    return tuple(said)


@define
class Planner:
    """Plans part after part of one plan; every name that it gave is taken for what follows."""

    _taken: dict[tuple[StorageId, str], set[str]] = field(factory=dict, init=False)

    def plan(
        self, candidates: Iterable[Candidate], world: World
    ) -> list[PlannedMove | BlockedMove]:
        """Plan moves in the order given; of every folder the names are asked of the first world alone."""
        return [self._plan_one(candidate, world) for candidate in candidates]

    def _plan_one(self, asset: Candidate, world: World) -> PlannedMove | BlockedMove:
        blocked = _state_block(asset, world) or disk_block(asset, asset.files, world)
        if blocked:
            return blocked
        folder = target_folder(asset, world.layouts[asset.storage_id])
        taken = self._taken_in(asset.storage_id, folder, world)
        names, mark = _names(asset), ""
        collided = _collisions(asset, folder, names, taken)
        if collided:
            try:
                names, mark = _other_names(asset, folder, taken)
            except NameCollisionExhausted as error:
                return _block(asset, BlockReason.NAME_COLLISION_EXHAUSTED, error.message)
        if any(map(_too_long, names)):
            return _block(
                asset,
                BlockReason.NAME_TOO_LONG,
                f"the new name would be longer than {MAX_NAME_BYTES} bytes; rename what stands there",
            )
        taken.update(map(same_name, names))
        assert asset.verdict is not None
        return PlannedMove(
            asset=asset.uuid,
            storage_id=asset.storage_id,
            verdict=asset.verdict,
            files=_files(asset, folder, names),
            nonce=mark,
            collides_with=collided,
            warnings=_warnings(asset.flags),
        )

    def _taken_in(self, storage_id: StorageId, folder: str, world: World) -> set[str]:
        """The names in a folder, as `same_name` says, that something stands under or was planned for."""
        key = (storage_id, folder)
        taken = self._taken.get(key)
        if taken is None:
            taken = self._taken[key] = set(map(same_name, world.taken.get(key, ())))
        return taken


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The order in which moves are planned, so that equal inputs make equal plans: that of their paths."""
    return sorted(candidates, key=lambda one: (one.storage_id, one.path, one.uuid))


def plan_of(planned: Iterable[PlannedMove | BlockedMove]) -> MovePlan:
    """The plan, of what its parts say."""
    moves: list[PlannedMove] = []
    blocked: list[BlockedMove] = []
    for one in planned:
        if isinstance(one, PlannedMove):
            moves.append(one)
        else:
            blocked.append(one)
    return MovePlan(moves=tuple(moves), blocked=tuple(blocked))


def plan_moves(assets: Iterable[Asset], world: World) -> MovePlan:
    """Plan the moves of decided assets: KEEP to the archive, REJECT to the rejects, groups whole.

    A name is taken if any member of the group would collide with what stands in the target folder (or
    is planned there), compared without case; then the whole group is renamed. Assets are planned in
    the order of their paths, so that equal inputs make equal plans.
    """
    return plan_of(Planner().plan(in_order(map(candidate_of, assets)), world))


def end_of(move: PlannedMove, *, moved: bool) -> Action:
    """The step of the state machine that ends a queued move, or its undo.

    An undo that was done leaves the asset decided, as a move that was not done does.
    """
    return Action.CONFIRM_MOVE if moved is not bool(move.undoes) else Action.ABANDON_MOVE


class Outcome(StrEnum):
    """What became of one asset of an executed batch."""

    PENDING = "PENDING"
    MOVED = "MOVED"
    FAILED = "FAILED"
    PARKED = "PARKED"


@frozen(kw_only=True)
class Copying:
    """How far the copy of a file to another filesystem is, in bytes; each is written and read back."""

    source: RelPath
    done: int
    total: int


@frozen(kw_only=True)
class MoveResult:
    """The report's line of one asset. ``copying`` is what was last told of one that is under way."""

    asset: AssetId
    outcome: Outcome
    move: PlannedMove
    error: str = ""
    at: datetime | None = None
    copying: Copying | None = None


class BatchStatus(StrEnum):
    """``QUEUED → RUNNING → DONE``."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"


@frozen(kw_only=True)
class Batch:
    """An executed batch: the plan that a person confirmed, and a result per asset."""

    batch_id: BatchId
    status: BatchStatus
    digest: str
    created_at: datetime
    created_by: str
    results: tuple[MoveResult, ...]
    blocked: tuple[BlockedMove, ...] = ()
    finished_at: datetime | None = None

    @property
    def undoes(self) -> str:
        """The batch that it takes back; empty where it carries out decisions."""
        return self.results[0].move.undoes if self.results else ""
