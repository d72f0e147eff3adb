"""Every point at which a process is killed, by name, and what dies there: a store, originals, derived files.

`POINTS` is the whole list. A test names a point; the process of `kill_stories` tells its story and is
ended by ``kill -9`` from inside when it passes there. One that comes to its end never passed.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen

from retaia_adapters.files.crossing import Step
from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.driver import FilesystemDriver
from retaia_adapters.files.nested import Nested
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_core.domain.discovery import SeenFile
from retaia_core.domain.identifiers import StorageId
from retaia_core.errors import RetaiaError
from retaia_core.ports.derived_storage import Stored
from retaia_core.ports.originals import Moved, Progress, no_progress
from retaia_core.ports.store import SharedWork, Store, Transaction, Work

Item = TypeVar("Item")
T = TypeVar("T")


@frozen(kw_only=True)
class Point:
    """A point of a story: what is passed there, for the how many-th time, and what it means.

    ``begun`` says whether the person's order was accepted by then: it is carried out after the restart.
    ``across`` says that inbox and archive are on two filesystems.
    """

    story: str
    name: str
    event: str
    times: int = 1
    begun: bool = True
    across: bool = False


def _moving(story: str, accepted: str) -> Iterable[Point]:
    yield Point(story=story, name="before it is accepted", event=f"{accepted}: ran", begun=False)
    yield Point(story=story, name="accepted", event=f"{accepted}: committed")
    yield Point(story=story, name="before the intent", event="Run._begin: ran")
    yield Point(story=story, name="after the intent", event="Run._begin: committed")
    yield Point(story=story, name="first file of a group renamed", event="renamed")
    yield Point(story=story, name="one group and a half renamed", event="renamed", times=3)
    yield Point(story=story, name="all renamed, not synced", event="syncing")
    yield Point(story=story, name="synced, not written down", event="synced")
    yield Point(story=story, name="before the outcome", event="Run._end: ran")
    yield Point(story=story, name="after the outcome", event="Run._end: committed")
    yield Point(story=story, name="before the batch is closed", event="Run._finish: ran")
    for step in Step:
        yield Point(story=story, name=f"across filesystems: {step}", event=step, across=True)
    yield Point(
        story=story,
        name="across filesystems: second file published",
        event=Step.PUBLISHED,
        times=2,
        across=True,
    )


POINTS: tuple[Point, ...] = (
    *_moving("move", "Moves.execute_in"),
    *_moving("undo", "Undo.execute_in"),
    Point(story="purge", name="before it is accepted", event="Purges.accept_in: ran", begun=False),
    Point(story="purge", name="accepted", event="Purges.accept_in: committed"),
    Point(story="purge", name="first file removed", event="removed"),
    Point(story="purge", name="all originals removed", event="removed", times=2),
    Point(story="purge", name="derived file removed", event="derived removed"),
    Point(story="purge", name="before its end", event="Purges.finish_in: ran"),
    Point(story="purge", name="ended", event="Purges.finish_in: committed"),
    Point(story="upload", name="before it is published", event="publishing"),
    Point(story="upload", name="published", event="published"),
    Point(story="upload", name="before its row", event="Uploads.complete_in: ran"),
    Point(story="upload", name="after its row", event="Uploads.complete_in: committed"),
    Point(story="upload", name="tidied", event="discarded"),
    Point(
        story="claim", name="before its commit", event="Processing._claim_each: ran", begun=False
    ),
    Point(story="claim", name="after its commit", event="Processing._claim_each: committed"),
)
"""The crash points."""


@define
class Killer:
    """Ends this process at one point, once it is armed."""

    point: Point | None = None
    _seen: Counter[str] = field(factory=Counter)

    def passed(self, event: str) -> None:
        """Die here, where this is the point."""
        if self.point is None:
            return
        self._seen[event] += 1
        if (event, self._seen[event]) == (self.point.event, self.point.times):
            os.kill(os.getpid(), signal.SIGKILL)


def _name(work: Any) -> str:
    return str(_name(work.func) if isinstance(work, functools.partial) else work.__qualname__)


@frozen
class MortalStore(Store):
    """A store whose process may die when work ran and is not committed, and when it is."""

    _store: Store
    _killer: Killer

    async def prepare(self) -> None:
        await self._store.prepare()

    async def transact(self, work: Work[T], *, durable: bool = True) -> T:
        name = _name(work)

        def ran(tx: Transaction) -> T:
            answer = work(tx)
            self._killer.passed(f"{name}: ran")
            return answer

        answer = await self._store.transact(ran, durable=durable)
        self._killer.passed(f"{name}: committed")
        return answer

    async def transact_shared(
        self, work: SharedWork[Item, T], item: Item, *, durable: bool = True
    ) -> T:
        name = _name(work)

        def ran(tx: Transaction, items: Sequence[Item]) -> Sequence[T | RetaiaError]:
            answers = work(tx, items)
            self._killer.passed(f"{name}: ran")
            return answers

        answer = await self._store.transact_shared(ran, item, durable=durable)
        self._killer.passed(f"{name}: committed")
        return answer

    async def read(self, work: Work[T]) -> T:
        return await self._store.read(work)

    async def close(self) -> None:
        await self._store.close()


class MortalOriginals(FilesystemOriginals):
    """Originals whose process may die after each file, and before and after names are synced."""

    def __init__(self, root: Path, storage_id: StorageId, killer: Killer, nested: Nested) -> None:
        super().__init__(root, storage_id, nested=nested)
        self._killer = killer

    def rename(self, source: str, target: str, progress: Progress = no_progress) -> Moved:
        done = super().rename(source, target, progress)
        self._killer.passed("renamed")
        return done

    def sync(self, folders: Iterable[str]) -> None:
        self._killer.passed("syncing")
        super().sync(folders)
        self._killer.passed("synced")

    def remove(self, seen: SeenFile) -> bool:
        done = super().remove(seen)
        self._killer.passed("removed")
        return done

    def _passed(self, step: Step) -> None:
        self._killer.passed(step)


class MortalDerived(FilesystemDerived):
    """Derived files whose process may die around their publication and removal."""

    def __init__(self, root: Path, storage_id: StorageId, killer: Killer) -> None:
        super().__init__(root, storage_id)
        self._killer = killer

    def publish(self, upload_id: str, numbers: int, ref: str) -> Stored:
        self._killer.passed("publishing")
        stored = super().publish(upload_id, numbers, ref)
        self._killer.passed("published")
        return stored

    def discard(self, upload_id: str) -> None:
        super().discard(upload_id)
        self._killer.passed("discarded")

    def remove(self, ref: str) -> None:
        super().remove(ref)
        self._killer.passed("derived removed")


class MortalDriver(FilesystemDriver):
    """Opens originals that die with their killer's point."""

    def __init__(self, killer: Killer) -> None:
        super().__init__()
        self._killer = killer

    def open(self, root: str, storage_id: StorageId) -> FilesystemOriginals:
        return MortalOriginals(Path(root), storage_id, self._killer, self.nested(root))
