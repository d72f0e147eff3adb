"""Bugs put in on purpose, by name: a simulation that does not find them would find no others either."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from attrs import evolve

from retaia_adapters.files import crossing, fsio, moves, removal
from retaia_adapters.files.disk import Disk
from retaia_core.domain import leases
from retaia_core.domain.discovery import SeenFile
from retaia_core.domain.jobs import Job
from retaia_core.domain.journal import Phase
from retaia_core.domain.leases import Lock
from retaia_core.domain.moves import Outcome, PlannedMove, Where
from retaia_core.ports.store import Transaction
from retaia_core.usecases import moving, processing, purging, running
from retaia_core.usecases.moving import Seen

if TYPE_CHECKING:
    from .world import World

Plant = Callable[["World"], contextlib.AbstractContextManager[Any]]


def _no_sync(kind: str) -> Plant:
    """A sync of files, or of folders, that does nothing."""
    return lambda world: patch.object(world, "unsynced", kind)


def _rename_after_a_look(disk: Disk, source: str, target: str) -> None:
    if fsio.is_taken(disk, target):
        raise FileExistsError(target)
    disk.replace(source, target)


def _check_then_rename(world: World) -> contextlib.AbstractContextManager[Any]:
    """Look whether a name is taken, and rename: somebody may come between."""
    stack = contextlib.ExitStack()
    for module in (moves, crossing):
        stack.enter_context(patch.object(module, "rename_without_replacing", _rename_after_a_look))
    return stack


def _forget_fencing(world: World) -> contextlib.AbstractContextManager[Any]:
    """Write down what became of a move, whoever has the batch by now."""

    def ours(self: running.Run, tx: Transaction) -> Lock:
        lock = tx.lock(running.batch_subject(self.batch_id))
        assert lock is not None
        return lock

    def held(self: running.Run, tx: Transaction, begun: Iterable[running.Begun]) -> dict[Any, Any]:
        return dict(tx.asset_locks(one.move.asset for one in begun))

    stack = contextlib.ExitStack()
    stack.enter_context(patch.object(running.Run, "_ours", ours))
    stack.enter_context(patch.object(running.Run, "_held", held))
    return stack


def _believe(world: World) -> contextlib.AbstractContextManager[Any]:
    """Say that a group was moved because nothing said that it was not."""
    return patch.object(running, "outcome_of", lambda found: Outcome.MOVED)


def _intent_afterwards(world: World) -> contextlib.AbstractContextManager[Any]:
    """Write the intent together with the outcome."""
    return patch.object(world, "late_intents", [])


def _source_first(world: World) -> contextlib.AbstractContextManager[Any]:
    """Remove the source of a copy before the copy was synced and read back."""
    keep = crossing._Crossing._copy

    def copy(self: Any) -> Any:
        fill = type(self)._fill

        def fill_and_remove(this: Any, original: int, made: int, before: Any) -> bytes:
            digest = fill(this, original, made, before)
            this.disk.unlink(this.source)
            return digest

        with patch.object(crossing._Crossing, "_fill", fill_and_remove):
            return keep(self)

    stack = contextlib.ExitStack()
    stack.enter_context(patch.object(crossing._Crossing, "_copy", copy))
    stack.enter_context(patch.object(crossing._Crossing, "_untouched", lambda self: True))
    return stack


def _purge_unseen(world: World) -> contextlib.AbstractContextManager[Any]:
    """Remove what stands at the path, whatever it is by now."""

    def remove(disk: Disk, place: str, seen: SeenFile) -> bool:
        found = fsio.look(disk, place)
        if found is None:
            return False
        disk.unlink(place)
        fsio.sync_folder(disk, os.path.dirname(place))  # noqa: PTH120
        return True

    stack = contextlib.ExitStack()
    stack.enter_context(patch.object(removal, "remove", remove))
    stack.enter_context(patch.object(purging.Hands, "_hindrance", lambda self, file: ""))
    return stack


def _believe_the_journal(world: World) -> contextlib.AbstractContextManager[Any]:
    """Take a move that was begun before for done, instead of looking."""
    keep = running.move_groups

    def move_groups(originals: Any, planned: Sequence[PlannedMove], *rest: Any) -> Any:
        begun = [
            sum(
                e.phase is Phase.INTENT and e.source == move.files[0].source
                for e in world.database.tables.journal.values()
            )
            for move in planned
        ]
        if all(count > 1 for count in begun):
            return tuple(Seen(found=(Where.TARGET,) * len(move.files)) for move in planned)
        return keep(originals, planned, *rest)

    return patch.object(running, "move_groups", move_groups)


def _late_leases(world: World) -> contextlib.AbstractContextManager[Any]:
    """Take a result from whoever once held the job."""

    def check(current: Lock | None, *, token: str | None, now: Any) -> Lock:
        assert current is not None
        return current

    def held(tx: Transaction, job: Job, token: str, now: Any) -> Job:
        return job

    stack = contextlib.ExitStack()
    stack.enter_context(patch.object(leases, "check", check))
    stack.enter_context(patch.object(processing, "_held", held))
    return stack


def _loose_commits(world: World) -> contextlib.AbstractContextManager[Any]:
    """Let the database sync none of its commits."""
    return patch.object(world, "durable_commits", False)


def _steal(world: World) -> contextlib.AbstractContextManager[Any]:
    """Take a batch that another process holds."""
    keep = running.acquire

    def acquire(current: Lock | None, subject: Any, **given: Any) -> Lock:
        return keep(leases.release(current, given["now"]) if current else None, subject, **given)

    return patch.object(running, "acquire", acquire)


def _timeless(world: World) -> contextlib.AbstractContextManager[Any]:
    """Go on moving when the time is over in which the batch was certainly ours."""
    return patch.object(running.Run, "_clock_out", lambda self: lambda groups: True)


def _unlooked(world: World) -> contextlib.AbstractContextManager[Any]:
    """Report what was renamed before its folders are synced."""
    return patch.object(moving, "_keep", lambda originals, done: None)


def _forgotten_sidecars(world: World) -> contextlib.AbstractContextManager[Any]:
    """Move the original and report the whole group."""
    keep = moving._move_group

    def move_group(originals: Any, move: PlannedMove, *rest: Any) -> str:
        return keep(originals, evolve(move, files=move.files[:1]), *rest)

    def outcome(found: Any) -> Outcome:
        places = list(found)
        if places[0] is Where.TARGET:
            return Outcome.MOVED
        return Outcome.FAILED

    stack = contextlib.ExitStack()
    stack.enter_context(patch.object(moving, "_move_group", move_group))
    stack.enter_context(patch.object(running, "outcome_of", outcome))
    return stack


PLANTS: dict[str, Plant] = {
    "skip the sync of files": _no_sync("files"),
    "skip the sync of folders": _no_sync("folders"),
    "check, then rename": _check_then_rename,
    "forget the fencing": _forget_fencing,
    "transition before verifying": _believe,
    "intent after the rename": _intent_afterwards,
    "remove the source first": _source_first,
    "purge whatever is there": _purge_unseen,
    "believe the journal": _believe_the_journal,
    "accept a late lease": _late_leases,
    "forget to sync commits": _loose_commits,
    "steal the batch": _steal,
    "go on when time is over": _timeless,
    "report before the sync": _unlooked,
    "forget the sidecars": _forgotten_sidecars,
}
"""The bugs, by name."""


@contextlib.contextmanager
def planted(world: World, names: Sequence[str]) -> Iterator[None]:
    """Put some bugs in, for a while."""
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(PLANTS[name](world))
        yield
