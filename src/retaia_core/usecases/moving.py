"""Moving groups on disk, and what their files' places mean for an asset: the executor's hands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from attrs import evolve, field, frozen

from ..domain.actors import SYSTEM
from ..domain.assets import Asset, Flag, advanced, flagged, group_relocated
from ..domain.identifiers import BatchId, RelPath, asset_subject, folder_of
from ..domain.journal import JournalEntry, Phase
from ..domain.moves import (
    Copying,
    DiskFile,
    Outcome,
    PlannedFile,
    PlannedMove,
    Where,
    end_of,
    where_is,
)
from ..errors import RetaiaError, StorageOffline
from ..ports.originals import MoveRefused, Originals, Progress

Tell = Callable[[PlannedMove, Copying], None]
"""Hears how far the copy of a file of a group is; called in the thread that copies."""


class TimeOver(Exception):
    """The batch may be another process's by now; nothing was touched after it was noticed."""


@frozen(kw_only=True)
class Seen:
    """A group after its move was tried: where each file is, and what went wrong (empty: nothing).

    ``copied`` has the digests of files that were copied to another filesystem, by their targets.
    """

    found: tuple[Where, ...]
    error: str = ""
    copied: Mapping[str, str] = field(factory=dict)


def journal_entry(
    batch_id: BatchId,
    move: PlannedMove,
    file: PlannedFile,
    phase: Phase,
    fencing: int,
    now: datetime,
    **evidence: object,
) -> JournalEntry:
    """The journal's line about one file of a group."""
    if move.undoes:
        evidence = {"undoes": move.undoes, **evidence}
    return JournalEntry(
        operation=move.operation,
        phase=phase,
        subject=asset_subject(move.asset),
        storage_id=move.storage_id,
        source=file.source,
        target=file.target,
        at=now,
        batch_id=batch_id,
        fencing=fencing,
        evidence=evidence,
    )


def outcome_of(found: Iterable[Where]) -> Outcome:
    """What the places of a group's files prove."""
    places = set(found)
    if places == {Where.TARGET}:
        return Outcome.MOVED
    return Outcome.FAILED if places == {Where.SOURCE} else Outcome.PARKED


def settled(asset: Asset, move: PlannedMove, outcome: Outcome, now: datetime) -> Asset:
    """The asset after its move was verified, found undone, or could not be proven."""
    if outcome is Outcome.PARKED:
        return evolve(flagged(asset, Flag.PARKED, on=True), updated_at=now)
    if outcome is Outcome.FAILED:
        return advanced(asset, end_of(move, moved=False), SYSTEM, now)
    targets = {file.source: file.target for file in move.files}
    action = end_of(move, moved=True)
    return group_relocated(asset, action, SYSTEM, targets, cause=move.operation, now=now)


def move_groups(
    originals: Originals, moves: Sequence[PlannedMove], go_on: Callable[[int], bool], tell: Tell
) -> tuple[Seen | None, ...]:
    """Move groups one after another, make their names durable, and look where each file is.

    ``go_on``, given how many groups were begun, is asked before each file, and, as for the first, while
    one is copied; ``tell`` then hears how far that is. The answer has one entry for each group that was
    tried; None where its files cannot be looked at, so that nothing is known.

    Raises:
        StorageOffline: the storage went away, or cannot keep what was renamed; nothing is proven.
    """
    errors: list[str] = []
    copied: dict[str, str] = {}
    try:
        for move in moves:
            errors.append("")
            ours = partial(go_on, len(errors))
            progress = partial(_while_ours, go_on, partial(tell, move))
            errors[-1] = _move_group(originals, move, ours, progress, copied)
    except TimeOver:
        errors.pop()  # It may be half moved; whoever has the batch next looks at it.
    tried = moves[: len(errors)]
    _keep(originals, tried)
    located = _located(originals, tried)
    for move, found, error in zip(tried, located, errors, strict=True):
        if error and found is not None and outcome_of(found) is Outcome.FAILED:
            _clear(originals, move)
    return tuple(
        None if found is None else Seen(found=found, error=error, copied=_of(move, copied))
        for move, found, error in zip(tried, located, errors, strict=True)
    )


def _of(move: PlannedMove, copied: Mapping[str, str]) -> Mapping[str, str]:
    """Those digests of copies that are of a group's files."""
    return {file.target: copied[file.target] for file in move.files if file.target in copied}


