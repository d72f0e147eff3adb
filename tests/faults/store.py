"""The store that servers share: the one in memory, with commits that a loss of power may take back.

A commit that is not durable may be lost together with all that came after it, until a durable one syncs
what there is. Whoever asks may be cut off before the commit, or after it without learning of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from retaia_core.domain.assets import Asset
from retaia_core.domain.journal import Event, JournalEntry, Phase
from retaia_core.domain.leases import Lock
from retaia_core.errors import StoreUnavailable
from retaia_core.ports.store import SharedWork, Store, Work, alone
from retaia_core.testing.memory_store import MemoryTransaction, Tables
from retaia_core.testing.memory_tables import Undo, rewind

if TYPE_CHECKING:
    from .world import Process, World

T = TypeVar("T")
Item = TypeVar("Item")


class WatchedTransaction(MemoryTransaction):
    """A transaction that remembers what it wrote, for those who look on."""

    def __init__(self, tables: Tables, *, writes: bool) -> None:
        super().__init__(tables, writes=writes)
        self.assets_before: dict[str, Asset | None] = {}
        self.locks_before: dict[Any, Lock | None] = {}
        self.jobs_before: dict[str, Any] = {}
        self.late_intents: list[JournalEntry] | None = None
        self.new_events: list[Event] = []
        self.new_journal: list[JournalEntry] = []

    def _put_asset(self, asset: Asset) -> None:
        self.assets_before.setdefault(asset.uuid, self._tables.assets.get(asset.uuid))
        super()._put_asset(asset)

    def save_lock(self, *locks: Lock) -> None:
        for lock in locks:
            self.locks_before.setdefault(lock.subject, self._tables.locks.get(lock.subject))
        super().save_lock(*locks)

    def save_job(self, job: Any) -> None:
        self.jobs_before.setdefault(job.job_id, self._tables.jobs.get(job.job_id))
        super().save_job(job)

    def add_event(self, *events: Event) -> None:
        self.new_events += events
        super().add_event(*events)

    def add_journal(self, *entries: JournalEntry) -> None:
        for entry in entries:
            self._add_journal(entry)

    def _add_journal(self, entry: JournalEntry) -> None:
        if self.late_intents is not None and entry.phase is Phase.INTENT:
            self.late_intents.append(entry)
            return
        for late in self.late_intents or ():
            super().add_journal(late)
        if self.late_intents:
            self.late_intents.clear()
        self.new_journal.append(entry)
        super().add_journal(entry)

    @property
    def undo(self) -> Undo:
        """How to take back what it wrote."""
        return self._undo


class Database:
    """What the servers' database has on its disk, and what it has not yet."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.commits = 0
        self._loose: list[Undo] = []

    def committed(self, undo: Undo, *, durable: bool) -> None:
        """Keep how to take a commit back, until one after it is durable."""
        self.commits += 1
        if durable:
            self._loose.clear()
        else:
            self._loose.append(undo)

    @property
    def loose(self) -> int:
        """How many commits a cut may take."""
        return len(self._loose)

    def cut(self, kept: int) -> int:
        """Lose the commits after so many that were not synced; returns how many are lost."""
        lost = self._loose[kept:]
        for undo in reversed(lost):
            rewind(undo)
        self._loose.clear()
        return len(lost)


class ProcessStore(Store):
    """The way of one server into the database."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._tables = world.database.tables

    async def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def close(self) -> None:
        """Nothing is held open."""

    async def transact(self, work: Work[T], *, durable: bool = True) -> T:
        world = self._world
        await world.at_commit(self._process)
        transaction = WatchedTransaction(self._tables, writes=True)
        transaction.late_intents = world.late_intents
        done = False
        try:
            answer = work(transaction)
            done = True
        finally:
            if not done:
                transaction.rewind()
        durable = durable and world.durable_commits
        world.watch.committed(self._process, transaction, durable=durable)
        world.database.committed(list(transaction.undo), durable=durable)
        await world.after_commit(self._process)
        return answer

    async def transact_shared(
        self, work: SharedWork[Item, T], item: Item, *, durable: bool = True
    ) -> T:
        return await self.transact(alone(work, item), durable=durable)

    async def read(self, work: Work[T]) -> T:
        await self._world.at_read(self._process)
        return work(MemoryTransaction(self._tables, writes=False))


def unavailable() -> StoreUnavailable:
    """What a database that does not answer is reported as."""
    return StoreUnavailable("the database does not answer; try again")
