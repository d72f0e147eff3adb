"""Moving one group on disk, and what its files' places mean for the asset: the executor's hands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import evolve

from ..domain.actors import SYSTEM
from ..domain.assets import Asset, Flag, advanced, flagged, relocated
from ..domain.identifiers import BatchId, asset_subject, folder_of
from ..domain.journal import JournalEntry, Phase
from ..domain.moves import Outcome, PlannedFile, PlannedMove, Where, end_of, where_is
from ..errors import RetaiaError, StorageOffline
from ..ports.originals import MoveRefused, Originals


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
    sidecars = tuple(evolve(s, path=targets.get(s.path, s.path)) for s in asset.sidecars)
    after = advanced(asset, end_of(move, moved=True), SYSTEM, now)
    path = targets[asset.path]
    if path != asset.path:
        after = relocated(after, path, cause=move.operation, now=now)
    return evolve(after, sidecars=sidecars)


def _where(originals: Originals, file: PlannedFile) -> Where:
    return where_is(file, originals.stat(file.source), originals.stat(file.target))


def locate(originals: Originals, move: PlannedMove) -> tuple[Where, ...]:
    """Where each file of a group is now.

    Raises:
        StorageOffline: the storage is not there.
    """
    problem = originals.check()
    if problem:
        raise StorageOffline(problem)
    return tuple(_where(originals, file) for file in move.files)


def move_group(originals: Originals, move: PlannedMove) -> str:
    """Move the files of a group that are not moved yet; on a failure move back what was moved.

    Returns what went wrong, empty where nothing did. Whatever it says, only `locate` is believed.
    """
    done: list[PlannedFile] = []
    try:
        for file in move.files:
            _move_one(originals, file)
            done.append(file)
        paths = (path for file in move.files for path in (file.source, file.target))
        originals.sync(set(map(folder_of, paths)))
    except (MoveRefused, OSError, RetaiaError) as error:
        said = error.reason if isinstance(error, MoveRefused) else str(error)
        return _undo(originals, done, said)
    return ""


def _move_one(originals: Originals, file: PlannedFile) -> None:
    """Move a file, or finish what a crash left of its move."""
    where = _where(originals, file)
    if where is Where.SOURCE:
        originals.rename(file.source, file.target)
    elif where is Where.BOTH:
        originals.settle(file.source, file.target)
    elif where is Where.UNKNOWN:
        raise MoveRefused(f"{file.source!r} is not as the plan says")


def _undo(originals: Originals, done: Sequence[PlannedFile], said: str) -> str:
    for file in reversed(done):
        if file.source == file.target:
            continue
        try:
            originals.rename(file.target, file.source)
        except (MoveRefused, OSError, RetaiaError) as error:
            return f"{said}; moving {file.target!r} back failed too: {error}"
    return said
