"""Moves that could not be proven: their evidence, and what a person may settle (domain.md, *Batch moves*)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from attrs import evolve, field, frozen

from .actors import SYSTEM
from .assets import Asset, AttachedSidecar, Flag, advanced, flagged, relocated
from .identifiers import BatchId, RelPath
from .moves import DiskFile, MoveResult, Outcome, PlannedFile, PlannedMove, Where, end_of, where_is


class Choice(StrEnum):
    """What a person may say of a parked move; to leave it parked is to say nothing."""

    MOVED = "moved"
    NOT_MOVED = "not_moved"
    RETRY = "retry"


@frozen(kw_only=True)
class Sighting:
    """A file of a parked group: what stands at its two places now; None where nothing does.

    ``recorded`` is where the executor found it, as the journal has it.
    """

    file: PlannedFile
    at_source: DiskFile | None
    at_target: DiskFile | None
    recorded: str = ""

    @property
    def where(self) -> Where:
        """Where the file as it was planned is now."""
        return where_is(self.file, self.at_source, self.at_target)

    def at(self, choice: Choice) -> tuple[RelPath, DiskFile | None]:
        """The place that a choice means, and what stands there."""
        if choice is Choice.MOVED:
            return self.file.target, self.at_target
        return self.file.source, self.at_source


@frozen(kw_only=True)
class Parked:
    """A parked move with its evidence; the original is first among ``files``.

    ``unseen`` says why the disk cannot be looked at now; then there are no files, and no choice.
    """

    asset: Asset
    batch_id: BatchId
    result: MoveResult
    files: tuple[Sighting, ...] = ()
    unseen: str = ""

    @property
    def move(self) -> PlannedMove:
        """The move that could not be proven."""
        return self.result.move


@frozen(kw_only=True)
class Offer:
    """A choice that is open, in a sentence, and what it brings with it."""

    choice: Choice
    sentence: str
    consequences: tuple[str, ...] = field(factory=tuple)


def _differs(file: PlannedFile, found: DiskFile) -> bool:
    return (found.size, found.mtime_ns) != (file.size, file.mtime_ns)


def _consequence(seen: Sighting, choice: Choice) -> str:
    """What a choice means for one file; empty where it is as planned."""
    other = Choice.NOT_MOVED if choice is Choice.MOVED else Choice.MOVED
    (path, here), (elsewhere, there) = seen.at(choice), seen.at(other)
    if here is None:
        left = f"{elsewhere!r} stays there and" if there else f"{path!r} is gone and"
        return f"{left} is no sidecar of it any more"
    said = []
    if _differs(seen.file, here):
        said.append(
            f"{path!r} is not as it was planned ({here.size} bytes, planned {seen.file.size}); "
            "it is taken as it is now"
        )
    if there is not None and path != elsewhere:
        said.append(f"what stands at {elsewhere!r} stays there and is no part of it")
    return "; ".join(said)


_SENTENCES = {
    Choice.MOVED: "the file is at {!r}: accept that it was moved",
    Choice.NOT_MOVED: "the file is at {!r}: accept that it was not moved",
}


def offers(parked: Parked) -> tuple[Offer, ...]:
    """The choices that what stands on disk allows; none where the original is in neither place."""
    if parked.unseen:
        return ()
    original, found = parked.files[0], []
    for choice, sentence in _SENTENCES.items():
        path, here = original.at(choice)
        if here is not None:
            brings = tuple(said for seen in parked.files if (said := _consequence(seen, choice)))
            offer = Offer(choice=choice, sentence=sentence.format(path), consequences=brings)
            found.append(offer)
    if all(seen.where is not Where.UNKNOWN for seen in parked.files):
        said = "every file is whole in one of its places: try the move again"
        found.append(Offer(choice=Choice.RETRY, sentence=said))
    return tuple(found)


def _standing(parked: Parked, choice: Choice) -> list[tuple[PlannedFile, RelPath, DiskFile]]:
    """The files that stand where a choice says, each with its place and what it is."""
    seen = ((s.file, *s.at(choice)) for s in parked.files)
    return [(file, path, found) for file, path, found in seen if found is not None]


def _sidecars(
    asset: Asset, standing: Iterable[tuple[PlannedFile, RelPath, DiskFile]]
) -> tuple[AttachedSidecar, ...]:
    places = {file.source: (path, found) for file, path, found in standing}
    kept = [(s, places[s.path]) for s in asset.sidecars if s.path in places]
    return tuple(
        evolve(s, path=path, size=found.size, mtime_ns=found.mtime_ns) for s, (path, found) in kept
    )


def settled_as(parked: Parked, choice: Choice, now: datetime) -> Asset:
    """The asset after a person said where it is; with ``RETRY`` it is queued as before.

    A file that is not as it was planned is taken as it is, and the asset flagged changed.
    """
    asset = flagged(parked.asset, Flag.PARKED, on=False)
    if choice is Choice.RETRY:
        return evolve(asset, updated_at=now)
    standing = _standing(parked, choice)
    original, path, found = standing[0]
    moved = choice is Choice.MOVED
    after = advanced(asset, end_of(parked.move, moved=moved), SYSTEM, now)
    if path != asset.path:
        after = relocated(after, path, cause=parked.move.operation, now=now)
    if _differs(original, found):
        after = flagged(evolve(after, fingerprint=None, sightings=1), Flag.CHANGED, on=True)
    return evolve(
        after, size=found.size, mtime_ns=found.mtime_ns, sidecars=_sidecars(asset, standing)
    )


def result_of(parked: Parked, choice: Choice, by: str, now: datetime) -> MoveResult:
    """The line of the report after a person settled the move."""
    if choice is Choice.RETRY:
        return evolve(parked.result, outcome=Outcome.PENDING, error="", at=None)
    if choice is Choice.NOT_MOVED:
        said = f"{by} settled it: it was not moved"
        return evolve(parked.result, outcome=Outcome.FAILED, error=said, at=now)
    files = tuple(
        evolve(file, size=found.size, mtime_ns=found.mtime_ns)
        for file, _, found in _standing(parked, choice)
    )
    move = evolve(parked.move, files=files)
    return evolve(parked.result, outcome=Outcome.MOVED, move=move, error="", at=now)