def _while_ours(
    go_on: Callable[[int], bool], tell: Callable[[Copying], None], source: RelPath
) -> Progress:
    """Stops a copy, which may take long, when the batch may be another's; what is copied is kept for it."""

    def progress(done: int, total: int) -> None:
        if not go_on(1):
            raise TimeOver
        tell(Copying(source=source, done=done, total=total))

    return progress


def _clear(originals: Originals, move: PlannedMove) -> None:
    """Remove what copies that were cut left of a move that will not be tried again."""
    # Where that cannot be done now, a hidden file stays, and nothing else.
    with suppress(OSError, RetaiaError):
        for file in move.files:
            originals.clear(file.source, file.target)
            originals.clear(file.target, file.source)


def _keep(originals: Originals, moves: Sequence[PlannedMove]) -> None:
    """Make the names of some groups durable, where they are and where they were."""
    try:
        originals.sync({folder_of(path) for move in moves for path in _paths(move)})
    except OSError as error:
        raise StorageOffline(f"what was renamed could not be made durable: {error}") from error


def _move_group(
    originals: Originals,
    move: PlannedMove,
    go_on: Callable[[], bool],
    progress: Callable[[RelPath], Progress],
    copied: dict[str, str],
) -> str:
    """Move the files of a group that are not moved yet; on a failure move back what was moved.

    Returns what went wrong, empty where nothing did. Whatever it says, only a look is believed. Digests
    of copies are added to ``copied``, by their targets.
    """
    there = originals.look(_paths(move))
    done: list[PlannedFile] = []
    try:
        for file in move.files:
            if not go_on():
                raise TimeOver
            if digest := _move_one(originals, file, there, progress(file.source)):
                copied[file.target] = digest
            done.append(file)
    except StorageOffline:
        raise
    except (MoveRefused, OSError, RetaiaError) as error:
        said = error.reason if isinstance(error, MoveRefused) else str(error)
        return _undo(originals, done, said, go_on, progress)
    return ""


def _move_one(
    originals: Originals,
    file: PlannedFile,
    there: Mapping[str, DiskFile | RetaiaError],
    progress: Progress,
) -> str:
    """Move a file, or finish what a crash left of its move; the digest of a copy that was read back."""
    where = _where(file, there)
    if where is Where.SOURCE:
        return originals.rename(file.source, file.target, progress).checksum
    if where is Where.BOTH:
        originals.settle(file.source, file.target)
    elif where is Where.UNKNOWN:
        raise MoveRefused(f"{file.source!r} is not as the plan says")
    return ""


def _undo(
    originals: Originals,
    done: Sequence[PlannedFile],
    said: str,
    go_on: Callable[[], bool],
    progress: Callable[[RelPath], Progress],
) -> str:
    for file in reversed(done):
        if file.source == file.target:
            continue
        if not go_on():
            raise TimeOver  # What failed may have taken long, and another may have moved them since.
        try:
            originals.rename(file.target, file.source, progress(file.target))
        except (MoveRefused, OSError, RetaiaError) as error:
            return f"{said}; moving {file.target!r} back failed too: {error}"
    return said


def _paths(move: PlannedMove) -> list[str]:
    """Every place of a group's files, of before and after."""
    return [path for file in move.files for path in (file.source, file.target)]


def _where(file: PlannedFile, there: Mapping[str, DiskFile | RetaiaError]) -> Where:
    """Where a file is, of what stands at its places.

    Raises:
        RetaiaError: one of them cannot be looked at.
    """
    places = []
    for path in (file.source, file.target):
        found = there.get(path)
        if isinstance(found, RetaiaError):
            raise found
        places.append(found)
    return where_is(file, *places)


def _located(originals: Originals, moves: Sequence[PlannedMove]) -> list[tuple[Where, ...] | None]:
    """Where each file of some groups is now; None for a group that cannot be looked at.

    Raises:
        StorageOffline: the storage is not there.
    """
    problem = originals.check()
    if problem:
        raise StorageOffline(problem)
    there = originals.look([path for move in moves for path in _paths(move)])
    return [_found(move, there) for move in moves]


def _found(
    move: PlannedMove, there: Mapping[str, DiskFile | RetaiaError]
) -> tuple[Where, ...] | None:
    try:
        return tuple(_where(file, there) for file in move.files)
    except RetaiaError:
        return None
